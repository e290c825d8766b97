//! The server's TLS in the golden cases, and a client's end of it as a plain socket.

use std::net::SocketAddr;
use std::sync::Arc;

use roundtrip_server::Tls;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

/// A server's side, and what its clients trust.
pub(crate) struct Identity {
    pub(crate) server: Tls,
    client: Arc<ClientConfig>,
}

impl Identity {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
        let server = Tls::from_pem(made.cert.pem(), made.signing_key.serialize_pem()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut client = builder.with_root_certificates(roots).with_no_client_auth();
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        Identity { server, client: Arc::new(client) }
    }

    /// Connects and completes the handshake. What is written to the stream that is returned goes through TLS to the server; the
    /// address is the one that the server sees.
    pub(crate) async fn connect(&self, addr: SocketAddr) -> (TcpStream, SocketAddr) {
        let stream = TcpStream::connect(addr).await.unwrap();
        let seen = stream.local_addr().unwrap();
        let name = ServerName::try_from("a.test").unwrap();
        let mut secured = TlsConnector::from(Arc::clone(&self.client)).connect(name, stream).await.unwrap();
        let bridge = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(bridge.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = bridge.accept().await.unwrap();
        tokio::spawn(async move {
            // However it ends, both sides are closed then.
            let _ = tokio::io::copy_bidirectional(&mut far, &mut secured).await;
        });
        (near, seen)
    }
}
