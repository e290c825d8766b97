//! Through proxies, and what they do instead.

use std::sync::Arc;

use roundtrip_types::{ErrorKind, Phase};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::peers::tls::{Authority, echo};
use super::peers::{nobody, relay, says, server};
use super::*;

/// An HTTP proxy that connects any CONNECT request through to `to`, whatever it asks for, if it has these credentials.
async fn connect_proxy(to: std::net::SocketAddr, want: Option<&'static str>) -> std::net::SocketAddr {
    server(move |stream| async move {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(stream.read_line(&mut head).await.unwrap(), 0);
        }
        assert!(head.starts_with("CONNECT "), "{head}");
        let authorized = want.is_none_or(|want| head.contains(&format!("proxy-authorization: {want}\r\n")));
        let mut stream = stream.into_inner();
        if authorized {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            relay(stream, TcpStream::connect(to).await.unwrap()).await;
        } else {
            stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await.unwrap();
        }
    })
    .await
}

async fn echoes(dialed: &mut Dialed) {
    dialed.stream.write_all(b"hello").await.unwrap();
    dialed.stream.flush().await.unwrap();
    let mut got = [0; 5];
    dialed.stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"hello");
}

fn proxy(url: &str) -> Proxy {
    Proxy::new(url).unwrap()
}

#[tokio::test]
async fn https_goes_through_a_tunnel_of_an_http_proxy() {
    let authority = Authority::new();
    let origin = echo(authority.issue("h.test").config(&["h2"])).await;
    let px = connect_proxy(origin, Some("Basic dTpw")).await;
    let through = proxy(&format!("http://u:p@{px}"));
    // The name is the proxy's to resolve.
    let target = https("h.test", 443);
    let mut dialed = connect(authority.connect_config(), &target, Some(&through)).await.unwrap();
    echoes(&mut dialed).await;
    assert_eq!(dialed.info.proxy(), Some(format!("http://***@{px}").as_str()));
    assert_eq!((dialed.info.alpn(), dialed.info.peer().to_string()), (Some(&b"h2"[..]), px.to_string()));
    assert!(dialed.proxy.is_some() && dialed.tls.is_some());
    let refused = proxy(&format!("http://u:wrong@{px}"));
    let error = connect(authority.connect_config(), &target, Some(&refused)).await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Connect, Some(Phase::Proxy)));
    let line = error.to_string();
    assert_eq!(line, format!("proxy http://***@{px}: it refuses our credentials (407 Proxy Authentication Required)"));
}

#[tokio::test]
async fn tls_goes_inside_tls_with_an_https_proxy() {
    let authority = Authority::new();
    let origin = echo(authority.issue("h.test").config(&["h2"])).await;
    let inner = connect_proxy(origin, None).await;
    // The outer layer of the proxy: TLS, then the plain one.
    let acceptor = TlsAcceptor::from(Arc::new(authority.issue("proxy.test").config(&["http/1.1"])));
    let px = server(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut inner = TcpStream::connect(inner).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut inner).await;
        }
    })
    .await;
    let through = proxy(&format!("https://proxy.test:{}", px.port()));
    let mut dialed = connect(authority.connect_config(), &https("h.test", 443), Some(&through)).await.unwrap();
    echoes(&mut dialed).await;
    let tls = dialed.info.tls().unwrap();
    assert_eq!((&*tls.server_name, tls.alpn.as_deref()), ("h.test", Some(&b"h2"[..])));
    // A name that is expected of servers is not expected of the proxy.
    let mut config = authority.connect_config();
    config.tls.server_name = Some("h.test".into());
    connect(config, &https("other.test", 443), Some(&through)).await.unwrap();
    // A proxy that cannot be trusted is named as such.
    let stranger = Authority::named("a stranger").connect_config();
    let error = connect(stranger, &https("h.test", 443), Some(&through)).await.unwrap_err();
    let line = error.to_string();
    let want =
        format!("proxy {through}: TLS handshake with proxy.test:{}: the certificate was issued by nobody", px.port());
    assert!(line.starts_with(&want), "{line}");
}

#[tokio::test]
async fn plain_http_stops_at_a_forwarding_proxy() {
    let px = says(b"!").await;
    let through = proxy(&format!("http://u:p@{px}"));
    let mut dialed = connect(ConnectConfig::default(), &http("h.test", 80), Some(&through)).await.unwrap();
    dialed.stream.write_all(b"?").await.unwrap();
    assert_eq!(dialed.stream.read_u8().await.unwrap(), b'!', "nothing was said on it before");
    assert!(dialed.info.tls().is_none() && through.forwards_http());
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_the_proxys_error() {
    let px = nobody().await;
    let through = proxy(&format!("http://{px}"));
    let error = connect(ConnectConfig::default(), &http("h.test", 80), Some(&through)).await.unwrap_err();
    assert_eq!(error.to_string(), format!("proxy http://{px}: connect {px}: Connection refused (os error 111)"));
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Connect, Some(Phase::Connect)));
}

#[tokio::test]
async fn what_proxies_say_instead_of_yes_is_told_over_sockets_too() {
    for (answer, what) in [
        (
            &b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nno\n"[..],
            "it cannot reach h.test:443 (502 Bad Gateway)",
        ),
        (b"\x16\x03\x01 what is this", "its answer is no HTTP/1 response: "),
        (b"", "it closed the connection without an answer"),
    ] {
        let px = says(answer).await;
        let through = proxy(&format!("http://{px}"));
        let error = connect(ConnectConfig::default(), &https("h.test", 443), Some(&through)).await.unwrap_err();
        let line = error.to_string();
        assert!(line.starts_with(&format!("proxy http://{px}: {what}")), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_does_not_answer_runs_out_of_time() {
    let px = server(|stream| async move {
        let _held = stream;
        std::future::pending().await
    })
    .await;
    let through = proxy(&format!("http://{px}"));
    let error = connect(ConnectConfig::default(), &https("h.test", 443), Some(&through)).await.unwrap_err();
    assert_eq!(error.to_string(), format!("proxy http://{px}: no consent within 60s"));
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Proxy)));
}

#[cfg(feature = "socks")]
#[tokio::test]
async fn socks_proxies_get_a_name_or_an_address() {
    let authority = Authority::new();
    let origin = echo(authority.issue("h.test").config(&[])).await;
    for (scheme, want_name) in [("socks5", false), ("socks5h", true)] {
        let px = server(move |mut stream| async move {
            let mut greeting = [0; 3];
            stream.read_exact(&mut greeting).await.unwrap();
            assert_eq!(greeting, [5, 1, 0]);
            stream.write_all(&[5, 0]).await.unwrap();
            let mut head = [0; 4];
            stream.read_exact(&mut head).await.unwrap();
            assert_eq!(head, [5, 1, 0, if want_name { 3 } else { 1 }]);
            let mut address = vec![0; if want_name { 1 + "h.test".len() } else { 4 }];
            stream.read_exact(&mut address).await.unwrap();
            assert_eq!(&address[..], if want_name { &b"\x06h.test"[..] } else { &[127, 0, 0, 1] });
            assert_eq!(stream.read_u16().await.unwrap(), 443);
            stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
            relay(stream, TcpStream::connect(origin).await.unwrap()).await;
        })
        .await;
        let through = proxy(&format!("{scheme}://{px}"));
        let mut dialed = connect(authority.connect_config(), &https("h.test", 443), Some(&through)).await.unwrap();
        echoes(&mut dialed).await;
    }
}
