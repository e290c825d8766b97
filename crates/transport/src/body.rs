//! The response's body, which owns the connection until its end.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};
use roundtrip_h1::{Decoded, Decoder, DecoderLimits, Framing};
use roundtrip_types::{Body, Error, ErrorKind, Phase, Result};

use crate::conn::{Cut, Rest};
use crate::drain::{drain, finish};
use crate::lease::Lease;
use crate::pool::CloseReason;
use crate::prepare::Prepared;
use crate::shared::now;
use crate::timers::{Deadline, Timers};

/// A body that is still (partly) in the socket.
///
/// At the last byte the connection goes back to the pool, before that byte is handed out: whoever has seen the end of a body
/// finds its connection idle. Dropped early, it brings the connection to its end in the background if that is near, and else closes it.
pub(crate) struct ConnBody {
    /// `None` once the body has ended, well or badly.
    exchange: Option<Ending>,
    decoder: Decoder,
    got: u64,
    total: Option<u64>,
    timers: Timers,
    gap_limit: Option<Duration>,
    /// When the next bytes are due; set while they are waited for.
    gap: Option<Deadline>,
    /// Where to note the end, for those who asked.
    ended_at: Option<Arc<OnceLock<Instant>>>,
    method: Method,
    uri: Uri,
}

/// An exchange whose response's head has come.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) lease: Lease,
    /// Whether the connection may carry another request after the end.
    pub(crate) reusable: bool,
    /// The rest of the upload, which goes on meanwhile.
    pub(crate) rest: Option<Rest>,
}

/// Least and most space to read into at once.
const READ_LEAST: usize = 4 << 10;
const READ_MOST: usize = 64 << 10;

impl ConnBody {
    /// The body that follows a head framed so. One that is complete already gives its connection back here.
    pub(crate) fn start(
        mut exchange: Ending,
        framing: Framing,
        request: &Prepared<'_>,
        timers: &mut Timers,
        ended_at: Option<Arc<OnceLock<Instant>>>,
    ) -> Body {
        let mut decoder = Decoder::new(framing, DecoderLimits::default());
        let end = |exchange| {
            finish(exchange);
            note(ended_at.as_ref());
        };
        if decoder.is_done() {
            end(exchange);
            return Body::empty();
        }
        let total = decoder.remaining_hint();
        let buffered = exchange.lease.conn().buffered() as u64;
        if total.is_some_and(|total| total <= buffered)
            && let Ok(Decoded::Data(data)) = decoder.decode(&mut exchange.lease.conn_mut().tools().buf)
        {
            end(exchange);
            return Body::full(data);
        }
        Body::new(ConnBody {
            exchange: Some(exchange),
            decoder,
            got: 0,
            total,
            timers: std::mem::take(timers),
            gap_limit: request.body_gap_timeout(),
            gap: None,
            ended_at,
            method: request.method().clone(),
            uri: request.uri().clone(),
        })
    }

    /// Takes the next piece out of the buffer; at the end the connection goes back.
    fn decode(&mut self) -> Poll<Option<Result<Frame<Bytes>>>> {
        let Some(exchange) = &mut self.exchange else { return Poll::Ready(None) };
        let frame = match self.decoder.decode(&mut exchange.lease.conn_mut().tools().buf) {
            Ok(Decoded::NeedMore) => return Poll::Pending,
            Ok(Decoded::Data(data)) => {
                self.got += data.len() as u64;
                Some(Ok(Frame::data(data)))
            }
            Ok(Decoded::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Ok(Decoded::End) => None,
            Err(error) => {
                let error = Error::new(ErrorKind::Protocol, "the response's body is malformed").with_cause(error);
                return Poll::Ready(Some(Err(self.fail(error))));
            }
        };
        if self.decoder.is_done()
            && let Some(exchange) = self.exchange.take()
        {
            finish(exchange);
            note(self.ended_at.as_ref());
        }
        Poll::Ready(frame)
    }

    /// The connection ended.
    fn ended(&mut self, cause: Option<io::Error>) -> Option<Result<Frame<Bytes>>> {
        let clean = cause.is_none() && self.decoder.eof().is_ok();
        if clean {
            if let Some(mut exchange) = self.exchange.take() {
                exchange.lease.fate = CloseReason::NotPersistent;
            }
            note(self.ended_at.as_ref());
            return None;
        }
        let so_far = self.so_far();
        if let Some(cut) = cause.as_ref().and_then(Cut::of) {
            let message = format!("{cut} in the middle of the body, after {so_far}");
            return Some(Err(self.fail(Error::new(ErrorKind::Canceled, message))));
        }
        let error = match cause {
            None => closed(&so_far),
            // TLS was not closed: what came may not be all that was sent, even if a body goes on to the end of its connection (RFC 9112,
            // section 9.8).
            Some(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => closed(&so_far).with_cause(cause),
            Some(cause) => Error::new(
                ErrorKind::ConnectionLost,
                format!("the connection broke in the middle of the body, after {so_far}"),
            )
            .with_cause(cause),
        };
        Some(Err(self.fail(error)))
    }

    fn so_far(&self) -> String {
        match self.total {
            Some(total) => format!("{} of {total} bytes", self.got),
            None => format!("{} bytes, and more were to come", self.got),
        }
    }

    fn fail(&mut self, error: Error) -> Error {
        if let Some(mut exchange) = self.exchange.take() {
            exchange.lease.fate = CloseReason::Failed;
        }
        error.with_phase(Phase::Body).with_sent(true).with_request(&self.method, &self.uri)
    }

    /// Waits for bytes, no longer than the limits allow.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<io::Result<usize>>>> {
        let room = self.decoder.remaining_hint().and_then(|left| usize::try_from(left).ok()).unwrap_or(READ_MOST);
        let Some(exchange) = &mut self.exchange else { return Poll::Ready(Ok(None)) };
        match exchange.lease.conn_mut().poll_fill(room.clamp(READ_LEAST, READ_MOST), cx) {
            Poll::Ready(read) => {
                self.gap = None;
                return Poll::Ready(Ok(Some(read)));
            }
            Poll::Pending if self.gap.is_none() => self.gap = Deadline::new(self.gap_limit, "body_gap_timeout"),
            Poll::Pending => {}
        }
        self.timers.poll(self.gap, cx).map(|due| {
            let what = if self.gap.is_some_and(|gap| gap.is(due)) {
                "the server sent nothing more of the body"
            } else {
                "the body did not end"
            };
            let so_far = self.so_far();
            let error = due.error(what, Phase::Body).with_facts(format!("after {so_far}"));
            Err(self.fail(error))
        })
    }
}

fn closed(so_far: &str) -> Error {
    let message = format!("the server closed the connection in the middle of the body, after {so_far}");
    Error::new(ErrorKind::ConnectionLost, message)
}

/// Notes that the body has ended now.
fn note(ended_at: Option<&Arc<OnceLock<Instant>>>) {
    if let Some(ended_at) = ended_at {
        // Only the end sets it, and there is one.
        let _ = ended_at.set(now());
    }
}

impl HttpBody for ConnBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        loop {
            if let Poll::Ready(frame) = self.decode() {
                return Poll::Ready(frame);
            }
            match self.poll_fill(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Ok(None)) => return Poll::Ready(None),
                Poll::Ready(Ok(Some(Ok(0)))) => return Poll::Ready(self.ended(None)),
                Poll::Ready(Ok(Some(Ok(_)))) => {}
                Poll::Ready(Ok(Some(Err(cause)))) => return Poll::Ready(self.ended(Some(cause))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.exchange.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.decoder.remaining_hint().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for ConnBody {
    fn drop(&mut self) {
        // Each step takes something out of the buffer, so this ends.
        while self.exchange.is_some() && matches!(self.decode(), Poll::Ready(Some(Ok(_)))) {}
        if let Some(exchange) = self.exchange.take() {
            let decoder = std::mem::replace(&mut self.decoder, Decoder::new(Framing::None, DecoderLimits::default()));
            drain(exchange, decoder, self.total);
        }
    }
}
