//! Servers that do exactly what a test tells them.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use roundtrip_transport::{RoundTripper, Transport};
use roundtrip_types::{Body, Error, MessageExt, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A listening script: each connection runs it with the connection's number, from 1.
pub(crate) struct Peer {
    pub(crate) addr: SocketAddr,
    accepted: Arc<AtomicUsize>,
    /// Connections whose script has ended.
    ended: Arc<AtomicUsize>,
}

impl Peer {
    pub(crate) async fn start<F, Fut>(script: F) -> Self
    where
        F: Fn(usize, TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (accepted, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let peer = Peer { addr, accepted: Arc::clone(&accepted), ended: Arc::clone(&ended) };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let script = script(accepted.fetch_add(1, Ordering::SeqCst) + 1, stream);
                let ended = Arc::clone(&ended);
                tokio::spawn(async move {
                    script.await;
                    ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        peer
    }

    /// Answers each request with the same bytes, for as long as the client keeps the connection.
    pub(crate) async fn answering(response: &'static str) -> Self {
        Peer::start(move |_, mut stream| async move {
            while read_request(&mut stream).await.is_some() {
                stream.write_all(response.as_bytes()).await.unwrap();
            }
        })
        .await
    }

    /// Writes `bytes` after the first request of each connection, and hangs up.
    pub(crate) async fn hanging_up_after(bytes: &'static str) -> Self {
        Peer::start(move |_, mut stream| async move {
            read_request(&mut stream).await;
            stream.write_all(bytes.as_bytes()).await.unwrap();
        })
        .await
    }

    pub(crate) fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path, Body::empty())
    }

    pub(crate) fn request(&self, method: Method, path: &str, body: Body) -> Request {
        http::Request::builder().method(method).uri(format!("http://{}{path}", self.addr)).body(body).unwrap()
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub(crate) async fn wait_ended(&self, count: usize) {
        until(|| self.ended.load(Ordering::SeqCst) >= count).await;
    }
}

/// Waits for something that other tasks bring about. The test harness's own time limit catches what never comes.
pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Lets the runtime look at its sockets: it does so before it sleeps.
pub(crate) async fn look_at_sockets() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// One request, head and body; `None` if the client hung up.
pub(crate) async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut got = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&got).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")).map(|n| n.parse().unwrap());
            let complete = match length {
                Some(length) => body.len() >= length,
                None if head.contains("transfer-encoding: chunked") => {
                    body.contains("0\r\n") && body.ends_with("\r\n\r\n")
                }
                None => true,
            };
            if complete {
                return Some(text);
            }
        }
        if stream.read_buf(&mut got).await.ok()? == 0 {
            return None;
        }
    }
}

pub(crate) async fn fetch(transport: &Transport, req: Request) -> Result<String, Error> {
    transport.round_trip(req).await?.text().await
}

pub(crate) const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
