//! Clients that mean harm, each with its outcome. Clocks are paused: an hour passes in no time, and only when nothing else can
//! happen.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use roundtrip_server::{ErrorLog, ServerConfig};
use roundtrip_types::{Body, IntoResponse, MessageExt, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::{echo, read_response, read_to_end, start, start_with};

/// The most that any of these may hold a connection, with the settings as they come.
const BOUND: Duration = Duration::from_secs(75);

/// Sends a byte now and then until the server hangs up, and returns what it said and how long that took.
async fn trickle(mut stream: TcpStream, begin: &[u8], bytes: &'static [u8], gap: Duration) -> (String, Duration) {
    let begun = Instant::now();
    stream.write_all(begin).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let sending = tokio::spawn(async move {
        for byte in bytes.iter().cycle() {
            tokio::time::sleep(gap).await;
            if writing.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        writing
    });
    let mut got = Vec::new();
    // By an end or a reset.
    let _ = reading.read_to_end(&mut got).await;
    let took = begun.elapsed();
    sending.abort();
    (String::from_utf8(got).unwrap(), took)
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_is_told_408_in_time() {
    let running = start(echo).await;
    for begin in [&b"GET / HTTP/1.1\r\nHost: h\r\nX-Slow: "[..], b"G"] {
        let (got, took) = trickle(running.connect().await, begin, b"z", Duration::from_secs(1)).await;
        assert!(got.starts_with("HTTP/1.1 408 ") && got.contains("connection: close"), "{got}");
        assert!(took >= Duration::from_secs(30) && took < Duration::from_secs(32), "{took:?}");
    }
    // And behind a response.
    let begin = b"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\n";
    let (got, took) = trickle(running.connect().await, begin, b"X", Duration::from_secs(1)).await;
    assert!(got.starts_with("HTTP/1.1 200 ") && got.contains("HTTP/1.1 408 "), "{got}");
    assert!(took < BOUND, "{took:?}");
    assert_eq!(running.server.stats().timeouts, 3);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_ended_in_time_and_a_steady_one_is_not() {
    let running = start(|req: Request| async move {
        match req.bytes().await {
            Ok(bytes) => format!("{} bytes", bytes.len()),
            Err(error) => format!("{:?}", error.kind()),
        }
    })
    .await;
    for framing in ["Content-Length: 1000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nfffff\r\n"] {
        let begin = format!("POST / HTTP/1.1\r\nHost: h\r\n{framing}");
        let (got, took) = trickle(running.connect().await, begin.as_bytes(), b"z", Duration::from_secs(1)).await;
        assert!(got.ends_with("Timeout"), "{got}");
        assert!(took < BOUND, "{took:?}");
    }
    // 400 bytes a second for five minutes is slow, but it comes.
    let mut steady = running.connect().await;
    steady.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 120000\r\n\r\n").await.unwrap();
    for _ in 0..300 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        steady.write_all(&[b'z'; 400]).await.unwrap();
    }
    assert!(read_response(&mut steady).await.ends_with("120000 bytes"));
    drop(steady);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_reads_does_not_hold_its_connection() {
    let running = start(|_req| async { "never mind" }).await;
    for framing in ["Content-Length: 1000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nff\r\n"] {
        let begin = format!("POST / HTTP/1.1\r\nHost: h\r\n{framing}");
        let (got, took) = trickle(running.connect().await, begin.as_bytes(), b"z", Duration::from_secs(1)).await;
        assert!(got.starts_with("HTTP/1.1 200 ") && got.ends_with("never mind"), "{got}");
        assert!(took < BOUND, "{took:?}");
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn silent_clients_are_gone_in_time() {
    let running = start(echo).await;
    let begun = Instant::now();
    let mut clients = Vec::new();
    for sent in [
        &b""[..],
        b"GET",
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n",
    ] {
        let mut stream = running.connect().await;
        stream.write_all(sent).await.unwrap();
        clients.push(tokio::spawn(async move { read_to_end(&mut stream).await }));
    }
    for client in clients {
        client.await.unwrap();
    }
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    assert_eq!(running.server.stats().open, 0);
    running.stop().await;
}

/// A response that no socket buffer can hide.
const LARGE: usize = 64 << 20;

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_reset_in_time() {
    let running = start(|_req| async { Body::from(vec![b'z'; LARGE]) }).await;
    let begun = Instant::now();
    // One reads nothing, the other a few bytes a second.
    let mut deaf = running.connect().await;
    deaf.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let mut slow = running.connect().await;
    socket2::SockRef::from(&slow).set_recv_buffer_size(4096).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let mut read = 0;
    while running.server.stats().open > 0 || running.server.stats().accepted < 2 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if let Ok(Ok(n)) = tokio::time::timeout(Duration::from_millis(1), slow.read(&mut [0; 16])).await {
            read += n;
        }
        assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    }
    assert!(read < 4096);
    assert_eq!(running.server.stats().timeouts, 2);
    running.stop().await;
}

#[tokio::test]
async fn heads_beyond_the_limits_are_431_or_414() {
    let config = ServerConfig { max_header_bytes: 50_000, ..ServerConfig::default() };
    let running = start_with(echo, config).await;
    for (head, status) in [
        (format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "z".repeat(100_000)), "431"),
        (format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: z\r\n".repeat(500)), "431"),
        (format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: z\r\n".repeat(10_000)), "431"),
        (format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "z".repeat(100_000)), "431"),
    ] {
        let mut stream = running.connect().await;
        // The server may hang up before it has read everything.
        let _ = stream.write_all(head.as_bytes()).await;
        let got = read_to_end(&mut stream).await;
        assert!(got.starts_with(&format!("HTTP/1.1 {status} ")), "{} bytes: {got}", head.len());
    }
    // Within the limits: the body does not count.
    let mut stream = running.connect().await;
    let body = "z".repeat(200_000);
    let request = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nX: {}\r\nContent-Length: {}\r\n\r\n{body}",
        "z".repeat(49_000),
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(read_response(&mut stream).await.starts_with("HTTP/1.1 200 "));
    drop(stream);
    running.stop().await;

    let running = start(echo).await;
    let mut stream = running.connect().await;
    let _ = stream.write_all(format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "z".repeat(70_000)).as_bytes()).await;
    assert!(read_to_end(&mut stream).await.starts_with("HTTP/1.1 414 "));
    running.stop().await;
}

#[tokio::test]
async fn an_answer_before_a_large_body_is_not_lost_to_a_reset() {
    let running = start(|_req| async { (http::StatusCode::PAYLOAD_TOO_LARGE, "too large").into_response() }).await;
    for framing in ["Content-Length: 10000000", "Transfer-Encoding: chunked"] {
        let stream = running.connect().await;
        let (mut reading, mut writing) = stream.into_split();
        let sending = tokio::spawn(async move {
            let head = format!("POST / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n");
            writing.write_all(head.as_bytes()).await.unwrap();
            if framing.starts_with('T') {
                writing.write_all(b"989680\r\n").await.unwrap();
            }
            let piece = vec![b'z'; 100_000];
            for _ in 0..100 {
                if writing.write_all(&piece).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        });
        let mut got = Vec::new();
        // The end may be a reset, but only behind the answer.
        let _ = reading.read_to_end(&mut got).await;
        let got = String::from_utf8(got).unwrap();
        assert!(got.starts_with("HTTP/1.1 413 ") && got.ends_with("too large"), "{framing}: {got:?}");
        // How much is to come of a chunked body, nobody knows before it has.
        assert!(got.contains("connection: close") || framing.starts_with('T'), "{framing}: {got}");
        sending.await.unwrap();
    }
    running.stop().await;
}

/// A client that goes on sending behind its last answer is read for a moment, not for as much as it can send in one.
#[tokio::test(start_paused = true)]
async fn what_comes_behind_the_last_answer_is_read_up_to_a_point() {
    let refuse = |_req| async { (http::StatusCode::PAYLOAD_TOO_LARGE, "too large").into_response() };
    let running = start(refuse).await;
    for (head, status) in [
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000000\r\n\r\n", "413"),
        // The connection's own last word.
        ("POST / HTTP/1.1\nHost: h\r\n\r\n", "400"),
    ] {
        let before = running.server.stats().bytes_read;
        let begun = Instant::now();
        let (mut reading, mut writing) = running.connect().await.into_split();
        let sending = tokio::spawn(async move {
            writing.write_all(head.as_bytes()).await.unwrap();
            let piece = vec![b'z'; 1 << 20];
            for _ in 0..64 {
                if writing.write_all(&piece).await.is_err() {
                    break;
                }
            }
        });
        let mut got = Vec::new();
        // The end comes before the reset: the server has closed its side, and still has the client's bytes taken.
        reading.read_to_end(&mut got).await.unwrap();
        let got = String::from_utf8(got).unwrap();
        assert!(got.starts_with(&format!("HTTP/1.1 {status} ")) && got.contains("connection: close"), "{got}");
        sending.await.unwrap();
        let read = running.server.stats().bytes_read - before;
        // 16 MiB, and what was read before the answer.
        assert!(read <= 18 << 20, "{status}: {read} bytes were read");
        assert!(begun.elapsed() < Duration::from_secs(2), "{status}: {:?}", begun.elapsed());
    }
    running.stop().await;
}

/// Everything in this list is refused or closed, and the canary behind it is never served.
#[tokio::test]
async fn smuggling_gets_nowhere() {
    let served = Arc::new(AtomicUsize::new(0));
    let running = start({
        let served = Arc::clone(&served);
        move |req: Request| {
            let served = Arc::clone(&served);
            async move {
                if req.uri().path() == "/canary" {
                    served.fetch_add(1, Ordering::SeqCst);
                }
                req.bytes().await.map_or("bad body", |_| "fine")
            }
        }
    })
    .await;
    for (name, request) in [
        (
            "length and chunked",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunked and length",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunked and length, and another protocol",
            "POST / HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        ),
        ("two lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n"),
        ("length list", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0, 40\r\n\r\n"),
        ("signed length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +0\r\n\r\n"),
        (
            "chunked twice",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        ("gzip, chunked", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ("xchunked", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ("chunked, identity", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        ("space before the colon", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
        (
            "chunked in HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        ("fold", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n 0\r\n\r\n"),
        ("bare LF", "POST / HTTP/1.1\r\nHost: h\nContent-Length: 0\r\n\r\n"),
        ("bare LF at the end of a head", "POST / HTTP/1.1\r\nHost: h\r\n\n"),
        ("bare CR", "POST / HTTP/1.1\r\nHost: h\r\nX: a\rContent-Length: 40\r\n\r\n"),
        ("NUL", "POST / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n"),
        ("bare LF behind a chunk size", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\n\r\n"),
        ("bare LF as the last line end", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n"),
        ("control in an extension", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0;a=\x01\r\n\r\n"),
        (
            "chunk longer than its size",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        ),
        ("chunk size with a sign", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n+0\r\n\r\n"),
        (
            "chunk size of 17 digits",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000000\r\n\r\n",
        ),
        ("bad trailer", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n"),
        ("two hosts", "GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n"),
        ("no host", "GET / HTTP/1.1\r\n\r\n"),
        ("bad host", "GET / HTTP/1.1\r\nHost: h/../i\r\n\r\n"),
        ("CONNECT to a path", "CONNECT /x HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("GET *", "GET * HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("user information", "GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("tunnel refused", "CONNECT h:1 HTTP/1.1\r\nHost: h\r\nExpect: no\r\n\r\n"),
        ("unknown expectation", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nExpect: nonsense\r\n\r\n"),
        ("2^63 bytes", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9223372036854775808\r\n\r\n"),
    ] {
        let mut stream = running.connect().await;
        stream.write_all(format!("{request}GET /canary HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).await.unwrap();
        let got = read_to_end(&mut stream).await;
        assert_eq!(got.lines().filter(|line| line.starts_with("HTTP/1.")).count(), 1, "{name}: {got}");
        assert_eq!(served.load(Ordering::SeqCst), 0, "{name} reached the canary: {got}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_later_request_that_is_refused_is_told_so() {
    let running = start(echo).await;
    for bad in [
        "GET /x HTTP/1.1\nHost: h\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /x HTTP/1.1\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let mut stream = running.connect().await;
        stream
            .write_all(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi{bad}").as_bytes())
            .await
            .unwrap();
        let got = read_to_end(&mut stream).await;
        let (first, second) = got.split_once("POST / [hi]").unwrap();
        assert!(first.starts_with("HTTP/1.1 200 ") && second.starts_with("HTTP/1.1 400 "), "{bad:?}: {got}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_handler_does_not_learn_of_a_length_and_its_target_beats_host() {
    let running = start(|req: Request| async move {
        format!("{:?} {:?}", req.headers().get("content-length"), req.headers().get("host").unwrap())
    })
    .await;
    let mut stream = running.connect().await;
    stream
        .write_all(b"GET http://right.test/x HTTP/1.1\r\nHost: wrong.test\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let got = read_to_end(&mut stream).await;
    assert!(got.ends_with("None \"right.test\""), "{got}");
    running.stop().await;
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_body_is_an_error_of_that_request_alone() {
    let (seen_in, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let running = start(move |req: Request| {
        let seen = seen_in.clone();
        async move {
            seen.send("entered").unwrap();
            let failed = req.bytes().await.is_err();
            seen.send(if failed { "failed" } else { "whole" }).unwrap();
        }
    })
    .await;
    let mut stream = running.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf").await.unwrap();
    assert_eq!(seen.recv().await, Some("entered"));
    stream.set_zero_linger().unwrap();
    drop(stream);
    assert_eq!(seen.recv().await, Some("failed"));
    let mut other = running.connect().await;
    other.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(read_to_end(&mut other).await.starts_with("HTTP/1.1 200 "));
    running.stop().await;
}

#[tokio::test]
async fn pipelining_without_reading_is_bounded_and_answered_in_order() {
    let running = start(echo).await;
    let mut stream = running.connect().await;
    let mut requests = String::new();
    for n in 0..50 {
        requests +=
            &format!("GET /{n} HTTP/1.1\r\nHost: h\r\n{}\r\n", if n == 49 { "Connection: close\r\n" } else { "" });
    }
    stream.write_all(requests.as_bytes()).await.unwrap();
    let got = read_to_end(&mut stream).await;
    let at: Vec<_> = (0..50).map(|n| got.find(&format!("GET /{n} []")).unwrap()).collect();
    assert!(at.is_sorted());
    running.stop().await;
}

#[tokio::test]
async fn a_panic_in_a_response_body_cuts_that_connection_alone() {
    struct Bad;
    impl http_body::Body for Bad {
        type Data = bytes::Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, std::io::Error>>> {
            panic!("in the body")
        }
    }
    let config = ServerConfig { error_log: ErrorLog::none(), ..ServerConfig::default() };
    let running = start_with(|_req| async { Body::new(Bad) }, config).await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let got = read_to_end(&mut stream).await;
    assert!(!got.ends_with("0\r\n\r\n"), "no end is feigned: {got}");
    running.stop().await;
}
