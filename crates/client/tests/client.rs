//! The client over real sockets, and over a round tripper that records what it is given.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roundtrip_client::{Client, ClientConfig, ResponseExt, RoundTripper};
use roundtrip_server::Server;
use roundtrip_transport::Transport;
use roundtrip_types::{Body, ErrorKind, Handler, MessageExt, Phase, Request, Response, Result};

async fn serve(handler: impl Handler) -> SocketAddr {
    let server = Server::new(handler);
    let listener = server.listen("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(server.serve(listener));
    addr
}

/// A round tripper that answers 200 and keeps what it was given.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl RoundTripper for Recorder {
    async fn round_trip(&self, req: Request) -> Result<Response> {
        let fields: Vec<_> = req.headers().iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
        let line = format!("{} {} {fields:?} {:?}", req.method(), req.uri(), req.body());
        self.0.lock().unwrap().push(line);
        Ok(Response::new(Body::empty()))
    }
}

impl Recorder {
    fn last(&self) -> String {
        self.0.lock().unwrap().last().cloned().unwrap()
    }
}

#[tokio::test]
async fn verbs_fields_queries_and_bodies_reach_the_transport() {
    let recorder = Recorder::default();
    let client = Client::with_config(
        recorder.clone(),
        ClientConfig { headers: http::HeaderMap::new(), ..ClientConfig::default() },
    );
    client
        .get("http://h/a?x=1")
        .query("q", "a b&c=é")
        .query("n", 7)
        .header("x-a", "1")
        .header("x-a", "2")
        .await
        .unwrap();
    assert_eq!(recorder.last(), r#"GET http://h/a?x=1&q=a+b%26c%3D%C3%A9&n=7 ["x-a: 1", "x-a: 2"] Body(empty)"#);
    client.post("http://h").query("q", "1").body("text").await.unwrap();
    assert_eq!(recorder.last(), "POST http://h/?q=1 [] Body(4 bytes)");
    let mut fields = http::HeaderMap::new();
    fields.append("x-a", "3".parse().unwrap());
    fields.append("x-a", "4".parse().unwrap());
    client.delete("http://h/").header("x-a", "1").headers(fields).send().await.unwrap();
    assert_eq!(recorder.last(), r#"DELETE http://h/ ["x-a: 3", "x-a: 4"] Body(empty)"#);
    for (builder, want) in [
        (client.head("http://h/"), "HEAD http://h/ [] Body(empty)"),
        (client.put("http://h/"), "PUT http://h/ [] Body(empty)"),
        (client.patch("http://h/"), "PATCH http://h/ [] Body(empty)"),
        (client.request("PURGE".parse().unwrap(), "http://h/"), "PURGE http://h/ [] Body(empty)"),
    ] {
        builder.await.unwrap();
        assert_eq!(recorder.last(), want);
    }
}

#[tokio::test]
async fn the_clients_fields_are_added_where_the_request_has_none() {
    let recorder = Recorder::default();
    let client = Client::with_transport(recorder.clone());
    client.get("http://h/").await.unwrap();
    assert_eq!(
        recorder.last(),
        concat!(r#"GET http://h/ ["user-agent: roundtrip/"#, env!("CARGO_PKG_VERSION"), r#""] Body(empty)"#)
    );
    client
        .execute(http::Request::get("http://h/").header("user-agent", "me").body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(recorder.last(), r#"GET http://h/ ["user-agent: me"] Body(empty)"#);
}

#[tokio::test]
async fn fields_of_the_client_may_repeat() {
    let recorder = Recorder::default();
    let mut headers = http::HeaderMap::new();
    for (name, value) in [("x-a", "1"), ("x-a", "2"), ("x-b", "3")] {
        headers.append(name, value.parse().unwrap());
    }
    let client = Client::with_config(recorder.clone(), ClientConfig { headers, ..ClientConfig::default() });
    client.get("http://h/").header("x-b", "own").await.unwrap();
    assert_eq!(recorder.last(), r#"GET http://h/ ["x-b: own", "x-a: 1", "x-a: 2"] Body(empty)"#);
}

#[tokio::test]
async fn what_is_invalid_is_said_when_the_request_is_awaited_and_nothing_is_sent() {
    let recorder = Recorder::default();
    let client = Client::with_transport(recorder.clone());
    for (builder, want) in [
        (
            client.get("http://exa mple/"),
            "unusable URL \"http://exa mple/\": its host has a character that no host can have",
        ),
        (
            client.get("http://me:secret@h h/"),
            "unusable URL \"http://***@h h/\": its host has a character that no host can have",
        ),
        (
            client.get("http://h/").header("bad name", "1"),
            "GET http://h/: invalid field name \"bad name\": invalid HTTP header name",
        ),
        (
            client.get("http://h/").header("x", "secret\n"),
            "GET http://h/: the value of the field x has a line break or another character that no field can have",
        ),
    ] {
        let error = builder.query("more", "1").await.unwrap_err();
        assert_eq!((error.kind(), error.phase(), error.was_sent()), (ErrorKind::Request, Some(Phase::Prepare), false));
        assert_eq!(error.to_string(), want);
    }
    assert!(recorder.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn unusable_urls_are_refused() {
    let client = Client::new();
    for (url, want) in [
        ("/path", "unusable URL \"/path\": it has no scheme: write http://host/path"),
        ("localhost:8080", "unusable URL \"localhost:8080\": it has no scheme: write http://host/path"),
        ("127.0.0.1:80/", "unusable URL \"127.0.0.1:80/\": it has no scheme: write http://host/path"),
        ("example.com/a", "unusable URL \"example.com/a\": it has no scheme: write http://host/path"),
        ("http://", "unusable URL \"http://\": it has no host"),
        ("mailto:a@b", "unusable URL \"***@b\": unsupported scheme \"mailto\""),
        ("ftp://h/", "GET ftp://h/: unsupported scheme \"ftp\""),
    ] {
        let error = client.get(url).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Request, want));
    }
}

#[tokio::test]
async fn a_client_and_a_server_talk() {
    let addr = serve(|req: Request| async move {
        let (method, path) = (req.method().clone(), req.uri().path().to_owned());
        let agent = req.headers()["user-agent"].to_str().unwrap().to_owned();
        let body = req.text().await.unwrap();
        format!("{method} {path} {agent} [{body}]")
    })
    .await;
    let client = Client::new();
    for n in 0..3 {
        let text = client.post(format!("http://{addr}/{n}")).body("hi").await.unwrap().text().await.unwrap();
        assert_eq!(text, format!("POST /{n} roundtrip/{} [hi]", env!("CARGO_PKG_VERSION")));
    }
    let stats = client.transport().stats();
    assert_eq!((stats.created, stats.reused, stats.idle), (1, 2, 1));
}

#[tokio::test]
async fn the_time_limit_covers_waiting_for_the_head() {
    let addr = serve(|_req| std::future::pending::<&'static str>()).await;
    let client = Client::new();
    let error = client.get(format!("http://{addr}/")).timeout(Duration::from_millis(30)).await.unwrap_err();
    assert!(error.is_timeout() && error.was_sent());
    assert_eq!(error.phase(), Some(Phase::Wait));
    let want = format!("GET http://{addr}/: the response's head did not come within 30ms (total_timeout) (");
    assert!(error.to_string().starts_with(&want), "{error}");
    assert_eq!(client.transport().stats().in_use, 0, "its connection is closed");
}

#[tokio::test]
async fn the_time_limit_covers_the_body() {
    let addr = serve(|_req| async {
        let (mut sender, body) = Body::channel(1);
        tokio::spawn(async move {
            sender.send("first").await.unwrap();
            // Nothing more comes, and the body does not end.
            sender.closed().await;
        });
        body
    })
    .await;
    let config = ClientConfig { timeout: Some(Duration::from_millis(500)), ..ClientConfig::default() };
    let client = Client::with_config(Transport::new(), config);
    let mut response = client.get(format!("http://{addr}/")).await.unwrap();
    assert_eq!(response.body_mut().chunk().await.unwrap().unwrap(), "first");
    let error = response.body_mut().chunk().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Body)));
    let want = format!("GET http://{addr}/: the body did not end within 500ms (total_timeout) (after 5 bytes");
    assert!(error.to_string().starts_with(&want), "{error}");
    assert!(response.body_mut().chunk().await.is_none());
    // The transport reads on for a moment, in case the end is near, and closes the connection then.
    while client.transport().stats().in_use > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_covers_other_round_trippers_too() {
    /// Answers when its time comes, with a body that never does.
    struct Slow(Duration);
    impl RoundTripper for Slow {
        async fn round_trip(&self, _req: Request) -> Result<Response> {
            tokio::time::sleep(self.0).await;
            let (mut sender, body) = Body::channel(1);
            tokio::spawn(async move { sender.closed().await });
            Ok(Response::new(body))
        }
    }
    let limit = Duration::from_secs(3);
    let error = Client::with_transport(Slow(limit * 2)).get("http://h/").timeout(limit).await.unwrap_err();
    assert_eq!(error.to_string(), "GET http://h/: no response within the time limit of 3s");
    let response = Client::with_transport(Slow(limit / 2)).get("http://h/").timeout(limit).await.unwrap();
    let error = response.text().await.unwrap_err();
    assert_eq!(error.to_string(), "GET http://h/: the body did not end within the time limit of 3s");
}

#[tokio::test]
async fn timings_are_there_if_asked_for() {
    let addr = serve(|_req| async { "x" }).await;
    let client = Client::new();
    let response = client.get(format!("http://{addr}/")).timings().await.unwrap();
    let timings = response.timings().unwrap().clone();
    assert_eq!((timings.attempts(), timings.reused()), (1, false));
    response.bytes().await.unwrap();
    assert!(timings.body().is_some() && timings.total() >= timings.wait());
    assert!(client.get(format!("http://{addr}/")).await.unwrap().timings().is_none());
}

#[tokio::test]
async fn transport_and_client_are_tower_services() {
    async fn call<S>(mut service: S, url: String) -> String
    where
        S: tower_service::Service<Request, Response = Response, Error = roundtrip_types::Error>,
    {
        std::future::poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
        let req = http::Request::get(url).body(Body::empty()).unwrap();
        service.call(req).await.unwrap().text().await.unwrap()
    }
    let addr = serve(|_req| async { "served" }).await;
    let url = format!("http://{addr}/");
    assert_eq!(call(Transport::new(), url.clone()).await, "served");
    assert_eq!(call(Client::new(), url).await, "served");
}

#[cfg(feature = "json")]
#[tokio::test]
async fn json_goes_both_ways() {
    use roundtrip_types::Json;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Point {
        x: i32,
        y: i32,
    }

    let addr = serve(|req: Request| async move {
        assert_eq!(req.headers()["content-type"], "application/json");
        let Point { x, y } = req.json().await.unwrap();
        Json(Point { x: y, y: x })
    })
    .await;
    let client = Client::new();
    let url = format!("http://{addr}/");
    let swapped: Point = client.post(&url).json(&Point { x: 1, y: 2 }).await.unwrap().json().await.unwrap();
    assert_eq!(swapped, Point { x: 2, y: 1 });
    let error = client.post(&url).json(&Point { x: 1, y: 2 }).await.unwrap().json::<Vec<u8>>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.to_string().contains("line 1 column"), "{error}");
}
