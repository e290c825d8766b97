//! Bodies up and down: forms, files, progress, limits, charsets, statuses, layers and retries.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roundtrip_client::{
    Attempts, Client, ClientConfig, Progress, ResponseExt, RetryBudget, RetryConfig, RetryLayer, StatusError,
};
use roundtrip_transport::Transport;
use roundtrip_types::{Body, Error, ErrorKind, IntoResponse, MessageExt, Request, RequestExt};
use support::{Scripted, serve, status};

/// A path in the system's folder for temporary files, of this test alone; removed at the end.
struct TempFile(PathBuf);

impl TempFile {
    fn new(content: &[u8]) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("roundtrip-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).unwrap();
        TempFile(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // The test may have removed it.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What has been told, for later.
fn record() -> (Arc<Mutex<Vec<Progress>>>, impl FnMut(Progress) + Send + 'static) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = {
        let told = Arc::clone(&told);
        move |progress| told.lock().unwrap().push(progress)
    };
    (told, tell)
}

#[tokio::test]
async fn forms_are_understood_by_our_server() {
    let addr = serve(|mut req: Request| async move { req.form().await.unwrap().all.encode() }).await;
    let posted =
        Client::new().post(format!("http://{addr}/?q=é")).form([("b", "x & y"), ("a", "~1"), ("b", "é")]).await;
    assert_eq!(posted.unwrap().text().await.unwrap(), "a=~1&b=x+%26+y&b=%C3%A9&q=%C3%A9");
}

#[tokio::test]
async fn files_go_up_and_come_down_with_progress() {
    let addr = serve(|req: Request| async move {
        let length =
            req.headers().get("content-length").map_or("none".into(), |value| value.to_str().unwrap().to_owned());
        ([("x-length", length)], req.into_body()).into_response()
    })
    .await;
    let content: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    let (source, target) = (TempFile::new(&content), TempFile::new(b"to be emptied"));
    let (up, tell_up) = record();
    let client = Client::new();
    let response = client.put(format!("http://{addr}/")).file(&source.0).upload_progress(tell_up).await.unwrap();
    assert_eq!(response.headers()["x-length"], "300000");
    let (down, tell_down) = record();
    assert_eq!(response.copy_to_file(&target.0, tell_down).await.unwrap(), 300_000);
    assert_eq!(std::fs::read(&target.0).unwrap(), content);
    for told in [up, down] {
        let told = told.lock().unwrap();
        assert!(told.len() > 1 && told.is_sorted_by_key(|progress| progress.bytes), "{told:?}");
        assert_eq!(told.last().unwrap().bytes, 300_000);
    }
    let missing = source.0.with_extension("missing");
    let error = client.put(format!("http://{addr}/")).file(&missing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Request);
    assert!(
        error.to_string().contains(&format!("cannot read the file {}: No such file", missing.display())),
        "{error}"
    );
    let folder = client.put(format!("http://{addr}/")).file(std::env::temp_dir()).await.unwrap_err();
    assert!(folder.to_string().contains("is a directory"), "{folder}");
    let nowhere = missing.join("file");
    let unwritable =
        client.get(format!("http://{addr}/")).await.unwrap().copy_to_file(&nowhere, |_| {}).await.unwrap_err();
    assert!(
        unwritable.to_string().starts_with(&format!("cannot write the file {}: ", nowhere.display())),
        "{unwritable}"
    );
}

#[tokio::test]
async fn watched_bodies_and_files_follow_redirects() {
    let source = TempFile::new(b"content");
    let script = Scripted::new(|n| Ok(if n == 0 { support::redirect(307, "/again") } else { status(200) }));
    let client = Client::with_transport(script.clone());
    let (told, tell) = record();
    client.post("http://h.test/").file(&source.0).upload_progress(tell).await.unwrap();
    assert_eq!(script.seen().len(), 2);
    assert!(script.seen().iter().all(|seen| seen.ends_with("\"content\"")), "{:?}", script.seen());
    let seven = Progress::new(7, Some(7));
    assert_eq!(*told.lock().unwrap(), [seven, seven]);
}

#[tokio::test]
async fn a_file_that_shrinks_is_an_error_not_a_short_body() {
    let source = TempFile::new(&[b'x'; 100_000]);
    let builder = Client::with_transport(Scripted::new(|_| Ok(status(200)))).put("http://h.test/").file(&source.0);
    std::fs::OpenOptions::new().write(true).open(&source.0).unwrap().set_len(70_000).unwrap();
    let error = builder.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Body);
    assert!(error.to_string().ends_with("became 30000 bytes shorter"), "{error}");
}

#[tokio::test]
async fn a_limit_on_the_body_is_of_the_request_or_the_client() {
    let addr = serve(|_req| async { "0123456789" }).await;
    let url = format!("http://{addr}/");
    let config = ClientConfig { max_body: Some(9), ..ClientConfig::default() };
    let client = Client::with_config(Transport::new(), config);
    let error = client.get(&url).await.unwrap().text().await.unwrap_err();
    let want = format!("GET {url}: the body is longer than the limit of 9 bytes");
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::TooLarge, want));
    assert_eq!(client.get(&url).max_body(10).await.unwrap().text().await.unwrap(), "0123456789");
    let error = Client::new().get(&url).await.unwrap().limited(3).bytes().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn text_follows_the_charset() {
    let addr =
        serve(|_req| async { ([("content-type", "text/html; charset=iso-8859-1")], b"caf\xe9".as_slice()) }).await;
    assert_eq!(Client::new().get(format!("http://{addr}/")).await.unwrap().text().await.unwrap(), "café");
}

#[tokio::test]
async fn statuses_can_be_errors() {
    let addr = serve(|req: Request| async move {
        if req.uri().path() == "/ok" {
            status(204)
        } else {
            (http::StatusCode::NOT_FOUND, "nothing here").into_response()
        }
    })
    .await;
    let client = Client::new();
    let url = format!("http://{addr}/x");
    let error = client.get(&url).error_for_status().await.unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Status, format!("GET {url}: 404 Not Found")));
    let cause = error.cause().unwrap().downcast_ref::<StatusError>().unwrap();
    assert_eq!((cause.status.as_u16(), cause.headers["content-length"].to_str().unwrap()), (404, "12"));
    let error = client.get(&url).await.unwrap().error_for_status().unwrap_err();
    assert_eq!(error.to_string(), "404 Not Found");
    assert!(client.get(format!("http://{addr}/ok")).error_for_status().await.unwrap().error_for_status().is_ok());
}

#[tokio::test(start_paused = true)]
async fn retries_repeat_what_is_worth_it_and_say_so() {
    let flaky = || {
        Scripted::new(|n| match n {
            0 => Err(Error::new(ErrorKind::Connect, "refused")),
            1 => Ok(status(503)),
            _ => Ok(status(200)),
        })
    };
    let script = flaky();
    let client = Client::with_transport(script.clone()).layer(RetryLayer::default());
    let response = client.put("http://h.test/").body("data").await.unwrap();
    assert_eq!((response.status().as_u16(), response.extensions().get()), (200, Some(&Attempts(3))));
    assert_eq!(script.seen().len(), 3);
    assert!(script.seen().iter().all(|seen| seen.ends_with("\"data\"")), "{:?}", script.seen());

    // A POST that nobody has seen may be repeated, one that was answered may not.
    let script = flaky();
    let client = Client::with_transport(script.clone()).layer(RetryLayer::default());
    assert_eq!(client.post("http://h.test/").body("data").await.unwrap().status(), 503);
    assert_eq!(script.seen().len(), 2);

    // Nothing is left to spend.
    let script = flaky();
    let config = RetryConfig { budget: Some(RetryBudget::new(0.0, 0.0)), ..RetryConfig::default() };
    let client = Client::with_transport(script.clone()).layer(RetryLayer::new(config));
    assert!(client.get("http://h.test/").await.unwrap_err().is_connect());
    assert_eq!(script.seen().len(), 1);

    // The client's limit covers the waiting.
    let asks = Scripted::new(|_| {
        Ok(http::Response::builder().status(503).header("retry-after", "50").body(Body::empty()).unwrap())
    });
    let client = Client::with_transport(asks.clone()).layer(RetryLayer::default());
    let error = client.get("http://h.test/").timeout(Duration::from_secs(30)).await.unwrap_err();
    assert!(error.is_timeout() && asks.seen().len() == 1, "{error}");
    let begin = tokio::time::Instant::now();
    assert_eq!(client.get("http://h.test/").await.unwrap().status(), 503);
    assert_eq!((begin.elapsed().as_secs(), asks.seen().len()), (100, 4));
}

#[tokio::test]
async fn any_tower_service_is_a_transport() {
    #[derive(Clone)]
    struct Hello;
    impl tower_service::Service<Request> for Hello {
        type Response = http::Response<String>;
        type Error = std::io::Error;
        type Future = std::future::Ready<Result<http::Response<String>, std::io::Error>>;
        fn poll_ready(&mut self, _cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), std::io::Error>> {
            std::task::Poll::Ready(Ok(()))
        }
        fn call(&mut self, req: Request) -> Self::Future {
            std::future::ready(match req.uri().path() {
                "/hello" => Ok(http::Response::new("hello".into())),
                other => Err(std::io::Error::other(other.to_owned())),
            })
        }
    }
    let client = Client::with_transport(roundtrip_client::ServiceRoundTripper::new(Hello));
    assert_eq!(client.get("http://h.test/hello").await.unwrap().text().await.unwrap(), "hello");
    assert_eq!(client.get("http://h.test/odd").await.unwrap_err().to_string(), "/odd");
}
