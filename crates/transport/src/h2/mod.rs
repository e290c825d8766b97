//! HTTP/2 connections, on the h2 crate: many exchanges at once on one stream of bytes.
//!
//! - [`H2Conn`] is the connection as the pool holds it: shareable, with streams to [reserve](H2Conn::reserve) and a state.
//! - [`driver`] is its one task, which reads and writes frames, and asks the peer for signs of life.
//! - [`exchange`] is one request and its response, polled by the task of the request itself.
//! - [`guard`] looks at the frames that come in, and ends the connection of a peer that floods; [`verdict`] at those that go out, for the
//!   one that says that a window was overrun.
//!
//! hyper's client does the same on the same crate, with a task and two channels for each request; what it keeps to itself is needed
//! here: PINGs, which streams a GOAWAY covers, interim responses.

mod body;
mod config;
mod driver;
mod error;
mod exchange;
mod guard;
mod link;
mod tunnel;
mod upload;
mod verdict;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use roundtrip_types::{ErrorKind, Result};

pub(crate) use self::body::H2Body;
pub use self::config::Http2Config;
pub(crate) use self::error::{Failed, Repeat, too_large};
pub(crate) use self::exchange::{Content, Outgoing, Progress, Watched, list_bytes};
use self::guard::Guarded;
use self::link::{End, Link};
pub(crate) use self::link::{H2Event, Hook, NoRoom};
use crate::net::{ConnInfo, Stream};

/// An HTTP/2 connection. Cheap to clone; clones share it. It closes, in order, when the last clone and the last exchange are gone.
#[derive(Clone)]
pub(crate) struct H2Conn {
    send: SendRequest<Bytes>,
    link: Arc<Link>,
}

/// A stream that may be opened: one of those that the peer allows at once. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Slot {
    link: Arc<Link>,
}

impl H2Conn {
    /// Starts HTTP/2 on `stream` with prior knowledge of what the peer speaks, and a task that drives the connection.
    ///
    /// `hook` is told what happens to the connection, from any task, without a lock held.
    ///
    /// # Errors
    /// Kind `ConnectionLost` if the connection breaks at once. What the peer answers is seen later.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub(crate) async fn start(
        stream: Stream,
        info: ConnInfo,
        config: &Http2Config,
        max_header_list: usize,
        hook: Hook,
    ) -> Result<Self> {
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(config.stream_window.min(config::WINDOW_MOST))
            .initial_connection_window_size(config.connection_window.min(config::WINDOW_MOST))
            .max_frame_size(config.max_frame_size.clamp(16 << 10, (16 << 20) - 1))
            .max_header_list_size(u32::try_from(max_header_list).unwrap_or(u32::MAX))
            .initial_max_send_streams(config.max_concurrent_streams.clamp(1, link::STREAMS_AT_FIRST))
            .max_send_buffer_size(config.send_buffer);
        let link = Arc::new(Link::new(config, info, max_header_list, hook));
        let io = Guarded::new(stream, Arc::clone(&link));
        let (send, connection) = builder.handshake(io).await.map_err(|error| error::at_start(&link, error))?;
        tokio::spawn(driver::drive(connection, Arc::clone(&link), config.clone()));
        Ok(H2Conn { send, link })
    }

    /// Takes one of the streams that may be open at once.
    ///
    /// # Errors
    /// Why there is none now, see [`NoRoom`].
    pub(crate) fn reserve(&self) -> Result<Slot, NoRoom> {
        self.link.reserve(self.peer_limit())?;
        Ok(Slot { link: Arc::clone(&self.link) })
    }

    /// How many streams could be reserved now, or why none.
    pub(crate) fn room(&self) -> Result<usize, NoRoom> {
        self.link.room(self.peer_limit())
    }

    /// How many streams are reserved or in use.
    pub(crate) fn in_flight(&self) -> usize {
        self.link.in_flight()
    }

    /// Since when it is not known whether the peer is there, see [`NoRoom::Suspect`].
    pub(crate) fn suspect_since(&self) -> Option<tokio::time::Instant> {
        self.link.suspect_since()
    }

    /// What is known about the connection.
    pub(crate) fn info(&self) -> &ConnInfo {
        self.link.info()
    }

    /// Why it is closed or about to be, if it is.
    pub(crate) fn closed(&self) -> Option<Arc<str>> {
        self.link.end().map(|end| end.why)
    }

    /// What kind of end that is: `Canceled` is ours, `Protocol` the peer's fault.
    pub(crate) fn closed_with(&self) -> Option<ErrorKind> {
        self.link.end().map(|end| end.kind)
    }

    /// No new streams; it closes when the last exchange has ended.
    pub(crate) fn retire(&self) {
        self.link.retire();
    }

    /// Whether it was retired, rather than left by the peer.
    pub(crate) fn is_retired(&self) -> bool {
        self.link.is_retired()
    }

    /// Closes it now. Exchanges fail, saying `why`.
    pub(crate) fn close(&self, why: &str) {
        self.link.close(End::new(ErrorKind::Canceled, why));
    }

    fn peer_limit(&self) -> usize {
        self.send.current_max_send_streams()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.link.release();
    }
}

impl fmt::Debug for H2Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("H2Conn").field("link", &self.link).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
