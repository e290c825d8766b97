//! Servers that mean harm, with the transport as its users have it: each ends in an error that names what was done, and in bounded memory.
//!
//! More faults, each with its exact words, are beside what they hit: `net/tests`, `net/proxy`, `h2/tests/hostile`, `decode/tests`.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod in_memory;
mod peer;
mod random;
mod silence;
mod windows;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peak_alloc::PeakAlloc;
use roundtrip_transport::{
    CloseReason, ExtendedConnect, Http2Config, Protocols, RequestOptions, RoundTripper, Transport, TransportConfig,
};
use roundtrip_types::{Body, Error, ErrorKind, MessageExt, Phase, Request};
use tokio::io::AsyncWriteExt;

use self::peer::{END_HEADERS, GOAWAY, HEADERS, OK, RST_STREAM, SETTINGS, frame, http1, http2};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What all that is allocated comes to, from here on; one at a time, since it is the whole process's.
struct Watch {
    before: usize,
    _alone: MutexGuard<'static, ()>,
}

impl Watch {
    fn begin() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        MEMORY.reset_peak_usage();
        Watch { before: MEMORY.current_usage(), _alone: alone }
    }

    /// That no more than this was allocated at any moment, on both sides together.
    #[track_caller]
    fn at_most(&self, most: usize) {
        let took = MEMORY.peak_usage().saturating_sub(self.before);
        assert!(took <= most, "{took} bytes, more than {most}");
    }
}

/// Runs a test in a runtime of its own, while no other runs.
fn alone(test: impl AsyncFnOnce(Watch)) {
    let watch = Watch::begin();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test(watch));
}

/// The same with a clock that stands still while anybody works, and moves on to what is next when all wait.
fn with_time_paused(test: impl AsyncFnOnce()) {
    let _alone = Watch::begin();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(test());
}

const KB: usize = 1 << 10;
const MB: usize = 1 << 20;

fn over_http2() -> TransportConfig {
    TransportConfig { protocols: Protocols::Http2, ..TransportConfig::default() }
}

fn get(address: std::net::SocketAddr) -> Request {
    http::Request::get(format!("http://{address}/")).body(Body::empty()).unwrap()
}

async fn fetch(transport: &Transport, request: Request) -> Result<usize, Error> {
    Ok(transport.round_trip(request).await?.bytes().await?.len())
}

/// Sends a flood of this frame in answer to a request, 100,000 times if the client lets it.
async fn flooded_with(flood: Vec<u8>, times: usize) -> Error {
    let server = http2(move |mut raw, stream| {
        let flood = flood.clone();
        async move {
            raw.write(&frame(HEADERS, if flood[3] == 9 { 0 } else { END_HEADERS }, stream, OK)).await;
            for _ in 0..times {
                if !raw.write(&flood).await {
                    return;
                }
            }
            panic!("all of it was taken");
        }
    });
    let transport = Transport::with_config(over_http2());
    let error = fetch(&transport, get(server.await)).await.unwrap_err();
    assert_eq!(transport.stats().in_use, 0);
    error
}

#[test]
fn a_hundred_thousand_settings_end_the_connection() {
    alone(async |memory| {
        let error = flooded_with(frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]), 100_000).await;
        assert_eq!((error.kind(), error.was_sent()), (ErrorKind::Protocol, true), "{error}");
        assert!(error.to_string().contains("the server floods this connection with SETTINGS frames"), "{error}");
        memory.at_most(MB);
    });
}

#[test]
fn a_hundred_thousand_pings_end_the_connection() {
    alone(async |memory| {
        let error = flooded_with(frame(6, 0, 0, &[0; 8]), 100_000).await;
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        assert!(error.to_string().contains("the server floods this connection with PING frames"), "{error}");
        memory.at_most(MB);
    });
}

#[test]
fn continuation_frames_without_end_end_the_connection() {
    alone(async |memory| {
        // Literal fields with a new name each: "a: b".
        let error = flooded_with(frame(9, 0, 1, &[0, 1, b'a', 1, b'b'].repeat(3_000)), 100_000).await;
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        assert!(error.to_string().contains("too_many_continuations"), "{error}");
        memory.at_most(16 * MB);
    });
}

#[test]
fn a_window_that_stays_closed_ends_the_upload() {
    alone(async |memory| {
        let server =
            peer::http2_with(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]), |mut raw, _| async move { raw.idle().await });
        let window_timeout = Some(Duration::from_millis(50));
        let http2 = Http2Config { window_timeout, ..Http2Config::default() };
        let transport = Transport::with_config(TransportConfig { http2, ..over_http2() });
        let (mut sender, body) = Body::channel(1);
        let offering = tokio::spawn(async move {
            let mut offered = 0;
            while sender.send(vec![0; 64 * KB]).await.is_ok() {
                offered += 64 * KB;
            }
            offered
        });
        let url = format!("http://{}/", server.await);
        let error = fetch(&transport, http::Request::post(url).body(body).unwrap()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.phase(), error.was_sent()),
            (ErrorKind::Timeout, Some(Phase::Write), true),
            "{error}"
        );
        assert!(error.to_string().contains("it keeps its flow-control window closed"), "{error}");
        let offered = offering.await.unwrap();
        assert!(offered <= MB, "{offered} bytes were taken from the producer");
        memory.at_most(2 * MB);
    });
}

#[test]
fn a_server_that_goes_away_or_resets_is_named() {
    alone(async |memory| {
        let goaway = |last: u32, code: u32| frame(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat());
        let reset = |code: u32| frame(RST_STREAM, 0, 1, &code.to_be_bytes());
        for (bytes, sent, words) in [
            (goaway(0, 2), false, "the server went away before it took up this request (INTERNAL_ERROR)"),
            (goaway(1, 11), true, "ENHANCE_YOUR_CALM"),
            (reset(2), true, "the server reset the stream (INTERNAL_ERROR)"),
            (reset(8), true, "the server reset the stream (CANCEL)"),
        ] {
            let server = http2(move |mut raw, _| {
                let bytes = bytes.clone();
                async move {
                    raw.write(&bytes).await;
                    if bytes[3] == RST_STREAM {
                        raw.idle().await;
                    }
                }
            });
            let transport = Transport::with_config(over_http2());
            let error = fetch(&transport, get(server.await)).await.unwrap_err();
            assert_eq!((error.kind(), error.was_sent()), (ErrorKind::ConnectionLost, sent), "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
        memory.at_most(MB);
    });
}

#[test]
fn a_head_without_end_is_cut_off() {
    alone(async |memory| {
        for line in
            [&b"x-long: "[..], b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", b"a: b\r\n"]
        {
            let server = http1(move |mut stream| async move {
                stream.write_all(b"HTTP/1.1 200 OK\r\nx-first: ").await.unwrap();
                while stream.write_all(&line.repeat(100)).await.is_ok() {}
            });
            let transport = Transport::new();
            let error = fetch(&transport, get(server.await)).await.unwrap_err();
            assert_eq!((error.kind(), error.phase()), (ErrorKind::TooLarge, Some(Phase::Wait)), "{error}");
            assert!(error.to_string().contains("the response's head is too large"), "{error}");
            assert_eq!(transport.stats().open(), 0);
        }
        memory.at_most(8 * MB);
    });
}

#[test]
fn a_proxy_that_answers_without_end_is_cut_off() {
    alone(async |memory| {
        let proxy = http1(|mut stream| async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
            while stream.write_all(b"x-garbage: yes\r\n").await.is_ok() {}
        });
        let proxy = roundtrip_transport::Proxy::new(&format!("http://{}", proxy.await)).unwrap();
        let proxy = roundtrip_transport::ProxyConfig::fixed(proxy);
        let transport = Transport::with_config(TransportConfig { proxy, ..TransportConfig::default() });
        let request = http::Request::get("https://h.test/").body(Body::empty()).unwrap();
        let error = fetch(&transport, request).await.unwrap_err();
        assert_eq!((error.phase(), error.was_sent()), (Some(Phase::Proxy), false), "{error}");
        assert!(error.to_string().contains("proxy http://127.0.0.1:"), "{error}");
        memory.at_most(2 * MB);
    });
}

/// Serves `coded` as a body of this coding, over and over on one connection.
async fn serving_coded(coding: &'static str, coded: Vec<u8>) -> std::net::SocketAddr {
    http1(move |mut stream| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n", coded.len());
        let coded = coded.clone();
        async move {
            stream.write_all(head.as_bytes()).await.unwrap();
            // Whoever has had enough hangs up.
            let _ = stream.write_all(&coded).await;
        }
    })
    .await
}

/// Decodes a bomb of 64 MB with a limit of 1 MB.
async fn bomb(coding: &'static str, offer: roundtrip_transport::ContentCoding, coded: Vec<u8>, memory: usize) {
    let server = serving_coded(coding, coded).await;
    let config = TransportConfig {
        accept_codings: vec![offer],
        max_decoded_bytes: Some(MB as u64),
        ..TransportConfig::default()
    };
    let transport = Transport::with_config(config);
    // The bomb itself was made before.
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let mut body = transport.round_trip(get(server)).await.unwrap().into_body();
    let mut got = 0;
    let error = loop {
        match body.chunk().await.expect("an error before the end") {
            Ok(data) => got += data.len(),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert!(error.to_string().contains("is more than the 1048576 bytes allowed when decoded"), "{error}");
    assert!(got <= MB, "{got}");
    let took = MEMORY.peak_usage().saturating_sub(before);
    assert!(took <= memory, "{took} bytes, more than {memory}");
}

#[test]
fn a_gzip_bomb_ends_at_the_limit() {
    alone(async |_| {
        use async_compression::tokio::bufread::GzipEncoder;
        use tokio::io::AsyncReadExt;
        let mut coded = Vec::new();
        GzipEncoder::new(tokio::io::BufReader::new(tokio::io::repeat(0).take(64 << 20)))
            .read_to_end(&mut coded)
            .await
            .unwrap();
        // A thousand to one is as much as the format can do.
        assert!(coded.len() < 70 * KB, "{}", coded.len());
        bomb("gzip", roundtrip_transport::ContentCoding::Gzip, coded, MB).await;
    });
}

#[cfg(feature = "br")]
#[test]
fn a_brotli_bomb_of_ten_megabytes_to_the_kilobyte_ends_at_the_limit() {
    alone(async |_| {
        use async_compression::Level;
        use async_compression::tokio::bufread::BrotliEncoder;
        use tokio::io::AsyncReadExt;
        let zeros = tokio::io::BufReader::new(tokio::io::repeat(0).take(64 << 20));
        let mut coded = Vec::new();
        BrotliEncoder::with_quality(zeros, Level::Precise(5)).read_to_end(&mut coded).await.unwrap();
        assert!(coded.len() < 64 / 10 * KB, "{}", coded.len());
        // The window of the format is up to 16 MB.
        bomb("br", roundtrip_transport::ContentCoding::Br, coded, 40 * MB).await;
    });
}
