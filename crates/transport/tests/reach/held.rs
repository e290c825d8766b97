//! Connections that the program holds.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use http::Version;
use roundtrip_transport::{
    ClientConn, ClientConnState, CloseReason, ConnId, Events, Protocols, Proxy, ProxyConfig, RequestOptions, Reuse,
    Timings, Upgraded,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::{Notify, Semaphore};
use tokio_rustls::TlsAcceptor;

use super::http2::until;
use super::peers::{Authority, Io, Peer, proxy, read_head};
use super::protocols::either;
use super::*;

/// What is spoken. What holds for all is tested with each; what does not names the one that it holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Plain,
    Tls,
    /// Over TLS, with two streams at once.
    Http2,
    /// With prior knowledge.
    PlainHttp2,
}

const ALL: [Over; 4] = [Over::Plain, Over::Tls, Over::Http2, Over::PlainHttp2];
const HTTP1: [Over; 2] = [Over::Plain, Over::Tls];
const HTTP2: [Over; 2] = [Over::Http2, Over::PlainHttp2];

/// A server, and a transport that reaches it. It answers by path: `/gated` when the gate lets it through, `/half` with half of a body and
/// the rest behind the gate, `/endless` with the beginning of a large one.
struct Site {
    over: Over,
    peer: Peer,
    transport: Transport,
    url: String,
    gate: Arc<Semaphore>,
    /// Has the server close the connection, over HTTP/2 by GOAWAY.
    leave: Arc<Notify>,
    /// Has it vanish.
    cut: Arc<Notify>,
    /// Connections that the server has seen the end of.
    ended: Arc<AtomicUsize>,
}

const STREAMS: usize = 2;

impl Site {
    async fn new(over: Over) -> Self {
        Site::with(over, |_| {}).await
    }

    async fn with(over: Over, change: impl FnOnce(&mut TransportConfig)) -> Self {
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

    fn is_http2(&self) -> bool {
        HTTP2.contains(&self.over)
    }

    /// How many requests a connection carries at once.
    fn places(&self) -> usize {
        if self.is_http2() { STREAMS } else { 1 }
    }

    /// A held connection whose limits are known.
    async fn hold(&self) -> ClientConn {
        let conn = self.transport.client_conn(&self.url.parse().unwrap()).await.unwrap();
        until(|| conn.available() == self.places()).await;
        conn
    }

    fn get(&self, path: &str) -> Request {
        get(self.url.clone() + path)
    }

    fn ended(&self) -> usize {
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

async fn text(conn: &ClientConn, req: Request) -> Result<String, Error> {
    conn.round_trip(req).await?.text().await
}

/// Writes down what the hook is told: available, in flight, closed.
fn noting(conn: &ClientConn) -> Arc<Mutex<Vec<(usize, usize, bool)>>> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&told);
    conn.set_state_hook(move |state: &ClientConnState| {
        notes.lock().unwrap().push((state.available, state.in_flight, state.closed));
    });
    told
}

fn take(told: &Mutex<Vec<(usize, usize, bool)>>) -> Vec<(usize, usize, bool)> {
    std::mem::take(&mut told.lock().unwrap())
}

#[tokio::test]
async fn requests_go_over_the_one_connection_that_the_pool_does_not_know() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        for at in 0..3 {
            let mut req = site.get("");
            req.extensions_mut().insert(RequestOptions { timings: Some(true), ..RequestOptions::default() });
            let response = conn.round_trip(req).await.unwrap();
            let timings = response.extensions().get::<Timings>().unwrap().clone();
            assert_eq!((timings.reused(), timings.attempts(), timings.conn_id()), (at > 0, 1, conn.id()), "{over:?}");
            assert_eq!(response.version(), conn.version());
            assert_eq!(response.text().await.unwrap(), "hello");
            assert_eq!((conn.available(), conn.in_flight()), (site.places(), 0));
            site.transport.close_idle_connections();
            site.transport.evict(&site.url.parse().unwrap()).unwrap();
        }
        assert_eq!(conn.version() == Version::HTTP_2, site.is_http2());
        assert_eq!(conn.info().tls().is_some(), site.url.starts_with("https"));
        let stats = site.transport.stats();
        assert_eq!((site.peer.accepted(), stats.created, stats.open(), stats.closed.total()), (1, 0, 0, 0));
        // Nobody else gets it.
        assert_eq!(site.transport.round_trip(site.get("")).await.unwrap().text().await.unwrap(), "hello");
        assert_eq!(site.peer.accepted(), 2);
        assert!(conn.error().is_none());
    }
}

#[tokio::test]
async fn it_counts_towards_no_limit_of_the_pool() {
    for over in ALL {
        let site = Site::with(over, |config| config.max_conns_per_host = Some(1)).await;
        let (one, two) = (site.hold().await, site.hold().await);
        assert_eq!(site.transport.round_trip(site.get("")).await.unwrap().text().await.unwrap(), "hello");
        let three = site.hold().await;
        until(|| site.peer.accepted() == 4).await;
        assert!(one.id() < two.id() && two.id() < three.id(), "numbers are unique in the transport");
        assert_eq!(site.transport.stats().created, 1);
    }
}

#[tokio::test]
async fn places_are_reserved_used_and_given_back() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        let mut places: Vec<_> = (0..site.places()).map(|_| conn.reserve().unwrap()).collect();
        assert_eq!((conn.available(), conn.in_flight()), (0, site.places()), "{over:?}");
        let error = conn.reserve().unwrap_err();
        assert_eq!((error.kind(), error.phase(), error.was_sent()), (ErrorKind::Overloaded, Some(Phase::Queue), false));
        // To wait would be to wait for oneself.
        let error = conn.round_trip(site.get("")).await.unwrap_err();
        let named = format!("the held {} to h.test:{}", conn.id(), site.peer.addr.port());
        let want = match site.places() {
            1 => format!("GET {}: the one request that {named} can carry is reserved", site.url),
            all => format!("GET {}: all {all} requests that {named} can carry are reserved", site.url),
        };
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Overloaded, want));

        let response = places.pop().unwrap().round_trip(site.get("half")).await.unwrap();
        assert_eq!((conn.available(), conn.in_flight()), (0, site.places()), "used, it is still taken");
        site.gate.add_permits(1);
        assert_eq!(response.text().await.unwrap(), "hello");
        assert_eq!((conn.available(), conn.in_flight()), (1, site.places() - 1));
        drop(places);
        assert_eq!((conn.available(), conn.in_flight()), (site.places(), 0));

        // A request that is none gives its place back.
        let place = conn.reserve().unwrap();
        assert_eq!(place.round_trip(get("http://h.test:1/")).await.unwrap_err().kind(), ErrorKind::Request);
        assert_eq!((conn.available(), conn.in_flight()), (site.places(), 0));
        assert_eq!(text(&conn, site.get("")).await.unwrap(), "hello");
        assert_eq!(site.peer.accepted(), 1);
    }
}

#[tokio::test]
async fn requests_in_excess_wait_their_turn_and_no_longer_than_allowed() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = Arc::new(site.hold().await);
        let send = || {
            let (conn, req) = (Arc::clone(&conn), site.get("gated"));
            tokio::spawn(async move { text(&conn, req).await })
        };
        let running: Vec<_> = (0..site.places()).map(|_| send()).collect();
        until(|| site.peer.heads().len() == site.places()).await;
        let mut impatient = site.get("impatient");
        let wait_timeout = Some(Duration::from_millis(20));
        impatient.extensions_mut().insert(RequestOptions { wait_timeout, ..RequestOptions::default() });
        let error = text(&conn, impatient).await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Queue)));
        assert!(error.to_string().ends_with("had no room for another request within 20ms (wait_timeout)"), "{error}");

        // The first of those who wait gives up; its turn goes to the next.
        let waiting: Vec<_> = (0..3).map(|_| send()).collect();
        tokio::task::yield_now().await;
        waiting[0].abort();
        site.gate.add_permits(100);
        let mut answers = Vec::new();
        for request in running.into_iter().chain(waiting) {
            answers.push(request.await.map(Result::unwrap));
        }
        let given_up = answers.iter().filter(|answer| answer.is_err()).count();
        assert_eq!((given_up, answers.len()), (1, site.places() + 3), "{over:?}");
        assert_eq!((conn.available(), conn.in_flight()), (site.places(), 0));
        assert_eq!(site.peer.accepted(), 1);
    }
}

#[tokio::test]
async fn the_hook_is_told_of_each_change_and_that_the_server_has_gone() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        let told = noting(&conn);
        // Over HTTP/2 it has learnt meanwhile what the server allows.
        assert_eq!(take(&told).len(), usize::from(site.is_http2()));
        let all = site.places();
        assert_eq!(text(&conn, site.get("")).await.unwrap(), "hello");
        let place = conn.reserve().unwrap();
        drop(place);
        assert_eq!(
            take(&told),
            [(all - 1, 1, false), (all, 0, false), (all - 1, 1, false), (all, 0, false)],
            "{over:?}"
        );
        site.cut.notify_one();
        until(|| conn.error().is_some()).await;
        until(|| !told.lock().unwrap().is_empty()).await;
        assert_eq!(take(&told), [(0, 0, true)], "{over:?}");
        let error = text(&conn, site.get("")).await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::ConnectionLost, Some(Phase::Queue)));
        assert!(!error.was_sent());
        let want = format!(
            "GET {}: the held {} to h.test:{} takes no more requests: ",
            site.url,
            conn.id(),
            site.peer.addr.port()
        );
        assert!(error.to_string().starts_with(&want), "{error}");
        assert_eq!(conn.reserve().unwrap_err().kind(), ErrorKind::ConnectionLost);
        assert_eq!(site.peer.accepted(), 1);
    }
}

#[tokio::test]
async fn the_hook_may_use_the_connection() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = Arc::new(site.hold().await);
        // A pool of one's own takes a place as soon as there is one.
        let place = Arc::new(Mutex::new(None));
        let (weak, kept) = (Arc::downgrade(&conn), Arc::clone(&place));
        conn.set_state_hook(move |state| {
            let mut kept = kept.lock().unwrap();
            if state.available > 0 && kept.is_none() {
                *kept = weak.upgrade().and_then(|conn| conn.reserve().ok());
            }
        });
        assert_eq!(text(&conn, site.get("")).await.unwrap(), "hello");
        let reserved = place.lock().unwrap().take().expect("it was told of room");
        assert_eq!(reserved.round_trip(site.get("")).await.unwrap().text().await.unwrap(), "hello");
        assert_eq!(site.peer.accepted(), 1);
        conn.close();
        let last = place.lock().unwrap().take();
        drop(last);
    }
}

#[tokio::test]
async fn a_goaway_ends_what_is_new_and_not_what_is_on_its_way() {
    for over in HTTP2 {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        let response = conn.round_trip(site.get("half")).await.unwrap();
        let told = noting(&conn);
        take(&told);
        site.leave.notify_one();
        until(|| conn.error().is_some()).await;
        let error = conn.round_trip(site.get("")).await.unwrap_err();
        assert!(error.to_string().ends_with("takes no more requests: the server is going away (GOAWAY)"), "{error}");
        assert_eq!(conn.state().in_flight, 1);
        site.gate.add_permits(1);
        assert_eq!(response.text().await.unwrap(), "hello");
        until(|| conn.in_flight() == 0).await;
        until(|| told.lock().unwrap().last() == Some(&(0, 0, true))).await;
        assert_eq!(take(&told), [(0, 1, true), (0, 0, true)], "{over:?}");
        until(|| site.ended() == 1).await;
        assert_eq!(site.peer.heads(), ["/half"]);
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closes_after_a_response_is_over_then() {
    for over in HTTP1 {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        assert_eq!(text(&conn, site.get("last")).await.unwrap(), "hello");
        let error = conn.error().unwrap();
        assert!(error.to_string().contains("one side had said Connection: close"), "{error}");
        until(|| site.ended() == 1).await;
    }
    for over in ALL {
        // Asked for by the request.
        let site = Site::new(over).await;
        let conn = site.hold().await;
        let mut req = site.get("");
        req.extensions_mut().insert(RequestOptions { reuse: Reuse::Never, ..RequestOptions::default() });
        assert_eq!(text(&conn, req).await.unwrap(), "hello");
        until(|| conn.error().is_some() && site.ended() == 1).await;
        assert_eq!(conn.error().unwrap().kind(), ErrorKind::ConnectionLost, "{over:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_dropped_frees_the_place_or_ends_the_connection() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        let told = noting(&conn);
        let response = conn.round_trip(site.get("half")).await.unwrap();
        site.gate.add_permits(1);
        drop(response);
        // Over HTTP/1.1 what little is left is read in the background; over HTTP/2 the stream ends.
        until(|| conn.available() == site.places()).await;
        until(|| told.lock().unwrap().last() == Some(&(site.places(), 0, false))).await;
        assert_eq!(text(&conn, site.get("")).await.unwrap(), "hello", "{over:?}");
        drop(conn.round_trip(site.get("endless")).await.unwrap());
        if site.is_http2() {
            until(|| conn.available() == site.places()).await;
            assert_eq!(text(&conn, site.get("")).await.unwrap(), "hello");
        } else {
            until(|| conn.error().is_some()).await;
            let error = conn.error().unwrap();
            assert!(error.to_string().ends_with("a request or a response was given up before its end"), "{error}");
            assert_eq!(told.lock().unwrap().last(), Some(&(0, 0, true)));
            until(|| site.ended() == 1).await;
        }
        assert_eq!(site.peer.accepted(), 1);
    }
}

#[tokio::test]
async fn a_request_that_is_given_up_ends_http1_and_frees_a_stream() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        let given_up = tokio::time::timeout(Duration::from_millis(20), conn.round_trip(site.get("gated"))).await;
        assert!(given_up.is_err());
        if site.is_http2() {
            // It is asked for a sign of life first.
            assert_eq!(text(&conn, site.get("")).await.unwrap(), "hello");
            until(|| conn.available() == site.places()).await;
        } else {
            assert_eq!(conn.error().unwrap().kind(), ErrorKind::Canceled);
            assert_eq!(conn.state().in_flight, 0);
        }
        assert_eq!(site.peer.accepted(), 1);
    }
}

#[tokio::test]
async fn nothing_is_sent_twice() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        assert_eq!(text(&conn, site.get("")).await.unwrap(), "hello");
        let error = text(&conn, site.get("vanish")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{over:?} {error}");
        assert_eq!(site.peer.heads(), ["/", "/vanish"]);
        // A stream that is refused is not the connection's end.
        assert_eq!(conn.error().is_none(), site.is_http2());
        assert_eq!(site.peer.accepted(), 1);
    }
}

#[tokio::test]
async fn a_request_for_another_server_is_refused_and_both_are_named() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        let port = site.peer.addr.port();
        let scheme = site.url.split(':').next().unwrap();
        for (url, named) in [
            (format!("{scheme}://other.test:{port}/"), format!("{scheme}://other.test:{port}")),
            (format!("{scheme}://h.test:1/"), format!("{scheme}://h.test:1")),
        ] {
            let error = conn.round_trip(get(&url)).await.unwrap_err();
            let want =
                format!("GET {url}: the request is for {named}, but the connection leads to {scheme}://h.test:{port}");
            assert_eq!((error.kind(), error.phase()), (ErrorKind::Request, Some(Phase::Prepare)));
            assert_eq!(error.to_string(), want);
        }
        let other = if scheme == "http" { "https" } else { "http" };
        let error = conn.round_trip(get(format!("{other}://h.test:{port}/"))).await.unwrap_err();
        assert!(error.to_string().contains(&format!("is for {other}://h.test:{port}, but")), "{error}");
        // The same server by another spelling, and another Host field, is what it is for.
        let mut req = get(format!("{scheme}://u@H.TEST:{port}/"));
        req.headers_mut().insert("host", "elsewhere.test".parse().unwrap());
        assert_eq!(text(&conn, req).await.unwrap(), "hello");
        assert_eq!((conn.available(), site.peer.accepted()), (site.places(), 1));
    }
}

#[tokio::test]
async fn given_back_it_serves_whoever_comes() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        let (id, told) = (conn.id(), noting(&conn));
        assert_eq!(text(&conn, site.get("")).await.unwrap(), "hello");
        let void = conn.reserve().unwrap();
        drop(void);
        conn.into_pool();
        assert_eq!((site.transport.stats().idle, site.transport.stats().open()), (1, 1), "{over:?}");
        assert!(told.lock().unwrap().last().unwrap().2, "there are no more requests for its holder");
        for _ in 0..2 {
            let mut req = site.get("");
            req.extensions_mut().insert(RequestOptions { timings: Some(true), ..RequestOptions::default() });
            let response = site.transport.round_trip(req).await.unwrap();
            let timings = response.extensions().get::<Timings>().unwrap().clone();
            assert_eq!((timings.conn_id(), timings.reused()), (id, true));
            assert_eq!(response.text().await.unwrap(), "hello");
        }
        assert_eq!((site.peer.accepted(), site.transport.stats().reused), (1, 2));
        // It is the pool's in all respects.
        site.cut.notify_one();
        until(|| site.transport.stats().open() == 0).await;
        assert_eq!(site.transport.stats().closed.by(CloseReason::ClosedByPeer), 1);
    }
}

#[tokio::test]
async fn given_back_while_in_use_it_goes_at_the_end() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        let response = conn.round_trip(site.get("half")).await.unwrap();
        conn.into_pool();
        assert_eq!(site.transport.stats().open(), 0);
        site.gate.add_permits(1);
        assert_eq!(response.text().await.unwrap(), "hello");
        assert_eq!(site.transport.stats().idle, 1, "{over:?}: at the end of the body");

        // What was reserved is void.
        let conn = site.hold().await;
        let place = conn.reserve().unwrap();
        conn.into_pool();
        let error = place.round_trip(site.get("")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Canceled);
        assert!(error.to_string().ends_with("takes no more requests: it was given to the pool"), "{error}");
        until(|| site.transport.stats().idle == 2).await;
    }
}

#[tokio::test]
async fn given_back_it_serves_who_waits() {
    for over in ALL {
        let site = Site::with(over, |config| config.max_conns_per_host = Some(1)).await;
        let conn = site.hold().await;
        let busy = site.transport.round_trip(site.get("half")).await.unwrap();
        let more: Vec<_> = (1..site.places()).map(|_| site.transport.round_trip(site.get("half"))).collect();
        let mut streams = Vec::new();
        for request in more {
            streams.push(request.await.unwrap());
        }
        let waiting = {
            let (transport, req) = (site.transport.clone(), site.get(""));
            tokio::spawn(async move { transport.round_trip(req).await.unwrap().text().await.unwrap() })
        };
        until(|| site.transport.stats().waiting == 1).await;
        // The host is full: there is no room for it.
        conn.into_pool();
        until(|| site.ended() == 1).await;
        assert_eq!(site.transport.stats().closed.by(CloseReason::Surplus), 1, "{over:?}");
        // With room, it is whose turn it is that gets it.
        let conn = site.hold().await;
        site.transport.update(|config| config.max_conns_per_host = Some(2));
        conn.into_pool();
        assert_eq!(waiting.await.unwrap(), "hello");
        drop((busy, streams));
    }
}

#[tokio::test]
async fn what_the_pool_has_no_use_for_is_closed() {
    for over in ALL {
        for (change, reason) in [
            ((|config| config.max_idle_conns_per_host = 0) as fn(&mut TransportConfig), CloseReason::NotPersistent),
            (|config| config.max_requests_per_conn = Some(1), CloseReason::MaxRequests),
            (|config| config.max_conn_age = Some(Duration::ZERO), CloseReason::MaxAge),
        ] {
            let site = Site::with(over, change).await;
            let conn = site.hold().await;
            assert_eq!(text(&conn, site.get("")).await.unwrap(), "hello");
            conn.into_pool();
            assert_eq!(site.transport.stats().open(), 0, "{over:?}");
            assert_eq!(site.transport.stats().closed.by(reason), 1, "{over:?} {reason}");
            until(|| site.ended() == 1).await;
        }
        // One that has died meanwhile does not get there at all.
        let site = Site::new(over).await;
        let conn = site.hold().await;
        site.cut.notify_one();
        until(|| conn.error().is_some()).await;
        conn.into_pool();
        assert_eq!((site.transport.stats().open(), site.transport.stats().created), (0, 0));
    }
}

#[tokio::test]
async fn a_transport_that_is_shut_down_opens_none_and_leaves_those_that_are_held() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        site.transport.shutdown(Duration::from_secs(60)).await;
        assert_eq!(text(&conn, site.get("")).await.unwrap(), "hello");
        let error = site.transport.client_conn(&site.url.parse().unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Canceled);
        assert_eq!(error.to_string(), format!("GET {}: the transport was shut down", site.url));
        conn.into_pool();
        until(|| site.ended() == 1).await;
        assert_eq!((site.transport.stats().open(), site.peer.accepted()), (0, 1));
    }
}

#[tokio::test]
async fn closed_it_fails_what_is_on_its_way_and_dropped_it_does_not() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = Arc::new(site.hold().await);
        let told = noting(&conn);
        let running = {
            let (conn, req) = (Arc::clone(&conn), site.get("gated"));
            tokio::spawn(async move { text(&conn, req).await })
        };
        until(|| site.peer.heads().len() == 1).await;
        conn.close();
        let error = running.await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.was_sent()), (ErrorKind::Canceled, true), "{over:?} {error}");
        assert!(error.to_string().contains("the program closed the connection, which it held"), "{error}");
        let error = conn.error().unwrap();
        assert_eq!(error.kind(), ErrorKind::Canceled);
        assert!(error.to_string().ends_with("the program closed it"), "{error}");
        until(|| told.lock().unwrap().last() == Some(&(0, 0, true))).await;
        conn.close();
        site.gate.add_permits(1);
        until(|| site.ended() == 1).await;

        // At rest, reserved or not.
        let conn = site.hold().await;
        let place = conn.reserve().unwrap();
        conn.close();
        until(|| site.ended() == 2).await;
        assert_eq!(place.round_trip(site.get("")).await.unwrap_err().kind(), ErrorKind::Canceled);

        let conn = site.hold().await;
        let response = conn.round_trip(site.get("half")).await.unwrap();
        drop(conn);
        site.gate.add_permits(1);
        assert_eq!(response.text().await.unwrap(), "hello");
        until(|| site.ended() == 3).await;
        drop(site.hold().await);
        until(|| site.ended() == 4).await;
        assert_eq!(site.transport.stats().created, 0);
    }
}

#[tokio::test]
async fn an_upgrade_takes_http1_away_and_does_not_go_over_http2() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        let mut req = site.get("other");
        req.headers_mut().insert("upgrade", "x".parse().unwrap());
        req.headers_mut().insert("connection", "upgrade".parse().unwrap());
        let answered = conn.round_trip(req).await;
        if site.is_http2() {
            let error = answered.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Request);
            assert!(error.to_string().ends_with("the request needs HTTP/1.1, and the connection speaks HTTP/2"));
            assert!(conn.error().is_none());
            continue;
        }
        let mut response = answered.unwrap();
        let mut stream = Upgraded::take(&mut response).unwrap();
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).await.unwrap();
        assert_eq!(&hello, b"hello");
        assert!(conn.error().unwrap().to_string().ends_with("it went to another protocol"));
        conn.close();
        drop(conn);
        assert_eq!(site.ended(), 0, "it is not the connection's any more");
    }
}

#[tokio::test]
async fn what_it_speaks_can_be_chosen() {
    let authority = Authority::new();
    let peer = either(&authority).await;
    let transport = Transport::with_config(authority.config());
    let uri = http2::url(&peer).parse().unwrap();
    let choose = |protocols| RequestOptions { protocols: Some(protocols), ..RequestOptions::default() };
    let conn = transport.client_conn_with(&uri, choose(Protocols::Http1)).await.unwrap();
    assert_eq!(conn.version(), Version::HTTP_11);
    let mut req = get(uri.to_string());
    req.extensions_mut().insert(choose(Protocols::Http2));
    let error = conn.round_trip(req).await.unwrap_err();
    assert!(error.to_string().ends_with("the request needs HTTP/2, and the connection speaks HTTP/1.1"), "{error}");
    assert_eq!(text(&conn, get(uri.to_string())).await.unwrap(), "hello");
    // Given back, it is found by requests that ask for the same.
    conn.into_pool();
    let mut req = get(uri.to_string());
    req.extensions_mut().insert(choose(Protocols::Http1));
    let response = transport.round_trip(req).await.unwrap();
    assert_eq!((response.version(), peer.accepted()), (Version::HTTP_11, 1));

    let old = Peer::https(authority.server("h.test", &["http/1.1"]), "").await;
    let uri = http2::url(&old).parse().unwrap();
    let error = transport.client_conn_with(&uri, choose(Protocols::Http2)).await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Connect, Some(Phase::Tls)));
    assert!(error.to_string().ends_with("the server does not speak HTTP/2, and nothing else is wanted"), "{error}");
}

#[tokio::test]
async fn it_goes_through_proxies_as_the_pools_do() {
    // Plain text is forwarded, with the whole URL.
    let px = proxy(None).await;
    let through = ProxyConfig::fixed(Proxy::new(&format!("http://u:p@{}", px.addr)).unwrap());
    let transport = Transport::with_config(TransportConfig { proxy: through, ..TransportConfig::default() });
    let conn = transport.client_conn(&"http://h.test/".parse().unwrap()).await.unwrap();
    assert_eq!(text(&conn, get("http://h.test/a")).await.unwrap(), "proxy");
    let head = px.heads().remove(0);
    assert!(head.starts_with("GET http://h.test/a HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("proxy-authorization: Basic dTpw\r\n"), "{head}");
    // The proxy is not what was asked for.
    let error = conn.round_trip(get("http://other.test/")).await.unwrap_err();
    assert!(error.to_string().ends_with("is for http://other.test:80, but the connection leads to http://h.test:80"));
    conn.into_pool();
    assert_eq!(transport.round_trip(get("http://third.test/")).await.unwrap().text().await.unwrap(), "proxy");
    assert_eq!(px.accepted(), 1);

    for over in [Over::Tls, Over::Http2] {
        let site = Site::new(over).await;
        let px = proxy(Some(site.peer.addr)).await;
        let through = ProxyConfig::fixed(Proxy::new(&format!("http://{}", px.addr)).unwrap());
        let options = RequestOptions { proxy: Some(through), ..RequestOptions::default() };
        let conn = site.transport.client_conn_with(&site.url.parse().unwrap(), options).await.unwrap();
        assert_eq!(text(&conn, site.get("")).await.unwrap(), "hello");
        assert_eq!((px.accepted(), conn.info().proxy().is_some()), (1, true));
    }
}

#[tokio::test]
async fn a_server_that_closes_at_once_is_an_error_of_opening_or_of_the_first_request() {
    let peer = Peer::start(|_, stream| async move { drop(stream) }).await;
    let url = format!("http://{}/", peer.addr);
    let transport = Transport::new();
    for _ in 0..20 {
        let error = match transport.client_conn(&url.parse().unwrap()).await {
            Err(error) => error,
            Ok(conn) => text(&conn, get(&url)).await.unwrap_err(),
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
    }
    assert_eq!(transport.stats().created, 0);
}

/// Counts connections that were closed.
#[derive(Default)]
struct Ends(Mutex<Vec<(u64, CloseReason)>>);

impl Events for Ends {
    fn conn_closed(&self, conn: ConnId, reason: CloseReason) {
        self.0.lock().unwrap().push((conn.get(), reason));
    }
}

#[tokio::test]
async fn the_end_is_told_once() {
    for over in ALL {
        let ends = Arc::new(Ends::default());
        let events = Arc::clone(&ends);
        let site = Site::with(over, |config| config.events = Some(events)).await;
        let taken = || std::mem::take(&mut *ends.0.lock().unwrap());
        let conn = site.hold().await;
        conn.close();
        drop(conn);
        until(|| site.ended() == 1).await;
        assert_eq!(taken(), [(1, CloseReason::Requested)], "{over:?}");
        let conn = site.hold().await;
        site.cut.notify_one();
        until(|| conn.error().is_some() && site.ended() == 2).await;
        drop(conn);
        assert_eq!(taken(), [(2, CloseReason::ClosedByPeer)], "{over:?}");
        site.hold().await.into_pool();
        assert_eq!(taken(), []);
        site.transport.close_idle_connections();
        assert_eq!(taken(), [(3, CloseReason::Requested)], "{over:?}");
    }
}

#[tokio::test]
async fn closed_in_the_middle_of_an_exchange_its_end_is_what_the_program_asked_for() {
    for over in ALL {
        let ends = Arc::new(Ends::default());
        let events = Arc::clone(&ends);
        let site = Site::with(over, |config| config.events = Some(events)).await;
        let taken = || std::mem::take(&mut *ends.0.lock().unwrap());
        // Before the head.
        let conn = Arc::new(site.hold().await);
        let running = {
            let (conn, req) = (Arc::clone(&conn), site.get("gated"));
            tokio::spawn(async move { text(&conn, req).await })
        };
        until(|| site.peer.heads().len() == 1).await;
        conn.close();
        assert_eq!(running.await.unwrap().unwrap_err().kind(), ErrorKind::Canceled);
        until(|| !ends.0.lock().unwrap().is_empty()).await;
        assert_eq!(taken(), [(1, CloseReason::Requested)], "{over:?}");
        // In the middle of the body, which is read on or dropped.
        for (at, reads_on) in [(2, true), (3, false)] {
            let conn = site.hold().await;
            let response = conn.round_trip(site.get("endless")).await.unwrap();
            conn.close();
            if reads_on {
                assert_eq!(response.bytes().await.unwrap_err().kind(), ErrorKind::Canceled);
            } else {
                drop(response);
            }
            until(|| !ends.0.lock().unwrap().is_empty()).await;
            assert_eq!(taken(), [(at, CloseReason::Requested)], "{over:?}");
        }
    }
    for over in HTTP1 {
        // One that its holder has merely dropped ends as its request does.
        let ends = Arc::new(Ends::default());
        let events = Arc::clone(&ends);
        let site = Site::with(over, |config| config.events = Some(events)).await;
        let conn = site.hold().await;
        let response = conn.round_trip(site.get("endless")).await.unwrap();
        drop(conn);
        site.cut.notify_one();
        assert_eq!(response.bytes().await.unwrap_err().kind(), ErrorKind::ConnectionLost);
        assert_eq!(*ends.0.lock().unwrap(), [(1, CloseReason::Failed)], "{over:?}");
    }
}
