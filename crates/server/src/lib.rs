//! Go's `http.Server` for Rust: listeners, connections and shutdown around any [`Handler`](roundtrip_types::Handler).
//!
//! hyper speaks HTTP/1.1 on the wire; this crate accepts connections, gives each a task, calls the handler, keeps the
//! connection alive from request to request, and stops without losing work. It knows no router: give it a `ServeMux`, an async
//! function, or any other handler.
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
//! # Features
//! - `tls`: `Tls` and `Server::serve_tls`, on rustls.
//! - `tracing`: `Traced`, which runs each request in a span.

#![forbid(unsafe_code)]

mod accept;
mod addr;
mod body;
mod check;
mod config;
mod conn;
mod control;
mod deadlines;
mod error;
mod framing;
mod handlers;
mod info;
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
