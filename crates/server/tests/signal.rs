//! SIGTERM to a server at work. A program of its own, because signals concern whole processes.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

#[path = "server/ask.rs"]
mod ask;

use std::sync::Arc;
use std::time::Duration;

use ask::{Count, ask};
use roundtrip_server::Server;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const CLIENTS: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_loses_no_request() {
    let server = Server::new(|_req| async { "hello" });
    let listener = server.listen("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = tokio::spawn(server.serve(listener));
    let (count, warm) = (Arc::new(Count::default()), Arc::new(tokio::sync::Barrier::new(CLIENTS + 1)));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let stream = TcpStream::connect(addr).await.unwrap();
        clients.spawn(ask(stream, Arc::clone(&count), Arc::clone(&warm)));
    }
    // The handler is installed at the first poll, before the signal is sent.
    let mut stopping = std::pin::pin!(server.shutdown_on_signal(Duration::from_secs(20)));
    assert!(poll_once(stopping.as_mut()).await.is_none());
    warm.wait().await;
    let sent = std::process::Command::new("kill").args(["-TERM", &std::process::id().to_string()]).status().unwrap();
    assert!(sent.success());
    let report = stopping.await.unwrap();
    assert_eq!(report.cut, 0, "{report:?}");
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    serving.await.unwrap().unwrap();
    println!("SIGTERM with {CLIENTS} clients: {count}");
    count.check((CLIENTS * 3) as u64);
}

/// Polls once.
async fn poll_once<T>(mut future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}
