//! One authority, one certificate, made once.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use roundtrip_transport::{Certificate, ConnectConfig, Roots, TlsConfig};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;

/// The name that the certificate is for.
pub(crate) const NAME: &str = "h.test";

struct Made {
    authority: Certificate,
    server: ServerConfig,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([NAME.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let server = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .unwrap();
        Made { authority: Certificate::from_der(authority.der()).unwrap(), server }
    })
}

/// Takes TLS connections, and agrees on this protocol alone.
pub(crate) fn acceptor(alpn: &str) -> TlsAcceptor {
    let mut server = made().server.clone();
    server.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    TlsAcceptor::from(Arc::new(server))
}

/// Settings that trust the authority, and in which the name is 127.0.0.1.
pub(crate) fn connect_config() -> ConnectConfig {
    let tls = TlsConfig { roots: Roots::Nothing, extra_roots: vec![made().authority.clone()], ..TlsConfig::default() };
    let hosts = [(NAME.to_owned(), vec![SocketAddr::from(([127, 0, 0, 1], 0))])].into();
    ConnectConfig { tls, hosts, ..ConnectConfig::default() }
}
