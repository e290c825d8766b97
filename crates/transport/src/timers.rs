//! The time limits of one request, on one timer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use roundtrip_types::{Error, ErrorKind, Phase};
use tokio::time::Sleep;

use crate::shared::now;

/// A time limit with its name in the settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    at: Instant,
    limit: Duration,
    setting: &'static str,
}

/// Waits for whichever of a request's deadlines comes first. Without any it costs nothing; the timer is made when one is first
/// waited for, and then moved.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// The limit on the whole request.
    total: Option<Deadline>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// The moment that lies `limit` from now; `None` if there is no limit, or none that a clock could reach.
    pub(crate) fn new(limit: Option<Duration>, setting: &'static str) -> Option<Self> {
        let limit = limit?;
        Some(Deadline { at: now().checked_add(limit)?, limit, setting })
    }

    /// Whether the two are the same limit of the same request.
    pub(crate) fn is(self, other: Deadline) -> bool {
        self.at == other.at && self.setting == other.setting
    }

    /// The error of having passed it. `what` did not happen in time.
    #[cold]
    pub(crate) fn error(self, what: &str, phase: Phase) -> Error {
        let Deadline { limit, setting, .. } = self;
        Error::new(ErrorKind::Timeout, format!("{what} within {limit:?} ({setting})")).with_phase(phase)
    }
}

impl Timers {
    pub(crate) fn new(total: Option<Duration>) -> Self {
        Timers { total: Deadline::new(total, "total_timeout"), sleep: None }
    }

    /// Ready with the deadline that has passed: `own`, or the one of the whole request.
    #[inline]
    pub(crate) fn poll(&mut self, own: Option<Deadline>, cx: &mut Context<'_>) -> Poll<Deadline> {
        let first = match (own, self.total) {
            (None, None) => return Poll::Pending,
            (Some(own), Some(total)) => {
                if own.at < total.at {
                    own
                } else {
                    total
                }
            }
            (Some(one), None) | (None, Some(one)) => one,
        };
        self.poll_at(first, cx)
    }

    fn poll_at(&mut self, first: Deadline, cx: &mut Context<'_>) -> Poll<Deadline> {
        let at = first.at.into();
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if sleep.deadline() != at {
            sleep.as_mut().reset(at);
        }
        sleep.as_mut().poll(cx).map(|()| first)
    }
}
