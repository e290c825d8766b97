//! Go's `http.Client` for Rust: requests with one call, time limits, and errors that say what happened.
//!
//! A [`Client`] builds requests and hands them to a [`RoundTripper`], by default the pooling
//! [`Transport`](roundtrip_transport::Transport). It knows nothing of sockets: with another round tripper it speaks to a test
//! double, a proxy or a cache.
//!
//! ```no_run
//! use roundtrip_client::Client;
//! use roundtrip_types::MessageExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new();
//! let response = client.get("http://127.0.0.1:8080/").header("accept", "text/plain").await?;
//! println!("{}: {}", response.status(), response.text().await?);
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//! - `json`: `RequestBuilder::json`, `json()` on responses, and jars that are saved as JSON.
//! - `multipart`: `RequestBuilder::multipart`, forms with files.

#![forbid(unsafe_code)]

mod builder;
mod client;
mod cookies;
mod deadline;
mod exchange;
mod layer;
#[cfg(feature = "multipart")]
pub mod multipart;
mod random;
mod redirect;
mod request;
mod response;
mod retry;
mod upload;
mod url;

pub use builder::ClientBuilder;
pub use client::{Client, ClientConfig};
pub use cookies::{Jar, JarConfig, JarUrl, ListedSuffixes, MemoryJar, PublicSuffixes};
pub use layer::{RoundTripService, ServiceRoundTripper};
pub use redirect::{RedirectAction, RedirectAttempt, RedirectFault, RedirectPolicy, Redirected};
pub use request::{IntoUrl, RequestBuilder, RequestFuture};
pub use response::{Progress, ResponseExt, StatusError};
pub use retry::{Attempts, Retry, RetryBudget, RetryConfig, RetryLayer};
pub use roundtrip_transport::{RequestOptions, Timings};
pub use roundtrip_types::RoundTripper;
