//! Go's package-level functions, on the process-wide client and mux.

use std::sync::OnceLock;

use roundtrip_client::{Client, IntoUrl, RequestBuilder};
use roundtrip_transport::{ProxyConfig, Transport, TransportConfig};
use roundtrip_types::Handler;

pub use roundtrip_mux::default_serve_mux;

/// The client that [`get`] and its siblings use: Go's `http.DefaultClient`. Made at its first use, it lives as long as the
/// process, and its connections serve all parts of it.
///
/// As Go's, it goes through the proxies of the environment (`HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`) as they are at its first use; a
/// client of your own does so if its [`TransportConfig`] says it.
pub fn default_client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let config = TransportConfig { proxy: ProxyConfig::from_env(), ..TransportConfig::default() };
        Client::with_transport(Transport::with_config(config))
    })
}

/// Starts a GET with the [`default_client`]: Go's `http.Get`.
///
/// ```no_run
/// use roundtrip::prelude::*;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let text = roundtrip::get("http://127.0.0.1:8080/").await?.text().await?;
/// # Ok(())
/// # }
/// ```
pub fn get(url: impl IntoUrl) -> RequestBuilder<Transport> {
    default_client().get(url)
}

/// Starts a HEAD with the [`default_client`]: Go's `http.Head`.
pub fn head(url: impl IntoUrl) -> RequestBuilder<Transport> {
    default_client().head(url)
}

/// Starts a POST with the [`default_client`]: Go's `http.Post`.
pub fn post(url: impl IntoUrl) -> RequestBuilder<Transport> {
    default_client().post(url)
}

/// Starts a PUT with the [`default_client`].
pub fn put(url: impl IntoUrl) -> RequestBuilder<Transport> {
    default_client().put(url)
}

/// Starts a PATCH with the [`default_client`].
pub fn patch(url: impl IntoUrl) -> RequestBuilder<Transport> {
    default_client().patch(url)
}

/// Starts a DELETE with the [`default_client`].
pub fn delete(url: impl IntoUrl) -> RequestBuilder<Transport> {
    default_client().delete(url)
}

/// Registers a handler with the [`default_serve_mux`]: Go's `http.Handle` and `http.HandleFunc`.
///
/// # Panics
/// At the caller's line, if the pattern is none or conflicts with one registered before.
#[track_caller]
pub fn handle(pattern: &str, handler: impl Handler) {
    default_serve_mux().handle(pattern, handler);
}
