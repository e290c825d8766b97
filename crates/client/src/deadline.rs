//! One time limit over the whole exchange, the response's body included.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};
use roundtrip_types::{Body, Error, ErrorKind, Phase, Response, Result};
use tokio::time::{Sleep, sleep, timeout};

/// Runs `exchange`, and lets neither it nor the response's body take longer than `limit`, counted from now.
pub(crate) async fn within(
    limit: Duration,
    method: Method,
    uri: Uri,
    exchange: impl Future<Output = Result<Response>>,
) -> Result<Response> {
    let expired = sleep(limit);
    match timeout(limit, exchange).await {
        Ok(answered) => Ok(answered?.map(|body| {
            // A body in memory waits for nothing.
            if body.as_bytes().is_some() {
                return body;
            }
            Body::new(TimedBody { body, expired: Box::pin(expired), limit, method, uri })
        })),
        Err(_) => {
            let message = format!("no response within the time limit of {limit:?}");
            Err(Error::new(ErrorKind::Timeout, message).with_sent(true).with_request(&method, &uri))
        }
    }
}

/// A body that fails when its time is over, and lets go of the connection then.
struct TimedBody {
    body: Body,
    expired: Pin<Box<Sleep>>,
    limit: Duration,
    method: Method,
    uri: Uri,
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        // What has arrived is handed out first: only waiting runs out of time.
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        ready!(self.expired.as_mut().poll(cx));
        self.body = Body::empty();
        let message = format!("the body did not end within the time limit of {:?}", self.limit);
        let error = Error::new(ErrorKind::Timeout, message).with_phase(Phase::Body).with_sent(true);
        Poll::Ready(Some(Err(error.with_request(&self.method, &self.uri))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
