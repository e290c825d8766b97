//! Heads of requests and responses.

use http::{HeaderName, HeaderValue, Method};
use roundtrip_transport::{RequestOptions, RoundTripper, Transport, TransportConfig};
use roundtrip_types::{Body, ErrorKind, MessageExt, Phase};

use super::rig::{all, fetch, only_http1, only_http2, run};

fn name(text: &str) -> HeaderName {
    text.parse().unwrap()
}

#[test]
fn fields_arrive_in_order_and_repeated_ones_stay_apart() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let mut request = peer.get("/");
        for (field, value) in [("x-b", "1"), ("x-a", "2"), ("x-b", "3, 4"), ("x-c", ""), ("x-b", "3, 4")] {
            request.headers_mut().append(name(field), value.parse().unwrap());
        }
        let (response, ()) = tokio::join!(transport.round_trip(request), async {
            let exchange = peer.next().await;
            let fields = &exchange.head.fields;
            assert_eq!(fields.names_but(&["accept-encoding"]), ["x-b", "x-b", "x-b", "x-a", "x-c"]);
            assert_eq!(fields.all("x-b"), ["1", "3, 4", "3, 4"]);
            assert_eq!((fields.all("x-a"), fields.all("x-c")), (vec!["2".to_owned()], vec![String::new()]));
            let fields = [("set-cookie", "a=1"), ("x-z", "1"), ("set-cookie", "b=2; Path=/"), ("x-y", "")];
            exchange.answer_with(200, &fields, "").await;
        });
        let response = response.unwrap();
        let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=1", "b=2; Path=/"]);
        let names: Vec<_> = response.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["set-cookie", "x-z", "x-y", "content-length"]);
    });
}

#[test]
fn cookies_arrive_as_they_were_given() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let mut request = peer.get("/");
        request.headers_mut().insert("cookie", "a=1; b=\"2\"; c=".parse().unwrap());
        let (response, ()) = tokio::join!(fetch(&transport, request), async {
            let exchange = peer.next().await;
            // HTTP/2 may cut them apart for compression; joined again they are the same (RFC 9113, section 8.2.3).
            assert_eq!(exchange.head.fields.all("cookie").join("; "), "a=1; b=\"2\"; c=");
            exchange.answer(200, "").await;
        });
        response.unwrap();
    });
}

#[test]
fn bytes_beyond_ascii_come_through_in_both_directions() {
    run(all(), async |rig| {
        let peer = rig.serving(async |mut exchange| {
            let (_, value) = exchange.head.fields.0.iter().find(|(name, _)| name == "x-a").unwrap().clone();
            assert_eq!(value, b"caf\xe9 \xf0\x9f\x8d\xb5");
            exchange.begin(200, &[("x-b", "na\u{ef}ve \u{1f375}")]).await;
            exchange.end().await;
        });
        let (peer, transport) = (peer.await, rig.transport());
        let mut request = peer.get("/");
        request.headers_mut().insert("x-a", HeaderValue::from_bytes(b"caf\xe9 \xf0\x9f\x8d\xb5").unwrap());
        let response = transport.round_trip(request).await.unwrap();
        assert_eq!(response.headers()["x-b"].as_bytes(), "na\u{ef}ve \u{1f375}".as_bytes());
    });
}

#[test]
fn nothing_is_added_but_what_the_protocol_needs_and_the_offer_of_gzip() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let (response, ()) = tokio::join!(fetch(&transport, peer.get("/")), async {
            let exchange = peer.next().await;
            assert_eq!(exchange.head.fields.names_but(&[]), ["accept-encoding"]);
            exchange.answer(200, "").await;
        });
        response.unwrap();
    });
}

#[test]
fn a_host_field_is_what_the_server_sees_and_not_where_the_request_goes() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let mut request = peer.get("/");
        request.headers_mut().insert("host", "other.test:8080".parse().unwrap());
        let (response, ()) = tokio::join!(fetch(&transport, request), async {
            let exchange = peer.next().await;
            assert_eq!((&*exchange.head.host, exchange.field("host")), ("other.test:8080", None));
            exchange.answer(200, "").await;
        });
        response.unwrap();
    });
}

#[test]
fn credentials_of_a_url_are_not_sent() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let mut request = peer.get("/");
        let url = peer.url("/").replacen("://", "://user:secret@", 1);
        *request.uri_mut() = url.parse().unwrap();
        let (response, ()) = tokio::join!(fetch(&transport, request), async {
            let exchange = peer.next().await;
            assert_eq!((exchange.head.host.clone(), exchange.field("authorization")), (peer.authority(), None));
            exchange.answer(200, "").await;
        });
        response.unwrap();
    });
}

#[test]
fn methods_of_every_kind_and_the_asterisk_are_sent_as_they_are() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        for (method, target, want) in [
            ("PURGE", "/x", "/x"),
            ("M-SEARCH", "/x?y", "/x?y"),
            ("get", "/", "/"),
            ("PATCH", "?only=query", "/?only=query"),
            ("OPTIONS", "/", "/"),
            ("OPTIONS", "*", "*"),
        ] {
            let mut request = peer.request(Method::from_bytes(method.as_bytes()).unwrap(), "/", Body::empty());
            if target == "*" {
                let mut parts = request.uri().clone().into_parts();
                parts.path_and_query = Some("*".parse().unwrap());
                *request.uri_mut() = parts.try_into().unwrap();
            } else {
                *request.uri_mut() = peer.url(target).parse().unwrap();
            }
            let (response, ()) = tokio::join!(fetch(&transport, request), async {
                let exchange = peer.next().await;
                assert_eq!((&*exchange.head.method, &*exchange.head.target), (method, want));
                exchange.answer(200, "").await;
            });
            response.unwrap();
        }
    });
}

#[test]
fn answers_of_every_status_are_the_callers() {
    run(all(), async |rig| {
        let peer = rig.serving(async |exchange| {
            let status = exchange.head.target[1..].parse().unwrap();
            let fields = [("location", "/elsewhere"), ("www-authenticate", "Basic realm=x"), ("retry-after", "1")];
            exchange.answer_with(status, &fields, "as it is").await;
        });
        let (peer, transport) = (peer.await, rig.transport());
        for status in [200, 299, 301, 302, 307, 308, 401, 407, 404, 425, 429, 500, 503, 599] {
            let response = transport.round_trip(peer.get(&format!("/{status}"))).await.unwrap();
            assert_eq!(
                (response.status().as_u16(), &response.headers()["location"]),
                (status, &"/elsewhere".parse().unwrap())
            );
            assert_eq!(response.text().await.unwrap(), "as it is");
        }
        assert_eq!(
            (peer.accepted(), transport.stats().created, transport.stats().reused),
            (1, 1, 13),
            "each was sent once"
        );
    });
}

#[test]
fn a_head_beyond_the_limits_is_an_error_and_one_within_is_none() {
    run(all(), async |rig| {
        let peer = rig.serving(async |mut exchange| {
            let long = "x".repeat(5_000);
            let many: Vec<_> = (0..60).map(|at| format!("x-{at}")).collect();
            let fields: Vec<_> = match exchange.head.target.as_str() {
                "/long" => vec![("x-long", &*long)],
                "/many" => many.iter().map(|name| (&**name, "1")).collect(),
                _ => vec![],
            };
            exchange.begin(200, &fields).await;
            exchange.data("hello").await;
            exchange.end().await;
        });
        let peer = peer.await;
        let general =
            TransportConfig { max_response_header_bytes: 4_000, max_response_header_fields: 50, ..rig.config() };
        let general = Transport::with_config(general);
        let roomy = rig.transport();
        for (path, words) in [("/long", "the response's head is too large"), ("/many", "50")] {
            assert_eq!(fetch(&roomy, peer.get(path)).await.unwrap(), "hello");
            let mut own = peer.get(path);
            let max_response_header_bytes = Some(4_000);
            let options = RequestOptions {
                max_response_header_bytes,
                max_response_header_fields: Some(50),
                ..RequestOptions::default()
            };
            own.extensions_mut().insert(options);
            for (transport, request) in [(&general, peer.get(path)), (&roomy, own)] {
                let error = fetch(transport, request).await.unwrap_err();
                assert_eq!(
                    (error.kind(), error.phase(), error.was_sent()),
                    (ErrorKind::TooLarge, Some(Phase::Wait), true),
                    "{error}"
                );
                assert!(error.to_string().contains(words), "{error}");
                assert_eq!(transport.stats().in_use, 0);
                assert_eq!(fetch(transport, peer.get("/")).await.unwrap(), "hello");
            }
        }
    });
}

#[test]
fn what_cannot_be_sent_is_said_before_anything_is() {
    run(all(), async |rig| {
        let (peer, transport) = (rig.greeting().await, rig.transport());
        let mut bad_host = peer.get("/");
        bad_host.headers_mut().insert("host", HeaderValue::from_bytes(b"h\xff").unwrap());
        let mut two_lengths = peer.post("/", "four");
        two_lengths.headers_mut().insert("content-length", "5".parse().unwrap());
        for request in [bad_host, two_lengths] {
            let error = fetch(&transport, request).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.phase(), error.was_sent()),
                (ErrorKind::Request, Some(Phase::Prepare), false),
                "{error}"
            );
            assert_eq!(transport.stats().in_use, 0);
        }
        assert_eq!(fetch(&transport, peer.get("/")).await.unwrap(), "hello");
    });
}

#[test]
fn fields_about_the_connection_go_to_the_server() {
    run(only_http1("HTTP/2 has no such fields"), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let mut request = peer.get("/");
        for (field, value) in [("te", "trailers"), ("connection", "x-hop, te"), ("x-hop", "1")] {
            request.headers_mut().insert(name(field), value.parse().unwrap());
        }
        let (response, ()) = tokio::join!(fetch(&transport, request), async {
            let exchange = peer.next().await;
            assert_eq!(exchange.head.fields.names_but(&["accept-encoding"]), ["te", "connection", "x-hop"]);
            exchange.answer(200, "").await;
        });
        response.unwrap();
    });
}

#[test]
fn fields_about_a_connection_stay_behind() {
    run(only_http2("HTTP/1 has them; HTTP/2 takes a request that has them for malformed"), async |rig| {
        let (peer, transport) = (rig.peer().await, rig.transport());
        let mut request = peer.get("/");
        for (field, value) in [
            ("te", "gzip, trailers"),
            ("connection", "x-hop, keep-alive"),
            ("x-hop", "1"),
            ("keep-alive", "5"),
            ("x-end", "2"),
        ] {
            request.headers_mut().insert(name(field), value.parse().unwrap());
        }
        let (response, ()) = tokio::join!(fetch(&transport, request), async {
            let exchange = peer.next().await;
            let fields = &exchange.head.fields;
            let mut names = fields.names_but(&["accept-encoding"]);
            names.sort_unstable();
            assert_eq!((names, fields.get("te").as_deref()), (vec!["te", "x-end"], Some("trailers")));
            exchange.answer(200, "").await;
        });
        response.unwrap();
    });
}
