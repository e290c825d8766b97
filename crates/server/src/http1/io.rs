//! The two directions of a connection: what was read and not yet used, what waits to be written.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use http::HeaderMap;
use roundtrip_h1::{HeadError, Leniency, Limits, RequestHead, RequestParser};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, ReadBuf};

use super::out::Out;
use crate::config::ConnState;
use crate::control::Hijacked;
use crate::deadlines::Phase;
use crate::linger::Linger;
use crate::link::{self, Link};
use crate::stream::Stream;

pub(crate) struct Io {
    /// `None` once a handler has taken the connection over.
    pub(super) stream: Option<Stream>,
    pub(super) link: Arc<Link>,
    /// Read, and not yet used.
    pub(super) buf: BytesMut,
    pub(super) out: Out,
    parser: RequestParser,
    closing: Option<Linger>,
}

/// What a wait for a request came to.
pub(super) enum Came {
    Request(RequestHead),
    /// The client sends no more.
    End,
    /// What it sent is no request.
    Malformed(HeadError),
    /// The connection is lost.
    Lost,
}

impl Io {
    pub(crate) fn new(stream: Stream, ahead: &[u8], link: Arc<Link>) -> Self {
        let limits =
            Limits { max_head_bytes: link.config.max_header_bytes.max(1), max_fields: link.config.max_header_count };
        let leniency = Leniency { any_target: true, ..Leniency::request() };
        let parser = RequestParser::new(limits).with_leniency(leniency);
        Io { stream: Some(stream), link, buf: BytesMut::from(ahead), out: Out::default(), parser, closing: None }
    }

    /// Waits for a request. A request is in progress as soon as its first byte is there.
    #[inline]
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Came> {
        loop {
            if !self.buf.is_empty() {
                if self.link.phase() != Phase::Head {
                    self.link.enter(Phase::Head);
                }
                match self.parser.parse(&mut self.buf) {
                    Ok(Some(head)) => return Poll::Ready(Came::Request(head)),
                    Ok(None) => {}
                    Err(error) => return Poll::Ready(Came::Malformed(error)),
                }
            }
            match ready!(self.poll_fill(HEAD_ROOM, cx)) {
                Ok(0) => {
                    return Poll::Ready(match self.parser.eof(&self.buf) {
                        Ok(()) => Came::End,
                        Err(error) => Came::Malformed(error),
                    });
                }
                Ok(_) => {}
                Err(_) => return Poll::Ready(Came::Lost),
            }
        }
    }

    /// Reads once, into `room` bytes or more. 0 is the end.
    #[inline]
    pub(super) fn poll_fill(&mut self, room: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(stream) = &mut self.stream else { return Poll::Pending };
        if self.buf.capacity() - self.buf.len() < room / 4 {
            self.buf.reserve(room);
        }
        // `read_buf` is the safe way into uninitialised memory; its future keeps nothing between polls.
        let read = ready!(pin!(stream.read_buf(&mut self.buf)).poll(cx));
        match &read {
            Ok(count @ 1..) => self.link.count_read(*count),
            // An error is an end as well.
            Ok(0) | Err(_) => self.link.raise(link::EOF),
        }
        Poll::Ready(read)
    }

    /// Waits for the first byte of a next request, without room for more than a few. False when none will come.
    pub(crate) fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if !self.buf.is_empty() {
            return Poll::Ready(true);
        }
        let mut piece = [0; 512];
        let mut buf = ReadBuf::new(&mut piece);
        let Some(stream) = &mut self.stream else { return Poll::Ready(false) };
        match ready!(tokio::io::AsyncRead::poll_read(Pin::new(stream), cx, &mut buf)) {
            Ok(()) if !buf.filled().is_empty() => {
                self.link.count_read(buf.filled().len());
                self.buf.extend_from_slice(buf.filled());
                Poll::Ready(true)
            }
            _ => {
                self.link.raise(link::EOF);
                Poll::Ready(false)
            }
        }
    }

    /// Takes a map whose memory the next request may use.
    #[inline]
    pub(super) fn reuse_headers(&mut self, map: HeaderMap) {
        if map.capacity() <= MOST_FIELDS_KEPT {
            self.parser.reuse_headers(map);
        }
    }

    /// Gives memory back that an idle connection does not need.
    pub(crate) fn rest(&mut self) {
        if self.buf.is_empty() {
            self.buf = BytesMut::new();
        }
        self.out.forget();
        self.parser.reuse_headers(HeaderMap::new());
    }

    /// Looks for the end of the stream, and asks to be woken when it comes. No system call while nothing has come.
    #[cold]
    pub(super) fn listen(&mut self, cx: &mut Context<'_>) {
        if !self.buf.is_empty() {
            return;
        }
        let Some(stream) = &mut self.stream else { return };
        let mut piece = [0; 64];
        let mut buf = ReadBuf::new(&mut piece);
        match tokio::io::AsyncRead::poll_read(Pin::new(stream), cx, &mut buf) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                // The next request, ahead of time: what comes behind it cannot be seen before it is read.
                self.link.count_read(buf.filled().len());
                self.buf.extend_from_slice(buf.filled());
                self.link.lower(link::LISTENING);
            }
            Poll::Ready(_) => {
                self.link.raise(link::EOF);
                self.link.client_stopped();
            }
        }
    }

    /// Writes what waits.
    #[inline]
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Some(stream) => self.out.poll_write(stream, &self.link, cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Does what a handler has asked of its connection.
    #[cold]
    pub(super) fn serve_asks(&mut self, flags: u32) {
        if flags & link::OUT_OF_BAND != 0 {
            self.link.lower(link::OUT_OF_BAND);
            let interim = std::mem::take(&mut self.link.control().out_of_band);
            self.out.bytes().extend_from_slice(&interim);
        }
        if flags & link::HIJACK != 0 && self.out.is_empty() {
            self.link.lower(link::HIJACK);
            let taker = self.link.control().hijack.take();
            if let Some(taker) = taker
                && let Some(stream) = self.stream.take()
            {
                self.link.enter(Phase::Hijacked);
                self.link.raise(link::HIJACKED);
                self.link.tell(ConnState::Hijacked);
                self.link.tracker.let_go(self.link.info.id);
                let ahead = std::mem::take(&mut self.buf).to_vec();
                // A handler that has stopped waiting lets the connection drop.
                let _ = taker.send(Hijacked::new(stream, ahead));
            }
        }
    }

    /// Closes our side, and goes on reading if the client may still be sending: see [`Linger`]. The connection's timer ends it.
    pub(super) fn poll_close(&mut self, sending: bool, cx: &mut Context<'_>) -> Poll<()> {
        let sending = sending || !self.buf.is_empty();
        let Some(stream) = &mut self.stream else { return Poll::Ready(()) };
        let linger = match &mut self.closing {
            Some(linger) => linger,
            None => {
                if ready!(Pin::new(&mut *stream).poll_shutdown(cx)).is_err() {
                    return Poll::Ready(());
                }
                self.link.enter(Phase::Closing);
                self.closing.insert(Linger::new())
            }
        };
        if self.link.has(link::EOF) {
            return Poll::Ready(());
        }
        let link = &self.link;
        match linger.poll(stream, cx, |bytes| link.count_read(bytes)) {
            Poll::Pending if sending || linger.came => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }

    /// The stream, and what was read of it and not used.
    pub(crate) fn into_parts(mut self) -> Option<(Stream, BytesMut)> {
        let stream = self.stream.take()?;
        Some((stream, self.buf))
    }
}

/// Room for so many fields may wait for the next request.
const MOST_FIELDS_KEPT: usize = 64;

/// Room for a read of a head: nearly all fit in.
const HEAD_ROOM: usize = 4 << 10;
