//! Many requests at once to a server that nobody has talked to: how many connections and handshakes they take.

use std::net::SocketAddr;

use roundtrip_transport::{ConnectConfig, Protocols, RoundTripper, Transport, TransportConfig};
use roundtrip_types::{Body, MessageExt};
use tokio::runtime::Builder;

use crate::identity::Identity;
use crate::model::Protocol;
use crate::servers::GREETING;
use crate::servers::embedded::{Running, Settings};

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// HTTP/1.1 without TLS.
    Plain,
    /// HTTP/1.1 over TLS.
    TlsHttp1,
    /// HTTP/2 over TLS, which the client does not know before.
    TlsHttp2,
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Our transport.
    Ours,
    /// hyper-util's legacy client.
    #[cfg(feature = "peers")]
    HyperUtil,
}

/// What a burst took, by the server's count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub connections: u64,
    /// TLS handshakes that the server had finished when the last answer was in: those of connections that came to be of no use may be on
    /// their way, or given up.
    pub handshakes: u64,
    /// Handshakes that continued a session.
    pub resumed: u64,
}

/// Sends `requests` at once, each in a task of its own, and counts.
///
/// # Errors
/// A request failed, was answered with something else or came by another protocol.
pub fn burst(who: Who, over: Over, requests: usize) -> Result<Counts, String> {
    let identity = Identity::make()?;
    let protocol = if over == Over::TlsHttp2 { Protocol::Http2 } else { Protocol::Http1 };
    let running = Running::start(&Settings {
        keep_alives: true,
        protocol,
        identity: (over != Over::Plain).then_some(&identity),
        body: GREETING.len(),
    })?;
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(said)?;
    runtime.block_on(async {
        match who {
            Who::Ours => ours(running.addr(), &identity, over, requests).await,
            #[cfg(feature = "peers")]
            Who::HyperUtil => hyper_util::run(running.addr(), &identity, over, requests).await,
        }
    })?;
    let others = running.by_another_protocol();
    if others > 0 {
        return Err(format!("{others} requests came by another protocol than {protocol:?}"));
    }
    if let Some(complaint) = running.complaint() {
        return Err(format!("the server says: {complaint}"));
    }
    Ok(Counts { connections: running.connections(), handshakes: running.handshakes(), resumed: running.resumed() })
}

async fn ours(addr: SocketAddr, identity: &Identity, over: Over, requests: usize) -> Result<(), String> {
    let tls = identity.for_client(64)?;
    let transport = Transport::with_config(TransportConfig {
        protocols: if over == Over::TlsHttp2 { Protocols::Http2OrHttp1 } else { Protocols::Http1 },
        connect: ConnectConfig { tls, ..ConnectConfig::default() },
        ..TransportConfig::default()
    });
    let uri = uri(addr, over)?;
    all(requests, || {
        let (transport, uri) = (transport.clone(), uri.clone());
        async move {
            let request = http::Request::get(uri).body(Body::empty()).map_err(said)?;
            let response = transport.round_trip(request).await.map_err(said)?;
            check(&response.bytes().await.map_err(said)?)
        }
    })
    .await
}

async fn all<F>(requests: usize, send: impl Fn() -> F) -> Result<(), String>
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let sending: Vec<_> = (0..requests).map(|_| tokio::spawn(send())).collect();
    for sent in sending {
        sent.await.map_err(said)??;
    }
    Ok(())
}

fn uri(addr: SocketAddr, over: Over) -> Result<http::Uri, String> {
    let scheme = if over == Over::Plain { "http" } else { "https" };
    format!("{scheme}://localhost:{}/", addr.port()).parse().map_err(said)
}

fn check(body: &[u8]) -> Result<(), String> {
    if body == GREETING.as_bytes() { Ok(()) } else { Err(format!("the body is {:?}", String::from_utf8_lossy(body))) }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(feature = "peers")]
mod hyper_util {
    use std::future::Future;
    use std::net::SocketAddr;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body_util::{BodyExt as _, Empty};
    use hyper::rt::{Read, ReadBufCursor, Write};
    use hyper_util::client::legacy::Client;
    use hyper_util::client::legacy::connect::{Connected, Connection};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;
    use tokio_rustls::rustls::pki_types::ServerName;

    use super::{Over, all, check, said, uri};
    use crate::identity::Identity;
    use crate::reach::tls;

    pub(super) async fn run(addr: SocketAddr, identity: &Identity, over: Over, requests: usize) -> Result<(), String> {
        let protocols: &[&str] = if over == Over::TlsHttp2 { &["h2", "http/1.1"] } else { &["http/1.1"] };
        let connector = match over {
            Over::Plain => None,
            _ => Some(tls::connector(identity.certificate(), protocols)?),
        };
        let client: Client<Connector, Empty<bytes::Bytes>> =
            Client::builder(TokioExecutor::new()).build(Connector { addr, tls: connector });
        let uri = uri(addr, over)?;
        all(requests, || {
            let (client, uri) = (client.clone(), uri.clone());
            async move {
                let response = client.get(uri).await.map_err(|error| format!("{error:?}"))?;
                check(&response.into_body().collect().await.map_err(said)?.to_bytes())
            }
        })
        .await
    }

    /// What hyper-rustls does, in short.
    #[derive(Clone)]
    struct Connector {
        addr: SocketAddr,
        tls: Option<TlsConnector>,
    }

    impl tower_service::Service<http::Uri> for Connector {
        type Response = Stream;
        type Error = std::io::Error;
        type Future = Pin<Box<dyn Future<Output = std::io::Result<Stream>> + Send>>;

        fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _uri: http::Uri) -> Self::Future {
            let Connector { addr, tls } = self.clone();
            Box::pin(async move {
                let stream = TcpStream::connect(addr).await?;
                stream.set_nodelay(true)?;
                let Some(tls) = tls else { return Ok(Stream::Plain(TokioIo::new(stream))) };
                let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
                Ok(Stream::Tls(Box::new(TokioIo::new(tls.connect(name, stream).await?))))
            })
        }
    }

    enum Stream {
        Plain(TokioIo<TcpStream>),
        Tls(Box<TokioIo<TlsStream<TcpStream>>>),
    }

    impl Connection for Stream {
        fn connected(&self) -> Connected {
            match self {
                Stream::Tls(stream) if stream.inner().get_ref().1.alpn_protocol() == Some(b"h2") => {
                    Connected::new().negotiated_h2()
                }
                _ => Connected::new(),
            }
        }
    }

    impl Read for Stream {
        fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<std::io::Result<()>> {
            match self.get_mut() {
                Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
                Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            }
        }
    }

    impl Write for Stream {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
            match self.get_mut() {
                Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
                Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            }
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            match self.get_mut() {
                Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
                Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
            }
        }

        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            match self.get_mut() {
                Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
                Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            }
        }
    }
}
