//! The public face: a request in, a response out.

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll};

use roundtrip_types::{Body, Error, ErrorKind, Request, Response, Result, RoundTripFuture, RoundTripper};

use crate::body::{ConnBody, UploadTask};
use crate::conn::{Answer, exchange};
use crate::dial::dial;
use crate::prepare::Prepared;
use crate::shared::{Lease, Shared};
use crate::{PoolStats, TransportConfig};

/// Sends requests over pooled HTTP/1.1 connections: Go's `http.Transport`.
///
/// A request takes the idle connection to its host that was used most recently, or opens one. The connection is busy until the
/// response's body has been read to its end; then it lies idle, ready for the next request, until one of the limits of
/// [`TransportConfig`] or the server closes it. So a sequence of requests uses one connection, and `n` requests at once use `n`.
///
/// **What is repeated**: a server may close an idle connection at the moment in which it is taken up again. If then not one
/// byte of an answer came, the request is sent once more on a new connection, provided that its body is in memory and it is
/// GET, HEAD, OPTIONS or TRACE, or has an `Idempotency-Key` field, or nothing of it had been sent. (Go: `shouldRetryRequest`.)
///
/// **Shape**: cheap to clone; clones share the pool. It starts no task of its own, but for one that closes expired connections
/// while some lie idle and that ends with the transport. It may be used from several runtimes.
///
/// # Errors
/// See [`ErrorKind`]; each error is one line that names the request, the phase, the peer and the connection.
///
/// # Cancel safety
/// Dropping the future of [`round_trip`](RoundTripper::round_trip), or the response's body before its end, closes the
/// connection that was in use. Nothing else is affected.
///
/// # Examples
/// See the [crate's documentation](crate).
#[derive(Clone)]
pub struct Transport {
    shared: Arc<Shared>,
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
        Transport { shared: Shared::new(config) }
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &TransportConfig {
        &self.shared.config
    }

    /// What the pool holds now and has done so far.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        self.shared.stats()
    }

    /// Closes the connections that lie idle now: Go's `CloseIdleConnections`. Those in use go on and may become idle again.
    pub fn close_idle_connections(&self) {
        self.shared.close_idle();
    }

    async fn send(&self, request: &mut Prepared, mut body: Body) -> Result<Response> {
        let mut attempt = 1;
        loop {
            let spare = body.try_clone();
            let mut lease = self.connection(request, attempt == 1).await?;
            let error = match exchange(lease.conn_mut(), request, body).await {
                Ok(answer) => return Ok(self.respond(lease, answer, request)),
                Err(error) => error,
            };
            // The server may have closed an idle connection just then. A new one cannot have that excuse, so there is at most
            // one repetition.
            match spare {
                Some(spare) if may_repeat(&error, &lease, request) => body = spare,
                _ => return Err(with_facts(error, &lease, attempt)),
            }
            attempt += 1;
        }
    }

    async fn connection(&self, request: &Prepared, may_reuse: bool) -> Result<Lease> {
        if may_reuse
            && !self.shared.config.disable_keep_alives
            && let Some(lease) = self.shared.checkout(request.key())
        {
            return Ok(lease);
        }
        // Boxed, because it is rare and large: every request's future would have room for it.
        let (stream, peer) = Box::pin(dial(request.key(), self.shared.config.connect_timeout)).await?;
        Ok(self.shared.opened(request.key(), stream, peer))
    }

    fn respond(&self, mut lease: Lease, answer: Answer, request: &Prepared) -> Response {
        let Answer { head, framing, unsent, upload_ok } = answer;
        let reusable =
            upload_ok && !self.shared.config.disable_keep_alives && !request.wants_close() && head.keep_alive(framing);
        let upload = unsent.and_then(|mut upload| {
            let mut half = lease.conn_mut().take_write_half()?;
            Some(UploadTask(tokio::spawn(async move {
                // An error here is the server's choice to hear no more; what it says instead is in the response.
                let _ = poll_fn(|cx| upload.poll_send(&mut half, &mut 0, cx)).await;
                // Kept until the response has ended: dropping it now would look like hanging up.
                half
            })))
        });
        let body = ConnBody::start(lease, framing, reusable, upload, request.method(), request.uri());
        let mut response = Response::new(body);
        *response.status_mut() = head.status;
        *response.version_mut() = head.version;
        *response.headers_mut() = head.headers;
        response
    }
}

/// Whether sending the request again cannot do harm and may help.
fn may_repeat(error: &Error, lease: &Lease, request: &Prepared) -> bool {
    let conn = lease.conn();
    error.kind() == ErrorKind::ConnectionLost
        && lease.idle.is_some()
        && conn.received == 0
        && (conn.sent == 0 || request.is_replayable())
}

#[cold]
fn with_facts(error: Error, lease: &Lease, attempt: u32) -> Error {
    let conn = lease.conn();
    let age = match lease.idle {
        Some(idle) => format!("connection {} to {}, reused after {idle:.1?} idle", conn.id.0, conn.peer),
        None => format!("new connection {} to {}", conn.id.0, conn.peer),
    };
    let repeated = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
    let sent = conn.sent > 0 || attempt > 1;
    error.with_sent(sent).with_facts(format!("{age}; {} B sent, {} B received{repeated}", conn.sent, conn.received))
}

impl Default for Transport {
    fn default() -> Self {
        Transport::new()
    }
}

impl RoundTripper for Transport {
    fn round_trip(&self, req: Request) -> impl Future<Output = Result<Response>> + Send {
        // Checked here and used in place, so that the future holds the request once.
        let mut prepared = Prepared::new(req, self.shared.config.disable_keep_alives);
        async move {
            let (request, body) = match &mut prepared {
                Ok((request, body)) => (request, std::mem::take(body)),
                Err(_) => return Err(prepared.expect_err("just seen to be an error")),
            };
            let sent = self.send(request, body).await;
            sent.map_err(|error| error.with_request(request.method(), request.uri()))
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
        f.debug_struct("Transport").field("config", &self.shared.config).field("stats", &self.stats()).finish()
    }
}
