//! Stopping while clients are at work: what they sent before they could know is answered.

use std::sync::Arc;
use std::time::Duration;

use roundtrip_server::ServerConfig;
use tokio::task::JoinSet;

use crate::ask::{Count, ask};
use crate::start_with;

const STOPS: usize = 100;
const CLIENTS: usize = 64;

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
    println!("{STOPS} stops with {CLIENTS} clients: {count}");
    count.check((STOPS * CLIENTS * 3) as u64);
}
