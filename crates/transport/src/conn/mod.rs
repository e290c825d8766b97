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
    /// Borrowed from the transport while in use, and not there while idle.
    tools: Option<Box<Tools>>,
    io: Half,
    watch: Arc<Watch>,
    /// The watch as the waker that is left at the socket.
    idle_waker: Waker,
}

/// What a connection needs in an exchange, and not while it lies idle: it is two thirds of all that one has. The transport keeps a few
/// for whichever connection is used next.
#[derive(Debug)]
pub(crate) struct Tools {
    /// What was read and not yet understood.
    pub(crate) buf: BytesMut,
    /// Between two messages whenever the tools change hands.
    parser: ResponseParser,
    /// What the parser's limits are.
    limits: Limits,
    /// The head to send; kept from request to request while it is small.
    out: Vec<u8>,
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

/// As much as spare tools may keep of their output buffer.
const KEPT_OUT: usize = 512;

/// Larger read buffers, grown by large bodies, are freed rather than kept.
const KEPT_BUF: usize = 16 << 10;

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
            tools: None,
            io: Half::Whole(stream),
            idle_waker: Waker::from(Arc::clone(&watch)),
            watch,
        }
    }

    /// Its tools; made if it has none.
    #[inline]
    pub(crate) fn tools(&mut self) -> &mut Tools {
        self.tools.get_or_insert_default()
    }

    /// Gives it tools that were kept, if there are any.
    pub(crate) fn lend(&mut self, tools: Option<Box<Tools>>) {
        self.tools = tools;
    }

    /// How many bytes were read and not yet understood.
    pub(crate) fn buffered(&self) -> usize {
        self.tools.as_ref().map_or(0, |tools| tools.buf.len())
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
        let tools = self.tools();
        if tools.limits.max_head_bytes != bytes || tools.limits.max_fields != fields {
            tools.limits = Limits { max_head_bytes: bytes, max_fields: fields };
            tools.parser = ResponseParser::new(tools.limits);
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
        let buf = &mut self.tools.get_or_insert_default().buf;
        buf.reserve(room);
        let read = match &mut self.io {
            Half::Whole(stream) => poll_read_buf(stream, buf, cx),
            Half::Reading(half) => poll_read_buf(half, buf, cx),
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
            Half::Whole(stream) => Some((stream, self.tools.map_or_else(BytesMut::new, |tools| tools.buf), self.info)),
            Half::Reading(_) | Half::Gone => None,
        }
    }

    /// Gives up what an idle connection does not need. Returns its tools, for another. It must be between two messages.
    pub(crate) fn rest(&mut self) -> Option<Box<Tools>> {
        self.watch.driven_by_nobody();
        let mut tools = self.tools.take()?;
        tools.tidy();
        Some(tools)
    }

    /// Ends it, wherever it stands. Returns its tools, for another.
    pub(crate) fn end(mut self) -> Option<Box<Tools>> {
        let mut tools = self.rest()?;
        // It may have been in the middle of a head, of which the next connection must not see anything.
        tools.parser = ResponseParser::new(tools.limits);
        Some(tools)
    }
}

impl Default for Tools {
    fn default() -> Self {
        let limits = Limits::response();
        Tools { buf: BytesMut::new(), parser: ResponseParser::new(limits), limits, out: Vec::new() }
    }
}

impl Tools {
    /// Forgets what was read, and gives back memory that is more than most exchanges need.
    fn tidy(&mut self) {
        self.buf.clear();
        if self.buf.capacity() > KEPT_BUF {
            self.buf = BytesMut::new();
        }
        if self.out.capacity() > KEPT_OUT {
            self.out = Vec::new();
        }
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
