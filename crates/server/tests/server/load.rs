//! Stopping while clients are at work: what they sent before they could know is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use roundtrip_server::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::start_with;

const STOPS: usize = 100;
const CLIENTS: usize = 64;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

#[derive(Default)]
struct Count {
    sent: AtomicU64,
    answered: AtomicU64,
    /// Sent, although nothing had shown that the server had closed, and not answered.
    lost: AtomicU64,
    /// Clients that found the connection closed without having been told.
    surprised: AtomicU64,
}

/// Asks in a tight loop on one connection until it is told, or finds, that the connection is over.
async fn ask(mut stream: TcpStream, count: Arc<Count>, warm: Arc<tokio::sync::Barrier>) {
    stream.set_nodelay(true).unwrap();
    let mut got = Vec::new();
    for n in 0.. {
        if n == 3 {
            warm.wait().await;
        }
        // The end that was already visible.
        if let Ok(0) = stream.try_read(&mut [0; 1]) {
            count.surprised.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if stream.write_all(REQUEST).await.is_err() {
            count.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        count.sent.fetch_add(1, Ordering::Relaxed);
        got.clear();
        while !got.ends_with(b"\r\n\r\nhello") {
            match stream.read_buf(&mut got).await {
                Ok(n) if n > 0 => {}
                _ => {
                    count.lost.fetch_add(1, Ordering::Relaxed);
                    return;
                }
            }
        }
        count.answered.fetch_add(1, Ordering::Relaxed);
        if got.windows(21).any(|text| text == b"\r\nconnection: close\r\n") {
            return;
        }
    }
}

async fn stop_under_load(count: &Arc<Count>) {
    let running = start_with(|_req| async { "hello" }, ServerConfig::default()).await;
    let warm = Arc::new(tokio::sync::Barrier::new(CLIENTS + 1));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(ask(running.connect().await, Arc::clone(count), Arc::clone(&warm)));
    }
    warm.wait().await;
    let report = running.server.shutdown(Duration::from_secs(20)).await;
    assert_eq!(report.cut, 0, "{report:?}");
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    running.serving.await.unwrap().unwrap();
    assert_eq!(running.server.stats().open, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_when_the_server_stops_under_load() {
    let count = Arc::new(Count::default());
    for _ in 0..STOPS {
        stop_under_load(&count).await;
    }
    let of = |what: &AtomicU64| what.load(Ordering::Relaxed);
    println!(
        "{STOPS} stops with {CLIENTS} clients: {} requests sent, {} answered, {} lost, {} connections ended untold",
        of(&count.sent),
        of(&count.answered),
        of(&count.lost),
        of(&count.surprised)
    );
    assert!(of(&count.sent) >= (STOPS * CLIENTS * 3) as u64);
    assert_eq!((of(&count.lost), of(&count.surprised)), (0, 0));
    assert_eq!(of(&count.sent), of(&count.answered));
}
