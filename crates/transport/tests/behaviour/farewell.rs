//! How connections end, in terms of TLS.

use std::time::Duration;

use roundtrip_transport::{RequestOptions, Reuse, RoundTripper, Transport, TransportConfig};
use roundtrip_types::{ErrorKind, Phase};

use super::peer::Peer;
use super::rig::{On, Protocol, all, fetch, only_http1, only_tls, run, send, until};

const PLAIN: &str = "plain text has no goodbye but the end of the connection";

async fn said_goodbye(peer: &Peer, times: usize) {
    until(|| peer.ended() == times).await;
    assert_eq!((peer.accepted(), peer.goodbyes()), (times, times));
}

#[test]
fn idle_connections_that_are_closed_say_goodbye() {
    run(only_tls(PLAIN), async |rig| {
        let peer = rig.greeting().await;
        let transport = rig.transport();
        fetch(&transport, peer.get("/")).await.unwrap();
        transport.close_idle_connections();
        said_goodbye(&peer, 1).await;
        fetch(&transport, peer.get("/")).await.unwrap();
        transport.evict(peer.get("/").uri()).unwrap();
        said_goodbye(&peer, 2).await;
        fetch(&transport, peer.get("/")).await.unwrap();
        transport.shutdown(Duration::ZERO).await;
        said_goodbye(&peer, 3).await;
        let transport = rig.transport();
        fetch(&transport, peer.get("/")).await.unwrap();
        drop(transport);
        said_goodbye(&peer, 4).await;
    });
}

#[test]
fn connections_that_expire_say_goodbye() {
    run(only_tls(PLAIN), async |rig| {
        let peer = rig.greeting().await;
        let transport = rig.transport();
        fetch(&transport, peer.get("/")).await.unwrap();
        tokio::time::pause();
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(transport.stats().idle, 0);
        said_goodbye(&peer, 1).await;
    });
}

#[test]
fn connections_for_one_request_say_goodbye() {
    run(only_tls(PLAIN), async |rig| {
        let peer = rig.greeting().await;
        let transport = Transport::with_config(TransportConfig { disable_keep_alives: true, ..rig.config() });
        fetch(&transport, peer.get("/")).await.unwrap();
        said_goodbye(&peer, 1).await;
        let transport = rig.transport();
        let mut request = peer.get("/");
        request.extensions_mut().insert(RequestOptions { reuse: Reuse::Never, ..RequestOptions::default() });
        fetch(&transport, request).await.unwrap();
        said_goodbye(&peer, 2).await;
    });
}

#[test]
fn connections_that_are_closed_in_the_middle_say_goodbye() {
    run(on_http1_tls("HTTP/2 gives the stream up, not the connection"), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let sending = send(&transport, peer.get("/"));
        let mut exchange = peer.next().await;
        sending.abort();
        exchange.given_up().await;
        drop(exchange);
        said_goodbye(&peer, 1).await;
        let (response, mut exchange) = tokio::join!(transport.round_trip(peer.get("/")), async {
            let mut exchange = peer.next().await;
            exchange.begin(200, &[("content-length", "9000000")]).await;
            exchange.data("some").await;
            exchange
        });
        drop(response.unwrap());
        exchange.given_up().await;
        drop(exchange);
        said_goodbye(&peer, 2).await;
    });
}

fn on_http1_tls(reason: &'static str) -> On {
    On::only(vec![Protocol::Http1Tls], reason)
}

#[test]
fn a_body_that_ends_with_its_connection_is_whole_only_if_tls_says_so() {
    run(only_http1("HTTP/2 has an end of its own for each body"), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        for in_order in [true, false] {
            let (result, ()) = tokio::join!(fetch(&transport, peer.get("/")), async {
                peer.next().await.raw(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", in_order).await;
            });
            if in_order || !rig.protocol.is_tls() {
                assert_eq!(result.unwrap(), "until the end");
                continue;
            }
            let error = result.unwrap_err();
            assert_eq!(
                (error.kind(), error.phase(), error.was_sent()),
                (ErrorKind::ConnectionLost, Some(Phase::Body), true),
                "{error}"
            );
            let line = error.to_string();
            assert!(
                line.contains("the server closed the connection in the middle of the body, after 13 bytes"),
                "{line}"
            );
            assert!(line.ends_with(": TLS was not closed (no close_notify)"), "{line}");
        }
    });
}

#[test]
fn a_body_that_is_whole_by_itself_needs_no_goodbye() {
    run(only_http1("HTTP/2 has an end of its own for each body"), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        for body in ["content-length: 5\r\n\r\nhello", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"] {
            let (result, ()) = tokio::join!(fetch(&transport, peer.get("/")), async {
                let bytes = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{body}");
                peer.next().await.raw(bytes.as_bytes(), false).await;
            });
            assert_eq!(result.unwrap(), "hello");
        }
    });
}

#[test]
fn a_server_that_goes_without_a_goodbye_while_idle_costs_no_request() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        for _ in 0..2 {
            let (result, exchange) = tokio::join!(fetch(&transport, peer.get("/")), async {
                let mut exchange = peer.next().await;
                exchange.begin(200, &[("content-length", "5")]).await;
                exchange.data("hello").await;
                exchange.finish(&[]).await;
                exchange
            });
            assert_eq!(result.unwrap(), "hello");
            assert_eq!(transport.stats().idle, 1);
            exchange.hang_up();
            until(|| transport.stats().idle == 0).await;
        }
        assert_eq!((peer.accepted(), transport.stats().retried), (2, 0));
    });
}
