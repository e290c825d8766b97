//! Go's `net/http` for Rust: [`ServeMux`], [`Handler`], [`Server`], [`RoundTripper`], [`Transport`] and [`Client`].
//!
//! This crate is the front door: it re-exports the crates below it and adds Go's one-line functions. Each of them can be used
//! alone.
//!
//! | crate | what it is |
//! |---|---|
//! | `roundtrip-types` | [`Body`], [`Handler`], [`RoundTripper`] and the errors, on the `http` crate's types |
//! | `roundtrip-mux` | [`ServeMux`]: Go's patterns, the most specific wins |
//! | `roundtrip-server` | [`Server`]: listeners, connections, shutdown; all of it is [`server`] |
//! | `roundtrip-h1` | HTTP/1.1 framing as plain values, see [`h1`] |
//! | `roundtrip-transport` | [`Transport`]: the connection pool, TLS, HTTP/2, proxies |
//! | `roundtrip-client` | [`Client`]: requests, redirects, cookies, retries, time limits |
//!
//! # A server and a client
//! ```
//! use roundtrip::prelude::*;
//! use roundtrip::{Client, ServeMux, Server};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mux = ServeMux::new();
//! mux.handle("/", |_req| async { "Hello I am server 3" });
//! mux.handle("GET /users/{id}", |req: Request| async move { format!("user {}", req.path_value("id")) });
//!
//! let server = Server::new(mux);
//! let listener = server.listen("127.0.0.1:0").await?;
//! let addr = listener.local_addr()?;
//! tokio::spawn(server.serve(listener));
//!
//! let client = Client::new();
//! assert_eq!(client.get(format!("http://{addr}/")).await?.text().await?, "Hello I am server 3");
//! assert_eq!(client.get(format!("http://{addr}/users/7")).await?.text().await?, "user 7");
//! assert_eq!(client.transport().stats().created, 1, "both requests used one connection");
//! # Ok(())
//! # }
//! ```
//!
//! The [`guide`] explains how connections live, how concurrent requests are served, what is kept for later, which sockets a server
//! can listen on, and what goes around handlers.
//!
//! # Features
//! - `blocking`: the client without async, in `roundtrip::blocking`.
//! - `json`: `json()` on requests and responses, `Json` as a response, and cookie jars that are saved.
//! - `multipart`: forms with files, in `roundtrip::multipart`.
//! - `tls` (default): `https` in the client, and `Tls`, for servers that speak it. `webpki-roots`: Mozilla's trust, for systems that have
//!   none of their own.
//! - `socks` (default): SOCKS5 proxies. `hickory`: a resolver that speaks DNS itself.
//! - `deflate`, `br`, `zstd`: content codings besides gzip.
//! - `tracing`: `Traced`, which runs each request of a server in a span.

#![forbid(unsafe_code)]

#[cfg(feature = "blocking")]
pub mod blocking;
mod default;
#[cfg(any(doc, doctest))]
pub mod guide;
mod listen;
pub mod prelude;

#[doc(inline)]
pub use roundtrip_h1 as h1;
/// All of the server's crate, with what is seldom asked for.
pub use roundtrip_server as server;

pub use default::{default_client, default_serve_mux, delete, get, handle, head, patch, post, put};
pub use listen::{Given, MaybeHandler, NoHandler, NotGiven, listen_and_serve};
#[cfg(feature = "multipart")]
pub use roundtrip_client::multipart;
pub use roundtrip_client::{
    Attempts, Client, ClientBuilder, ClientConfig, IntoUrl, Jar, JarConfig, JarUrl, ListedSuffixes, MemoryJar,
    Progress, PublicSuffixes, RedirectAction, RedirectAttempt, RedirectFault, RedirectPolicy, Redirected,
    RequestBuilder, RequestFuture, ResponseExt, Retry, RetryBudget, RetryConfig, RetryLayer, RoundTripService,
    ServiceRoundTripper, StatusError,
};
pub use roundtrip_mux::{
    Conflict, CrossOriginError, CrossOriginProtection, Frozen, InsertError, Match, OriginError, OriginFault, Pattern,
    PatternError, PatternFault, Protected, Router, ServeMux, ServiceHandler,
};
#[cfg(feature = "tracing")]
pub use roundtrip_server::Traced;
pub use roundtrip_server::{
    AbortHandler, Addr, ConnInfo as ServerConnInfo, ConnState, Error as ServerError, ErrorLog, Exchange, ListenAddr,
    ListenOptions, Listener, Observe, Observed, Outcome, ResponseController, Server, ServerConfig, ServerEvent,
    ServerStats, ShutdownReport, TimeoutHandler, TlsInfo as ServerTlsInfo, stop_signal,
};
#[cfg(feature = "tls")]
pub use roundtrip_server::{
    Certificate as ServerCertificate, ClientCertificates, Tls, TlsConfig as ServerTlsConfig, TlsError as ServerTlsError,
};
#[cfg(feature = "tracing")]
pub use roundtrip_transport::TracingEvents;
#[cfg(feature = "tls")]
pub use roundtrip_transport::{Certificate, DangerousTls, Identity, Roots, TlsVersion};
pub use roundtrip_transport::{
    ClientConn, ClientConnState, CloseReason, ConnId, ConnInfo, ConnectConfig, ContentCoding, Dialer, Events,
    ExtendedConnect, GotConn, Http2Config, InterimHook, PeerAddr, PoolStats, Protocols, Proxy, ProxyConfig, ProxyEnv,
    RequestOptions, Reservation, Resolver, Retry as TransportRetry, Reuse, ShutdownReport as TransportShutdownReport,
    Timings, TlsConfig, TlsError, TlsInfo, TlsProblem, Transport, TransportConfig, Uncompressed, Upgraded,
};
#[cfg(feature = "json")]
pub use roundtrip_types::Json;
pub use roundtrip_types::{
    BasicAuth, Body, BodySender, BodyStream, BoxError, BoxHandler, BoxRoundTripper, CatchPanic, Cookie, CookieError,
    Error, ErrorKind, Form, FormFault, FormValues, Handler, HandlerFuture, Html, HttpDate, HttpDateError, IntoResponse,
    MaxBytes, MessageExt, NotFoundHandler, PathValues, Phase, RedirectHandler, Request, RequestExt, Response, Result,
    RoundTripFuture, RoundTripper, Route, RouteWatch, SameSite, SendError, StripPrefix, UriReference,
    UriReferenceError, error, not_found, redirect, redirect_from,
};

/// The `http` crate, whose types these are.
pub use http;
