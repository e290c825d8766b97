//! What a connection is told while nobody looks at it: that bytes or the end came while it lay idle, and that it is to be cut off.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Wake, Waker};

use tokio::sync::Notify;

use super::Cut;
use crate::pool::Slot;
use crate::sweeper::Signal;

/// The outside of a connection, shared with the runtime (as a waker) and with the transport.
///
/// As a waker it is left at the socket while the connection lies idle. Woken, it marks the connection and tells the sweeper, which
/// looks whether it is dead. A mark may be stale (the runtime wakes without need, TLS sends for itself), so it only says: look.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Something came since the connection was last seen to be quiet.
    woken: AtomicBool,
    /// The transport wants the connection closed now, whatever it is doing.
    cut: AtomicBool,
    /// The task that drives the connection, to be woken when it is cut.
    task: Mutex<Option<Waker>>,
    looks: Looks,
}

/// Who looks at an idle connection that was woken.
#[derive(Debug)]
enum Looks {
    Sweeper {
        /// Where the connection stands in the pool. Set once, when it is entered there.
        slot: OnceLock<Slot>,
        signal: Arc<Signal>,
    },
    /// The connection is not in the pool: the program holds it.
    Holder(Arc<Notify>),
}

impl Watch {
    /// For a connection of the pool.
    pub(crate) fn new(signal: Arc<Signal>) -> Arc<Self> {
        Watch::told_to(Looks::Sweeper { slot: OnceLock::new(), signal })
    }

    /// For a connection that the program holds.
    pub(crate) fn held(holder: Arc<Notify>) -> Arc<Self> {
        Watch::told_to(Looks::Holder(holder))
    }

    fn told_to(looks: Looks) -> Arc<Self> {
        Arc::new(Watch { woken: AtomicBool::new(false), cut: AtomicBool::new(false), task: Mutex::new(None), looks })
    }

    pub(crate) fn enter(&self, entered: Slot) {
        let Looks::Sweeper { slot, .. } = &self.looks else { return };
        let fresh = slot.set(entered).is_ok();
        debug_assert!(fresh, "a connection is entered into the pool once");
    }

    /// Where the connection stands in the pool, once it was entered.
    pub(crate) fn slot(&self) -> Option<Slot> {
        let Looks::Sweeper { slot, .. } = &self.looks else { return None };
        slot.get().copied()
    }

    /// Whether something may have come.
    pub(crate) fn is_woken(&self) -> bool {
        // Acquire: whoever sees the mark also sees the socket's readiness, which the runtime set before it woke us.
        self.woken.load(Ordering::Acquire)
    }

    /// Takes the mark away, before a look at the socket; what comes from now on sets it again.
    pub(crate) fn reset(&self) {
        self.woken.store(false, Ordering::Release);
    }

    /// Tells the task that drives the connection to stop.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Whether the task is to stop.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// Why it is.
    #[cold]
    pub(crate) fn cut_by(&self) -> Cut {
        match self.looks {
            Looks::Sweeper { .. } => Cut::Shutdown,
            Looks::Holder(_) => Cut::Holder,
        }
    }

    /// Leaves the waker of the task that drives the connection. Look at [`is_cut`](Self::is_cut) afterwards.
    pub(crate) fn driven_by(&self, waker: &Waker) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *task {
            Some(known) => known.clone_from(waker),
            None => *task = Some(waker.clone()),
        }
    }
}

impl Watch {
    /// Lets go of the waker of the task that drove the connection: an idle connection would keep the task's memory.
    pub(crate) fn driven_by_nobody(&self) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.woken.swap(true, Ordering::AcqRel) {
            return;
        }
        match &self.looks {
            Looks::Sweeper { slot, signal } => {
                if let Some(&slot) = slot.get() {
                    signal.woken(slot);
                }
            }
            Looks::Holder(holder) => holder.notify_one(),
        }
    }
}
