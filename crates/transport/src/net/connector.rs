//! Everything that it takes to reach a server, put together.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use roundtrip_types::{Error, ErrorKind, Phase, Result};
use tokio::time::{Instant, timeout};

use super::dial::{self, Dialer, Names, Opened, TcpConfig};
use super::info::Facts;
use super::proxy::{self, Proxy, ProxyKind};
use super::resolve::{Cache, Departed, DnsCacheConfig, Resolver};
use super::{Alpn, ConnInfo, Dialed, Scheme, Stream, Target, Tls, TlsConfig, TlsInfo};

/// How servers are reached: a plain struct to fill in, ending with `..ConnectConfig::default()`.
#[derive(Clone, Debug)]
pub struct ConnectConfig {
    /// How byte streams are opened. Default: TCP.
    pub dial: Dialer,
    /// Who knows the addresses of names. Default: the operating system.
    pub resolve: Resolver,
    /// How long its answers are kept. `None` asks for each connection anew, as Go does. Default as
    /// [`DnsCacheConfig::default`].
    pub dns_cache: Option<DnsCacheConfig>,
    /// Addresses of names that are not asked for, the names in lower case. Port 0 stands for the URL's port. Default: none.
    pub hosts: BTreeMap<String, Vec<SocketAddr>>,
    /// Options of TCP.
    pub tcp: TcpConfig,
    /// How long a proxy may take from the connection to its consent. Default 60 s, as Go; `None` has no limit. A proxy takes
    /// so long as it tries to reach the server.
    pub proxy_timeout: Option<Duration>,
    /// How connections are secured.
    pub tls: TlsConfig,
}

impl Default for ConnectConfig {
    fn default() -> Self {
        ConnectConfig {
            dial: Dialer::default(),
            resolve: Resolver::default(),
            dns_cache: Some(DnsCacheConfig::default()),
            hosts: BTreeMap::new(),
            tcp: TcpConfig::default(),
            proxy_timeout: Some(Duration::from_secs(60)),
            tls: TlsConfig::default(),
        }
    }
}

/// Makes connections. One for each transport, shared by its dials.
#[derive(Debug)]
pub(crate) struct Connector {
    dial: Dialer,
    names: Names,
    hosts: BTreeMap<String, Vec<SocketAddr>>,
    tcp: TcpConfig,
    proxy_timeout: Option<Duration>,
    tls: Tls,
}

/// What is told when an address has left the answer for a name.
pub(crate) type OnDeparted = Box<dyn Fn(Departed) + Send + Sync>;

impl Connector {
    pub(crate) fn new(config: ConnectConfig, on_departed: Option<OnDeparted>) -> Self {
        let ConnectConfig { dial, resolve, dns_cache, hosts, tcp, proxy_timeout, tls } = config;
        let names = match dns_cache {
            Some(cache) => Names::Cached(Cache::new(resolve, cache, on_departed)),
            None => Names::Asked(resolve),
        };
        Connector { dial, names, hosts, tcp, proxy_timeout, tls: Tls::new(tls) }
    }

    /// Connects to `target`, through `proxy` if there is one: resolves, dials, asks the proxy, and secures what is `https`.
    ///
    /// `connect_timeout` is for names and addresses; the proxy's consent and each handshake have limits of their own. With a
    /// proxy that [forwards](Proxy::forwards_http) and a target of scheme `http`, the connection ends at the proxy, and the
    /// request has to be written for it.
    ///
    /// # Errors
    /// Kind `Connect`, `Timeout`, `Protocol` or `Request`, with the phase; see the parts.
    ///
    /// # Cancel safety
    /// Dropping the future closes what was opened.
    pub(crate) async fn connect(
        &self,
        target: &Target,
        proxy: Option<&Proxy>,
        alpn: Alpn,
        connect_timeout: Option<Duration>,
    ) -> Result<Dialed> {
        let first = proxy.map_or(target, Proxy::target);
        let opened = self.open(first, connect_timeout).await.map_err(|error| match proxy {
            Some(proxy) => through(proxy, error),
            None => error,
        })?;
        let Opened { stream, peer, local, tls, dns, connect } = opened;
        let mut dialed = Dialed {
            stream,
            info: ConnInfo::new(Facts::default()),
            dns,
            connect: Some(connect),
            proxy: None,
            tls: None,
        };
        let mut facts = Facts { peer, local, tls, proxy: proxy.map(|proxy| proxy.to_string().into()) };
        if let Some(proxy) = proxy {
            let began = Instant::now();
            // Whatever secures the way to the proxy says nothing about the server behind it.
            let secured = facts.tls.take().is_some();
            dialed.stream = self.pass(dialed.stream, proxy, target, secured).await?;
            dialed.proxy = Some(began.elapsed());
        }
        if target.scheme() == Scheme::Https && facts.tls.is_none() {
            let began = Instant::now();
            let (stream, tls) = self.tls.handshake(dialed.stream, target, alpn, true).await?;
            dialed.stream = stream;
            facts.tls = Some(tls);
            dialed.tls = Some(began.elapsed());
        }
        check_protocol(target, alpn, facts.tls.as_ref())?;
        dialed.info = ConnInfo::new(facts);
        Ok(dialed)
    }

    /// A stream to `target`, with nothing said on it.
    async fn open(&self, target: &Target, limit: Option<Duration>) -> Result<Opened> {
        let mut phase = Phase::Connect;
        let opening = async {
            match self.addresses_at_hand(target) {
                Some(addresses) => self.connect_to(target, addresses).await,
                None => dial::open(target, &self.dial, &self.names, &self.tcp, &mut phase).await,
            }
        };
        let Some(limit) = limit else { return opening.await };
        // Bound, so that `phase` is free again when it is read.
        let done = timeout(limit, opening).await;
        done.unwrap_or_else(|_| {
            let doing = if phase == Phase::Dns { "resolve" } else { "connect" };
            let message =
                format!("{doing} {}: not done within {limit:?} (connect_timeout)", dial::shown(&target.to_string()));
            Err(Error::new(ErrorKind::Timeout, message).with_phase(phase))
        })
    }

    /// The addresses that the user gave for the name.
    fn addresses_at_hand(&self, target: &Target) -> Option<Vec<SocketAddr>> {
        if self.hosts.is_empty() || !matches!(self.dial, Dialer::Tcp) {
            return None;
        }
        let given = self.hosts.get(&target.host().to_ascii_lowercase())?;
        Some(given.iter().map(|address| with_port(*address, target.port())).collect())
    }

    async fn connect_to(&self, target: &Target, addresses: Vec<SocketAddr>) -> Result<Opened> {
        let began = Instant::now();
        let (address, stream) = dial::connect_tcp(target, addresses, &self.tcp).await?;
        Ok(Opened::tcp(address, stream, None, began.elapsed()))
    }

    /// Has the proxy let us through. `secured` is whether the way to it is secured already.
    async fn pass(&self, stream: Stream, proxy: &Proxy, target: &Target, secured: bool) -> Result<Stream> {
        let passing = async {
            let mut stream = stream;
            if proxy.kind() == ProxyKind::Https && !secured {
                let handshake = self.tls.handshake(stream, proxy.target(), Alpn::Http1, false).await;
                stream = handshake.map_err(|error| through(proxy, error))?.0;
            }
            match proxy.kind() {
                ProxyKind::Http | ProxyKind::Https if target.scheme() == Scheme::Http => Ok(stream),
                ProxyKind::Http | ProxyKind::Https => proxy::tunnel(stream, proxy, target).await,
                ProxyKind::Socks5 | ProxyKind::Socks5h => self.socks(stream, proxy, target).await,
            }
        };
        let Some(limit) = self.proxy_timeout else { return passing.await };
        match timeout(limit, passing).await {
            Ok(passed) => passed,
            Err(_) => {
                let message = format!("proxy {proxy}: no consent within {limit:?}");
                Err(Error::new(ErrorKind::Timeout, message).with_phase(Phase::Proxy))
            }
        }
    }

    #[cfg(feature = "socks")]
    async fn socks(&self, stream: Stream, proxy: &Proxy, target: &Target) -> Result<Stream> {
        let resolve_here = proxy.kind() == ProxyKind::Socks5 && target.ip().is_none();
        let address = if resolve_here {
            let addresses = match self.addresses_at_hand(target) {
                Some(addresses) => addresses,
                None => dial::resolve(target, &self.names).await?,
            };
            // The proxy connects, so it is the proxy that could try others; the first is the system's preference.
            addresses.first().copied()
        } else {
            None
        };
        proxy::socks5(stream, proxy, target, address).await
    }

    #[cfg(not(feature = "socks"))]
    #[allow(clippy::unused_async)] // as its twin
    async fn socks(&self, _: Stream, proxy: &Proxy, _: &Target) -> Result<Stream> {
        let message =
            format!("proxy {proxy}: this program was built without the feature `socks` of roundtrip-transport");
        Err(Error::new(ErrorKind::Request, message).with_phase(Phase::Proxy))
    }
}

/// That the server agreed on a protocol that we want to speak.
fn check_protocol(target: &Target, alpn: Alpn, tls: Option<&TlsInfo>) -> Result<()> {
    let Some(tls) = tls else { return Ok(()) };
    let agreed = tls.alpn.as_deref();
    if alpn == Alpn::Http2 && agreed != Some(b"h2") {
        let message = format!("{}: the server does not speak HTTP/2, and nothing else is wanted", target);
        return Err(Error::new(ErrorKind::Connect, message).with_phase(Phase::Tls));
    }
    Ok(())
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    if address.port() == 0 {
        address.set_port(port);
    }
    address
}

/// An error on the way to a proxy, which must not be taken for one of the server's.
fn through(proxy: &Proxy, error: Error) -> Error {
    let (kind, phase) = (error.kind(), error.phase().unwrap_or(Phase::Proxy));
    Error::new(kind, format!("proxy {proxy}")).with_phase(phase).with_cause(error)
}
