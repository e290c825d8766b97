//! Servers that send more than the flow-control windows allow (RFC 9113, section 6.9.1).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncReadExt;
use tokio::sync::Notify;

use super::in_memory::InMemory;
use super::*;

const DATA: u8 = 0;
const ACK: u8 = 1;

/// A server that answers the first request of a connection with a body without end, whatever the windows are, once it is let go.
struct Overrunning {
    address: std::net::SocketAddr,
    go: Arc<Notify>,
    /// How many bytes it could send.
    sent: Arc<AtomicUsize>,
}

impl Overrunning {
    async fn start() -> Self {
        let (go, sent) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let server = http2({
            let (go, sent) = (Arc::clone(&go), Arc::clone(&sent));
            move |mut raw, stream| {
                let (go, sent) = (Arc::clone(&go), Arc::clone(&sent));
                async move {
                    // The client's windows hold when its settings are acknowledged.
                    raw.write(&frame(SETTINGS, ACK, 0, &[])).await;
                    raw.write(&frame(HEADERS, END_HEADERS, stream, OK)).await;
                    go.notified().await;
                    let data = frame(DATA, 0, stream, &[0; 16 * KB]);
                    while raw.write(&data).await {
                        sent.fetch_add(data.len(), Ordering::Relaxed);
                    }
                }
            }
        });
        Overrunning { address: server.await, go, sent }
    }
}

async fn until(mut is: impl FnMut() -> bool) {
    while !is() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn an_overrun_window_ends_the_connection_even_if_nobody_reads() {
    alone(async |memory| {
        let server = Overrunning::start().await;
        let transport = Transport::with_config(over_http2());
        let overrun = transport.round_trip(get(server.address)).await.unwrap();
        // On the same connection, and innocent.
        let other = tokio::spawn({
            let (transport, request) = (transport.clone(), get(server.address));
            async move { fetch(&transport, request).await }
        });
        until(|| transport.stats().reused == 1).await;
        server.go.notify_one();
        until(|| transport.stats().open() == 0).await;
        // What it has sent beyond the window of 4 MiB lies in the sockets' buffers, or was on its way.
        let sent = server.sent.load(Ordering::Relaxed);
        assert!(sent <= 16 * MB, "{sent} bytes were taken");
        let errors = [overrun.into_body().bytes().await.map(|body| body.len()), other.await.unwrap()];
        for error in errors.map(Result::unwrap_err) {
            assert_eq!((error.kind(), error.was_sent()), (ErrorKind::Protocol, true), "{error}");
            let words = "the server sent more than a stream's flow-control window allows (FLOW_CONTROL_ERROR)";
            assert!(error.to_string().contains(words), "{error}");
        }
        let stats = transport.stats();
        assert_eq!((stats.created, stats.retried, stats.closed.by(CloseReason::Failed)), (1, 0, 1));
        memory.at_most(16 * MB);
    });
}

#[test]
fn an_overrun_window_of_a_connection_ends_it() {
    alone(async |memory| {
        let server = Overrunning::start().await;
        let http2 = Http2Config { connection_window: 1 << 20, ..Http2Config::default() };
        let transport = Transport::with_config(TransportConfig { http2, ..over_http2() });
        let overrun = transport.round_trip(get(server.address)).await.unwrap();
        server.go.notify_one();
        until(|| transport.stats().open() == 0).await;
        let error = overrun.into_body().bytes().await.unwrap_err();
        assert_eq!((error.kind(), error.was_sent()), (ErrorKind::Protocol, true), "{error}");
        assert!(error.to_string().contains("the server broke HTTP/2 (FLOW_CONTROL_ERROR)"), "{error}");
        memory.at_most(16 * MB);
    });
}

#[test]
fn a_connection_that_cannot_say_its_last_words_is_not_taken_again() {
    with_time_paused(async || {
        let (connect, counts) = InMemory::serving(|mut stream, nth| async move {
            stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
            // The preface, the settings and the first request have come then.
            let mut seen = vec![0; 4096];
            stream.read_buf(&mut seen).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
            if nth > 0 {
                let last = END_HEADERS | 1;
                stream.write_all(&frame(HEADERS, last, 1, OK)).await.unwrap();
            } else {
                // It lets the client send until nothing fits between them any more, and breaks the protocol.
                for of in [0, 1] {
                    stream.write_all(&frame(8, 0, of, &(1_u32 << 30).to_be_bytes())).await.unwrap();
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
                stream.write_all(&frame(DATA, 0, 99, b"x")).await.unwrap();
            }
            std::future::pending().await
        });
        let transport = Transport::with_config(TransportConfig { connect, ..over_http2() });
        let post = http::Request::post("http://h.test/").body(Body::from(vec![0; 10 * MB])).unwrap();
        let error = fetch(&transport, post).await.unwrap_err();
        assert!(error.to_string().contains("the server broke HTTP/2 (PROTOCOL_ERROR)"), "{error}");
        let began = tokio::time::Instant::now();
        let get = http::Request::get("http://h.test/").body(Body::empty()).unwrap();
        assert_eq!(fetch(&transport, get).await.unwrap(), 0);
        assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
        assert_eq!((counts.dialed(), counts.open(), transport.stats().open()), (2, 1, 1));
    });
}
