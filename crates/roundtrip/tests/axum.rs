//! A tower service of somebody else's on our server: an axum `Router`, alone and below a pattern of our mux.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body as AxumBody, Bytes};
use axum::extract::{Path, RawQuery};
use axum::routing::{get, post};
use roundtrip::prelude::*;
use roundtrip::{Client, Exchange, Observed, ServeMux, Server, ServiceHandler};

fn router() -> Router {
    Router::new()
        .route(
            "/users/{id}",
            get(|Path(id): Path<String>, RawQuery(query): RawQuery| async move { format!("{id} {query:?}") }),
        )
        .route("/length", post(|body: Bytes| async move { body.len().to_string() }))
        .route(
            "/stream",
            get(|| async {
                let pieces = ["one ", "two ", "three"].map(Ok::<_, Infallible>);
                AxumBody::from_stream(Pieces(pieces.into_iter().collect()))
            }),
        )
}

/// A stream of pieces, to make a body of unknown length.
struct Pieces(std::collections::VecDeque<Result<&'static str, Infallible>>);

impl futures_core::Stream for Pieces {
    type Item = Result<&'static str, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.pop_front())
    }
}

async fn check(handler: impl Handler, prefix: &str) {
    let server = Server::new(handler);
    let listener = server.listen("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{prefix}", listener.local_addr().unwrap());
    let serving = tokio::spawn(server.serve(listener));
    let client = Client::new();
    let text = async |path: &str| client.get(format!("{url}{path}")).await.unwrap().text().await.unwrap();
    assert_eq!(text("/users/7?a=b").await, "7 Some(\"a=b\")");
    assert_eq!(text("/stream").await, "one two three");
    let posted = client.post(format!("{url}/length")).body(vec![b'x'; 100_000]).await.unwrap();
    assert_eq!(posted.text().await.unwrap(), "100000");
    assert_eq!(client.get(format!("{url}/none")).await.unwrap().status(), 404);
    assert_eq!(client.delete(format!("{url}/users/7")).await.unwrap().status(), 405);
    server.shutdown(Duration::from_secs(5)).await;
    serving.await.unwrap().unwrap();
    assert_eq!((server.stats().accepted, server.stats().panics), (1, 0), "one connection carried all of it");
}

#[tokio::test]
async fn an_axum_router_is_served() {
    check(ServiceHandler::new(router()), "").await;
}

#[tokio::test]
async fn an_axum_router_is_one_handler_of_many() {
    let mux = ServeMux::new();
    mux.handle("/axum/", roundtrip::StripPrefix::new("/axum", ServiceHandler::new(router())));
    mux.handle("/", |_req| async { "ours" });
    let watched = Observed::new(mux, |exchange: &Exchange| assert_eq!(exchange.pattern(), "/axum/"));
    check(watched, "/axum").await;
}
