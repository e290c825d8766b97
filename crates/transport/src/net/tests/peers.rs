//! Servers of the tests.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server that handles each connection by `serve`. It ends with the test's runtime.
pub(super) async fn server<F, Fut>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// A server that waits for a first byte, says `answer`, and closes in order.
pub(super) async fn says(answer: &'static [u8]) -> SocketAddr {
    server(move |mut stream| async move {
        let mut sink = [0; 4096];
        let _ = stream.read(&mut sink).await;
        let _ = stream.write_all(answer).await;
        let _ = stream.shutdown().await;
        // What comes meanwhile is read, or closing would be a reset.
        while stream.read(&mut sink).await.is_ok_and(|count| count > 0) {}
    })
    .await
}

/// An address where nobody listens.
pub(super) async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// An address that answers no SYN: a listener whose queue is full. It does as long as what comes with it is kept.
pub(super) async fn black_hole() -> (SocketAddr, Vec<Box<dyn std::any::Any + Send>>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut kept: Vec<Box<dyn std::any::Any + Send>> = vec![Box::new(socket)];
    // One fits into a queue of 0; more do on some systems.
    for _ in 0..4 {
        let filler = std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_millis(50));
        if let Ok(filler) = filler {
            kept.push(Box::new(filler));
        }
    }
    (address, kept)
}

/// Sends what comes on either side to the other.
#[cfg(feature = "tls")]
pub(super) async fn relay(mut one: TcpStream, mut other: TcpStream) {
    let _ = tokio::io::copy_bidirectional(&mut one, &mut other).await;
}

/// Certificates, and servers that have them.
#[cfg(feature = "tls")]
pub(super) mod tls {
    use std::sync::Arc;

    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair, date_time_ymd,
    };
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::ring::default_provider;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio_rustls::rustls::server::WebPkiClientVerifier;

    use super::*;
    use crate::net::{Certificate, ConnectConfig, Identity, Roots, TlsConfig};

    /// A certificate with its key.
    pub(crate) struct Pair {
        pub(crate) certificate: CertificateDer<'static>,
        pub(crate) key: PrivateKeyDer<'static>,
    }

    /// An authority that issues certificates.
    pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

    impl Authority {
        pub(crate) fn new() -> Self {
            Authority::named("an authority of the tests")
        }

        pub(crate) fn named(name: &str) -> Self {
            let mut params = CertificateParams::new([]).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
            Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
        }

        pub(crate) fn issue(&self, name: &str) -> Pair {
            self.issue_with(name, |_| {})
        }

        pub(crate) fn issue_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Pair {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new([name.to_owned()]).unwrap();
            change(&mut params);
            let certificate = params.signed_by(&key, &self.0).unwrap();
            Pair { certificate: certificate.der().clone(), key: key.into() }
        }

        /// The settings that trust this authority and no other.
        pub(crate) fn trusted(&self) -> TlsConfig {
            TlsConfig {
                roots: Roots::Nothing,
                extra_roots: vec![Certificate::from_der(self.0.der()).unwrap()],
                ..TlsConfig::default()
            }
        }

        pub(crate) fn connect_config(&self) -> ConnectConfig {
            with(self.trusted())
        }

        /// Settings of a server that asks clients for a certificate of this authority.
        pub(crate) fn asking(&self, pair: &Pair) -> ServerConfig {
            let mut roots = tokio_rustls::rustls::RootCertStore::empty();
            roots.add(self.0.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()));
            let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_client_cert_verifier(verifier.build().unwrap());
            builder.with_single_cert(vec![pair.certificate.clone()], pair.key.clone_key()).unwrap()
        }
    }

    impl Pair {
        pub(crate) fn self_signed(name: &str) -> Self {
            let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
            Pair { certificate: made.cert.der().clone(), key: made.signing_key.into() }
        }

        pub(crate) fn self_signed_authority(name: &str) -> Self {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new([name.to_owned()]).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            Pair { certificate: params.self_signed(&key).unwrap().der().clone(), key: key.into() }
        }

        pub(crate) fn identity(&self) -> Identity {
            Identity::from_der([self.certificate.to_vec()], self.key.secret_der().to_vec()).unwrap()
        }

        pub(crate) fn config(&self, alpn: &[&str]) -> ServerConfig {
            let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth();
            let mut config = builder.with_single_cert(vec![self.certificate.clone()], self.key.clone_key()).unwrap();
            config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
            config
        }
    }

    /// Settings with this TLS.
    pub(crate) fn with(tls: TlsConfig) -> ConnectConfig {
        ConnectConfig { tls, hosts: everything_is_here(), ..ConnectConfig::default() }
    }

    /// The names of the tests are 127.0.0.1.
    fn everything_is_here() -> std::collections::BTreeMap<String, Vec<SocketAddr>> {
        ["h.test", "other.test", "proxy.test"].map(|name| (name.to_owned(), vec![([127, 0, 0, 1], 0).into()])).into()
    }

    /// A server that sends back what it gets, over TLS.
    pub(crate) async fn echo(config: ServerConfig) -> SocketAddr {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        server(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let (mut read, mut write) = tokio::io::split(stream);
                let _ = tokio::io::copy(&mut read, &mut write).await;
            }
        })
        .await
    }

    /// A time that is over and one that has not come.
    pub(crate) fn long_ago(params: &mut CertificateParams) {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 29);
    }

    pub(crate) fn far_ahead(params: &mut CertificateParams) {
        params.not_before = date_time_ymd(2999, 3, 1);
        params.not_after = date_time_ymd(3000, 1, 1);
    }
}
