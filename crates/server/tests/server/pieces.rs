//! Requests of all kinds behind one another on one connection, however their bytes come, and however they break off.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::BodyExt;
use roundtrip_h1::{Decoded, Decoder, DecoderLimits, Framing, Limits, ResponseParser, response_framing};
use roundtrip_types::{Body, IntoResponse, MessageExt, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::start;

/// Chance that repeats: xorshift.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }
}

/// Bytes that tell their places.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from((at * 7 + at / 251) % 251).unwrap()).collect()
}

fn number(req: &Request) -> usize {
    req.uri().path().rsplit('/').next().unwrap().parse().unwrap()
}

/// What the path says: each way in which a handler can treat bodies.
async fn handler(req: Request) -> Response {
    let path = req.uri().path().to_owned();
    match path.split('/').nth(1).unwrap() {
        "whole" => req.bytes().await.unwrap().into_response(),
        "trailers" => {
            let collected = req.into_body().collect().await.unwrap();
            let said =
                collected.trailers().and_then(|all| all.get("x-t")).map_or("none", |v| v.to_str().unwrap()).to_owned();
            format!("{} {said}", collected.to_bytes().len()).into_response()
        }
        "ignore" => "ignored".into_response(),
        "late" => {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            req.bytes().await.unwrap().into_response()
        }
        // The response is made by another task, of a body that still comes.
        "duplex" => {
            let (mut sender, body) = Body::channel(1);
            let mut coming = req.into_body();
            tokio::spawn(async move {
                while let Some(frame) = coming.frame().await {
                    let Ok(data) = frame.unwrap().into_data() else { continue };
                    if sender.send(data).await.is_err() {
                        return;
                    }
                }
                sender.finish();
            });
            body.into_response()
        }
        "large" => pattern(number(&req)).into_response(),
        "stream" => {
            let len = number(&req);
            let (mut sender, body) = Body::channel(2);
            tokio::spawn(async move {
                let all = Bytes::from(pattern(len));
                for (n, piece) in all.chunks(1 + len / 5).enumerate() {
                    sender.send(all.slice_ref(piece)).await.unwrap();
                    if n % 2 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                sender.send_trailers(HeaderMap::from_iter([("x-t".parse().unwrap(), HeaderValue::from_static("end"))]));
            });
            body.into_response()
        }
        other => panic!("no such way: {other}"),
    }
}

/// A request's bytes, and what its response has to carry.
struct Asked {
    method: Method,
    bytes: Vec<u8>,
    answer: Vec<u8>,
}

fn ask(dice: &mut Dice, is_last: bool) -> Asked {
    let sizes = [0, 1, 17, 1000, 5000, 9000, 70_000, 200_000];
    let (way, size) = (dice.below(7), sizes[dice.below(sizes.len())]);
    let body = pattern(size);
    let chunked = dice.below(2) == 0;
    let (target, answer, sends) = match way {
        0 => ("/whole".to_owned(), body.clone(), true),
        1 => ("/trailers".to_owned(), format!("{size} {}", if chunked { "here" } else { "none" }).into_bytes(), true),
        2 => ("/ignore".to_owned(), b"ignored".to_vec(), true),
        3 => ("/late".to_owned(), body.clone(), true),
        4 => ("/duplex".to_owned(), body.clone(), true),
        5 => (format!("/large/{size}"), body.clone(), false),
        _ => (format!("/stream/{size}"), body.clone(), false),
    };
    let method = match (sends, dice.below(4)) {
        (true, _) => Method::POST,
        (false, 0) => Method::HEAD,
        (false, _) => Method::GET,
    };
    let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n").into_bytes();
    if is_last {
        bytes.extend_from_slice(b"Connection: close\r\n");
    }
    // Sent without waiting: whether the server says so before it reads is its own affair.
    if sends && way != 2 && dice.below(5) == 0 {
        bytes.extend_from_slice(b"Expect: 100-continue\r\n");
    }
    if !sends {
        bytes.extend_from_slice(b"\r\n");
    } else if chunked {
        bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        let step = 1 + dice.below(4000);
        for chunk in body.chunks(step) {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\nx-t: here\r\n\r\n");
    } else {
        bytes.extend_from_slice(format!("Content-Length: {size}\r\n\r\n").as_bytes());
        bytes.extend_from_slice(&body);
    }
    let answer = if method == Method::HEAD { Vec::new() } else { answer };
    Asked { method, bytes, answer }
}

/// The bodies of all responses in `got`, which has to hold nothing else.
fn bodies(got: &[u8], asked: &[Asked]) -> Vec<Vec<u8>> {
    let mut buf = BytesMut::from(got);
    let mut bodies = Vec::new();
    for Asked { method, .. } in asked {
        let head = loop {
            let head = ResponseParser::new(Limits::response()).parse(&mut buf).unwrap();
            let head = head.unwrap_or_else(|| panic!("{} of {} responses", bodies.len(), asked.len()));
            if !head.status.is_informational() {
                break head;
            }
        };
        assert_eq!(head.status, 200);
        assert!(head.headers.contains_key("date"));
        let framing = response_framing(method, &head).unwrap();
        assert_ne!(framing, Framing::UntilClose);
        let mut decoder = Decoder::new(framing, DecoderLimits::default());
        let mut body = Vec::new();
        loop {
            match decoder.decode(&mut buf).unwrap() {
                Decoded::Data(data) => body.extend_from_slice(&data),
                Decoded::Trailers(trailers) => assert_eq!(trailers["x-t"], "end"),
                Decoded::NeedMore => panic!("response {} is cut", bodies.len()),
                Decoded::End => break,
            }
        }
        bodies.push(body);
    }
    assert_eq!(buf, "", "bytes behind the last response");
    bodies
}

#[tokio::test]
async fn however_requests_come_each_gets_its_own_answer() {
    each_gets_its_own_answer(1..150).await;
}

/// Bodies are read by tasks on other threads than their connection's.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whichever_thread_reads_a_body_it_is_the_whole_one() {
    each_gets_its_own_answer(1000..1150).await;
}

async fn each_gets_its_own_answer(seeds: std::ops::Range<u64>) {
    let running = start(handler).await;
    let mut served = 0;
    for seed in seeds {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let count = 1 + dice.below(8);
        let asked: Vec<_> = (1..=count).map(|n| ask(&mut dice, n == count)).collect();
        served += count as u64;
        let input: Vec<u8> = asked.iter().flat_map(|asked| asked.bytes.iter().copied()).collect();
        // A few sizes for each connection: drops, packets, and all at once.
        let most = [3, 100, 1500, usize::MAX][dice.below(4)].min(input.len());
        let (mut reading, mut writing) = running.connect().await.into_split();
        let sending = tokio::spawn(async move {
            let mut rest = &input[..];
            while !rest.is_empty() {
                // Drops for a while, for they are slow.
                let most = if input.len() - rest.len() > 2000 { most.max(1500) } else { most };
                let (piece, behind) = rest.split_at((1 + dice.below(most)).min(rest.len()));
                writing.write_all(piece).await.unwrap();
                rest = behind;
                if dice.below(3) == 0 {
                    tokio::task::yield_now().await;
                }
            }
            writing
        });
        let mut got = Vec::new();
        reading.read_to_end(&mut got).await.unwrap();
        drop(sending.await.unwrap());
        let bodies = bodies(&got, &asked);
        for (n, (body, asked)) in bodies.iter().zip(&asked).enumerate() {
            let head = String::from_utf8_lossy(&asked.bytes[..asked.bytes.len().min(150)]).into_owned();
            assert!(*body == asked.answer, "seed {seed}, request {n}: {} bytes\n{head}", body.len());
        }
    }
    assert_eq!(running.server.stats().requests, served);
    running.stop().await;
}

/// Wherever a client breaks off, what the server had begun for it ends: handlers, and tasks that read its body.
#[tokio::test]
async fn wherever_a_client_breaks_off_nothing_is_left() {
    struct Alive(Arc<AtomicUsize>);
    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let alive = Arc::new(AtomicUsize::new(0));
    let running = start({
        let alive = Arc::clone(&alive);
        move |req: Request| {
            alive.fetch_add(1, Ordering::SeqCst);
            let alive = Alive(Arc::clone(&alive));
            async move {
                let _alive = &alive;
                if req.uri().path() == "/task" {
                    let mut body = req.into_body();
                    alive.0.fetch_add(1, Ordering::SeqCst);
                    let reading = Alive(Arc::clone(&alive.0));
                    let reading = tokio::spawn(async move {
                        let _reading = reading;
                        while let Some(Ok(_)) = body.frame().await {}
                    });
                    return match reading.await {
                        Ok(()) => "read".into_response(),
                        Err(error) => panic!("{error}"),
                    };
                }
                match req.bytes().await {
                    Ok(_) => pattern(300_000).into_response(),
                    Err(_) => "bad body".into_response(),
                }
            }
        }
    })
    .await;
    for path in ["/task", "/whole"] {
        let whole = format!(
            "POST {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\nGET {path} HTTP/1.1\r\n"
        );
        for end in 1..whole.len() {
            let mut stream = running.connect().await;
            stream.write_all(&whole.as_bytes()[..end]).await.unwrap();
            if end % 3 == 0 {
                // By a reset.
                stream.set_zero_linger().unwrap();
            } else if end % 3 == 1 {
                stream.shutdown().await.unwrap();
                let mut got = Vec::new();
                stream.read_to_end(&mut got).await.unwrap();
            }
        }
    }
    // Each is over once the server has seen the end; there is nothing to wait for but that.
    while running.server.stats().open > 0 || alive.load(Ordering::SeqCst) > 0 {
        tokio::task::yield_now().await;
    }
    running.stop().await;
}
