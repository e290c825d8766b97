//! A certificate made when the program runs, so that none in the repository runs out.

use roundtrip_server::Tls;
use roundtrip_transport::{Certificate, Roots, TlsConfig};

/// A server's certificate, signed by itself, and its key.
#[derive(Debug)]
pub struct Identity {
    certificate: String,
    key: String,
}

impl Identity {
    /// Makes one for 127.0.0.1 and for `localhost`: an ECDSA key on P-256, as most servers have today.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn make() -> Result<Self, String> {
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).map_err(|error| format!("no certificate: {error}"))?;
        Ok(Identity { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() })
    }

    /// The certificate, in PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Its key, in PEM.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// TLS for our server.
    ///
    /// # Errors
    /// rustls does not take the certificate.
    pub fn for_server(&self) -> Result<Tls, String> {
        Tls::from_pem(&self.certificate, &self.key).map_err(|error| error.to_string())
    }

    /// TLS for our client, which trusts this certificate alone and remembers so many sessions.
    ///
    /// # Errors
    /// rustls does not take the certificate.
    pub fn for_client(&self, session_cache: usize) -> Result<TlsConfig, String> {
        let extra_roots = Certificate::from_pem(self.certificate.as_bytes()).map_err(|error| error.to_string())?;
        Ok(TlsConfig { roots: Roots::Nothing, extra_roots, session_cache, ..TlsConfig::default() })
    }
}
