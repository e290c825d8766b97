//! HTTP/1 on a connection: request after request, each read, served and answered by the connection's own task.
//!
//! The framing is `roundtrip-h1`'s. Nothing is queued and nobody is woken on the way of an ordinary request: its head is taken off the
//! buffer, the handler is polled, and the response goes out in one write. A request's body is read as its reader asks for it
//! ([`Inbound`]); a response's body is polled as the client takes it.
//!
//! A request for another protocol (`Upgrade`, `CONNECT`) is left to hyper, with all that follows on its connection until that is
//! idle: what hosts WebSockets elsewhere asks for hyper's upgrades, which only hyper can make.

mod date;
mod exchange;
mod inbound;
mod io;
mod out;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HOST, HeaderValue};
use http::{Method, StatusCode, Version};
use roundtrip_h1::{Expectation, Framing, RequestHead, request_framing};
use roundtrip_types::{Body, Handler, Request, Response};

use self::exchange::Exchange;
use self::inbound::Inbound;
use self::io::Came;
pub(crate) use self::io::Io;
use crate::check::Refused;
use crate::config::ConnState;
use crate::conn::{End, Watch};
use crate::control::ResponseController;
use crate::deadlines::Phase;
use crate::framing::BodyFraming;
use crate::link::{self, Link};
use crate::service::{self, Shown, handle};

/// Serves request after request, until the connection ends, has been idle for a while, or is asked for another protocol.
pub(crate) async fn exchanges<H: Handler>(io: &mut Io, handler: &H, watch: &mut Watch) -> End {
    watch.may_sleep(true);
    let link = Arc::clone(&io.link);
    let work = async {
        loop {
            if let Some(end) = exchange(io, handler, &link).await {
                return end;
            }
        }
    };
    let (Ok(end) | Err(end)) = watch.run(work).await;
    watch.may_sleep(false);
    end
}

/// Serves one request. `None` if the connection goes on.
async fn exchange<H: Handler>(io: &mut Io, handler: &H, link: &Arc<Link>) -> Option<End> {
    if link.phase() == Phase::Active {
        link.enter(Phase::Idle);
        link.tell(ConnState::Idle);
    }
    let head = match poll_fn(|cx| io.poll_head(cx)).await {
        Came::Request(head) => head,
        Came::End => return Some(End::Through),
        Came::Malformed(error) => return Some(End::Refused(error.response_status(), error.to_string())),
        Came::Lost => return Some(End::Failed(None)),
    };
    let framing = match request_framing(&head) {
        Ok(framing) => framing,
        Err(error) => return Some(End::Refused(error.response_status(), error.to_string())),
    };
    if head.method == Method::CONNECT || (head.has_upgrade() && head.version == Version::HTTP_11) {
        return Some(End::Other(written(&head)));
    }
    let (keeps_alive, expects) = (head.keep_alive(framing), head.has_expect());
    let RequestHead { method, target, version, headers, .. } = head;
    let number = link.begin_request(BodyFraming::Length(0));
    let mut req = Request::new(Body::empty());
    (*req.method_mut(), *req.uri_mut(), *req.version_mut(), *req.headers_mut()) = (method, target, version, headers);
    let mut flags = if version < Version::HTTP_11 { link::NO_INTERIM } else { 0 };
    let mut instead = None;
    if expects {
        match Expectation::from_headers(version, req.headers()) {
            Expectation::None => {}
            Expectation::Continue => flags |= link::EXPECTS_CONTINUE,
            Expectation::Unknown => {
                instead = Some(Refused(StatusCode::EXPECTATION_FAILED, "only 100-continue can be expected"));
            }
        }
    }
    if !req.uri().path().starts_with('/') || req.uri().authority().is_some() {
        instead = instead.or(adopt_target(&mut req, link));
    }
    let mut inbound = None;
    match framing {
        // The general answer to `OPTIONS *` is no refusal.
        _ if instead.as_ref().is_some_and(|Refused(status, _)| *status != StatusCode::OK) => {
            if !matches!(framing, Framing::None | Framing::Length(0)) {
                flags |= link::UNREAD_BODY;
            }
        }
        Framing::None | Framing::Length(0) => flags = (flags | link::LISTENING) & !link::EXPECTS_CONTINUE,
        // It is here already.
        Framing::Length(length) if flags & link::EXPECTS_CONTINUE == 0 && io.buf.len() as u64 >= length => {
            // No more than what is in the buffer.
            let length = usize::try_from(length).unwrap_or(0);
            *req.body_mut() = Body::full(io.buf.split_to(length).freeze());
            flags |= link::LISTENING;
        }
        Framing::Length(_) | Framing::Chunked | Framing::UntilClose | Framing::Tunnel => {
            let (ours, body) = Inbound::new(framing, link);
            *req.body_mut() = Body::new(body);
            inbound = Some(ours);
        }
    }
    if flags != 0 {
        link.raise(flags);
    }
    let shown = Shown { method: req.method().clone(), path: req.uri().path_and_query().cloned() };
    let mut current = Some(ResponseController::new(Arc::clone(link), number));
    let mut exchange = Exchange::new(io, link, inbound, version, keeps_alive);
    let response = match instead {
        Some(refused) => {
            drop(req);
            service::refuse(refused, link)
        }
        None => {
            // What a handler does before its future is polled belongs to it as well. The request is lent, because one that a
            // panic is caught behind is moved three times on its way in.
            let mut req = Some(req);
            let called = handle(&mut current, || req.take().map(|req| handler.serve_http(req)));
            let answered = match called {
                Ok(future) => {
                    let mut future = pin!(future);
                    let answered = poll_fn(|cx| {
                        let Some(future) = future.as_mut().as_pin_mut() else {
                            return std::task::Poll::Ready(Ok(Response::default()));
                        };
                        exchange.poll_handler(&mut current, future, cx)
                    })
                    .await;
                    // What a handler holds ends with its answer.
                    future.set(None);
                    answered
                }
                Err(panic) => Err(panic),
            };
            match answered {
                Ok(_) if link.has(link::HIJACKED) => return Some(End::Upgraded),
                Ok(response) if response.status().is_informational() => {
                    service::not_final(link, &shown, response.status())
                }
                Ok(response) => response,
                Err(panic) => match service::panicked(link, &shown, &*panic) {
                    Ok(response) => response,
                    Err(service::Aborted) => return Some(End::Failed(None)),
                },
            }
        }
    };
    poll_fn(|cx| exchange.poll_settle(cx)).await;
    exchange.begin(&shown.method, response);
    poll_fn(|cx| exchange.poll_send(cx)).await
}

/// Sets `Host` to what the target names (RFC 9112, 3.2.2), or gives the general answer to `OPTIONS *`.
#[cold]
fn adopt_target(req: &mut Request, link: &Link) -> Option<Refused> {
    match req.uri().authority().map(|authority| HeaderValue::from_str(authority.as_str())) {
        Some(Ok(host)) => {
            req.headers_mut().insert(HOST, host);
            None
        }
        Some(Err(_)) => Some(Refused(StatusCode::BAD_REQUEST, "the target's host is invalid")),
        None if link.config.general_options => Some(Refused(StatusCode::OK, "")),
        None => None,
    }
}

/// A head as it came, but for white space and the spelling of names.
fn written(head: &RequestHead) -> Vec<u8> {
    let version = if head.version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" };
    let mut text = format!("{} {} {version}\r\n", head.method, head.target).into_bytes();
    for (name, value) in &head.headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            text.extend_from_slice(part);
        }
    }
    text.extend_from_slice(b"\r\n");
    text
}

/// The length that the handler's fields give, where the body does not know its own.
#[cold]
fn said_length(response: &Response) -> Option<u64> {
    response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
