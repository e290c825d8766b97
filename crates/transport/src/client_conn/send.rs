//! One request on a held connection.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http_body::Body as _;
use roundtrip_types::{Body, Phase, Request, Response, Result};

use super::held::{Held, NoPlace, Ticket};
use crate::conn::{Exchange, Ledger};
use crate::mux::StreamLease;
use crate::pool::CloseReason;
use crate::prepare::Prepared;
use crate::shared::Got;
use crate::streamed::{self, Outcome};
use crate::timers::{Deadline, Timers};
use crate::transport::{On, complete, note, probe, respond, with_facts};

/// Sends `req`, in the place of `ticket` if there is one. Nothing is repeated.
pub(super) async fn send(held: &Arc<Held>, ticket: Option<Ticket>, req: &mut Request) -> Result<Response> {
    let config = held.shared.config.load_full();
    let mut request = Prepared::on(req, config, (&held.origin, &held.route), held.is_http2())?;
    let request = &mut request;
    let mut body = request.take_body();
    let mut timers = Timers::new(request.total_timeout());
    let mut ledger = request.wants_timings().then(Ledger::start);
    if request.may_lack_body() && !body.is_end_stream() {
        body = Box::pin(probe(request, body)).await?;
    }
    if let Some(events) = request.events() {
        events.get_conn(&request.key().to_string());
    }
    note(&mut ledger, |ledger, now| ledger.asked = now);
    let ticket = match ticket {
        Some(ticket) => ticket,
        None => take(held, request, &mut timers).await?,
    };
    let got = ticket.start()?;
    note(&mut ledger, |ledger, now| ledger.got_conn = now);
    if let Some(events) = request.events() {
        events.got_conn(&request.key().to_string(), &got.described());
    }
    let mut lease = match got {
        Got::Conn(lease) => lease,
        Got::Stream(stream) => return streamed(stream, request, &mut timers, &mut ledger, body).await,
    };
    let mut response = Response::default();
    let mut exchange = Exchange::new(lease.conn_mut(), request, &mut timers, &mut ledger, body);
    let answer = poll_fn(|cx| exchange.poll(lease.conn_mut(), &mut response, cx)).await;
    match answer {
        Ok(answer) => {
            respond(lease, answer, request, &mut timers, ledger.map(|ledger| (ledger, 1)), &mut response);
            Ok(response)
        }
        Err(error) => {
            lease.fate = CloseReason::Failed;
            Err(with_facts(error, &lease, 1))
        }
    }
}

async fn streamed(
    stream: StreamLease,
    request: &mut Prepared<'_>,
    timers: &mut Timers,
    ledger: &mut Option<Box<Ledger>>,
    body: Body,
) -> Result<Response> {
    let on = On::stream(&stream);
    let ended_at = ledger.as_ref().map(|_| Arc::default());
    match streamed::exchange(stream, request, timers, ledger, body, 1, ended_at.clone()).await? {
        Outcome::Answered(mut response) => {
            complete(&mut response, request, on, ledger.as_deref().zip(ended_at), 1);
            Ok(*response)
        }
        Outcome::Again(_, error) => Err(error),
    }
}

/// A place for `request`, at once or when it is its turn.
///
/// # Cancel safety
/// Dropping the future leaves the place in the queue to the next.
async fn take(held: &Arc<Held>, request: &Prepared<'_>, timers: &mut Timers) -> Result<Ticket> {
    match held.take_at_once() {
        Ok(ticket) => return Ok(ticket),
        Err(NoPlace::Busy) => {}
        Err(other) => return Err(held.refusal(other)),
    }
    let queue = Deadline::new(request.wait_timeout(), "wait_timeout");
    let mut turn = pin!(held.take_in_turn());
    poll_fn(|cx| {
        if let Poll::Ready(taken) = turn.as_mut().poll(cx) {
            return Poll::Ready(taken);
        }
        timers.poll(queue, cx).map(|due| {
            let what = format!("the held {} to {} had no room for another request", held.id, held.origin);
            Err(due.error(&what, Phase::Queue))
        })
    })
    .await
}
