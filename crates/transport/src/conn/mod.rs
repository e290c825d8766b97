//! One HTTP/1.1 connection: a socket, a buffer and a parser, owned by whoever uses it.
//!
//! A connection is in one of three hands. Idle, it lies in the pool. In an exchange, the request's future owns it
//! ([`exchange`]). Then the response's body owns it until the body's end ([`crate::body`]). Nothing else ever touches it, so it
//! needs no lock, no task and no channel.

mod exchange;
mod upload;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use roundtrip_h1::{Limits, ResponseParser};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

pub(crate) use self::exchange::{Answer, exchange};
use crate::pool::ConnId;

/// An open connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) id: ConnId,
    pub(crate) peer: SocketAddr,
    /// Requests that were answered on it.
    pub(crate) served: u64,
    /// Bytes of the exchange in progress.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// What was read and not yet understood. Borrowed from the transport while in use, without memory while idle.
    pub(crate) buf: BytesMut,
    max_head_bytes: usize,
    io: Io,
    parser: ResponseParser,
    /// The head to send; kept from request to request while it is small.
    out: Vec<u8>,
}

#[derive(Debug)]
enum Io {
    Whole(TcpStream),
    /// The writing half went to a task that outlives the response's head.
    Reading(OwnedReadHalf),
    /// Between the two.
    Gone,
}

/// As much as an idle connection may keep of its output buffer.
const KEPT_OUT: usize = 1024;

impl Conn {
    pub(crate) fn new(id: ConnId, stream: TcpStream, peer: SocketAddr, max_head_bytes: usize) -> Self {
        let limits = Limits { max_head_bytes, ..Limits::response() };
        let parser = ResponseParser::new(limits);
        Conn {
            id,
            peer,
            served: 0,
            sent: 0,
            received: 0,
            buf: BytesMut::new(),
            max_head_bytes,
            io: Io::Whole(stream),
            parser,
            out: Vec::new(),
        }
    }

    /// Whether an idle connection still looks usable: no end of stream and no byte has come.
    ///
    /// Exact up to the last time the runtime looked at the socket, and no system call while all is quiet: the runtime knows
    /// that nothing is readable. A connection of a runtime that is gone is not usable.
    pub(crate) fn is_quiet(&self) -> bool {
        let Io::Whole(stream) = &self.io else { return false };
        let mut byte = [0];
        matches!(stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Reads once, at least `room` bytes of space in the buffer. 0 is the end of the stream.
    pub(crate) fn poll_fill(&mut self, room: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.buf.reserve(room);
        let count = match &mut self.io {
            Io::Whole(stream) => ready!(poll_read_buf(stream, &mut self.buf, cx)),
            Io::Reading(half) => ready!(poll_read_buf(half, &mut self.buf, cx)),
            Io::Gone => Ok(0),
        }?;
        self.received += count as u64;
        Poll::Ready(Ok(count))
    }

    /// Takes the writing half out, for good: the connection can then only be read to its end.
    pub(crate) fn take_write_half(&mut self) -> Option<OwnedWriteHalf> {
        let Io::Whole(stream) = std::mem::replace(&mut self.io, Io::Gone) else { return None };
        let (read, write) = stream.into_split();
        self.io = Io::Reading(read);
        Some(write)
    }

    /// Gives up what an idle connection does not need. Returns its read buffer, for another.
    pub(crate) fn rest(&mut self) -> BytesMut {
        if self.out.capacity() > KEPT_OUT {
            self.out = Vec::new();
        }
        let mut buf = std::mem::take(&mut self.buf);
        buf.clear();
        buf
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
