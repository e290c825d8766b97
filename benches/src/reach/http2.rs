//! Small requests over HTTP/2, one after the other and 64 at a time, and TLS handshakes: ours and peers.

use std::net::SocketAddr;

use roundtrip_transport::{
    Certificate, ConnectConfig, Protocols, Roots, RoundTripper, TlsConfig, Transport, TransportConfig,
};
use roundtrip_types::{Body, MessageExt};
use tokio::runtime::Builder;

use crate::identity::Identity;
use crate::model::Protocol;
use crate::servers::GREETING;
use crate::servers::embedded::{Running, Settings};

/// The clients that were built, ours first.
pub const CLIENTS: &[&str] =
    if cfg!(feature = "peers") { &["transport", "hyper-util", "reqwest"] } else { &["transport"] };

/// A server that speaks HTTP/2 by prior knowledge, without TLS.
///
/// # Errors
/// It cannot be started.
pub fn serve() -> Result<Running, String> {
    Running::start(&Settings { keep_alives: true, protocol: Protocol::Http2, identity: None, body: GREETING.len() })
}

/// A server that speaks HTTP/1.1 over TLS.
///
/// # Errors
/// It cannot be started.
pub fn serve_tls(identity: &Identity) -> Result<Running, String> {
    Running::start(&Settings {
        keep_alives: true,
        protocol: Protocol::Http1,
        identity: Some(identity),
        body: GREETING.len(),
    })
}

/// Has so many tasks send that many requests in all, over HTTP/2 and on the runtime's own thread.
///
/// # Errors
/// No client has that name, or a request failed.
pub fn run(client: &str, addr: SocketAddr, requests: u64, tasks: u64) -> Result<(), String> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(said)?;
    runtime.block_on(async {
        match client {
            "transport" => ours(addr, requests, tasks).await,
            other => peers::run(other, addr, requests, tasks).await,
        }
    })
}

/// Has our transport, which trusts that certificate (PEM), make a connection over TLS for each request; it remembers so many sessions (0 makes a full handshake each time).
///
/// # Errors
/// A request failed.
pub fn handshakes(certificate: &str, addr: SocketAddr, connections: u64, session_cache: usize) -> Result<(), String> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(said)?;
    let extra_roots = Certificate::from_pem(certificate.as_bytes()).map_err(said)?;
    let tls = TlsConfig { roots: Roots::Nothing, extra_roots, session_cache, ..TlsConfig::default() };
    runtime.block_on(async {
        let transport = Transport::with_config(TransportConfig {
            protocols: Protocols::Http1,
            disable_keep_alives: true,
            connect: ConnectConfig { tls, ..ConnectConfig::default() },
            ..TransportConfig::default()
        });
        let uri: http::Uri = format!("https://{addr}/").parse().map_err(said)?;
        for _ in 0..connections {
            fetch(&transport, &uri).await?;
        }
        Ok(())
    })
}

async fn ours(addr: SocketAddr, requests: u64, tasks: u64) -> Result<(), String> {
    let transport =
        Transport::with_config(TransportConfig { protocols: Protocols::Http2, ..TransportConfig::default() });
    let uri: http::Uri = format!("http://{addr}/").parse().map_err(said)?;
    drive(requests, tasks, |requests| {
        let (transport, uri) = (transport.clone(), uri.clone());
        async move {
            for _ in 0..requests {
                fetch(&transport, &uri).await?;
            }
            Ok(())
        }
    })
    .await
}

async fn fetch(transport: &Transport, uri: &http::Uri) -> Result<(), String> {
    let request = http::Request::get(uri.clone()).body(Body::empty()).map_err(said)?;
    let response = transport.round_trip(request).await.map_err(said)?;
    check(&response.bytes().await.map_err(said)?)
}

/// Has tasks send their part of the requests; a single one does it where it is.
async fn drive<F>(requests: u64, tasks: u64, send: impl Fn(u64) -> F) -> Result<(), String>
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    if tasks == 1 {
        return send(requests).await;
    }
    let running: Vec<_> = (0..tasks).map(|_| tokio::spawn(send(requests / tasks))).collect();
    for task in running {
        task.await.map_err(said)??;
    }
    Ok(())
}

fn check(body: &[u8]) -> Result<(), String> {
    if body == GREETING.as_bytes() { Ok(()) } else { Err(format!("the body is {:?}", String::from_utf8_lossy(body))) }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(not(feature = "peers"))]
mod peers {
    use std::net::SocketAddr;

    pub(super) async fn run(client: &str, _addr: SocketAddr, _requests: u64, _tasks: u64) -> Result<(), String> {
        Err(format!("no client is called {client:?}; peers are built with the feature `peers`"))
    }
}

#[cfg(feature = "peers")]
mod peers {
    use std::net::SocketAddr;

    use http_body_util::{BodyExt as _, Empty};
    use hyper_util::client::legacy::Client;
    use hyper_util::client::legacy::connect::HttpConnector;
    use hyper_util::rt::TokioExecutor;

    use super::{check, drive, said};

    pub(super) async fn run(client: &str, addr: SocketAddr, requests: u64, tasks: u64) -> Result<(), String> {
        let url = format!("http://{addr}/");
        match client {
            "hyper-util" => {
                let mut connector = HttpConnector::new();
                connector.set_nodelay(true);
                let client: Client<_, Empty<bytes::Bytes>> =
                    Client::builder(TokioExecutor::new()).http2_only(true).build(connector);
                let uri: http::Uri = url.parse().map_err(said)?;
                drive(requests, tasks, |requests| {
                    let (client, uri) = (client.clone(), uri.clone());
                    async move {
                        for _ in 0..requests {
                            let response = client.get(uri.clone()).await.map_err(said)?;
                            check(&response.into_body().collect().await.map_err(said)?.to_bytes())?;
                        }
                        Ok(())
                    }
                })
                .await
            }
            "reqwest" => {
                let client = reqwest::Client::builder().http2_prior_knowledge().build().map_err(said)?;
                drive(requests, tasks, |requests| {
                    let (client, url) = (client.clone(), url.clone());
                    async move {
                        for _ in 0..requests {
                            let response = client.get(&url).send().await.map_err(said)?;
                            check(&response.bytes().await.map_err(said)?)?;
                        }
                        Ok(())
                    }
                })
                .await
            }
            other => Err(format!("no client is called {other:?}")),
        }
    }
}
