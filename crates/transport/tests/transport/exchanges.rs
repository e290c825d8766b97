//! Requests, responses, and what becomes of their connections.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Method;
use roundtrip_transport::{
    ConnectConfig, Connection, Dial, DialFuture, Dialer, RoundTripper, Target, Transport, TransportConfig,
};
use roundtrip_types::{Body, ErrorKind, MessageExt, Phase, Response};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

use crate::peer::{HELLO, Peer, fetch, look_at_sockets, read_request, until};

#[tokio::test]
async fn a_body_that_came_whole_with_its_head_has_freed_its_connection() {
    let peer = Peer::answering(HELLO).await;
    let transport = Transport::new();
    let first = transport.round_trip(peer.get("/")).await.unwrap();
    assert_eq!((transport.stats().in_use, transport.stats().idle), (0, 1));
    assert_eq!(fetch(&transport, peer.get("/")).await.unwrap(), "hello");
    assert_eq!(first.text().await.unwrap(), "hello");
    assert_eq!(peer.accepted(), 1);
}

#[tokio::test]
async fn a_connection_is_not_reused_when_either_side_says_close_or_the_version_is_1_0() {
    for response in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    ] {
        let peer = Peer::answering(response).await;
        let transport = Transport::new();
        for _ in 0..2 {
            assert_eq!(fetch(&transport, peer.get("/")).await.unwrap(), "hello");
        }
        assert_eq!(peer.accepted(), 2, "{response:?}");
    }
    let peer = Peer::answering(HELLO).await;
    let transport = Transport::new();
    for _ in 0..2 {
        let mut req = peer.get("/");
        req.headers_mut().insert("connection", "close".parse().unwrap());
        fetch(&transport, req).await.unwrap();
    }
    assert_eq!(peer.accepted(), 2);
}

#[tokio::test]
async fn bytes_behind_a_response_never_reach_the_next_request() {
    let peer = Peer::answering(
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
    )
    .await;
    let transport = Transport::new();
    for _ in 0..3 {
        assert_eq!(fetch(&transport, peer.get("/")).await.unwrap(), "hello");
    }
    assert_eq!(peer.accepted(), 3);
}

#[tokio::test]
async fn a_head_that_was_cut_never_reaches_the_next_connection() {
    // With nothing of the second line, with half of it, and in the middle of the fields.
    for cut in
        ["HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-le", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nx-old: 1\r\n"]
    {
        let peer = Peer::start(move |number, mut stream| async move {
            read_request(&mut stream).await;
            let response = if number == 1 { cut } else { HELLO };
            stream.write_all(response.as_bytes()).await.unwrap();
        })
        .await;
        let transport = Transport::new();
        let error = transport.round_trip(peer.get("/")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{cut:?}: {error}");
        let response = transport.round_trip(peer.get("/")).await.unwrap();
        assert_eq!(response.headers().len(), 1, "{cut:?}");
        assert_eq!(response.text().await.unwrap(), "hello", "{cut:?}");
        assert_eq!(peer.accepted(), 2);
    }
}

#[tokio::test]
async fn bytes_on_an_idle_connection_never_reach_the_next_request() {
    let (go_on, written) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let peer = Peer::start({
        let (go_on, written) = (Arc::clone(&go_on), Arc::clone(&written));
        move |_, mut stream| {
            let (go_on, written) = (Arc::clone(&go_on), Arc::clone(&written));
            async move {
                while read_request(&mut stream).await.is_some() {
                    stream.write_all(HELLO.as_bytes()).await.unwrap();
                    go_on.notified().await;
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil").await.unwrap();
                    written.notify_one();
                }
            }
        }
    })
    .await;
    let transport = Transport::new();
    assert_eq!(fetch(&transport, peer.get("/1")).await.unwrap(), "hello");
    go_on.notify_one();
    written.notified().await;
    look_at_sockets().await;
    assert_eq!(fetch(&transport, peer.get("/2")).await.unwrap(), "hello");
    assert_eq!(peer.accepted(), 2);
}

#[tokio::test]
async fn peers_that_break_off_or_speak_something_else_are_named_with_the_phase() {
    let cases = [
        (
            "HTTP/1.1 200 OK\r\ncontent-le",
            ErrorKind::ConnectionLost,
            Phase::Wait,
            "in the middle of the response's head",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello",
            ErrorKind::ConnectionLost,
            Phase::Body,
            "after 5 of 9 bytes",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
            ErrorKind::ConnectionLost,
            Phase::Body,
            "after 5 bytes, and more were to come",
        ),
        ("SSH-2.0-OpenSSH_9.9\r\n", ErrorKind::Protocol, Phase::Wait, "SSH-2.0"),
        ("220 mail.test ESMTP\r\n", ErrorKind::Protocol, Phase::Wait, "220 mail.test"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
            ErrorKind::Protocol,
            Phase::Wait,
            "content-length",
        ),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", ErrorKind::Protocol, Phase::Body, "malformed"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", ErrorKind::Protocol, Phase::Wait, "unasked"),
    ];
    for (bytes, kind, phase, words) in cases {
        let peer = Peer::hanging_up_after(bytes).await;
        let transport = Transport::new();
        let error = fetch(&transport, peer.get("/x")).await.unwrap_err();
        let line = error.to_string();
        assert_eq!((error.kind(), error.phase()), (kind, Some(phase)), "{line}");
        assert!(line.starts_with(&format!("GET http://{}/x: ", peer.addr)) && line.contains(words), "{line}");
        assert!(!line.contains('\n') && !line.contains('\r'), "{line:?}");
        assert!(error.was_sent());
        assert_eq!((transport.stats().in_use, transport.stats().idle), (0, 0), "{bytes:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_connected_is_named_and_was_not_sent() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let transport = Transport::new();
    let error = fetch(&transport, http::Request::get(format!("http://{unused}/")).body(Body::empty()).unwrap())
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.phase(), error.was_sent()), (ErrorKind::Connect, Some(Phase::Connect), false));
    let line = error.to_string();
    assert!(
        line.starts_with(&format!("GET http://{unused}/: connect {unused}: ")) && line.contains("refused"),
        "{line}"
    );

    let req = http::Request::get("http://no-such-host.invalid/").body(Body::empty()).unwrap();
    let error = fetch(&transport, req).await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Connect, Some(Phase::Dns)));
    let line = error.to_string();
    assert!(line.starts_with("GET http://no-such-host.invalid/: resolve no-such-host.invalid: "), "{line}");
}

#[tokio::test(start_paused = true)]
async fn connecting_ends_at_its_limit() {
    // A listener whose queue is full: connecting to it hangs.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(addr)).await {
        queued.push(stream);
    }
    let transport = Transport::with_config(TransportConfig {
        connect_timeout: Some(Duration::from_secs(3)),
        ..TransportConfig::default()
    });
    let error = fetch(&transport, http::Request::get(format!("http://{addr}/")).body(Body::empty()).unwrap())
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.phase(), error.was_sent()), (ErrorKind::Timeout, Some(Phase::Connect), false));
    assert_eq!(error.to_string(), format!("GET http://{addr}/: connect {addr}: not done within 3s (connect_timeout)"));
}

#[tokio::test]
async fn bodies_end_where_their_framing_says() {
    for (response, want, connections) in [
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", "abcde", 1),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", "until the end", 2),
    ] {
        let closes = connections == 2;
        let peer = Peer::start(move |_, mut stream| async move {
            while read_request(&mut stream).await.is_some() {
                // In pieces, so that every state of the decoder waits once.
                for piece in response.as_bytes().chunks(3) {
                    stream.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
                if closes {
                    break;
                }
            }
        })
        .await;
        let transport = Transport::new();
        for _ in 0..2 {
            assert_eq!(fetch(&transport, peer.get("/")).await.unwrap(), want);
        }
        assert_eq!(peer.accepted(), connections, "{response:?}");
    }
}

#[tokio::test]
async fn uploads_of_every_shape_arrive_whole() {
    let (seen_in, mut seen) = mpsc::unbounded_channel();
    let peer = Peer::start(move |_, mut stream| {
        let seen = seen_in.clone();
        async move {
            while let Some(request) = read_request(&mut stream).await {
                seen.send(request).unwrap();
                stream.write_all(HELLO.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let transport = Transport::new();
    let big = "x".repeat(300_000);
    for body in ["small", &big] {
        fetch(&transport, peer.request(Method::PUT, "/", Body::from(body.to_owned()))).await.unwrap();
        let request = seen.recv().await.unwrap();
        assert!(request.contains(&format!("\r\ncontent-length: {}\r\n", body.len())) && request.ends_with(body));
    }
    let (mut sender, body) = Body::channel(1);
    let producer = tokio::spawn(async move {
        for piece in ["one", &"y".repeat(10_000), "two"] {
            sender.send(piece.to_owned()).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-sum", "9".parse().unwrap());
        sender.send_trailers(trailers);
    });
    fetch(&transport, peer.request(Method::PUT, "/", body)).await.unwrap();
    producer.await.unwrap();
    let request = seen.recv().await.unwrap();
    let want = format!("3\r\none\r\n2710\r\n{}\r\n3\r\ntwo\r\n0\r\nx-sum: 9\r\n\r\n", "y".repeat(10_000));
    assert!(request.contains("\r\ntransfer-encoding: chunked\r\n") && request.ends_with(&want), "{}", &request[..200]);
    assert_eq!(peer.accepted(), 1);
}

#[tokio::test]
async fn limits_on_idle_connections_close_sockets() {
    let peer = Peer::answering(HELLO).await;
    let other = Peer::answering(HELLO).await;
    let transport = Transport::with_config(TransportConfig {
        max_idle_conns: 2,
        max_idle_conns_per_host: 2,
        ..TransportConfig::default()
    });
    let burst = [(); 4].map(|()| {
        tokio::spawn({
            let (transport, req) = (transport.clone(), peer.get("/"));
            async move { transport.round_trip(req).await }
        })
    });
    for request in burst {
        request.await.unwrap().unwrap();
    }
    assert!(transport.stats().idle <= 2);
    fetch(&transport, other.get("/")).await.unwrap();
    assert_eq!(transport.stats().idle, 2);
    peer.wait_ended(peer.accepted() - 1).await;
    transport.close_idle_connections();
    peer.wait_ended(peer.accepted()).await;
    other.wait_ended(1).await;
    assert_eq!(transport.stats().idle, 0);
}

#[tokio::test]
async fn nothing_is_left_of_a_dropped_transport() {
    let peer = Peer::answering(HELLO).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let transport = Transport::new();
    fetch(&transport, peer.get("/")).await.unwrap();
    assert_eq!(tasks(), before + 2, "the peer's script for the connection, and the sweeper");
    drop(transport);
    peer.wait_ended(1).await;
    until(|| tasks() == before).await;
}

#[test]
fn a_transport_outlives_the_runtime_it_was_used_in() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime();
    let peer = server.block_on(Peer::answering(HELLO));
    let (stop_in, stop) = tokio::sync::oneshot::channel::<()>();
    let serving = std::thread::spawn(move || server.block_on(async { stop.await.unwrap() }));
    let transport = Transport::new();
    for n in 1..=3 {
        // Each runtime is gone with its turn, and the idle connection with it.
        assert_eq!(runtime().block_on(fetch(&transport, peer.get("/"))).unwrap(), "hello");
        assert_eq!((peer.accepted(), transport.stats().in_use), (n, 0));
    }
    stop_in.send(()).unwrap();
    serving.join().unwrap();
}

/// Answers on one connection after the other, each of which it closes when a random time below `most` has passed without a
/// request: often at the very moment in which the client takes it up again.
fn closing_at_random_moments(listener: &std::net::TcpListener, most: Duration) {
    use std::io::{ErrorKind::WouldBlock, Read, Write};
    let mut sequence = 1_u64;
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        let (mut request, mut served) = (Vec::new(), 0);
        loop {
            sequence = sequence.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let patience = most.mul_f64((sequence >> 40) as f64 / (1 << 24) as f64);
            let idle_since = std::time::Instant::now();
            // Finer than any timer: this thread looks all the time.
            while !request.ends_with(b"\r\n\r\n")
                && (!request.is_empty() || served == 0 || idle_since.elapsed() < patience)
            {
                let mut piece = [0; 512];
                match stream.read(&mut piece) {
                    Ok(0) => return,
                    Ok(count) => request.extend_from_slice(&piece[..count]),
                    Err(error) if error.kind() == WouldBlock => {}
                    Err(_) => return,
                }
            }
            if request.is_empty() {
                break;
            }
            request.clear();
            stream.write_all(HELLO.as_bytes()).unwrap();
            served += 1;
        }
    }
}

#[tokio::test]
async fn no_safe_request_is_lost_to_a_server_that_closes_at_the_moment_of_reuse() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let url = format!("http://{addr}/");
    let most = Duration::from_micros(600);
    let server = std::thread::spawn(move || closing_at_random_moments(&listener, most));
    let transport = Transport::new();
    for n in 0..1000_u32 {
        let req = http::Request::get(&url).body(Body::empty()).unwrap();
        assert_eq!(fetch(&transport, req).await.unwrap(), "hello", "request {n}");
        let pause = std::time::Instant::now();
        while pause.elapsed() < most * (n % 16) / 16 {
            tokio::task::yield_now().await;
        }
    }
    let stats = transport.stats();
    drop(transport);
    // The last connection is closed by us, which ends the server; if it was closed by the server, one more is.
    drop(TcpStream::connect(addr).await);
    server.join().unwrap();
    assert_eq!(stats.in_use, 0);
    assert!(stats.reused > 100 && stats.created > 100, "both must have happened often: {stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_and_hosts_at_once_lose_nothing() {
    let mut peers = Vec::new();
    for _ in 0..4 {
        peers.push(Arc::new(
            Peer::start(|_, mut stream| async move {
                while let Some(request) = read_request(&mut stream).await {
                    let path = request.split(' ').nth(1).unwrap().to_owned();
                    let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{path}", path.len());
                    if stream.write_all(response.as_bytes()).await.is_err() {
                        return;
                    }
                }
            })
            .await,
        ));
    }
    let transport = Transport::with_config(TransportConfig { max_idle_conns: 6, ..TransportConfig::default() });
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let (transport, peers) = (transport.clone(), peers.clone());
            tokio::spawn(async move {
                let mut answered = 0;
                for n in 0..100 {
                    let path = format!("/{task}/{n}");
                    let round_trip = transport.round_trip(peers[(task + n) % 4].get(&path));
                    if n % 10 == 9 {
                        // Given up at some point in the middle, or just in time.
                        let _: Option<Response> =
                            tokio::time::timeout(Duration::from_micros(50), round_trip).await.ok().transpose().unwrap();
                    } else {
                        assert_eq!(round_trip.await.unwrap().text().await.unwrap(), path, "each gets its own answer");
                        answered += 1;
                    }
                }
                answered
            })
        })
        .collect();
    let mut answered = 0;
    for task in tasks {
        answered += task.await.unwrap();
    }
    assert_eq!(answered, 16 * 90);
    let stats = transport.stats();
    assert_eq!(stats.in_use, 0);
    assert!(stats.idle <= 6 && stats.created + stats.reused >= 16 * 90, "{stats:?}");
}

/// A connection that takes so many bytes and then fails to write, and from which nothing ever comes.
struct Stuck {
    takes: usize,
}

impl tokio::io::AsyncRead for Stuck {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Poll::Pending
    }
}

impl tokio::io::AsyncWrite for Stuck {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<std::io::Result<usize>> {
        let taken = data.len().min(self.takes);
        self.takes -= taken;
        Poll::Ready(if taken == 0 { Err(std::io::ErrorKind::BrokenPipe.into()) } else { Ok(taken) })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Dial for Stuck {
    fn dial<'a>(&'a self, _: &'a Target) -> DialFuture<'a> {
        let takes = self.takes;
        Box::pin(async move { Ok(Connection::new(Stuck { takes })) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_ends_the_request_though_nothing_more_is_heard() {
    for (takes, was_sent, within) in [(0, false, Duration::ZERO), (10, true, Duration::from_millis(51))] {
        let dial = Dialer::Custom(Arc::new(Stuck { takes }));
        let connect = ConnectConfig { dial, ..ConnectConfig::default() };
        let transport = Transport::with_config(TransportConfig { connect, ..TransportConfig::default() });
        let began = tokio::time::Instant::now();
        let req = http::Request::get("http://h.test/").body(Body::empty()).unwrap();
        let error = transport.round_trip(req).await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::ConnectionLost, Some(Phase::Write)), "{error}");
        assert_eq!(error.was_sent(), was_sent, "{error}");
        assert!(began.elapsed() <= within, "{:?}", began.elapsed());
        assert_eq!(transport.stats().in_use, 0);
    }
}
