//! What hyper calls for each request: checks, the handler, and what the connection has to know of both.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Version};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use roundtrip_types::{Body, Handler, IntoResponse, Request, Response};

use crate::body::{RequestBody, ResponseBody};
use crate::check::{self, Refused};
use crate::conn::Shared;
use crate::control::ResponseController;
use crate::framing::BodyFraming;
use crate::link::{self, Link};
use crate::tracker::Stage;
use crate::{Addr, ErrorLog, ServerEvent};

/// Answers one HTTP/1 request. The connection knows of it when this returns, before anything more is read.
#[inline]
pub(crate) fn http1<H: Handler>(
    shared: &Arc<Shared<H>>,
    link: &Arc<Link>,
    mut req: http::Request<Incoming>,
) -> impl Future<Output = Result<http::Response<ResponseBody>, Aborted>> + Send + use<H> {
    let has_body = !req.body().is_end_stream();
    let length = if has_body { req.body().size_hint().exact() } else { Some(0) };
    let number = link.begin_request(length.map_or(BodyFraming::Chunked, BodyFraming::Length));
    let checked = check::http1(&mut req, has_body, length, link.config.general_options);
    let keeps_body = matches!(checked, Ok(()) | Err(Refused(StatusCode::OK, _)));
    if keeps_body {
        let is_http10 = req.version() < Version::HTTP_11;
        if is_http10 {
            link.raise(link::NO_INTERIM);
        }
        if !has_body {
            link.raise(link::LISTENING);
        } else if !is_http10 && req.headers().contains_key(http::header::EXPECT) {
            link.raise(link::EXPECTS_CONTINUE);
        }
    } else if has_body {
        link.raise(link::UNREAD_BODY);
    }
    let req = req.map(|incoming| {
        if has_body && keeps_body { Body::new(RequestBody::new(incoming, Arc::clone(link))) } else { Body::empty() }
    });
    answer(Arc::clone(shared), Arc::clone(link), number, checked, req)
}

async fn answer<H: Handler>(
    shared: Arc<Shared<H>>,
    link: Arc<Link>,
    number: u64,
    checked: Result<(), Refused>,
    req: Request,
) -> Result<http::Response<ResponseBody>, Aborted> {
    let shown = Shown::new(&req);
    let mut response = match checked {
        Ok(()) => {
            let current = Some(ResponseController::new(Arc::clone(&link), number));
            match (Handling { future: shared.handler.serve_http(req), current }).await {
                Ok(response) if response.status().is_informational() && !is_switch(&response) => {
                    not_final(&link, &shown, response.status())
                }
                Ok(response) => response,
                Err(panic) => panicked(&link, &shown, &*panic)?,
            }
        }
        Err(Refused(StatusCode::OK, _)) => Response::default(),
        Err(refused) => {
            drop(req);
            link.tracker.count_refused();
            refuse(refused)
        }
    };
    if link.has(link::LEFTOVER) {
        drain_arrived(&link).await;
    }
    if is_switch(&response) {
        link.raise(link::UPGRADED);
    } else if shown.method == Method::CONNECT {
        if response.status().is_success() {
            link.raise(link::UPGRADED);
        } else {
            // The client may have begun to speak through the tunnel that it did not get.
            link.raise(link::UNREAD_BODY);
        }
    }
    finish(&link, number, &shown.method, &mut response);
    Ok(response.map(|body| ResponseBody::new(body, Some(link))))
}

/// The connection's say on a response's head.
fn finish(link: &Link, number: u64, method: &Method, response: &mut Response) {
    link.raise(link::RESPONSE_BEGUN);
    if response.headers().keys().any(|name| *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING) {
        check_framing(method, response);
    }
    let last = link.stage() > Stage::Running
        || !link.tracker.keep_alives.load(Ordering::Relaxed)
        || link.config.max_requests_per_connection.is_some_and(|max| number >= max)
        || (link.has(link::LEFTOVER | link::UNREAD_BODY) && !drainable(link))
        // Only the end of the connection can end a body of unknown length for a client that knows no chunks.
        || (link.has(link::NO_INTERIM) && response.body().content_length().is_none());
    if last && !link.has(link::UPGRADED) {
        if link.has(link::NO_INTERIM) {
            // To HTTP/1.0 that goes without saying, unless hyper says otherwise, which it does to all but responses of 1.0.
            *response.version_mut() = Version::HTTP_10;
        } else {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Whether what the handler left of the request's body is small enough to be read away, as far as is known.
#[cold]
fn drainable(link: &Link) -> bool {
    if link.has(link::UNREAD_BODY) {
        return false;
    }
    let control = link.control();
    let small = control.leftover.as_ref().is_some_and(|body| body.size_hint().lower() < MAX_DRAIN);
    // A client that waits for our leave to send has not got it, and may send or not (RFC 9110, 10.1.1).
    small && !link.has(link::EXPECTS_CONTINUE)
}

/// Reads away what has already come of a chunked body that the handler left, so that the response can say whether the
/// connection goes on. What has not come yet is read beside the response.
#[cold]
async fn drain_arrived(link: &Link) {
    let Some(mut body) = link.control().leftover.take() else { return };
    let unknown = body.size_hint().exact().is_none();
    if unknown && !link.has(link::EXPECTS_CONTINUE) {
        let mut read = 0;
        let go_on = poll_fn(|cx| {
            loop {
                match Pin::new(&mut body).poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => read += frame.data_ref().map_or(0, |data| data.len() as u64),
                    Poll::Ready(None) => return Poll::Ready(None),
                    Poll::Ready(Some(Err(_))) => return Poll::Ready(Some(false)),
                    // Nothing is there for hyper to read.
                    Poll::Pending if link.awaits_body() => return Poll::Ready(Some(true)),
                    Poll::Pending => return Poll::Pending,
                }
                if read >= MAX_DRAIN {
                    return Poll::Ready(Some(false));
                }
            }
        });
        match go_on.await {
            None => return link.lower(link::LEFTOVER),
            Some(false) => {
                link.lower(link::LEFTOVER);
                return link.raise(link::UNREAD_BODY);
            }
            Some(true) => {}
        }
    }
    link.control().leftover = Some(body);
}

/// Sets right what a handler has said about the framing of its response, which is the connection's affair: hyper would send
/// it, and the client would lose count.
#[cold]
fn check_framing(method: &Method, response: &mut Response) {
    let known = response.body().content_length();
    let bodyless = method == Method::HEAD || matches!(response.status(), StatusCode::NOT_MODIFIED);
    let headers = response.headers_mut();
    headers.remove(TRANSFER_ENCODING);
    let mut said = headers.get_all(CONTENT_LENGTH).iter();
    let valid = match (said.next(), said.next()) {
        (Some(value), None) => value.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit())),
        _ => None,
    };
    let right = valid.and_then(|text| text.parse::<u64>().ok()).is_some_and(|said| {
        // To HEAD, and with 304, it tells of a body that is not sent.
        (bodyless && known == Some(0)) || known.is_none_or(|known| known == said)
    });
    if !right {
        headers.remove(CONTENT_LENGTH);
    }
}

/// As much of an unread body as is read away for the sake of the connection: Go's limit.
pub(crate) const MAX_DRAIN: u64 = 256 << 10;

/// Answers one request on HTTP/2, where requests share the connection.
pub(crate) async fn http2<H: Handler>(
    shared: Arc<Shared<H>>,
    link: Arc<Link>,
    mut req: http::Request<Incoming>,
) -> Result<http::Response<ResponseBody>, Aborted> {
    link.count_request();
    if let Err(refused) = check::http2(&mut req) {
        link.tracker.count_refused();
        let mut response = refuse(refused);
        response.headers_mut().remove(CONNECTION);
        return Ok(response.map(|body| ResponseBody::new(body, None)));
    }
    let req = req.map(|incoming| {
        if incoming.is_end_stream() {
            Body::empty()
        } else {
            Body::new(RequestBody::of_stream(incoming, link.config.max_header_count))
        }
    });
    let shown = Shown::new(&req);
    let current = Some(ResponseController::new(Arc::clone(&link), 0));
    let answered = Handling { future: shared.handler.serve_http(req), current }.await;
    let response = match answered {
        Ok(response) if response.status().is_informational() => not_final(&link, &shown, response.status()),
        Ok(response) => response,
        Err(panic) => {
            let mut response = panicked(&link, &shown, &*panic)?;
            response.headers_mut().remove(CONNECTION);
            response
        }
    };
    Ok(bodyless(&shown.method, response).map(|body| ResponseBody::new(body, None)))
}

/// Takes the body off where a client must get none: to HEAD, with 204 and with 304 (RFC 9110, 6.4.1). On HTTP/1 hyper does so; on
/// HTTP/2 it sends what there is, which is a protocol error to the client (RFC 9113, 8.1.1).
fn bodyless(method: &Method, mut response: Response) -> Response {
    let to_head = *method == Method::HEAD;
    if to_head || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        let body = std::mem::take(response.body_mut());
        if let Some(length) = body.content_length().filter(|length| to_head && *length > 0) {
            response.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| length.into());
        }
    }
    response
}

fn is_switch(response: &Response) -> bool {
    response.status() == StatusCode::SWITCHING_PROTOCOLS
}

/// A refusal closes the connection: what follows a request that is not understood cannot be trusted.
fn refuse(Refused(status, why): Refused) -> Response {
    let mut response = (status, format!("{} {}: {why}\n", status.as_str(), reason(status))).into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

pub(crate) fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Refused")
}

fn internal_error() -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, "internal server error\n").into_response()
}

#[cold]
fn not_final(link: &Link, shown: &Shown, status: StatusCode) -> Response {
    let request = shown.to_string();
    link.config.error_log.tell(&ServerEvent::NotFinal { request: &request, peer: &link.info.remote, status });
    internal_error()
}

/// A panic is a logged 500, and the end of the connection: what the handler was in the middle of, nobody knows.
#[cold]
fn panicked(link: &Link, shown: &Shown, panic: &(dyn Any + Send)) -> Result<Response, Aborted> {
    if panic.is::<AbortHandler>() {
        return Err(Aborted);
    }
    link.panicked();
    report(&link.config.error_log, shown, &link.info.remote, panic);
    let mut response = internal_error();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(response)
}

/// What a handler panics with, by [`std::panic::panic_any`], to have its connection dropped without an answer and without a line
/// in the log: Go's `ErrAbortHandler`. On HTTP/2 its stream is reset.
///
/// A response whose head is out is better cut short by an error of its body.
#[derive(Clone, Copy, Debug, Default)]
pub struct AbortHandler;

/// The handler wants no answer sent.
#[derive(Debug)]
pub(crate) struct Aborted;

impl std::fmt::Display for Aborted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the handler gave the request up")
    }
}

impl std::error::Error for Aborted {}

/// What the log names if the handler panics: copies of what the handler takes with it, two reference counts.
struct Shown {
    method: Method,
    path: Option<PathAndQuery>,
}

impl Shown {
    fn new(req: &Request) -> Self {
        Shown { method: req.method().clone(), path: req.uri().path_and_query().cloned() }
    }
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The path only: a query may hold secrets.
        write!(f, "{} {}", self.method, self.path.as_ref().map_or("", PathAndQuery::path))
    }
}

fn report(log: &ErrorLog, shown: &Shown, peer: &Addr, panic: &(dyn Any + Send)) {
    let message = (panic.downcast_ref::<&str>().copied())
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(the panic said nothing printable)");
    let request = shown.to_string();
    log.tell(&ServerEvent::HandlerPanic { request: &request, peer, message });
}

pin_project! {
    /// A handler at work: its panic is an output, and its connection can be asked for.
    struct Handling<F> {
        #[pin]
        future: F,
        current: Option<ResponseController>,
    }
}

impl<F: Future> Future for Handling<F> {
    type Output = Result<F::Output, Box<dyn Any + Send>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let before = ResponseController::enter(this.current.take());
        // After a panic the future is never polled again, so its broken state is never seen.
        let caught = catch_unwind(AssertUnwindSafe(|| this.future.poll(cx)));
        *this.current = ResponseController::enter(before);
        match caught {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}
