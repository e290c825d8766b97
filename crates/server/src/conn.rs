//! One connection: hyper's HTTP/1 state machine, the handler in its service, and the signal to stop.

use std::any::Any;
use std::convert::Infallible;
use std::error::Error as _;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;
use http::header::{CONNECTION, HeaderValue};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use pin_project_lite::pin_project;
use roundtrip_types::{Body, Error, ErrorKind, Handler, IntoResponse, Phase};
use tokio::time::{Sleep, sleep};

use crate::info::{Addr, ConnInfo};
use crate::io::Watched;
use crate::stream::Stream;
use crate::tracker::{Stage, Tracked};
use crate::{ErrorLog, ServerConfig, ServerEvent};

/// What every connection of a server needs.
pub(crate) struct Shared<H> {
    pub(crate) handler: H,
    pub(crate) config: ServerConfig,
    pub(crate) http1: http1::Builder,
}

impl<H> Shared<H> {
    pub(crate) fn new(handler: H, config: ServerConfig) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(config.read_header_timeout)
            .keep_alive(config.keep_alives)
            // Clients that stop sending are our business: see `Watched`.
            .half_close(true);
        Shared { handler, config, http1 }
    }
}

/// Serves a connection until it ends, in whatever way. Its errors are the peer's affair and end here.
pub(crate) async fn serve<H: Handler>(stream: Stream, info: ConnInfo, shared: Arc<Shared<H>>, tracked: Tracked) {
    let state = Arc::clone(&tracked.state);
    let info = Arc::new(info);
    let service = service_fn({
        let (shared, state, info) = (Arc::clone(&shared), Arc::clone(&state), Arc::clone(&info));
        move |req: http::Request<Incoming>| {
            let (shared, state, info) = (Arc::clone(&shared), Arc::clone(&state), Arc::clone(&info));
            async move {
                state.request_started();
                let req = req.map(request_body);
                if req.body().is_empty() {
                    state.listen();
                }
                let shown = Shown { method: req.method().clone(), uri: req.uri().clone() };
                let answered = CatchPanic { future: shared.handler.serve_http(req) }.await;
                if state.is_listening() {
                    state.stop_listening();
                }
                let mut response = answered.unwrap_or_else(|panic| {
                    state.panicked();
                    report(&shared.config.error_log, &shown, &info.remote, &*panic);
                    (StatusCode::INTERNAL_SERVER_ERROR, "internal server error\n").into_response()
                });
                if state.stage() > Stage::Running {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response)
            }
        }
    });
    let mut conn = pin!(shared.http1.serve_connection(TokioIo::new(Watched::new(stream, Arc::clone(&state))), service));
    let mut registered = false;
    let mut drain = Drain::NotTold;
    // Runs once the client has stopped sending.
    let mut leaving: Option<Pin<Box<Sleep>>> = None;
    std::future::poll_fn(|cx| {
        if !registered {
            // The task's waker stays the same for its whole life, so once is enough.
            state.register(cx.waker());
            registered = true;
        }
        match state.stage() {
            Stage::Running => {}
            Stage::Draining => {
                if let Drain::NotTold = drain {
                    drain = Drain::Fresh(Box::pin(sleep(FRESH_GRACE)));
                }
                if let Drain::Fresh(grace) = &mut drain {
                    if state.served_any() {
                        conn.as_mut().graceful_shutdown();
                        drain = Drain::Told;
                    } else if grace.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(());
                    }
                }
            }
            Stage::Cut => return Poll::Ready(()),
        }
        if conn.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if leaving.is_none() && state.has_client_stopped() {
            leaving = shared.config.half_close_timeout.map(|limit| Box::pin(sleep(limit)));
        }
        leaving.as_mut().map_or(Poll::Pending, |limit| limit.as_mut().poll(cx))
    })
    .await;
    drop(tracked);
}

/// hyper's body as ours, with errors that say whose fault they are.
fn request_body(incoming: Incoming) -> Body {
    Body::new(incoming.map_err(|error| {
        let io = error.source().and_then(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind);
        let (kind, message) = match io {
            Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
                (ErrorKind::Protocol, "the request's body is malformed")
            }
            _ => (ErrorKind::ConnectionLost, "the client broke off in the middle of the request's body"),
        };
        Error::new(kind, message).with_phase(Phase::Body).with_cause(error)
    }))
}

/// How long a draining server waits for the first request of a connection that has carried none: it may be on its way.
/// Go's `Shutdown` takes such a connection for idle after the same time.
const FRESH_GRACE: Duration = Duration::from_secs(5);

/// Where a connection stands with the signal to stop.
enum Drain {
    NotTold,
    /// Waiting for its first request, for as long as the sleep lasts. hyper must not be told yet: it would close at once.
    Fresh(Pin<Box<Sleep>>),
    /// hyper has been told: it closes when idle.
    Told,
}

/// What the log names if the handler panics: copies of what the handler takes with it, two reference counts.
struct Shown {
    method: http::Method,
    uri: http::Uri,
}

#[cold]
fn report(log: &ErrorLog, shown: &Shown, peer: &Addr, panic: &(dyn Any + Send)) {
    let message = (panic.downcast_ref::<&str>().copied())
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(the panic said nothing printable)");
    // The path only: a query may hold secrets.
    let request = format!("{} {}", shown.method, shown.uri.path());
    log.tell(&ServerEvent::HandlerPanic { request: &request, peer, message });
}

pin_project! {
    /// A future whose panic is its output.
    struct CatchPanic<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for CatchPanic<F> {
    type Output = Result<F::Output, Box<dyn Any + Send>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.project().future;
        // After a panic the future is never polled again, so its broken state is never seen.
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}
