//! The time, read once a poll of a connection: a response's date and the connection's limits can do with the same.

use std::cell::Cell;

use tokio::time::Instant;

thread_local! {
    /// What the clock said in this poll, if it was asked.
    static READ: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// From now on what was read before is old.
#[inline]
pub(crate) fn begin_poll() {
    READ.set(None);
}

/// The time, as it was when it was first asked for in this poll.
#[inline]
pub(crate) fn now() -> Instant {
    READ.get().unwrap_or_else(|| {
        let now = Instant::now();
        READ.set(Some(now));
        now
    })
}
