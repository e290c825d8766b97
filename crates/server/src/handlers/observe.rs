//! Watching exchanges.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Method;
use http_body::{Body as HttpBody, Frame, SizeHint};
use roundtrip_types::{Body, Error, Handler, Request, Response};

use super::{Exchange, Outcome};

/// Told of each exchange that a handler has had: the hook for access logs and metrics.
///
/// Implemented for every `Fn(&Exchange)`, which is told of ends alone. Both methods run on the server's tasks and must not block.
pub trait Observe: Send + Sync + 'static {
    /// A request has come.
    fn begin(&self, req: &Request) {
        let _ = req;
    }

    /// An exchange is over. Called once for each [`begin`](Self::begin), whatever happened.
    fn end(&self, exchange: &Exchange);
}

impl<F: Fn(&Exchange) + Send + Sync + 'static> Observe for F {
    fn end(&self, exchange: &Exchange) {
        self(exchange);
    }
}

/// A handler whose exchanges are watched: an access log, or metrics for each pattern.
///
/// **Shape**: an exchange ends when the last byte of the response's body is handed to the connection; for a body in memory that is
/// when the handler returns. Put it around everything that answers, the mux included, so that 404s and refusals are seen too;
/// put [`CatchPanic`](roundtrip_types::CatchPanic) inside if panics are to be seen as the 500 that they become.
///
/// Costs three allocations for a request that a mux serves, one more for a streamed body, and three looks at the clock.
///
/// # Examples
/// ```
/// use roundtrip_server::{Exchange, Observed, Server};
///
/// # let mux = |_req| async { "hello" };
/// // One line for each request, such as
/// // 127.0.0.1:50312 "GET /users/7 HTTP/1.1" 200 12 0.000132 "GET /users/{id}"
/// let logged = Observed::new(mux, |exchange: &Exchange| println!("{exchange}"));
/// // A histogram for each pattern and status.
/// let measured = Observed::new(logged, |exchange: &Exchange| {
///     let status = exchange.status().map_or(0, |status| status.as_u16());
///     # fn record(_: &str, _: u16, _: f64) {}
///     record(exchange.pattern(), status, exchange.elapsed().as_secs_f64());
/// });
/// let server = Server::new(measured);
/// ```
pub struct Observed<H, O> {
    handler: H,
    observer: Arc<O>,
}

impl<H: Handler, O: Observe> Observed<H, O> {
    /// Tells `observer` of the exchanges of `handler`.
    #[must_use]
    pub fn new(handler: H, observer: O) -> Self {
        Observed { handler, observer: Arc::new(observer) }
    }
}

impl<H: Clone, O> Clone for Observed<H, O> {
    fn clone(&self) -> Self {
        Observed { handler: self.handler.clone(), observer: Arc::clone(&self.observer) }
    }
}

impl<H, O> std::fmt::Debug for Observed<H, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Observed(..)")
    }
}

impl<H: Handler, O: Observe> Handler for Observed<H, O> {
    async fn serve_http(&self, req: Request) -> Response {
        self.observer.begin(&req);
        let observer = Arc::clone(&self.observer);
        watch(&self.handler, req, move |exchange| observer.end(exchange)).await
    }
}

/// Serves a request and calls `tell` when all is over, whatever the end is.
pub(super) async fn watch<H: Handler>(
    handler: &H,
    mut req: Request,
    tell: impl FnOnce(&Exchange) + Send + Unpin + 'static,
) -> Response {
    let head_only = req.method() == Method::HEAD;
    let mut watched = Watched { exchange: Exchange::begin(&mut req), tell: Some(tell) };
    let mut response = {
        // A panic unwinds through here, be it of the call itself.
        let panicking = OnPanic { watched: &mut watched };
        let mut answering = pin!(handler.serve_http(req));
        let response = std::future::poll_fn(|cx| answering.as_mut().poll(cx)).await;
        panicking.watched.exchange.answered(response.status());
        std::mem::forget(panicking);
        response
    };
    let in_memory = response.body().as_bytes().map(<[u8]>::len);
    match in_memory {
        Some(length) => {
            watched.exchange.sent(if head_only { 0 } else { length as u64 });
            watched.end(Outcome::Complete);
        }
        // The server drops it unread.
        None if head_only => watched.end(Outcome::Complete),
        None => response = response.map(|body| Body::new(WatchedBody { body, watched })),
    }
    response
}

/// An exchange that is told of once: at its end, or when it is dropped.
struct Watched<F: FnOnce(&Exchange)> {
    exchange: Exchange,
    tell: Option<F>,
}

impl<F: FnOnce(&Exchange)> Watched<F> {
    fn end(&mut self, outcome: Outcome) {
        if let Some(tell) = self.tell.take() {
            self.exchange.end(outcome);
            tell(&self.exchange);
        }
    }
}

impl<F: FnOnce(&Exchange)> Drop for Watched<F> {
    fn drop(&mut self) {
        self.end(Outcome::Dropped);
    }
}

/// Tells a panic of the handler from a future that is dropped.
struct OnPanic<'a, F: FnOnce(&Exchange)> {
    watched: &'a mut Watched<F>,
}

impl<F: FnOnce(&Exchange)> Drop for OnPanic<'_, F> {
    fn drop(&mut self) {
        let outcome = if std::thread::panicking() { Outcome::Panicked } else { Outcome::Dropped };
        self.watched.end(outcome);
    }
}

/// The body of an exchange that goes on.
struct WatchedBody<F: FnOnce(&Exchange)> {
    body: Body,
    watched: Watched<F>,
}

impl<F: FnOnce(&Exchange) + Unpin> HttpBody for WatchedBody<F> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.watched.exchange.sent(bytes as u64);
                // hyper does not ask again behind the last frame.
                if self.body.is_end_stream() {
                    self.watched.end(Outcome::Complete);
                }
            }
            Poll::Ready(Some(Err(_))) => self.watched.end(Outcome::BodyFailed),
            Poll::Ready(None) => self.watched.end(Outcome::Complete),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::task::Waker;

    use http::StatusCode;
    use roundtrip_types::{CatchPanic, IntoResponse, MessageExt, PathValues, Route, RouteWatch};

    use super::*;

    /// Serves one request of a watched handler and reads the response as far as `pieces`; returns what the observer saw.
    async fn seen(uri: &str, pieces: usize) -> Vec<String> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let route = Arc::new(Route::new("GET /r/{x}", ["x"]));
        let handler = move |req: Request| {
            // What a mux does.
            req.extensions().get::<RouteWatch>().unwrap().set(&route);
            assert!(req.extensions().get::<PathValues>().is_none());
            async move {
                match req.uri().path() {
                    "/panic" => panic!("oh"),
                    "/wait" => std::future::pending().await,
                    "/stream" => {
                        let (mut sender, body) = Body::channel(3);
                        sender.try_send("ab").unwrap();
                        sender.try_send("c").unwrap();
                        if req.uri().query() == Some("broken") {
                            sender.abort("disk gone");
                        } else {
                            sender.finish();
                        }
                        body.into_response()
                    }
                    _ => (StatusCode::CREATED, "hello").into_response(),
                }
            }
        };
        let observed = Observed::new(handler, move |exchange: &Exchange| {
            assert!(exchange.head_after().unwrap_or_default() <= exchange.elapsed());
            let status = exchange.status().map_or(0, |status| status.as_u16());
            let (bytes, outcome) = (exchange.body_bytes(), exchange.outcome().as_str());
            sink.lock().unwrap().push(format!("{status} {bytes} {outcome} {}", exchange.pattern()));
        });
        let outer = CatchPanic::new(observed, |_: &str| {});
        let (method, uri) = uri.split_once(' ').unwrap();
        let req = http::Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
        let mut serving = Box::pin(outer.serve_http(req));
        if let Poll::Ready(response) = serving.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            let mut body = response.into_body();
            for _ in 0..pieces {
                let _ = body.frame().await;
            }
        }
        drop(serving);
        let lines = lines.lock().unwrap();
        lines.clone()
    }

    #[tokio::test]
    async fn every_exchange_is_told_of_once_with_its_end() {
        for (request, pieces, want) in [
            ("GET /x", 0, "201 5 complete GET /r/{x}"),
            ("HEAD /x", 0, "201 0 complete GET /r/{x}"),
            ("GET /stream", 3, "200 3 complete GET /r/{x}"),
            ("GET /stream", 1, "200 2 dropped GET /r/{x}"),
            ("GET /stream?broken", 3, "200 3 body-failed GET /r/{x}"),
            ("GET /wait", 0, "0 0 dropped GET /r/{x}"),
            ("GET /panic", 0, "0 0 panicked GET /r/{x}"),
        ] {
            assert_eq!(seen(request, pieces).await, [want], "{request}, {pieces} pieces read");
        }
    }

    #[tokio::test]
    async fn a_line_of_the_log_has_no_query_and_no_raw_quotes() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let handler = Observed::new(
            |_req| async { "hi" },
            move |exchange: &Exchange| {
                sink.lock().unwrap().push(exchange.to_string());
            },
        );
        let req = http::Request::builder().uri("/a\"b?token=secret").body(Body::empty()).unwrap();
        assert_eq!(handler.serve_http(req).await.text().await.unwrap(), "hi");
        let line = lines.lock().unwrap()[0].clone();
        assert!(line.starts_with("- \"GET /a\\\"b HTTP/1.1\" 200 2 0.0") && line.ends_with(" -"), "{line}");
    }
}
