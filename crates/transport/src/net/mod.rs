//! Reaching a server: names, addresses, proxies and TLS, down to a byte stream and what is known about it.

mod connector;
mod dial;
mod info;
mod proxy;
mod resolve;
mod stream;
mod target;
#[cfg(test)]
mod tests;
mod tls;

pub use self::connector::ConnectConfig;
pub(crate) use self::connector::Connector;
pub use self::dial::{Connection, Dial, DialFuture, Dialer, TcpConfig};
#[cfg(test)]
pub(crate) use self::info::Facts;
pub use self::info::{ConnInfo, PeerAddr, TlsInfo};
pub use self::proxy::{Proxy, ProxyConfig, ProxyEnv, ProxyKind};
pub(crate) use self::resolve::Departed;
#[cfg(feature = "hickory")]
pub use self::resolve::HickoryResolver;
pub use self::resolve::{DnsCacheConfig, Resolve, ResolveFuture, Resolver, SystemResolver};
pub use self::stream::Io;
pub(crate) use self::stream::{Dialed, ReadHalf, Stream, WriteHalf};
pub use self::target::{Scheme, Target};
pub(crate) use self::tls::{Alpn, Tls};
#[cfg(feature = "tls")]
pub use self::tls::{Certificate, DangerousTls, Identity, Roots, TlsVersion};
pub use self::tls::{Handshake, HandshakeFuture, HandshakeRequest, TlsConfig, TlsError, TlsProblem};
