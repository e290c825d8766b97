//! Reaching a server: names, addresses, proxies and TLS, down to a byte stream and what is known about it.

pub(crate) mod dial;
mod info;
mod proxy;
mod resolve;
mod stream;
mod target;

pub use self::dial::{Connection, Dial, DialFuture, Dialer, TcpConfig};
pub(crate) use self::info::Facts;
pub use self::info::{ConnInfo, PeerAddr, TlsInfo};
pub use self::proxy::{Proxy, ProxyConfig, ProxyEnv, ProxyKind};
#[cfg(feature = "hickory")]
pub use self::resolve::HickoryResolver;
pub use self::resolve::{DnsCacheConfig, Resolve, ResolveFuture, Resolver, SystemResolver};
pub use self::stream::Io;
pub(crate) use self::stream::{Dialed, ReadHalf, Stream, WriteHalf};
pub use self::target::{Scheme, Target};
