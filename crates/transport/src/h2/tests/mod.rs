//! HTTP/2 against a server on the same crate over real sockets, and against one that writes frames by hand.

mod hostile;
mod peers;
mod talking;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};
use roundtrip_types::Body;

use super::*;

/// A connection with what its hook was told.
struct Rig {
    conn: H2Conn,
    events: Arc<Mutex<Vec<H2Event>>>,
}

impl Rig {
    async fn new(stream: Stream, config: &Http2Config) -> Self {
        Rig::with_limit(stream, config, 16 << 10).await
    }

    async fn with_limit(stream: Stream, config: &Http2Config, max_header_list: usize) -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let hook = {
            let events = Arc::clone(&events);
            Box::new(move |event| events.lock().unwrap().push(event))
        };
        let info = ConnInfo::new(crate::net::Facts::default());
        Rig { conn: H2Conn::start(stream, info, config, max_header_list, hook).await.unwrap(), events }
    }

    /// What was told, but for the peer's limit, which comes whenever its settings do.
    fn events(&self) -> Vec<H2Event> {
        let events = self.events.lock().unwrap();
        events.iter().copied().filter(|event| *event != H2Event::Limit).collect()
    }

    /// Waits until the hook has told this. Other tasks run meanwhile, and time if it is paused.
    async fn told(&self, event: H2Event) {
        while !self.events().contains(&event) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn send(&self, method: Method, body: Body) -> Result<Response<Body>, Failed> {
        let slot = self.conn.reserve().expect("a stream");
        send(&self.conn, slot, outgoing(method, body)).await
    }

    async fn get(&self) -> Result<Response<Body>, Failed> {
        self.send(Method::GET, Body::empty()).await
    }
}

async fn send(conn: &H2Conn, slot: Slot, request: Outgoing) -> Result<Response<Body>, Failed> {
    let watched = Watched {
        progress: &Progress::default(),
        on_interim: None,
        interim_limit: 16 << 10,
        window_timeout: Http2Config::default().window_timeout,
        header_timeout: None,
        events: None,
    };
    let response = conn.send(slot, request, watched).await?;
    Ok(response.map(|content| match content {
        Content::Nothing => Body::empty(),
        Content::Body(body) => Body::new(body),
        Content::Tunnel(_) => panic!("nothing here asks for another protocol"),
    }))
}

fn outgoing(method: Method, body: Body) -> Outgoing {
    let length = http_body::Body::size_hint(&body).exact().filter(|length| *length > 0);
    let request = http::Request::builder().method(method).uri("http://h.test/path?query").body(()).unwrap();
    Outgoing::new(&request, "http", "h.test", length, None, body).unwrap()
}

/// A body that comes in pieces.
fn streamed(pieces: Vec<Bytes>) -> Body {
    let (mut sender, body) = Body::channel(1);
    tokio::spawn(async move {
        for piece in pieces {
            if sender.send(piece).await.is_err() {
                return;
            }
        }
        sender.finish();
    });
    body
}
