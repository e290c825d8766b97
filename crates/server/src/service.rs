//! What hyper calls for each request that it reads (checks, the handler, what the connection has to know of both), and what all
//! requests have in common, whoever reads them: refusals, panics, a handler's current connection.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

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
///
/// The future is built by hand around the handler's: an async block would hold the request twice, and move it that often. The
/// handler is called right here, so that one that makes do with less of the request keeps no room for it.
#[inline]
pub(crate) fn http1<'a, H: Handler>(
    handler: &'a H,
    link: &'a Arc<Link>,
    req: http::Request<Incoming>,
) -> Serving<'a, impl Future<Output = Response> + Send + use<'a, H>> {
    let (mut head, incoming) = req.into_parts();
    let has_body = !incoming.is_end_stream();
    let length = if has_body { incoming.size_hint().exact() } else { Some(0) };
    let number = link.begin_request(length.map_or(BodyFraming::Chunked, BodyFraming::Length));
    let refused = check::http1(&mut head, has_body, length, link.config.general_options).err();
    let keeps_body = matches!(refused, None | Some(Refused(StatusCode::OK, _)));
    if keeps_body {
        let is_http10 = head.version < Version::HTTP_11;
        if is_http10 {
            link.raise(link::NO_INTERIM);
        }
        if !has_body {
            link.raise(link::LISTENING);
        } else if !is_http10 && head.headers.contains_key(http::header::EXPECT) {
            link.raise(link::EXPECTS_CONTINUE);
        }
    } else if has_body {
        link.raise(link::UNREAD_BODY);
    }
    let shown = Shown { method: head.method.clone(), path: head.uri.path_and_query().cloned() };
    let mut current = Some(ResponseController::new(Arc::clone(link), number));
    let body =
        if has_body && keeps_body { Body::new(RequestBody::new(incoming, Arc::clone(link))) } else { Body::empty() };
    let (future, instead) = match refused {
        Some(refused) => (None, Some(Instead::Refused(refused))),
        None => {
            // What a handler does before its future is polled belongs to it as well. The request is lent, because one that a
            // panic is caught behind is moved three times on its way in.
            let mut req = Some(Request::from_parts(head, body));
            match handle(&mut current, || req.take().map(|req| handler.serve_http(req))) {
                Ok(future) => (future, None),
                Err(panic) => (None, Some(Instead::Panicked(panic))),
            }
        }
    };
    Serving { future, current, link, shown, instead, draining: None }
}

pin_project! {
    /// One request on its way: the handler at work, or why it does not get to.
    pub(crate) struct Serving<'a, F> {
        #[pin]
        future: Option<F>,
        current: Option<ResponseController>,
        link: &'a Arc<Link>,
        shown: Shown,
        instead: Option<Instead>,
        // The response, while it is found out whether the connection goes on behind it.
        draining: Option<Box<(Response, Arrived)>>,
    }
}

/// What there is in place of a handler's future.
enum Instead {
    Refused(Refused),
    Panicked(Box<dyn Any + Send>),
}

impl<F: Future<Output = Response>> Future for Serving<'_, F> {
    type Output = Result<http::Response<ResponseBody>, Aborted>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let link: &Arc<Link> = this.link;
        let mut response = if let Some(waiting) = this.draining {
            ready!(waiting.1.poll(cx, link));
            std::mem::take(&mut waiting.0)
        } else if let Some(future) = this.future.as_pin_mut() {
            let response = match handle(this.current, || future.poll(cx)) {
                Ok(polled) => ready!(polled),
                Err(panic) => panicked(link, this.shown, &*panic)?,
            };
            if response.status().is_informational() && !is_switch(&response) {
                not_final(link, this.shown, response.status())
            } else {
                response
            }
        } else {
            match this.instead.take() {
                Some(Instead::Refused(refused)) => refuse(refused, link),
                Some(Instead::Panicked(panic)) => panicked(link, this.shown, &*panic)?,
                // Polled behind its end, which hyper does not do.
                None => return Poll::Ready(Err(Aborted)),
            }
        };
        if link.has(link::LEFTOVER)
            && this.draining.is_none()
            && let Some(mut arrived) = Arrived::of(link)
            && arrived.poll(cx, link).is_pending()
        {
            *this.draining = Some(Box::new((response, arrived)));
            return Poll::Pending;
        }
        if is_switch(&response) {
            link.raise(link::UPGRADED);
        } else if this.shown.method == Method::CONNECT {
            // Without a tunnel: the client may have begun to speak through it.
            link.raise(if response.status().is_success() { link::UPGRADED } else { link::UNREAD_BODY });
        }
        finish(link, &this.shown.method, &mut response);
        Poll::Ready(Ok(response.map(|body| ResponseBody::new(body, Arc::clone(link)))))
    }
}

/// Lets a handler do something, with its connection at hand. A panic is an output.
#[inline]
pub(crate) fn handle<T>(
    current: &mut Option<ResponseController>,
    work: impl FnOnce() -> T,
) -> Result<T, Box<dyn Any + Send>> {
    let before = ResponseController::enter(current.take());
    // What has panicked is never used again, so its broken state is never seen.
    let caught = catch_unwind(AssertUnwindSafe(work));
    *current = ResponseController::enter(before);
    caught
}

/// The connection's say on a response's head.
fn finish(link: &Link, method: &Method, response: &mut Response) {
    link.raise(link::RESPONSE_BEGUN);
    if response.headers().keys().any(|name| *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING) {
        check_framing(method, response);
    }
    let last = link.stage() > Stage::Running
        || !link.tracker.keep_alives.load(Ordering::Relaxed)
        || link.config.max_requests_per_connection.is_some_and(|max| link.requests() >= max)
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
    let small = control.leftover.as_ref().is_some_and(|(body, _)| body.size_hint().lower() < MAX_DRAIN);
    // A client that waits for our leave to send has not got it, and may send or not (RFC 9110, 10.1.1).
    small && !link.has(link::EXPECTS_CONTINUE)
}

/// Reads away what has already come of a chunked body that the handler left, so that the response can say whether the
/// connection goes on. What has not come yet is read beside the response.
struct Arrived {
    body: Option<Incoming>,
    read: u64,
}

impl Arrived {
    /// The leftover body, if only its end can tell how long it is.
    #[cold]
    fn of(link: &Link) -> Option<Self> {
        let mut control = link.control();
        let unknown = control.leftover.as_ref()?.0.size_hint().exact().is_none();
        let leftover = if unknown && !link.has(link::EXPECTS_CONTINUE) { control.leftover.take() } else { None };
        leftover.map(|(body, read)| Arrived { body: Some(body), read })
    }

    fn poll(&mut self, cx: &mut Context<'_>, link: &Link) -> Poll<()> {
        let Some(body) = &mut self.body else { return Poll::Ready(()) };
        let give_up = loop {
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => self.read += frame.data_ref().map_or(0, |data| data.len() as u64),
                Poll::Ready(Some(Err(_))) => break true,
                Poll::Ready(None) => break false,
                // Nothing is there for hyper to read.
                Poll::Pending if link.awaits_body() => {
                    link.control().leftover = self.body.take().map(|body| (body, self.read));
                    return Poll::Ready(());
                }
                Poll::Pending => return Poll::Pending,
            }
            if self.read >= MAX_DRAIN {
                break true;
            }
        };
        self.body = None;
        link.lower(link::LEFTOVER);
        if give_up {
            link.raise(link::UNREAD_BODY);
        }
        Poll::Ready(())
    }
}

/// Sets right what a handler has said about the framing of its response, which is the connection's affair: hyper would send
/// it, and the client would lose count.
#[cold]
pub(crate) fn check_framing(method: &Method, response: &mut Response) {
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
        let mut response = refuse(refused, &link);
        response.headers_mut().remove(CONNECTION);
        return Ok(response.map(ResponseBody::of_stream));
    }
    let req = req.map(|incoming| {
        if incoming.is_end_stream() { Body::empty() } else { Body::new(RequestBody::of_stream(incoming, &link)) }
    });
    let shown = Shown { method: req.method().clone(), path: req.uri().path_and_query().cloned() };
    let mut current = Some(ResponseController::new(Arc::clone(&link), 0));
    let mut future = pin!(async { shared.handler.serve_http(req).await });
    let answered = poll_fn(|cx| match handle(&mut current, || future.as_mut().poll(cx)) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await;
    let response = match answered {
        Ok(response) if response.status().is_informational() => not_final(&link, &shown, response.status()),
        Ok(response) => response,
        Err(panic) => {
            let mut response = panicked(&link, &shown, &*panic)?;
            response.headers_mut().remove(CONNECTION);
            response
        }
    };
    Ok(bodyless(&shown.method, response).map(ResponseBody::of_stream))
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
#[cold]
pub(crate) fn refuse(Refused(status, why): Refused, link: &Link) -> Response {
    if status == StatusCode::OK {
        // No refusal, but the general answer to `OPTIONS *`.
        return Response::default();
    }
    link.tracker.count_refused();
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
pub(crate) fn not_final(link: &Link, shown: &Shown, status: StatusCode) -> Response {
    let request = shown.to_string();
    link.config.error_log.tell(&ServerEvent::NotFinal { request: &request, peer: &link.info.remote, status });
    internal_error()
}

/// A panic is a logged 500, and the end of the connection: what the handler was in the middle of, nobody knows.
#[cold]
pub(crate) fn panicked(link: &Link, shown: &Shown, panic: &(dyn Any + Send)) -> Result<Response, Aborted> {
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
pub(crate) struct Shown {
    pub(crate) method: Method,
    pub(crate) path: Option<PathAndQuery>,
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
