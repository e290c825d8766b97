//! What goes in and out of the policy: numbers, questions, answers, and what is to be done.

use std::time::{Duration, Instant};

use super::CloseReason;

/// A connection's number, unique in its pool, counted from 1 in the order in which they were opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub(crate) u64);

impl ConnId {
    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl std::fmt::Display for ConnId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "connection {}", self.0)
    }
}

/// The entry of an open connection: its place, which is used again, and its number, which is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(super) index: u32,
    pub(crate) id: ConnId,
}

impl Slot {
    /// Its place, below the largest number of connections that were open at once.
    pub(crate) fn index(self) -> usize {
        self.index as usize
    }
}

/// A request that waits. Its owner ends it with [`Pool::collect`] or [`Pool::give_up`], exactly once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WaiterId(pub(super) u32);

/// A dial. Whoever drives it ends it with [`Pool::dialed`] or [`Pool::dial_failed`], exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct DialId(pub(super) u32);

/// A connection handed to a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taken<C> {
    pub(crate) slot: Slot,
    pub(crate) conn: C,
    /// When it lay idle; `None` if it did not.
    pub(crate) idle: Option<Idle>,
    /// Whether it was opened for another request, even if that never used it.
    pub(crate) reused: bool,
}

/// A time of lying idle, as two moments, since most never ask for how long it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Idle {
    pub(super) since: Instant,
    pub(super) until: Instant,
}

impl Idle {
    pub(crate) fn new(since: Instant, until: Instant) -> Self {
        Idle { since, until }
    }

    pub(crate) fn duration(self) -> Duration {
        self.until.saturating_duration_since(self.since)
    }
}

/// What a request gets when it asks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Acquired<C> {
    Conn(Taken<C>),
    Wait(WaiterId),
    Refused(Refused),
}

/// Why a request gets nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// `max_waiters_per_host` wait already.
    QueueFull { waiting: usize },
    /// The pool was shut down.
    Shutdown,
}

/// What a waiter finds when it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// Nothing yet. It will be woken.
    Pending,
    /// It has a connection; it has to be [collected](Pool::collect).
    Served,
    /// It is to open a connection.
    Dial(DialId),
    /// A shared connection may have room for it; if it has, the waiter ends with [`Pool::share`].
    Offered,
    /// The pool was shut down.
    Refused(Refused),
}

/// What has to be done after a step, outside the lock, in this order.
#[derive(Debug)]
pub(crate) struct Effects<C, W>(pub(super) Vec<Effect<C, W>>);

/// One thing to do.
#[derive(Debug)]
pub(crate) enum Effect<C, W> {
    /// A waiter has something to look at.
    Wake(W),
    /// A connection is to be closed.
    Close(Slot, C, CloseReason),
    /// A dial that nobody wants is to be given up.
    Abort(DialId),
    /// The pool was shut down, and nothing is open any more.
    Emptied,
}

/// What is known about a connection that comes back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    /// Requests that it has carried.
    pub(crate) served: u64,
    /// How long the server has said that it keeps it.
    pub(crate) idle_limit: Option<Duration>,
}

impl<C, W> Effects<C, W> {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them: first what is to be closed, so that whoever waits for the room does not open a connection before the old one is
    /// gone.
    pub(crate) fn into_ordered(self) -> impl Iterator<Item = Effect<C, W>> {
        let (close, rest): (Vec<_>, Vec<_>) =
            self.0.into_iter().partition(|effect| matches!(effect, Effect::Close(..)));
        close.into_iter().chain(rest)
    }

    pub(super) fn wake(&mut self, waker: Option<W>) {
        self.0.extend(waker.map(Effect::Wake));
    }

    pub(super) fn close(&mut self, slot: Slot, conn: C, reason: CloseReason) {
        self.0.push(Effect::Close(slot, conn, reason));
    }

    pub(super) fn abort(&mut self, dial: DialId) {
        self.0.push(Effect::Abort(dial));
    }

    pub(super) fn emptied(&mut self, emptied: bool) {
        self.0.extend(emptied.then_some(Effect::Emptied));
    }
}

impl<C, W> Default for Effects<C, W> {
    fn default() -> Self {
        Effects(Vec::new())
    }
}
