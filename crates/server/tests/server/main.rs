//! The server over real sockets, with a client that writes bytes by hand.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod ask;
mod attacks;
mod control;
mod idle;
mod load;
mod pieces;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use roundtrip_server::{ErrorLog, ResponseController, Server, ServerConfig};
use roundtrip_types::{Body, ErrorKind, Handler, IntoResponse, MessageExt, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Barrier, Notify};
use tokio::task::JoinHandle;

pub(crate) struct Running<H> {
    pub(crate) server: Server<H>,
    pub(crate) addr: SocketAddr,
    pub(crate) serving: JoinHandle<roundtrip_server::Result<()>>,
}

pub(crate) async fn start<H: Handler>(handler: H) -> Running<H> {
    start_with(handler, ServerConfig::default()).await
}

pub(crate) async fn start_with<H: Handler>(handler: H, config: ServerConfig) -> Running<H> {
    let server = Server::with_config(handler, config);
    let listener = server.listen("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = tokio::spawn(server.serve(listener));
    Running { server, addr, serving }
}

impl<H: Handler> Running<H> {
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// Stops the server and checks that nothing of it is left.
    pub(crate) async fn stop(self) {
        self.server.shutdown(Duration::from_secs(5)).await;
        self.serving.await.unwrap().unwrap();
        assert_eq!(self.server.stats().open, 0);
    }
}

/// Reads one response with a `Content-Length`, head and body.
pub(crate) async fn read_response(stream: &mut TcpStream) -> String {
    let mut got = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&got).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
            if body.len() >= length {
                return text;
            }
        }
        assert_ne!(stream.read_buf(&mut got).await.unwrap(), 0, "closed after {text:?}");
    }
}

pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut got = String::new();
    stream.read_to_string(&mut got).await.unwrap();
    got
}

pub(crate) async fn echo(req: Request) -> Response {
    let line = format!("{} {}", req.method(), req.uri());
    let body = req.text().await.unwrap();
    format!("{line} [{body}]").into_response()
}

#[tokio::test]
async fn a_connection_carries_request_after_request() {
    let running = start(echo).await;
    let mut stream = running.connect().await;
    for n in 0..3 {
        stream
            .write_all(format!("POST /{n} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi").as_bytes())
            .await
            .unwrap();
        let response = read_response(&mut stream).await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(response.ends_with(&format!("\r\n\r\nPOST /{n} [hi]")), "{response}");
    }
    let stats = running.server.stats();
    assert_eq!((stats.accepted, stats.open, stats.requests), (1, 1, 3));
    drop(stream);
    running.stop().await;
}

#[tokio::test]
async fn large_bodies_go_through_both_ways_unchanged() {
    let running = start(|req: Request| async move { req.into_body() }).await;
    let sent: Vec<u8> = (0..5_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let stream = running.connect().await;
    let (mut reading, mut writing) = stream.into_split();
    let upload = tokio::spawn({
        let sent = sent.clone();
        async move {
            let head =
                format!("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", sent.len());
            writing.write_all(head.as_bytes()).await.unwrap();
            writing.write_all(&sent).await.unwrap();
            writing
        }
    });
    let mut got = Vec::new();
    reading.read_to_end(&mut got).await.unwrap();
    drop(upload.await.unwrap());
    let head = got.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert!(got[..head].starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert!(got[head..] == sent[..], "{} bytes came back", got.len() - head);
    running.stop().await;
}

#[tokio::test]
async fn without_keep_alives_each_response_closes() {
    let running = start_with(echo, ServerConfig { keep_alives: false, ..ServerConfig::default() }).await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let response = read_to_end(&mut stream).await;
    assert!(response.contains("\r\nconnection: close\r\n") && response.ends_with("GET / []"), "{response}");
    running.stop().await;
}

#[tokio::test]
async fn requests_on_different_connections_run_at_the_same_time() {
    let together = Arc::new(Barrier::new(8));
    let running = start(move |_req| {
        let together = Arc::clone(&together);
        // Passes only once eight handlers have come here.
        async move { together.wait().await.is_leader().to_string() }
    })
    .await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut stream = running.connect().await;
        clients.push(tokio::spawn(async move {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
            read_to_end(&mut stream).await
        }));
    }
    let mut leaders = 0;
    for client in clients {
        leaders += usize::from(client.await.unwrap().ends_with("true"));
    }
    assert_eq!(leaders, 1);
    running.stop().await;
}

#[tokio::test]
async fn a_panic_is_a_logged_500_and_concerns_nobody_else() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let error_log = ErrorLog::new({
        let seen = Arc::clone(&seen);
        move |event| seen.lock().unwrap().push(event.to_string())
    });
    let handler = |req: Request| async move {
        assert_ne!(req.uri().path(), "/bad", "boom");
        "fine"
    };
    let running = start_with(handler, ServerConfig { error_log, ..ServerConfig::default() }).await;
    let mut stream = running.connect().await;
    let peer = stream.local_addr().unwrap();
    stream.write_all(b"GET /bad?token=secret HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let response = read_response(&mut stream).await;
    assert!(response.starts_with("HTTP/1.1 500 "), "{response}");
    assert!(!response.contains("boom"), "the panic's words are not for the client: {response}");
    assert!(response.contains("\r\nconnection: close\r\n"), "{response}");
    assert_eq!(read_to_end(&mut stream).await, "");
    let mut stream = running.connect().await;
    stream.write_all(b"GET /good HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    assert!(read_response(&mut stream).await.ends_with("fine"));
    let log = seen.lock().unwrap().clone();
    assert_eq!(log.len(), 1);
    assert!(
        log[0].starts_with(&format!("handler panicked at GET /bad from {peer}: ")) && log[0].contains("boom"),
        "{log:?}"
    );
    assert_eq!(running.server.stats().panics, 1);
    drop(stream);
    running.stop().await;
}

/// What a handler does before its future is polled is the handler's as well, on both protocols' way.
#[tokio::test]
async fn a_handler_has_its_connection_and_may_panic_before_there_is_a_future() {
    let handler = |req: Request| {
        let control = ResponseController::current().expect("the connection is at hand in the call itself");
        assert_ne!(req.uri().path(), "/bad", "boom");
        async move { control.info().id.to_string() }
    };
    let running = start_with(handler, ServerConfig { error_log: ErrorLog::none(), ..ServerConfig::default() }).await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET /good HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    assert!(read_response(&mut stream).await.ends_with("\r\n\r\n0"));
    stream.write_all(b"POST /bad HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc").await.unwrap();
    let response = read_to_end(&mut stream).await;
    assert!(response.starts_with("HTTP/1.1 500 ") && response.contains("\r\nconnection: close\r\n"), "{response}");
    assert_eq!(running.server.stats().panics, 1);
    assert!(ResponseController::current().is_none(), "nobody's handler runs here");
    running.stop().await;
}

#[tokio::test]
async fn a_client_that_closed_its_writing_side_is_answered_in_time() {
    let late = |_req| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        "late"
    };
    let running = start(late).await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    assert!(read_to_end(&mut stream).await.ends_with("late"));
    running.stop().await;
}

#[tokio::test]
async fn the_handler_of_a_client_that_is_gone_is_dropped() {
    let config = ServerConfig { half_close_timeout: Some(Duration::from_millis(20)), ..ServerConfig::default() };
    let running = start_with(|_req| std::future::pending::<()>(), config).await;
    let mut gone = running.connect().await;
    gone.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    while running.server.stats().requests == 0 {
        tokio::task::yield_now().await;
    }
    drop(gone);
    let all_gone = async {
        while running.server.stats().open > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all_gone).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_peer_that_speaks_no_http_gets_400_and_is_closed() {
    let running = start(echo).await;
    let mut stream = running.connect().await;
    stream.write_all(b"\x16\x03\x01 this is not http\r\n\r\n").await.unwrap();
    assert!(read_to_end(&mut stream).await.starts_with("HTTP/1.1 400 "));
    running.stop().await;
}

#[tokio::test]
async fn a_handler_learns_why_a_request_body_is_not_whole() {
    let (seen_in, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let running = start(move |req: Request| {
        let seen = seen_in.clone();
        async move {
            let error = req.bytes().await.unwrap_err();
            seen.send((error.kind(), error.to_string())).unwrap();
        }
    })
    .await;
    for (body, kind, words) in [
        ("Content-Length: 9\r\n\r\nhalf", ErrorKind::ConnectionLost, "the client broke off"),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", ErrorKind::ConnectionLost, "the client broke off"),
        ("Transfer-Encoding: chunked\r\n\r\nzz\r\n", ErrorKind::Protocol, "malformed"),
    ] {
        let mut stream = running.connect().await;
        stream.write_all(format!("POST / HTTP/1.1\r\nHost: h\r\n{body}").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let (got, line) = seen.recv().await.unwrap();
        assert_eq!(got, kind, "{body:?}: {line}");
        assert!(line.contains(words), "{body:?}: {line}");
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let running = start(echo).await;
    let begun = tokio::time::Instant::now();
    for sent in [&b""[..], b"GET / HTTP/1.1\r\nHo"] {
        let mut stream = running.connect().await;
        stream.write_all(sent).await.unwrap();
        read_to_end(&mut stream).await;
    }
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(60) && waited < Duration::from_secs(61), "30 s each: {waited:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_body_whose_producer_vanished_is_seen_to_be_cut() {
    let vanish = Arc::new(Notify::new());
    let running = start({
        let vanish = Arc::clone(&vanish);
        move |_req| {
            let vanish = Arc::clone(&vanish);
            async move {
                let (mut sender, body) = Body::channel(1);
                tokio::spawn(async move {
                    sender.send("half").await.unwrap();
                    vanish.notified().await;
                    // The sender is dropped here, without finish().
                });
                body
            }
        }
    })
    .await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"4\r\nhalf\r\n") {
        assert_ne!(stream.read_buf(&mut got).await.unwrap(), 0, "closed too early");
    }
    vanish.notify_one();
    assert_eq!(read_to_end(&mut stream).await, "", "the end comes without a last chunk");
    running.stop().await;
}

#[tokio::test]
async fn trailers_follow_a_streamed_body() {
    let running = start(|_req| async {
        let (mut sender, body) = Body::channel(2);
        sender.send("data").await.unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "4".parse().unwrap());
        sender.send_trailers(trailers);
        (StatusCode::OK, [("trailer", "x-sum")], body)
    })
    .await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: close\r\n\r\n").await.unwrap();
    let response = read_to_end(&mut stream).await;
    assert!(response.ends_with("4\r\ndata\r\n0\r\nx-sum: 4\r\n\r\n"), "{response}");
    running.stop().await;
}

#[tokio::test]
async fn shutdown_closes_idle_connections_and_lets_a_response_finish() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let running = start({
        let (entered, release) = (Arc::clone(&entered), Arc::clone(&release));
        move |req: Request| {
            let (entered, release) = (Arc::clone(&entered), Arc::clone(&release));
            async move {
                if req.uri().path() == "/slow" {
                    entered.notify_one();
                    release.notified().await;
                }
                "done"
            }
        }
    })
    .await;
    let mut idle = running.connect().await;
    idle.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    read_response(&mut idle).await;
    let mut busy = running.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    entered.notified().await;

    let stopping = tokio::spawn({
        let server = running.server.clone();
        async move { server.shutdown(Duration::from_secs(60)).await }
    });
    assert_eq!(read_to_end(&mut idle).await, "", "the idle connection is closed at once");
    running.serving.await.unwrap().unwrap();
    assert!(TcpStream::connect(running.addr).await.is_err(), "nobody listens any more");
    assert!(!stopping.is_finished());

    release.notify_one();
    let response = read_to_end(&mut busy).await;
    assert!(response.contains("\r\nconnection: close\r\n") && response.ends_with("done"), "{response}");
    let report = stopping.await.unwrap();
    assert_eq!((report.finished, report.cut), (2, 0));
    assert_eq!(running.server.stats().open, 0);
    let again = running.server.listen_and_serve("127.0.0.1:0").await.unwrap_err();
    assert!(again.is_closed(), "{again}");
}

#[tokio::test(start_paused = true)]
async fn what_outlasts_the_deadline_is_cut_and_counted() {
    let dropped = Arc::new(AtomicUsize::new(0));
    struct CountDrop(Arc<AtomicUsize>);
    impl Drop for CountDrop {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let running = start({
        let dropped = Arc::clone(&dropped);
        move |_req| {
            let guard = CountDrop(Arc::clone(&dropped));
            async move {
                std::future::pending::<()>().await;
                drop(guard);
            }
        }
    })
    .await;
    let mut stuck = running.connect().await;
    stuck.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    while running.server.stats().requests == 0 {
        tokio::task::yield_now().await;
    }
    let report = running.server.shutdown(Duration::from_secs(3)).await;
    assert_eq!((report.finished, report.cut), (0, 1));
    assert_eq!(dropped.load(Ordering::SeqCst), 1, "the handler's future was dropped");
    assert_eq!(read_to_end(&mut stuck).await, "");
    running.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_first_request_of_a_fresh_connection_is_served_while_draining() {
    let running = start(echo).await;
    let mut late = running.connect().await;
    while running.server.stats().open < 1 {
        tokio::task::yield_now().await;
    }
    let stopping = tokio::spawn({
        let server = running.server.clone();
        async move { server.shutdown(Duration::from_secs(60)).await }
    });
    running.serving.await.unwrap().unwrap();
    late.write_all(b"GET /late HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let response = read_to_end(&mut late).await;
    assert!(response.contains("\r\nconnection: close\r\n") && response.ends_with("GET /late []"), "{response}");
    let report = stopping.await.unwrap();
    assert_eq!((report.finished, report.cut), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_fresh_connection_that_stays_silent_holds_shutdown_up_for_5_s() {
    let running = start(echo).await;
    let mut silent = running.connect().await;
    while running.server.stats().open < 1 {
        tokio::task::yield_now().await;
    }
    let begun = tokio::time::Instant::now();
    let report = running.server.shutdown(Duration::from_secs(60)).await;
    assert_eq!((report.finished, report.cut), (1, 0));
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(5) && waited < Duration::from_secs(6), "{waited:?}");
    assert_eq!(read_to_end(&mut silent).await, "");
    running.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn dropping_serve_closes_the_listener_and_leaves_connections_running() {
    let running = start(echo).await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    read_response(&mut stream).await;
    running.serving.abort();
    assert!(running.serving.await.unwrap_err().is_cancelled());
    assert!(TcpStream::connect(running.addr).await.is_err());
    stream.write_all(b"GET /2 HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    assert!(read_response(&mut stream).await.ends_with("GET /2 []"));
    assert_eq!(running.server.close().await.cut, 1);
    assert_eq!(running.server.stats().open, 0);
}
