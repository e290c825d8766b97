//! What a program can see of an exchange.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use roundtrip_transport::{
    CloseReason, ConnId, Connected, Events, GotConn, InterimHook, RequestOptions, RoundTripper, Timings, Transport,
    TransportConfig,
};
use roundtrip_types::{Error, ErrorKind, MessageExt, Phase};

use super::rig::{Rig, all, fetch, run};

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

fn listening(rig: Rig) -> (Arc<Heard>, Transport) {
    let heard = Arc::new(Heard::default());
    let events: Option<Arc<dyn Events>> = Some(Arc::clone(&heard) as Arc<dyn Events>);
    (heard, Transport::with_config(TransportConfig { events, ..rig.config() }))
}

#[test]
fn everything_that_happens_is_told_in_order() {
    run(all(), async |rig| {
        let peer = rig.greeting().await;
        let (heard, transport) = listening(rig);
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
        fetch(&transport, peer.post("/", "data")).await.unwrap();
        assert_eq!(
            heard.take(),
            [
                "get_conn",
                "got_conn reused true idle true",
                "wrote_headers",
                "wrote_request true",
                "got_first_response_byte",
                "put_idle_conn"
            ]
        );
        transport.close_idle_connections();
        assert_eq!(heard.take(), ["conn_closed requested"]);
    });
}

#[test]
fn waiting_for_the_servers_word_is_told() {
    run(all(), async |rig| {
        let peer = rig.serving(async |mut exchange| {
            exchange.interim(100, &[]).await;
            exchange.answer(200, "thanks").await;
        });
        let peer = peer.await;
        let (heard, transport) = listening(rig);
        let mut request = peer.post("/", "data");
        request.headers_mut().insert("expect", "100-continue".parse().unwrap());
        fetch(&transport, request).await.unwrap();
        assert_eq!(
            heard.take()[4..],
            [
                "wrote_headers",
                "wait_100_continue",
                "got_first_response_byte",
                "got_1xx 100",
                "wrote_request true",
                "put_idle_conn"
            ]
        );
    });
}

#[test]
fn a_repetition_is_told_and_counted() {
    run(all(), async |rig| {
        let (peer, (heard, transport)) = (rig.peer().await, listening(rig));
        tokio::join!(async { fetch(&transport, peer.get("/")).await.unwrap() }, async {
            peer.next().await.answer(200, "").await
        });
        heard.take();
        let mut request = peer.get("/");
        request.extensions_mut().insert(RequestOptions { timings: Some(true), ..RequestOptions::default() });
        let (response, ()) = tokio::join!(transport.round_trip(request), async {
            peer.next().await.hang_up();
            peer.next().await.answer(200, "").await;
        });
        let timings = response.unwrap().extensions().get::<Timings>().cloned().unwrap();
        assert_eq!((timings.attempts(), timings.reused(), timings.idle()), (2, false, None));
        let heard = heard.take();
        assert_eq!(heard.iter().filter(|what| *what == "retry 1 ConnectionLost").count(), 1, "{heard:?}");
        let stats = transport.stats_for(peer.get("/").uri()).unwrap();
        assert_eq!((stats.retried, stats.created, stats.open()), (1, 2, 1));
    });
}

#[test]
fn interim_responses_go_to_whoever_asked_and_are_skipped_otherwise() {
    run(all(), async |rig| {
        let peer = rig.serving(async |mut exchange| {
            exchange.interim(103, &[("link", "</a>"), ("link", "</b>")]).await;
            exchange.interim(102, &[]).await;
            exchange.answer_with(200, &[("x-a", "b")], "hello").await;
        });
        let (peer, transport) = (peer.await, rig.transport());
        let response = transport.round_trip(peer.get("/")).await.unwrap();
        assert!(response.headers().get("link").is_none(), "they are not mixed into the response");
        assert_eq!(response.headers()["x-a"], "b");
        assert_eq!(response.text().await.unwrap(), "hello");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let hook = {
            let seen = Arc::clone(&seen);
            InterimHook::new(move |status, fields| {
                let links: Vec<_> =
                    fields.get_all("link").iter().map(|link| link.to_str().unwrap().to_owned()).collect();
                seen.lock().unwrap().push((status.as_u16(), links.join(" ")));
            })
        };
        let mut request = peer.get("/");
        request.extensions_mut().insert(RequestOptions { on_interim: Some(hook), ..RequestOptions::default() });
        assert_eq!(fetch(&transport, request).await.unwrap(), "hello");
        assert_eq!(*seen.lock().unwrap(), [(103, "</a> </b>".to_owned()), (102, String::new())]);
        assert_eq!((peer.accepted(), transport.stats().idle), (1, 1));
    });
}

#[test]
fn interim_responses_without_end_are_an_error() {
    run(all(), async |rig| {
        let peer = rig.serving(async |mut exchange| {
            for _ in 0..10_000 {
                if !exchange.try_interim(103, &[("link", "</style.css>; rel=preload")]).await {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
        let peer = peer.await;
        let transport = Transport::with_config(TransportConfig { max_response_header_bytes: 10_000, ..rig.config() });
        let error = fetch(&transport, peer.get("/")).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.phase(), error.was_sent()),
            (ErrorKind::TooLarge, Some(Phase::Wait), true),
            "{error}"
        );
        assert!(
            error.to_string().contains("the response's head is too large") && error.to_string().contains("10000 bytes"),
            "{error}"
        );
        assert_eq!(transport.stats().in_use, 0);
    });
}

#[test]
fn timings_tell_the_phases_and_the_end_of_the_body() {
    run(all(), async |rig| {
        let (peer, transport) =
            (rig.peer().await, Transport::with_config(TransportConfig { timings: true, ..rig.config() }));
        let (response, mut exchange) = tokio::join!(transport.round_trip(peer.get("/")), async {
            let mut exchange = peer.next().await;
            exchange.begin(200, &[]).await;
            exchange.data("hello").await;
            exchange
        });
        let response = response.unwrap();
        let timings = response.extensions().get::<Timings>().cloned().unwrap();
        assert_eq!((timings.body(), timings.attempts(), timings.reused()), (None, 1, false));
        assert_eq!(
            (timings.connect().is_some(), timings.dns(), timings.tls().is_some()),
            (true, None, rig.protocol.is_tls())
        );
        assert_eq!(timings.conn_info().peer().to_string(), peer.addr.to_string());
        assert_eq!(
            timings.conn_info().alpn(),
            match (rig.protocol.is_tls(), rig.is_http2()) {
                (true, true) => Some(&b"h2"[..]),
                (true, false) => Some(&b"http/1.1"[..]),
                (false, _) => None,
            }
        );
        let before = timings.total();
        exchange.finish(&[]).await;
        assert_eq!(response.text().await.unwrap(), "hello");
        assert!(timings.body().is_some() && timings.total() >= before && timings.total() < Duration::from_secs(60));
        drop(exchange);
        let plain = rig.greeting().await;
        let response = rig.transport().round_trip(plain.get("/")).await.unwrap();
        assert!(response.extensions().get::<Timings>().is_none(), "not asked for");
    });
}
