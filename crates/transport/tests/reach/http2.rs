//! HTTP/2 in the pool.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::{StatusCode, Version};
use roundtrip_transport::{Http2Config, Protocols};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::peers::{Authority, Io, Peer, proxy};
use super::*;

/// A server that speaks HTTP/2, over TLS if it has a certificate, and answers each request by `serve`.
pub(crate) async fn server<F, Fut>(tls: Option<tokio_rustls::rustls::ServerConfig>, builder: Builder, serve: F) -> Peer
where
    F: Fn(http::Request<RecvStream>, SendResponse<Bytes>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    Peer::start(move |_, stream| {
        let (acceptor, builder, serve) = (acceptor.clone(), builder.clone(), serve.clone());
        async move {
            match acceptor {
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        talk(stream, builder, serve).await;
                    }
                }
                None => talk(stream, builder, serve).await,
            }
        }
    })
    .await
}

pub(crate) async fn talk<F, Fut>(stream: impl Io, builder: Builder, serve: F)
where
    F: Fn(http::Request<RecvStream>, SendResponse<Bytes>) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let Ok(mut connection) = builder.handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(serve(request, respond));
    }
}

pub(crate) async fn hello(_: http::Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let mut body = respond.send_response(http::Response::new(()), false).unwrap();
    body.send_data("hello".into(), true).unwrap();
}

/// Holds each request until the gate lets it through.
pub(crate) fn gated(
    gate: &Arc<Semaphore>,
) -> impl Fn(http::Request<RecvStream>, SendResponse<Bytes>) -> Pinned + Clone + use<> {
    let gate = Arc::clone(gate);
    move |request, respond| {
        let gate = Arc::clone(&gate);
        Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            hello(request, respond).await;
        })
    }
}

pub(crate) type Pinned = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

pub(crate) fn url(peer: &Peer) -> String {
    format!("https://h.test:{}/", peer.addr.port())
}

pub(crate) async fn text(transport: &Transport, req: Request) -> String {
    transport.round_trip(req).await.unwrap().text().await.unwrap()
}

/// Starts `n` requests at once.
pub(crate) fn burst(transport: &Transport, url: &str, n: usize) -> Vec<tokio::task::JoinHandle<Result<String, Error>>> {
    let send = |_| {
        let (transport, req) = (transport.clone(), get(url));
        tokio::spawn(async move { transport.round_trip(req).await?.text().await })
    };
    (0..n).map(send).collect()
}

pub(crate) async fn all_hello(burst: Vec<tokio::task::JoinHandle<Result<String, Error>>>) {
    for request in burst {
        assert_eq!(request.await.unwrap().unwrap(), "hello");
    }
}

pub(crate) async fn until(mut is: impl FnMut() -> bool) {
    while !is() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_cold_burst_makes_one_handshake() {
    let authority = Authority::new();
    let gate = Arc::new(Semaphore::new(0));
    let peer = server(Some(authority.server("h.test", &["h2"])), Builder::new(), gated(&gate)).await;
    let transport = Transport::with_config(authority.config());
    let burst = burst(&transport, &url(&peer), 100);
    until(|| transport.stats().reused == 99).await;
    assert_eq!((peer.accepted(), transport.stats().in_use, transport.stats().waiting), (1, 1, 0));
    gate.add_permits(100);
    all_hello(burst).await;
    let stats = transport.stats();
    assert_eq!((peer.accepted(), stats.created, stats.idle, stats.dialing), (1, 1, 1, 0));
}

#[tokio::test]
async fn a_cold_burst_to_a_server_without_http2_opens_as_many_as_are_needed() {
    let authority = Authority::new();
    let hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let peer = Peer::https(authority.server("h.test", &["http/1.1"]), hello).await;
    let transport = Transport::with_config(authority.config());
    all_hello(burst(&transport, &url(&peer), 100)).await;
    let stats = transport.stats();
    assert!((1..=100).contains(&peer.accepted()), "{}", peer.accepted());
    assert_eq!((stats.waiting, stats.in_use), (0, 0));
}

#[tokio::test]
async fn another_connection_is_opened_when_the_streams_are_taken() {
    let authority = Authority::new();
    let gate = Arc::new(Semaphore::new(0));
    let mut limited = Builder::new();
    limited.max_concurrent_streams(10);
    let peer = server(Some(authority.server("h.test", &["h2"])), limited, gated(&gate)).await;
    let transport = Transport::with_config(authority.config());
    // Its limit is known after the first answer.
    gate.add_permits(1);
    assert_eq!(text(&transport, get(url(&peer))).await, "hello");
    let burst = burst(&transport, &url(&peer), 25);
    until(|| transport.stats().waiting == 0).await;
    gate.add_permits(25);
    all_hello(burst).await;
    // A new connection may take a hundred until its settings have come; the server refuses what is too much, and that is sent again.
    let accepted = peer.accepted();
    assert!((2..=3).contains(&accepted), "{accepted}");
    assert_eq!(transport.stats().in_use, 0);
}

#[tokio::test]
async fn strict_limits_make_requests_wait() {
    let authority = Authority::new();
    let gate = Arc::new(Semaphore::new(0));
    let mut limited = Builder::new();
    limited.max_concurrent_streams(2);
    let peer = server(Some(authority.server("h.test", &["h2"])), limited, gated(&gate)).await;
    let http2 = Http2Config { strict_max_concurrent_streams: true, ..Http2Config::default() };
    let transport = Transport::with_config(TransportConfig { http2, ..authority.config() });
    gate.add_permits(1);
    assert_eq!(text(&transport, get(url(&peer))).await, "hello");
    let burst = burst(&transport, &url(&peer), 10);
    until(|| transport.stats().waiting == 8).await;
    gate.add_permits(10);
    all_hello(burst).await;
    assert_eq!(peer.accepted(), 1);
}

#[tokio::test]
async fn a_request_that_was_refused_is_sent_again() {
    let authority = Authority::new();
    let refusals = Arc::new(AtomicUsize::new(2));
    let serve = {
        let refusals = Arc::clone(&refusals);
        move |request: http::Request<RecvStream>, mut respond: SendResponse<Bytes>| {
            let refusals = Arc::clone(&refusals);
            async move {
                if refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                    respond.send_reset(Reason::REFUSED_STREAM);
                } else {
                    hello(request, respond).await;
                }
            }
        }
    };
    let peer = server(Some(authority.server("h.test", &["h2"])), Builder::new(), serve).await;
    let transport = Transport::with_config(authority.config());
    assert_eq!(text(&transport, post(url(&peer), "x")).await, "hello");
    assert_eq!((transport.stats().retried, peer.accepted()), (2, 1));
}

#[tokio::test]
async fn a_server_that_wants_http1_gets_it() {
    let authority = Authority::new();
    let tls = authority.server("h.test", &["h2", "http/1.1"]);
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let peer = Peer::start(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                let refuse = |_, mut respond: SendResponse<Bytes>| async move {
                    respond.send_reset(Reason::HTTP_1_1_REQUIRED);
                };
                talk(stream, Builder::new(), refuse).await;
            } else {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let _ = stream.read(&mut [0; 4096]).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await.unwrap();
                stream.flush().await.unwrap();
                let _ = stream.read(&mut [0; 1]).await;
            }
        }
    })
    .await;
    let transport = Transport::with_config(authority.config());
    let response = transport.round_trip(post(url(&peer), "x")).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_11);
    assert_eq!((response.text().await.unwrap().as_str(), peer.accepted()), ("hello", 2));
}

#[tokio::test]
async fn a_connection_that_dies_while_idle_leaves_the_pool_and_costs_no_request() {
    let authority = Authority::new();
    let cut = Arc::new(tokio::sync::Notify::new());
    let acceptor = TlsAcceptor::from(Arc::new(authority.server("h.test", &["h2"])));
    let peer = {
        let cut = Arc::clone(&cut);
        Peer::start(move |_, stream| {
            let (acceptor, cut) = (acceptor.clone(), Arc::clone(&cut));
            async move {
                let stream = acceptor.accept(stream).await.unwrap();
                tokio::select! {
                    () = talk(stream, Builder::new(), hello) => {}
                    () = cut.notified() => {}
                }
            }
        })
        .await
    };
    let transport = Transport::with_config(authority.config());
    assert_eq!(text(&transport, get(url(&peer))).await, "hello");
    assert_eq!(transport.stats().idle, 1);
    cut.notify_one();
    until(|| transport.stats().open() == 0).await;
    assert_eq!(transport.stats().closed.by(roundtrip_transport::CloseReason::ClosedByPeer), 1);
    assert_eq!(text(&transport, post(url(&peer), "x")).await, "hello");
}

#[tokio::test]
async fn given_up_requests_free_their_streams() {
    let authority = Authority::new();
    let gate = Arc::new(Semaphore::new(0));
    let peer = server(Some(authority.server("h.test", &["h2"])), Builder::new(), gated(&gate)).await;
    let transport = Transport::with_config(authority.config());
    let waiting = burst(&transport, &url(&peer), 3);
    until(|| transport.stats().in_use == 1 && transport.stats().waiting == 0).await;
    for request in &waiting {
        request.abort();
    }
    for request in waiting {
        assert!(request.await.unwrap_err().is_cancelled());
    }
    until(|| transport.stats().idle == 1).await;
    gate.add_permits(9);
    assert_eq!(text(&transport, get(url(&peer))).await, "hello");
    assert_eq!(transport.stats().in_use, 0);
}

#[tokio::test]
async fn plain_text_is_spoken_with_prior_knowledge_only() {
    let peer = server(None, Builder::new(), hello).await;
    let config = TransportConfig { protocols: Protocols::Http2, ..TransportConfig::default() };
    let transport = Transport::with_config(config);
    let url = format!("http://{}/", peer.addr);
    for _ in 0..2 {
        let response = transport.round_trip(get(&url)).await.unwrap();
        assert_eq!(response.version(), Version::HTTP_2);
        assert_eq!(response.text().await.unwrap(), "hello");
    }
    assert_eq!(peer.accepted(), 1);
    let http1 = Peer::http("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    let error = transport.round_trip(get(format!("http://{}/", http1.addr))).await.unwrap_err();
    assert!(error.to_string().contains("the server speaks HTTP/1 on this connection, not HTTP/2"), "{error}");
}

#[tokio::test]
async fn http2_goes_through_a_tunnel() {
    let authority = Authority::new();
    let origin = server(Some(authority.server("h.test", &["h2"])), Builder::new(), hello).await;
    let px = proxy(Some(origin.addr)).await;
    let proxy = roundtrip_transport::Proxy::new(&format!("http://{}", px.addr)).unwrap();
    let proxy = roundtrip_transport::ProxyConfig::fixed(proxy);
    let transport = Transport::with_config(TransportConfig { proxy, ..authority.config() });
    all_hello(burst(&transport, "https://h.test/", 20)).await;
    assert_eq!((px.accepted(), origin.accepted()), (1, 1));
}

#[tokio::test]
async fn upgrades_go_over_http1() {
    let authority = Authority::new();
    let acceptor = TlsAcceptor::from(Arc::new(authority.server("h.test", &["h2", "http/1.1"])));
    let peer = Peer::start(move |peer, stream| {
        let acceptor = acceptor.clone();
        async move {
            let stream = acceptor.accept(stream).await.unwrap();
            let alpn = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec).unwrap_or_default();
            peer.heads.lock().unwrap().push(String::from_utf8(alpn).unwrap());
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut stream = stream;
            let _ = stream.read(&mut [0; 4096]).await.unwrap();
            stream
                .write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
                .await
                .unwrap();
            stream.flush().await.unwrap();
            let _ = stream.read(&mut [0; 1]).await;
        }
    })
    .await;
    let mut req = get(url(&peer));
    req.headers_mut().insert("upgrade", "x".parse().unwrap());
    req.headers_mut().insert("connection", "upgrade".parse().unwrap());
    let response = Transport::with_config(authority.config()).round_trip(req).await.unwrap();
    assert_eq!((response.status(), peer.heads()), (StatusCode::SWITCHING_PROTOCOLS, vec!["http/1.1".to_owned()]));
}

#[tokio::test]
async fn a_connection_that_fell_silent_is_passed_by() {
    let authority = Authority::new();
    let acceptor = TlsAcceptor::from(Arc::new(authority.server("h.test", &["h2"])));
    let connections = Arc::new(AtomicUsize::new(0));
    let peer = Peer::start(move |_, stream| {
        let (acceptor, first) = (acceptor.clone(), connections.fetch_add(1, Ordering::SeqCst) == 0);
        async move {
            let stream = acceptor.accept(stream).await.unwrap();
            let mut connection = Builder::new().handshake(stream).await.unwrap();
            let mut answered = 0;
            while let Some(Ok((request, respond))) = connection.accept().await {
                hello(request, respond).await;
                answered += 1;
                if first && answered == 2 {
                    // From now on it is a black hole: what was answered last does not even go out.
                    std::future::pending::<()>().await;
                }
            }
        }
    })
    .await;
    let transport = Transport::with_config(authority.config());
    assert_eq!(text(&transport, get(url(&peer))).await, "hello");
    let given_up = tokio::time::timeout(Duration::from_millis(50), transport.round_trip(get(url(&peer)))).await;
    assert!(given_up.is_err());
    // Each would wait for ever on the first connection.
    for _ in 0..3 {
        assert_eq!(text(&transport, get(url(&peer))).await, "hello");
    }
    assert_eq!(peer.accepted(), 2);
}
