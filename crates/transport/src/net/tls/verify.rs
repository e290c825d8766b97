//! Whether a server is who it says.

use std::fmt;
use std::sync::Arc;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

use super::config::{DangerousTls, Roots, TlsConfig};
use super::{TlsError, TlsProblem};

/// A verifier that names a certificate that vouches for itself, and lets pass what the user wants to pass.
#[derive(Debug)]
pub(super) struct Verifier {
    /// `None` if every certificate passes.
    inner: Option<Arc<dyn ServerCertVerifier>>,
    danger: DangerousTls,
    provider: Arc<CryptoProvider>,
}

/// The certificate vouches for itself. Reported through rustls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("self-signed certificate")
    }
}

impl std::error::Error for SelfSigned {}

impl Verifier {
    pub(super) fn new(config: &TlsConfig, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let danger = config.danger.clone();
        let inner = if danger.accept_invalid_certificates { None } else { Some(trusted(config, &provider)?) };
        Ok(Verifier { inner, danger, provider })
    }
}

fn trusted(config: &TlsConfig, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let extra = || config.extra_roots.iter().map(|root| CertificateDer::clone(&root.0));
    #[cfg_attr(not(feature = "webpki-roots"), allow(unused_mut))]
    let mut store = RootCertStore::empty();
    match config.roots {
        Roots::Platform => {
            let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(extra(), Arc::clone(provider));
            let verifier = verifier.map_err(|error| {
                let message = format!("the certificates that this system trusts cannot be loaded: {error}");
                TlsError::new(TlsProblem::Configuration, message).caused_by(error)
            })?;
            return Ok(Arc::new(verifier));
        }
        #[cfg(feature = "webpki-roots")]
        Roots::Mozilla => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Roots::Nothing if config.extra_roots.is_empty() => {
            let message = "no certificate is trusted: the settings have neither roots nor extra_roots";
            return Err(TlsError::new(TlsProblem::Configuration, message));
        }
        Roots::Nothing => {}
    }
    for root in extra() {
        store.add(root).map_err(|error| unusable(&error))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider)).build();
    Ok(verifier.map_err(|error| unusable(&error))?)
}

fn unusable(error: &dyn fmt::Display) -> TlsError {
    TlsError::new(TlsProblem::Configuration, format!("the trusted certificates cannot be used: {error}"))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        let verified = inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.danger.accept_invalid_names => Ok(ServerCertVerified::assertion()),
            // What it says about itself comes first; anything else is that nobody else vouches for it.
            Err(Error::InvalidCertificate(ref problem)) if !is_about_itself(problem) && is_self_signed(end_entity) => {
                Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(SelfSigned)))))
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // That the peer has the certificate's key is proved even where the certificate itself is not looked at.
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a problem is one of the certificate's own, whoever issued it.
fn is_about_itself(problem: &CertificateError) -> bool {
    matches!(
        problem,
        CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
            | CertificateError::NotValidForName
            | CertificateError::NotValidForNameContext { .. }
            | CertificateError::Revoked
            | CertificateError::BadEncoding
    )
}

/// Whether issuer and subject are one. Whether the signature is its own as well does not matter to one who reads the error.
fn is_self_signed(certificate: &CertificateDer<'_>) -> bool {
    webpki::EndEntityCert::try_from(certificate).is_ok_and(|parsed| parsed.issuer() == parsed.subject())
}
