//! Seeing what a transport does, and steering it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use roundtrip_transport::{
    CloseReason, ConnId, Connected, Events, GotConn, InterimHook, RequestOptions, Reuse, RoundTripper, Timings,
    Transport, TransportConfig, Upgraded,
};
use roundtrip_types::{Body, Error, ErrorKind, MessageExt, Phase};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use crate::peer::{HELLO, Peer, fetch, read_request, until};

/// Writes down what it is told.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Heard {
    fn say(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Events for Heard {
    fn get_conn(&self, _: &str) {
        self.say("get_conn");
    }

    fn connect_start(&self, _: &str) {
        self.say("connect_start");
    }

    fn connect_done(&self, _: &str, result: Result<&Connected, &Error>) {
        self.say(format!("connect_done {}", result.is_ok()));
    }

    fn got_conn(&self, _: &str, conn: &GotConn) {
        self.say(format!("got_conn reused {} idle {}", conn.reused, conn.idle.is_some()));
    }

    fn wrote_headers(&self, _: ConnId) {
        self.say("wrote_headers");
    }

    fn wait_100_continue(&self, _: ConnId) {
        self.say("wait_100_continue");
    }

    fn got_1xx_response(&self, _: ConnId, status: StatusCode, _: &HeaderMap) {
        self.say(format!("got_1xx {}", status.as_u16()));
    }

    fn wrote_request(&self, _: ConnId, result: Result<(), &str>) {
        self.say(format!("wrote_request {}", result.is_ok()));
    }

    fn got_first_response_byte(&self, _: ConnId) {
        self.say("got_first_response_byte");
    }

    fn put_idle_conn(&self, _: ConnId) {
        self.say("put_idle_conn");
    }

    fn conn_closed(&self, _: ConnId, reason: CloseReason) {
        self.say(format!("conn_closed {reason}"));
    }

    fn retry(&self, attempt: u32, error: &Error) {
        self.say(format!("retry {attempt} {:?}", error.kind()));
    }
}

fn listening() -> (Arc<Heard>, Transport) {
    let heard = Arc::new(Heard::default());
    let events: Option<Arc<dyn Events>> = Some(Arc::clone(&heard) as Arc<dyn Events>);
    (heard, Transport::with_config(TransportConfig { events, ..TransportConfig::default() }))
}

#[tokio::test]
async fn everything_that_happens_is_told_in_order() {
    let peer = Peer::answering(HELLO).await;
    let (heard, transport) = listening();
    fetch(&transport, peer.get("/")).await.unwrap();
    assert_eq!(
        heard.take(),
        [
            "get_conn",
            "connect_start",
            "connect_done true",
            "got_conn reused false idle false",
            "wrote_headers",
            "wrote_request true",
            "got_first_response_byte",
            "put_idle_conn"
        ]
    );
    fetch(&transport, peer.get("/")).await.unwrap();
    assert_eq!(heard.take()[..2], ["get_conn", "got_conn reused true idle true"]);
    transport.close_idle_connections();
    assert_eq!(heard.take(), ["conn_closed requested"]);
}

#[tokio::test]
async fn a_repetition_is_told_and_shows_in_the_statistics_and_timings() {
    let peer = Peer::start(|number, mut stream| async move {
        for answered in 0.. {
            if read_request(&mut stream).await.is_none() || (number == 1 && answered == 1) {
                return;
            }
            stream.write_all(HELLO.as_bytes()).await.unwrap();
        }
    })
    .await;
    let (heard, transport) = listening();
    fetch(&transport, peer.get("/")).await.unwrap();
    heard.take();
    let mut req = peer.get("/");
    req.extensions_mut().insert(RequestOptions { timings: Some(true), ..RequestOptions::default() });
    let response = transport.round_trip(req).await.unwrap();
    let timings = response.extensions().get::<Timings>().cloned().unwrap();
    assert_eq!((timings.attempts(), timings.reused(), timings.idle()), (2, false, None));
    assert!(heard.take().contains(&"retry 1 ConnectionLost".to_owned()));
    let stats = transport.stats_for(peer.get("/").uri()).unwrap();
    assert_eq!((stats.retried, stats.created, stats.closed.by(CloseReason::Failed)), (1, 2, 1));
    assert_eq!(stats.wait_time.count(), 2, "two requests waited for a connection");
}

#[tokio::test]
async fn timings_tell_the_phases_and_the_end_of_the_body() {
    let goes_on = Arc::new(Notify::new());
    let peer = {
        let goes_on = Arc::clone(&goes_on);
        Peer::start(move |_, mut stream| {
            let goes_on = Arc::clone(&goes_on);
            async move {
                while read_request(&mut stream).await.is_some() {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe").await.unwrap();
                    goes_on.notified().await;
                    stream.write_all(b"llo").await.unwrap();
                }
            }
        })
        .await
    };
    let transport = Transport::with_config(TransportConfig { timings: true, ..TransportConfig::default() });
    let response = transport.round_trip(peer.get("/")).await.unwrap();
    let timings = response.extensions().get::<Timings>().cloned().unwrap();
    assert_eq!((timings.body(), timings.attempts(), timings.reused()), (None, 1, false));
    assert!(timings.connect().is_some() && timings.dns().is_none() && timings.tls().is_none());
    let before = timings.total();
    goes_on.notify_one();
    assert_eq!(response.text().await.unwrap(), "hello");
    assert!(timings.body().is_some() && timings.total() >= before);
    assert_eq!(timings.conn_info().peer().to_string(), peer.addr.to_string());
    // Not asked for, not there.
    let plain = Transport::new().round_trip(peer.get("/")).await.unwrap();
    assert!(plain.extensions().get::<Timings>().is_none());
}

#[tokio::test]
async fn interim_responses_go_to_whoever_asked() {
    let peer = Peer::answering(
        "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let (seen, hook) = {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&seen);
        let hook = InterimHook::new(move |status, headers| {
            into.lock().unwrap().push((status.as_u16(), headers.get("link").cloned()));
        });
        (seen, hook)
    };
    let mut req = peer.get("/");
    req.extensions_mut().insert(RequestOptions { on_interim: Some(hook), ..RequestOptions::default() });
    fetch(&Transport::new(), req).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [(103, Some("</a>".parse().unwrap())), (102, None)]);
}

#[tokio::test]
async fn connections_opened_ahead_serve_the_requests_that_follow() {
    let peer = Peer::answering(HELLO).await;
    let transport =
        Transport::with_config(TransportConfig { max_conns_per_host: Some(3), ..TransportConfig::default() });
    let uri = peer.get("/").uri().clone();
    assert_eq!(transport.warm(&uri, 5).await.unwrap(), 3, "no more than the limit allows");
    assert_eq!((transport.stats().idle, transport.stats().dialing), (3, 0));
    fetch(&transport, peer.get("/")).await.unwrap();
    assert_eq!((peer.accepted(), transport.stats().reused), (3, 1));
}

#[tokio::test]
async fn opening_ahead_says_why_it_failed() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let transport = Transport::new();
    let error = transport.warm(&uri, 2).await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Connect, Some(Phase::Connect)), "{error}");
    assert_eq!((transport.stats().dialing, transport.stats().dials_failed), (0, 2));
}

#[tokio::test]
async fn an_evicted_host_loses_its_connections_and_others_keep_theirs() {
    let (moved, stays) = (Peer::answering(HELLO).await, Peer::answering(HELLO).await);
    let transport = Transport::new();
    for peer in [&moved, &stays] {
        fetch(&transport, peer.get("/")).await.unwrap();
    }
    transport.evict(moved.get("/").uri()).unwrap();
    moved.wait_ended(1).await;
    for peer in [&moved, &stays] {
        fetch(&transport, peer.get("/")).await.unwrap();
    }
    assert_eq!((moved.accepted(), stays.accepted()), (2, 1));
}

#[tokio::test]
async fn a_request_can_have_a_connection_of_its_own() {
    let peer = Peer::answering(HELLO).await;
    let transport = Transport::new();
    fetch(&transport, peer.get("/")).await.unwrap();
    for (reuse, idle) in [(Reuse::Fresh, 2), (Reuse::Never, 2)] {
        let mut req = peer.get("/");
        req.extensions_mut().insert(RequestOptions { reuse, ..RequestOptions::default() });
        fetch(&transport, req).await.unwrap();
        assert_eq!(transport.stats().idle, idle, "{reuse:?}");
    }
    assert_eq!(peer.accepted(), 3);
}

#[tokio::test]
async fn an_idle_connection_that_dies_leaves_the_pool_without_being_asked_for() {
    let hang_up = Arc::new(Notify::new());
    let peer = {
        let hang_up = Arc::clone(&hang_up);
        Peer::start(move |_, mut stream| {
            let hang_up = Arc::clone(&hang_up);
            async move {
                read_request(&mut stream).await;
                stream.write_all(HELLO.as_bytes()).await.unwrap();
                hang_up.notified().await;
            }
        })
        .await
    };
    let transport = Transport::new();
    fetch(&transport, peer.get("/")).await.unwrap();
    assert_eq!(transport.stats().idle, 1);
    hang_up.notify_one();
    until(|| transport.stats().idle == 0).await;
    assert_eq!(transport.stats().closed.by(CloseReason::ClosedByPeer), 1);
}

#[tokio::test]
async fn a_protocol_switch_hands_the_stream_over_with_what_came_already() {
    let peer = Peer::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nearly ")
            .await
            .unwrap();
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
    })
    .await;
    let transport = Transport::new();
    let mut req = peer.get("/");
    req.headers_mut().insert("upgrade", "echo".parse().unwrap());
    req.headers_mut().insert("connection", "upgrade".parse().unwrap());
    let mut response = transport.round_trip(req).await.unwrap();
    assert_eq!(response.status(), 101);
    let mut stream = Upgraded::take(&mut response).unwrap();
    assert!(Upgraded::take(&mut response).is_none());
    stream.write_all(b"late").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = String::new();
    stream.read_to_string(&mut back).await.unwrap();
    assert_eq!(back, "early late");
    assert_eq!((transport.stats().open(), transport.stats().closed.by(CloseReason::Upgraded)), (0, 1));
}

#[tokio::test]
async fn connect_opens_a_tunnel() {
    let peer = Peer::start(|_, mut stream| async move {
        let head = read_request(&mut stream).await.unwrap();
        assert!(head.starts_with("CONNECT far.test:443 HTTP/1.1\r\nhost: far.test:443\r\n"), "{head}");
        stream.write_all(b"HTTP/1.1 200 Go\r\n\r\nhi").await.unwrap();
    })
    .await;
    let mut req = peer.request(http::Method::CONNECT, "/", Body::empty());
    req.headers_mut().insert("host", "far.test:443".parse().unwrap());
    let mut response = Transport::new().round_trip(req).await.unwrap();
    let mut said = String::new();
    Upgraded::take(&mut response).unwrap().read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "hi");
}

#[tokio::test]
async fn a_shutdown_lets_what_is_under_way_end_and_refuses_the_rest() {
    let goes_on = Arc::new(Notify::new());
    let peer = {
        let goes_on = Arc::clone(&goes_on);
        Peer::start(move |number, mut stream| {
            let goes_on = Arc::clone(&goes_on);
            async move {
                while read_request(&mut stream).await.is_some() {
                    if number == 1 {
                        goes_on.notified().await;
                    }
                    stream.write_all(HELLO.as_bytes()).await.unwrap();
                }
            }
        })
        .await
    };
    let transport =
        Transport::with_config(TransportConfig { max_conns_per_host: Some(1), ..TransportConfig::default() });
    let under_way = tokio::spawn({
        let (transport, req) = (transport.clone(), peer.get("/"));
        async move { fetch(&transport, req).await }
    });
    until(|| peer.accepted() == 1).await;
    let waiting = tokio::spawn({
        let (transport, req) = (transport.clone(), peer.get("/"));
        async move { fetch(&transport, req).await }
    });
    until(|| transport.stats().waiting == 1).await;
    let stopping = tokio::spawn({
        let transport = transport.clone();
        async move { transport.shutdown(Duration::from_secs(30)).await }
    });
    for refused in [waiting.await.unwrap().unwrap_err(), fetch(&transport, peer.get("/")).await.unwrap_err()] {
        assert_eq!(
            (refused.kind(), refused.phase(), refused.was_sent()),
            (ErrorKind::Canceled, Some(Phase::Queue), false)
        );
    }
    goes_on.notify_one();
    assert_eq!(under_way.await.unwrap().unwrap(), "hello");
    let report = stopping.await.unwrap();
    assert_eq!((report.finished, report.cut, transport.stats().open()), (1, 0, 0));
    peer.wait_ended(1).await;
}

#[tokio::test]
async fn a_shutdown_whose_time_is_up_cuts() {
    let peer = Peer::start(|number, mut stream| async move {
        read_request(&mut stream).await;
        if number == 2 {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await.unwrap();
        }
        // Until the client hangs up.
        let _ = stream.read(&mut [0]).await;
    })
    .await;
    let transport = Transport::new();
    let head = tokio::spawn({
        let (transport, req) = (transport.clone(), peer.get("/"));
        async move { fetch(&transport, req).await }
    });
    until(|| peer.accepted() == 1).await;
    let mut response = transport.round_trip(peer.get("/")).await.unwrap();
    assert_eq!(response.body_mut().chunk().await.unwrap().unwrap(), "half");
    let body = tokio::spawn(response.text());
    tokio::task::yield_now().await;
    let report = transport.shutdown(Duration::from_millis(10)).await;
    assert_eq!((report.finished, report.cut), (0, 2));
    for (cut, phase) in [(head.await.unwrap(), Phase::Wait), (body.await.unwrap(), Phase::Body)] {
        let error = cut.unwrap_err();
        assert_eq!(
            (error.kind(), error.phase(), error.was_sent()),
            (ErrorKind::Canceled, Some(phase), true),
            "{error}"
        );
    }
    peer.wait_ended(2).await;
    assert_eq!(transport.stats().open(), 0);
}
