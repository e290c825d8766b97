//! Spans of the `tracing` crate.

use std::future::Future;
use std::pin::pin;

use roundtrip_types::{Handler, Request, Response};
use tracing::field::{Empty, display};
use tracing::{Span, info_span};

use super::observe::watch;
use super::{Exchange, Outcome};
use crate::ResponseController;

/// A handler each of whose requests runs in a span of the `tracing` crate.
///
/// **Shape**: the span is called `request`, at level `INFO`, with the fields `method`, `path` (without the query), `version`, `peer`,
/// and, when the exchange is over, `pattern`, `status`, `bytes` and `outcome`. Then one event is sent inside it: `INFO`, or
/// `ERROR` for a 5xx, a panic or a body that failed. Everything that the handler does is inside the span; what a streamed body
/// does is not.
///
/// # Examples
/// ```
/// use roundtrip_server::{Server, Traced};
///
/// # let mux = |_req| async { "hello" };
/// let server = Server::new(Traced::new(mux));
/// ```
#[derive(Clone, Debug)]
pub struct Traced<H>(H);

impl<H: Handler> Traced<H> {
    /// Traces `handler`.
    #[must_use]
    pub fn new(handler: H) -> Self {
        Traced(handler)
    }
}

impl<H: Handler> Handler for Traced<H> {
    async fn serve_http(&self, req: Request) -> Response {
        let span = info_span!(
            "request",
            method = %req.method(),
            path = req.uri().path(),
            version = ?req.version(),
            peer = ResponseController::current().map(|control| display(control.info().remote.clone())),
            pattern = Empty,
            status = Empty,
            bytes = Empty,
            outcome = Empty,
        );
        let ended = span.clone();
        let mut serving = pin!(watch(&self.0, req, move |exchange| end(&ended, exchange)));
        std::future::poll_fn(|cx| {
            let _inside = span.enter();
            serving.as_mut().poll(cx)
        })
        .await
    }
}

fn end(span: &Span, exchange: &Exchange) {
    span.record("pattern", exchange.pattern());
    span.record("bytes", exchange.body_bytes());
    span.record("outcome", exchange.outcome().as_str());
    if let Some(status) = exchange.status() {
        span.record("status", display(status.as_u16()));
    }
    let faulty = exchange.status().is_some_and(|status| status.is_server_error())
        || matches!(exchange.outcome(), Outcome::Panicked | Outcome::BodyFailed);
    let _inside = span.enter();
    if faulty {
        tracing::error!(elapsed = ?exchange.elapsed(), "request failed");
    } else {
        tracing::info!(elapsed = ?exchange.elapsed(), "request served");
    }
}
