//! Settings of a server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::{Addr, ConnInfo};

/// The settings of a [`Server`](crate::Server): a plain struct to fill in. End a literal with `..ServerConfig::default()`:
/// later versions add fields.
///
/// ```
/// use roundtrip_server::ServerConfig;
/// use std::time::Duration;
///
/// let config = ServerConfig { read_header_timeout: Some(Duration::from_secs(5)), ..ServerConfig::default() };
/// # let _ = config;
/// ```
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// How long a client may take to send a whole request head: from when the connection was opened for its first, from the
    /// first byte for later ones. It also limits the look at the first bytes that tells HTTP/2 from HTTP/1.
    ///
    /// Default 30 s; `None` is no limit. It stops clients that connect and send nothing, or one byte at a time. A client that had
    /// begun a request is told 408; one that sent nothing is just closed. Go: `Server.ReadHeaderTimeout`. Differs from Go: on by
    /// default, because without it a client can hold a connection for ever at no cost; and `None` does not fall back to
    /// [`read_timeout`](Self::read_timeout), which covers the head anyway.
    pub read_header_timeout: Option<Duration>,

    /// How long a client may take to send a whole request, head and body, from the beginning of its head. A handler can replace it
    /// for its request: [`ResponseController::set_read_deadline`](crate::ResponseController::set_read_deadline).
    ///
    /// Default `None`, no limit, since how long a body may take depends on its size:
    /// [`body_stall_timeout`](Self::body_stall_timeout) and [`min_body_rate`](Self::min_body_rate) stop slow bodies of any size.
    /// When it runs out, a handler that waits for the body gets an error of kind `Timeout` and can still answer; the connection is
    /// closed behind the answer. On HTTP/2 it counts from the end of the head, and the connection goes on. Go:
    /// `Server.ReadTimeout`, off as well.
    pub read_timeout: Option<Duration>,

    /// How long whoever reads a request's body may have to wait for bytes, all waits together; bytes that come buy new time as
    /// [`min_body_rate`](Self::min_body_rate) says. Time in which nobody reads does not count.
    ///
    /// Default 30 s; `None` is no limit. It stops clients that begin a body and then send nothing, or one byte at a time. The
    /// handler gets an error of kind `Timeout`, as with [`read_timeout`](Self::read_timeout). Go has none.
    pub body_stall_timeout: Option<Duration>,

    /// How many bytes of a body buy one second of [`body_stall_timeout`](Self::body_stall_timeout), up to the whole of it: so how
    /// fast a client has to send, in bytes a second, once it has used its time up.
    ///
    /// Default 256; `None` lets any byte buy all of the time, which a client that sends one byte in a while can go on with for
    /// ever. Go has none; Apache asks for 500.
    pub min_body_rate: Option<u32>,

    /// How long a response may take: from the end of the request's head until its last byte was handed to the operating system.
    /// It covers the handler. A handler can replace it for its request:
    /// [`ResponseController::set_write_deadline`](crate::ResponseController::set_write_deadline).
    ///
    /// Default `None`, no limit, since handlers may wait and stream: [`write_stall_timeout`](Self::write_stall_timeout) stops
    /// clients that do not read. When it runs out the connection is reset and the handler dropped. Go: `Server.WriteTimeout`, off
    /// as well. Differs from Go, where a handler learns of it by its next write. On HTTP/2 its stream is reset.
    pub write_timeout: Option<Duration>,

    /// How long a client may let bytes of a response wait, all waits together; bytes that it takes buy new time as
    /// [`min_write_rate`](Self::min_write_rate) says. Time in which nothing waits to be sent does not count.
    ///
    /// Default 30 s; `None` is no limit. It stops clients that ask and then do not read, which would pin the response in memory.
    /// The connection is reset, on HTTP/2 the stream alone. Go has none.
    pub write_stall_timeout: Option<Duration>,

    /// How many bytes that a client takes buy one second of [`write_stall_timeout`](Self::write_stall_timeout), up to the whole of
    /// it.
    ///
    /// Default 256 bytes a second; `None` lets any byte buy all of the time. Go has none.
    pub min_write_rate: Option<u32>,

    /// How long a connection may be idle between a response and the first byte of the next request.
    ///
    /// Default 60 s; `None` is no limit. Go: `Server.IdleTimeout`. Differs from Go: on by default, and `None` does not fall back to
    /// [`read_timeout`](Self::read_timeout). On HTTP/2, behind a stream that was given up because the client was too slow for it,
    /// [`read_header_timeout`](Self::read_header_timeout) holds as well: a slow client is gone after 75 s at the latest.
    pub idle_timeout: Option<Duration>,

    /// How long a handler may go on after its client has shut down its sending side, and a response after its client has last
    /// taken a byte of it.
    ///
    /// Default 5 s; `None` is without limit. Such a client may still want the answer (RFC 9112 allows it, and some scripts do
    /// so), but usually it is gone, and from here the two look the same. So the handler gets this long; then it is dropped, with
    /// the connection, rather than left to work for nobody. Seen once the request's body has been read, and only as long as the
    /// client has not sent its next request ahead. Differs from Go, whose handlers go on and are told through the request's
    /// context; here [`ResponseController::client_gone`](crate::ResponseController::client_gone) tells at once.
    pub half_close_timeout: Option<Duration>,

    /// How many connections may be open at a time.
    ///
    /// Default 16,384; `None` is without limit. Further clients wait in the kernel's queue until a place is free, one of them (for
    /// each accept loop) accepted and not yet read from. It stops a flood of connections from taking all memory and file
    /// descriptors: an idle connection keeps about 3 KB of memory. Go has no such limit; `netutil.LimitListener` is one.
    pub max_connections: Option<usize>,

    /// How long a TLS handshake may take, from the connection's first moment.
    ///
    /// Default 10 s; `None` waits for ever. It stops clients that connect and send nothing. Handshakes hold up nobody else: each
    /// runs in its connection's own task. Go derives it from the smallest of its other time limits.
    pub tls_handshake_timeout: Option<Duration>,

    /// How many bytes a request's head may have, request line and empty line included.
    ///
    /// Default 1 MiB. More is answered with 431 and the connection is closed. It bounds the memory that a client can make the
    /// server hold before any handler has agreed. A target alone may have 65,534 bytes; a longer one gets 414. Go:
    /// `Server.MaxHeaderBytes`, to which it adds 4096. On HTTP/2 it is announced as the limit of the decoded list.
    pub max_header_bytes: usize,

    /// How many fields a request's head may have, and its trailers.
    ///
    /// Default 500; more is answered with 431. It bounds the work of looking at fields, and their memory (some 100 bytes each). Go:
    /// `Server.MaxHeaderValueCount`, as many.
    pub max_header_count: usize,

    /// How many requests a connection may carry; the last response says `Connection: close`.
    ///
    /// Default `None`, no limit. A limit lets clients spread anew over servers behind a balancer. Go has none. HTTP/1 only.
    pub max_requests_per_connection: Option<u64>,

    /// Whether a connection may carry more than one request. Default true. When false every response says
    /// `Connection: close` and the connection is closed after it; on HTTP/2 the connection is told to go away (GOAWAY) with its first
    /// request, and ends when those that came meanwhile are answered. Go: `Server.SetKeepAlivesEnabled`, as which
    /// [`Server::set_keep_alives`](crate::Server::set_keep_alives) changes it while the server runs.
    pub keep_alives: bool,

    /// Whether the server itself answers `OPTIONS *`, which asks about the server as a whole, with 200 and nothing in it.
    ///
    /// Default true. When false the handler gets such requests. Go: `Server.DisableGeneralOptionsHandler`, the other way round.
    pub general_options: bool,

    /// Whether clients may speak HTTP/2 on a plain connection without asking (RFC 9113, 3.3).
    ///
    /// Default false: then the preface of HTTP/2 is answered as a bad request of HTTP/1. When true the first bytes of each plain
    /// connection decide. Over TLS the handshake decides, and this does not matter. Go: `Protocols.SetUnencryptedHTTP2`.
    pub h2c: bool,

    /// How many requests an HTTP/2 client may have in progress on one connection.
    ///
    /// Default 200; more are refused, and the client may try them again. Each may have a handler at work. Go: 250.
    pub h2_max_streams: u32,

    /// How often an HTTP/2 client that is silent is asked for a sign of life while requests are in progress.
    ///
    /// Default 20 s; `None` never. One that does not answer within [`h2_ping_timeout`](Self::h2_ping_timeout) is cut. Go:
    /// `HTTP2Config.SendPingTimeout`, off.
    pub h2_ping_interval: Option<Duration>,

    /// How long an HTTP/2 client may take to answer a ping. Default 15 s, as Go's `HTTP2Config.PingTimeout`.
    pub h2_ping_timeout: Duration,

    /// How long a connection that has just become idle stays open when the server is told to stop, and how long an idle one does
    /// after its last response.
    ///
    /// Default 500 ms. A client may have sent its next request before it could know; it is answered, with `Connection: close`, and
    /// knows then. A connection that has been idle for longer than this closes at once, so does any with zero, and the requests of
    /// clients in a tight loop are lost then, as Go's are. Make it longer than a round trip to the clients.
    pub shutdown_drain: Duration,

    /// Told each change of a connection's state. Default: nobody. Go: `Server.ConnState`.
    pub on_state: StateHook,

    /// Makes what [`ResponseController::context`](crate::ResponseController::context) gives for each connection. Default:
    /// nothing. Go: `Server.ConnContext` and `BaseContext`.
    pub conn_context: ConnContext,

    /// Where the server tells what no client and no caller would hear of: a panic in a handler, a listener in trouble.
    ///
    /// Default: one line on standard error, as Go's `Server.ErrorLog`.
    pub error_log: ErrorLog,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            read_header_timeout: Some(Duration::from_secs(30)),
            read_timeout: None,
            body_stall_timeout: Some(Duration::from_secs(30)),
            min_body_rate: Some(256),
            write_timeout: None,
            write_stall_timeout: Some(Duration::from_secs(30)),
            min_write_rate: Some(256),
            idle_timeout: Some(Duration::from_secs(60)),
            half_close_timeout: Some(Duration::from_secs(5)),
            max_connections: Some(16_384),
            tls_handshake_timeout: Some(Duration::from_secs(10)),
            max_header_bytes: 1 << 20,
            max_header_count: 500,
            max_requests_per_connection: None,
            keep_alives: true,
            general_options: true,
            h2c: false,
            h2_max_streams: 200,
            h2_ping_interval: Some(Duration::from_secs(20)),
            h2_ping_timeout: Duration::from_secs(15),
            shutdown_drain: Duration::from_millis(500),
            on_state: StateHook::none(),
            conn_context: ConnContext::none(),
            error_log: ErrorLog::stderr(),
        }
    }
}

impl ServerConfig {
    /// Go's defaults: no time limits and no limit on connections, 500 header fields, handlers that go on when their client has shut
    /// down its side, and idle connections closed at once when the server stops.
    #[must_use]
    pub fn go() -> Self {
        ServerConfig {
            read_header_timeout: None,
            max_connections: None,
            tls_handshake_timeout: None,
            body_stall_timeout: None,
            min_body_rate: None,
            write_stall_timeout: None,
            min_write_rate: None,
            idle_timeout: None,
            half_close_timeout: None,
            max_header_bytes: (1 << 20) + 4096,
            max_header_count: 500,
            h2_max_streams: 250,
            h2_ping_interval: None,
            shutdown_drain: Duration::ZERO,
            ..ServerConfig::default()
        }
    }
}

/// What a connection is doing, as [`ServerConfig::on_state`] is told: Go's `ConnState`, in the same sequences.
///
/// `New` comes first, from the accept loop. `Active` comes when a request's head is complete, or has failed; on HTTP/2 when
/// requests are in progress. `Idle` comes when the response is out and the request's body has been read. `Hijacked` and `Closed`
/// are the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ConnState {
    /// Accepted; no request has come.
    New = 0,
    /// A request is in progress.
    Active = 1,
    /// Between requests.
    Idle = 2,
    /// Taken over by a handler, or upgraded. Nothing more is told of it.
    Hijacked = 3,
    /// Closed.
    Closed = 4,
}

impl fmt::Display for ConnState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConnState::New => "new",
            ConnState::Active => "active",
            ConnState::Idle => "idle",
            ConnState::Hijacked => "hijacked",
            ConnState::Closed => "closed",
        })
    }
}

/// Takes changes of [`ConnState`]. Cheap to clone.
#[derive(Clone)]
pub struct StateHook(Option<Arc<OnState>>);

type OnState = dyn Fn(&ConnInfo, ConnState) + Send + Sync;

impl StateHook {
    /// Calls `hook` for each change. It runs on the server's tasks and must not block; `New` and `Closed` are told from outside
    /// the connection's task.
    #[must_use]
    pub fn new(hook: impl Fn(&ConnInfo, ConnState) + Send + Sync + 'static) -> Self {
        StateHook(Some(Arc::new(hook)))
    }

    /// Says nothing.
    #[must_use]
    pub fn none() -> Self {
        StateHook(None)
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn call(&self, info: &ConnInfo, state: ConnState) {
        if let Some(hook) = &self.0 {
            hook(info, state);
        }
    }
}

impl fmt::Debug for StateHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "StateHook(on)" } else { "StateHook(none)" })
    }
}

/// Makes a connection's own values. Cheap to clone.
#[derive(Clone)]
pub struct ConnContext(Option<Arc<MakeContext>>);

type MakeContext = dyn Fn(&ConnInfo) -> http::Extensions + Send + Sync;

impl ConnContext {
    /// Calls `make` once for each connection, before its first request. It runs in the accept loop and must not block.
    #[must_use]
    pub fn new(make: impl Fn(&ConnInfo) -> http::Extensions + Send + Sync + 'static) -> Self {
        ConnContext(Some(Arc::new(make)))
    }

    /// Makes nothing.
    #[must_use]
    pub fn none() -> Self {
        ConnContext(None)
    }

    pub(crate) fn make(&self, info: &ConnInfo) -> http::Extensions {
        self.0.as_ref().map_or_else(http::Extensions::new, |make| make(info))
    }
}

impl fmt::Debug for ConnContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "ConnContext(on)" } else { "ConnContext(none)" })
    }
}

/// Something that went wrong inside the server and belongs in its log. `Display` is one line.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerEvent<'a> {
    /// A handler panicked. The client got 500.
    #[non_exhaustive]
    HandlerPanic {
        /// What was being served, for example `GET /users/7`.
        request: &'a str,
        /// Who asked.
        peer: &'a Addr,
        /// What the panic said, if it was text.
        message: &'a str,
    },
    /// A handler answered with a 1xx status, which cannot be the last. The client got 500.
    #[non_exhaustive]
    NotFinal {
        /// What was being served.
        request: &'a str,
        /// Who asked.
        peer: &'a Addr,
        /// The handler's status.
        status: StatusCode,
    },
    /// Accepting failed in a way that may pass, for example because no file descriptor is free. Told at most every ten seconds by
    /// each socket.
    #[non_exhaustive]
    AcceptFailed {
        /// Where the server listens.
        listener: &'a Addr,
        /// What the operating system said.
        cause: &'a std::io::Error,
    },
    /// `max_connections` are open, and the next client waits for one of them to end. Told at most every ten seconds by each socket.
    #[non_exhaustive]
    ConnectionLimit {
        /// Where the server listens.
        listener: &'a Addr,
        /// The limit.
        limit: usize,
    },
    /// A TLS handshake failed. The client's fault, most often; a certificate that clients refuse shows here too.
    #[non_exhaustive]
    TlsHandshakeFailed {
        /// Who asked.
        peer: &'a Addr,
        /// What went wrong.
        cause: &'a std::io::Error,
    },
}

impl fmt::Display for ServerEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerEvent::HandlerPanic { request, peer, message } => {
                write!(f, "handler panicked at {request} from {peer}: {message}")
            }
            ServerEvent::NotFinal { request, peer, status } => {
                write!(f, "handler answered {request} from {peer} with {}, which cannot be the last", status.as_u16())
            }
            ServerEvent::AcceptFailed { listener, cause } => write!(f, "accept on {listener}: {cause}; retrying"),
            ServerEvent::ConnectionLimit { listener, limit } => {
                write!(f, "accept on {listener}: {limit} connections are open, the next one waits")
            }
            ServerEvent::TlsHandshakeFailed { peer, cause } => write!(f, "TLS handshake with {peer}: {cause}"),
        }
    }
}

/// Takes [`ServerEvent`]s. Cheap to clone.
#[derive(Clone)]
pub struct ErrorLog(Option<Arc<Log>>);

type Log = dyn Fn(&ServerEvent<'_>) + Send + Sync;

impl ErrorLog {
    /// Writes each event as a line to standard error.
    #[must_use]
    pub fn stderr() -> Self {
        ErrorLog::new(|event| eprintln!("roundtrip-server: {event}"))
    }

    /// Calls `log` for each event. It runs on the server's tasks and must not block.
    #[must_use]
    pub fn new(log: impl Fn(&ServerEvent<'_>) + Send + Sync + 'static) -> Self {
        ErrorLog(Some(Arc::new(log)))
    }

    /// Says nothing.
    #[must_use]
    pub fn none() -> Self {
        ErrorLog(None)
    }

    pub(crate) fn tell(&self, event: &ServerEvent<'_>) {
        if let Some(log) = &self.0 {
            log(event);
        }
    }
}

impl fmt::Debug for ErrorLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "ErrorLog(on)" } else { "ErrorLog(none)" })
    }
}
