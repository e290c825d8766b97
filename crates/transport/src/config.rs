//! Settings of a transport, and of one request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::decode::ContentCoding;
use crate::events::Events;
use crate::h2::Http2Config;
use crate::net::{ConnectConfig, ProxyConfig};

/// The settings of a [`Transport`](crate::Transport): a plain struct to fill in. End a literal with
/// `..TransportConfig::default()`: later versions add fields.
///
/// The limits on connections can be changed while the transport is in use ([`Transport::update`](crate::Transport::update)), and most
/// settings can be set otherwise for one request ([`RequestOptions`]).
///
/// ```
/// use roundtrip_transport::{Transport, TransportConfig};
///
/// let transport = Transport::with_config(TransportConfig { max_idle_conns_per_host: 4, ..TransportConfig::default() });
/// transport.update(|config| config.max_conns_per_host = Some(8));
/// assert_eq!(transport.config().max_conns_per_host, Some(8));
/// ```
#[derive(Clone)]
pub struct TransportConfig {
    /// Most idle connections to keep over all hosts; beyond it the one that was used least recently is closed.
    ///
    /// Default 100, as Go's default transport (`MaxIdleConns`). 0 keeps none. Each costs a socket here and on the server.
    pub max_idle_conns: usize,

    /// Most idle connections to keep to one host (one scheme, name and port); beyond it the one coming back is closed.
    ///
    /// Default 32. Raise it to the number of requests you run at once against one host. 0 keeps none and hands none on: each request
    /// has a connection of its own. Differs from Go (`MaxIdleConnsPerHost`): Go keeps 2, which throws connections away as soon as
    /// three requests run at the same time (golang/go#13801).
    pub max_idle_conns_per_host: usize,

    /// Most connections to one host, those being opened, in use and idle together. Requests beyond it wait, first come, first served.
    ///
    /// Default 512; `None` sets no limit, as Go (`MaxConnsPerHost`); 0 counts as 1. It keeps a burst of requests from opening a socket
    /// each. A response whose body is neither read to its end nor dropped holds its connection, and so its share of the limit.
    pub max_conns_per_host: Option<usize>,

    /// Most connections over all hosts. When it is reached, an idle connection to another host makes way; if there is none, requests
    /// wait, host by host in turn.
    ///
    /// Default `None`: no limit; 0 counts as 1. Go has none. Set it below the file descriptors that the process may have.
    pub max_conns: Option<usize>,

    /// Most connections to one host that are being opened at the same time.
    ///
    /// Default 32; `None` sets no limit, as Go, which has none; 0 counts as 1. When a host answers slowly, a burst of requests would
    /// otherwise open a connection each, most of which nobody needs by the time they are open.
    pub max_dials_per_host: Option<usize>,

    /// Most requests that wait for a connection to one host; the next is refused at once with an error of kind
    /// [`Overloaded`](roundtrip_types::ErrorKind::Overloaded).
    ///
    /// Default `None`: no limit, as Go, which has none. It is the memory that an overloaded host can cost: a waiting request holds
    /// some 200 bytes here besides its own.
    pub max_waiters_per_host: Option<usize>,

    /// How long a connection may lie idle before it is closed. Default 90 s, as Go's default transport (`IdleConnTimeout`); `None`
    /// keeps it until the server closes it. Servers close idle connections too, most after 5 to 75 s; if a server says for how long
    /// it keeps them (`Keep-Alive: timeout=5`), they are given up one second earlier.
    pub idle_conn_timeout: Option<Duration>,

    /// How old a connection may be to carry another request. Default `None`: any age, as Go, which has no such limit.
    ///
    /// Each connection's limit is up to 10 % shorter or longer, so that those opened together do not end together. It spreads the load
    /// anew when servers or their addresses change behind a name.
    pub max_conn_age: Option<Duration>,

    /// How many requests a connection may carry. Default `None`: any number, as Go, which has no such limit; 0 counts as 1.
    pub max_requests_per_conn: Option<u64>,

    /// One connection per request: each request says `Connection: close` and none is kept. Default false. Go: `DisableKeepAlives`.
    pub disable_keep_alives: bool,

    /// How servers are reached: names, TCP, proxies, TLS. Default: over TCP with the system's resolver. It is read once, when the
    /// transport is made: an update does not change it.
    pub connect: ConnectConfig,

    /// Which proxy requests go through. Default: none. Go's default transport takes those of the environment:
    /// [`ProxyConfig::from_env`]. Its `Transport.Proxy`.
    pub proxy: ProxyConfig,

    /// Which versions of HTTP are spoken. Default: HTTP/2 where a server agrees to it in the TLS handshake, else HTTP/1.1. Go's
    /// `Transport.Protocols`.
    pub protocols: Protocols,

    /// How HTTP/2 is spoken. Default as [`Http2Config::default`].
    pub http2: Http2Config,

    /// How long a request may wait in the queue of its host before its own connection is being opened. Default `None`: as long as it
    /// takes, as Go. Ends with a [`Timeout`](roundtrip_types::ErrorKind::Timeout) in phase `queue`.
    pub wait_timeout: Option<Duration>,

    /// How long opening a connection may take, name resolution and all addresses included. Default 30 s, as Go's default
    /// transport; `None` leaves it to the operating system, which can take minutes. Phases `dns` and `connect`.
    pub connect_timeout: Option<Duration>,

    /// How long the response's head may take, from when the request was sent in full. Default `None`: as long as it takes, as Go
    /// (`ResponseHeaderTimeout`). Interim responses do not extend it. Phase `wait`. An [`ExtendedConnect`](crate::ExtendedConnect) waits as
    /// long for the server's settings, but 10 s at most.
    pub response_header_timeout: Option<Duration>,

    /// How long the response's body may pause. The clock runs while a read waits for the server, not while the caller does something
    /// else. Default `None`: as long as it takes, as Go, which has no such limit. Phase `body`.
    pub body_gap_timeout: Option<Duration>,

    /// How long a request may take in all, from the pool's queue to the end of the response's body. Default `None`: as long as it
    /// takes. The error's phase says how far it had come.
    pub total_timeout: Option<Duration>,

    /// How long a request with `Expect: 100-continue` holds its body back for the server's word. Default 1 s, as Go's default transport
    /// (`ExpectContinueTimeout`); `None` sends it at once.
    pub expect_continue_timeout: Option<Duration>,

    /// Most bytes of a response's head, those of interim (1xx) responses before it included. Default 1 MiB.
    ///
    /// It stops a server that sends header fields without end. Differs from Go (`MaxResponseHeaderBytes`): Go allows 10 MiB.
    pub max_response_header_bytes: usize,

    /// Most fields in a response's head. Default 1000; Go has no such limit. It bounds the memory and the time that a head of tiny
    /// fields costs.
    pub max_response_header_fields: usize,

    /// The content codings to offer to servers, the preferred one first. Default gzip, as Go; none is Go's `DisableCompression`.
    ///
    /// They are offered, and the response's body is decoded while it is read, if the request has no `Accept-Encoding` and no `Range` field
    /// and its method is not HEAD. Such a response has [`Uncompressed`](crate::Uncompressed) in its extensions.
    pub accept_codings: Vec<ContentCoding>,

    /// Most bytes of a body when it is decoded; beyond it, reading fails with [`TooLarge`](roundtrip_types::ErrorKind::TooLarge).
    /// Default `None`: no limit, as Go. A server can send a thousand times what it has to send.
    pub max_decoded_bytes: Option<u64>,

    /// Puts [`Timings`](crate::Timings) into the extensions of each response. Default false: they cost three allocations and six looks
    /// at the clock a request.
    pub timings: bool,

    /// Is told of everything that happens: Go's `httptrace.ClientTrace`, for all requests. Default `None`, which costs nothing.
    pub events: Option<Arc<dyn Events>>,
}

impl Default for TransportConfig {
    fn default() -> Self {
        TransportConfig {
            max_idle_conns: 100,
            max_idle_conns_per_host: 32,
            max_conns_per_host: Some(512),
            max_conns: None,
            max_dials_per_host: Some(32),
            max_waiters_per_host: None,
            idle_conn_timeout: Some(Duration::from_secs(90)),
            max_conn_age: None,
            max_requests_per_conn: None,
            disable_keep_alives: false,
            connect: ConnectConfig::default(),
            proxy: ProxyConfig::none(),
            protocols: Protocols::default(),
            http2: Http2Config::default(),
            wait_timeout: None,
            connect_timeout: Some(Duration::from_secs(30)),
            response_header_timeout: None,
            body_gap_timeout: None,
            total_timeout: None,
            expect_continue_timeout: Some(Duration::from_secs(1)),
            max_response_header_bytes: 1 << 20,
            max_response_header_fields: 1000,
            accept_codings: ContentCoding::default_offer(),
            max_decoded_bytes: None,
            timings: false,
            events: None,
        }
    }
}

impl TransportConfig {
    /// The settings of Go's `http.DefaultTransport`, and no limits where Go has none.
    #[must_use]
    pub fn go() -> Self {
        TransportConfig {
            max_idle_conns_per_host: 2,
            max_conns_per_host: None,
            max_dials_per_host: None,
            max_response_header_bytes: 10 << 20,
            max_response_header_fields: usize::MAX,
            proxy: ProxyConfig::from_env(),
            ..TransportConfig::default()
        }
    }
}

impl fmt::Debug for TransportConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportConfig")
            .field("max_idle_conns", &self.max_idle_conns)
            .field("max_idle_conns_per_host", &self.max_idle_conns_per_host)
            .field("max_conns_per_host", &self.max_conns_per_host)
            .field("max_conns", &self.max_conns)
            .field("max_dials_per_host", &self.max_dials_per_host)
            .field("max_waiters_per_host", &self.max_waiters_per_host)
            .field("idle_conn_timeout", &self.idle_conn_timeout)
            .field("max_conn_age", &self.max_conn_age)
            .field("max_requests_per_conn", &self.max_requests_per_conn)
            .field("disable_keep_alives", &self.disable_keep_alives)
            .field("connect", &self.connect)
            .field("proxy", &self.proxy)
            .field("protocols", &self.protocols)
            .field("http2", &self.http2)
            .field("wait_timeout", &self.wait_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("response_header_timeout", &self.response_header_timeout)
            .field("body_gap_timeout", &self.body_gap_timeout)
            .field("total_timeout", &self.total_timeout)
            .field("expect_continue_timeout", &self.expect_continue_timeout)
            .field("max_response_header_bytes", &self.max_response_header_bytes)
            .field("max_response_header_fields", &self.max_response_header_fields)
            .field("accept_codings", &self.accept_codings)
            .field("max_decoded_bytes", &self.max_decoded_bytes)
            .field("timings", &self.timings)
            .field("events", &self.events.is_some())
            .finish()
    }
}

/// What one request does otherwise than its transport's [`TransportConfig`] says. It goes into the request's extensions.
///
/// **Shape**: every field is optional, and `None` leaves the transport's setting in force. For a time limit, `Some(Duration::MAX)` means
/// no limit. Cheap to clone.
///
/// ```
/// use std::time::Duration;
/// use roundtrip_transport::RequestOptions;
/// use roundtrip_types::Body;
///
/// let mut req = http::Request::get("http://127.0.0.1:8080/slow").body(Body::empty())?;
/// req.extensions_mut().insert(RequestOptions { total_timeout: Some(Duration::from_secs(2)), ..RequestOptions::default() });
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct RequestOptions {
    /// The proxy of this request; see [`TransportConfig::proxy`].
    pub proxy: Option<ProxyConfig>,
    /// Which versions of HTTP this request may go over, instead of [`TransportConfig::protocols`].
    ///
    /// - `Http1`: over a connection of HTTP/1.1, from a pool of its own where the others negotiate; as for Go's requests that force it.
    /// - `Http2`: over a connection that the others share as well; if the server turns out not to speak HTTP/2, an error of kind
    ///   [`Connect`](roundtrip_types::ErrorKind::Connect), and the connection stays for others. In plain text by prior knowledge. An
    ///   `Upgrade` or `CONNECT` is refused, and so is what a proxy forwards over HTTP/1.1.
    /// - `Http2OrHttp1`: as the server agrees.
    ///
    /// Go has no such choice for one request.
    pub protocols: Option<Protocols>,
    /// See [`TransportConfig::wait_timeout`].
    pub wait_timeout: Option<Duration>,
    /// See [`TransportConfig::connect_timeout`]. It counts for the connection that is opened for this request, whoever uses it then.
    pub connect_timeout: Option<Duration>,
    /// See [`TransportConfig::response_header_timeout`].
    pub response_header_timeout: Option<Duration>,
    /// See [`TransportConfig::body_gap_timeout`].
    pub body_gap_timeout: Option<Duration>,
    /// See [`TransportConfig::total_timeout`].
    pub total_timeout: Option<Duration>,
    /// See [`TransportConfig::expect_continue_timeout`]. `Some(Duration::ZERO)` sends the body at once.
    pub expect_continue_timeout: Option<Duration>,
    /// See [`TransportConfig::max_response_header_bytes`].
    pub max_response_header_bytes: Option<usize>,
    /// See [`TransportConfig::max_response_header_fields`].
    pub max_response_header_fields: Option<usize>,
    /// Which connection it may use.
    pub reuse: Reuse,
    /// When it may be sent again.
    pub retry: Retry,
    /// Is called for each interim (1xx) response, in order, before the final one is returned. Go: `httptrace.ClientTrace`,
    /// `Got1xxResponse`.
    ///
    /// As in Go, with this set the limit on header bytes holds for each interim response by itself and not for all together.
    pub on_interim: Option<InterimHook>,
    /// Puts [`Timings`](crate::Timings) into the extensions of the response. `None` leaves it to [`TransportConfig::timings`].
    pub timings: Option<bool>,
    /// Is told what happens to this request, instead of [`TransportConfig::events`].
    pub events: Option<Arc<dyn Events>>,
}

/// Which versions of HTTP a transport speaks, or one request goes over ([`RequestOptions::protocols`]).
///
/// Requests for another protocol (`Upgrade`) and `CONNECT` go over HTTP/1.1 in any case, and those with
/// [`ExtendedConnect`](crate::ExtendedConnect) over HTTP/2. The version that a request carries
/// ([`http::Request::version`]) says nothing, as Go's `Request.Proto` on the client: it is 1.1 by default, whoever made the request, and so
/// no sign of a wish. A response's version is that of the connection it came over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocols {
    /// HTTP/2 where a server agrees to it in the TLS handshake (ALPN), else HTTP/1.1. Plain text is HTTP/1.1.
    #[default]
    Http2OrHttp1,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only: over TLS by agreement, in plain text with prior knowledge that the server speaks it (RFC 9113, section 3.3). A server
    /// that then wants a request over HTTP/1.1 (`HTTP_1_1_REQUIRED`) gets its error.
    Http2,
}

/// Which connection a request may use, and what becomes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reuse {
    /// One from the pool or a new one, which goes to the pool afterwards.
    #[default]
    Pooled,
    /// A new one, which goes to the pool afterwards.
    Fresh,
    /// A new one, which is closed afterwards. The server is not told; for that, send `Connection: close`.
    Never,
}

/// When a request that got no answer on a reused connection may be sent again.
///
/// In each case only if not one byte of a response came, and only if the body can be had again
/// ([`Body::replayable`](roundtrip_types::Body::replayable) or in memory).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// As Go does: if nothing of it was sent; or if its method is GET, HEAD, OPTIONS or TRACE; or if it has an `Idempotency-Key` or
    /// `X-Idempotency-Key` field.
    #[default]
    Safe,
    /// Always: the caller knows that doing it twice is harmless.
    Always,
    /// Never.
    Never,
}

/// What is called for each interim response. Cheap to clone.
#[derive(Clone)]
pub struct InterimHook(Arc<Interim>);

type Interim = dyn Fn(StatusCode, &HeaderMap) + Send + Sync;

impl InterimHook {
    /// Calls `hook` with the status (1xx) and the fields. It runs in the request's task, so it must not block.
    #[must_use]
    pub fn new(hook: impl Fn(StatusCode, &HeaderMap) + Send + Sync + 'static) -> Self {
        InterimHook(Arc::new(hook))
    }

    pub(crate) fn call(&self, status: StatusCode, headers: &HeaderMap) {
        (self.0)(status, headers);
    }
}

impl fmt::Debug for InterimHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InterimHook(..)")
    }
}

impl fmt::Debug for RequestOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestOptions")
            .field("proxy", &self.proxy)
            .field("protocols", &self.protocols)
            .field("wait_timeout", &self.wait_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("response_header_timeout", &self.response_header_timeout)
            .field("body_gap_timeout", &self.body_gap_timeout)
            .field("total_timeout", &self.total_timeout)
            .field("expect_continue_timeout", &self.expect_continue_timeout)
            .field("max_response_header_bytes", &self.max_response_header_bytes)
            .field("max_response_header_fields", &self.max_response_header_fields)
            .field("reuse", &self.reuse)
            .field("retry", &self.retry)
            .field("on_interim", &self.on_interim.is_some())
            .field("timings", &self.timings)
            .field("events", &self.events.is_some())
            .finish()
    }
}
