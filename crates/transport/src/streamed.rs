//! One exchange on a stream of a connection that others share: HTTP/2.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Uri, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use roundtrip_types::{Body, Error, ErrorKind, Phase, Response, Result};

use crate::config::{Retry, Reuse};
use crate::conn::Ledger;
use crate::h2::{self, Content, Failed, H2Body, Progress, Repeat, Watched, list_bytes};
use crate::mux::StreamLease;
use crate::net::Stream;
use crate::prepare::Prepared;
use crate::shared::now;
use crate::timers::{Deadline, Timers};
use crate::upgrade::Upgraded;

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
    let (reused, id) = (lease.reused, lease.id);
    if let Some(ledger) = ledger {
        (ledger.wrote, ledger.first_byte) = (None, None);
    }
    let (mux, stream) = lease.into_parts();
    if request.reuse() == Reuse::Never || request.wants_close() {
        mux.conn().retire();
    }
    let again = body.replayer();
    let outgoing = request.outgoing(body)?;
    let progress = Progress::new(request.expects_continue());
    let watched = Watched {
        progress: &progress,
        on_interim: request.on_interim(),
        interim_limit: request.max_head_bytes(),
        window_timeout: request.config().http2.window_timeout,
        header_timeout: request.response_header_timeout(),
        events: request.events().map(|events| (&**events, id)),
    };
    let outcome = {
        let mut sending = pin!(mux.conn().send(stream, outgoing, watched));
        // Until when the body waits for the server's word, and when the response's head is due: known when the head of the request, and
        // all of it, has been sent.
        let (mut expect, mut header) = (None, None);
        poll_fn(|cx| {
            loop {
                let done = sending.as_mut().poll(cx);
                note_progress(&progress, ledger);
                if let Poll::Ready(done) = done {
                    return Poll::Ready(Ok(done));
                }
                if !progress.is_held() {
                    expect = None;
                } else if expect.is_none() {
                    expect = Deadline::new(request.expect_continue_timeout(), "expect_continue_timeout");
                }
                if header.is_none() && progress.is_sent() {
                    header = Deadline::new(request.response_header_timeout(), "response_header_timeout");
                }
                match timers.poll(expect.or(header), cx) {
                    Poll::Pending => return Poll::Pending,
                    // RFC 9110 section 10.1.1: a client does not wait for ever; the server may not know the expectation.
                    Poll::Ready(due) if expect.is_some_and(|expect| expect.is(due)) => progress.release(),
                    Poll::Ready(due) => return Poll::Ready(Err(due)),
                }
            }
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
            let (what, phase) = if progress.is_sent() {
                ("the response's head did not come", Phase::Wait)
            } else {
                ("the request was not sent", Phase::Write)
            };
            return Err(describe(due.error(what, phase).with_sent(true)));
        }
        Ok(Ok(response)) => {
            let (parts, body) = response.into_parts();
            if let Some(error) = too_large(&parts.headers, request) {
                return Err(describe(error));
            }
            let (body, tunnel) = match body {
                Content::Nothing => (Body::empty(), None),
                Content::Body(body) => (streamed(body, request, timers, ended_at.as_ref()), None),
                Content::Tunnel(tunnel) => (Body::empty(), Some(tunnel)),
            };
            let mut response = Response::from_parts(parts, body);
            if let Some(tunnel) = tunnel {
                let stream = Stream::boxed(tunnel);
                Upgraded::new(stream, BytesMut::new(), mux.info().clone()).put(&mut response);
            }
            *response.version_mut() = Version::HTTP_2;
            return Ok(Outcome::Answered(Box::new(response)));
        }
        Ok(Err(failed)) => failed,
    };
    let Failed { error, repeat, body, silent } = failed;
    let may = request.retry() != Retry::Never
        && match repeat {
            Repeat::OnAnother => attempt < CONNECTIONS_MOST,
            Repeat::OverHttp1 if request.only_http2() => false,
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
    let (most_fields, most_bytes) = (request.max_head_fields(), request.max_head_bytes());
    let message = if headers.len() > most_fields {
        format!("the response's head has {} fields, more than the {most_fields} allowed", headers.len())
    } else if list_bytes(headers) > most_bytes {
        h2::too_large(most_bytes)
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

/// Notes the moments for those who asked.
fn note_progress(progress: &Progress, ledger: &mut Option<Box<Ledger>>) {
    let Some(ledger) = ledger else { return };
    if ledger.wrote.is_none() && progress.is_sent() {
        ledger.wrote = Some(now());
    }
    if ledger.first_byte.is_none() && progress.is_answering() {
        ledger.first_byte = Some(now());
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
            due.error(what, Phase::Body).with_facts(format!("after {}", self.body.so_far()))
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
