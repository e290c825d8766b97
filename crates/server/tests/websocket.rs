//! The WebSocket example, with tokio-tungstenite as its client.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

#[allow(dead_code, unreachable_pub, reason = "its main is not run here")]
#[path = "../examples/websocket_echo.rs"]
mod example;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use roundtrip_server::Server;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn the_example_says_everything_back_and_goodbye() {
    let server = Server::new(example::echo);
    let listener = server.listen("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = tokio::spawn(server.serve(listener));
    let stream = TcpStream::connect(addr).await.unwrap();
    let (mut socket, response) = tokio_tungstenite::client_async(format!("ws://{addr}/"), stream).await.unwrap();
    assert_eq!(response.status(), 101);
    for n in 0..100 {
        let message = Message::text(format!("{n} {}", "z".repeat(n * 100)));
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    assert_eq!((server.stats().open, server.stats().hijacked), (0, 1));
    // It is told, not waited for.
    let report = server.shutdown(Duration::from_secs(5)).await;
    assert_eq!((report.finished, report.cut), (0, 0));
    assert!(socket.next().await.unwrap().unwrap().is_close());
    serving.await.unwrap().unwrap();
}
