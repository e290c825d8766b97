//! Which connection carries a request, and what becomes of it.

use std::time::Duration;

use roundtrip_transport::{CloseReason, RequestOptions, Reuse, RoundTripper, Transport, TransportConfig};
use roundtrip_types::{ErrorKind, MessageExt, Phase};

use super::rig::{all, fetch, only_http1, run, send, until};

#[test]
fn requests_in_sequence_use_one_connection() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.greeting().await, rig.transport());
        for n in 0..5 {
            let request = if n % 2 == 0 { peer.get("/") } else { peer.post("/", "data") };
            let response = transport.round_trip(request).await.unwrap();
            // In another task: where a body is read does not matter.
            assert_eq!(tokio::spawn(response.text()).await.unwrap().unwrap(), "hello");
            assert_eq!((transport.stats().in_use, transport.stats().idle), (0, 1));
        }
        let stats = transport.stats();
        assert_eq!((peer.accepted(), stats.created, stats.reused), (1, 1, 4));
    });
}

#[test]
fn requests_at_once_have_a_connection_each_or_share_one() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let sending: Vec<_> = (0..5).map(|n| send(&transport, peer.get(&format!("/{n}")))).collect();
        let mut exchanges = Vec::new();
        for _ in 0..5 {
            exchanges.push(peer.next().await);
        }
        let connections = if rig.is_http2() { 1 } else { 5 };
        assert_eq!((peer.accepted(), transport.stats().in_use), (connections, connections));
        // The last comes first.
        for exchange in exchanges.into_iter().rev() {
            let path = exchange.head.target.clone();
            exchange.answer(200, path).await;
        }
        for (n, sending) in sending.into_iter().enumerate() {
            assert_eq!(
                sending.await.unwrap().unwrap().text().await.unwrap(),
                format!("/{n}"),
                "each gets its own answer"
            );
        }
        assert_eq!((transport.stats().in_use, transport.stats().idle), (0, connections));
    });
}

#[test]
fn a_limit_on_connections_holds_and_everybody_is_served() {
    run(all(), async |rig| {
        let peer = rig.greeting().await;
        let transport = Transport::with_config(TransportConfig { max_conns_per_host: Some(1), ..rig.config() });
        let sending: Vec<_> = (0..20).map(|_| send(&transport, peer.get("/"))).collect();
        for sending in sending {
            assert_eq!(sending.await.unwrap().unwrap().text().await.unwrap(), "hello");
        }
        let stats = transport.stats();
        assert_eq!((peer.accepted(), stats.created, stats.waiting, stats.idle), (1, 1, 0, 1));
    });
}

#[test]
fn a_queue_has_its_limits_in_length_and_time() {
    run(only_http1("over HTTP/2 the requests share the connection and nobody waits"), async |rig| {
        let peer = rig.peer().await;
        let transport = Transport::with_config(TransportConfig {
            max_conns_per_host: Some(1),
            max_waiters_per_host: Some(1),
            wait_timeout: Some(Duration::from_secs(7)),
            ..rig.config()
        });
        let first = send(&transport, peer.get("/"));
        let exchange = peer.next().await;
        let second = send(&transport, peer.get("/"));
        until(|| transport.stats().waiting == 1).await;
        let refused = fetch(&transport, peer.get("/")).await.unwrap_err();
        assert_eq!(
            (refused.kind(), refused.phase(), refused.was_sent()),
            (ErrorKind::Overloaded, Some(Phase::Queue), false)
        );
        tokio::time::pause();
        let late = second.await.unwrap().unwrap_err();
        tokio::time::resume();
        assert_eq!((late.kind(), late.phase(), late.was_sent()), (ErrorKind::Timeout, Some(Phase::Queue), false));
        exchange.answer(200, "hello").await;
        assert_eq!(first.await.unwrap().unwrap().text().await.unwrap(), "hello");
    });
}

#[test]
fn closing_idle_connections_closes_them_and_those_in_use_when_they_come_back() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let serve = async || peer.next().await.answer(200, "hello").await;
        let (idle, ()) = tokio::join!(fetch(&transport, peer.get("/")), serve());
        idle.unwrap();
        transport.close_idle_connections();
        assert_eq!(transport.stats().open(), 0);
        until(|| peer.ended() == 1).await;
        let used = send(&transport, peer.get("/"));
        let exchange = peer.next().await;
        transport.close_idle_connections();
        assert_eq!(transport.stats().in_use, 1);
        exchange.answer(200, "finished").await;
        assert_eq!(used.await.unwrap().unwrap().text().await.unwrap(), "finished");
        until(|| peer.ended() == 2).await;
        assert_eq!((peer.accepted(), transport.stats().open()), (2, 0));
        let (next, ()) = tokio::join!(fetch(&transport, peer.get("/")), serve());
        assert_eq!((next.unwrap().as_str(), peer.accepted(), transport.stats().idle), ("hello", 3, 1));
    });
}

#[test]
fn a_connection_that_the_server_closes_between_requests_is_not_used() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.greeting().await, rig.transport());
        for n in 1..=3 {
            // Neither of these could be repeated.
            let (mut sender, body) = roundtrip_types::Body::channel(1);
            sender.try_send("x").unwrap();
            sender.finish();
            assert_eq!(fetch(&transport, peer.post("/", body)).await.unwrap(), "hello");
            peer.leave();
            until(|| peer.ended() == n && transport.stats().open() == 0).await;
        }
        let stats = transport.stats();
        assert_eq!((peer.accepted(), stats.retried, stats.closed.by(CloseReason::ClosedByPeer)), (3, 0, 3));
    });
}

#[test]
fn a_server_that_goes_away_finishes_what_it_has_and_gets_nothing_new() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let old = send(&transport, peer.get("/old"));
        let exchange = peer.next().await;
        peer.leave();
        // Those that are sent before the server's word has come are served all the same.
        while peer.accepted() == 1 {
            let new = send(&transport, peer.post("/new", "data"));
            peer.next().await.answer(200, "new").await;
            assert_eq!(new.await.unwrap().unwrap().text().await.unwrap(), "new");
        }
        exchange.answer(200, "old").await;
        assert_eq!(old.await.unwrap().unwrap().text().await.unwrap(), "old");
        until(|| peer.ended() == 1 && transport.stats().open() == 1).await;
        assert_eq!(peer.accepted(), 2);
    });
}

#[test]
fn idle_connections_expire_without_anybody_asking() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.greeting().await, rig.transport());
        fetch(&transport, peer.get("/")).await.unwrap();
        tokio::time::pause();
        tokio::time::sleep(Duration::from_secs(89)).await;
        assert_eq!(transport.stats().idle, 1);
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!((transport.stats().idle, transport.stats().closed.by(CloseReason::IdleTimeout)), (0, 1));
        until(|| peer.ended() == 1).await;
    });
}

#[test]
fn without_keep_alives_each_request_opens_and_closes() {
    run(all(), async |rig| {
        let peer = rig.serving(move |exchange| async move {
            // HTTP/2 has no such field; there the client just closes.
            let closes = exchange.field("connection");
            assert_eq!(closes.as_deref(), if rig.is_http2() { None } else { Some("close") });
            exchange.answer(200, "hello").await;
        });
        let peer = peer.await;
        let transport = Transport::with_config(TransportConfig { disable_keep_alives: true, ..rig.config() });
        for n in 1..=3 {
            assert_eq!(fetch(&transport, peer.get("/")).await.unwrap(), "hello");
            until(|| peer.ended() == n && transport.stats().open() == 0).await;
        }
        assert_eq!(peer.accepted(), 3);
    });
}

#[test]
fn a_request_that_says_close_closes() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.greeting().await, rig.transport());
        for n in 1..=2 {
            let mut request = peer.get("/");
            request.headers_mut().insert("connection", "close".parse().unwrap());
            assert_eq!(fetch(&transport, request).await.unwrap(), "hello");
            until(|| peer.ended() == n && transport.stats().open() == 0).await;
        }
    });
}

#[test]
fn a_request_can_have_a_connection_of_its_own() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.greeting().await, rig.transport());
        fetch(&transport, peer.get("/")).await.unwrap();
        for (reuse, accepted, idle) in [(Reuse::Fresh, 2, 2), (Reuse::Never, 3, 2), (Reuse::Pooled, 3, 2)] {
            let mut request = peer.get("/");
            request.extensions_mut().insert(RequestOptions { reuse, ..RequestOptions::default() });
            assert_eq!(fetch(&transport, request).await.unwrap(), "hello");
            until(|| transport.stats().open() == idle).await;
            assert_eq!((peer.accepted(), transport.stats().idle), (accepted, idle), "{reuse:?}");
        }
        assert_eq!(transport.stats().closed.by(CloseReason::NotPersistent), 1);
    });
}

#[test]
fn old_and_worn_connections_are_replaced() {
    run(all(), async |rig| {
        let peer = rig.greeting().await;
        let worn = Transport::with_config(TransportConfig { max_requests_per_conn: Some(2), ..rig.config() });
        for _ in 0..4 {
            fetch(&worn, peer.get("/")).await.unwrap();
        }
        assert_eq!((peer.accepted(), worn.stats().created), (2, 2));
        let old = Transport::with_config(TransportConfig { max_conn_age: Some(Duration::ZERO), ..rig.config() });
        for _ in 0..2 {
            fetch(&old, peer.get("/")).await.unwrap();
        }
        assert_eq!((peer.accepted(), old.stats().created), (4, 2));
        until(|| peer.ended() == 4).await;
    });
}

#[test]
fn a_host_that_is_evicted_loses_its_connections_and_no_request() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let used = send(&transport, peer.get("/"));
        let exchange = peer.next().await;
        transport.evict(peer.get("/").uri()).unwrap();
        let (next, ()) =
            tokio::join!(fetch(&transport, peer.get("/")), async { peer.next().await.answer(200, "hello").await });
        assert_eq!((next.unwrap().as_str(), peer.accepted()), ("hello", 2));
        exchange.answer(200, "finished").await;
        assert_eq!(used.await.unwrap().unwrap().text().await.unwrap(), "finished");
        until(|| peer.ended() == 1).await;
        assert_eq!(transport.stats().open(), 1);
    });
}

#[test]
fn connections_opened_ahead_serve_the_requests_that_follow() {
    run(all(), async |rig| {
        let peer = rig.greeting().await;
        let transport = Transport::with_config(TransportConfig { max_conns_per_host: Some(3), ..rig.config() });
        let uri = peer.get("/").uri().clone();
        let opened = transport.warm(&uri, 5).await.unwrap();
        assert_eq!(
            (opened, transport.stats().idle, transport.stats().dialing),
            (3, 3, 0),
            "no more than the limit allows"
        );
        fetch(&transport, peer.get("/")).await.unwrap();
        assert_eq!((peer.accepted(), transport.stats().reused), (3, 1));
    });
}

#[test]
fn a_shutdown_lets_what_is_under_way_end_and_refuses_the_rest() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let used = send(&transport, peer.get("/"));
        let exchange = peer.next().await;
        let stopping = tokio::spawn({
            let transport = transport.clone();
            async move { transport.shutdown(Duration::from_secs(30)).await }
        });
        tokio::task::yield_now().await;
        let refused = fetch(&transport, peer.get("/")).await.unwrap_err();
        assert_eq!(
            (refused.kind(), refused.phase(), refused.was_sent()),
            (ErrorKind::Canceled, Some(Phase::Queue), false)
        );
        exchange.answer(200, "finished").await;
        assert_eq!(used.await.unwrap().unwrap().text().await.unwrap(), "finished");
        let report = stopping.await.unwrap();
        assert_eq!((report.finished, report.cut, transport.stats().open()), (1, 0, 0));
        until(|| peer.ended() == 1).await;
    });
}

#[test]
fn a_shutdown_whose_time_is_up_cuts() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let (response, body_exchange) = tokio::join!(transport.round_trip(peer.get("/")), async {
            let mut exchange = peer.next().await;
            exchange.begin(200, &[("content-length", "9")]).await;
            exchange.data("half").await;
            exchange
        });
        let mut response = response.unwrap();
        assert_eq!(response.body_mut().chunk().await.unwrap().unwrap(), "half");
        let head = send(&transport, peer.get("/"));
        let head_exchange = peer.next().await;
        let body = tokio::spawn(response.text());
        tokio::task::yield_now().await;
        let report = transport.shutdown(Duration::from_millis(1)).await;
        assert_eq!((report.finished, report.cut), (0, if rig.is_http2() { 1 } else { 2 }));
        let errors = [(head.await.unwrap().unwrap_err(), Phase::Wait), (body.await.unwrap().unwrap_err(), Phase::Body)];
        for (error, phase) in errors {
            assert_eq!(
                (error.kind(), error.phase(), error.was_sent()),
                (ErrorKind::Canceled, Some(phase), true),
                "{error}"
            );
            assert!(error.to_string().contains("the transport was shut down"), "{error}");
        }
        drop((head_exchange, body_exchange));
        until(|| peer.ended() == peer.accepted()).await;
        let stats = transport.stats();
        assert_eq!((stats.open(), stats.closed.by(CloseReason::Shutdown)), (0, stats.closed.total()));
    });
}

#[test]
fn nothing_is_left_of_a_dropped_transport() {
    run(all(), async |rig| {
        let peer = rig.greeting().await;
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let before = tasks();
        let transport = rig.transport();
        fetch(&transport, peer.get("/")).await.unwrap();
        drop(transport);
        until(|| peer.ended() == 1 && tasks() == before).await;
    });
}
