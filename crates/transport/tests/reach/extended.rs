//! Another protocol on a stream of HTTP/2 (RFC 8441), over connections of the pool and held ones.

use std::sync::Arc;

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::StatusCode;
use roundtrip_transport::{ExtendedConnect, Protocols, RequestOptions, Retry, Upgraded};
use roundtrip_types::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::http2::{hello, server, until, url};
use super::peers::{Authority, Peer};
use super::*;

fn chat(url: &str, protocol: &'static str) -> Request {
    let mut req = http::Request::connect(format!("{url}chat?room=1"));
    req = req.header("sec-websocket-version", "13");
    let mut req = req.body(Body::empty()).unwrap();
    req.extensions_mut().insert(ExtendedConnect::new(protocol));
    req
}

/// Sends back what comes, if the protocol is `websocket`; ordinary requests are answered.
async fn echo(request: http::Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    if request.method() != Method::CONNECT {
        return hello(request, respond).await;
    }
    let protocol = request.extensions().get::<Protocol>().map(|protocol| protocol.as_str().to_owned());
    let uri = request.uri().clone();
    assert_eq!((uri.scheme_str().is_some(), uri.path(), uri.query()), (true, "/chat", Some("room=1")));
    assert_eq!(request.headers()["sec-websocket-version"], "13");
    assert!(!request.headers().contains_key("content-length"));
    match protocol.as_deref() {
        Some("websocket") => {}
        Some("cut") => return respond.send_reset(Reason::INTERNAL_ERROR),
        _ => {
            let refused = http::Response::builder().status(StatusCode::NOT_IMPLEMENTED).body(()).unwrap();
            respond.send_response(refused, false).unwrap().send_data("no such protocol".into(), true).unwrap();
            return;
        }
    }
    let mut out = respond.send_response(http::Response::new(()), false).unwrap();
    let mut body = request.into_body();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        if out.send_data(data, false).is_err() {
            return;
        }
    }
    let _ = out.send_data("bye".into(), true);
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.enable_connect_protocol();
    builder
}

async fn says_and_hears(response: &mut Response) {
    assert_eq!((response.status(), response.version()), (StatusCode::OK, http::Version::HTTP_2));
    let stream = Upgraded::take(response).expect("a stream");
    assert!(Upgraded::take(response).is_none());
    let (mut read, mut write) = tokio::io::split(stream);
    let sent: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let said = sent.clone();
    let writing = tokio::spawn(async move {
        write.write_all(&said).await.unwrap();
        write.shutdown().await.unwrap();
        write.shutdown().await.unwrap();
    });
    let mut heard = Vec::new();
    read.read_to_end(&mut heard).await.unwrap();
    writing.await.unwrap();
    assert_eq!((heard.len(), &heard[sent.len()..]), (sent.len() + 3, &b"bye"[..]));
    assert!(heard.starts_with(&sent));
}

#[tokio::test]
async fn a_stream_carries_another_protocol_beside_requests() {
    let authority = Authority::new();
    let peer = server(Some(authority.server("h.test", &["h2"])), builder(), echo).await;
    let transport = Transport::with_config(authority.config());
    // The first request of the connection: the server's settings have not come when it is made.
    let mut response = transport.round_trip(chat(&url(&peer), "websocket")).await.unwrap();
    assert_eq!(transport.stats().in_use, 1);
    let beside = transport.round_trip(get(url(&peer))).await.unwrap();
    assert_eq!(beside.text().await.unwrap(), "hello");
    says_and_hears(&mut response).await;
    until(|| transport.stats().idle == 1).await;
    // Dropped in the middle, it frees the stream.
    let mut response = transport.round_trip(chat(&url(&peer), "websocket")).await.unwrap();
    let mut stream = Upgraded::take(&mut response).unwrap();
    stream.write_all(b"hello").await.unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!((&back, transport.stats().in_use), (b"hello", 1));
    drop(stream);
    until(|| transport.stats().idle == 1).await;
    assert_eq!(peer.accepted(), 1);
}

#[tokio::test]
async fn a_held_connection_and_one_in_plain_text_carry_it_too() {
    let peer = server(None, builder(), echo).await;
    let plain = format!("http://{}/", peer.addr);
    let transport =
        Transport::with_config(TransportConfig { protocols: Protocols::Http2, ..TransportConfig::default() });
    let conn = transport.client_conn(&plain.parse().unwrap()).await.unwrap();
    let mut response = conn.round_trip(chat(&plain, "websocket")).await.unwrap();
    assert_eq!(conn.in_flight(), 1);
    says_and_hears(&mut response).await;
    until(|| conn.in_flight() == 0).await;
    assert!(conn.error().is_none());
}

#[tokio::test]
async fn a_refusal_is_a_response_and_a_reset_an_error() {
    let authority = Authority::new();
    let peer = server(Some(authority.server("h.test", &["h2"])), builder(), echo).await;
    let transport = Transport::with_config(authority.config());
    let mut response = transport.round_trip(chat(&url(&peer), "chess")).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_IMPLEMENTED);
    assert!(Upgraded::take(&mut response).is_none());
    assert_eq!(response.text().await.unwrap(), "no such protocol");
    let error = transport.round_trip(chat(&url(&peer), "cut")).await.unwrap_err();
    assert!(error.to_string().contains("the server reset the stream (INTERNAL_ERROR)"), "{error}");
    until(|| transport.stats().idle == 1).await;
    assert_eq!(peer.accepted(), 1);
}

#[tokio::test]
async fn a_server_that_does_not_offer_it_is_not_asked() {
    let authority = Authority::new();
    let peer = server(Some(authority.server("h.test", &["h2"])), Builder::new(), echo).await;
    let transport = Transport::with_config(authority.config());
    for _ in 0..2 {
        let error = transport.round_trip(chat(&url(&peer), "websocket")).await.unwrap_err();
        assert_eq!((error.kind(), error.was_sent()), (ErrorKind::Connect, false));
        assert!(error.to_string().contains("the server takes no extended CONNECT (RFC 8441)"), "{error}");
    }
    assert_eq!(transport.round_trip(get(url(&peer))).await.unwrap().text().await.unwrap(), "hello");
    assert_eq!((peer.accepted(), transport.stats().idle), (1, 1));

    let old = Peer::https(authority.server("h.test", &["http/1.1"]), "").await;
    let error = transport.round_trip(chat(&url(&old), "websocket")).await.unwrap_err();
    assert!(error.to_string().ends_with("the server does not speak HTTP/2, and nothing else is wanted"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_one_is_refused_before_anything_is_opened() {
    let transport = Transport::new();
    let chat = |protocol| chat("https://h.test/", protocol);
    let http1 = RequestOptions { protocols: Some(Protocols::Http1), ..RequestOptions::default() };
    let change = |change: fn(&mut Request)| {
        let mut req = chat("websocket");
        change(&mut req);
        req
    };
    let mut over_http1 = chat("websocket");
    over_http1.extensions_mut().insert(http1);
    for (req, want) in [
        (change(|req| *req.method_mut() = Method::GET), "the method of an extended CONNECT is CONNECT, not GET"),
        (
            change(|req| *req.body_mut() = "x".into()),
            "an extended CONNECT has no body; what is sent goes into the stream",
        ),
        (chat("web socket"), "the protocol of an extended CONNECT is a token, not \"web socket\""),
        (chat(""), "the protocol of an extended CONNECT is a token, not \"\""),
        (over_http1, "extended CONNECT needs HTTP/2, and only HTTP/1.1 may be spoken"),
        (
            change(|req| *req.uri_mut() = "http://h.test/".parse().unwrap()),
            "extended CONNECT needs HTTP/2, which is spoken in plain text only by prior knowledge (Protocols::Http2)",
        ),
    ] {
        let error = transport.round_trip(req).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Request);
        assert!(error.to_string().ends_with(want), "{error}");
    }
    assert_eq!(transport.stats().dials_failed, 0);
}

#[tokio::test]
async fn a_connection_that_ends_before_its_settings_come_does_not_leave_it_waiting() {
    let silent = Arc::new(tokio::sync::Notify::new());
    let peer = {
        let silent = Arc::clone(&silent);
        Peer::start(move |_, stream| {
            let silent = Arc::clone(&silent);
            async move {
                silent.notified().await;
                drop(stream);
            }
        })
        .await
    };
    let transport =
        Transport::with_config(TransportConfig { protocols: Protocols::Http2, ..TransportConfig::default() });
    let mut req = chat(&format!("http://{}/", peer.addr), "websocket");
    req.extensions_mut().insert(RequestOptions { retry: Retry::Never, ..RequestOptions::default() });
    let waiting = {
        let transport = transport.clone();
        tokio::spawn(async move { transport.round_trip(req).await })
    };
    until(|| transport.stats().in_use == 1).await;
    silent.notify_one();
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.was_sent()), (ErrorKind::ConnectionLost, false), "{error}");
}
