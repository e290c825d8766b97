//! Limits on connections and on time, each with its own error.

use std::sync::Arc;
use std::time::Duration;

use roundtrip_transport::{Transport, TransportConfig};
use roundtrip_types::{ErrorKind, Phase};
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
