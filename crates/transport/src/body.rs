//! The response's body, which owns the connection until its end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Method, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};
use roundtrip_h1::{Decoded, Decoder, DecoderLimits, Framing};
use roundtrip_types::{Body, Error, ErrorKind, Phase, Result};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::task::JoinHandle;

use crate::shared::Lease;

/// A body that is still (partly) in the socket.
///
/// At the last byte the connection goes back to the pool, before that byte is handed out: whoever has seen the end of a body
/// finds its connection idle. Dropped early, it closes the connection, unless the rest is in the buffer already.
pub(crate) struct ConnBody {
    /// `None` once the body has ended, well or badly.
    lease: Option<Lease>,
    decoder: Decoder,
    /// Whether the connection may carry another request after the end.
    reusable: bool,
    /// Keeps the rest of the upload going.
    _upload: Option<UploadTask>,
    got: u64,
    total: Option<u64>,
    method: Method,
    uri: Uri,
}

/// The task that sends what was left of the request when the response came. Dropping this stops it and closes its half.
pub(crate) struct UploadTask(pub(crate) JoinHandle<OwnedWriteHalf>);

impl Drop for UploadTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Least and most space to read into at once.
const READ_LEAST: usize = 4 << 10;
const READ_MOST: usize = 64 << 10;

impl ConnBody {
    /// The body that follows a head framed so. One that is complete already gives its connection back here.
    pub(crate) fn start(
        mut lease: Lease,
        framing: Framing,
        reusable: bool,
        upload: Option<UploadTask>,
        method: &Method,
        uri: &Uri,
    ) -> Body {
        let mut decoder = Decoder::new(framing, DecoderLimits::default());
        if decoder.is_done() {
            finish(lease, reusable);
            return Body::empty();
        }
        let total = decoder.remaining_hint();
        let buffered = lease.conn().buf.len() as u64;
        if total.is_some_and(|total| total <= buffered)
            && let Ok(Decoded::Data(data)) = decoder.decode(&mut lease.conn_mut().buf)
        {
            finish(lease, reusable);
            return Body::full(data);
        }
        let (method, uri) = (method.clone(), uri.clone());
        Body::new(ConnBody { lease: Some(lease), decoder, reusable, _upload: upload, got: 0, total, method, uri })
    }

    /// Takes the next piece out of the buffer; at the end the connection goes back.
    fn decode(&mut self) -> Poll<Option<Result<Frame<Bytes>>>> {
        let Some(lease) = &mut self.lease else { return Poll::Ready(None) };
        let frame = match self.decoder.decode(&mut lease.conn_mut().buf) {
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
            && let Some(lease) = self.lease.take()
        {
            finish(lease, self.reusable);
        }
        Poll::Ready(frame)
    }

    /// The connection ended.
    fn ended(&mut self, cause: Option<std::io::Error>) -> Option<Result<Frame<Bytes>>> {
        let clean = cause.is_none() && self.decoder.eof().is_ok();
        if clean {
            self.lease = None;
            return None;
        }
        let so_far = match self.total {
            Some(total) => format!("{} of {total} bytes", self.got),
            None => format!("{} bytes, and more were to come", self.got),
        };
        let message = match &cause {
            None => format!("the server closed the connection in the middle of the body, after {so_far}"),
            Some(_) => format!("the connection broke in the middle of the body, after {so_far}"),
        };
        let mut error = Error::new(ErrorKind::ConnectionLost, message);
        if let Some(cause) = cause {
            error = error.with_cause(cause);
        }
        Some(Err(self.fail(error)))
    }

    fn fail(&mut self, error: Error) -> Error {
        self.lease = None;
        error.with_phase(Phase::Body).with_sent(true).with_request(&self.method, &self.uri)
    }
}

fn finish(lease: Lease, reusable: bool) {
    // Bytes behind the end answer nothing that was asked: the connection cannot be trusted (RFC 9112, section 9.2).
    if reusable && lease.conn().buf.is_empty() {
        lease.give_back();
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
            let room = self.decoder.remaining_hint().and_then(|left| usize::try_from(left).ok()).unwrap_or(READ_MOST);
            let Some(lease) = &mut self.lease else { return Poll::Ready(None) };
            match ready!(lease.conn_mut().poll_fill(room.clamp(READ_LEAST, READ_MOST), cx)) {
                Ok(0) => return Poll::Ready(self.ended(None)),
                Ok(_) => {}
                Err(cause) => return Poll::Ready(self.ended(Some(cause))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.lease.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.decoder.remaining_hint().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for ConnBody {
    fn drop(&mut self) {
        // Each step takes something out of the buffer, so this ends.
        while self.lease.is_some() && matches!(self.decode(), Poll::Ready(Some(Ok(_)))) {}
    }
}
