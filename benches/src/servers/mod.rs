//! The servers that are counted: each ends with its last connection.

use std::convert::Infallible;
use std::time::Duration;

/// Our server inside this process.
pub mod embedded;

use crate::alloc::{self, Allocated, Side};
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use roundtrip_mux::ServeMux;
use roundtrip_server::Server;
use roundtrip_types::Handler;
use tokio::net::TcpListener;

/// What a server costs, measured from outside.
pub mod cost;

/// What every request is answered with.
pub const GREETING: &str = "Hello I am server 3";

/// The servers, by name.
pub const WAYS: [&str; 3] = ["hyper", "handler", "mux"];

/// Is that server until its last connection ends. Prints its address first, and last what it allocated.
///
/// # Errors
/// There is none of that name, or it could not serve.
pub fn serve(way: &str) -> Result<(), String> {
    alloc::work_for(Side::Server);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let served = match way {
        "hyper" => runtime.block_on(hyper()),
        "handler" => runtime.block_on(ours(|_req| async { GREETING })),
        "mux" => {
            let mux = ServeMux::new();
            mux.handle("/", |_req| async { GREETING });
            runtime.block_on(ours(mux))
        }
        other => return Err(format!("no way is called {other:?}")),
    };
    let allocated = Allocated::by(Side::Server);
    eprintln!("allocated {} {}", allocated.count, allocated.bytes);
    served
}

async fn listen() -> Result<TcpListener, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
    say(&listener.local_addr().map_err(|error| error.to_string())?.to_string());
    Ok(listener)
}

/// hyper by itself, without any time limit.
async fn hyper() -> Result<(), String> {
    let listener = listen().await?;
    let mut open = tokio::task::JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.map_err(|error| error.to_string())?.0,
            Some(ended) = open.join_next() => {
                if open.is_empty() {
                    return ended.map_err(|error| error.to_string());
                }
                continue;
            }
        };
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let service = service_fn(|_req: http::Request<hyper::body::Incoming>| async {
            let mut response = http::Response::new(Full::new(Bytes::from_static(GREETING.as_bytes())));
            let text = http::HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(http::header::CONTENT_TYPE, text);
            Ok::<_, Infallible>(response)
        });
        let serving = hyper::server::conn::http1::Builder::new()
            .half_close(true)
            .serve_connection(hyper_util::rt::TokioIo::new(stream), service);
        open.spawn(async move {
            // A client that hangs up between requests is how this ends.
            let _ = serving.await;
        });
    }
}

/// Our server as it is by default, every limit on.
async fn ours(handler: impl Handler) -> Result<(), String> {
    let server = Server::new(handler);
    let listener = listen().await?;
    let serving = tokio::spawn(server.serve(listener));
    while server.stats().accepted == 0 || server.stats().open > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    server.shutdown(Duration::from_secs(1)).await;
    serving.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

#[expect(clippy::print_stdout, reason = "the address is what the parent process waits for")]
fn say(text: &str) {
    println!("{text}");
}
