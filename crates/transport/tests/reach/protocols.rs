//! Which version of HTTP a request goes over.

use std::sync::Arc;

use h2::server::Builder;
use http::Version;
use roundtrip_transport::{CloseReason, Protocols, RequestOptions};
use tokio_rustls::TlsAcceptor;

use super::http2::{hello, server, talk, url};
use super::peers::{Authority, Peer, proxy, serve_http1};
use super::*;

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// A server that speaks what is agreed on.
pub(crate) async fn either(authority: &Authority) -> Peer {
    let acceptor = TlsAcceptor::from(Arc::new(authority.server("h.test", &["h2", "http/1.1"])));
    Peer::start(move |peer, stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                talk(stream, Builder::new(), hello).await;
            } else {
                serve_http1(peer, stream, HELLO.as_bytes().into()).await;
            }
        }
    })
    .await
}

fn over(protocols: Protocols, url: &str) -> Request {
    let mut req = get(url);
    req.extensions_mut().insert(RequestOptions { protocols: Some(protocols), ..RequestOptions::default() });
    req
}

async fn version(transport: &Transport, req: Request) -> Version {
    let response = transport.round_trip(req).await.unwrap();
    let version = response.version();
    assert_eq!(response.text().await.unwrap(), "hello");
    version
}

#[tokio::test]
async fn a_request_goes_over_what_it_asks_for_and_shares_connections_where_it_can() {
    let authority = Authority::new();
    let peer = either(&authority).await;
    let transport = Transport::with_config(authority.config());
    for (protocols, want, accepted) in [
        (None, Version::HTTP_2, 1),
        (Some(Protocols::Http2), Version::HTTP_2, 1),
        (Some(Protocols::Http1), Version::HTTP_11, 2),
        (Some(Protocols::Http2OrHttp1), Version::HTTP_2, 2),
        (Some(Protocols::Http1), Version::HTTP_11, 2),
    ] {
        let req = protocols.map_or_else(|| get(url(&peer)), |protocols| over(protocols, &url(&peer)));
        assert_eq!(version(&transport, req).await, want, "{protocols:?}");
        assert_eq!(peer.accepted(), accepted, "{protocols:?}");
    }
    // One that only speaks HTTP/1.1 itself still does as the request asks.
    let old = TransportConfig { protocols: Protocols::Http1, ..authority.config() };
    let old = Transport::with_config(old);
    assert_eq!(version(&old, get(url(&peer))).await, Version::HTTP_11);
    assert_eq!(version(&old, over(Protocols::Http2, &url(&peer))).await, Version::HTTP_2);
}

#[tokio::test]
async fn the_version_that_a_request_carries_says_nothing() {
    let authority = Authority::new();
    let peer = either(&authority).await;
    let transport = Transport::with_config(authority.config());
    for said in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_3] {
        let mut req = get(url(&peer));
        *req.version_mut() = said;
        assert_eq!(version(&transport, req).await, Version::HTTP_2);
    }
    assert_eq!(peer.accepted(), 1);
}

#[tokio::test]
async fn a_server_without_http2_refuses_those_who_insist_and_serves_the_others_on_the_same_connection() {
    let authority = Authority::new();
    let peer = Peer::https(authority.server("h.test", &["http/1.1"]), HELLO).await;
    let transport = Transport::with_config(authority.config());
    for _ in 0..2 {
        let error = transport.round_trip(over(Protocols::Http2, &url(&peer))).await.unwrap_err();
        let want = format!(
            "GET {}: h.test:{}: the server does not speak HTTP/2, and nothing else is wanted",
            url(&peer),
            peer.addr.port()
        );
        assert_eq!((error.kind(), error.phase(), error.was_sent()), (ErrorKind::Connect, Some(Phase::Tls), false));
        assert_eq!(error.to_string(), want);
    }
    assert_eq!((transport.stats().idle, transport.stats().in_use), (1, 0));
    assert_eq!(version(&transport, get(url(&peer))).await, Version::HTTP_11);
    assert_eq!((peer.accepted(), transport.stats().closed.by(CloseReason::Abandoned)), (1, 0));
}

#[tokio::test]
async fn plain_text_needs_the_request_to_know() {
    let peer = server(None, Builder::new(), hello).await;
    let transport = Transport::new();
    let url = format!("http://{}/", peer.addr);
    assert_eq!(version(&transport, over(Protocols::Http2, &url)).await, Version::HTTP_2);
    assert_eq!(version(&transport, over(Protocols::Http2, &url)).await, Version::HTTP_2);
    assert_eq!(peer.accepted(), 1);
}

#[tokio::test]
async fn what_cannot_go_over_http2_says_so_before_anything_is_opened() {
    let peer = Peer::http(HELLO).await;
    let transport = Transport::new();
    let url = format!("http://{}/", peer.addr);
    let mut upgrade = over(Protocols::Http2, &url);
    upgrade.headers_mut().insert("upgrade", "x".parse().unwrap());
    let error = transport.round_trip(upgrade).await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Request, Some(Phase::Prepare)));
    assert!(error.to_string().contains("the request asks for HTTP/2 only, which has no Upgrade"), "{error}");

    let px = proxy(None).await;
    let through = roundtrip_transport::Proxy::new(&format!("http://{}", px.addr)).unwrap();
    let mut forwarded = get(&url);
    forwarded.extensions_mut().insert(RequestOptions {
        proxy: Some(roundtrip_transport::ProxyConfig::fixed(through)),
        protocols: Some(Protocols::Http2),
        ..RequestOptions::default()
    });
    let error = transport.round_trip(forwarded).await.unwrap_err();
    assert!(error.to_string().ends_with("goes to a proxy that forwards it over HTTP/1.1"), "{error}");
    assert_eq!((peer.accepted(), px.accepted()), (0, 0));
}

#[tokio::test]
async fn a_server_that_wants_http1_does_not_get_it_from_those_who_insist() {
    let authority = Authority::new();
    let refuse = |_, mut respond: h2::server::SendResponse<bytes::Bytes>| async move {
        respond.send_reset(h2::Reason::HTTP_1_1_REQUIRED);
    };
    let peer = server(Some(authority.server("h.test", &["h2", "http/1.1"])), Builder::new(), refuse).await;
    let transport = Transport::with_config(authority.config());
    let error = transport.round_trip(over(Protocols::Http2, &url(&peer))).await.unwrap_err();
    assert!(error.to_string().contains("the server wants this request over HTTP/1.1 (HTTP_1_1_REQUIRED)"), "{error}");
    assert_eq!(peer.accepted(), 1);
}
