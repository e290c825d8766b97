//! Servers and scripts that the tests share.

#![allow(dead_code, reason = "each test file uses some")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use roundtrip_server::Server;
use roundtrip_types::{Handler, Request, Response, Result, RoundTripper};

/// Serves `handler` on a free port.
pub(crate) async fn serve(handler: impl Handler) -> SocketAddr {
    let server = Server::new(handler);
    let listener = server.listen("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(server.serve(listener));
    addr
}

/// A response with a `Location`.
pub(crate) fn redirect(status: u16, location: &str) -> Response {
    http::Response::builder().status(status).header("location", location).body("elsewhere".into()).unwrap()
}

/// A response with a status and nothing else.
pub(crate) fn status(status: u16) -> Response {
    http::Response::builder().status(status).body(().into()).unwrap()
}

/// A round tripper that answers with a function, which is told how many requests came before.
#[derive(Clone)]
pub(crate) struct Scripted {
    seen: Arc<Mutex<Vec<String>>>,
    answer: Arc<dyn Fn(usize) -> Result<Response> + Send + Sync>,
}

impl Scripted {
    pub(crate) fn new(answer: impl Fn(usize) -> Result<Response> + Send + Sync + 'static) -> Self {
        Scripted { seen: Arc::default(), answer: Arc::new(answer) }
    }

    /// Method, URL, fields and body of each request so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl RoundTripper for Scripted {
    async fn round_trip(&self, req: Request) -> Result<Response> {
        let fields: Vec<_> = req.headers().iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
        let (method, uri) = (req.method().clone(), req.uri().clone());
        let body = req.into_body().text().await?;
        let mut seen = self.seen.lock().unwrap();
        seen.push(format!("{method} {uri} {fields:?} {body:?}"));
        (self.answer)(seen.len() - 1)
    }
}
