//! One time limit over the whole exchange, the response's body included.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};
use roundtrip_transport::RequestOptions;
use roundtrip_types::{Body, Error, ErrorKind, Phase, Request, Response, Result};
use tokio::time::{Instant, Sleep, sleep};

/// How much later than the transport the client looks at the clock. The transport is given the same limit and knows more to say
/// about what it was waiting for; the client's own limit is for what lies outside of it, and for other round trippers.
const GRACE: Duration = Duration::from_millis(2);

/// Runs `exchange`, and lets neither it nor the response's body take longer than `limit`, counted from now.
pub(crate) async fn within(
    limit: Duration,
    method: Method,
    uri: Uri,
    exchange: impl Future<Output = Result<Response>>,
) -> Result<Response> {
    let mut exchange = pin!(exchange);
    // Far enough away for a clock that has an end.
    let mut expired = Box::pin(sleep(limit.saturating_add(GRACE)));
    let answered = poll_fn(|cx| match exchange.as_mut().poll(cx) {
        Poll::Ready(answered) => Poll::Ready(Some(answered)),
        Poll::Pending => expired.as_mut().poll(cx).map(|()| None),
    });
    match answered.await {
        Some(answered) => Ok(answered?.map(|body| {
            // A body in memory waits for nothing.
            if body.as_bytes().is_some() {
                return body;
            }
            Body::new(TimedBody { body, expired, limit, method, uri })
        })),
        None => {
            let message = format!("no response within the time limit of {limit:?}");
            Err(Error::new(ErrorKind::Timeout, message).with_sent(true).with_request(&method, &uri))
        }
    }
}

/// Tells the transport how much time `req` has left.
pub(crate) fn pass_on(req: &mut Request, left: Option<Duration>) {
    if let Some(left) = left {
        let options = req.extensions_mut().get_or_insert_default::<RequestOptions>();
        options.total_timeout = Some(options.total_timeout.map_or(left, |own| own.min(left)));
    }
}

/// How much time there is until `deadline`, in whole milliseconds: the limit is part of errors, where more digits say no more.
pub(crate) fn left(deadline: Option<Instant>) -> Option<Duration> {
    let left = deadline?.saturating_duration_since(Instant::now());
    Some(Duration::from_millis(u64::try_from(left.as_millis()).unwrap_or(u64::MAX)))
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
