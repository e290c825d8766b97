//! TLS on a server's side, by rustls.

mod certificate;
mod error;
mod handshake;
mod names;
mod prefixed;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;

pub use self::certificate::Certificate;
pub use self::error::TlsError;
use self::names::ByName;

/// What a TLS listener shows and asks for. End a literal with `..TlsConfig::default()`: later versions add fields.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// The server's certificates; at least one.
    ///
    /// A client that names a host (SNI) gets the first certificate that is for this host and has a key that the client can
    /// check; wildcard names count. All others get the first certificate. Go: `tls.Config.Certificates`.
    pub certificates: Vec<Certificate>,

    /// Whether clients have to show certificates too. Default: they are not asked. Go: `tls.Config.ClientAuth` and `ClientCAs`.
    pub client_certificates: ClientCertificates,

    /// Whether clients may choose HTTP/2 (by ALPN). Default true; HTTP/1.1 is always offered beside it. Go:
    /// `Server.Protocols`.
    pub http2: bool,
}

impl Default for TlsConfig {
    fn default() -> Self {
        TlsConfig { certificates: Vec::new(), client_certificates: ClientCertificates::None, http2: true }
    }
}

/// Whether clients have to show certificates, and who must have signed them.
///
/// The authorities are PEM text with their certificates. A handler finds the certificates of a client in
/// [`TlsInfo::peer_certificates`](crate::TlsInfo::peer_certificates).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientCertificates {
    /// Clients are not asked. Go: `NoClientCert`.
    #[default]
    None,
    /// Clients may show one, and one that is shown must be good. Go: `VerifyClientCertIfGiven`.
    Optional {
        /// The authorities, in PEM.
        authorities: Vec<u8>,
    },
    /// Clients must show one. Go: `RequireAndVerifyClientCert`.
    Required {
        /// The authorities, in PEM.
        authorities: Vec<u8>,
    },
}

/// TLS for a listener: Go's `tls.Config` on the server's side, with certificates that can be replaced.
///
/// **Shape**: cheap to clone; clones share their settings, and [`reload`](Self::reload) on one changes all. TLS 1.2 and 1.3, with
/// rustls's choice of cipher suites. ALPN offers HTTP/2 and HTTP/1.1.
///
/// # Examples
/// ```no_run
/// use roundtrip_server::{Server, Tls};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = Tls::from_pem_files("cert.pem", "key.pem")?;
/// let server = Server::new(|_req| async { "hello" });
/// tokio::spawn(server.listen_and_serve_tls(":443", tls.clone()));
/// // Later, when the certificate has been renewed:
/// tls.reload_pem_files("cert.pem", "key.pem")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tls(Arc<ArcSwap<Configs>>);

struct Configs {
    rustls: Arc<rustls::ServerConfig>,
    names: Vec<Vec<String>>,
}

impl Tls {
    /// TLS with these settings.
    ///
    /// # Errors
    /// There is no certificate, or the authorities for clients cannot be read.
    pub fn new(config: TlsConfig) -> Result<Self, TlsError> {
        Ok(Tls(Arc::new(ArcSwap::from_pointee(Configs::new(config)?))))
    }

    /// TLS with one certificate, from PEM files: Go's `ListenAndServeTLS(addr, certFile, keyFile, ..)`.
    ///
    /// Reads the files at once, so it may block for a moment.
    ///
    /// # Errors
    /// As [`Certificate::from_pem_files`].
    pub fn from_pem_files(
        certificate: impl AsRef<std::path::Path>,
        key: impl AsRef<std::path::Path>,
    ) -> Result<Self, TlsError> {
        Tls::new(TlsConfig::with(Certificate::from_pem_files(certificate, key)?))
    }

    /// TLS with one certificate, from PEM text.
    ///
    /// # Errors
    /// As [`Certificate::from_pem`].
    pub fn from_pem(certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        Tls::new(TlsConfig::with(Certificate::from_pem(certificate, key)?))
    }

    /// Replaces all settings. Handshakes that begin from now on use the new ones; open connections are not touched.
    ///
    /// # Errors
    /// As [`new`](Self::new); the old settings stay.
    pub fn reload(&self, config: TlsConfig) -> Result<(), TlsError> {
        self.0.store(Arc::new(Configs::new(config)?));
        Ok(())
    }

    /// As [`reload`](Self::reload), with one certificate from PEM files.
    ///
    /// # Errors
    /// As [`from_pem_files`](Self::from_pem_files); the old settings stay.
    pub fn reload_pem_files(
        &self,
        certificate: impl AsRef<std::path::Path>,
        key: impl AsRef<std::path::Path>,
    ) -> Result<(), TlsError> {
        self.reload(TlsConfig::with(Certificate::from_pem_files(certificate, key)?))
    }

    fn rustls(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.0.load().rustls)
    }
}

impl TlsConfig {
    fn with(certificate: Certificate) -> Self {
        TlsConfig { certificates: vec![certificate], ..TlsConfig::default() }
    }
}

impl Configs {
    fn new(config: TlsConfig) -> Result<Self, TlsError> {
        let host_names = config.certificates.iter().map(|one| one.names().map(str::to_owned).collect()).collect();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::rustls)?;
        let verifier = |authorities: &[u8]| {
            let roots = Arc::new(roots(authorities)?);
            Ok(WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)))
        };
        let builder = match &config.client_certificates {
            ClientCertificates::None => builder.with_no_client_auth(),
            ClientCertificates::Optional { authorities } => {
                let verifier = verifier(authorities)?.allow_unauthenticated().build();
                builder.with_client_cert_verifier(verifier.map_err(TlsError::authorities)?)
            }
            ClientCertificates::Required { authorities } => {
                let verifier = verifier(authorities)?.build();
                builder.with_client_cert_verifier(verifier.map_err(TlsError::authorities)?)
            }
        };
        let mut rustls = builder.with_cert_resolver(Arc::new(ByName::new(config.certificates)?));
        // In the server's order of preference. curl asks for http/1.0 by name when told to speak it.
        let offered = if config.http2 { &ALPN[..] } else { &ALPN[1..] };
        rustls.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Configs { rustls: Arc::new(rustls), names: host_names })
    }
}

const ALPN: [&str; 3] = ["h2", "http/1.1", "http/1.0"];

fn roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificate::chain(pem)? {
        roots.add(certificate).map_err(TlsError::authorities)?;
    }
    Ok(roots)
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("names", &self.0.load().names).finish()
    }
}
