//! Bodies of requests.

use std::time::Duration;

use http::{HeaderMap, Method};
use roundtrip_transport::{RequestOptions, RoundTripper};
use roundtrip_types::{Body, ErrorKind, MessageExt, Phase, Request};

use super::bodies::pattern;
use super::rig::{all, fetch, run, send, until};

/// A body in pieces, of a length that nobody knows.
fn streamed(pieces: &[&[u8]]) -> Body {
    let (mut sender, body) = Body::channel(pieces.len().max(1));
    for piece in pieces {
        sender.try_send(piece.to_vec()).unwrap();
    }
    sender.finish();
    body
}

#[test]
fn bodies_of_every_kind_arrive_whole_with_their_length() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let whole = pattern(300_000);
        let declared = {
            let mut request = peer.post("/", streamed(&[b"he", b"llo"]));
            request.headers_mut().insert("content-length", "5".parse().unwrap());
            request
        };
        for (request, length, body) in [
            (peer.post("/", "hello"), Some("5"), &b"hello"[..]),
            (peer.post("/", whole.clone()), Some("300000"), &whole[..]),
            (
                peer.post("/", streamed(&[b"one ", &whole[..100_000], b" two"])),
                None,
                &[b"one ", &whole[..100_000], b" two"].concat(),
            ),
            (declared, Some("5"), b"hello"),
            (peer.post("/", Body::empty()), Some("0"), b""),
            (peer.request(Method::PUT, "/", ""), Some("0"), b""),
            (peer.request(Method::DELETE, "/", Body::empty()), None, b""),
            (peer.post("/", streamed(&[])), None, b""),
            // Whoever sends a GET with a body of unknown length mostly has none.
            (peer.request(Method::GET, "/", streamed(&[])), None, b""),
            (peer.request(Method::GET, "/", streamed(&[b"query"])), None, b"query"),
        ] {
            let what = format!("{request:?}");
            let (response, ()) = tokio::join!(fetch(&transport, request), async {
                let mut exchange = peer.next().await;
                assert_eq!(exchange.field("content-length").as_deref(), length, "{what}");
                assert!(exchange.body().await == body, "{what}");
                exchange.answer(200, "got it").await;
            });
            assert_eq!(response.unwrap(), "got it");
        }
        assert_eq!((peer.accepted(), transport.stats().idle), (1, 1));
    });
}

#[test]
fn a_large_body_goes_up_whole() {
    run(all(), async |rig| {
        let whole = pattern(3_000_000);
        let (peer, transport) = (rig.peer().await, rig.transport());
        let (mut sender, body) = Body::channel(1);
        let upload = async {
            for piece in whole.chunks(70_000) {
                sender.send(piece.to_vec()).await.unwrap();
            }
            sender.finish();
        };
        let server = async {
            let mut exchange = peer.next().await;
            let got = exchange.body().await;
            assert!(got == whole, "{} bytes", got.len());
            exchange.answer(200, "got it").await;
        };
        let (response, (), ()) = tokio::join!(fetch(&transport, peer.post("/", body)), upload, server);
        assert_eq!(response.unwrap(), "got it");
        assert_eq!(transport.stats().idle, 1);
    });
}

#[test]
fn trailers_go_up_behind_the_data() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let (mut sender, body) = Body::channel(1);
        sender.try_send("data").unwrap();
        let mut trailers = HeaderMap::new();
        trailers.append("x-sum", "9".parse().unwrap());
        trailers.append("x-sum", "8".parse().unwrap());
        sender.send_trailers(trailers);
        let (response, ()) = tokio::join!(fetch(&transport, peer.post("/", body)), async {
            let mut exchange = peer.next().await;
            assert_eq!(exchange.body().await, b"data");
            let trailers = exchange.trailers().await.unwrap();
            let sums: Vec<_> = trailers.get_all("x-sum").iter().collect();
            assert_eq!(sums, ["9", "8"]);
            exchange.answer(200, "").await;
        });
        response.unwrap();
        assert_eq!(transport.stats().idle, 1);
    });
}

/// Reads a body that does not come to its end.
async fn is_cut(exchange: &mut super::exchange::Exchange) -> bool {
    loop {
        match exchange.chunk().await {
            Some(Ok(_)) => {}
            Some(Err(_)) => return true,
            None => return false,
        }
    }
}

#[test]
fn a_body_that_fails_or_is_not_as_long_as_declared_is_the_callers_error_and_never_looks_whole() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let failing = || {
            let (mut sender, body) = Body::channel(2);
            sender.try_send("half").unwrap();
            sender.abort("disk gone");
            peer.post("/", body)
        };
        let declared = |sent: &[u8]| {
            let mut request = peer.post("/", streamed(&[sent]));
            request.headers_mut().insert("content-length", "5".parse().unwrap());
            request
        };
        for (request, words) in [
            (failing(), "the request's body failed"),
            (declared(b"abc"), "the request's body is 2 bytes too short for its Content-Length"),
            (declared(b"abcdefg"), "the request's body is 2 bytes too long for its Content-Length"),
        ] {
            let error = fetch(&transport, request).await.unwrap_err();
            assert_eq!((error.kind(), error.phase()), (ErrorKind::Body, Some(Phase::Write)), "{error}");
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(transport.stats().in_use, 0);
        }
        drop(transport);
        // Whatever of these came to the server, none was complete.
        while peer.accepted() > peer.ended() {
            tokio::select! {
                biased;
                mut exchange = peer.next() => assert!(is_cut(&mut exchange).await),
                () = tokio::task::yield_now() => {}
            }
        }
    });
}

#[test]
fn a_response_before_the_end_of_the_upload_is_delivered_and_the_rest_stays_here() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let (mut sender, body) = Body::channel(1);
        let upload = tokio::spawn(async move { while sender.send(vec![b'x'; 10_000]).await.is_ok() {} });
        let (response, exchange) = tokio::join!(transport.round_trip(peer.post("/", body)), async {
            let mut exchange = peer.next().await;
            exchange.chunk().await.unwrap().unwrap();
            exchange.begin(413, &[("content-length", "2")]).await;
            exchange.data("no").await;
            exchange.finish(&[]).await;
            exchange
        });
        let response = response.unwrap();
        assert_eq!(response.status(), 413);
        assert_eq!(response.text().await.unwrap(), "no");
        // The server hangs up, or says that the rest is not wanted; the producer hears of it.
        drop(exchange);
        upload.await.unwrap();
        until(|| transport.stats().in_use == 0).await;
        let (next, ()) = tokio::join!(fetch(&transport, peer.get("/")), async {
            peer.next().await.answer(200, "hello").await;
        });
        assert_eq!(next.unwrap(), "hello");
    });
}

#[test]
fn an_upload_may_go_on_behind_the_head_of_its_response() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let (mut sender, body) = Body::channel(1);
        let server = async {
            let mut exchange = peer.next().await;
            exchange.begin(200, &[]).await;
            while let Some(piece) = exchange.chunk().await {
                exchange.data(piece.unwrap()).await;
            }
            exchange.end().await;
        };
        let client = async {
            let mut response = transport.round_trip(peer.post("/", body)).await.unwrap();
            for word in ["one", "two", "three"] {
                sender.send(word).await.unwrap();
                assert_eq!(response.body_mut().chunk().await.unwrap().unwrap(), word);
            }
            // The upload moves on though nobody polls the response.
            for _ in 0..50 {
                sender.send("0123456789").await.unwrap();
            }
            sender.finish();
            assert_eq!(response.text().await.unwrap(), "0123456789".repeat(50));
        };
        tokio::join!(server, client);
        until(|| transport.stats().idle == 1).await;
        assert_eq!(transport.stats().in_use, 0);
    });
}

/// A request that holds its body back for as long as this.
fn expecting(mut request: Request, wait: Duration) -> Request {
    request.headers_mut().insert("expect", "100-continue".parse().unwrap());
    let options = RequestOptions { expect_continue_timeout: Some(wait), ..RequestOptions::default() };
    request.extensions_mut().insert(options);
    request
}

#[test]
fn a_held_body_is_sent_when_the_server_says_so() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let request = expecting(peer.post("/", "data"), Duration::MAX);
        let (response, ()) = tokio::join!(fetch(&transport, request), async {
            let mut exchange = peer.next().await;
            assert_eq!(exchange.field("expect").as_deref(), Some("100-continue"));
            // Nothing of the body may come before the word, however long that takes.
            for _ in 0..100 {
                tokio::select! {
                    biased;
                    piece = exchange.chunk() => panic!("{piece:?} came unasked"),
                    () = tokio::task::yield_now() => {}
                }
            }
            exchange.interim(100, &[]).await;
            assert_eq!(exchange.body().await, b"data");
            exchange.answer(200, "thanks").await;
        });
        assert_eq!(response.unwrap(), "thanks");
        assert_eq!((peer.accepted(), transport.stats().idle), (1, 1));
    });
}

#[test]
fn a_held_body_is_sent_when_the_server_says_nothing() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let request = expecting(peer.post("/", "data"), Duration::from_millis(20));
        let (response, ()) = tokio::join!(fetch(&transport, request), async {
            let mut exchange = peer.next().await;
            assert_eq!(exchange.body().await, b"data");
            exchange.answer(200, "thanks").await;
        });
        assert_eq!(response.unwrap(), "thanks");
    });
}

#[test]
fn a_held_body_stays_here_when_the_server_refuses() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let (mut sender, body) = Body::channel(1);
        let mut request = expecting(peer.post("/", body), Duration::MAX);
        request.headers_mut().insert("connection", "close".parse().unwrap());
        let server = async {
            let mut exchange = peer.next().await;
            exchange.begin(417, &[("content-length", "2")]).await;
            exchange.data("no").await;
            exchange.finish(&[]).await;
            assert!(is_cut(&mut exchange).await, "the body must not look empty");
        };
        let client = async {
            let response = transport.round_trip(request).await.unwrap();
            assert_eq!(response.status(), 417);
            assert_eq!(response.text().await.unwrap(), "no");
        };
        tokio::join!(server, client);
        sender.closed().await;
    });
}

#[test]
fn an_upload_that_is_given_up_is_cut_at_the_server() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let (mut sender, body) = Body::channel(1);
        sender.try_send("begun").unwrap();
        let sending = send(&transport, peer.post("/", body));
        let mut exchange = peer.next().await;
        assert_eq!(exchange.chunk().await.unwrap().unwrap(), b"begun");
        sending.abort();
        assert!(is_cut(&mut exchange).await);
        sender.closed().await;
        until(|| transport.stats().in_use == 0).await;
    });
}
