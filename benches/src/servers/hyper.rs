//! hyper by itself, without any time limit: the yardstick.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{Ends, GREETING, Plan, STOP, greet_after, listen, said, told};

type Response = http::Response<Full<Bytes>>;

pub(super) async fn serve(plan: Plan) -> Result<(), String> {
    match (plan.ends, plan.delay.is_zero()) {
        (Ends::WithLastConnection, _) => until_alone().await,
        (Ends::WhenTold, true) => until_told().await,
        (Ends::WhenTold, false) => until_told_gracefully(plan).await,
    }
}

async fn until_alone() -> Result<(), String> {
    let listener = listen().await?;
    let mut open = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.map_err(said)?.0,
            Some(ended) = open.join_next() => {
                if open.is_empty() {
                    return ended.map_err(said);
                }
                continue;
            }
        };
        open.spawn(connection(stream)?);
    }
}

async fn until_told() -> Result<(), String> {
    let (listener, mut told) = (listen().await?, told());
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                tokio::spawn(connection(accepted.map_err(said)?.0)?);
            }
            _ = &mut told => return Ok(()),
        }
    }
}

/// hyper-util's helper tells each connection to end after the response it is at.
async fn until_told_gracefully(plan: Plan) -> Result<(), String> {
    let (listener, mut told, graceful) = (listen().await?, told(), GracefulShutdown::new());
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.map_err(said)?.0,
            _ = &mut told => break,
        };
        stream.set_nodelay(true).map_err(said)?;
        let service = service_fn(move |_req: http::Request<Incoming>| async move {
            Ok::<_, Infallible>(response(greet_after(plan.delay).await))
        });
        let serving =
            hyper::server::conn::http1::Builder::new().half_close(true).serve_connection(TokioIo::new(stream), service);
        tokio::spawn(graceful.watch(serving));
    }
    drop(listener);
    let all = pin!(graceful.shutdown());
    tokio::time::timeout(STOP, all).await.map_err(said)
}

fn connection(stream: TcpStream) -> Result<impl Future<Output = ()> + Send, String> {
    stream.set_nodelay(true).map_err(said)?;
    let service = service_fn(|_req: http::Request<Incoming>| async { Ok::<_, Infallible>(response(GREETING)) });
    let serving =
        hyper::server::conn::http1::Builder::new().half_close(true).serve_connection(TokioIo::new(stream), service);
    Ok(async move {
        // A client that hangs up between requests is how this ends.
        let _ = serving.await;
    })
}

fn response(text: &'static str) -> Response {
    let mut response = http::Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    let plain = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    response
}
