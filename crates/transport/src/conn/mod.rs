//! One HTTP/1.1 connection: a stream, a buffer and a parser, owned by whoever uses it.
//!
//! A connection is in one of three hands. Idle, it lies in the pool. In an exchange, the request's future owns it
//! ([`Exchange`]). Then the response's body owns it until the body's end ([`crate::body`]). Nothing else ever touches it, so it
//! needs no lock, no task and no channel.

mod exchange;
mod upload;
mod watch;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::BytesMut;
use roundtrip_h1::{KeepAliveHint, Limits, ResponseParser};
use tokio::io::{AsyncRead, AsyncReadExt};

pub(crate) use self::exchange::{Answer, Exchange, Ledger};
pub(crate) use self::upload::Rest;
pub(crate) use self::watch::Watch;
use crate::net::{ConnInfo, Dialed, ReadHalf, Stream, WriteHalf};
use crate::pool::{CloseReason, ConnId, Terms};
use crate::timings::DialTimes;

/// An open connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) id: ConnId,
    pub(crate) info: ConnInfo,
    /// How long its making took.
    pub(crate) dial: DialTimes,
    pub(crate) terms: Terms,
    /// Bytes of the exchange in progress.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// What was read and not yet understood. Borrowed from the transport while in use, without memory while idle.
    pub(crate) buf: BytesMut,
    io: Half,
    parser: ResponseParser,
    /// What the parser's limits are.
    limits: Limits,
    /// The head to send; kept from request to request while it is small.
    out: Vec<u8>,
    watch: Arc<Watch>,
    /// The watch as the waker that is left at the socket.
    idle_waker: Waker,
}

/// The stream, or what is left of it here.
#[derive(Debug)]
enum Half {
    Whole(Stream),
    /// The writing half went to a task that outlives the response's head.
    Reading(ReadHalf),
    /// Between the two, and when the connection has left for another protocol.
    Gone,
}

/// As much as an idle connection may keep of its output buffer.
const KEPT_OUT: usize = 512;

/// Servers that say for how long they keep an idle connection start counting earlier than we do.
const KEEP_ALIVE_MARGIN: std::time::Duration = std::time::Duration::from_secs(1);

impl Conn {
    pub(crate) fn new(dialed: Dialed, watch: Arc<Watch>) -> Self {
        let Dialed { stream, info, dns, connect, proxy, tls } = dialed;
        Conn {
            id: ConnId(0),
            info,
            dial: DialTimes { dns, connect, proxy, tls },
            terms: Terms::default(),
            sent: 0,
            received: 0,
            buf: BytesMut::new(),
            io: Half::Whole(stream),
            parser: ResponseParser::new(Limits::response()),
            limits: Limits::response(),
            out: Vec::new(),
            idle_waker: Waker::from(Arc::clone(&watch)),
            watch,
        }
    }

    /// Leaves the watch's waker at the socket. Returns whether all is quiet: false means that bytes or the end have come, and
    /// neither is good on a connection that lies idle.
    pub(crate) fn arm(&mut self) -> bool {
        self.watch.reset();
        let Half::Whole(stream) = &mut self.io else { return false };
        let mut cx = Context::from_waker(&self.idle_waker);
        // A task that has used up its share of the runtime would be told that nothing is there.
        let look = tokio::task::coop::unconstrained(std::future::poll_fn(|cx| stream.poll_come(cx)));
        pin!(look).poll(&mut cx).is_pending()
    }

    /// Has it told to another when something comes, from when it is armed the next time.
    pub(crate) fn watched_by(&mut self, watch: Arc<Watch>) {
        self.idle_waker = Waker::from(Arc::clone(&watch));
        self.watch = watch;
    }

    /// Why it was told to stop, if it was.
    pub(crate) fn cut_for(&self) -> Option<CloseReason> {
        self.watch.is_cut().then(|| match self.watch.cut_by() {
            Cut::Shutdown => CloseReason::Shutdown,
            Cut::Holder => CloseReason::Requested,
        })
    }

    /// Whether something may have come since it was armed.
    pub(crate) fn is_woken(&self) -> bool {
        self.watch.is_woken()
    }

    /// Whether an idle connection is usable: nothing has come since its last answer. Exact up to now, for one system call on a socket: the
    /// runtime knows only what had come when it last looked, and what came after that would answer the next request. A connection of a
    /// runtime that is gone is not usable.
    pub(crate) fn is_usable(&mut self) -> bool {
        (!self.is_woken() || self.arm()) && matches!(&self.io, Half::Whole(stream) if !stream.has_come())
    }

    /// Sets what the next response's head may be. Nothing happens if it is the same as before, as it mostly is.
    pub(crate) fn limit_head(&mut self, bytes: usize, fields: usize) {
        if self.limits.max_head_bytes != bytes || self.limits.max_fields != fields {
            self.limits = Limits { max_head_bytes: bytes, max_fields: fields };
            self.parser = ResponseParser::new(self.limits);
        }
    }

    /// Remembers what the server says about how long it keeps the connection.
    pub(crate) fn heed(&mut self, headers: &http::HeaderMap) {
        let hint = KeepAliveHint::from_headers(headers);
        // No server keeps a connection for a year.
        if let Some(timeout) = hint.timeout.filter(|timeout| timeout.as_secs() < 365 * 24 * 3600) {
            self.terms.idle_limit = Some(timeout.saturating_sub(KEEP_ALIVE_MARGIN));
        }
    }

    /// Reads once, at least `room` bytes of space in the buffer. 0 is the end of the stream.
    pub(crate) fn poll_fill(&mut self, room: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.buf.reserve(room);
        let read = match &mut self.io {
            Half::Whole(stream) => poll_read_buf(stream, &mut self.buf, cx),
            Half::Reading(half) => poll_read_buf(half, &mut self.buf, cx),
            Half::Gone => Poll::Ready(Ok(0)),
        };
        if read.is_pending() {
            self.watch.driven_by(cx.waker());
            if self.watch.is_cut() {
                return Poll::Ready(Err(io::Error::other(self.watch.cut_by())));
            }
        }
        let count = ready!(read)?;
        self.received += count as u64;
        Poll::Ready(Ok(count))
    }

    /// Takes the writing half out, until [`join`](Self::join).
    pub(crate) fn split(&mut self) -> Option<WriteHalf> {
        let Half::Whole(stream) = std::mem::replace(&mut self.io, Half::Gone) else { return None };
        let (read, write) = stream.into_split();
        self.io = Half::Reading(read);
        Some(write)
    }

    /// Puts the writing half back. Returns whether the connection is whole again.
    pub(crate) fn join(&mut self, write: WriteHalf) -> bool {
        let Half::Reading(read) = std::mem::replace(&mut self.io, Half::Gone) else { return false };
        match Stream::join(read, write) {
            Some(stream) => {
                self.io = Half::Whole(stream);
                true
            }
            None => false,
        }
    }

    /// The stream and what was read from it already, for another protocol.
    pub(crate) fn into_parts(self) -> Option<(Stream, BytesMut, ConnInfo)> {
        match self.io {
            Half::Whole(stream) => Some((stream, self.buf, self.info)),
            Half::Reading(_) | Half::Gone => None,
        }
    }

    /// Gives up what an idle connection does not need. Returns its read buffer, for another.
    pub(crate) fn rest(&mut self) -> BytesMut {
        self.watch.driven_by_nobody();
        if self.out.capacity() > KEPT_OUT {
            self.out = Vec::new();
        }
        let mut buf = std::mem::take(&mut self.buf);
        buf.clear();
        buf
    }
}

/// Why a read was broken off.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// The transport was shut down, and its time was up.
    Shutdown,
    /// The program closed a connection that it held.
    Holder,
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Cut::Shutdown => "the transport was shut down",
            Cut::Holder => "the program closed the connection, which it held",
        })
    }
}

impl std::error::Error for Cut {}

impl Cut {
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

/// `read_buf` is the safe way into uninitialised memory; its future keeps nothing between polls.
fn poll_read_buf(
    io: &mut (impl AsyncRead + Unpin),
    buf: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    pin!(io.read_buf(buf)).poll(cx)
}
