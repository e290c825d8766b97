//! What lies in the pool.

use std::sync::Arc;

use crate::conn::Conn;
use crate::mux::Mux;
use crate::net::ConnInfo;

/// A connection that nobody uses.
#[derive(Debug)]
pub(crate) enum Pooled {
    /// HTTP/1.1: one request at a time, whose task owns it.
    One(Box<Conn>),
    /// HTTP/2, without a stream in flight.
    Many(Arc<Mux>),
}

impl Pooled {
    pub(crate) fn info(&self) -> &ConnInfo {
        match self {
            Pooled::One(conn) => &conn.info,
            Pooled::Many(mux) => mux.info(),
        }
    }
}
