//! Where the time of a request went.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::net::ConnInfo;
use crate::pool::ConnId;

/// How long each phase of a request took, and on which connection: in the extensions of a response, where
/// [`TransportConfig::timings`](crate::TransportConfig::timings) or [`RequestOptions::timings`](crate::RequestOptions::timings) asks
/// for it.
///
/// **Shape**: the times are those of the last attempt, apart from [`total`](Self::total) and [`attempts`](Self::attempts). Cheap to
/// clone; the end of the body shows in all clones.
///
/// ```no_run
/// # use roundtrip_transport::{RoundTripper, Timings, Transport, TransportConfig};
/// # use roundtrip_types::{Body, MessageExt};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let transport = Transport::with_config(TransportConfig { timings: true, ..TransportConfig::default() });
/// let response = transport.round_trip(http::Request::get("http://127.0.0.1:8080/").body(Body::empty())?).await?;
/// let timings = response.extensions().get::<Timings>().cloned().expect("asked for above");
/// response.bytes().await?;
/// println!("waited {:?} for the head, read the body in {:?}", timings.wait(), timings.body());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Timings {
    pub(crate) started: Instant,
    pub(crate) attempts: u32,
    pub(crate) conn: ConnId,
    pub(crate) info: ConnInfo,
    pub(crate) reused: bool,
    pub(crate) idle: Option<Duration>,
    pub(crate) dial: DialTimes,
    pub(crate) got_conn: Instant,
    pub(crate) asked: Instant,
    pub(crate) wrote: Option<Instant>,
    pub(crate) first_byte: Instant,
    pub(crate) head: Instant,
    pub(crate) body_end: Arc<OnceLock<Instant>>,
}

/// How long the parts of opening a connection took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DialTimes {
    pub(crate) dns: Option<Duration>,
    pub(crate) connect: Option<Duration>,
    pub(crate) proxy: Option<Duration>,
    pub(crate) tls: Option<Duration>,
}

impl Timings {
    /// From asking the pool to having a connection, opening it included.
    #[must_use]
    pub fn queue(&self) -> Duration {
        self.got_conn.saturating_duration_since(self.asked)
    }

    /// Resolving the name; `None` on a connection that was open already, and for an address.
    #[must_use]
    pub fn dns(&self) -> Option<Duration> {
        self.dial.dns
    }

    /// Connecting; `None` on a connection that was open already.
    #[must_use]
    pub fn connect(&self) -> Option<Duration> {
        self.dial.connect
    }

    /// Getting through the proxy; `None` without one, and on a connection that was open already.
    #[must_use]
    pub fn proxy(&self) -> Option<Duration> {
        self.dial.proxy
    }

    /// The TLS handshake; `None` without TLS, and on a connection that was open already.
    #[must_use]
    pub fn tls(&self) -> Option<Duration> {
        self.dial.tls
    }

    /// From having a connection to having sent the request; `None` if the head came before that.
    #[must_use]
    pub fn write(&self) -> Option<Duration> {
        Some(self.wrote?.saturating_duration_since(self.got_conn))
    }

    /// From having sent the request (or the first byte of the answer, if that came earlier) to the first byte of the answer.
    #[must_use]
    pub fn wait(&self) -> Duration {
        self.first_byte.saturating_duration_since(self.wrote.unwrap_or(self.first_byte))
    }

    /// From the response's head to the end of its body; `None` while that has not come.
    #[must_use]
    pub fn body(&self) -> Option<Duration> {
        Some(self.body_end.get()?.saturating_duration_since(self.head))
    }

    /// From the beginning of the first attempt to the end of the body, or to the head while that has not come.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.body_end.get().unwrap_or(&self.head).saturating_duration_since(self.started)
    }

    /// How often the request was sent.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The connection's number, unique in its transport.
    #[must_use]
    pub fn conn_id(&self) -> ConnId {
        self.conn
    }

    /// Where the connection leads and how it is secured.
    #[must_use]
    pub fn conn_info(&self) -> &ConnInfo {
        &self.info
    }

    /// Whether the connection was opened for another request.
    #[must_use]
    pub fn reused(&self) -> bool {
        self.reused
    }

    /// How long the connection had lain idle; `None` if it had not.
    #[must_use]
    pub fn idle(&self) -> Option<Duration> {
        self.idle
    }
}
