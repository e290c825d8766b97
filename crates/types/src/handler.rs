//! Answering requests: Go's `http.Handler`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::{IntoResponse, Request, Response};

/// Answers a request: Go's `http.Handler`.
///
/// Implemented for every `Fn(Request) -> impl Future` whose output is [`IntoResponse`], so an `async fn` or a closure is a
/// handler; implement it yourself for a type with state. A handler has no error of its own: whatever goes wrong is a response
/// too, which `Result<T, E>` with both sides `IntoResponse` makes easy.
///
/// # Contract
/// - One handler serves many requests at once; state it changes sits behind its own lock or atomic.
/// - The handler owns the request and its body. It may answer before it has read the body; what happens to the unread rest is
///   the server's rule, not the handler's.
/// - The future may be dropped at any await point, when the client goes away or the server is closed.
/// - A panic is caught by the server and answered with 500, and concerns no other request.
///
/// # Examples
/// ```
/// use roundtrip_types::{Handler, IntoResponse, Request, Response};
///
/// struct Counter(std::sync::atomic::AtomicU64);
///
/// impl Handler for Counter {
///     async fn serve_http(&self, _req: Request) -> Response {
///         let seen = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///         format!("request number {seen}").into_response()
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot answer requests",
    label = "not a handler",
    note = "a handler is an `async fn(Request) -> impl IntoResponse`, a closure of that shape, or a type that implements `Handler`",
    note = "the future must be `Send`, and what it returns must be `IntoResponse` (text, bytes, `StatusCode`, `Response`, tuples, `Result`)"
)]
pub trait Handler: Send + Sync + 'static {
    /// Answers one request: Go's `ServeHTTP`.
    ///
    /// What is done before the future is polled belongs to the handler as well: a panic there is answered like any other.
    fn serve_http(&self, req: Request) -> impl Future<Output = Response> + Send;

    /// This handler behind one pointer, so that different handlers fit one table.
    fn boxed(self) -> BoxHandler
    where
        Self: Sized,
    {
        BoxHandler(Arc::new(self))
    }
}

impl<F, Fut> Handler for F
where
    F: Fn(Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoResponse> + Send,
{
    /// Calls the function at once: an async block would keep the request a second time, and move it there.
    #[inline]
    fn serve_http(&self, req: Request) -> impl Future<Output = Response> + Send {
        Answering { future: self(req) }
    }
}

pin_project! {
    /// A function's future, whose output is made a response.
    struct Answering<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future<Output: IntoResponse>> Future for Answering<F> {
    type Output = Response;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        self.project().future.poll(cx).map(IntoResponse::into_response)
    }
}

impl<H: Handler> Handler for Arc<H> {
    fn serve_http(&self, req: Request) -> impl Future<Output = Response> + Send {
        H::serve_http(self, req)
    }
}

/// Any [`Handler`] behind a shared pointer. Cheap to clone; each call boxes its future, one allocation.
#[derive(Clone)]
pub struct BoxHandler(Arc<dyn ErasedHandler>);

/// The future of a [`BoxHandler`].
pub type HandlerFuture<'a> = Pin<Box<dyn Future<Output = Response> + Send + 'a>>;

trait ErasedHandler: Send + Sync + 'static {
    fn serve_http_boxed(&self, req: Request) -> HandlerFuture<'_>;
}

impl<H: Handler> ErasedHandler for H {
    fn serve_http_boxed(&self, req: Request) -> HandlerFuture<'_> {
        Box::pin(self.serve_http(req))
    }
}

impl Handler for BoxHandler {
    /// The future is one type, whatever the handler: it can be kept beside those of other handlers.
    #[expect(
        refining_impl_trait,
        reason = "who has chosen a handler can hand its future on, instead of awaiting it in another"
    )]
    #[inline]
    fn serve_http(&self, req: Request) -> HandlerFuture<'_> {
        self.0.serve_http_boxed(req)
    }

    fn boxed(self) -> BoxHandler {
        self
    }
}

impl std::fmt::Debug for BoxHandler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BoxHandler(..)")
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::{Body, MessageExt};

    async fn answer(handler: impl Handler, path: &str) -> (StatusCode, String) {
        let req = http::Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = handler.serve_http(req).await;
        (response.status(), response.text().await.unwrap())
    }

    async fn greet(req: Request) -> String {
        format!("at {}", req.uri().path())
    }

    async fn fallible(req: Request) -> Result<&'static str, (StatusCode, String)> {
        match req.uri().path() {
            "/good" => Ok("fine"),
            other => Err((StatusCode::NOT_FOUND, format!("no {other}"))),
        }
    }

    #[tokio::test]
    async fn functions_closures_results_and_boxes_are_handlers() {
        assert_eq!(answer(greet, "/a").await, (StatusCode::OK, "at /a".into()));
        assert_eq!(answer(|_req| async { "plain" }, "/").await, (StatusCode::OK, "plain".into()));
        assert_eq!(answer(fallible, "/good").await, (StatusCode::OK, "fine".into()));
        assert_eq!(answer(fallible, "/bad").await, (StatusCode::NOT_FOUND, "no /bad".into()));
        assert_eq!(answer(Arc::new(greet), "/b").await, (StatusCode::OK, "at /b".into()));
        assert_eq!(answer(greet.boxed().boxed(), "/c").await, (StatusCode::OK, "at /c".into()));
    }

    #[tokio::test]
    async fn a_request_may_be_borrowed_across_an_await() {
        async fn peek(req: &Request) -> usize {
            tokio::task::yield_now().await;
            req.uri().path().len()
        }
        assert_eq!(answer(|req: Request| async move { peek(&req).await.to_string() }, "/four").await.1, "5");
    }
}
