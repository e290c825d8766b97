//! Connections between requests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use roundtrip_server::{ConnState, ServerConfig, StateHook};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

use crate::{echo, read_response, read_to_end, start, start_with};

/// Longer than it takes a connection to fall asleep; in real time, because what is sent meanwhile has to arrive.
const SLEEP: Duration = Duration::from_millis(400);

#[tokio::test]
async fn a_connection_that_has_slept_serves_as_before() {
    let states = Arc::new(Mutex::new(Vec::new()));
    let on_state = StateHook::new({
        let states = Arc::clone(&states);
        move |_, state| states.lock().unwrap().push(state)
    });
    let idle_timeout = Some(Duration::from_secs(2));
    let running = start_with(echo, ServerConfig { on_state, idle_timeout, ..ServerConfig::default() }).await;
    let mut stream = running.connect().await;
    for n in 0..6 {
        // Some for another protocol, which is not granted: another state machine reads them.
        let asks = if n % 3 == 2 { "Connection: upgrade\r\nUpgrade: other\r\n" } else { "" };
        let request = format!("POST /{n} HTTP/1.1\r\nHost: h\r\n{asks}Content-Length: 2\r\n\r\nhi");
        // Whole, and in two pieces.
        let (first, rest) = request.split_at(if n % 2 == 0 { request.len() } else { 7 });
        stream.write_all(first.as_bytes()).await.unwrap();
        if !rest.is_empty() {
            sleep(SLEEP).await;
            stream.write_all(rest.as_bytes()).await.unwrap();
        }
        let response = read_response(&mut stream).await;
        assert!(response.ends_with(&format!("POST /{n} [hi]")), "{response}");
        sleep(SLEEP).await;
    }
    let begun = Instant::now();
    stream.write_all(b"GET /last HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    assert!(read_to_end(&mut stream).await.ends_with("GET /last []"));
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    let mut want = vec![ConnState::New];
    want.extend([ConnState::Active, ConnState::Idle].repeat(7));
    want.push(ConnState::Closed);
    while running.server.stats().open > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(*states.lock().unwrap(), want);
    assert_eq!((running.server.stats().accepted, running.server.stats().requests), (1, 7));
    running.stop().await;
}

#[tokio::test]
async fn requests_behind_one_for_another_protocol_are_served() {
    let running = start(echo).await;
    let mut stream = running.connect().await;
    let asks = "POST /a HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: other\r\nContent-Length: 1\r\n\r\nx";
    let plain = "GET http://i/b?%20 HTTP/1.1\r\nHost: h\r\n\r\n";
    let last = "GET /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    stream.write_all([plain, asks, plain, asks, last].concat().as_bytes()).await.unwrap();
    let got = read_to_end(&mut stream).await;
    let bodies: Vec<_> = got.split("\r\n\r\n").skip(1).map(|rest| rest.split("HTTP/1.1").next().unwrap()).collect();
    assert_eq!(bodies, ["GET http://i/b?%20 []", "POST /a [x]", "GET http://i/b?%20 []", "POST /a [x]", "GET /c []"]);
    assert_eq!(running.server.stats().requests, 5);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_sleeping_connection_is_told_of_everything() {
    for what in ["the client leaves", "the server stops", "the server is closed", "keep-alives end"] {
        let running = start(echo).await;
        let mut stream = running.connect().await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
        read_response(&mut stream).await;
        sleep(Duration::from_secs(10)).await;
        assert_eq!(running.server.stats().idle, 1, "{what}");
        let begun = Instant::now();
        match what {
            "the client leaves" => drop(stream),
            "the server stops" => assert_eq!(running.server.shutdown(Duration::from_secs(5)).await.finished, 1),
            "the server is closed" => assert_eq!(running.server.close().await.cut, 1),
            _ => running.server.set_keep_alives(false),
        }
        while running.server.stats().open > 0 {
            sleep(Duration::from_millis(1)).await;
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{what}: {:?}", begun.elapsed());
        running.stop().await;
    }
}

#[tokio::test]
async fn a_connection_that_has_just_answered_is_kept_for_the_drain_time_and_an_older_one_is_not() {
    let running = start(echo).await;
    let mut old = running.connect().await;
    old.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    read_response(&mut old).await;
    sleep(Duration::from_millis(700)).await;
    let mut fresh = running.connect().await;
    fresh.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    read_response(&mut fresh).await;
    let stopping = tokio::spawn({
        let server = running.server.clone();
        async move { server.shutdown(Duration::from_secs(60)).await }
    });
    assert_eq!(read_to_end(&mut old).await, "");
    assert!(!stopping.is_finished(), "the younger one is waited for");
    fresh.write_all(b"GET /late HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let got = read_to_end(&mut fresh).await;
    assert!(got.ends_with("GET /late []") && got.contains("\r\nconnection: close\r\n"), "{got}");
    let report = stopping.await.unwrap();
    assert_eq!((report.finished, report.cut), (2, 0));
    running.serving.await.unwrap().unwrap();
}
