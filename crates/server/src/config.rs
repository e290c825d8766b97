//! Settings of a server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::Addr;

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
    /// How long a client may take to send a whole request head, counted from when the connection can carry one: from its
    /// start, and after each response again. So for now it is also how long an idle keep-alive connection stays open.
    ///
    /// Default 30 s; `None` waits for ever. It stops clients that connect and send nothing, or one byte at a time. Go:
    /// `Server.ReadHeaderTimeout` together with `IdleTimeout`. Differs from Go: on by default, because without it a client can
    /// hold a connection for ever at no cost.
    pub read_header_timeout: Option<Duration>,

    /// How long a handler may go on after its client has shut down its sending side.
    ///
    /// Default 5 s; `None` is without limit. Such a client may still want the answer (RFC 9112 allows it, and some scripts do
    /// so), but usually it is gone, and from here the two look the same. So the handler gets this long; then it is dropped, with
    /// the connection, rather than left to work for nobody. Seen once the request's body has been read, and only as long as the
    /// client has not sent its next request ahead. Differs from Go, whose handlers go on and are told through the request's
    /// context.
    pub half_close_timeout: Option<Duration>,

    /// How many connections may be open at a time.
    ///
    /// Default 16,384; `None` is without limit. Further clients wait in the kernel's queue until a place is free, one of them (for
    /// each accept loop) accepted and not yet read from. It stops a flood of connections from taking all memory and file
    /// descriptors: an idle connection costs about 10 KB. Go has no such limit; `netutil.LimitListener` is one.
    pub max_connections: Option<usize>,

    /// How long a TLS handshake may take, from the connection's first moment.
    ///
    /// Default 10 s; `None` waits for ever. It stops clients that connect and send nothing. Handshakes hold up nobody else: each
    /// runs in its connection's own task. Go derives it from the smallest of its other time limits.
    pub tls_handshake_timeout: Option<Duration>,

    /// Whether a connection may carry more than one request. Default true. When false every response says
    /// `Connection: close` and the connection is closed after it. Go: `Server.SetKeepAlivesEnabled`.
    pub keep_alives: bool,

    /// Where the server tells what no client and no caller would hear of: a panic in a handler, a listener in trouble.
    ///
    /// Default: one line on standard error, as Go's `Server.ErrorLog`.
    pub error_log: ErrorLog,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            read_header_timeout: Some(Duration::from_secs(30)),
            half_close_timeout: Some(Duration::from_secs(5)),
            max_connections: Some(16_384),
            tls_handshake_timeout: Some(Duration::from_secs(10)),
            keep_alives: true,
            error_log: ErrorLog::stderr(),
        }
    }
}

impl ServerConfig {
    /// Go's defaults: no time limits and no limit on connections at all, and handlers go on when their client has shut down its side.
    #[must_use]
    pub fn go() -> Self {
        ServerConfig {
            read_header_timeout: None,
            half_close_timeout: None,
            max_connections: None,
            tls_handshake_timeout: None,
            ..ServerConfig::default()
        }
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
    /// Accepting failed in a way that may pass, for example because no file descriptor is free. Told once until it passes.
    #[non_exhaustive]
    AcceptFailed {
        /// Where the server listens.
        listener: &'a Addr,
        /// What the operating system said.
        cause: &'a std::io::Error,
    },
    /// `max_connections` are open, and the next client waits for one of them to end.
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
