//! https.

use roundtrip_transport::{ConnectConfig, Dialer, TlsError, TlsProblem};

use super::peers::{Authority, Peer};
use super::*;

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

#[tokio::test]
async fn https_requests_share_a_connection() {
    let authority = Authority::new();
    let peer = Peer::https(authority.server("h.test", &["http/1.1"]), HELLO).await;
    let transport = Transport::with_config(authority.config());
    let url = format!("https://h.test:{}/a", peer.addr.port());
    for _ in 0..3 {
        assert_eq!(transport.round_trip(get(&url)).await.unwrap().text().await.unwrap(), "hello");
    }
    let sent = transport.round_trip(post(&url, vec![7; 300_000])).await.unwrap();
    assert_eq!(sent.text().await.unwrap(), "hello");
    assert_eq!((peer.accepted(), transport.stats().idle), (1, 1));
    let head = format!("GET /a HTTP/1.1\r\nhost: h.test:{}\r\naccept-encoding: gzip\r\n\r\n", peer.addr.port());
    assert_eq!(peer.heads()[0], head);
}

#[tokio::test]
async fn http_and_https_to_one_port_share_nothing() {
    let peer = Peer::http(HELLO).await;
    let transport = Transport::with_config(Authority::new().config());
    transport.round_trip(get(format!("http://h.test:{}/", peer.addr.port()))).await.unwrap().bytes().await.unwrap();
    let error = transport.round_trip(get(format!("https://h.test:{}/", peer.addr.port()))).await.unwrap_err();
    assert_eq!((error.kind(), error.phase(), error.was_sent()), (ErrorKind::Connect, Some(Phase::Tls), false));
    // The server waits for the end of a line that never comes; it is cut off.
    let problem = error.cause().and_then(|cause| cause.downcast_ref::<TlsError>()).unwrap().problem();
    assert!(matches!(problem, TlsProblem::ConnectionLost | TlsProblem::PlainHttp), "{error}");
}

#[tokio::test]
async fn plain_http_to_a_tls_server_is_explained() {
    let authority = Authority::new();
    let peer = Peer::https(authority.server("h.test", &[]), HELLO).await;
    let transport = Transport::new();
    let url = format!("http://{}/", peer.addr);
    let error = transport.round_trip(get(&url)).await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Protocol, Some(Phase::Wait)));
    let line = error.to_string();
    assert!(line.contains("the server speaks TLS on this port; the URL's scheme should be https"), "{line}");
}

#[tokio::test]
async fn an_error_of_the_handshake_is_one_line_with_the_request() {
    let (authority, url_host) = (Authority::new(), "other.test");
    let peer = Peer::https(authority.server("h.test", &[]), HELLO).await;
    let transport = Transport::with_config(authority.config());
    let url = format!("https://{url_host}:{}/", peer.addr.port());
    let error = transport.round_trip(get(&url)).await.unwrap_err();
    let want = format!(
        "GET {url}: TLS handshake with other.test:{}: the certificate is for h.test, not for other.test",
        peer.addr.port()
    );
    assert_eq!(error.to_string(), want);
    assert_eq!((transport.stats().open(), transport.stats().dials_failed), (0, 1));
}

#[cfg(unix)]
#[tokio::test]
async fn requests_go_over_a_unix_socket() {
    use tokio::io::{AsyncWriteExt, BufReader};

    let folder = std::env::temp_dir().join(format!("roundtrip-reach-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
    let _ = std::fs::remove_file(&path);
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        while peers::read_head(&mut stream).await.is_some() {
            stream.write_all(HELLO.as_bytes()).await.unwrap();
        }
    });
    let connect = ConnectConfig { dial: Dialer::Unix(path.clone()), ..ConnectConfig::default() };
    let transport = Transport::with_config(TransportConfig { connect, ..TransportConfig::default() });
    for _ in 0..2 {
        assert_eq!(transport.round_trip(get("http://docker/")).await.unwrap().text().await.unwrap(), "hello");
    }
    assert_eq!(transport.stats().created, 1);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn idle_connections_to_addresses_that_left_the_answer_are_closed() {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use roundtrip_transport::{CloseReason, DnsCacheConfig, Resolver};

    let (one, other) = (Peer::http(HELLO).await, Peer::http(HELLO).await);
    let answer = Arc::new(Mutex::new(one.addr));
    let resolve = {
        let answer = Arc::clone(&answer);
        Resolver::from_fn(move |_| {
            let address = *answer.lock().unwrap();
            async move { Ok(vec![address]) }
        })
    };
    let dns_cache = Some(DnsCacheConfig { ttl: Duration::ZERO, ..DnsCacheConfig::default() });
    let connect = ConnectConfig { resolve, dns_cache, ..ConnectConfig::default() };
    let transport = Transport::with_config(TransportConfig { connect, ..TransportConfig::default() });
    let read = |url: &'static str| {
        let transport = transport.clone();
        async move { transport.round_trip(get(url)).await.unwrap().text().await.unwrap() }
    };
    read("http://name.test/").await;
    read("http://elsewhere.test/").await;
    assert_eq!(transport.stats().idle, 2);
    // The name moves to another address; the next lookup is made by a connection of another scheme or port, say.
    *answer.lock().unwrap() = ([127, 0, 0, 2], other.addr.port()).into();
    let error = transport.round_trip(get("http://name.test:81/")).await;
    assert!(error.is_err(), "nobody listens there");
    let closed = transport.stats().closed;
    assert_eq!((closed.by(CloseReason::AddressGone), transport.stats().idle), (1, 1));
}
