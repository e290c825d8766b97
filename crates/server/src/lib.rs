//! Go's `http.Server` for Rust: listeners, connections and shutdown around any [`Handler`](roundtrip_types::Handler).
//!
//! It listens and accepts (TCP, unix sockets, TLS), gives each connection a task that reads requests, calls the handler and writes
//! the response, holds clients to limits, and stops without losing work. HTTP/1.1 is spoken by this crate itself, over
//! [`roundtrip-h1`](roundtrip_h1); HTTP/2, and connections that are asked to upgrade, by hyper. It knows no router: give it a
//! `ServeMux`, an async function, or any other handler.
//!
//! [`TimeoutHandler`] and [`Observed`] go around handlers; more that do stand in `roundtrip-types`.
//!
//! ```
//! use roundtrip_server::Server;
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::new(|_req| async { "hello" });
//! let listener = server.listen("127.0.0.1:0").await?;
//! println!("listening on {}", listener.local_addr()?);
//!
//! let serving = tokio::spawn(server.serve(listener));
//! // Later, perhaps on a signal:
//! let report = server.shutdown(Duration::from_secs(5)).await;
//! assert_eq!(report.cut, 0);
//! serving.await??;
//! # Ok(())
//! # }
//! ```
//!
//! # Clients that mean harm
//! The settings as they come are meant for the open internet. A client that is silent, slow with its request, or slow to take its
//! response is gone within 75 seconds whatever it does:
//!
//! | what it does | [`ServerConfig`] | default | outcome |
//! |---|---|---|---|
//! | nothing, or sends a head by the byte | `read_header_timeout` | 30 s | closed; 408 if it had begun |
//! | sends a body by the byte | `body_stall_timeout`, `min_body_rate` | 30 s, 256 B/s | the handler gets `Timeout` and can answer |
//! | does not read | `write_stall_timeout`, `min_write_rate` | 30 s, 256 B/s | reset |
//! | keeps a connection for later | `idle_timeout` | 60 s | closed |
//! | leaves while a handler works | `half_close_timeout` | 5 s | the handler is dropped |
//! | sends a head without end | `max_header_bytes`, `max_header_count` | 1 MiB, 500 | 431 |
//! | opens connections without end | `max_connections` | 16,384 | the others wait |
//! | resets streams, floods with CONTINUATION | (HTTP/2) | | the connection ends |
//! | sends what two parties may read in two ways | | | 400, closed |
//!
//! [`ServerConfig::go`] has Go's settings, which have none of these time limits.
//!
//! # What a handler can ask
//! [`ResponseController::current`] is Go's `ResponseController` and the server's part of Go's request context: who the client is and
//! whether it is still there, deadlines of its own, interim responses, taking the connection over. [`upgrade`] is for WebSockets.
//!
//! # Features
//! - `tls`: `Tls` and `Server::serve_tls`, on rustls.
//! - `tracing`: `Traced`, which runs each request in a span.

#![forbid(unsafe_code)]

mod accept;
mod addr;
mod body;
mod check;
mod clock;
mod config;
mod conn;
mod control;
mod deadlines;
mod error;
mod framing;
mod handlers;
mod http1;
mod info;
mod linger;
mod link;
mod listen_options;
mod listener;
mod per_core;
mod server;
mod service;
mod signal;
mod stream;
mod streams;
#[cfg(feature = "tls")]
mod tls;
mod tracker;
#[cfg(unix)]
mod unix_path;
mod upgrade;
mod wire;

pub use addr::ListenAddr;
pub use config::{ConnContext, ConnState, ErrorLog, ServerConfig, ServerEvent, StateHook};
pub use control::{ControlError, Hijacked, ResponseController};
pub use error::{Error, Result};
#[cfg(feature = "tracing")]
pub use handlers::Traced;
pub use handlers::{Exchange, Observe, Observed, Outcome, TimeoutHandler};
pub use info::{Addr, ConnInfo, TlsInfo};
pub use listen_options::ListenOptions;
pub use listener::Listener;
pub use server::Server;
pub use service::AbortHandler;
pub use signal::stop_signal;
#[cfg(feature = "tls")]
pub use tls::{Certificate, ClientCertificates, Tls, TlsConfig, TlsError};
pub use tracker::{ServerStats, ShutdownReport};
pub use upgrade::{Upgraded, upgrade};
