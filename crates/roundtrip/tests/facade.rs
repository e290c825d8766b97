//! Server, mux and client together, as a user's program has them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use roundtrip::prelude::*;
use roundtrip::{Client, ErrorKind, ErrorLog, Phase, ServeMux, Server, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

/// Waits for something that other tasks bring about.
async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn the_one_line_functions_use_the_default_mux_and_client() {
    roundtrip::handle("GET /default/{name}", |req: Request| async move { format!("hi {}", req.path_value("name")) });
    // The port is found first, because `listen_and_serve` does not tell it.
    let addr = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let serving = tokio::spawn(roundtrip::listen_and_serve(addr, None));
    let url = format!("http://{addr}/default/you");
    let text = loop {
        match roundtrip::get(&url).await {
            Ok(response) => break response.text().await.unwrap(),
            Err(error) => assert!(error.is_connect(), "{error}"),
        }
    };
    assert_eq!(text, "hi you");
    assert_eq!(roundtrip::post(&url).await.unwrap().status(), 405);
    assert_eq!(roundtrip::head(&url).await.unwrap().status(), 200);
    serving.abort();

    let alone = tokio::spawn(roundtrip::listen_and_serve("127.0.0.1:0", |_req| async { "always" }));
    tokio::task::yield_now().await;
    assert!(!alone.is_finished());
    alone.abort();
}

#[tokio::test]
async fn nothing_is_left_over() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let mux = ServeMux::new();
    mux.handle("/", |req: Request| async move { req.into_body() });
    mux.handle("/hang", |_req| std::future::pending::<()>());
    mux.handle("/panic", |_req| async { panic!("on purpose") as () });
    let half_close_timeout = Some(Duration::from_millis(10));
    let config = ServerConfig { error_log: ErrorLog::none(), half_close_timeout, ..ServerConfig::default() };
    let server = Server::with_config(mux, config);
    let listener = server.listen("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(server.serve(listener));
    let client = Client::new();

    for _ in 0..3 {
        let burst: Vec<_> = (0..8)
            .map(|n| tokio::spawn(client.post(format!("{url}/{n}")).body("x".repeat(n * 10_000)).send()))
            .collect();
        for (n, request) in burst.into_iter().enumerate() {
            assert_eq!(request.await.unwrap().unwrap().bytes().await.unwrap().len(), n * 10_000);
        }
        // Given up while it waits; given up in the middle of the body; never read; answered 500.
        assert!(client.get(format!("{url}/hang")).timeout(Duration::from_millis(5)).await.unwrap_err().is_timeout());
        let mut half = client.post(&url).body("y".repeat(1_000_000)).await.unwrap();
        half.body_mut().chunk().await.unwrap().unwrap();
        drop(half);
        drop(client.post(&url).body("z".repeat(1_000_000)).await.unwrap());
        assert_eq!(client.get(format!("{url}/panic")).await.unwrap().status(), 500);
    }
    let stats = client.transport().stats();
    assert_eq!(stats.in_use, 0, "{stats:?}");
    drop(client);
    let report = server.shutdown(Duration::from_secs(5)).await;
    serving.await.unwrap().unwrap();
    assert_eq!((server.stats().open, report.cut), (0, 0));
    until(|| tasks() == before).await;
}

#[tokio::test]
async fn bad_input_is_named_with_its_phase() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = taken.local_addr().unwrap();
    let in_use = roundtrip::listen_and_serve(addr, None).await.unwrap_err();
    assert!(in_use.is_listen() && in_use.to_string().starts_with(&format!("listen {addr}: ")), "{in_use}");
    let no_addr = roundtrip::listen_and_serve("somewhere", None).await.unwrap_err();
    assert!(no_addr.is_address() && no_addr.to_string().contains("\"somewhere\""), "{no_addr}");

    let no_url = roundtrip::get("http//h").await.unwrap_err();
    assert_eq!((no_url.kind(), no_url.phase()), (ErrorKind::Request, Some(Phase::Prepare)));
    assert!(no_url.to_string().contains("http//h"), "{no_url}");
    drop(taken);
    let refused = roundtrip::get(format!("http://{addr}/")).await.unwrap_err();
    assert_eq!((refused.kind(), refused.phase()), (ErrorKind::Connect, Some(Phase::Connect)));

    let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", peer.local_addr().unwrap());
    tokio::spawn(async move {
        for bytes in ["HTTP/1.1 200", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", "+OK POP3 ready\r\n"] {
            let (mut stream, _) = peer.accept().await.unwrap();
            stream.write_all(bytes.as_bytes()).await.unwrap();
            // Whatever was sent is read, so that the end is an orderly one.
            stream.shutdown().await.unwrap();
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.unwrap();
        }
    });
    for (kind, phase) in [
        (ErrorKind::ConnectionLost, Phase::Wait),
        (ErrorKind::ConnectionLost, Phase::Body),
        (ErrorKind::Protocol, Phase::Wait),
    ] {
        let outcome = async { roundtrip::get(&url).await?.text().await };
        let error = outcome.await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (kind, Some(phase)), "{error}");
        assert!(error.to_string().starts_with(&format!("GET {url}: ")), "{error}");
    }
}

#[test]
fn an_invalid_pattern_blames_the_callers_line() {
    let mux = ServeMux::new();
    let error = mux.try_handle("GET /users/{id", |_req| async {}).unwrap_err();
    assert!(error.to_string().contains("GET /users/{id"), "{error}");
    let place = std::sync::Arc::new(std::sync::Mutex::new(None));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new({
        let place = std::sync::Arc::clone(&place);
        move |panic| *place.lock().unwrap() = panic.location().map(|at| (at.file().to_owned(), at.line()))
    }));
    let line = line!() + 1;
    let caught = catch_unwind(AssertUnwindSafe(|| mux.handle("GET /users/{id", |_req| async {})));
    std::panic::set_hook(hook);
    assert!(caught.is_err());
    assert_eq!(*place.lock().unwrap(), Some((file!().to_owned(), line)));
}
