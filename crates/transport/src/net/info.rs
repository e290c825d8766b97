//! What is known about a connection once it is open.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

/// Where a connection leads and how it is secured: the facts that do not change while it is open.
///
/// **Shape**: immutable and cheap to clone, a reference count.
#[derive(Clone)]
pub struct ConnInfo(Arc<Facts>);

/// The facts, while they are gathered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) peer: PeerAddr,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) tls: Option<TlsInfo>,
    pub(crate) proxy: Option<Box<str>>,
}

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum PeerAddr {
    /// An internet address: the server's, or the proxy's if there is one.
    Ip(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
    /// A transport of the user's own, which has no address that we know.
    #[default]
    Other,
}

/// How a connection is secured.
///
/// **Source**: the part of Go's `tls.ConnectionState` that a client asks for.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The protocol version, such as `TLSv1.3`.
    pub version: Cow<'static, str>,
    /// The cipher suite by its IANA name, such as `TLS_AES_256_GCM_SHA384`.
    pub cipher_suite: Cow<'static, str>,
    /// What ALPN agreed on, such as `h2` or `http/1.1`; `None` if the server did not choose.
    pub alpn: Option<Bytes>,
    /// The certificates that the server sent, its own first, each in DER.
    ///
    /// A resumed session has those of the session that it continues.
    pub peer_certificates: Arc<[Bytes]>,
    /// The name that was asked for and verified.
    pub server_name: Box<str>,
    /// Whether the handshake continued an earlier session, which saves the server's signature.
    pub resumed: bool,
}

impl TlsInfo {
    /// The least that can be said; the fields tell the rest. For [handshakes](crate::Handshake) of the user's own.
    #[must_use]
    pub fn new(version: impl Into<Cow<'static, str>>, cipher_suite: impl Into<Cow<'static, str>>) -> Self {
        TlsInfo {
            version: version.into(),
            cipher_suite: cipher_suite.into(),
            alpn: None,
            peer_certificates: Arc::new([]),
            server_name: "".into(),
            resumed: false,
        }
    }
}

impl ConnInfo {
    pub(crate) fn new(facts: Facts) -> Self {
        ConnInfo(Arc::new(facts))
    }

    /// The other end of the connection: the proxy, if there is one.
    #[must_use]
    pub fn peer(&self) -> &PeerAddr {
        &self.0.peer
    }

    /// Our own end of the connection, if it is an internet address.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.0.local
    }

    /// How it is secured; `None` for plain text. Go's `Response.TLS`.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.0.tls.as_ref()
    }

    /// What ALPN agreed on, such as `h2`; `None` without TLS, and if the server did not choose.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.0.tls.as_ref()?.alpn.as_deref()
    }

    /// The proxy that the connection goes through, as a URL without its credentials.
    #[must_use]
    pub fn proxy(&self) -> Option<&str> {
        self.0.proxy.as_deref()
    }
}

impl fmt::Debug for ConnInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnInfo")
            .field("peer", &self.0.peer)
            .field("local", &self.0.local)
            .field("tls", &self.0.tls)
            .field("proxy", &self.0.proxy)
            .finish()
    }
}

impl fmt::Debug for TlsInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsInfo")
            .field("version", &self.version)
            .field("cipher_suite", &self.cipher_suite)
            .field("alpn", &self.alpn)
            .field("peer_certificates", &self.peer_certificates.len())
            .field("server_name", &self.server_name)
            .field("resumed", &self.resumed)
            .finish()
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerAddr::Ip(address) => address.fmt(f),
            PeerAddr::Unix(path) => write!(f, "unix:{}", path.display()),
            PeerAddr::Other => f.write_str("a peer without an address"),
        }
    }
}

impl From<SocketAddr> for PeerAddr {
    fn from(address: SocketAddr) -> Self {
        PeerAddr::Ip(address)
    }
}
