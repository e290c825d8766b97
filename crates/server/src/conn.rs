//! One connection's task: what speaks its protocol, the limits around that, and its last word.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use roundtrip_types::Handler;
use tokio::io::AsyncWrite;
use tokio::time::{Instant, Sleep};

use crate::ServerConfig;
use crate::clock;
use crate::config::ConnState;
use crate::deadlines::{Deadlines, Limit, Limits, Phase};
use crate::http1::{self, Io};
use crate::linger::Linger;
use crate::link::{self, Link};
use crate::service;
use crate::stream::Stream;
use crate::streams::Streams;
use crate::tracker::{Stage, Tracked};
use crate::wire::Wire;

/// What every connection of a server needs.
pub(crate) struct Shared<H> {
    pub(crate) handler: H,
    pub(crate) config: Arc<ServerConfig>,
    http1: conn::http1::Builder,
}

impl<H> Shared<H> {
    pub(crate) fn new(handler: H, config: ServerConfig) -> Self {
        let mut http1 = conn::http1::Builder::new();
        http1
            // All time limits are ours.
            .header_read_timeout(None)
            .max_headers(config.max_header_count)
            .max_header_size(config.max_header_bytes.max(1))
            .max_buf_size(config.max_header_bytes.saturating_add(1).max(HYPERS_MAX_BUF))
            // Clients that stop sending are our business: see `Wire`.
            .half_close(true);
        Shared { handler, config: Arc::new(config), http1 }
    }
}

/// hyper's own limit.
const HYPERS_MAX_BUF: usize = 8192 + 4096 * 100;

/// Serves a connection until it ends, in whatever way. Its errors are the peer's affair and end here.
pub(crate) async fn serve<H: Handler>(stream: Stream, shared: Arc<Shared<H>>, tracked: Tracked) {
    let link = Arc::clone(&tracked.link);
    let mut watch = Watch::new(&link);
    let end = if link.info.is_h2() || (shared.config.h2c && link.info.tls.is_none()) {
        // Boxed, as is the end, so that the task of an ordinary connection does not keep the room for it.
        Box::pin(either(Wire::new(stream, Arc::clone(&link)), &shared, &mut watch)).await
    } else {
        http1(Io::new(stream, &[], Arc::clone(&link)), &shared, &mut watch).await
    };
    Box::pin(watch.finish(end)).await;
    drop(tracked);
}

/// Speaks HTTP/2 if the handshake or the client's first bytes say so, HTTP/1 otherwise.
async fn either<H: Handler>(mut wire: Wire, shared: &Arc<Shared<H>>, watch: &mut Watch) -> End {
    if !watch.link.info.is_h2() {
        // The time limit on heads covers the wait for the first bytes.
        match watch.run(poll_fn(|cx| wire.poll_begins_with(cx, PREFACE))).await {
            Ok(true) => {}
            Ok(false) => {
                let Some((stream, ahead)) = wire.into_parts() else { return End::Through };
                return http1(Io::new(stream, &ahead, Arc::clone(&watch.link)), shared, watch).await;
            }
            Err(end) => return end,
        }
    }
    http2(wire.unframed(), shared, watch).await
}

/// What HTTP/2 begins with (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

async fn http1<H: Handler>(mut io: Io, shared: &Arc<Shared<H>>, watch: &mut Watch) -> End {
    loop {
        // Boxed, so that an idle connection does not keep the room for a request in progress.
        match Box::pin(http1::exchanges(&mut io, &shared.handler, watch)).await {
            End::Dormant => io.rest(),
            End::Other(head) => {
                let Some((stream, buf)) = io.into_parts() else { return End::Through };
                let ahead = [&head[..], &buf].concat();
                let wire = Wire::resume(stream, ahead, Arc::clone(&watch.link));
                // Boxed, since few connections need the room.
                let end = Box::pin(upgradable(wire, shared, watch)).await;
                let End::Dormant = end else { return end };
                // hyper and its buffers are gone; the stream has come back.
                let returned = watch.link.control().returned.take();
                let Some((stream, ahead)) = returned else { return End::Through };
                io = Io::new(stream, &ahead, Arc::clone(&watch.link));
            }
            end => {
                give_back(io, &watch.link);
                return end;
            }
        }
        let end = match watch.run(poll_fn(|cx| io.poll_wake(cx))).await {
            Ok(true) => continue,
            Ok(false) => End::Through,
            Err(end) => end,
        };
        give_back(io, &watch.link);
        return end;
    }
}

/// Leaves the stream to [`Watch::finish`], which may have a last word for the client.
fn give_back(io: Io, link: &Link) {
    link.control().returned = io.into_parts().map(|(stream, _)| (stream, Vec::new()));
}

/// Requests that hyper reads, from one that asks for another protocol on, until the connection ends or has been idle for a while.
async fn upgradable<H: Handler>(wire: Wire, shared: &Arc<Shared<H>>, watch: &mut Watch) -> End {
    let link = Arc::clone(&watch.link);
    let service = service_fn(|req| service::http1(&shared.handler, &link, req));
    let mut conn = pin!(shared.http1.serve_connection(TokioIo::new(wire), service).with_upgrades());
    let mut drain = Drain::default();
    watch.may_sleep(true);
    let end = watch.run(poll_fn(|cx| {
        let polled = conn.as_mut().poll(cx);
        if polled.is_pending() && link.has(link::LEFTOVER) {
            drain.poll(cx, &link);
        }
        polled
    }));
    let end = end.await;
    watch.may_sleep(false);
    match end {
        Ok(Ok(())) if link.has(link::UPGRADED) && link.phase() != Phase::Closing => End::Upgraded,
        Ok(Ok(())) => End::Through,
        Ok(Err(error)) => End::Failed(Some(error)),
        Err(end) => end,
    }
}

async fn http2<H: Handler>(wire: Wire, shared: &Arc<Shared<H>>, watch: &mut Watch) -> End {
    let link = Arc::clone(&watch.link);
    let streams = Streams::new(Arc::clone(&link));
    watch.deadlines.only_the_connections();
    let service = service_fn({
        let shared = Arc::clone(shared);
        let link = Arc::clone(&link);
        move |req| service::http2(Arc::clone(&shared), Arc::clone(&link), req)
    });
    let config = &shared.config;
    let mut builder = conn::http2::Builder::new(streams.clone());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.h2_max_streams)
        .max_header_list_size(u32::try_from(config.max_header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(config.h2_ping_interval)
        .keep_alive_timeout(config.h2_ping_timeout);
    let mut conn = pin!(builder.serve_connection(TokioIo::new(wire), service));
    let mut told = false;
    link.begin_streams();
    let end = watch
        .run(poll_fn(|cx| {
            let leaving = match link.stage() {
                // GOAWAY is this protocol's `Connection: close`, and not for a client that has come just now.
                Stage::Running if link.tracker.keeps_alive() => false,
                Stage::Running | Stage::LameDuck => link.requests() > 0,
                Stage::Draining | Stage::Cut => true,
            };
            if !told && (leaving || link.has(link::GOING_AWAY)) {
                told = true;
                conn.as_mut().graceful_shutdown();
            }
            let polled = conn.as_mut().poll(cx);
            link.note_streams(streams.open());
            polled
        }))
        .await;
    // Handlers end with their connection.
    streams.abort();
    match end {
        Ok(Ok(())) => End::Through,
        Ok(Err(error)) => End::Failed(Some(error)),
        Err(end) => end,
    }
}

/// How a connection came to its end.
pub(crate) enum End {
    /// hyper has said and closed everything.
    Through,
    /// hyper has given up.
    Failed(Option<hyper::Error>),
    /// What came is no request: the status, and what is wrong with it.
    Refused(StatusCode, String),
    /// A request for another protocol, whose head this is.
    Other(Vec<u8>),
    /// The stream belongs to whoever asked for the upgrade.
    Upgraded,
    /// No end: nothing has been going on for a while, and the buffers are better used elsewhere.
    Dormant,
    /// A limit, for the reason given.
    TimedOut(Limit),
    /// Nothing was going on, and the server is stopping.
    Stopped,
    /// The server closes.
    Cut,
}

/// Reads away what a handler left of a request's body, while its response is being written.
#[derive(Default)]
struct Drain {
    body: Option<Incoming>,
    read: u64,
}

impl Drain {
    #[cold]
    fn poll(&mut self, cx: &mut Context<'_>, link: &Link) {
        if let Some((body, read)) = link.control().leftover.take() {
            *self = Drain { body: Some(body), read };
        }
        // Only once the answer is decided: whoever refuses a body wants it to stop.
        if !link.has(link::RESPONSE_BEGUN) {
            if let Some(body) = self.body.take() {
                link.control().leftover = Some((body, self.read));
            }
            return;
        }
        let Some(body) = &mut self.body else { return };
        if link.has(link::EXPECTS_CONTINUE) || body.size_hint().lower() >= service::MAX_DRAIN {
            self.stop(link);
            cx.waker().wake_by_ref();
            return;
        }
        loop {
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(frame))) => {
                    self.read += frame.data_ref().map_or(0, |data| data.len() as u64);
                    if self.read >= service::MAX_DRAIN {
                        break;
                    }
                    // hyper reads the next piece when it is polled again.
                    cx.waker().wake_by_ref();
                }
                Poll::Ready(None | Some(Err(_))) => break,
            }
        }
        self.stop(link);
        cx.waker().wake_by_ref();
    }

    /// hyper closes the connection behind the response if the body has not ended.
    fn stop(&mut self, link: &Link) {
        self.body = None;
        link.lower(link::LEFTOVER);
    }
}

/// The limits of a connection, polled beside whatever the connection is doing.
pub(crate) struct Watch {
    link: Arc<Link>,
    deadlines: Deadlines,
    timer: Pin<Box<Sleep>>,
    /// What the timer is set to; `None` while no limit holds.
    set: Option<Instant>,
    /// Whether it is set no later than an idle connection asks for.
    set_for_idle: bool,
    opened: Instant,
    registered: bool,
    /// Whether an idle connection may be put to sleep.
    may_sleep: bool,
}

impl Watch {
    fn new(link: &Arc<Link>) -> Self {
        let now = Instant::now();
        Watch {
            link: Arc::clone(link),
            deadlines: Deadlines::new(Limits::new(&link.config), now),
            timer: Box::pin(tokio::time::sleep_until(now)),
            set: None,
            set_for_idle: false,
            opened: now,
            registered: false,
            may_sleep: false,
        }
    }

    pub(crate) fn may_sleep(&mut self, may: bool) {
        self.may_sleep = may;
    }

    /// Polls `work` until it is done or the connection's time is.
    pub(crate) async fn run<T>(&mut self, work: impl Future<Output = T>) -> Result<T, End> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if !self.registered {
                // The task's waker stays the same for its whole life, so once is enough.
                self.link.register(cx.waker());
                self.registered = true;
            }
            loop {
                if self.link.stage() == Stage::Cut && !self.link.has(link::HIJACKED) {
                    return Poll::Ready(Err(End::Cut));
                }
                self.link.begin_poll();
                clock::begin_poll();
                if let Poll::Ready(done) = work.as_mut().poll(cx) {
                    return Poll::Ready(Ok(done));
                }
                match self.look(cx) {
                    Look::Wait => return Poll::Pending,
                    Look::Again => {}
                    Look::End(end) => return Poll::Ready(Err(end)),
                }
            }
        })
        .await
    }

    /// Looks at the clock, once a poll.
    #[inline]
    fn look(&mut self, cx: &mut Context<'_>) -> Look {
        // Nearly all polls end between two requests, with the timer set early enough.
        if self.set_for_idle && self.link.rests() && self.link.tracker.keeps_alive() {
            let now = clock::now();
            let (requests, read, written) = (self.link.requests(), self.link.bytes_read(), self.link.bytes_written());
            if self.set.is_some_and(|set| set > now) && self.deadlines.rest(now, requests, read, written) {
                return Look::Wait;
            }
        }
        self.look_closely(cx)
    }

    #[inline(never)]
    fn look_closely(&mut self, cx: &mut Context<'_>) -> Look {
        let seen = self.link.seen();
        if seen.phase == Phase::Hijacked && self.link.has(link::RESPONSE_DONE) {
            // The handler is through; hyper would wait for a next request for ever.
            return Look::End(End::Upgraded);
        }
        let now = Instant::now();
        self.deadlines.update(now, &seen);
        let mut nearest = self.deadlines.nearest(&seen);
        if self.link.stage() > Stage::LameDuck || !self.link.tracker.keeps_alive() {
            match self.stopping(now, &seen) {
                Some(at) if at <= now => return Look::End(End::Stopped),
                Some(at) if nearest.is_none_or(|(nearest, _)| at < nearest) => nearest = Some((at, Limit::Idle)),
                _ => {}
            }
        }
        if self.may_sleep
            && seen.phase == Phase::Idle
            && let Some(sleepy) = self.deadlines.idle_since().and_then(|since| since.checked_add(DORMANT))
        {
            if sleepy <= now && nearest.is_none_or(|(at, _)| at > now) {
                return Look::End(End::Dormant);
            }
            nearest = Some((
                nearest.map_or(sleepy, |(at, _)| at.min(sleepy)),
                nearest.map_or(Limit::Idle, |(_, limit)| limit),
            ));
        }
        self.set_for_idle = false;
        let Some((at, limit)) = nearest else { return Look::Wait };
        if at <= now {
            return self.time_is_up(limit);
        }
        // From here on it is set to no later than `at`; and as long as the connection is idle between polls, `at` only moves on.
        self.set_for_idle = seen.phase == Phase::Idle;
        match self.set {
            // Set early enough: when it fires, we look again.
            Some(set) if set <= at && set > now => {}
            _ => {
                self.timer.as_mut().reset(at);
                self.set = Some(at);
                if self.timer.as_mut().poll(cx).is_ready() {
                    return Look::Again;
                }
            }
        }
        Look::Wait
    }

    /// When a connection on which nothing is going on ends because the server is stopping.
    #[cold]
    fn stopping(&mut self, now: Instant, seen: &crate::deadlines::Seen) -> Option<Instant> {
        match seen.phase {
            // Its first request may be on its way: Go's `Shutdown` takes it for idle after the same time.
            Phase::New if self.link.stage() > Stage::LameDuck => self.opened.checked_add(FRESH_GRACE),
            // So may the rest of a later one.
            Phase::Head if self.link.stage() > Stage::LameDuck && seen.requests > 0 => {
                self.deadlines.head_begun().and_then(|begun| begun.checked_add(FRESH_GRACE))
            }
            Phase::Idle => {
                let since = self.deadlines.idle_since().unwrap_or(now);
                since.checked_add(self.link.config.shutdown_drain)
            }
            _ => None,
        }
    }

    fn time_is_up(&mut self, limit: Limit) -> Look {
        match limit {
            Limit::Read | Limit::BodyStall => {
                // Whoever reads the body is told, and can still answer.
                self.deadlines.read_expired();
                self.link.raise(link::READ_EXPIRED);
                self.link.tracker.count_timeout();
                Look::Again
            }
            Limit::Idle if self.link.is_streams() && !self.link.has(link::GOING_AWAY) => {
                // HTTP/2 says goodbye.
                self.link.raise(link::GOING_AWAY);
                self.link.enter(Phase::Closing);
                Look::Again
            }
            Limit::Head | Limit::Idle | Limit::Write | Limit::WriteStall | Limit::HalfClosed | Limit::Closing => {
                Look::End(End::TimedOut(limit))
            }
        }
    }

    /// Ends the connection, with a last word where one is due.
    async fn finish(mut self, end: End) {
        let link = Arc::clone(&self.link);
        if let End::TimedOut(limit) = &end
            && !matches!(limit, Limit::Idle | Limit::Closing)
        {
            link.tracker.count_timeout();
        }
        if let End::Upgraded = end
            && !link.has(link::HIJACKED)
        {
            link.enter(Phase::Hijacked);
            link.raise(link::HIJACKED);
            link.tell(ConnState::Hijacked);
            link.tracker.let_go(link.info.id);
            return;
        }
        if link.has(link::HIJACKED) {
            return;
        }
        let returned = link.control().returned.take();
        if let Some((stream, _)) = returned {
            match self.last_word(&end) {
                Some(answer) => self.part(stream, answer).await,
                None if matches!(end, End::TimedOut(Limit::WriteStall | Limit::Write)) => stream.reset_on_close(),
                // A response to HTTP/1.0 may go on to the end of its connection: one that is cut must not look whole.
                None if link.is_streams() || link.phase() != Phase::Active => stream.say_goodbye(),
                None => drop(stream),
            }
        }
        if link.requests() == 0 && link.bytes_read() > 0 && link.info.tls.is_none() {
            // What came was no request, but it was something.
            link.tell(ConnState::Active);
        }
    }

    /// What a client is told whose request never became one.
    fn last_word(&self, end: &End) -> Option<String> {
        let link = &self.link;
        if link.has(link::DIRTY) || link.is_streams() {
            return None;
        }
        let in_head = matches!(link.phase(), Phase::New | Phase::Head | Phase::Idle);
        let (status, why) = match end {
            End::TimedOut(Limit::Head) if link.phase() == Phase::Head => {
                (StatusCode::REQUEST_TIMEOUT, "the request's head did not come in time")
            }
            End::Through | End::Failed(_) if in_head && link.has(link::MALFORMED) => {
                link.tracker.count_refused();
                (StatusCode::BAD_REQUEST, link.control().malformed.unwrap_or("malformed"))
            }
            End::Failed(Some(error)) if link.phase() == Phase::Head && error.is_incomplete_message() => {
                link.tracker.count_refused();
                (StatusCode::BAD_REQUEST, "the request ends in its head")
            }
            End::Refused(status, why) => {
                link.tracker.count_refused();
                (*status, &**why)
            }
            // hyper answers all parse errors itself but those of framing.
            End::Failed(Some(error)) if in_head && error.is_parse() => {
                link.tracker.count_refused();
                (StatusCode::BAD_REQUEST, "malformed request")
            }
            _ => return None,
        };
        let text = format!("{} {}: {why}\n", status.as_str(), service::reason(status));
        Some(format!(
            "HTTP/1.1 {} {}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
            status.as_str(),
            service::reason(status),
            text.len()
        ))
    }

    /// Writes `answer`, closes our side and reads on for a moment, so that the answer is not lost to a reset.
    async fn part(&mut self, mut stream: Stream, answer: String) {
        self.link.enter(Phase::Closing);
        let mut rest = answer.as_bytes();
        let mut shut = false;
        let mut linger = Linger::new();
        let link = Arc::clone(&self.link);
        let work = poll_fn(|cx| {
            while !rest.is_empty() {
                match std::task::ready!(Pin::new(&mut stream).poll_write(cx, rest)) {
                    Ok(n) if n > 0 => rest = &rest[n..],
                    _ => return Poll::Ready(()),
                }
            }
            if !shut {
                if std::task::ready!(Pin::new(&mut stream).poll_shutdown(cx)).is_err() {
                    return Poll::Ready(());
                }
                shut = true;
            }
            linger.poll(&mut stream, cx, |bytes| link.count_read(bytes))
        });
        // Too late is as good as done.
        let _ = self.run(work).await;
    }
}

enum Look {
    Wait,
    Again,
    End(End),
}

/// How long a connection is idle before its buffers are dropped, and made anew with the next request: 4 KB to read into, room for a
/// request in progress, and hyper if it was there, which most idle connections never need again. Making them anew costs some 4
/// allocations; looking at connections that are not idle for that long costs a timer four times a second.
const DORMANT: Duration = Duration::from_millis(250);

/// How long a server that stops waits for the first request of a connection that has carried none.
pub(crate) const FRESH_GRACE: Duration = Duration::from_secs(5);
