//! Reaching a server: names, addresses, proxies and TLS, down to a byte stream and what is known about it.

mod info;
mod stream;

pub(crate) use self::info::Facts;
pub use self::info::{ConnInfo, PeerAddr, TlsInfo};
pub use self::stream::Io;
pub(crate) use self::stream::{Dialed, ReadHalf, Stream, WriteHalf};
