//! Hearing what happens inside: Go's `httptrace.ClientTrace`, for a whole transport or for one request.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use roundtrip_types::Error;

use crate::net::ConnInfo;
use crate::pool::{CloseReason, ConnId};

/// Is told what happens to requests and connections, with the names of Go's `httptrace.ClientTrace`.
///
/// # Contract
/// - All methods do nothing unless implemented.
/// - They are called in the task that does the work, never under a lock; they must not block, and they may be called from several threads
///   at once.
/// - Those of one request come in this order: `get_conn`; for a new connection `connect_start` and `connect_done`; `got_conn`,
///   `wrote_headers`, `wait_100_continue`, `wrote_request`; `put_idle_conn`. `got_first_response_byte` and behind it `got_1xx_response` come
///   whenever the server says something, which may be before `wrote_request`. A request that is sent again begins anew behind `retry`. A
///   dial that was begun for a request may end after it, since it belongs to the host. It is the same over HTTP/1 and HTTP/2.
/// - Nobody listening costs one branch each.
///
/// ```
/// use std::sync::Arc;
/// use roundtrip_transport::{Events, GotConn, Transport, TransportConfig};
///
/// struct Print;
///
/// impl Events for Print {
///     fn got_conn(&self, host: &str, conn: &GotConn) {
///         println!("{host}: connection {:?}, reused: {}", conn.id, conn.reused);
///     }
/// }
///
/// let transport = Transport::with_config(TransportConfig { events: Some(Arc::new(Print)), ..TransportConfig::default() });
/// # let _ = transport;
/// ```
#[expect(unused_variables, reason = "the names are documentation; the bodies are empty")]
pub trait Events: Send + Sync + 'static {
    /// A request asks the pool for a connection to `host` (`name:port`).
    fn get_conn(&self, host: &str) {}

    /// A connection to `host` is being opened. Go: `DNSStart` and `ConnectStart`.
    fn connect_start(&self, host: &str) {}

    /// It was opened, or that failed. Go: `DNSDone`, `ConnectDone` and `TLSHandshakeDone`.
    fn connect_done(&self, host: &str, result: Result<&Connected, &Error>) {}

    /// A request has a connection.
    fn got_conn(&self, host: &str, conn: &GotConn) {}

    /// The request's head was handed to the network.
    fn wrote_headers(&self, conn: ConnId) {}

    /// The request holds its body back until the server says `100 Continue`, or for the time allowed.
    fn wait_100_continue(&self, conn: ConnId) {}

    /// An interim response came. Go: `Got100Continue` and `Got1xxResponse`.
    fn got_1xx_response(&self, conn: ConnId, status: StatusCode, headers: &HeaderMap) {}

    /// The request was handed to the network in full, or that failed.
    fn wrote_request(&self, conn: ConnId, result: Result<(), &str>) {}

    /// The first byte of a response came.
    fn got_first_response_byte(&self, conn: ConnId) {}

    /// A connection lies idle, ready for another request.
    fn put_idle_conn(&self, conn: ConnId) {}

    /// A connection was closed. Go has no such event.
    fn conn_closed(&self, conn: ConnId, reason: CloseReason) {}

    /// The request is sent again: attempt `attempt`, counted from 1, failed with `error`. Go has no such event.
    fn retry(&self, attempt: u32, error: &Error) {}
}

/// A connection that was opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Connected {
    /// Where it leads and how it is secured.
    pub info: ConnInfo,
    /// How long resolving the name took; `None` if there was none to resolve.
    pub dns: Option<Duration>,
    /// How long connecting took, all addresses tried included.
    pub connect: Option<Duration>,
    /// How long the proxy took to let us through.
    pub proxy: Option<Duration>,
    /// How long the TLS handshake took.
    pub tls: Option<Duration>,
}

/// The connection that a request was given. Go: `httptrace.GotConnInfo`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GotConn {
    /// Its number, unique in its transport.
    pub id: ConnId,
    /// Where it leads and how it is secured.
    pub info: ConnInfo,
    /// Whether it was opened for another request. Go: `Reused`.
    pub reused: bool,
    /// How long it lay idle; `None` if it did not. Go: `WasIdle` and `IdleTime`.
    pub idle: Option<Duration>,
}
