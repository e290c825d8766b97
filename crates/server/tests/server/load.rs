//! Stopping while clients are at work: what they sent before they could know is answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roundtrip_server::ServerConfig;
use roundtrip_types::Request;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::ask::{Count, ask};
use crate::{read_response, start_with};

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

/// Many idle connections and some at work: the idle ones go at once, the others when they are through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_takes_as_long_as_the_work_does() {
    let (idle, active) = (200, 50);
    let release = Arc::new(tokio::sync::Semaphore::new(0));
    let running = start_with(
        {
            let release = Arc::clone(&release);
            move |req: Request| {
                let release = Arc::clone(&release);
                async move {
                    if req.uri().path() == "/work" {
                        release.acquire().await.unwrap().forget();
                    }
                    "hello"
                }
            }
        },
        ServerConfig::default(),
    )
    .await;
    let mut streams = Vec::new();
    for n in 0..idle + active {
        let mut stream = running.connect().await;
        let path = if n < idle { "/" } else { "/work" };
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).await.unwrap();
        if n < idle {
            read_response(&mut stream).await;
        }
        streams.push(stream);
    }
    while running.server.stats().active < active {
        tokio::task::yield_now().await;
    }
    // Longer than the drain time.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let begun = Instant::now();
    let stopping = tokio::spawn({
        let server = running.server.clone();
        async move { server.shutdown(Duration::from_secs(20)).await }
    });
    while running.server.stats().open > active {
        tokio::task::yield_now().await;
    }
    let idle_closed = begun.elapsed();
    assert!(!stopping.is_finished());
    release.add_permits(usize::try_from(active).unwrap());
    let report = stopping.await.unwrap();
    println!("stopped: {idle} idle in {idle_closed:?}, with {active} active {:?} in all", begun.elapsed());
    assert_eq!((report.finished, report.cut), (idle + active, 0));
    for mut stream in streams.split_off(usize::try_from(idle).unwrap()) {
        assert!(read_response(&mut stream).await.contains("connection: close"));
    }
    running.serving.await.unwrap().unwrap();
}
