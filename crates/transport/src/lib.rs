//! Go's `http.Transport` for Rust: a bounded pool of connections, over TLS, proxies and Unix sockets, HTTP/1.1 and HTTP/2.
//!
//! Over HTTP/1.1 there is no task per connection and no channel per request. The future that [`Transport::round_trip`] returns writes the
//! request and reads the response on a connection that it owns; the response's body then owns the connection and gives it back
//! to the pool when it has been read to its end. See [`Transport`] for what is pooled and for how long.
//!
//! - How servers are reached: [`ConnectConfig`] with [`Resolver`], [`Dialer`], [`TcpConfig`] and [`TlsConfig`].
//! - Through which proxy: [`ProxyConfig`]. Which protocol: [`Protocols`] and [`Http2Config`].
//! - What is decoded: [`ContentCoding`].
//!
//! ```no_run
//! use roundtrip_transport::{RoundTripper, Transport};
//! use roundtrip_types::{Body, MessageExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let transport = Transport::new();
//! let req = http::Request::get("http://127.0.0.1:8080/").body(Body::empty())?;
//! let response = transport.round_trip(req).await?;
//! println!("{}", response.text().await?);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

// for the program
mod config;
mod events;
mod timings;
#[cfg(feature = "tracing")]
mod tracing_events;
mod transport;
mod upgrade;

// one request
mod acquire;
mod body;
mod conn;
mod decode;
mod drain;
mod h2;
mod prepare;
mod streamed;
mod timers;

// what they share
mod key;
mod lease;
mod mux;
mod pool;
mod pooled;
mod shared;
mod sweeper;

// reaching a server
mod net;

pub use config::{InterimHook, Protocols, RequestOptions, Retry, Reuse, TransportConfig};
pub use decode::{ContentCoding, Uncompressed};
pub use events::{Connected, Events, GotConn};
pub use h2::Http2Config;
#[cfg(feature = "hickory")]
pub use net::HickoryResolver;
#[cfg(feature = "tls")]
pub use net::{Certificate, DangerousTls, Identity, Roots, TlsVersion};
pub use net::{
    ConnInfo, ConnectConfig, Connection, Dial, DialFuture, Dialer, DnsCacheConfig, Handshake, HandshakeFuture,
    HandshakeRequest, Io, PeerAddr, Proxy, ProxyConfig, ProxyEnv, ProxyKind, Resolve, ResolveFuture, Resolver, Scheme,
    SystemResolver, Target, TcpConfig, TlsConfig, TlsError, TlsInfo, TlsProblem,
};
pub use pool::{CloseReason, Closed, ConnId, Histogram, PoolStats};
pub use roundtrip_types::{Error, RoundTripper};
pub use timings::Timings;
#[cfg(feature = "tracing")]
pub use tracing_events::TracingEvents;
pub use transport::{ShutdownReport, Transport};
pub use upgrade::Upgraded;
