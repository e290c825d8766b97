//! Certificates and keys of our own, checked when they are read.

use std::fmt;
use std::sync::Arc;

use roundtrip_types::{Error, ErrorKind, Result};
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

use super::rustls::provider;

/// A certificate to trust, see [`TlsConfig::extra_roots`](super::TlsConfig::extra_roots).
///
/// **Shape**: one that can be trusted: it was parsed. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate(pub(super) Arc<CertificateDer<'static>>);

impl Certificate {
    /// A certificate in DER.
    ///
    /// # Errors
    /// Kind `Request`: it is none, or none that can be trusted.
    pub fn from_der(der: &[u8]) -> Result<Self> {
        let der = CertificateDer::from(der.to_vec());
        RootCertStore::empty().add(der.clone()).map_err(|error| invalid("the certificate cannot be trusted", error))?;
        Ok(Certificate(Arc::new(der)))
    }

    /// The certificates of a PEM file, `-----BEGIN CERTIFICATE-----` and so on; other blocks are skipped.
    ///
    /// # Errors
    /// Kind `Request`: one of them is malformed, or there are none.
    pub fn from_pem(pem: &[u8]) -> Result<Vec<Self>> {
        certificates(pem)?.iter().map(|der| Certificate::from_der(der)).collect()
    }
}

/// A certificate of our own with its private key, for servers that ask who we are.
///
/// **Shape**: the two belong together: it was checked. Cheap to clone. `Debug` shows neither.
#[derive(Clone)]
pub struct Identity(pub(super) Arc<CertifiedKey>);

impl Identity {
    /// The certificate, with those behind it that lead to a root, and the private key (PKCS #8, PKCS #1 or SEC 1), in PEM. The
    /// two may be one file.
    ///
    /// # Errors
    /// Kind `Request`: one of them is missing or malformed, or the key is not the certificate's.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self> {
        let chain = self::certificates(certificates)?;
        let key =
            PrivateKeyDer::from_pem_slice(key).map_err(|error| invalid("the private key cannot be read", error))?;
        Identity::new(chain, key)
    }

    /// The same in DER.
    ///
    /// # Errors
    /// As [`from_pem`](Identity::from_pem).
    pub fn from_der(chain: impl IntoIterator<Item = Vec<u8>>, key: Vec<u8>) -> Result<Self> {
        let key = PrivateKeyDer::try_from(key).map_err(|error| invalid("the private key cannot be read", error))?;
        Identity::new(chain.into_iter().map(CertificateDer::from).collect(), key)
    }

    fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self> {
        let made = CertifiedKey::from_der(chain, key, &provider());
        made.map(|key| Identity(Arc::new(key)))
            .map_err(|error| invalid("the certificate and key cannot be used", error))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| invalid("the certificates cannot be read", error))?;
    if found.is_empty() {
        return Err(Error::new(ErrorKind::Request, "there is no certificate in the PEM text"));
    }
    Ok(found)
}

fn invalid(what: &'static str, cause: impl fmt::Display) -> Error {
    // As text: the types of 0.x crates stay inside.
    Error::new(ErrorKind::Request, format!("{what}: {cause}"))
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} bytes)", self.0.len())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}
