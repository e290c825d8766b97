//! The public face: a request in, a response out.

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::Uri;
use http_body::Body as _;
use roundtrip_h1::Framing;
use roundtrip_types::{Body, Error, ErrorKind, Phase, Request, Response, Result, RoundTripFuture, RoundTripper};

use crate::acquire::{Dialing, acquire};
use crate::body::{ConnBody, Ending};
use crate::config::{Protocols, Retry, Reuse};
use crate::conn::{Answer, Exchange, Ledger, Rest};
use crate::events::GotConn;
use crate::key::Key;
use crate::lease::Lease;
use crate::mux::StreamLease;
use crate::net::ConnInfo;
use crate::pool::{CloseReason, ConnId};
use crate::prepare::Prepared;
use crate::shared::{Got, Shared, now};
use crate::streamed::{self, Outcome};
use crate::timers::Timers;
use crate::timings::{DialTimes, Timings};
use crate::upgrade::Upgraded;
use crate::{PoolStats, TransportConfig};

/// Sends requests over pooled connections, HTTP/1.1 and HTTP/2, in plain text and over TLS, directly and through proxies: Go's
/// `http.Transport`.
///
/// **Which connection**: a request takes the idle connection to its host that was used most recently. If there is none it waits in the
/// queue of its host, first come, first served, and, as far as the limits allow, a connection is opened: whichever comes first serves it,
/// one that another request gives back or one that is opened. The connection is busy until the response's body has been read to its end,
/// or has come whole with the head; then it lies idle, ready for the next request, until one of the limits of [`TransportConfig`] or the
/// server closes it. So a sequence of requests uses one connection, and `n` requests at once use `n`. Where a server speaks HTTP/2, `n`
/// requests at once share one; another is opened when it has no streams left.
///
/// **What is repeated**: a server may close an idle connection at the moment in which it is taken up again. If then not one byte of an
/// answer came, the request is sent again on another connection, provided that its body can be had again (it is in memory, or
/// [`replayable`](Body::replayable)) and it is GET, HEAD, OPTIONS or TRACE, or has an `Idempotency-Key` or `X-Idempotency-Key` field, or
/// nothing of it had been sent. On a connection that was opened for it a request is sent once. (Go: `shouldRetryRequest`.)
///
/// **What is given back**: at the end of a body its connection is in the pool before the end is reported. A body that is dropped early is
/// read on in the background, up to 256 KiB and 50 ms, and then the connection is used again; beyond that it is closed.
///
/// **Shape**: cheap to clone; clones share the pool. It starts no task of its own, but for one that closes dead and expired connections
/// while some lie idle, and that ends with the transport. It may be used from several runtimes, and it outlives them. When the last clone
/// is dropped, idle connections are closed; responses that are still being read go on.
///
/// # Errors
/// See [`ErrorKind`]; each error is one line that names the request, the phase, the peer and the connection.
///
/// # Cancel safety
/// Dropping the future of [`round_trip`](RoundTripper::round_trip) while it waits for a connection leaves its place to the next, and a
/// connection that was being opened for it goes to the next or to the pool. Dropped later, it closes the connection that was in use.
/// Nothing else is affected.
///
/// # Examples
/// See the [crate's documentation](crate).
#[derive(Clone)]
pub struct Transport {
    owner: Arc<Owner>,
}

/// Closes the pool when the last transport that shares it is gone.
struct Owner {
    shared: Arc<Shared>,
}

/// What [`Transport::shutdown`] found and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Connections that were in use when it began, and came to their end by themselves.
    pub finished: usize,
    /// Connections that were cut off because time ran out. Those who read from them get an error of kind
    /// [`Canceled`](ErrorKind::Canceled).
    pub cut: usize,
}

impl Transport {
    /// A transport with the default [`TransportConfig`].
    #[must_use]
    pub fn new() -> Self {
        Transport::with_config(TransportConfig::default())
    }

    /// A transport with settings of your own.
    #[must_use]
    pub fn with_config(config: TransportConfig) -> Self {
        Transport { owner: Arc::new(Owner { shared: Shared::new(config) }) }
    }

    /// The settings that are in force now.
    #[must_use]
    pub fn config(&self) -> Arc<TransportConfig> {
        self.shared().config.load_full()
    }

    /// Changes settings while the transport is in use.
    ///
    /// Limits hold at once: idle connections above them are closed, those in use when they come back, and requests that wait get what a
    /// raised limit allows. Everything else holds for requests that begin afterwards. Of two updates at the same moment one may be lost.
    pub fn update(&self, change: impl FnOnce(&mut TransportConfig)) {
        let mut config = TransportConfig::clone(&self.config());
        change(&mut config);
        self.shared().set_config(config);
    }

    /// What the pool holds now and has done so far.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        self.shared().stats()
    }

    /// What the pool holds for the host of `uri` now, and has done so far; all zero for a host that it does not know.
    ///
    /// # Errors
    /// [`ErrorKind::Request`] if `uri` has no scheme and host that the transport could send to.
    pub fn stats_for(&self, uri: &Uri) -> Result<PoolStats> {
        Ok(self.shared().stats_for(&key_of(uri, self.config().protocols)?))
    }

    /// Closes the connections that lie idle now, and gives up those being opened that no request waits for: Go's
    /// `CloseIdleConnections`. Those in use go on; when they come back they are closed too, unless another request was made meanwhile.
    pub fn close_idle_connections(&self) {
        self.shared().close_idle();
    }

    /// Closes the idle connections to the host of `uri`, and those in use when they come back: for a server that is known to have moved.
    ///
    /// # Errors
    /// [`ErrorKind::Request`] if `uri` has no scheme and host that the transport could send to.
    pub fn evict(&self, uri: &Uri) -> Result<()> {
        self.shared().evict(&key_of(uri, self.config().protocols)?);
        Ok(())
    }

    /// Opens up to `n` connections to the host of `uri` ahead of the requests that will use them, all at once, and as many as the limits
    /// allow. Returns how many were opened.
    ///
    /// # Errors
    /// If none could be opened, why the first could not. [`ErrorKind::Request`] if `uri` has no scheme and host that the transport could
    /// send to.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the connections that are still being opened.
    pub async fn warm(&self, uri: &Uri, n: usize) -> Result<usize> {
        let key = key_of(uri, self.config().protocols)?;
        let config = self.config();
        let mut dials = Vec::new();
        while dials.len() < n
            && let Some(id) = self.shared().dial_ahead(&key)
        {
            let dial = Dialing::new(self.shared(), &key, config.connect_timeout, config.events.clone(), id);
            dials.push(Box::pin(dial.run()));
        }
        let (mut opened, mut failure) = (0, None);
        // Polled together; a few futures, so each is looked at whenever one has something new.
        poll_fn(|cx| {
            dials.retain_mut(|dial| match dial.as_mut().poll(cx) {
                Poll::Pending => true,
                Poll::Ready(Ok(())) => {
                    opened += 1;
                    false
                }
                Poll::Ready(Err(error)) => {
                    failure.get_or_insert(error);
                    false
                }
            });
            if dials.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        match failure {
            Some(error) if opened == 0 => Err(error),
            _ => Ok(opened),
        }
    }

    /// Has `round_tripper` send the requests whose URLs have this scheme, such as `file`: Go's `RegisterProtocol`.
    ///
    /// # Errors
    /// [`ErrorKind::Request`]: the scheme is `http` or `https`, or it was registered before.
    ///
    /// ```
    /// use roundtrip_transport::{RoundTripper, Transport};
    /// use roundtrip_types::{Body, Request, Response, Result};
    ///
    /// struct Echo;
    ///
    /// impl RoundTripper for Echo {
    ///     async fn round_trip(&self, req: Request) -> Result<Response> {
    ///         Ok(http::Response::new(Body::from(req.uri().path().to_owned())))
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let transport = Transport::new();
    /// transport.register_scheme("echo", Echo)?;
    /// let response = transport.round_trip(http::Request::get("echo://any/where").body(Body::empty())?).await?;
    /// assert_eq!(response.into_body().text().await?, "/where");
    /// # Ok(())
    /// # }
    /// ```
    pub fn register_scheme(&self, scheme: &str, round_tripper: impl RoundTripper) -> Result<()> {
        let scheme = scheme.to_ascii_lowercase();
        let taken = matches!(&*scheme, "http" | "https");
        if taken || !self.shared().register(scheme.clone(), round_tripper.boxed()) {
            return Err(Error::new(ErrorKind::Request, format!("the scheme \"{}\" is taken", scheme.escape_debug())));
        }
        Ok(())
    }

    /// Stops the transport for good: new requests and those that wait for a connection are refused with an error of kind
    /// [`Canceled`](ErrorKind::Canceled), idle connections are closed, and those in use may come to their end within `time`; then they are
    /// cut off. Returns when all are accounted for.
    ///
    /// A response that nobody reads keeps its socket open until it is dropped; it counts as cut.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the transport stopped, without cutting anything off.
    pub async fn shutdown(&self, time: Duration) -> ShutdownReport {
        let shared = self.shared();
        shared.shut_down();
        let in_use = shared.stats().in_use;
        if tokio::time::timeout(time, shared.wait_empty()).await.is_err() {
            shared.cut();
        }
        let cut = shared.stats().in_use;
        ShutdownReport { finished: in_use.saturating_sub(cut), cut }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.owner.shared
    }

    /// Sends `request`, as often as it takes, and puts the answer into `response`.
    #[expect(clippy::manual_async_fn, reason = "an `async fn` has room for its arguments twice: given, and used")]
    fn send(&self, request: &mut Prepared<'_>, response: &mut Response) -> impl Future<Output = Result<()>> + Send {
        async move {
            let mut body = request.take_body();
            let mut timers = Timers::new(request.total_timeout());
            let mut ledger = request.wants_timings().then(Ledger::start);
            if request.may_lack_body() && !body.is_end_stream() {
                body = Box::pin(probe(request, body)).await?;
            }
            let mut attempt = 1;
            loop {
                note(&mut ledger, |ledger, now| ledger.asked = now);
                // In a block of its own, so that the future has no room for it beside the lease that was in it.
                let mut lease = {
                    let got = acquire(self.shared(), request, &mut timers).await?;
                    note(&mut ledger, |ledger, now| ledger.got_conn = now);
                    if let Some(events) = request.events() {
                        events.got_conn(&request.key().to_string(), &got.described());
                    }
                    match got {
                        Got::Conn(lease) if request.only_http2() => {
                            lease.put_back();
                            return Err(not_http2(request.key()));
                        }
                        Got::Conn(lease) => lease,
                        Got::Stream(stream) => {
                            // Boxed, because it is large: requests over HTTP/1.1 would have room for it.
                            let streamed =
                                Box::pin(self.streamed(stream, request, &mut timers, &mut ledger, body, attempt));
                            match streamed.await? {
                                Ok(answered) => {
                                    *response = *answered;
                                    return Ok(());
                                }
                                Err(again) => body = again,
                            }
                            attempt += 1;
                            continue;
                        }
                    }
                };
                // On a connection of its own nothing is repeated, so nothing need be kept for it.
                let again = if lease.reused { body.replayer() } else { None };
                let mut exchange = Exchange::new(lease.conn_mut(), request, &mut timers, &mut ledger, body);
                let error = match poll_fn(|cx| exchange.poll(lease.conn_mut(), response, cx)).await {
                    Ok(answer) => {
                        respond(lease, answer, request, &mut timers, ledger.map(|ledger| (ledger, attempt)), response);
                        return Ok(());
                    }
                    Err(error) => error,
                };
                lease.fate = CloseReason::Failed;
                match again {
                    Some(again) if may_repeat(&error, &lease, request) => {
                        self.shared().retried(request.key());
                        if let Some(events) = request.events() {
                            events.retry(attempt, &error);
                        }
                        body = again.body();
                    }
                    _ => return Err(with_facts(error, &lease, attempt)),
                }
                attempt += 1;
            }
        }
    }
}

impl Transport {
    /// One attempt over HTTP/2: the response, or the body of the next attempt.
    async fn streamed(
        &self,
        stream: StreamLease,
        request: &mut Prepared<'_>,
        timers: &mut Timers,
        ledger: &mut Option<Box<Ledger>>,
        body: Body,
        attempt: u32,
    ) -> Result<Result<Box<Response>, Body>> {
        let on = On::stream(&stream);
        let ended_at = ledger.as_ref().map(|_| Arc::default());
        let outcome = streamed::exchange(stream, request, timers, ledger, body, attempt, ended_at.clone()).await?;
        let mut response = match outcome {
            Outcome::Answered(response) => response,
            Outcome::Again(body, error) => {
                self.shared().retried(request.key());
                if let Some(events) = request.events() {
                    events.retry(attempt, &error);
                }
                return Ok(Err(body));
            }
        };
        complete(&mut response, request, on, ledger.as_deref().zip(ended_at), attempt);
        Ok(Ok(response))
    }
}

/// Adds to a response over HTTP/2 what its request asks for.
pub(crate) fn complete(
    response: &mut Response,
    request: &Prepared<'_>,
    on: On,
    ledger: Option<(&Ledger, Arc<OnceLock<Instant>>)>,
    attempt: u32,
) {
    let mut body = std::mem::take(response.body_mut());
    if let Some(uncompressed) = request.decode(response.headers_mut(), &mut body) {
        response.extensions_mut().insert(uncompressed);
    }
    *response.body_mut() = body;
    if let Some((ledger, ended_at)) = ledger {
        response.extensions_mut().insert(timings(on, ledger, attempt, ended_at));
    }
}

/// What is said about the connection that carries a request.
pub(crate) struct On {
    id: ConnId,
    info: ConnInfo,
    reused: bool,
    idle: Option<Duration>,
    dial: DialTimes,
}

impl On {
    pub(crate) fn conn(lease: &Lease) -> Self {
        let conn = lease.conn();
        On { id: conn.id, info: conn.info.clone(), reused: lease.reused, idle: lease.idle(), dial: conn.dial }
    }

    pub(crate) fn stream(lease: &StreamLease) -> Self {
        let StreamLease { mux, id, reused, idle, .. } = lease;
        On { id: *id, info: mux.info().clone(), reused: *reused, idle: *idle, dial: mux.dial }
    }
}

impl Got {
    pub(crate) fn described(&self) -> GotConn {
        let On { id, info, reused, idle, .. } = match self {
            Got::Conn(lease) => On::conn(lease),
            Got::Stream(stream) => On::stream(stream),
        };
        GotConn { id, info, reused, idle }
    }
}

/// Notes a moment, for those who asked.
pub(crate) fn note(ledger: &mut Option<Box<Ledger>>, write: impl FnOnce(&mut Ledger, Instant)) {
    if let Some(ledger) = ledger {
        write(ledger, now());
    }
}

/// The head has come: what becomes of the connection, and the rest of the response.
pub(crate) fn respond(
    mut lease: Lease,
    answer: Answer,
    request: &Prepared<'_>,
    timers: &mut Timers,
    asked: Option<(Box<Ledger>, u32)>,
    response: &mut Response,
) {
    let Answer { framing, keep_alive, coded, unsent, upload_ok } = answer;
    let reusable = upload_ok && keep_alive && request.reuse() != Reuse::Never && !request.wants_close();
    let timings = asked.map(|(ledger, attempt)| timings(On::conn(&lease), &ledger, attempt, Arc::default()));
    let ended_at = timings.as_ref().map(|timings| Arc::clone(&timings.body_end));
    if framing == Framing::Tunnel {
        if let Some((stream, read_ahead, info)) = lease.into_conn().into_parts() {
            Upgraded::new(stream, read_ahead, info).put(response);
        }
    } else {
        let rest = unsent.and_then(|upload| Some(Rest::spawn(upload, lease.conn_mut().split()?)));
        let mut body = ConnBody::start(Ending { lease, reusable, rest }, framing, request, timers, ended_at);
        if coded && let Some(uncompressed) = request.decode(response.headers_mut(), &mut body) {
            response.extensions_mut().insert(uncompressed);
        }
        *response.body_mut() = body;
    }
    if let Some(timings) = timings {
        response.extensions_mut().insert(timings);
    }
}

#[cold]
fn timings(on: On, ledger: &Ledger, attempts: u32, body_end: Arc<OnceLock<Instant>>) -> Timings {
    let &Ledger { started, asked, got_conn, wrote, first_byte } = ledger;
    let On { id, info, reused, idle, dial } = on;
    let head = now();
    Timings {
        started,
        attempts,
        conn: id,
        info,
        reused,
        idle,
        dial: if reused { Default::default() } else { dial },
        got_conn,
        asked,
        wrote,
        first_byte: first_byte.unwrap_or(head),
        head,
        body_end,
    }
}

/// Whether sending the request again cannot do harm and may help.
fn may_repeat(error: &Error, lease: &Lease, request: &Prepared<'_>) -> bool {
    let conn = lease.conn();
    error.kind() == ErrorKind::ConnectionLost
        && lease.reused
        && conn.received == 0
        && request.retry() != Retry::Never
        && (conn.sent == 0 || request.is_replayable())
}

/// The server does not speak HTTP/2, and nothing else will do.
#[cold]
pub(crate) fn not_http2(key: &Key) -> Error {
    let message = format!("{key}: the server does not speak HTTP/2, and nothing else is wanted");
    Error::new(ErrorKind::Connect, message).with_phase(Phase::Tls)
}

#[cold]
pub(crate) fn with_facts(error: Error, lease: &Lease, attempt: u32) -> Error {
    let conn = lease.conn();
    let (id, peer) = (conn.id, conn.info.peer());
    let age = match (lease.reused, lease.idle()) {
        (_, Some(idle)) => format!("{id} to {peer}, reused after {idle:.1?} idle"),
        (true, None) => format!("{id} to {peer}, reused"),
        (false, None) => format!("new {id} to {peer}"),
    };
    let repeated = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
    let sent = conn.sent > 0 || attempt > 1;
    error.with_sent(sent).with_facts(format!("{age}; {} B sent, {} B received{repeated}", conn.sent, conn.received))
}

/// How long a body of unknown length is given to turn out to be empty. Go: `probeRequestBody`.
const PROBE_TIME: Duration = Duration::from_millis(200);

/// Looks whether a body is empty; the request is then sent without one.
pub(crate) async fn probe(request: &mut Prepared<'_>, mut body: Body) -> Result<Body> {
    match tokio::time::timeout(PROBE_TIME, body.frame()).await {
        Ok(None) => {
            request.without_body();
            Ok(Body::empty())
        }
        Ok(Some(Ok(first))) => Ok(body.with_first(first)),
        Ok(Some(Err(error))) => {
            Err(Error::new(ErrorKind::Body, "the request's body failed").with_cause(error).with_phase(Phase::Write))
        }
        // It takes its time, so it has something to say.
        Err(_) => Ok(body),
    }
}

fn key_of(uri: &Uri, protocols: Protocols) -> Result<Key> {
    crate::prepare::key_of(uri, protocols).map_err(|error| error.with_request(&http::Method::GET, uri))
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.shut_down();
    }
}

impl Default for Transport {
    fn default() -> Self {
        Transport::new()
    }
}

impl RoundTripper for Transport {
    #[expect(clippy::manual_async_fn, reason = "an `async fn` has room for the request twice: given, and used")]
    fn round_trip(&self, mut req: Request) -> impl Future<Output = Result<Response>> + Send {
        async move {
            // Used in place, as the request is.
            let mut response = Response::default();
            let mut refused = false;
            let sent = 'sent: {
                // Taken out of the result before anything is awaited: the future would have room for both.
                let mut prepared = match Prepared::new(&mut req, self.config()) {
                    Ok(prepared) => prepared,
                    Err(error) => {
                        refused = true;
                        break 'sent Err(error);
                    }
                };
                self.send(&mut prepared, &mut response).await
            };
            let Err(error) = sent else { return Ok(response) };
            if refused && let Some(other) = req.uri().scheme_str().and_then(|scheme| self.shared().registered(scheme)) {
                // It is as it came: its scheme is what is looked at first.
                return other.round_trip(req).await;
            }
            Err(error.with_request(req.method(), req.uri()))
        }
    }
}

/// A transport is a tower service, always ready; a call boxes its future, one allocation.
impl tower_service::Service<Request> for Transport {
    type Response = Response;
    type Error = Error;
    type Future = RoundTripFuture<'static>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: Request) -> Self::Future {
        let transport = self.clone();
        Box::pin(async move { transport.round_trip(req).await })
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("config", &self.config()).field("stats", &self.stats()).finish()
    }
}
