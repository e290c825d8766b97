//! Seeing what a transport does, and steering it.

use std::sync::Arc;
use std::time::Duration;

use roundtrip_transport::{CloseReason, RoundTripper, Transport, TransportConfig, Upgraded};
use roundtrip_types::{Body, ErrorKind, Phase};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use crate::peer::{HELLO, Peer, fetch, read_request, until};

#[tokio::test]
async fn opening_ahead_says_why_it_failed() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let transport = Transport::new();
    let error = transport.warm(&uri, 2).await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Connect, Some(Phase::Connect)), "{error}");
    assert_eq!((transport.stats().dialing, transport.stats().dials_failed), (0, 2));
}

#[tokio::test]
async fn an_evicted_host_loses_its_connections_and_others_keep_theirs() {
    let (moved, stays) = (Peer::answering(HELLO).await, Peer::answering(HELLO).await);
    let transport = Transport::new();
    for peer in [&moved, &stays] {
        fetch(&transport, peer.get("/")).await.unwrap();
    }
    transport.evict(moved.get("/").uri()).unwrap();
    moved.wait_ended(1).await;
    for peer in [&moved, &stays] {
        fetch(&transport, peer.get("/")).await.unwrap();
    }
    assert_eq!((moved.accepted(), stays.accepted()), (2, 1));
}

#[tokio::test]
async fn a_protocol_switch_hands_the_stream_over_with_what_came_already() {
    let peer = Peer::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nearly ")
            .await
            .unwrap();
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
    })
    .await;
    let transport = Transport::new();
    let mut req = peer.get("/");
    req.headers_mut().insert("upgrade", "echo".parse().unwrap());
    req.headers_mut().insert("connection", "upgrade".parse().unwrap());
    let mut response = transport.round_trip(req).await.unwrap();
    assert_eq!(response.status(), 101);
    let mut stream = Upgraded::take(&mut response).unwrap();
    assert!(Upgraded::take(&mut response).is_none());
    stream.write_all(b"late").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = String::new();
    stream.read_to_string(&mut back).await.unwrap();
    assert_eq!(back, "early late");
    assert_eq!((transport.stats().open(), transport.stats().closed.by(CloseReason::Upgraded)), (0, 1));
}

#[tokio::test]
async fn connect_opens_a_tunnel() {
    let peer = Peer::start(|_, mut stream| async move {
        let head = read_request(&mut stream).await.unwrap();
        assert!(head.starts_with("CONNECT far.test:443 HTTP/1.1\r\nhost: far.test:443\r\n"), "{head}");
        stream.write_all(b"HTTP/1.1 200 Go\r\n\r\nhi").await.unwrap();
    })
    .await;
    let mut req = peer.request(http::Method::CONNECT, "/", Body::empty());
    req.headers_mut().insert("host", "far.test:443".parse().unwrap());
    let mut response = Transport::new().round_trip(req).await.unwrap();
    let mut said = String::new();
    Upgraded::take(&mut response).unwrap().read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "hi");
}

#[tokio::test]
async fn a_shutdown_lets_what_is_under_way_end_and_refuses_the_rest() {
    let goes_on = Arc::new(Notify::new());
    let peer = {
        let goes_on = Arc::clone(&goes_on);
        Peer::start(move |number, mut stream| {
            let goes_on = Arc::clone(&goes_on);
            async move {
                while read_request(&mut stream).await.is_some() {
                    if number == 1 {
                        goes_on.notified().await;
                    }
                    stream.write_all(HELLO.as_bytes()).await.unwrap();
                }
            }
        })
        .await
    };
    let transport =
        Transport::with_config(TransportConfig { max_conns_per_host: Some(1), ..TransportConfig::default() });
    let under_way = tokio::spawn({
        let (transport, req) = (transport.clone(), peer.get("/"));
        async move { fetch(&transport, req).await }
    });
    until(|| peer.accepted() == 1).await;
    let waiting = tokio::spawn({
        let (transport, req) = (transport.clone(), peer.get("/"));
        async move { fetch(&transport, req).await }
    });
    until(|| transport.stats().waiting == 1).await;
    let stopping = tokio::spawn({
        let transport = transport.clone();
        async move { transport.shutdown(Duration::from_secs(30)).await }
    });
    for refused in [waiting.await.unwrap().unwrap_err(), fetch(&transport, peer.get("/")).await.unwrap_err()] {
        assert_eq!(
            (refused.kind(), refused.phase(), refused.was_sent()),
            (ErrorKind::Canceled, Some(Phase::Queue), false)
        );
    }
    goes_on.notify_one();
    assert_eq!(under_way.await.unwrap().unwrap(), "hello");
    let report = stopping.await.unwrap();
    assert_eq!((report.finished, report.cut, transport.stats().open()), (1, 0, 0));
    peer.wait_ended(1).await;
}
