//! The one task of a transport: it closes idle connections that died or expired, while there are any.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use tokio::sync::Notify;

use crate::pool::Slot;
use crate::shared::Shared;

/// How idle connections reach the sweeper.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    woken: Mutex<Vec<Slot>>,
    notify: Notify,
}

impl Signal {
    /// An idle connection has something to read.
    pub(crate) fn woken(&self, slot: Slot) {
        self.lock().push(slot);
        self.notify.notify_one();
    }

    /// The connections that were woken since the last call.
    pub(crate) fn take(&self) -> Vec<Slot> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Slot>> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// When a connection says so, or at this time.
    At(Instant),
    /// When a connection says so.
    Told,
    /// Never: nothing lies idle.
    Done,
}

/// Closes what has to be closed, until nothing lies idle. It keeps nothing alive.
pub(crate) async fn sweep(shared: Weak<Shared>, signal: Arc<Signal>, first: Next) {
    let mut cut_short = OnDrop(Weak::clone(&shared));
    let mut next = first;
    loop {
        match next {
            Next::At(at) => {
                // An error is the time running out, which is as good a reason to look.
                let _ = tokio::time::timeout_at(at.into(), signal.notify.notified()).await;
            }
            Next::Told => signal.notify.notified().await,
            Next::Done => break,
        }
        next = shared.upgrade().map_or(Next::Done, |shared| shared.sweep());
    }
    // The last look has said so already, and there may be a successor by now.
    cut_short.0 = Weak::new();
}

/// Says that there is no sweeper any more when its runtime goes away, so that the next connection to become idle starts another.
struct OnDrop(Weak<Shared>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.sweeper_gone();
        }
    }
}
