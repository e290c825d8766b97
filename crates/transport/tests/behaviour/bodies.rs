//! Bodies of responses.

use async_compression::tokio::bufread::GzipEncoder;
use http::{Method, Version};
use http_body::Body as _;
use roundtrip_transport::{RoundTripper, Transport, TransportConfig, Uncompressed};
use roundtrip_types::{Body, ErrorKind, MessageExt, Phase};
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;

use super::rig::{all, fetch, only_http1, only_http2, run, until};

/// Bytes of which none could change places unseen.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at ^ (at >> 8) ^ (at >> 16)).to_le_bytes()[0]).collect()
}

#[test]
fn a_get_brings_status_fields_and_body() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let (response, ()) = tokio::join!(transport.round_trip(peer.get("/a/b?c=%20d&e")), async {
            let exchange = peer.next().await;
            assert_eq!((&*exchange.head.method, &*exchange.head.target), ("GET", "/a/b?c=%20d&e"));
            assert_eq!((exchange.head.host.clone(), exchange.field("content-length")), (peer.authority(), None));
            exchange.answer_with(201, &[("x-a", "b")], "hello").await;
        });
        let response = response.unwrap();
        let version = if rig.is_http2() { Version::HTTP_2 } else { Version::HTTP_11 };
        assert_eq!((response.status().as_u16(), response.version()), (201, version));
        assert_eq!(
            (&response.headers()["x-a"], &response.headers()["content-length"]),
            (&"b".parse().unwrap(), &"5".parse().unwrap())
        );
        assert_eq!(response.body().content_length(), Some(5));
        assert_eq!(response.text().await.unwrap(), "hello");
    });
}

#[test]
fn a_body_of_unknown_length_comes_whole() {
    run(all(), async |rig| {
        let peer = rig.serving(async |mut exchange| {
            exchange.begin(200, &[]).await;
            for piece in ["one ", "two ", "three"] {
                exchange.data(piece).await;
            }
            exchange.end().await;
        });
        let (peer, transport) = (peer.await, rig.transport());
        for _ in 0..2 {
            let response = transport.round_trip(peer.get("/")).await.unwrap();
            assert_eq!((response.body().content_length(), response.headers().get("content-length")), (None, None));
            assert_eq!(response.text().await.unwrap(), "one two three");
        }
        assert_eq!((peer.accepted(), transport.stats().idle), (1, 1));
    });
}

#[test]
fn an_empty_body_is_empty_however_it_is_sent() {
    run(all(), async |rig| {
        let peer = rig.serving(async |mut exchange| {
            let fields: &[_] = if exchange.head.target == "/length" { &[("content-length", "0")] } else { &[] };
            exchange.begin(200, fields).await;
            exchange.end().await;
        });
        let (peer, transport) = (peer.await, rig.transport());
        for path in ["/length", "/nothing", "/length"] {
            assert_eq!(fetch(&transport, peer.get(path)).await.unwrap(), "", "{path}");
        }
        assert_eq!((peer.accepted(), transport.stats().idle), (1, 1));
    });
}

#[test]
fn responses_without_a_body_have_none_and_free_their_connection_with_the_head() {
    run(all(), async |rig| {
        let peer = rig.serving(async |exchange| match exchange.head.target.as_str() {
            "/204" => exchange.bare(204, &[]).await,
            "/304" => exchange.bare(304, &[("content-length", "99"), ("etag", "\"x\"")]).await,
            _ => exchange.bare(200, &[("content-length", "99")]).await,
        });
        let (peer, transport) = (peer.await, rig.transport());
        for (method, path, length) in [
            (Method::GET, "/204", None),
            (Method::GET, "/304", Some("99")),
            (Method::HEAD, "/", Some("99")),
            (Method::HEAD, "/304", Some("99")),
        ] {
            let response = transport.round_trip(peer.request(method.clone(), path, Body::empty())).await.unwrap();
            assert_eq!(
                response.headers().get("content-length").map(|value| value.to_str().unwrap()),
                length,
                "{method} {path}"
            );
            assert!(response.body().is_empty() && response.body().is_end_stream(), "{method} {path}");
            assert_eq!((transport.stats().in_use, transport.stats().idle), (0, 1), "{method} {path}");
        }
        assert_eq!(peer.accepted(), 1);
    });
}

#[test]
fn pieces_are_handed_on_as_they_come() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let (go_on, going_on) = oneshot::channel();
        let server = async {
            let mut exchange = peer.next().await;
            exchange.begin(200, &[]).await;
            exchange.data("early").await;
            going_on.await.unwrap();
            exchange.data("late").await;
            exchange.end().await;
        };
        let client = async {
            let mut response = transport.round_trip(peer.get("/")).await.unwrap();
            assert_eq!(response.body_mut().chunk().await.unwrap().unwrap(), "early");
            go_on.send(()).unwrap();
            assert_eq!(response.body_mut().chunk().await.unwrap().unwrap(), "late");
            assert!(response.body_mut().chunk().await.is_none());
        };
        tokio::join!(server, client);
    });
}

#[test]
fn a_large_body_comes_down_whole() {
    const PIECE: usize = 100_000;
    run(all(), async |rig| {
        let whole = pattern(3_000_000);
        let peer = rig.serving({
            let whole = whole.clone();
            move |mut exchange| {
                let whole = whole.clone();
                async move {
                    let length = whole.len().to_string();
                    let fields: &[_] =
                        if exchange.head.target == "/length" { &[("content-length", length.as_str())] } else { &[] };
                    exchange.begin(200, fields).await;
                    for piece in whole.chunks(PIECE) {
                        assert!(exchange.data(piece).await);
                    }
                    exchange.end().await;
                }
            }
        });
        let (peer, transport) = (peer.await, rig.transport());
        for path in ["/length", "/"] {
            let body = transport.round_trip(peer.get(path)).await.unwrap().bytes().await.unwrap();
            assert!(body == whole, "{} bytes", body.len());
        }
        assert_eq!((peer.accepted(), transport.stats().idle), (1, 1));
    });
}

#[test]
fn trailers_come_behind_the_data() {
    run(all(), async |rig| {
        let peer = rig.serving(async |mut exchange| {
            exchange.begin(200, &[("trailer", "x-sum")]).await;
            exchange.data("abc").await;
            exchange.end_with(&[("x-sum", "6"), ("x-sum", "7")]).await;
        });
        let (peer, transport) = (peer.await, rig.transport());
        let mut response = transport.round_trip(peer.get("/")).await.unwrap();
        assert_eq!(response.headers()["trailer"], "x-sum");
        assert_eq!(response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap(), "abc");
        let trailers = response.body_mut().frame().await.unwrap().unwrap().into_trailers().unwrap();
        let sums: Vec<_> = trailers.get_all("x-sum").iter().collect();
        assert_eq!(sums, ["6", "7"]);
        assert_eq!((transport.stats().in_use, transport.stats().idle), (0, 1), "free before the end is told");
        assert!(response.body_mut().frame().await.is_none());
    });
}

#[test]
fn a_body_that_is_cut_off_is_an_error_that_says_where() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        for (fields, so_far) in
            [(&[("content-length", "9")][..], "after 5 of 9 bytes"), (&[], "after 5 bytes, and more were to come")]
        {
            let (response, exchange) = tokio::join!(transport.round_trip(peer.get("/cut")), async {
                let mut exchange = peer.next().await;
                exchange.begin(200, fields).await;
                exchange.data("hello").await;
                exchange
            });
            let mut response = response.unwrap();
            assert_eq!(response.body_mut().chunk().await.unwrap().unwrap(), "hello");
            exchange.abort();
            let error = response.body_mut().chunk().await.unwrap().unwrap_err();
            assert_eq!(
                (error.kind(), error.phase(), error.was_sent()),
                (ErrorKind::ConnectionLost, Some(Phase::Body), true),
                "{error}"
            );
            let line = error.to_string();
            assert!(line.starts_with(&format!("GET {}: ", peer.url("/cut"))) && line.contains(so_far), "{line}");
            assert!(response.body_mut().chunk().await.is_none(), "an error is the end");
            assert_eq!(transport.stats().in_use, 0);
        }
        // HTTP/2 loses the stream, HTTP/1 the connection.
        assert_eq!((peer.accepted(), transport.stats().idle), if rig.is_http2() { (1, 1) } else { (2, 0) });
    });
}

#[test]
fn a_connection_that_breaks_under_a_body_is_an_error() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let (response, exchange) = tokio::join!(transport.round_trip(peer.get("/")), async {
            let mut exchange = peer.next().await;
            exchange.begin(200, &[]).await;
            exchange.data("hello").await;
            exchange
        });
        let mut response = response.unwrap();
        assert_eq!(response.body_mut().chunk().await.unwrap().unwrap(), "hello");
        exchange.hang_up();
        let error = response.body_mut().chunk().await.unwrap().unwrap_err();
        assert_eq!(
            (error.kind(), error.phase(), error.was_sent()),
            (ErrorKind::ConnectionLost, Some(Phase::Body), true),
            "{error}"
        );
        assert!(error.to_string().contains("after 5 bytes, and more were to come"), "{error}");
        let (next, ()) = tokio::join!(fetch(&transport, peer.get("/")), async {
            peer.next().await.answer(200, "hello").await;
        });
        assert_eq!((next.unwrap().as_str(), peer.accepted()), ("hello", 2));
    });
}

#[test]
fn a_body_that_ends_before_its_length_is_the_servers_fault() {
    let reason = "HTTP/1 cannot end a body before its length but by closing the connection";
    run(only_http2(reason), async |rig| {
        let peer = rig.serving(async |mut exchange| {
            exchange.begin(200, &[("content-length", "9")]).await;
            exchange.data(if exchange.head.target == "/short" { "hello" } else { "hello, world" }).await;
            exchange.end().await;
        });
        let (peer, transport) = (peer.await, rig.transport());
        for (path, words) in [
            ("/short", "has not the 9 bytes of its Content-Length"),
            ("/long", "has not the 9 bytes of its Content-Length"),
        ] {
            let error = fetch(&transport, peer.get(path)).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.phase(), error.was_sent()),
                (ErrorKind::Protocol, Some(Phase::Body), true),
                "{error}"
            );
            assert!(error.to_string().contains(words), "{error}");
        }
        assert_eq!((peer.accepted(), transport.stats().idle), (1, 1), "the connection is none the worse");
    });
}

#[test]
fn a_body_dropped_near_its_end_costs_no_connection() {
    run(all(), async |rig| {
        let peer = rig.serving(async |mut exchange| {
            exchange.begin(200, &[]).await;
            exchange.data("ab").await;
            exchange.data("cde").await;
            exchange.end().await;
        });
        let (peer, transport) = (peer.await, rig.transport());
        for _ in 0..3 {
            let mut response = transport.round_trip(peer.get("/")).await.unwrap();
            assert!(response.body_mut().chunk().await.unwrap().unwrap().starts_with(b"ab"));
            drop(response);
            until(|| transport.stats().in_use == 0).await;
        }
        assert_eq!((peer.accepted(), transport.stats().idle), (1, 1));
    });
}

#[test]
fn a_body_dropped_early_tells_the_server_and_leaves_the_way_free() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let (response, mut exchange) = tokio::join!(transport.round_trip(peer.get("/")), async {
            let mut exchange = peer.next().await;
            exchange.begin(200, &[("content-length", "9000000")]).await;
            exchange.data("some").await;
            exchange
        });
        let mut response = response.unwrap();
        assert_eq!(response.body_mut().chunk().await.unwrap().unwrap(), "some");
        drop(response);
        exchange.given_up().await;
        until(|| transport.stats().in_use == 0).await;
        let (next, ()) = tokio::join!(fetch(&transport, peer.get("/next")), async {
            peer.next().await.answer(200, "hello").await;
        });
        assert_eq!(next.unwrap(), "hello");
        // HTTP/1 can only stop a response with its connection.
        assert_eq!(peer.accepted(), if rig.is_http2() { 1 } else { 2 });
    });
}

#[test]
fn a_body_without_a_length_may_end_with_the_connection() {
    run(only_http1("HTTP/2 has an end of its own for each body"), async |rig| {
        for version in ["1.0", "1.1"] {
            let peer = rig.raw_http1(format!("HTTP/{version} 200 OK\r\n\r\nuntil the end")).await;
            let transport = rig.transport();
            for _ in 0..2 {
                let response = transport.round_trip(peer.get("/")).await.unwrap();
                assert_eq!(response.body().content_length(), None);
                assert_eq!(response.text().await.unwrap(), "until the end");
            }
            assert_eq!((peer.accepted(), transport.stats().idle), (2, 0));
        }
    });
}

async fn gzip(data: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    GzipEncoder::new(data).read_to_end(&mut coded).await.unwrap();
    coded
}

#[test]
fn gzip_is_asked_for_and_decoded_unless_the_request_says_otherwise() {
    run(all(), async |rig| {
        let coded = gzip(b"hello, hello, hello").await;
        let peer = rig.serving({
            let coded = coded.clone();
            move |exchange| {
                let coded = coded.clone();
                async move {
                    let asked = exchange.field("accept-encoding").unwrap_or_default();
                    exchange.answer_with(200, &[("content-encoding", "gzip"), ("x-asked", &asked)], coded).await;
                }
            }
        });
        let (peer, transport) = (peer.await, rig.transport());
        let response = transport.round_trip(peer.get("/")).await.unwrap();
        assert_eq!(response.headers()["x-asked"], "gzip");
        assert!(response.extensions().get::<Uncompressed>().is_some());
        assert!(
            !response.headers().contains_key("content-encoding") && !response.headers().contains_key("content-length")
        );
        assert_eq!(response.body().content_length(), None);
        assert_eq!(response.text().await.unwrap(), "hello, hello, hello");
        for (method, field, asked) in [
            (Method::GET, Some(("accept-encoding", "gzip")), "gzip"),
            (Method::GET, Some(("range", "bytes=0-")), ""),
            (Method::HEAD, None, ""),
        ] {
            let mut request = peer.request(method.clone(), "/", Body::empty());
            if let Some((name, value)) = field {
                request.headers_mut().insert(name, value.parse().unwrap());
            }
            let response = transport.round_trip(request).await.unwrap();
            assert_eq!(
                (&response.headers()["content-encoding"], &response.headers()["x-asked"]),
                (&"gzip".parse().unwrap(), &asked.parse().unwrap())
            );
            assert!(response.extensions().get::<Uncompressed>().is_none());
            let raw = response.bytes().await.unwrap();
            assert!(if method == Method::HEAD { raw.is_empty() } else { raw == coded }, "{method} {field:?}");
        }
        assert_eq!((peer.accepted(), transport.stats().idle), (1, 1));
        let never = Transport::with_config(TransportConfig { accept_codings: vec![], ..rig.config() });
        let response = never.round_trip(peer.get("/")).await.unwrap();
        assert_eq!(response.headers()["x-asked"], "");
        assert!(response.bytes().await.unwrap() == coded);
    });
}

#[test]
fn a_decompression_bomb_ends_at_the_limit_and_a_coded_body_that_is_cut_is_an_error() {
    run(all(), async |rig| {
        let bomb = gzip(&vec![0; 5_000_000]).await;
        let peer = rig.serving(move |exchange| {
            let mut coded = bomb.clone();
            if exchange.head.target == "/cut" {
                coded.truncate(coded.len() / 2);
            }
            async move { exchange.answer_with(200, &[("content-encoding", "gzip")], coded).await }
        });
        let peer = peer.await;
        let config = TransportConfig { max_decoded_bytes: Some(1_000_000), ..rig.config() };
        let error = fetch(&Transport::with_config(config), peer.get("/")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
        let transport = rig.transport();
        let error = transport.round_trip(peer.get("/cut")).await.unwrap().bytes().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
        assert!(error.to_string().contains("the gzip coded body ends too early"), "{error}");
        assert_eq!((transport.stats().in_use, transport.stats().idle), (0, 1), "the connection is free");
    });
}
