//! An HTTP/1.1 connection in use.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::client_conn::Held;
use crate::conn::{Conn, Tools};
use crate::pool::{CloseReason, Idle, Slot};
use crate::shared::Shared;

/// A connection in use, and the promise to account for it: given back with [`give_back`](Lease::give_back), or closed by being
/// dropped.
pub(crate) struct Lease {
    /// `None` only while it is being given back.
    conn: Option<Box<Conn>>,
    home: Home,
    idle: Option<Idle>,
    /// Whether it was opened for another request.
    pub(crate) reused: bool,
    /// What is said about it if it is closed.
    pub(crate) fate: CloseReason,
}

/// Where a connection goes when it is not in use any more, and who is told if it goes nowhere.
enum Home {
    Pool { slot: Slot, shared: Arc<Shared> },
    Held(Arc<Held>),
}

impl Lease {
    pub(crate) fn new(conn: Box<Conn>, slot: Slot, shared: Arc<Shared>, idle: Option<Idle>, reused: bool) -> Self {
        let home = Home::Pool { slot, shared };
        Lease { conn: Some(conn), home, idle, reused, fate: CloseReason::Abandoned }
    }

    /// Of a connection that the program holds.
    pub(crate) fn held(conn: Box<Conn>, held: Arc<Held>, idle: Option<Idle>) -> Self {
        let reused = conn.terms.served > 0;
        Lease { conn: Some(conn), home: Home::Held(held), idle, reused, fate: CloseReason::Abandoned }
    }

    pub(crate) fn conn(&self) -> &Conn {
        self.conn.as_ref().expect("a lease has its connection until it is given back")
    }

    pub(crate) fn conn_mut(&mut self) -> &mut Conn {
        self.conn.as_mut().expect("a lease has its connection until it is given back")
    }

    /// How long it had lain idle when it was handed out; `None` if it had not.
    pub(crate) fn idle(&self) -> Option<Duration> {
        self.idle.map(Idle::duration)
    }

    /// Gives the connection back for the next request. It must be between two messages.
    pub(crate) fn give_back(mut self) {
        let conn = self.conn_mut();
        debug_assert!(conn.buffered() == 0, "bytes behind a message never reach the next request");
        conn.terms.served += 1;
        self.put_back();
    }

    /// Gives the connection back unused.
    pub(crate) fn put_back(mut self) {
        if self.conn_mut().arm() {
            self.lay_down();
        } else {
            self.fate = CloseReason::ClosedByPeer;
        }
    }

    /// Lays an armed connection down where it came from.
    pub(crate) fn lay_down(mut self) {
        while let Some(conn) = self.conn.take() {
            let laid_down = match &self.home {
                Home::Pool { slot, shared } => shared.lay_down(*slot, conn),
                Home::Held(held) => held.lay_down(conn),
            };
            let Err(woken) = laid_down else { return };
            self.conn = Some(woken);
            if !self.conn_mut().arm() {
                self.fate = CloseReason::ClosedByPeer;
                return;
            }
        }
    }

    /// Takes the connection out of the transport, for another protocol.
    pub(crate) fn into_conn(mut self) -> Box<Conn> {
        let conn = self.conn.take().expect("a lease has its connection until it is given back");
        self.home.closed(CloseReason::Upgraded, None);
        conn
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            // Whatever the exchange made of it.
            let reason = conn.cut_for().unwrap_or(self.fate);
            self.home.closed(reason, conn.end());
        }
    }
}

impl Home {
    fn closed(&self, reason: CloseReason, tools: Option<Box<Tools>>) {
        match self {
            Home::Pool { slot, shared } => shared.close(*slot, reason, tools),
            Home::Held(held) => held.closed(reason, tools),
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("conn", &self.conn)
            .field("idle", &self.idle)
            .field("reused", &self.reused)
            .finish_non_exhaustive()
    }
}
