//! Opening a byte stream to an address: TCP with its options, Unix sockets, and transports of the user's own.

mod race;
mod tcp;

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use roundtrip_types::{Error, ErrorKind, Phase, Result};
use tokio::time::Instant;

pub use self::tcp::TcpConfig;
use super::resolve::{Cache, Resolve, Resolver};
use super::{Io, PeerAddr, Stream, Target, TlsInfo};

/// How connections are opened.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Dialer {
    /// Over TCP, to the addresses of the name. The default.
    #[default]
    Tcp,
    /// Over the Unix socket at this path, whatever the URL's host. An error on systems that have none.
    Unix(PathBuf),
    /// Over a transport of the user's own: Go's `DialContext`.
    Custom(Arc<dyn Dial>),
}

/// Opens connections in the user's own way: Go's `DialContext`, and `DialTLSContext` where it secures them too.
///
/// # Contract
/// - It is asked for a server, or for a proxy if the request goes through one; then the transport talks to the proxy itself.
/// - For a target of scheme `https` the transport adds TLS, unless the connection says that it [is secured](Connection::secured).
/// - It is called for many targets at once.
///
/// # Cancel safety
/// The future is dropped when the connection is not wanted any more or takes too long; nothing may be left open then.
///
/// # Examples
/// A server inside the program, reached over memory:
///
/// ```
/// use roundtrip_transport::{Connection, Dial, DialFuture, Target};
///
/// struct InMemory;
///
/// impl Dial for InMemory {
///     fn dial<'a>(&'a self, target: &'a Target) -> DialFuture<'a> {
///         Box::pin(async move {
///             let (ours, _theirs) = tokio::io::duplex(64 * 1024);
///             println!("somebody wants to talk to {target}");
///             Ok(Connection::new(ours))
///         })
///     }
/// }
/// ```
pub trait Dial: Send + Sync + 'static {
    /// A new connection to `target`.
    fn dial<'a>(&'a self, target: &'a Target) -> DialFuture<'a>;
}

/// The future of [`Dial::dial`].
pub type DialFuture<'a> = Pin<Box<dyn Future<Output = Result<Connection>> + Send + 'a>>;

/// What a [`Dial`] of the user's own made.
pub struct Connection {
    pub(crate) io: Box<dyn Io>,
    pub(crate) peer: PeerAddr,
    pub(crate) tls: Option<TlsInfo>,
}

impl Connection {
    /// A connection of these bytes.
    #[must_use]
    pub fn new(io: impl Io) -> Self {
        Connection { io: Box::new(io), peer: PeerAddr::Other, tls: None }
    }

    /// Says whom it leads to.
    #[must_use]
    pub fn peer(mut self, peer: impl Into<PeerAddr>) -> Self {
        self.peer = peer.into();
        self
    }

    /// Says that it is secured already: the transport makes no TLS handshake of its own, and speaks what ALPN agreed on.
    #[must_use]
    pub fn secured(mut self, tls: TlsInfo) -> Self {
        self.tls = Some(tls);
        self
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).field("tls", &self.tls).finish_non_exhaustive()
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dialer::Tcp => f.write_str("Tcp"),
            Dialer::Unix(path) => f.debug_tuple("Unix").field(path).finish(),
            Dialer::Custom(_) => f.write_str("Custom(..)"),
        }
    }
}

/// A stream to a server or proxy, before anything was said on it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) stream: Stream,
    pub(crate) peer: PeerAddr,
    pub(crate) local: Option<SocketAddr>,
    /// Only if the user's own dialer made it.
    pub(crate) tls: Option<TlsInfo>,
    pub(crate) dns: Option<Duration>,
    pub(crate) connect: Duration,
}

impl Opened {
    pub(crate) fn tcp(address: SocketAddr, stream: Stream, dns: Option<Duration>, connect: Duration) -> Self {
        let local = if let Stream::Tcp(stream) = &stream { stream.local_addr().ok() } else { None };
        Opened { stream, peer: PeerAddr::Ip(address), local, tls: None, dns, connect }
    }
}

/// How names become addresses.
#[derive(Clone, Debug)]
pub(crate) enum Names {
    Cached(Cache),
    Asked(Resolver),
}

/// The addresses of `target`, each with its port.
///
/// # Errors
/// Kind `Connect`, phase `Dns`.
pub(crate) async fn resolve(target: &Target, names: &Names) -> Result<Vec<SocketAddr>> {
    let found = match names {
        Names::Cached(cache) => cache.resolve(target.host()).await.map(|found| found.to_vec()),
        Names::Asked(resolver) => resolver.resolve(target.host()).await,
    };
    let failed = |message: String| Error::new(ErrorKind::Connect, message).with_phase(Phase::Dns);
    let mut found = found.map_err(|cause| failed(format!("resolve {}", shown(target.host()))).with_cause(cause))?;
    if found.is_empty() {
        return Err(failed(format!("resolve {}: the name has no addresses", shown(target.host()))));
    }
    for address in &mut found {
        if address.port() == 0 {
            address.set_port(target.port());
        }
    }
    Ok(found)
}

/// Connects to one of `addresses`, by the rules of Happy Eyeballs (RFC 8305).
///
/// # Errors
/// Kind `Connect`, phase `Connect`: each address that was tried, with its cause.
pub(crate) async fn connect_tcp(
    target: &Target,
    addresses: Vec<SocketAddr>,
    config: &TcpConfig,
) -> Result<(SocketAddr, Stream)> {
    let usable = tcp::usable(addresses, config);
    let attempts = race::interleaved(usable);
    match race::race(attempts, config.fallback_delay, |address| tcp::connect(address, config)).await {
        Ok((address, stream)) => Ok((address, Stream::Tcp(stream))),
        Err(failures) => Err(all_failed(target, failures).with_phase(Phase::Connect)),
    }
}

/// Connects to a Unix socket.
///
/// # Errors
/// Kind `Connect`, phase `Connect`.
pub(crate) async fn connect_unix(path: &std::path::Path) -> Result<Stream> {
    let failed = |cause: std::io::Error| {
        let message = format!("connect unix:{}", path.display());
        Error::new(ErrorKind::Connect, message).with_cause(cause).with_phase(Phase::Connect)
    };
    #[cfg(unix)]
    {
        tokio::net::UnixStream::connect(path).await.map(Stream::Unix).map_err(failed)
    }
    #[cfg(not(unix))]
    {
        Err(failed(std::io::Error::from(std::io::ErrorKind::Unsupported)))
    }
}

/// Opens a stream to `target`. `phase` follows what is being done, for the error of one who runs out of time.
///
/// # Errors
/// Kind `Connect`; what the user's own dialer returns comes back with the phase added.
///
/// # Cancel safety
/// Dropping the future closes what was opened.
pub(crate) async fn open(
    target: &Target,
    dialer: &Dialer,
    names: &Names,
    config: &TcpConfig,
    phase: &mut Phase,
) -> Result<Opened> {
    let began = Instant::now();
    *phase = Phase::Connect;
    match dialer {
        Dialer::Tcp => {}
        Dialer::Unix(path) => {
            let stream = connect_unix(path).await?;
            let connect = began.elapsed();
            return Ok(Opened {
                stream,
                peer: PeerAddr::Unix(path.clone()),
                local: None,
                tls: None,
                dns: None,
                connect,
            });
        }
        Dialer::Custom(dial) => {
            let Connection { io, peer, tls } =
                dial.dial(target).await.map_err(|error| error.with_phase(Phase::Connect))?;
            let connect = began.elapsed();
            return Ok(Opened { stream: Stream::Boxed(io), peer, local: None, tls, dns: None, connect });
        }
    }
    let (addresses, dns) = match target.ip() {
        Some(ip) => (vec![SocketAddr::new(ip, target.port())], None),
        None => {
            *phase = Phase::Dns;
            let addresses = resolve(target, names).await?;
            (addresses, Some(began.elapsed()))
        }
    };
    *phase = Phase::Connect;
    let resolved = Instant::now();
    let (address, stream) = connect_tcp(target, addresses, config).await?;
    Ok(Opened::tcp(address, stream, dns, resolved.elapsed()))
}

/// As many addresses as an error names.
const NAMED_MOST: usize = 8;

fn all_failed(target: &Target, mut failures: Vec<(SocketAddr, std::io::Error)>) -> Error {
    use fmt::Write as _;

    let Some((last, cause)) = failures.pop() else {
        let message =
            format!("connect {target}: none of its addresses is of a family that we have a local address for");
        return Error::new(ErrorKind::Connect, message);
    };
    let mut message = format!("connect {last}");
    if !failures.is_empty() {
        message = format!("connect {}: ", shown(&target.to_string()));
        for (address, cause) in failures.iter().take(NAMED_MOST - 1) {
            // Writing into a String cannot fail.
            let _ = write!(message, "{address}: {cause}; ");
        }
        if let more @ 1.. = failures.len().saturating_sub(NAMED_MOST - 1) {
            let _ = write!(message, "{more} more; ");
        }
        let _ = write!(message, "{last}");
    }
    Error::new(ErrorKind::Connect, message).with_cause(cause)
}

/// A host as errors show it: escaped and of bounded length.
pub(crate) fn shown(host: &str) -> String {
    const MOST: usize = 100;
    let mut text: String = host.chars().take(MOST).flat_map(char::escape_debug).collect();
    if host.chars().nth(MOST).is_some() {
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Scheme;

    fn refused() -> std::io::Error {
        std::io::ErrorKind::ConnectionRefused.into()
    }

    fn target() -> Target {
        Target::new(Scheme::Http, "h.test", 81)
    }

    #[test]
    fn every_address_tried_is_named_with_its_cause() {
        let (v6, v4) = ("[::1]:81".parse().unwrap(), "127.0.0.1:81".parse().unwrap());
        assert_eq!(
            all_failed(&target(), vec![(v4, refused())]).to_string(),
            "connect 127.0.0.1:81: connection refused"
        );
        assert_eq!(
            all_failed(&target(), vec![(v6, std::io::ErrorKind::TimedOut.into()), (v4, refused())]).to_string(),
            "connect h.test:81: [::1]:81: timed out; 127.0.0.1:81: connection refused"
        );
    }

    #[test]
    fn an_error_names_no_more_than_eight_addresses() {
        let many = (0..20).map(|last| (SocketAddr::from(([10, 0, 0, last], 81)), refused())).collect();
        let line = all_failed(&target(), many).to_string();
        assert_eq!(line.matches("10.0.0.").count(), 8, "{line}");
        assert!(line.contains("; 12 more; 10.0.0.19:81: connection refused"), "{line}");
    }

    #[test]
    fn a_host_is_shown_escaped_and_cut() {
        assert_eq!(shown("a\nb"), "a\\nb");
        assert_eq!(shown(&"a".repeat(101)), format!("{}...", "a".repeat(100)));
    }

    #[tokio::test]
    async fn the_port_of_the_url_fills_in_for_port_0_only() {
        let answer = || async { Ok(vec!["10.0.0.1:0".parse().unwrap(), "10.0.0.2:9".parse().unwrap()]) };
        let names = Names::Asked(Resolver::from_fn(move |_| answer()));
        let found = resolve(&target(), &names).await.unwrap();
        assert_eq!(found, ["10.0.0.1:81".parse().unwrap(), "10.0.0.2:9".parse().unwrap()]);
    }

    #[tokio::test]
    async fn a_name_without_addresses_is_an_error_that_says_so() {
        let names = Names::Asked(Resolver::from_fn(|_| async { Ok(vec![]) }));
        let error = resolve(&target(), &names).await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Connect, Some(Phase::Dns)));
        assert_eq!(error.to_string(), "resolve h.test: the name has no addresses");
    }
}
