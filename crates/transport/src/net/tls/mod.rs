//! Securing a connection.
//!
//! What is asked of TLS stands here and needs no TLS; [`rustls`] does it behind a feature, and the user may do it instead.

mod config;
mod error;
#[cfg(feature = "tls")]
mod keys;
#[cfg(feature = "tls")]
mod rustls;
#[cfg(feature = "tls")]
mod secured;
#[cfg(feature = "tls")]
mod sniff;
#[cfg(feature = "tls")]
mod verify;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use roundtrip_types::{Error, ErrorKind, Phase, Result};

pub use self::config::TlsConfig;
#[cfg(feature = "tls")]
pub use self::config::{DangerousTls, Roots, TlsVersion};
pub use self::error::{TlsError, TlsProblem};
#[cfg(feature = "tls")]
pub use self::keys::{Certificate, Identity};
use super::dial::Connection;
use super::{Io, Stream, Target, TlsInfo};

/// Makes TLS handshakes in the user's own way, instead of rustls: part of Go's `DialTLSContext`.
///
/// # Contract
/// - It verifies that the peer is `request.server_name()`.
/// - It offers the protocols of `request.alpn()` by ALPN, and returns what was agreed on in [`TlsInfo::alpn`]; if it returns
///   none, HTTP/1.1 is spoken.
/// - The connection that it returns says that it is [secured](Connection::secured).
///
/// # Cancel safety
/// The future is dropped when the handshake takes too long; `io` must be closed then.
pub trait Handshake: Send + Sync + 'static {
    /// Secures `io`.
    fn handshake<'a>(&'a self, io: Box<dyn Io>, request: &'a HandshakeRequest) -> HandshakeFuture<'a>;
}

/// The future of [`Handshake::handshake`].
pub type HandshakeFuture<'a> = Pin<Box<dyn Future<Output = Result<Connection>> + Send + 'a>>;

/// What a handshake is to achieve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeRequest {
    server_name: String,
    alpn: Alpn,
}

impl HandshakeRequest {
    /// The name or address that the peer's certificate must be for, without brackets.
    #[must_use]
    pub fn server_name(&self) -> &str {
        &self.server_name
    }

    /// The protocols to offer, the preferred one first.
    #[must_use]
    pub fn alpn(&self) -> &'static [&'static str] {
        self.alpn.names()
    }
}

/// Which protocols a connection may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Alpn {
    /// HTTP/1.1 only: upgrades, proxies, and by the user's wish.
    Http1,
    /// HTTP/2 if the server has it.
    Http2OrHttp1,
    /// HTTP/2 only.
    Http2,
}

impl Alpn {
    pub(crate) fn names(self) -> &'static [&'static str] {
        match self {
            Alpn::Http1 => &["http/1.1"],
            Alpn::Http2OrHttp1 => &["h2", "http/1.1"],
            Alpn::Http2 => &["h2"],
        }
    }
}

/// Makes handshakes as the settings have it. Its roots are loaded with the first one.
pub(crate) struct Tls {
    config: TlsConfig,
    #[cfg(feature = "tls")]
    rustls: tokio::sync::OnceCell<rustls::Client>,
}

impl Tls {
    pub(crate) fn new(config: TlsConfig) -> Self {
        Tls {
            config,
            #[cfg(feature = "tls")]
            rustls: tokio::sync::OnceCell::new(),
        }
    }

    /// Secures `stream` to `target`. `for_server` is whether it is the server's, rather than a proxy's, for which names given by
    /// the user are meant.
    ///
    /// # Errors
    /// Kind `Connect`, or `Timeout`, phase `Tls`; the cause is a [`TlsError`] that says what is wrong.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub(crate) async fn handshake(
        &self,
        stream: Stream,
        target: &Target,
        alpn: Alpn,
        for_server: bool,
    ) -> Result<(Stream, TlsInfo)> {
        let name = match &self.config.server_name {
            Some(name) if for_server => name,
            _ => target.host(),
        };
        // A dot at the end is how DNS writes a name in full; certificates and SNI do without (RFC 6066, section 3).
        let server_name = name.strip_suffix('.').unwrap_or(name).to_owned();
        let request = HandshakeRequest { server_name, alpn };
        let limit = self.config.handshake_timeout;
        let doing = self.without_limit(stream, target, &request);
        let Some(limit) = limit else { return doing.await };
        match tokio::time::timeout(limit, doing).await {
            Ok(done) => done,
            Err(_) => Err(too_late(target, limit)),
        }
    }

    async fn without_limit(
        &self,
        stream: Stream,
        target: &Target,
        request: &HandshakeRequest,
    ) -> Result<(Stream, TlsInfo)> {
        if let Some(custom) = &self.config.handshake {
            let io: Box<dyn Io> = match stream {
                Stream::Boxed(io) => io,
                other => Box::new(other),
            };
            let Connection { io, tls, .. } =
                custom.handshake(io, request).await.map_err(|error| error.with_phase(Phase::Tls))?;
            let tls = tls.unwrap_or_else(|| TlsInfo::new("TLS", "unknown"));
            return Ok((Stream::Boxed(io), tls));
        }
        self.built_in(stream, target, request).await
    }

    #[cfg(feature = "tls")]
    async fn built_in(&self, stream: Stream, target: &Target, request: &HandshakeRequest) -> Result<(Stream, TlsInfo)> {
        let failed = |cause: TlsError| failed(target, cause);
        let client = self
            .rustls
            .get_or_try_init(|| async {
                let config = self.config.clone();
                // It reads the system's certificates from files.
                let made = tokio::task::spawn_blocking(move || rustls::Client::new(&config)).await;
                made.unwrap_or_else(|_| Err(TlsError::new(TlsProblem::Configuration, "the runtime is shutting down")))
            })
            .await
            .map_err(failed)?;
        client.handshake(stream, request).await.map_err(failed)
    }

    #[cfg(not(feature = "tls"))]
    #[allow(clippy::unused_async)] // as its twin
    async fn built_in(&self, _: Stream, target: &Target, _: &HandshakeRequest) -> Result<(Stream, TlsInfo)> {
        let what =
            "this program was built without the feature `tls` of roundtrip-transport, and has no handshake of its own";
        Err(failed(target, TlsError::new(TlsProblem::Configuration, what)))
    }
}

fn failed(target: &Target, cause: TlsError) -> Error {
    let message = format!("TLS handshake with {}", super::dial::shown(&target.to_string()));
    Error::new(ErrorKind::Connect, message).with_phase(Phase::Tls).with_cause(cause)
}

fn too_late(target: &Target, limit: Duration) -> Error {
    let message = format!(
        "TLS handshake with {}: not done within {limit:?} (handshake_timeout)",
        super::dial::shown(&target.to_string())
    );
    Error::new(ErrorKind::Timeout, message).with_phase(Phase::Tls)
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("config", &self.config).finish_non_exhaustive()
    }
}
