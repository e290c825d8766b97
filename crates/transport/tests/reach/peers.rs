//! Servers, certificates and proxies of the tests.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use roundtrip_transport::{Certificate, ConnectConfig, Roots, TlsConfig, TransportConfig};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;

/// What carries bytes both ways.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

/// A listener that counts its connections.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) addr: SocketAddr,
    accepted: Arc<AtomicUsize>,
    /// The heads of requests that came, if whoever serves notes them.
    pub(crate) heads: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    pub(crate) async fn start<F, Fut>(serve: F) -> Self
    where
        F: Fn(Peer, TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = Peer { addr: listener.local_addr().unwrap(), accepted: Arc::default(), heads: Arc::default() };
        let shared = peer.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(shared.clone(), stream));
            }
        });
        peer
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// An HTTP/1.1 server that answers each request with `answer` and notes its head.
    pub(crate) async fn http(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        Peer::start(move |peer, stream| serve_http1(peer, stream, Arc::clone(&answer))).await
    }

    /// The same over TLS.
    pub(crate) async fn https(config: ServerConfig, answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Peer::start(move |peer, stream| {
            let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve_http1(peer, stream, answer).await;
                }
            }
        })
        .await
    }
}

/// Answers requests without a body, or with one whose length is declared.
pub(crate) async fn serve_http1(peer: Peer, stream: impl Io, answer: Arc<[u8]>) {
    let mut stream = BufReader::new(stream);
    while let Some(head) = read_head(&mut stream).await {
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        if stream.read_exact(&mut body).await.is_err() {
            return;
        }
        peer.heads.lock().unwrap().push(head);
        if stream.write_all(&answer).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

/// A head with its empty line; `None` at the end.
pub(crate) async fn read_head(stream: &mut BufReader<impl Io>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

/// An HTTP proxy: connects CONNECT requests through to `to`, whatever they ask for, and answers others itself.
pub(crate) async fn proxy(to: Option<SocketAddr>) -> Peer {
    Peer::start(move |peer, stream| async move {
        let mut stream = BufReader::new(stream);
        while let Some(head) = read_head(&mut stream).await {
            let connect = head.starts_with("CONNECT ");
            peer.heads.lock().unwrap().push(head);
            if connect {
                stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
                let mut server = TcpStream::connect(to.expect("where to")).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
                return;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy").await.unwrap();
        }
    })
    .await
}

/// An authority that issues certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// The settings of a server of this name that speaks these protocols.
    pub(crate) fn server(&self, name: &str, alpn: &[&str]) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth();
        let mut config = builder.with_single_cert(vec![certificate.der().clone()], key.into()).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    /// The settings of a transport that trusts this authority, and for which the names of the tests are 127.0.0.1.
    pub(crate) fn config(&self) -> TransportConfig {
        let tls = TlsConfig {
            roots: Roots::Nothing,
            extra_roots: vec![Certificate::from_der(self.0.der()).unwrap()],
            ..TlsConfig::default()
        };
        let here = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        let hosts: BTreeMap<_, _> = ["h.test", "other.test"].map(|name| (name.to_owned(), here.clone())).into();
        TransportConfig {
            connect: ConnectConfig { tls, hosts, ..ConnectConfig::default() },
            ..TransportConfig::default()
        }
    }
}
