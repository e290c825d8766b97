//! The servers of these tests.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use roundtrip_transport::{ClientConn, ClientConnState, Protocols};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::sync::{Notify, Semaphore};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::peers::{Authority, Io, read_head};

/// What is spoken. What holds for all is tested with each; what does not names the one that it holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Plain,
    Tls,
    /// Over TLS, with two streams at once.
    Http2,
    /// With prior knowledge.
    PlainHttp2,
}

pub(super) const ALL: [Over; 4] = [Over::Plain, Over::Tls, Over::Http2, Over::PlainHttp2];
pub(super) const HTTP1: [Over; 2] = [Over::Plain, Over::Tls];
pub(super) const HTTP2: [Over; 2] = [Over::Http2, Over::PlainHttp2];

/// A server, and a transport that reaches it. It answers by path: `/gated` when the gate lets it through, `/half` with half of a body and
/// the rest behind the gate, `/endless` with the beginning of a large one.
pub(super) struct Site {
    pub(super) over: Over,
    pub(super) peer: Peer,
    pub(super) transport: Transport,
    pub(super) url: String,
    pub(super) gate: Arc<Semaphore>,
    /// Has the server close the connection, over HTTP/2 by GOAWAY.
    pub(super) leave: Arc<Notify>,
    /// Has it vanish.
    pub(super) cut: Arc<Notify>,
    /// Connections that the server has seen the end of.
    pub(super) ended: Arc<AtomicUsize>,
}

const STREAMS: usize = 2;

impl Site {
    pub(super) async fn new(over: Over) -> Self {
        Site::with(over, |_| {}).await
    }

    pub(super) async fn with(over: Over, change: impl FnOnce(&mut TransportConfig)) -> Self {
        let authority = Authority::new();
        let (gate, leave, cut) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let ended = Arc::new(AtomicUsize::new(0));
        let tls = match over {
            Over::Tls => Some(authority.server("h.test", &["http/1.1"])),
            Over::Http2 => Some(authority.server("h.test", &["h2"])),
            Over::Plain | Over::PlainHttp2 => None,
        };
        let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let peer = Peer::start({
            let (gate, leave, cut, ended) =
                (Arc::clone(&gate), Arc::clone(&leave), Arc::clone(&cut), Arc::clone(&ended));
            move |peer, stream| {
                let (acceptor, gate, leave, cut) =
                    (acceptor.clone(), Arc::clone(&gate), Arc::clone(&leave), Arc::clone(&cut));
                let ended = Arc::clone(&ended);
                async move {
                    let serving = async {
                        let stream: Box<dyn Io> = match acceptor {
                            Some(acceptor) => match acceptor.accept(stream).await {
                                Ok(stream) => Box::new(stream),
                                Err(_) => return,
                            },
                            None => Box::new(stream),
                        };
                        match over {
                            Over::Plain | Over::Tls => serve_one(peer, stream, gate, leave).await,
                            Over::Http2 | Over::PlainHttp2 => serve_many(peer, stream, gate, leave).await,
                        }
                    };
                    tokio::select! {
                        () = serving => {}
                        () = cut.notified() => {}
                    }
                    ended.fetch_add(1, Ordering::SeqCst);
                }
            }
        })
        .await;
        let mut config = authority.config();
        if over == Over::PlainHttp2 {
            config.protocols = Protocols::Http2;
        }
        change(&mut config);
        let scheme = if matches!(over, Over::Tls | Over::Http2) { "https" } else { "http" };
        let url = format!("{scheme}://h.test:{}/", peer.addr.port());
        Site { over, peer, transport: Transport::with_config(config), url, gate, leave, cut, ended }
    }

    pub(super) fn is_http2(&self) -> bool {
        HTTP2.contains(&self.over)
    }

    /// How many requests a connection carries at once.
    pub(super) fn places(&self) -> usize {
        if self.is_http2() { STREAMS } else { 1 }
    }

    /// A held connection whose limits are known.
    pub(super) async fn hold(&self) -> ClientConn {
        let conn = self.transport.client_conn(&self.url.parse().unwrap()).await.unwrap();
        until(|| conn.available() == self.places()).await;
        conn
    }

    pub(super) fn get(&self, path: &str) -> Request {
        get(self.url.clone() + path)
    }

    pub(super) fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }
}

async fn serve_one(peer: Peer, stream: Box<dyn Io>, gate: Arc<Semaphore>, leave: Arc<Notify>) {
    let mut stream = BufReader::new(stream);
    loop {
        let head = tokio::select! {
            head = read_head(&mut stream) => head,
            () = leave.notified() => None,
        };
        let Some(head) = head else { return };
        let path = head.split(' ').nth(1).unwrap().to_owned();
        peer.heads.lock().unwrap().push(path.clone());
        if path == "/gated" {
            gate.acquire().await.unwrap().forget();
        }
        let answer: &[u8] = match &*path {
            "/half" => b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
            "/endless" => b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\nhel",
            "/last" => b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
            "/vanish" => return,
            "/other" => b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello",
            _ => b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        };
        stream.write_all(answer).await.unwrap();
        stream.flush().await.unwrap();
        if path == "/half" {
            gate.acquire().await.unwrap().forget();
            if stream.write_all(b"lo").await.is_err() || stream.flush().await.is_err() {
                return;
            }
        }
    }
}

async fn serve_many(peer: Peer, stream: Box<dyn Io>, gate: Arc<Semaphore>, leave: Arc<Notify>) {
    let mut builder = Builder::new();
    builder.max_concurrent_streams(u32::try_from(STREAMS).unwrap());
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    loop {
        let next = tokio::select! {
            next = connection.accept() => next,
            () = leave.notified() => {
                connection.graceful_shutdown();
                continue;
            }
        };
        let Some(Ok((request, mut respond))) = next else { return };
        let path = request.uri().path().to_owned();
        peer.heads.lock().unwrap().push(path.clone());
        let gate = Arc::clone(&gate);
        tokio::spawn(async move { answer_stream(&path, &mut respond, &gate).await });
    }
}

async fn answer_stream(path: &str, respond: &mut SendResponse<Bytes>, gate: &Semaphore) {
    match path {
        "/gated" => gate.acquire().await.unwrap().forget(),
        "/vanish" => return respond.send_reset(h2::Reason::REFUSED_STREAM),
        _ => {}
    }
    let Ok(mut body) = respond.send_response(http::Response::new(()), false) else { return };
    if matches!(path, "/half" | "/endless") {
        body.send_data("hel".into(), false).unwrap();
        gate.acquire().await.unwrap().forget();
        let _ = body.send_data("lo".into(), true);
        return;
    }
    body.send_data("hello".into(), true).unwrap();
}

pub(super) async fn text(conn: &ClientConn, req: Request) -> Result<String, Error> {
    conn.round_trip(req).await?.text().await
}

/// Writes down what the hook is told: available, in flight, closed.
pub(super) fn noting(conn: &ClientConn) -> Arc<Mutex<Vec<(usize, usize, bool)>>> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&told);
    conn.set_state_hook(move |state: &ClientConnState| {
        notes.lock().unwrap().push((state.available, state.in_flight, state.closed));
    });
    told
}

pub(super) fn take(told: &Mutex<Vec<(usize, usize, bool)>>) -> Vec<(usize, usize, bool)> {
    std::mem::take(&mut told.lock().unwrap())
}
