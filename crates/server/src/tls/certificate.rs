//! A certificate and its key.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::TlsError;

/// A certificate, those that lead from it to an authority, and its private key: Go's `tls.Certificate`.
///
/// **Shape**: cheap to clone. PEM with the server's own certificate first; keys in PKCS #8, PKCS #1 or SEC 1 form. `Debug` shows the
/// names, never the key.
#[derive(Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    names: Arc<[String]>,
}

impl Certificate {
    /// Reads certificate and key from PEM files: Go's `tls.LoadX509KeyPair`. May block for a moment.
    ///
    /// # Errors
    /// A file cannot be read, or [`from_pem`](Self::from_pem) fails. The error names the file.
    pub fn from_pem_files(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        let (certificate, key) = (certificate.as_ref(), key.as_ref());
        let read = |path: &Path| std::fs::read(path).map_err(|cause| TlsError::file(path, cause));
        let chain = chain(&read(certificate)?).map_err(|cause| TlsError::file(certificate, cause))?;
        let key = private_key(&read(key)?).map_err(|cause| TlsError::file(key, cause))?;
        Certificate::new(chain, key).map_err(|cause| TlsError::file(certificate, cause))
    }

    /// Reads certificate and key from PEM text: Go's `tls.X509KeyPair`.
    ///
    /// # Errors
    /// There is no certificate or no key in the text, or the key is not that of the certificate.
    pub fn from_pem(certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        Certificate::new(chain(certificate.as_ref())?, private_key(key.as_ref())?)
    }

    fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, TlsError> {
        let names = {
            let own = webpki::EndEntityCert::try_from(&chain[0]);
            let own = own.map_err(|cause| TlsError::new(format!("the certificate cannot be read: {cause}")))?;
            own.valid_dns_names().map(str::to_ascii_lowercase).collect()
        };
        let provider = rustls::crypto::ring::default_provider();
        let key = CertifiedKey::from_der(chain, key, &provider).map_err(TlsError::rustls)?;
        Ok(Certificate { key: Arc::new(key), names })
    }

    /// The host names that the certificate is for, in small letters; `*.` in front of one with a wildcard.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    pub(super) fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("names", &self.names).finish_non_exhaustive()
    }
}

/// All certificates in PEM text; at least one.
pub(super) fn chain(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let chain = chain.map_err(|cause| TlsError::new(format!("not PEM: {cause}")))?;
    if chain.is_empty() { Err(TlsError::new("there is no certificate in it")) } else { Ok(chain) }
}

fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(text).map_err(|cause| match cause {
        pem::Error::NoItemsFound => TlsError::new("there is no private key in it"),
        cause => TlsError::new(format!("not PEM: {cause}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_does_not_fit_is_named() {
        let (one, other) = (["a.test", "*.A.test"], ["b.test"]);
        let made = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            rcgen::generate_simple_self_signed(names).unwrap()
        };
        let (one, other) = (made(&one), made(&other));
        let (cert, key) = (one.cert.pem(), one.signing_key.serialize_pem());
        let good = Certificate::from_pem(&cert, &key).unwrap();
        assert_eq!(good.names().collect::<Vec<_>>(), ["a.test", "*.a.test"]);
        assert_eq!(format!("{good:?}"), "Certificate { names: [\"a.test\", \"*.a.test\"], .. }");
        let fault = |cert: &str, key: &str| Certificate::from_pem(cert, key).unwrap_err().to_string();
        assert_eq!(fault("", &key), "there is no certificate in it");
        assert_eq!(fault(&key, &key), "there is no certificate in it");
        assert_eq!(fault(&cert, &cert), "there is no private key in it");
        assert!(fault(&cert.replace("MII", "M!I"), &key).starts_with("not PEM: "));
        assert!(fault(&cert, &other.signing_key.serialize_pem()).contains("key"));
        let missing = Certificate::from_pem_files("/none/cert.pem", "/none/key.pem").unwrap_err().to_string();
        assert!(missing.starts_with("/none/cert.pem: "), "{missing}");
    }
}
