//! What is known about a connection from the moment it is accepted.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// An end of a connection: a socket address, or the path of a unix socket.
///
/// **Shape**: cheap to clone. `Display` gives `127.0.0.1:8080`, `/run/app.sock`, or `(unnamed)` for the usual client of a unix
/// socket, which has no path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Addr {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A unix socket's path.
    Unix(Arc<Path>),
    /// An end without a name: a client of a unix socket, or a stream that is no socket at all.
    Unnamed,
}

impl Addr {
    /// The TCP address, if this is one.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Addr::Tcp(addr) => Some(*addr),
            Addr::Unix(_) | Addr::Unnamed => None,
        }
    }
}

impl From<SocketAddr> for Addr {
    fn from(addr: SocketAddr) -> Self {
        Addr::Tcp(addr)
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Addr::Tcp(addr) => addr.fmt(f),
            Addr::Unix(path) => path.display().fmt(f),
            Addr::Unnamed => f.write_str("(unnamed)"),
        }
    }
}

/// What a TLS handshake settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The name that the client asked for (SNI), lower case.
    pub server_name: Option<String>,
    /// The protocol that was agreed on (ALPN), for example `h2`.
    pub alpn: Option<Vec<u8>>,
    /// The protocol version, for example `TLSv1.3`.
    pub version: Option<&'static str>,
    /// The client's certificates in DER, its own first; empty without client authentication.
    pub peer_certificates: Vec<Vec<u8>>,
    /// Whether the handshake continued an earlier session. Go: `ConnectionState.DidResume`.
    pub resumed: bool,
}

/// Who is at the other end of a connection, and how it came in: Go's `Request.RemoteAddr`, `LocalAddrContextKey` and
/// `Request.TLS`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnInfo {
    /// The number of this connection in its server, counted from 0 in the order of acceptance.
    pub id: u64,
    /// The client's end.
    pub remote: Addr,
    /// The server's end.
    pub local: Addr,
    /// What the TLS handshake settled; `None` on a plain connection.
    pub tls: Option<Arc<TlsInfo>>,
}

impl ConnInfo {
    pub(crate) fn new(remote: Addr, local: Addr) -> Self {
        ConnInfo { id: 0, remote, local, tls: None }
    }

    /// Whether ALPN settled on HTTP/2.
    #[allow(dead_code, reason = "for the protocol choice to come")]
    pub(crate) fn is_h2(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.alpn.as_deref() == Some(b"h2"))
    }
}
