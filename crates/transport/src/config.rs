//! Settings of a transport.

use std::time::Duration;

/// The settings of a [`Transport`](crate::Transport): a plain struct to fill in. End a literal with
/// `..TransportConfig::default()`: later versions add fields.
///
/// ```
/// use roundtrip_transport::{Transport, TransportConfig};
///
/// let transport = Transport::with_config(TransportConfig { max_idle_conns_per_host: 4, ..TransportConfig::default() });
/// # let _ = transport;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportConfig {
    /// Most idle connections to keep over all hosts; beyond it the one that was used least recently is closed.
    ///
    /// Default 100, as Go's default transport. 0 keeps none. Each costs a socket here and on the server.
    pub max_idle_conns: usize,

    /// Most idle connections to keep to one host (one scheme, name and port); beyond it the one coming back is closed.
    ///
    /// Default 32. Raise it to the number of requests you run at once against one host. Differs from Go: Go keeps 2, which
    /// throws connections away as soon as three requests run at the same time (golang/go#13801).
    pub max_idle_conns_per_host: usize,

    /// How long a connection may lie idle before it is closed. Default 90 s, as Go's default transport; `None` keeps it until
    /// the server closes it. Servers close idle connections too, most after 5 to 75 s.
    pub idle_conn_timeout: Option<Duration>,

    /// One connection per request: each request says `Connection: close` and none is kept. Default false.
    pub disable_keep_alives: bool,

    /// How long opening a connection may take, name resolution and all addresses included. Default 30 s, as Go's default
    /// transport; `None` leaves it to the operating system, which can take minutes.
    pub connect_timeout: Option<Duration>,

    /// Most bytes of a response's head, those of interim (1xx) responses before it included. Default 1 MiB.
    ///
    /// It stops a server that sends header fields without end. Differs from Go: Go allows 10 MiB.
    pub max_response_header_bytes: usize,
}

impl Default for TransportConfig {
    fn default() -> Self {
        TransportConfig {
            max_idle_conns: 100,
            max_idle_conns_per_host: 32,
            idle_conn_timeout: Some(Duration::from_secs(90)),
            disable_keep_alives: false,
            connect_timeout: Some(Duration::from_secs(30)),
            max_response_header_bytes: 1 << 20,
        }
    }
}

impl TransportConfig {
    /// The settings of Go's `http.DefaultTransport`.
    #[must_use]
    pub fn go() -> Self {
        TransportConfig {
            max_idle_conns_per_host: 2,
            max_response_header_bytes: 10 << 20,
            ..TransportConfig::default()
        }
    }
}
