//! A request's body on its way from the connection to whoever reads it.
//!
//! The reader may be another task, so the two share a cell. It holds one piece at most: the connection reads what the reader
//! asks for, and the client is held back by its own socket.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use roundtrip_h1::{Decoded, Decoder, DecoderLimits, Framing};
use roundtrip_types::Error;

use super::io::Io;
use crate::body::{broken_off, check_trailers, malformed, too_slow};
use crate::link::{self, Link};
use crate::service::MAX_DRAIN;

/// What the connection and the reader share.
struct Cell {
    state: Mutex<State>,
    link: Arc<Link>,
}

#[derive(Default)]
struct State {
    piece: Option<Bytes>,
    trailers: Option<HeaderMap>,
    failed: Option<Error>,
    /// Nothing comes behind what is there.
    ended: bool,
    /// The reader has asked and got nothing yet.
    wanted: bool,
    /// The reader is not interested any more.
    dropped: bool,
    reader: Option<Waker>,
    /// How much is still to be given out, if that is known.
    left: Option<u64>,
}

impl Cell {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can leave it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection's end.
pub(super) struct Inbound {
    cell: Arc<Cell>,
    decoder: Decoder,
    /// How much was read away because nobody wanted it.
    drained: u64,
    max_trailers: usize,
    over: bool,
}

/// What has become of the rest of a body that nobody wants.
pub(super) enum Rest {
    /// It has been read away.
    Gone,
    /// It is too long, or wrong: the connection cannot go on behind it.
    Lasts,
}

impl Inbound {
    /// A body that is delimited so, and its reader's end.
    pub(super) fn new(framing: Framing, link: &Arc<Link>) -> (Self, RequestBody) {
        let limits = DecoderLimits { max_trailer_fields: link.config.max_header_count, ..DecoderLimits::default() };
        let decoder = Decoder::new(framing, limits);
        let left = decoder.remaining_hint();
        let cell = Arc::new(Cell { state: Mutex::new(State { left, ..State::default() }), link: Arc::clone(link) });
        let max_trailers = link.config.max_header_count;
        (Inbound { cell: Arc::clone(&cell), decoder, drained: 0, max_trailers, over: false }, RequestBody { cell })
    }

    /// Whether all of it has been taken off the connection, or nothing more can be.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether the reader is not interested any more.
    pub(super) fn is_dropped(&self) -> bool {
        self.cell.state().dropped
    }

    /// Gives the reader what it has asked for. Ready when it has something new to look at.
    pub(super) fn poll_feed(&mut self, io: &mut Io, cx: &mut Context<'_>) -> Poll<()> {
        if self.over || !self.cell.state().wanted {
            return Poll::Pending;
        }
        if io.link.has(link::EXPECTS_CONTINUE) {
            io.link.lower(link::EXPECTS_CONTINUE);
            if !io.link.has(link::RESPONSE_BEGUN) {
                io.out.bytes().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            // A failure shows when the body is read.
            let _ = io.poll_flush(cx);
        }
        let next = ready!(self.poll_next(io, cx));
        let mut state = self.cell.state();
        state.wanted = false;
        match next {
            Ok(Decoded::Data(data)) => {
                state.left = state.left.map(|left| left.saturating_sub(data.len() as u64));
                state.piece = Some(data);
                self.over = self.decoder.is_done();
            }
            Ok(Decoded::Trailers(trailers)) => {
                self.over = true;
                match check_trailers(trailers, self.max_trailers) {
                    Ok(trailers) => state.trailers = Some(trailers),
                    Err(error) => {
                        state.failed = Some(error);
                        self.cell.link.raise(link::UNREAD_BODY);
                    }
                }
            }
            Ok(Decoded::End | Decoded::NeedMore) => self.over = true,
            Err(error) => {
                self.over = true;
                state.failed = Some(error);
                // Nothing that follows a body with an error can be trusted to be a request.
                self.cell.link.raise(link::UNREAD_BODY);
            }
        }
        state.ended = self.over;
        if self.over && !self.cell.link.has(link::UNREAD_BODY) {
            self.cell.link.raise(link::LISTENING);
        }
        let reader = state.reader.take();
        drop(state);
        // The connection's own task looks again anyway.
        if let Some(reader) = reader.filter(|reader| !reader.will_wake(cx.waker())) {
            reader.wake();
        }
        Poll::Ready(())
    }

    /// Reads away what nobody wants, as far as it is short.
    pub(super) fn poll_drain(&mut self, io: &mut Io, cx: &mut Context<'_>) -> Poll<Rest> {
        let rest = loop {
            if self.over {
                break if io.link.has(link::UNREAD_BODY) { Rest::Lasts } else { Rest::Gone };
            }
            // A client that waits for our leave to send has not got it, and may send or not (RFC 9110, 10.1.1).
            if io.link.has(link::EXPECTS_CONTINUE)
                || self.drained + self.decoder.remaining_hint().unwrap_or(0) >= MAX_DRAIN
            {
                break Rest::Lasts;
            }
            match ready!(self.poll_next(io, cx)) {
                Ok(Decoded::Data(data)) => {
                    self.drained += data.len() as u64;
                    self.over = self.decoder.is_done();
                }
                Ok(Decoded::Trailers(_) | Decoded::End | Decoded::NeedMore) => self.over = true,
                Err(_) => break Rest::Lasts,
            }
        };
        match rest {
            Rest::Lasts => io.link.raise(link::UNREAD_BODY),
            Rest::Gone if !io.link.has(link::RESPONSE_DONE) => io.link.raise(link::LISTENING),
            Rest::Gone => {}
        }
        self.cell.state().ended = true;
        Poll::Ready(rest)
    }

    fn poll_next(&mut self, io: &mut Io, cx: &mut Context<'_>) -> Poll<Result<Decoded, Error>> {
        loop {
            match self.decoder.decode(&mut io.buf) {
                Ok(Decoded::NeedMore) => {}
                Ok(decoded) => return Poll::Ready(Ok(decoded)),
                Err(error) => return Poll::Ready(Err(malformed(error))),
            }
            if io.link.has(link::READ_EXPIRED) {
                return Poll::Ready(Err(too_slow()));
            }
            let room = self
                .decoder
                .remaining_hint()
                .map_or(LEAST_READ, |left| usize::try_from(left).unwrap_or(usize::MAX).clamp(LEAST_READ, MOST_READ));
            match io.poll_fill(room, cx) {
                Poll::Pending => {
                    io.link.waits(link::READ_PENDING);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(broken_off(io::ErrorKind::UnexpectedEof.into()))),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(broken_off(error))),
            }
        }
    }
}

impl Drop for Inbound {
    /// A reader that is still there must not wait for what will never come.
    fn drop(&mut self) {
        let mut state = self.cell.state();
        if state.ended {
            return;
        }
        state.ended = true;
        state.failed = Some(broken_off(io::ErrorKind::ConnectionAborted.into()));
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

/// Room for a read of a body.
const LEAST_READ: usize = 8 << 10;
const MOST_READ: usize = 64 << 10;

/// The reader's end. Dropped before the end of the body, it leaves the rest to the connection, which reads it away or gives up.
pub(crate) struct RequestBody {
    cell: Arc<Cell>,
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut state = self.cell.state();
        if let Some(piece) = state.piece.take() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if let Some(trailers) = state.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        if let Some(error) = state.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.wanted = true;
        if !state.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
            state.reader = Some(cx.waker().clone());
        }
        drop(state);
        self.cell.link.wake_other(cx.waker());
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        let state = self.cell.state();
        state.ended && state.piece.is_none() && state.trailers.is_none() && state.failed.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.cell.state();
        let waiting = state.piece.as_ref().map_or(0, |piece| piece.len() as u64);
        match state.left {
            Some(left) => SizeHint::with_exact(left + waiting),
            None => SizeHint::default(),
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let mut state = self.cell.state();
        state.dropped = true;
        state.wanted = false;
        let ended = state.ended;
        drop(state);
        if !ended {
            self.cell.link.wake();
        }
    }
}
