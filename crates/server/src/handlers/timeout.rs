//! A time limit for handlers.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body as HttpBody, Frame, SizeHint};
use roundtrip_types::{Body, Error, ErrorKind, Handler, Html, IntoResponse, Phase, Request, Response};
use tokio::time::{Sleep, sleep};

/// A handler with a time limit: Go's `http.TimeoutHandler`.
///
/// **Shape**: the time runs from when the handler is asked. If it has not returned its response by then, it is dropped at its next
/// await point and the client gets 503, with a short page or what [`answering`](Self::answering) says. A streamed body has to end
/// within the same time; one that has not is cut off, which the client can tell from a complete one.
///
/// It stops handlers that wait for something slow from piling up. A handler that never awaits cannot be stopped.
///
/// `Differs from Go:` nothing is buffered, so a stream begins at once; the handler is stopped, where Go's goes on with a context
/// that says so.
///
/// # Examples
/// ```
/// use roundtrip_server::TimeoutHandler;
/// use std::time::Duration;
///
/// # async fn report(_req: roundtrip_types::Request) -> &'static str { "done" }
/// let handler = TimeoutHandler::new(Duration::from_secs(2), report).answering(|| "try again later");
/// # fn is_a_handler(_: impl roundtrip_types::Handler) {}
/// # is_a_handler(handler);
/// ```
#[derive(Clone)]
pub struct TimeoutHandler<H> {
    limit: Duration,
    handler: H,
    answer: Arc<dyn Fn() -> Response + Send + Sync>,
}

impl<H: Handler> TimeoutHandler<H> {
    /// Gives `handler` the time `limit` for each request.
    #[must_use]
    pub fn new(limit: Duration, handler: H) -> Self {
        TimeoutHandler { limit, handler, answer: Arc::new(|| Html(PAGE).into_response()) }
    }

    /// Sends what `answer` makes to clients whose time is up. Its status becomes 503.
    #[must_use]
    pub fn answering<R: IntoResponse>(mut self, answer: impl Fn() -> R + Send + Sync + 'static) -> Self {
        self.answer = Arc::new(move || answer().into_response());
        self
    }
}

impl<H: Handler> Handler for TimeoutHandler<H> {
    async fn serve_http(&self, req: Request) -> Response {
        let mut deadline = Box::pin(sleep(self.limit));
        let answered = {
            let mut answering = pin!(self.handler.serve_http(req));
            std::future::poll_fn(|cx| match answering.as_mut().poll(cx) {
                Poll::Ready(response) => Poll::Ready(Some(response)),
                Poll::Pending => deadline.as_mut().poll(cx).map(|()| None),
            })
            .await
        };
        match answered {
            Some(response) if response.body().as_bytes().is_some() => response,
            Some(response) => response.map(|body| Body::new(Bounded { body, deadline, limit: self.limit })),
            None => {
                let mut response = (self.answer)();
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                response
            }
        }
    }
}

impl<H> fmt::Debug for TimeoutHandler<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutHandler").field("limit", &self.limit).finish_non_exhaustive()
    }
}

const PAGE: &str = "<!doctype html>\n<title>Timeout</title>\n<h1>Timeout</h1>\n";

/// A body that has to end in time.
struct Bounded {
    body: Body,
    deadline: Pin<Box<Sleep>>,
    limit: Duration,
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        // The limit first: a body that always has something would never be stopped.
        if self.deadline.as_mut().poll(cx).is_ready() {
            self.body = Body::empty();
            let message = format!("the response was not complete after {:?}", self.limit);
            return Poll::Ready(Some(Err(Error::new(ErrorKind::Timeout, message).with_phase(Phase::Body))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
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
    use roundtrip_types::MessageExt;

    use super::*;

    /// Answers after as many milliseconds as the path says, and streams for as many as the query says.
    async fn slow(req: Request) -> Response {
        let ms = |text: &str| Duration::from_millis(text.parse().unwrap());
        sleep(ms(req.uri().path().trim_start_matches('/'))).await;
        let Some(streaming) = req.uri().query().map(ms) else { return "in time".into_response() };
        let (mut sender, body) = Body::channel(2);
        tokio::spawn(async move {
            sender.send("begin").await?;
            sleep(streaming).await;
            sender.finish();
            Ok::<_, roundtrip_types::SendError>(())
        });
        body.into_response()
    }

    async fn ask(handler: &impl Handler, uri: &str) -> (u16, Result<String, String>) {
        let req = http::Request::builder().uri(uri).body(Body::empty()).unwrap();
        let response = handler.serve_http(req).await;
        (response.status().as_u16(), response.text().await.map_err(|error| error.to_string()))
    }

    #[tokio::test(start_paused = true)]
    async fn head_and_body_have_to_come_in_time() {
        let handler = TimeoutHandler::new(Duration::from_secs(1), slow);
        assert_eq!(ask(&handler, "/900").await, (200, Ok("in time".into())));
        assert_eq!(ask(&handler, "/1100").await, (503, Ok(PAGE.into())));
        assert_eq!(ask(&handler, "/500?400").await, (200, Ok("begin".into())));
        let cut = Err("the response was not complete after 1s".into());
        assert_eq!(ask(&handler, "/500?600").await, (200, cut));
        let worded = handler.answering(|| "later");
        assert_eq!(ask(&worded, "/1100").await, (503, Ok("later".into())));
    }
}
