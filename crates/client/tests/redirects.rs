//! Redirects and cookies over real sockets, and what a policy sees and decides.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use std::sync::{Arc, Mutex};

use roundtrip_client::{
    Client, ClientConfig, MemoryJar, RedirectAction, RedirectFault, RedirectPolicy, Redirected, ResponseExt,
};
use roundtrip_transport::Transport;
use roundtrip_types::{Body, Error, ErrorKind, IntoResponse, MessageExt, Request, RequestExt};
use support::{Scripted, redirect, serve, status};

fn bare() -> ClientConfig {
    ClientConfig { headers: http::HeaderMap::new(), ..ClientConfig::default() }
}

#[tokio::test]
async fn a_chain_uses_one_connection_and_tells_its_way() {
    let addr = serve(|req: Request| async move {
        match req.uri().path() {
            "/one" => redirect(302, "/two?x=1"),
            "/two" => redirect(307, "three"),
            path => format!("{} {path} {}", req.method(), req.headers()["referer"].to_str().unwrap()).into_response(),
        }
    })
    .await;
    let client = Client::new();
    let response = client.post(format!("http://{addr}/one")).body("data").await.unwrap();
    assert_eq!(response.final_url().unwrap(), format!("http://{addr}/three").as_str());
    let way = |hop: &Redirected| format!("{} {} {}", hop.method, hop.url.path(), hop.status.as_u16());
    assert_eq!(response.redirects().iter().map(way).collect::<Vec<_>>(), ["POST /one 302", "GET /two 307"]);
    assert_eq!(response.text().await.unwrap(), format!("GET /three http://{addr}/two?x=1"));
    let stats = client.transport().stats();
    assert_eq!((stats.created, stats.reused), (1, 2), "small bodies of redirects are read, so the connection lives");

    let direct = client.get(format!("http://{addr}/one")).redirects(RedirectPolicy::none()).await.unwrap();
    assert_eq!((direct.status().as_u16(), direct.final_url(), direct.redirects().len()), (302, None, 0));
    assert_eq!(direct.text().await.unwrap(), "elsewhere");
}

#[tokio::test]
async fn cookies_of_redirects_are_kept_and_sent() {
    let addr = serve(|req: Request| async move {
        let sent: Vec<_> = req.cookies().iter().map(roundtrip_types::Cookie::to_request_pair).collect();
        match req.uri().path() {
            "/login" => ([("set-cookie", "sid=1; Path=/"), ("location", "/home")], ()).into_response().map_status(302),
            _ => sent.join("; ").into_response(),
        }
    })
    .await;
    let jar = MemoryJar::new();
    let config = ClientConfig { jar: Some(Arc::new(jar.clone())), ..ClientConfig::default() };
    let client = Client::with_config(Transport::new(), config);
    let get = |path: &str| client.get(format!("http://{addr}{path}"));
    assert_eq!(get("/login").await.unwrap().text().await.unwrap(), "sid=1");
    let own = get("/home").header("cookie", "theme=dark").await.unwrap().text().await.unwrap();
    assert_eq!((own.as_str(), jar.len()), ("theme=dark; sid=1", 1));
    assert_eq!(Client::new().get(format!("http://{addr}/login")).await.unwrap().text().await.unwrap(), "", "no jar");
}

trait MapStatus {
    fn map_status(self, status: u16) -> Self;
}

impl MapStatus for roundtrip_types::Response {
    fn map_status(mut self, status: u16) -> Self {
        *self.status_mut() = http::StatusCode::from_u16(status).unwrap();
        self
    }
}

#[tokio::test]
async fn a_policy_sees_the_next_request_and_decides() {
    let script = Scripted::new(|_| Ok(redirect(301, "http://b.test/next")));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let policy = RedirectPolicy::custom({
        let seen = Arc::clone(&seen);
        move |attempt| {
            let fields: Vec<_> = attempt.headers.keys().map(http::HeaderName::as_str).collect();
            let line = format!(
                "{} {} {} {fields:?} after {}",
                attempt.status,
                attempt.method,
                attempt.url,
                attempt.previous.len()
            );
            seen.lock().unwrap().push(line);
            match attempt.previous.len() {
                1 => RedirectAction::Follow,
                2 => RedirectAction::UseResponse,
                _ => RedirectAction::Refuse(Error::new(ErrorKind::Other, "no further")),
            }
        }
    });
    let client = Client::with_config(script.clone(), ClientConfig { redirects: policy, ..bare() });
    let response = client.post("http://a.test/").header("authorization", "Bearer t").body("x").await.unwrap();
    assert_eq!(response.status(), 301);
    assert_eq!(response.final_url().unwrap(), "http://b.test/next");
    assert_eq!(response.redirects().len(), 1);
    assert_eq!(
        *seen.lock().unwrap(),
        [
            "301 Moved Permanently GET http://b.test/next [\"referer\"] after 1",
            "301 Moved Permanently GET http://b.test/next [\"referer\"] after 2",
        ]
    );
    let refuse = RedirectPolicy::custom(|_| RedirectAction::Refuse(Error::new(ErrorKind::Other, "not there")));
    let error = client.get("http://a.test/").redirects(refuse).await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Other, "GET http://a.test/: not there"));
}

#[tokio::test]
async fn chains_without_end_and_locations_without_sense_are_named() {
    let looping = Scripted::new(|_| Ok(redirect(302, "/again")));
    let client = Client::with_config(looping.clone(), bare());
    let error = client.get("http://h.test/").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Redirect);
    assert_eq!(
        error.to_string(),
        "GET http://h.test/again (the next leads to http://h.test/again): stopped after 9 redirects"
    );
    assert_eq!(error.cause().unwrap().downcast_ref(), Some(&RedirectFault::TooMany(9)));
    assert_eq!(looping.seen().len(), 10);
    for (location, want) in [
        ("mailto:a@b", "\"***@b\": unsupported scheme \"mailto\""),
        ("http://", "\"http://\": it has no host"),
        ("http://u:secret@[::1", "\"http://***@[::1\": its host has a character that no host can have"),
        ("/%zz", "\"/%zz\": it has a '%' without two hexadecimal digits"),
    ] {
        let client = Client::with_config(Scripted::new(move |_| Ok(redirect(302, location))), bare());
        let error = client.get("http://h.test/").await.unwrap_err();
        assert_eq!(error.to_string(), format!("GET http://h.test/: 302 Found leads to {want}"));
    }
}

#[tokio::test]
async fn secrets_of_the_client_stay_with_the_first_host_too() {
    let script = Scripted::new(|n| Ok(if n == 0 { redirect(302, "http://other.test/") } else { status(200) }));
    let mut headers = http::HeaderMap::new();
    headers.insert("authorization", "Bearer t".parse().unwrap());
    headers.insert("x-app", "1".parse().unwrap());
    let client = Client::with_config(script.clone(), ClientConfig { headers, ..ClientConfig::default() });
    client.get("http://h.test/").await.unwrap();
    assert_eq!(
        script.seen(),
        [
            r#"GET http://h.test/ ["authorization: Bearer t", "x-app: 1"] """#,
            r#"GET http://other.test/ ["referer: http://h.test/", "x-app: 1"] """#,
        ]
    );
}

#[tokio::test]
async fn credentials_of_a_url_become_a_field_and_nothing_else() {
    let script = Scripted::new(|_| Ok(status(200)));
    let client = Client::with_config(script.clone(), bare());
    let builder = client.get("http://ann:s3cret@h.test/x").header("cookie", "sid=s3cret");
    assert!(!format!("{builder:?}").contains("s3cret"));
    let request = builder.build().unwrap();
    assert!(!format!("{request:?}").contains("s3cret"), "{request:?}");
    client.execute(request).await.unwrap();
    client.execute(http::Request::get("http://ann:s3cret@h.test/x").body(Body::empty()).unwrap()).await.unwrap();
    client.get("http://ann:s3cret@h.test/").basic_auth("bob", "").await.unwrap();
    client.get("http://h.test/").bearer_auth("t0ken").await.unwrap();
    assert_eq!(
        script.seen(),
        [
            r#"GET http://h.test/x ["cookie: sid=s3cret", "authorization: Basic YW5uOnMzY3JldA=="] """#,
            r#"GET http://h.test/x ["authorization: Basic YW5uOnMzY3JldA=="] """#,
            r#"GET http://h.test/ ["authorization: Basic Ym9iOg=="] """#,
            r#"GET http://h.test/ ["authorization: Bearer t0ken"] """#,
        ]
    );
    for secret in [
        client.get("http://h.test/").bearer_auth("t0ken").build(),
        client.get("http://h.test/").basic_auth("a", "t0ken").build(),
    ] {
        assert!(!format!("{secret:?}").contains("t0ken"));
    }
    for error in [
        Client::new().get("http://ann:s3cret@h.test:x/").await.unwrap_err(),
        client.get("http://ann:s3cret@h .test/").build().unwrap_err(),
        client.get("ann:s3cret@h .test/").build().unwrap_err(),
        client.get("http://h.test/").bearer_auth("s3cret\n").build().unwrap_err(),
        client.get("http://h.test/").header("authorization", "s3cret\n").build().unwrap_err(),
        Client::new().get("http://ann:s3cret@127.0.0.1:1/").await.unwrap_err(),
    ] {
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
}
