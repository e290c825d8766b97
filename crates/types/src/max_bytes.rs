//! A limit on request bodies.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, StatusCode, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::{Body, Error, ErrorKind, Handler, Request, Response, error};

/// A handler whose requests have bodies of bounded length: Go's `http.MaxBytesHandler`.
///
/// **Shape**: a body of exactly the limit passes. A request whose `Content-Length` is over it is answered with 413 and the
/// handler is not asked. A body that turns out to be longer while it is read fails with
/// [`ErrorKind::TooLarge`], and the handler answers; if it does not, and ends with an error of that kind, it should send 413.
/// Either way the response says `Connection: close`, so that the rest of the body need not be read.
///
/// It stops clients that send more than a handler is ready to keep in memory or on disk. Costs nothing for a request whose
/// `Content-Length` is within the limit.
///
/// `Differs from Go:` the 413 to a length that is known beforehand.
#[derive(Clone, Debug)]
pub struct MaxBytes<H> {
    limit: u64,
    handler: H,
}

impl<H> MaxBytes<H> {
    /// Lets `handler` see bodies of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: u64, handler: H) -> Self {
        MaxBytes { limit, handler }
    }
}

impl<H: Handler> Handler for MaxBytes<H> {
    async fn serve_http(&self, req: Request) -> Response {
        // HTTP/2 has no such field: there the stream is reset, and the connection lives.
        let may_close = req.version() < Version::HTTP_2;
        match req.body().content_length() {
            Some(length) if length <= self.limit => return self.handler.serve_http(req).await,
            Some(length) => {
                let text = format!("the body of {length} bytes is longer than the limit of {} bytes", self.limit);
                return closing(error(StatusCode::PAYLOAD_TOO_LARGE, text), may_close);
            }
            None => {}
        }
        let exceeded = Arc::new(AtomicBool::new(false));
        let limit = self.limit;
        let req = req.map(|body| Body::new(Limited { body, left: limit, limit, exceeded: Arc::clone(&exceeded) }));
        let response = self.handler.serve_http(req).await;
        closing(response, may_close && exceeded.load(Ordering::Relaxed))
    }
}

fn closing(mut response: Response, close: bool) -> Response {
    if close {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A body that fails once more than `limit` bytes have come. The bytes up to the limit are handed out first.
struct Limited {
    body: Body,
    left: u64,
    limit: u64,
    exceeded: Arc<AtomicBool>,
}

impl HttpBody for Limited {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.exceeded.load(Ordering::Relaxed) {
            return Poll::Ready(Some(Err(too_large(self.limit))));
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let Poll::Ready(Some(Ok(frame))) = polled else { return polled };
        let Some(length) = frame.data_ref().map(|data| data.len() as u64) else { return Poll::Ready(Some(Ok(frame))) };
        if length <= self.left {
            self.left -= length;
            return Poll::Ready(Some(Ok(frame)));
        }
        self.exceeded.store(true, Ordering::Relaxed);
        let allowed = usize::try_from(self.left).unwrap_or(usize::MAX);
        match frame.into_data() {
            Ok(mut data) if allowed > 0 => {
                data.truncate(allowed);
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            _ => Poll::Ready(Some(Err(too_large(self.limit)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && !self.exceeded.load(Ordering::Relaxed)
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        if hint.lower() <= self.left {
            hint.set_upper(hint.upper().map_or(self.left, |upper| upper.min(self.left)));
        }
        hint
    }
}

fn too_large(limit: u64) -> Error {
    Error::new(ErrorKind::TooLarge, format!("the request's body is longer than the limit of {limit} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MessageExt;

    /// A body of unknown length.
    fn streamed(pieces: &[&'static str]) -> Body {
        let (mut sender, body) = Body::channel(pieces.len() + 1);
        for piece in pieces {
            sender.try_send(*piece).unwrap();
        }
        sender.finish();
        body
    }

    async fn ask(body: Body) -> (u16, bool, String) {
        let handler = MaxBytes::new(5, |req: Request| async move {
            let mut body = req.into_body();
            let mut seen = String::new();
            loop {
                match body.chunk().await {
                    None => return (StatusCode::OK, seen),
                    Some(Ok(data)) => seen.push_str(std::str::from_utf8(&data).unwrap()),
                    Some(Err(error)) => return (StatusCode::PAYLOAD_TOO_LARGE, format!("{seen}|{error}")),
                }
            }
        });
        let response = handler.serve_http(Request::new(body)).await;
        let closes = response.headers().contains_key(CONNECTION);
        (response.status().as_u16(), closes, response.text().await.unwrap())
    }

    #[tokio::test]
    async fn the_limit_itself_passes_and_one_byte_more_does_not() {
        assert_eq!(ask(Body::from("abcde")).await, (200, false, "abcde".into()));
        assert_eq!(ask(streamed(&["abc", "de"])).await, (200, false, "abcde".into()));
        let message = "the request's body is longer than the limit of 5 bytes";
        assert_eq!(ask(streamed(&["abc", "def"])).await, (413, true, format!("abcde|{message}")));
        assert_eq!(ask(streamed(&["abcde", "f", "g"])).await, (413, true, format!("abcde|{message}")));
        let known = "the body of 6 bytes is longer than the limit of 5 bytes\n";
        assert_eq!(ask(Body::from("abcdef")).await, (413, true, known.into()));
    }
}
