//! Limits on connections and on time, each with its own error.

use std::sync::Arc;
use std::time::Duration;

use roundtrip_transport::{RequestOptions, RoundTripper, Transport, TransportConfig};
use roundtrip_types::{Body, ErrorKind, MessageExt, Phase};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

use crate::peer::{HELLO, Peer, fetch, read_request, until};

/// Answers each request when it is told to.
async fn gated(gate: &Arc<Notify>) -> Peer {
    let gate = Arc::clone(gate);
    Peer::start(move |_, mut stream| {
        let gate = Arc::clone(&gate);
        async move {
            while read_request(&mut stream).await.is_some() {
                gate.notified().await;
                stream.write_all(HELLO.as_bytes()).await.unwrap();
            }
        }
    })
    .await
}

#[tokio::test]
async fn requests_wait_for_a_slot_and_no_longer_than_allowed() {
    let gate = Arc::new(Notify::new());
    let peer = gated(&gate).await;
    let transport = Transport::with_config(TransportConfig {
        max_conns_per_host: Some(1),
        max_waiters_per_host: Some(1),
        ..TransportConfig::default()
    });
    let send = || {
        let (transport, req) = (transport.clone(), peer.get("/"));
        tokio::spawn(async move { fetch(&transport, req).await })
    };
    let first = send();
    until(|| peer.accepted() == 1).await;
    let second = send();
    until(|| transport.stats().waiting == 1).await;
    let refused = fetch(&transport, peer.get("/")).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.phase(), refused.was_sent()),
        (ErrorKind::Overloaded, Some(Phase::Queue), false)
    );
    assert_eq!(
        refused.to_string(),
        format!("GET http://{0}/: 1 requests wait for a connection to {0} already (max_waiters_per_host)", peer.addr)
    );
    gate.notify_one();
    assert_eq!(first.await.unwrap().unwrap(), "hello");
    gate.notify_one();
    assert_eq!(second.await.unwrap().unwrap(), "hello");
    assert_eq!(peer.accepted(), 1);
}

#[tokio::test]
async fn a_raised_limit_serves_those_who_wait() {
    let gate = Arc::new(Notify::new());
    let peer = gated(&gate).await;
    let transport =
        Transport::with_config(TransportConfig { max_conns_per_host: Some(1), ..TransportConfig::default() });
    let sending: Vec<_> = (0..3)
        .map(|_| {
            let (transport, req) = (transport.clone(), peer.get("/"));
            tokio::spawn(async move { fetch(&transport, req).await })
        })
        .collect();
    until(|| transport.stats().waiting == 2).await;
    transport.update(|config| config.max_conns_per_host = Some(3));
    until(|| peer.accepted() == 3).await;
    for _ in 0..3 {
        gate.notify_one();
        // A permit is one only if the one before was taken.
        tokio::task::yield_now().await;
    }
    for sent in sending {
        while !sent.is_finished() {
            gate.notify_one();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        sent.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn each_phase_has_a_limit_that_names_itself() {
    let never = Arc::new(Notify::new());
    let silent = gated(&never).await;
    let stalls = Peer::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let short = Some(Duration::from_millis(40));
    for (peer, options, phase, setting) in [
        (
            &silent,
            RequestOptions { response_header_timeout: short, ..RequestOptions::default() },
            Phase::Wait,
            "the response's head did not come within 40ms (response_header_timeout)",
        ),
        (
            &silent,
            RequestOptions { total_timeout: short, ..RequestOptions::default() },
            Phase::Wait,
            "the response's head did not come within 40ms (total_timeout)",
        ),
        (
            &stalls,
            RequestOptions { body_gap_timeout: short, ..RequestOptions::default() },
            Phase::Body,
            "the server sent nothing more of the body within 40ms (body_gap_timeout)",
        ),
        (
            &stalls,
            RequestOptions { total_timeout: short, ..RequestOptions::default() },
            Phase::Body,
            "the body did not end within 40ms (total_timeout)",
        ),
    ] {
        let transport = Transport::new();
        let mut req = peer.get("/");
        req.extensions_mut().insert(options);
        let error = fetch(&transport, req).await.unwrap_err();
        assert_eq!((error.kind(), error.phase(), error.was_sent()), (ErrorKind::Timeout, Some(phase), true), "{error}");
        assert!(error.to_string().contains(setting), "{error}");
        assert_eq!(transport.stats().open(), 0, "{setting}: its connection is closed");
    }
}

#[tokio::test]
async fn the_queue_has_a_limit_in_time() {
    let never = Arc::new(Notify::new());
    let peer = gated(&never).await;
    let transport = Transport::with_config(TransportConfig {
        max_conns_per_host: Some(1),
        wait_timeout: Some(Duration::from_millis(30)),
        ..TransportConfig::default()
    });
    let holding = tokio::spawn({
        let (transport, req) = (transport.clone(), peer.get("/"));
        async move { transport.round_trip(req).await }
    });
    until(|| peer.accepted() == 1).await;
    let error = fetch(&transport, peer.get("/")).await.unwrap_err();
    assert_eq!((error.kind(), error.phase(), error.was_sent()), (ErrorKind::Timeout, Some(Phase::Queue), false));
    assert!(error.to_string().ends_with("no connection was free within 30ms (wait_timeout)"), "{error}");
    assert_eq!(transport.stats().waiting, 0);
    holding.abort();
}

#[tokio::test]
async fn a_held_body_is_sent_when_the_server_says_so_or_says_nothing() {
    for says in [true, false] {
        let peer = Peer::start(move |_, mut stream| async move {
            use tokio::io::AsyncReadExt;
            let mut got = Vec::new();
            while !got.ends_with(b"\r\n\r\n") {
                assert!(stream.read_buf(&mut got).await.unwrap() > 0);
            }
            if says {
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
            }
            let mut body = [0; 4];
            stream.read_exact(&mut body).await.unwrap();
            assert_eq!(&body, b"data");
            stream.write_all(HELLO.as_bytes()).await.unwrap();
        })
        .await;
        let mut req = peer.request(http::Method::POST, "/", Body::from("data"));
        req.headers_mut().insert("expect", "100-continue".parse().unwrap());
        let wait = if says { Duration::MAX } else { Duration::from_millis(20) };
        req.extensions_mut()
            .insert(RequestOptions { expect_continue_timeout: Some(wait), ..RequestOptions::default() });
        assert_eq!(fetch(&Transport::new(), req).await.unwrap(), "hello", "{says}");
    }
}

#[tokio::test]
async fn old_and_worn_connections_are_replaced() {
    let peer = Peer::answering(HELLO).await;
    let worn = Transport::with_config(TransportConfig { max_requests_per_conn: Some(2), ..TransportConfig::default() });
    for _ in 0..4 {
        fetch(&worn, peer.get("/")).await.unwrap();
    }
    assert_eq!(peer.accepted(), 2);
    let old =
        Transport::with_config(TransportConfig { max_conn_age: Some(Duration::ZERO), ..TransportConfig::default() });
    for _ in 0..2 {
        fetch(&old, peer.get("/")).await.unwrap();
    }
    assert_eq!(peer.accepted(), 4);
}

#[tokio::test]
async fn a_body_that_can_be_made_again_is_sent_again() {
    let peer = Peer::start(|number, mut stream| async move {
        for answered in 0.. {
            let Some(request) = read_request(&mut stream).await else { return };
            if number == 1 && answered == 1 {
                return;
            }
            let body = request.split_once("\r\n\r\n").unwrap().1;
            let length = body.len();
            stream
                .write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes())
                .await
                .unwrap();
        }
    })
    .await;
    let transport = Transport::new();
    fetch(&transport, peer.get("/")).await.unwrap();
    let body = Body::replayable(|| Body::from("made anew"));
    let mut req = peer.request(http::Method::PUT, "/", body);
    req.headers_mut().insert("idempotency-key", "1".parse().unwrap());
    let response = transport.round_trip(req).await.unwrap();
    assert_eq!(response.text().await.unwrap(), "made anew");
    assert_eq!((peer.accepted(), transport.stats().retried), (2, 1));
}
