//! What works.

use h2::server::Builder;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::peers::server;
use super::*;

fn builder() -> Builder {
    Builder::new()
}

#[tokio::test]
async fn a_request_is_answered_with_trailers_and_its_stream_is_free_again() {
    let stream = server(builder(), |request, mut respond| async move {
        assert_eq!(
            (request.method().as_str(), request.uri().to_string().as_str()),
            ("GET", "http://h.test/path?query")
        );
        assert!(request.body().is_end_stream());
        let response = Response::builder().status(201).header("x-a", "b").body(()).unwrap();
        let mut body = respond.send_response(response, false).unwrap();
        body.send_data("hello".into(), false).unwrap();
        let trailers: HeaderMap = [("x-sum".parse().unwrap(), HeaderValue::from_static("1"))].into_iter().collect();
        body.send_trailers(trailers).unwrap();
    })
    .await;
    let rig = Rig::new(stream, &Http2Config::default()).await;
    let response = rig.get().await.unwrap();
    assert_eq!((response.status(), response.version()), (StatusCode::CREATED, http::Version::HTTP_2));
    assert_eq!(response.headers()["x-a"], "b");
    let mut body = response.into_body();
    assert_eq!(rig.conn.in_flight(), 1);
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
    assert_eq!(body.frame().await.unwrap().unwrap().into_trailers().unwrap()["x-sum"], "1");
    assert_eq!(rig.conn.in_flight(), 0, "free before the end is told");
    assert!(body.frame().await.is_none());
    assert_eq!(rig.events(), [H2Event::Room]);
    assert!(rig.conn.closed().is_none());
}

#[tokio::test]
async fn a_response_without_a_body_frees_its_stream_at_once() {
    let stream = server(builder(), |_, mut respond| async move {
        let response = Response::builder().status(204).body(()).unwrap();
        respond.send_response(response, true).unwrap();
    })
    .await;
    let rig = Rig::new(stream, &Http2Config::default()).await;
    let response = rig.get().await.unwrap();
    assert!(http_body::Body::is_end_stream(response.body()));
    assert_eq!(rig.conn.in_flight(), 0);
}

#[tokio::test]
async fn many_requests_run_at_once_up_to_the_peers_limit() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let mut limited = builder();
    limited.max_concurrent_streams(64);
    let stream = {
        let gate = Arc::clone(&gate);
        server(limited, move |request, mut respond| {
            let gate = Arc::clone(&gate);
            async move {
                if request.method() == Method::GET {
                    gate.acquire().await.unwrap().forget();
                }
                respond.send_response(Response::new(()), true).unwrap();
            }
        })
        .await
    };
    let rig = Arc::new(Rig::new(stream, &Http2Config::default()).await);
    assert_eq!(rig.conn.room(), Ok(100), "before its settings are known");
    rig.send(Method::HEAD, Body::empty()).await.unwrap();
    assert_eq!(rig.conn.room(), Ok(64));
    let requests: Vec<_> = (0..64)
        .map(|_| {
            let slot = rig.conn.reserve().unwrap();
            let conn = rig.conn.clone();
            tokio::spawn(async move { send(&conn, slot, outgoing(Method::GET, Body::empty())).await })
        })
        .collect();
    assert_eq!((rig.conn.room(), rig.conn.in_flight()), (Err(NoRoom::Full), 64));
    assert_eq!(rig.conn.reserve().unwrap_err(), NoRoom::Full);
    gate.add_permits(64);
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap().status(), 200);
    }
    assert_eq!(rig.conn.room(), Ok(64));
}

/// Answers with the length and the trailers of what it got.
async fn counting(mut request: http::Request<h2::RecvStream>, mut respond: h2::server::SendResponse<Bytes>) {
    let length = request.headers().get("content-length").cloned();
    let body = request.body_mut();
    let mut got = 0;
    while let Some(Ok(data)) = body.data().await {
        got += data.len();
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    let trailers = body.trailers().await.ok().flatten();
    let mut response = Response::builder().header("x-got", got);
    if let Some(length) = length {
        response = response.header("x-length", length);
    }
    if let Some(trailers) = trailers {
        response = response.header("x-sum", &trailers["x-sum"]);
    }
    respond.send_response(response.body(()).unwrap(), true).unwrap();
}

#[tokio::test]
async fn bodies_of_every_kind_go_up() {
    let rig = Rig::new(server(builder(), counting).await, &Http2Config::default()).await;
    let megabytes = Bytes::from(vec![7; 3 << 20]);
    for (body, got, length) in [
        (Body::from("hello"), "5", Some("5")),
        (Body::from(megabytes.clone()), "3145728", Some("3145728")),
        (streamed(vec![megabytes.slice(..100_000), Bytes::from_static(b"x"), megabytes.slice(..10)]), "100011", None),
        (streamed(vec![]), "0", None),
    ] {
        let response = rig.send(Method::POST, body).await.unwrap();
        let headers = response.headers();
        assert_eq!(headers["x-got"], got);
        assert_eq!(headers.get("x-length").map(|value| value.to_str().unwrap()), length);
    }
    let (mut sender, body) = Body::channel(1);
    let trailers: HeaderMap = [("x-sum".parse().unwrap(), HeaderValue::from_static("9"))].into_iter().collect();
    let (response, ()) = tokio::join!(rig.send(Method::POST, body), async {
        sender.send("hello").await.unwrap();
        sender.send_trailers(trailers);
    });
    let response = response.unwrap();
    assert_eq!(
        (&response.headers()["x-got"], &response.headers()["x-sum"]),
        (&"5".parse().unwrap(), &"9".parse().unwrap())
    );
    assert_eq!(rig.conn.in_flight(), 0);
}

#[tokio::test]
async fn an_upload_may_outlive_the_response_head() {
    let stream = server(builder(), |mut request, mut respond| async move {
        let mut response = respond.send_response(Response::new(()), false).unwrap();
        // What comes goes back.
        while let Some(Ok(data)) = request.body_mut().data().await {
            request.body_mut().flow_control().release_capacity(data.len()).unwrap();
            response.send_data(data, false).unwrap();
        }
        response.send_data(Bytes::new(), true).unwrap();
    })
    .await;
    let rig = Rig::new(stream, &Http2Config::default()).await;
    let (mut sender, body) = Body::channel(1);
    let mut echo = rig.send(Method::POST, body).await.unwrap().into_body();
    for word in ["one", "two", "three"] {
        sender.send(word).await.unwrap();
        assert_eq!(echo.chunk().await.unwrap().unwrap(), word);
    }
    sender.finish();
    assert!(echo.chunk().await.is_none());
    while rig.conn.in_flight() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_body_that_does_not_fit_its_length_fails_here_and_resets_the_stream() {
    let rig = Rig::new(server(builder(), counting).await, &Http2Config::default()).await;
    for (length, how) in [(3, "2 bytes too long"), (9, "4 bytes too short")] {
        let request = http::Request::post("http://h.test/").body(()).unwrap();
        let body = streamed(vec![Bytes::from_static(b"hello")]);
        let outgoing = Outgoing::new(&request, "http", "h.test", Some(length), None, body).unwrap();
        let failed = send(&rig.conn, rig.conn.reserve().unwrap(), outgoing).await.unwrap_err();
        assert_eq!(failed.error.to_string(), format!("the request's body is {how} for its Content-Length"));
        assert_eq!(failed.repeat, Repeat::No);
    }
    assert_eq!(
        rig.send(Method::POST, Body::from("x")).await.unwrap().status(),
        200,
        "the connection is none the worse"
    );
}

#[tokio::test]
async fn a_body_that_fails_fails_the_exchange() {
    let rig = Rig::new(server(builder(), counting).await, &Http2Config::default()).await;
    let (sender, body) = Body::channel(1);
    sender.abort("the disk is gone");
    let failed = rig.send(Method::POST, body).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Body);
    assert_eq!(failed.error.to_string(), "the request's body failed: the disk is gone");
}

#[tokio::test]
async fn a_megabyte_comes_down_through_small_windows() {
    let stream = server(builder(), |_, mut respond| async move {
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        let mut left = Bytes::from(vec![1; 1 << 20]);
        while !left.is_empty() {
            body.reserve_capacity(left.len());
            let capacity = std::future::poll_fn(|cx| body.poll_capacity(cx)).await.unwrap().unwrap();
            let piece = left.split_to(capacity.min(left.len()));
            body.send_data(piece, left.is_empty()).unwrap();
        }
    })
    .await;
    let config = Http2Config { stream_window: 20_000, connection_window: 70_000, ..Http2Config::default() };
    let rig = Rig::new(stream, &config).await;
    assert_eq!(rig.get().await.unwrap().into_body().bytes().await.unwrap().len(), 1 << 20);
}

#[tokio::test]
async fn the_connection_closes_when_nobody_has_it_any_more() {
    let stream = server(builder(), |_, mut respond| async move {
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data("hello".into(), true).unwrap();
    })
    .await;
    let rig = Rig::new(stream, &Http2Config::default()).await;
    let body = rig.get().await.unwrap().into_body();
    let Rig { conn, events } = rig;
    drop(conn);
    assert_eq!(body.text().await.unwrap(), "hello", "what was begun is finished");
    while !events.lock().unwrap().contains(&H2Event::Closed) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_retired_connection_finishes_and_a_closed_one_fails() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let serve = {
        let gate = Arc::clone(&gate);
        move |_, mut respond: h2::server::SendResponse<Bytes>| {
            let gate = Arc::clone(&gate);
            async move {
                let mut body = respond.send_response(Response::new(()), false).unwrap();
                gate.acquire().await.unwrap().forget();
                let _ = body.send_data("hello".into(), true);
            }
        }
    };
    let rig = Rig::new(server(builder(), serve.clone()).await, &Http2Config::default()).await;
    let body = rig.get().await.unwrap().into_body();
    rig.conn.retire();
    assert_eq!(rig.conn.reserve().unwrap_err(), NoRoom::Draining);
    gate.add_permits(1);
    assert_eq!(body.text().await.unwrap(), "hello");
    rig.told(H2Event::Closed).await;
    assert_eq!(rig.events(), [H2Event::Draining, H2Event::Room, H2Event::Closed]);

    let rig = Rig::new(server(builder(), serve).await, &Http2Config::default()).await;
    let body = rig.get().await.unwrap().into_body();
    rig.conn.close("the transport was closed");
    assert_eq!(rig.conn.reserve().unwrap_err(), NoRoom::Closed);
    let error = body.bytes().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the connection ended: the transport was closed, in the middle of the body, after 0 bytes, and more were to come (stream 1 of the HTTP/2 connection to a peer without an address)"
    );
}
