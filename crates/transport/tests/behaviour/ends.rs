//! Requests that are given up, run out of time, or fail.

use std::time::Duration;

use roundtrip_transport::{RequestOptions, RoundTripper};
use roundtrip_types::{Body, Error, ErrorKind, MessageExt, Phase, Request};

use super::peer::Peer;
use super::rig::{all, fetch, run, send, until};

/// One more request, which is answered.
async fn goes_on(transport: &roundtrip_transport::Transport, peer: &Peer) {
    let (next, ()) = tokio::join!(fetch(transport, peer.get("/next")), async {
        peer.next().await.answer(200, "hello").await;
    });
    assert_eq!(next.unwrap(), "hello");
}

#[test]
fn a_request_that_is_given_up_is_told_to_the_server_and_costs_nothing_else() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        goes_on(&transport, &peer).await;
        let sending = send(&transport, peer.get("/"));
        let mut exchange = peer.next().await;
        assert_eq!(transport.stats().in_use, 1);
        sending.abort();
        exchange.given_up().await;
        until(|| transport.stats().in_use == 0).await;
        goes_on(&transport, &peer).await;
    });
}

#[test]
fn a_request_that_is_given_up_while_it_waits_for_a_connection_leaves_its_place() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let never = peer.post("/", "never");
        let mut sending = Box::pin(transport.round_trip(never));
        // Polled once: it has begun to dial.
        tokio::select! {
            biased;
            _ = &mut sending => panic!("nobody answers"),
            () = std::future::ready(()) => {}
        }
        assert_eq!((transport.stats().waiting, transport.stats().dialing), (1, 1));
        drop(sending);
        assert_eq!(transport.stats().waiting, 0);
        goes_on(&transport, &peer).await;
        until(|| transport.stats().dialing == 0).await;
    });
}

/// A request with limits.
fn limited(mut request: Request, limits: RequestOptions) -> Request {
    request.extensions_mut().insert(limits);
    request
}

fn options() -> RequestOptions {
    RequestOptions::default()
}

fn timed_out(error: &Error, phase: Phase, words: &str) {
    assert_eq!((error.kind(), error.phase(), error.was_sent()), (ErrorKind::Timeout, Some(phase), true), "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn each_limit_on_the_head_names_itself() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        goes_on(&transport, &peer).await;
        let limit = Some(Duration::from_secs(7));
        for (limits, words) in [
            (
                RequestOptions { response_header_timeout: limit, ..options() },
                "the response's head did not come within 7s (response_header_timeout)",
            ),
            (
                RequestOptions { total_timeout: limit, ..options() },
                "the response's head did not come within 7s (total_timeout)",
            ),
        ] {
            // The time stands still until everybody waits.
            tokio::time::pause();
            let began = tokio::time::Instant::now();
            let (result, mut exchange) =
                tokio::join!(transport.round_trip(limited(peer.get("/"), limits)), peer.next());
            timed_out(&result.unwrap_err(), Phase::Wait, words);
            assert_eq!(began.elapsed().as_secs(), 7);
            tokio::time::resume();
            exchange.given_up().await;
            until(|| transport.stats().in_use == 0).await;
            goes_on(&transport, &peer).await;
        }
        // HTTP/2 gives the stream up, and not the connection.
        assert_eq!(transport.stats().closed.total(), if rig.is_http2() { 0 } else { 2 });
    });
}

#[test]
fn each_limit_on_the_body_names_itself() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        goes_on(&transport, &peer).await;
        let limit = Some(Duration::from_secs(7));
        for (limits, words) in [
            (
                RequestOptions { body_gap_timeout: limit, ..options() },
                "the server sent nothing more of the body within 7s (body_gap_timeout)",
            ),
            (RequestOptions { total_timeout: limit, ..options() }, "the body did not end within 7s (total_timeout)"),
        ] {
            let (response, exchange) = tokio::join!(transport.round_trip(limited(peer.get("/"), limits)), async {
                let mut exchange = peer.next().await;
                exchange.begin(200, &[("content-length", "9")]).await;
                exchange.data("half").await;
                exchange
            });
            let mut response = response.unwrap();
            assert_eq!(response.body_mut().chunk().await.unwrap().unwrap(), "half");
            tokio::time::pause();
            let error = response.body_mut().chunk().await.unwrap().unwrap_err();
            tokio::time::resume();
            timed_out(&error, Phase::Body, words);
            assert!(error.to_string().contains("after 4 of 9 bytes"), "{error}");
            drop((response, exchange));
            until(|| transport.stats().in_use == 0).await;
            goes_on(&transport, &peer).await;
        }
        // HTTP/2 gives the stream up, and not the connection.
        assert_eq!(transport.stats().closed.total(), if rig.is_http2() { 0 } else { 2 });
    });
}

#[test]
fn a_body_that_comes_slowly_but_in_time_is_read_to_its_end() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let limits = RequestOptions { body_gap_timeout: Some(Duration::from_secs(7)), ..options() };
        let server = async {
            let mut exchange = peer.next().await;
            exchange.begin(200, &[]).await;
            tokio::time::pause();
            for _ in 0..5 {
                exchange.data("piece ").await;
                tokio::time::sleep(Duration::from_secs(6)).await;
            }
            exchange.end().await;
        };
        let (text, ()) = tokio::join!(fetch(&transport, limited(peer.get("/"), limits)), server);
        assert_eq!(text.unwrap(), "piece ".repeat(5));
    });
}

#[test]
fn an_upload_that_does_not_end_in_time_is_a_timeout_of_its_phase() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        goes_on(&transport, &peer).await;
        let (sender, body) = Body::channel(1);
        let limits = RequestOptions { total_timeout: Some(Duration::from_secs(7)), ..options() };
        tokio::time::pause();
        let (result, _exchange) =
            tokio::join!(transport.round_trip(limited(peer.post("/", body), limits)), peer.next());
        timed_out(&result.unwrap_err(), Phase::Write, "the request was not sent within 7s (total_timeout)");
        drop(sender);
    });
}

#[test]
fn a_server_that_hangs_up_without_an_answer_is_named_and_not_asked_again() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let (result, ()) = tokio::join!(fetch(&transport, peer.get("/x")), async { peer.next().await.hang_up() });
        let error = result.unwrap_err();
        assert_eq!(
            (error.kind(), error.phase(), error.was_sent()),
            (ErrorKind::ConnectionLost, Some(Phase::Wait), true),
            "{error}"
        );
        let line = error.to_string();
        assert!(line.starts_with(&format!("GET {}: ", peer.url("/x"))), "{line}");
        assert!(line.contains("the server closed ") || line.contains("the connection "), "{line}");
        assert!(line.contains(&format!("connection 1 to {}", peer.addr)) && line.contains("(new "), "{line}");
        assert!(!line.contains('\n'), "{line:?}");
        assert_eq!((peer.accepted(), transport.stats().retried, transport.stats().in_use), (1, 0, 0));
        goes_on(&transport, &peer).await;
    });
}

#[test]
fn a_server_that_breaks_off_one_request_fails_that_one() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let other = send(&transport, peer.get("/other"));
        let other_exchange = peer.next().await;
        let (result, ()) = tokio::join!(fetch(&transport, peer.get("/x")), async { peer.next().await.abort() });
        let error = result.unwrap_err();
        assert_eq!(
            (error.kind(), error.phase(), error.was_sent()),
            (ErrorKind::ConnectionLost, Some(Phase::Wait), true),
            "{error}"
        );
        other_exchange.answer(200, "unharmed").await;
        assert_eq!(other.await.unwrap().unwrap().text().await.unwrap(), "unharmed");
    });
}

#[test]
fn a_port_where_nobody_listens_is_named_and_nothing_was_sent() {
    run(all(), async |rig| {
        let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let transport = rig.transport();
        let scheme = if rig.protocol.is_tls() { "https" } else { "http" };
        let url = format!("{scheme}://h.test:{}/", unused.port());
        let error = transport.round_trip(http::Request::get(&url).body(Body::empty()).unwrap()).await.unwrap_err();
        assert_eq!((error.kind(), error.phase(), error.was_sent()), (ErrorKind::Connect, Some(Phase::Connect), false));
        let line = error.to_string();
        assert!(line.starts_with(&format!("GET {url}: connect {unused}: ")), "{line}");
        assert!(line.contains("refused"), "{line}");
        let stats = transport.stats();
        assert_eq!((stats.open(), stats.dialing, stats.waiting, stats.dials_failed), (0, 0, 0, 1));
    });
}
