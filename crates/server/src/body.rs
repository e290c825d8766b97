//! Bodies on their way through the server: requests' that know whether they were read, responses' that tell when they are out.

use std::error::Error as _;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use roundtrip_types::{Body, Error, ErrorKind, Phase};

use crate::link::{self, Link};

/// A request's body. One that is dropped before its end goes back to the connection, which reads it away or gives up.
pub(crate) struct RequestBody {
    incoming: Option<Incoming>,
    /// `None` on HTTP/2, where a stream is reset for itself.
    link: Option<Arc<Link>>,
    max_trailers: usize,
    /// Whether the client was told to go on, by our reading.
    asked: bool,
}

impl RequestBody {
    /// The body of the one request that is in progress on its connection.
    pub(crate) fn new(incoming: Incoming, link: Arc<Link>) -> Self {
        let max_trailers = link.config.max_header_count;
        RequestBody { incoming: Some(incoming), link: Some(link), max_trailers, asked: false }
    }

    /// The body of one request among others.
    pub(crate) fn of_stream(incoming: Incoming, max_trailers: usize) -> Self {
        RequestBody { incoming: Some(incoming), link: None, max_trailers, asked: true }
    }

    /// Nothing that follows a body with an error can be trusted to be a request.
    fn poison(&self) {
        if let Some(link) = &self.link {
            link.raise(link::UNREAD_BODY);
        }
    }

    fn ended(&mut self) {
        if self.incoming.take().is_some()
            && let Some(link) = &self.link
        {
            link.raise(link::LISTENING);
        }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(None) };
        if !this.asked {
            this.asked = true;
            if let Some(link) = this.link.as_ref().filter(|link| link.has(link::EXPECTS_CONTINUE)) {
                link.lower(link::EXPECTS_CONTINUE);
            }
        }
        let polled = Pin::new(&mut *incoming).poll_frame(cx);
        match std::task::ready!(polled) {
            None => {
                this.ended();
                Poll::Ready(None)
            }
            Some(Ok(frame)) => Poll::Ready(Some(match frame.into_trailers() {
                Ok(trailers) => {
                    this.ended();
                    let checked = check_trailers(trailers, this.max_trailers);
                    if checked.is_err() {
                        this.poison();
                    }
                    checked.map(Frame::trailers)
                }
                Err(frame) => {
                    if incoming.is_end_stream() {
                        this.ended();
                    }
                    Ok(frame)
                }
            })),
            Some(Err(error)) => {
                this.incoming = None;
                this.poison();
                Poll::Ready(Some(Err(body_error(error))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or(SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take()
            && !incoming.is_end_stream()
            && let Some(link) = &self.link
        {
            link.control().leftover = Some(incoming);
            link.raise(link::LEFTOVER);
            link.wake();
        }
    }
}

/// Says whose fault a body's failure is.
pub(crate) fn body_error(error: hyper::Error) -> Error {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind);
    let (kind, message) = match io {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
            (ErrorKind::Protocol, "the request's body is malformed")
        }
        Some(io::ErrorKind::TimedOut) => (ErrorKind::Timeout, "the request's body did not come in time"),
        _ => (ErrorKind::ConnectionLost, "the client broke off in the middle of the request's body"),
    };
    Error::new(kind, message).with_phase(Phase::Body).with_cause(error)
}

/// Takes out of trailers what must not act there (RFC 9110, 6.5.1): framing, routing, authentication, content negotiation of the
/// message itself.
fn check_trailers(mut trailers: HeaderMap, max: usize) -> Result<HeaderMap, Error> {
    if trailers.len() > max {
        let message = format!("the request's body ends in {} trailer fields; the limit is {max}", trailers.len());
        return Err(Error::new(ErrorKind::TooLarge, message).with_phase(Phase::Body));
    }
    for name in FORBIDDEN_TRAILERS {
        trailers.remove(name);
    }
    Ok(trailers)
}

const FORBIDDEN_TRAILERS: [HeaderName; 14] = [
    header::TRANSFER_ENCODING,
    header::CONTENT_LENGTH,
    header::HOST,
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::AUTHORIZATION,
    header::COOKIE,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::RANGE,
];

/// A response's body, which tells the connection when all of it is hyper's.
pub(crate) struct ResponseBody {
    body: Body,
    /// `None` on HTTP/2, where responses are many.
    link: Option<Arc<Link>>,
}

impl ResponseBody {
    pub(crate) fn new(body: Body, link: Option<Arc<Link>>) -> Self {
        ResponseBody { body, link }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let body = &mut self.body;
        match catch_unwind(AssertUnwindSafe(|| Pin::new(body).poll_frame(cx))) {
            Ok(polled) => polled,
            Err(_) => {
                // The panic hook has told. What is left of the body is never polled again.
                self.body = Body::empty();
                Poll::Ready(Some(Err(Error::new(ErrorKind::Canceled, "the response's body panicked"))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            link.response_done();
        }
    }
}
