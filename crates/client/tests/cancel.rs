//! Giving up at every point at which a client waits: nothing is left over.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use roundtrip_client::{Client, ClientConfig, MemoryJar, ResponseExt, RetryConfig, RetryLayer, RoundTripper};
use roundtrip_transport::Transport;
use roundtrip_types::{Body, IntoResponse, MessageExt, Request};
use support::{redirect, serve, status};

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// Polls `work` up to `polls` times; whether it was done by then.
async fn polled(work: &mut Work, mut polls: usize) -> bool {
    poll_fn(|cx| {
        if polls == 0 {
            return Poll::Ready(false);
        }
        polls -= 1;
        match work.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending if polls == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Drops `work` after 0, 1, 2 polls and so on until it is done, and waits each time until `transport` uses nothing and as many
/// tasks run as before. Returns at how many points it was given up.
async fn give_up_everywhere(transport: &Transport, mut work: impl FnMut() -> Work) -> usize {
    // Once to the end, so that the server and the pool have what they keep.
    work().await;
    let mut polls = 0;
    loop {
        let mut abandoned = work();
        let done = polled(&mut abandoned, polls).await;
        drop(abandoned);
        let begin = std::time::Instant::now();
        while transport.stats().in_use != 0 {
            assert!(begin.elapsed() < Duration::from_secs(10), "given up after {polls} polls: {:?}", transport.stats());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if done {
            return polls;
        }
        polls += 1;
    }
}

/// Answers in pieces, with pauses between them, after redirects with cookies; `/503` never succeeds.
async fn server() -> String {
    let addr = serve(|req: Request| async move {
        tokio::task::yield_now().await;
        match req.uri().path() {
            "/redirect" => {
                let mut response = redirect(307, "/slow");
                response.headers_mut().insert("set-cookie", "sid=1".parse().unwrap());
                response
            }
            "/503" => status(503),
            _ => {
                let (mut sender, body) = Body::channel(1);
                tokio::spawn(async move {
                    for _ in 0..3 {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                        // The client may be gone.
                        if sender.send("piece ").await.is_err() {
                            return;
                        }
                    }
                    sender.finish();
                });
                body.into_response()
            }
        }
    })
    .await;
    format!("http://{addr}")
}

#[tokio::test]
async fn requests_and_bodies_given_up_anywhere_leave_nothing() {
    let url = server().await;
    let transport = Transport::new();
    let config = ClientConfig {
        jar: Some(Arc::new(MemoryJar::new())),
        timeout: Some(Duration::from_secs(60)),
        ..ClientConfig::default()
    };
    let client = Client::with_config(transport.clone(), config);
    let points = give_up_everywhere(&transport, || {
        let request = client.post(format!("{url}/redirect")).body("x".repeat(10_000)).send();
        Box::pin(async move { assert_eq!(request.await.unwrap().text().await.unwrap(), "piece piece piece ") })
    })
    .await;
    assert!(points >= 4, "{points} points");
    let points = give_up_everywhere(&transport, || {
        let request = client.get(format!("{url}/slow")).send();
        Box::pin(async move {
            let mut response = request.await.unwrap();
            response.body_mut().chunk().await.unwrap().unwrap();
            let mut sink = tokio::io::sink();
            assert_eq!(response.copy_to(&mut sink, |_| {}).await.unwrap(), 12);
        })
    })
    .await;
    assert!(points >= 3, "{points} points");
    let execute = client.clone();
    give_up_everywhere(&transport, || {
        let (client, url) = (execute.clone(), url.clone());
        Box::pin(async move {
            let request = http::Request::get(format!("{url}/slow")).body(Body::empty()).unwrap();
            client.execute(request).await.unwrap().bytes().await.unwrap();
        })
    })
    .await;
    assert_eq!(
        client.get(format!("{url}/slow")).await.unwrap().text().await.unwrap(),
        "piece piece piece ",
        "all is well"
    );
}

#[tokio::test]
async fn retries_given_up_anywhere_leave_nothing() {
    let url = server().await;
    let transport = Transport::new();
    let config = RetryConfig { base_delay: Duration::from_millis(1), budget: None, ..RetryConfig::default() };
    let client = Client::with_transport(transport.clone()).layer(RetryLayer::new(config));
    let points = give_up_everywhere(&transport, || {
        let request = client.get(format!("{url}/503")).send();
        Box::pin(async move { assert_eq!(request.await.unwrap().status(), 503) })
    })
    .await;
    assert!(points >= 3, "{points} points");
}

#[tokio::test]
async fn a_file_given_up_on_the_way_down_is_left_as_it_is() {
    let url = server().await;
    let transport = Transport::new();
    let client = Client::with_transport(transport.clone());
    let path = std::env::temp_dir().join(format!("roundtrip-cancel-{}", std::process::id()));
    give_up_everywhere(&transport, || {
        let (request, path) = (client.get(format!("{url}/slow")).send(), path.clone());
        Box::pin(async move {
            request.await.unwrap().copy_to_file(&path, |_| {}).await.unwrap();
        })
    })
    .await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "piece piece piece ");
    std::fs::remove_file(&path).unwrap();
}

/// A transport behind a type that hides it is given up in the same way.
#[tokio::test]
async fn a_boxed_transport_too() {
    let url = server().await;
    let transport = Transport::new();
    let client = Client::with_transport(transport.clone().boxed());
    give_up_everywhere(&transport, || {
        let request = client.get(format!("{url}/slow")).send();
        Box::pin(async move { drop(request.await.unwrap().bytes().await.unwrap()) })
    })
    .await;
}
