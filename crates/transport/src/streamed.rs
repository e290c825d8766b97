//! One exchange on a stream of a connection that others share: HTTP/2.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use roundtrip_types::{Body, Error, ErrorKind, Phase, Response, Result};

use crate::config::{Retry, Reuse};
use crate::conn::Ledger;
use crate::h2::{Failed, H2Body, Repeat, Watched};
use crate::mux::StreamLease;
use crate::pool::ConnId;
use crate::prepare::Prepared;
use crate::shared::now;
use crate::timers::{Deadline, Timers};

/// What came of an exchange.
pub(crate) enum Outcome {
    /// The response, and where to note the end of its body.
    Answered(Box<Response>),
    /// It may be sent again, with this body.
    Again(Body, Error),
}

/// Most attempts of a request that is refused. Go: `http2Transport.RoundTripOpt`.
const ATTEMPTS_MOST: u32 = 6;

/// Most attempts while one connection after the other takes no more requests, as a server's do that allows few on each. A burst of
/// requests may be too much for several of them.
const CONNECTIONS_MOST: u32 = 100;

/// How long is waited before the third; then twice as long each time.
const BACK_OFF: Duration = Duration::from_secs(1);

/// Sends `request` on the stream of `lease`.
///
/// # Errors
/// What keeps the response from coming; none if the request may be sent again.
///
/// # Cancel safety
/// Dropping the future resets the stream; the connection goes on.
pub(crate) async fn exchange(
    lease: StreamLease,
    request: &mut Prepared<'_>,
    timers: &mut Timers,
    ledger: &mut Option<Box<Ledger>>,
    body: Body,
    attempt: u32,
    ended_at: Option<Arc<OnceLock<Instant>>>,
) -> Result<Outcome> {
    let (reused, id) = (lease.reused, lease.slot.id);
    let (mux, stream) = lease.into_parts();
    if request.reuse() == Reuse::Never || request.wants_close() {
        mux.conn().retire();
    }
    let again = body.replayer();
    let outgoing = request.outgoing(body)?;
    let sent = AtomicBool::new(false);
    let watched = Watched {
        sent: &sent,
        on_interim: request.on_interim(),
        window_timeout: request.config().http2.window_timeout,
    };
    let outcome = {
        let mut sending = pin!(mux.conn().send(stream, outgoing, watched));
        let mut header = None;
        poll_fn(|cx| {
            if let Poll::Ready(done) = sending.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            if header.is_none() && sent.load(Ordering::Relaxed) {
                header = Deadline::new(request.response_header_timeout(), "response_header_timeout");
                if let Some(ledger) = ledger {
                    ledger.wrote = Some(now());
                }
            }
            timers.poll(header, cx).map(Err)
        })
        .await
    };
    let describe = |error: Error| {
        let age = if reused { "reused HTTP/2" } else { "new HTTP/2" };
        let repeated = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
        let was_sent = error.was_sent() || attempt > 1;
        error.with_sent(was_sent).with_facts(format!("{age} {id} to {}{repeated}", mux.info().peer()))
    };
    let failed = match outcome {
        Err(due) => {
            let phase = if sent.load(Ordering::Relaxed) { Phase::Wait } else { Phase::Write };
            return Err(describe(due.error("the server did not answer", phase).with_sent(true)));
        }
        Ok(Ok(response)) => {
            tell(request, id, ledger);
            let (parts, body) = response.into_parts();
            if let Some(error) = too_large(&parts.headers, request) {
                return Err(describe(error));
            }
            let body = body.map_or_else(Body::empty, |body| streamed(body, request, timers, ended_at.as_ref()));
            let mut response = Response::from_parts(parts, body);
            *response.version_mut() = Version::HTTP_2;
            return Ok(Outcome::Answered(Box::new(response)));
        }
        Ok(Err(failed)) => failed,
    };
    let Failed { error, repeat, body, silent } = failed;
    let may = request.retry() != Retry::Never
        && match repeat {
            Repeat::OnAnother => attempt < CONNECTIONS_MOST,
            Repeat::Elsewhere | Repeat::OverHttp1 => attempt < ATTEMPTS_MOST,
            // As over HTTP/1.1: the server may have closed it just then.
            Repeat::No => {
                attempt < ATTEMPTS_MOST
                    && error.kind() == ErrorKind::ConnectionLost
                    && reused
                    && silent
                    && request.is_replayable()
            }
        };
    let error = describe(error);
    match body.or_else(|| again.map(|again| again.body())).filter(|_| may) {
        Some(body) => {
            if repeat == Repeat::OverHttp1 {
                request.over_http1();
            }
            if repeat == Repeat::Elsewhere && attempt > 1 {
                back_off(attempt, timers).await?;
            }
            Ok(Outcome::Again(body, error))
        }
        None => Err(error),
    }
}

/// Whether a head is beyond the limits of its request. Those of the connection have let it pass.
fn too_large(headers: &HeaderMap, request: &Prepared<'_>) -> Option<Error> {
    // As HTTP/2 counts them (RFC 9113, section 6.5.2).
    let bytes = || headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum::<usize>();
    let (most_fields, most_bytes) = (request.max_head_fields(), request.max_head_bytes());
    let message = if headers.len() > most_fields {
        format!("the response's head has {} fields, more than the {most_fields} allowed", headers.len())
    } else if bytes() > most_bytes {
        format!("the response's head is too large: more than the {most_bytes} bytes allowed")
    } else {
        return None;
    };
    Some(Error::new(ErrorKind::TooLarge, message).with_phase(Phase::Wait).with_sent(true))
}

/// Waits before a request that was refused is sent for the third time, or more.
async fn back_off(attempt: u32, timers: &mut Timers) -> Result<()> {
    let mut sleep = pin!(tokio::time::sleep(BACK_OFF * 2_u32.saturating_pow(attempt - 2)));
    poll_fn(|cx| match sleep.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(Ok(())),
        Poll::Pending => {
            timers.poll(None, cx).map(|due| Err(due.error("the server refused the request", Phase::Queue)))
        }
    })
    .await
}

/// Tells the listeners what has happened, and notes the moment for those who asked.
fn tell(request: &Prepared<'_>, id: ConnId, ledger: &mut Option<Box<Ledger>>) {
    if let Some(ledger) = ledger {
        ledger.first_byte = Some(now());
    }
    if let Some(events) = request.events() {
        events.wrote_headers(id);
        events.wrote_request(id, Ok(()));
        events.got_first_response_byte(id);
    }
}

fn streamed(
    body: H2Body,
    request: &Prepared<'_>,
    timers: &mut Timers,
    ended_at: Option<&Arc<OnceLock<Instant>>>,
) -> Body {
    Body::new(StreamedBody {
        body,
        got: 0,
        timers: std::mem::take(timers),
        gap_limit: request.body_gap_timeout(),
        gap: None,
        ended_at: ended_at.cloned(),
        method: request.method().clone(),
        uri: request.uri().clone(),
    })
}

/// The body of a response, with the limits of its request.
struct StreamedBody {
    body: H2Body,
    got: u64,
    timers: Timers,
    gap_limit: Option<Duration>,
    /// When the next bytes are due; set while they are waited for.
    gap: Option<Deadline>,
    ended_at: Option<Arc<OnceLock<Instant>>>,
    method: Method,
    uri: Uri,
}

impl StreamedBody {
    fn note_end(&self) {
        if let Some(ended_at) = &self.ended_at {
            // Only the end sets it, and there is one.
            let _ = ended_at.set(now());
        }
    }

    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        if self.gap.is_none() {
            self.gap = Deadline::new(self.gap_limit, "body_gap_timeout");
        }
        self.timers.poll(self.gap, cx).map(|due| {
            let what = if self.gap.is_some_and(|gap| gap.is(due)) {
                "the server sent nothing more of the body"
            } else {
                "the body did not end"
            };
            due.error(what, Phase::Body).with_facts(format!("after {} bytes", self.got))
        })
    }

    fn named(&self, error: Error) -> Error {
        error.with_sent(true).with_request(&self.method, &self.uri)
    }
}

impl HttpBody for StreamedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Pending => this.poll_due(cx).map(|error| Some(Err(this.named(error)))),
            Poll::Ready(frame) => {
                this.gap = None;
                if let Some(Ok(frame)) = &frame {
                    this.got += frame.data_ref().map_or(0, |data| data.len() as u64);
                }
                if !matches!(frame, Some(Ok(_))) || this.body.is_end_stream() {
                    this.note_end();
                }
                Poll::Ready(frame.map(|frame| frame.map_err(|error| this.named(error))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
