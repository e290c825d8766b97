//! Panics of handlers as answers.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::{Body, Error, ErrorKind, Handler, Request, Response, error};

/// A handler whose panics are answers: 500 before the response's head, an aborted body behind it.
///
/// The server does the same for panics of whole handlers; put this inside where the layers around it, such as a log, should see
/// the 500, or where another server hosts the handler. What the panic said goes to `tell`, never to the client. A handler's panic
/// that carries no text is a signal to somebody further out, such as the server's `AbortHandler`, and goes on.
///
/// **Source**: Go's server, which drops the connection instead. `Differs from Go:` the client gets an answer.
#[derive(Clone)]
pub struct CatchPanic<H> {
    handler: H,
    tell: Tell,
}

type Tell = Arc<dyn Fn(&str) + Send + Sync>;

impl<H: Handler> CatchPanic<H> {
    /// Catches the panics of `handler` and calls `tell` with the message of each.
    #[must_use]
    pub fn new(handler: H, tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        CatchPanic { handler, tell: Arc::new(tell) }
    }
}

impl<H: Handler> Handler for CatchPanic<H> {
    async fn serve_http(&self, req: Request) -> Response {
        // The call itself may panic too, before there is a future.
        let mut answering = pin!(async move { self.handler.serve_http(req).await });
        let answered = std::future::poll_fn(|cx| caught(|| answering.as_mut().poll(cx))).await;
        match answered {
            Ok(response) if response.body().as_bytes().is_some() => response,
            Ok(response) => response.map(|body| Body::new(Guarded { body, tell: Arc::clone(&self.tell) })),
            Err(panic) => {
                let Some(message) = message(&*panic) else { resume_unwind(panic) };
                (self.tell)(message);
                error(StatusCode::INTERNAL_SERVER_ERROR, "internal server error")
            }
        }
    }
}

impl<H> std::fmt::Debug for CatchPanic<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CatchPanic(..)")
    }
}

/// A body whose panic is its error.
struct Guarded {
    body: Body,
    tell: Tell,
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = caught(|| Pin::new(&mut self.body).poll_frame(cx));
        polled.map(|frame| {
            frame.unwrap_or_else(|panic| {
                if let Some(message) = message(&*panic) {
                    (self.tell)(message);
                }
                self.body = Body::empty();
                Some(Err(Error::new(ErrorKind::Canceled, "the handler panicked while it made the body")))
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Runs `poll`; its panic is the output. What panicked is never polled again, so nobody sees its broken state.
fn caught<T>(poll: impl FnOnce() -> Poll<T>) -> Poll<Result<T, Box<dyn Any + Send>>> {
    match catch_unwind(AssertUnwindSafe(poll)) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    }
}

fn message(panic: &(dyn Any + Send)) -> Option<&str> {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::MessageExt;

    /// A body that panics at its first poll.
    struct Broken;

    impl HttpBody for Broken {
        type Data = Bytes;
        type Error = Error;

        fn poll_frame(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
            panic!("no body for {}", 7)
        }
    }

    #[tokio::test]
    async fn a_panic_is_a_500_and_one_in_a_body_is_an_error() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&told);
        let handler = CatchPanic::new(
            |req: Request| async move {
                assert!(req.uri().path() != "/panic", "the secret");
                Response::new(Body::new(Broken))
            },
            move |message: &str| log.lock().unwrap().push(message.to_owned()),
        );
        let request = |uri: &str| http::Request::builder().uri(uri).body(Body::empty()).unwrap();
        let response = handler.serve_http(request("/panic")).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.text().await.unwrap(), "internal server error\n");
        let response = handler.serve_http(request("/body")).await;
        assert_eq!(response.text().await.unwrap_err().kind(), ErrorKind::Canceled);
        assert_eq!(*told.lock().unwrap(), ["the secret", "no body for 7"]);
    }

    #[tokio::test]
    async fn a_panic_without_a_text_goes_on() {
        struct Signal;
        let quiet = |_: &str| panic!("nothing to tell");
        let handler = CatchPanic::new(|_req| async { std::panic::panic_any::<Signal>(Signal) as () }, quiet);
        let served = tokio::spawn(async move { handler.serve_http(Request::new(Body::empty())).await });
        assert!(served.await.unwrap_err().into_panic().is::<Signal>());
    }
}
