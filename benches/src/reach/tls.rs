//! TLS as the yardsticks speak it: tokio-rustls, without anything of ours.

use std::sync::Arc;

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::identity::Identity;

/// Accepts as that identity.
pub(super) fn acceptor(identity: &Identity) -> Result<TlsAcceptor, String> {
    let certificate = CertificateDer::from_pem_slice(identity.certificate().as_bytes()).map_err(said)?;
    let key = PrivateKeyDer::from_pem_slice(identity.key().as_bytes()).map_err(said)?;
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).map_err(said)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Connects to whoever has that certificate, in PEM, and offers those protocols.
pub(super) fn connector(certificate: &str, protocols: &[&str]) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(said)?).map_err(said)?;
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn said(error: impl std::fmt::Display) -> String {
    format!("TLS: {error}")
}
