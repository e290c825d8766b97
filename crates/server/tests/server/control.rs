//! What a handler can ask of its connection.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::LINK;
use http::{HeaderMap, StatusCode};
use roundtrip_server::{ConnContext, ConnState, ControlError, ResponseController, ServerConfig, StateHook};
use roundtrip_types::{Body, IntoResponse, MessageExt, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};

use crate::{read_response, read_to_end, start, start_with};

fn control() -> ResponseController {
    ResponseController::current().unwrap()
}

#[tokio::test]
async fn early_hints_come_before_the_response() {
    let running = start(|_req| async {
        let mut hints = HeaderMap::new();
        hints.insert(LINK, "</style.css>; rel=preload".parse().unwrap());
        control().send_informational(StatusCode::EARLY_HINTS, &hints).unwrap();
        tokio::task::yield_now().await;
        control().send_informational(StatusCode::PROCESSING, &HeaderMap::new()).unwrap();
        "done"
    })
    .await;
    let mut stream = running.connect().await;
    for _ in 0..2 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
        let mut got = String::new();
        while !got.ends_with("done") {
            let mut piece = [0; 1024];
            let n = stream.read(&mut piece).await.unwrap();
            assert_ne!(n, 0, "{got}");
            got += std::str::from_utf8(&piece[..n]).unwrap();
        }
        let at = |text: &str| got.find(text).unwrap_or_else(|| panic!("{text} is missing in {got}"));
        assert!(at("HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n") == 0, "{got}");
        assert!(at("HTTP/1.1 102 Processing\r\n\r\n") < at("HTTP/1.1 200 OK\r\n"), "{got}");
    }
    drop(stream);
    running.stop().await;
}

#[tokio::test]
async fn interim_responses_are_refused_where_they_cannot_be() {
    let (told_in, mut told) = mpsc::unbounded_channel();
    let running = start(move |_req| {
        let told = told_in.clone();
        async move {
            let control = control();
            let none = HeaderMap::new();
            told.send(control.send_informational(StatusCode::OK, &none)).unwrap();
            told.send(control.send_informational(StatusCode::SWITCHING_PROTOCOLS, &none)).unwrap();
            let (mut sender, body) = Body::channel(1);
            tokio::spawn(async move {
                control.flush().await.unwrap();
                told.send(control.send_informational(StatusCode::EARLY_HINTS, &none)).unwrap();
                sender.send("late").await.unwrap();
                sender.finish();
            });
            body
        }
    })
    .await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
    let got = read_to_end(&mut stream).await;
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && got.contains("late"), "{got}");
    for _ in 0..3 {
        assert!(matches!(told.recv().await.unwrap(), Err(ControlError::NotSupported(_))));
    }
    running.stop().await;
}

#[tokio::test]
async fn a_hijacked_connection_is_the_handlers_with_all_its_bytes() {
    let states = Arc::new(Mutex::new(Vec::new()));
    let on_state = StateHook::new({
        let states = Arc::clone(&states);
        move |_, state| states.lock().unwrap().push(state)
    });
    let handler = |_req: Request| async {
        let mut stream = control().hijack().await.unwrap();
        assert!(control().hijack().await.is_err(), "once is enough");
        tokio::spawn(async move {
            stream.write_all(b"yours: ").await.unwrap();
            let mut got = Vec::new();
            stream.read_to_end(&mut got).await.unwrap();
            stream.write_all(&got).await.unwrap();
        });
        "nobody sees this"
    };
    let running = start_with(handler, ServerConfig { on_state, ..ServerConfig::default() }).await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\nahead and ").await.unwrap();
    while running.server.stats().hijacked == 0 {
        tokio::task::yield_now().await;
    }
    // The connection's own task ends with the handler: the accept loop and the handler's task are left.
    while tokio::runtime::Handle::current().metrics().num_alive_tasks() > 2 {
        tokio::task::yield_now().await;
    }
    // It is no connection of the server's any more.
    let report = running.server.shutdown(Duration::from_secs(5)).await;
    assert_eq!((report.finished, report.cut), (0, 0));
    stream.write_all(b"later").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, "yours: ahead and later");
    assert_eq!(*states.lock().unwrap(), [ConnState::New, ConnState::Active, ConnState::Hijacked]);
    running.serving.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_can_move_its_deadlines() {
    let handler = |req: Request| async move {
        let control = control();
        let now = tokio::time::Instant::now().into_std();
        match req.uri().path() {
            "/read" => {
                control.set_read_deadline(Some(now + Duration::from_secs(2))).unwrap();
                let error = req.bytes().await.unwrap_err();
                (StatusCode::REQUEST_TIMEOUT, format!("{:?}", error.kind())).into_response()
            }
            "/write" => {
                control.set_write_deadline(Some(now + Duration::from_secs(3))).unwrap();
                std::future::pending().await
            }
            _ => {
                control.set_write_deadline(None).unwrap();
                tokio::time::sleep(Duration::from_secs(600)).await;
                "slow".into_response()
            }
        }
    };
    let config = ServerConfig { write_timeout: Some(Duration::from_secs(60)), ..ServerConfig::default() };
    let running = start_with(handler, config).await;
    let begun = tokio::time::Instant::now();
    let mut stream = running.connect().await;
    stream.write_all(b"POST /read HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf").await.unwrap();
    let got = read_to_end(&mut stream).await;
    assert!(got.starts_with("HTTP/1.1 408 ") && got.ends_with("Timeout"), "{got}");
    assert!(got.contains("\r\nconnection: close\r\n"), "{got}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());

    let begun = tokio::time::Instant::now();
    let mut stream = running.connect().await;
    stream.write_all(b"GET /write HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let mut got = Vec::new();
    // Cut, by an end or a reset.
    let _ = stream.read_to_end(&mut got).await;
    assert!(got.is_empty());
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(4), "{took:?}");

    let mut stream = running.connect().await;
    stream.write_all(b"GET /none HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    assert!(read_response(&mut stream).await.ends_with("slow"));
    drop(stream);
    running.stop().await;
}

#[tokio::test]
async fn a_handler_learns_that_its_client_is_gone() {
    let (entered, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let running = start({
        let (entered, gone) = (Arc::clone(&entered), Arc::clone(&gone));
        move |req: Request| {
            let (entered, gone) = (Arc::clone(&entered), Arc::clone(&gone));
            async move {
                let control = control();
                req.bytes().await.unwrap();
                entered.notify_one();
                control.client_gone().await;
                gone.notify_one();
                // Half-closed clients still get their answer.
                "noticed"
            }
        }
    })
    .await;
    for head in ["GET / HTTP/1.1\r\nHost: h\r\n\r\n", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"] {
        let mut stream = running.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        entered.notified().await;
        stream.shutdown().await.unwrap();
        gone.notified().await;
        assert!(read_to_end(&mut stream).await.ends_with("noticed"));
    }
    running.stop().await;
}

#[tokio::test]
async fn a_stream_of_events_ends_when_the_server_stops() {
    let running = start(|_req| async {
        let control = control();
        let (mut sender, body) = Body::channel(1);
        tokio::spawn(async move {
            sender.send("event: hello\n\n").await.unwrap();
            control.stopping().await;
            sender.send("event: bye\n\n").await.unwrap();
            sender.finish();
        });
        body
    })
    .await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let mut got = Vec::new();
    while !got.windows(5).any(|text| text == b"hello") {
        assert_ne!(stream.read_buf(&mut got).await.unwrap(), 0);
    }
    let report = running.server.shutdown(Duration::from_secs(5)).await;
    assert_eq!(report.cut, 0);
    assert!(read_to_end(&mut stream).await.contains("bye"));
    running.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_has_its_own_values_and_says_who_it_is() {
    let conn_context = ConnContext::new(|info| {
        let mut values = http::Extensions::new();
        values.insert(info.id * 10);
        values
    });
    let handler = |_req| async {
        let control = control();
        format!("{} {} {:?}", control.info().id, control.info().remote, control.context().get::<u64>())
    };
    let running = start_with(handler, ServerConfig { conn_context, ..ServerConfig::default() }).await;
    for n in 0..2 {
        let mut stream = running.connect().await;
        let me = stream.local_addr().unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
        let got = read_to_end(&mut stream).await;
        assert!(got.ends_with(&format!("\r\n\r\n{n} {me} Some({})", n * 10)), "{got}");
    }
    assert!(ResponseController::current().is_none(), "nothing is left behind");
    running.stop().await;
}

#[tokio::test]
async fn an_upgrade_by_hypers_handle_works_beside_the_limits() {
    let handler = |mut req: Request| async move {
        let upgrading = hyper::upgrade::on(&mut req);
        tokio::spawn(async move {
            let mut stream = hyper_util::rt::TokioIo::new(upgrading.await.unwrap());
            let mut got = [0; 4];
            stream.read_exact(&mut got).await.unwrap();
            stream.write_all(&got).await.unwrap();
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert("connection", "upgrade".parse().unwrap());
        response.headers_mut().insert("upgrade", "echo".parse().unwrap());
        response
    };
    let running = start(handler).await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\npi").await.unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut got).await.unwrap(), 0);
    }
    assert!(got.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&got));
    stream.write_all(b"ng").await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, "ping");
    assert_eq!((running.server.stats().open, running.server.stats().hijacked), (0, 1));
    running.stop().await;
}

#[tokio::test]
async fn keep_alives_can_be_switched_off_and_a_lame_duck_goes_on_accepting() {
    let running = start(|_req| async { "quack" }).await;
    let ask = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut first = running.connect().await;
    first.write_all(ask).await.unwrap();
    assert!(!read_response(&mut first).await.contains("connection: close"));
    running.server.lame_duck();
    first.write_all(ask).await.unwrap();
    assert!(read_to_end(&mut first).await.contains("\r\nconnection: close\r\n"));
    let mut second = running.connect().await;
    second.write_all(ask).await.unwrap();
    assert!(read_to_end(&mut second).await.contains("\r\nconnection: close\r\n"));
    running.stop().await;

    let running = start(|_req| async { "quack" }).await;
    let mut first = running.connect().await;
    first.write_all(ask).await.unwrap();
    read_response(&mut first).await;
    running.server.set_keep_alives(false);
    assert_eq!(read_to_end(&mut first).await, "", "an idle connection closes");
    running.stop().await;
}

#[tokio::test]
async fn a_connection_carries_as_many_requests_as_it_may() {
    let config = ServerConfig { max_requests_per_connection: Some(2), ..ServerConfig::default() };
    let running = start_with(|_req| async { "one" }, config).await;
    let mut stream = running.connect().await;
    stream.write_all(&b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(3)).await.unwrap();
    let got = read_to_end(&mut stream).await;
    assert_eq!((got.matches("HTTP/1.1 200").count(), got.matches("connection: close").count()), (2, 1), "{got}");
    running.stop().await;
}
