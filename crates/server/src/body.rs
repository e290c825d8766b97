//! Bodies on their way through the server: requests' that know whether they were read, responses' that tell when they are out.

use std::error::Error as _;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use roundtrip_h1::DecodeError;
use roundtrip_types::{Body, Error, ErrorKind, Phase};

use tokio::time::{Instant, Sleep};

use crate::deadlines::{Credit, Limits};
use crate::link::{self, Link};
use crate::streams::Progress;

/// A request's body. One that is dropped before its end goes back to the connection, which reads it away or gives up.
pub(crate) struct RequestBody {
    incoming: Option<Incoming>,
    /// `None` on HTTP/2, where a stream is reset for itself.
    link: Option<Arc<Link>>,
    max_trailers: usize,
    /// Whether the client was told to go on, by our reading.
    asked: bool,
    /// The limits of a stream's body; on HTTP/1 they are the connection's.
    limits: Option<Box<StreamLimits>>,
}

/// How long a stream's body may be waited for.
struct StreamLimits {
    limits: Limits,
    credit: Credit,
    begun: Instant,
    read: u64,
    timer: Pin<Box<Sleep>>,
    link: Arc<Link>,
}

impl StreamLimits {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.credit.update(Instant::now(), true, self.read, self.limits.body_stall, self.limits.body_rate);
        let whole = self.limits.read.and_then(|limit| self.begun.checked_add(limit));
        let Some(deadline) = self.credit.until().into_iter().chain(whole).min() else { return Poll::Pending };
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }
        self.timer.as_mut().poll(cx)
    }

    fn came(&mut self, bytes: usize) {
        self.read += bytes as u64;
        self.credit.update(Instant::now(), false, self.read, self.limits.body_stall, self.limits.body_rate);
    }
}

impl RequestBody {
    /// The body of the one request that is in progress on its connection.
    pub(crate) fn new(incoming: Incoming, link: Arc<Link>) -> Self {
        let max_trailers = link.config.max_header_count;
        RequestBody { incoming: Some(incoming), link: Some(link), max_trailers, asked: false, limits: None }
    }

    /// The body of one request among others.
    pub(crate) fn of_stream(incoming: Incoming, link: &Arc<Link>) -> Self {
        let begun = Instant::now();
        let limits = StreamLimits {
            limits: Limits::new(&link.config),
            credit: Credit::new(),
            begun,
            read: 0,
            timer: Box::pin(tokio::time::sleep_until(begun)),
            link: Arc::clone(link),
        };
        let max_trailers = link.config.max_header_count;
        RequestBody { incoming: Some(incoming), link: None, max_trailers, asked: true, limits: Some(Box::new(limits)) }
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
        let polled = match Pin::new(&mut *incoming).poll_frame(cx) {
            Poll::Ready(polled) => polled,
            Poll::Pending => {
                if let Some(limits) = &mut this.limits {
                    ready!(limits.poll(cx));
                    limits.link.stream_timed_out();
                    this.incoming = None;
                    return Poll::Ready(Some(Err(too_slow())));
                }
                return Poll::Pending;
            }
        };
        if let (Some(limits), Some(Ok(frame))) = (&mut this.limits, &polled) {
            limits.came(frame.data_ref().map_or(0, Bytes::len));
        }
        match polled {
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
            link.control().leftover = Some((incoming, 0));
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
        Some(io::ErrorKind::TimedOut) => return too_slow().with_cause(error),
        _ => (ErrorKind::ConnectionLost, "the client broke off in the middle of the request's body"),
    };
    Error::new(kind, message).with_phase(Phase::Body).with_cause(error)
}

/// The client ended, or the connection failed, in the middle of a body.
pub(crate) fn broken_off(cause: io::Error) -> Error {
    let message = "the client broke off in the middle of the request's body";
    Error::new(ErrorKind::ConnectionLost, message).with_phase(Phase::Body).with_cause(cause)
}

pub(crate) fn malformed(cause: DecodeError) -> Error {
    Error::new(ErrorKind::Protocol, "the request's body is malformed").with_phase(Phase::Body).with_cause(cause)
}

pub(crate) fn too_slow() -> Error {
    Error::new(ErrorKind::Timeout, "the request's body did not come in time").with_phase(Phase::Body)
}

/// Takes out of trailers what must not act there (RFC 9110, 6.5.1): framing, routing, authentication, content negotiation of the
/// message itself.
pub(crate) fn check_trailers(mut trailers: HeaderMap, max: usize) -> Result<HeaderMap, Error> {
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

/// A response's body, which tells the connection, or its stream, how far it is.
pub(crate) struct ResponseBody {
    body: Body,
    owner: Owner,
}

enum Owner {
    Connection(Arc<Link>),
    /// On HTTP/2. Boxed, because a response is moved a few times, and most go by the other way.
    Stream(Box<Piecewise>),
}

/// Polls the body of a response. A panic in it is an error, and its end.
#[inline]
pub(crate) fn poll_body(body: &mut Body, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
    if body.as_bytes().is_some() {
        // Nothing of anybody's runs.
        return Pin::new(body).poll_frame(cx);
    }
    match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut *body).poll_frame(cx))) {
        Ok(polled) => polled,
        Err(_) => {
            // The panic hook has told. What is left of the body is never polled again.
            *body = Body::empty();
            Poll::Ready(Some(Err(Error::new(ErrorKind::Canceled, "the response's body panicked"))))
        }
    }
}

/// What is left of a large piece: hyper takes a piece as a whole whatever the client's windows are, and one that may not go out
/// has to be kept.
struct Piecewise {
    progress: Option<Arc<Progress>>,
    rest: Bytes,
}

/// The most that a stream hands to hyper at once.
const STREAM_PIECE: usize = 16 << 10;

impl ResponseBody {
    pub(crate) fn new(body: Body, link: Arc<Link>) -> Self {
        ResponseBody { body, owner: Owner::Connection(link) }
    }

    /// Made in the stream's task.
    pub(crate) fn of_stream(body: Body) -> Self {
        let progress = Progress::current().filter(|_| !body.is_end_stream());
        if let Some(progress) = &progress {
            // hyper asks for the body once there is a window for it.
            progress.waits_for_client(0);
        }
        ResponseBody { body, owner: Owner::Stream(Box::new(Piecewise { progress, rest: Bytes::new() })) }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    #[inline]
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let had_rest = match &this.owner {
            Owner::Connection(_) => return poll_body(&mut this.body, cx),
            Owner::Stream(stream) => !stream.rest.is_empty(),
        };
        let polled = if had_rest { Poll::Pending } else { poll_body(&mut this.body, cx) };
        let Owner::Stream(stream) = &mut this.owner else { return polled };
        let Piecewise { progress, rest } = &mut **stream;
        let (mut data, other) = match polled {
            Poll::Pending if had_rest => (std::mem::take(rest), None),
            Poll::Pending => {
                if let Some(progress) = progress {
                    progress.waits_for_body();
                }
                return Poll::Pending;
            }
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => (data, None),
                Err(frame) => (Bytes::new(), Some(Some(Ok(frame)))),
            },
            Poll::Ready(other) => (Bytes::new(), Some(other)),
        };
        if let Some(other) = other {
            return Poll::Ready(other);
        }
        if data.len() > STREAM_PIECE {
            *rest = data.split_off(STREAM_PIECE);
        }
        if let Some(progress) = progress {
            progress.waits_for_client(data.len());
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        let rest = matches!(&self.owner, Owner::Stream(stream) if !stream.rest.is_empty());
        !rest && self.body.is_end_stream()
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        let hint = self.body.size_hint();
        let rest = match &self.owner {
            Owner::Stream(stream) => stream.rest.len() as u64,
            Owner::Connection(_) => return hint,
        };
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower() + rest);
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper + rest);
        }
        whole
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        match &self.owner {
            Owner::Connection(link) => link.response_done(),
            Owner::Stream(stream) => {
                if let Some(progress) = &stream.progress {
                    progress.waits_for_body();
                }
            }
        }
    }
}
