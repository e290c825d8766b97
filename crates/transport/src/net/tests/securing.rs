//! TLS, and what it says of those who are not who they should be.

use std::sync::Arc;

use roundtrip_types::{Error, ErrorKind, Phase};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::peers::tls::{Authority, Pair, echo, far_ahead, long_ago, with};
use super::peers::{says, server};
use super::*;
use crate::net::{
    Connection, DangerousTls, Dial, DialFuture, Dialer, Handshake, HandshakeFuture, HandshakeRequest, Io, TlsConfig,
    TlsError, TlsInfo, TlsProblem, TlsVersion,
};

async fn echoes(dialed: &mut Dialed) {
    dialed.stream.write_all(b"hello").await.unwrap();
    dialed.stream.flush().await.unwrap();
    let mut got = [0; 5];
    dialed.stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"hello");
}

#[tokio::test]
async fn a_trusted_server_is_talked_to_and_described() {
    let authority = Authority::new();
    let pair = authority.issue("h.test");
    let address = echo(pair.config(&["h2", "http/1.1"])).await;
    let target = https("h.test", address.port());
    let connector = Connector::new(authority.connect_config(), None);
    for resumed in [false, true] {
        let mut dialed = connector.connect(&target, None, Alpn::Http2OrHttp1, None).await.unwrap();
        echoes(&mut dialed).await;
        let tls = dialed.info.tls().unwrap();
        assert_eq!((&*tls.version, &*tls.server_name, tls.resumed), ("TLSv1.3", "h.test", resumed));
        assert!(tls.cipher_suite.starts_with("TLS_"), "{tls:?}");
        assert_eq!(dialed.info.alpn(), Some(&b"h2"[..]));
        assert_eq!(&tls.peer_certificates[0][..], &pair.certificate[..]);
        assert!(dialed.tls.is_some());
    }
    let http1 = connector.connect(&target, None, Alpn::Http1, None).await.unwrap();
    assert_eq!(http1.info.alpn(), Some(&b"http/1.1"[..]), "where HTTP/2 is not wanted it is not offered");
}

#[tokio::test]
async fn sessions_can_be_forgotten() {
    let authority = Authority::new();
    let address = echo(authority.issue("h.test").config(&[])).await;
    let connector = Connector::new(with(TlsConfig { session_cache: 0, ..authority.trusted() }), None);
    for _ in 0..2 {
        let mut dialed = connector.connect(&https("h.test", address.port()), None, Alpn::Http1, None).await.unwrap();
        echoes(&mut dialed).await;
        assert!(!dialed.info.tls().unwrap().resumed);
        assert_eq!(dialed.info.alpn(), None);
    }
}

fn problem(error: &Error) -> TlsProblem {
    assert_eq!(
        (error.kind(), error.phase(), error.was_sent()),
        (ErrorKind::Connect, Some(Phase::Tls), false),
        "{error}"
    );
    error.cause().and_then(|cause| cause.downcast_ref::<TlsError>()).expect("a TlsError").problem()
}

#[tokio::test]
async fn each_certificate_that_does_not_prove_the_server_is_named() {
    let (authority, stranger) = (Authority::new(), Authority::named("a stranger"));
    for (pair, want, what) in [
        (
            authority.issue_with("h.test", long_ago),
            TlsProblem::Expired,
            "the certificate expired on 2020-02-29 00:00 UTC",
        ),
        (
            authority.issue_with("h.test", far_ahead),
            TlsProblem::NotYetValid,
            "the certificate is not valid before 2999-03-01 00:00 UTC",
        ),
        (authority.issue("other.test"), TlsProblem::WrongHost, "the certificate is for other.test, not for h.test"),
        (
            Pair::self_signed("h.test"),
            TlsProblem::SelfSigned,
            "the certificate is self-signed and not among the trusted ones",
        ),
        (
            // As `openssl req -x509` makes it, an authority of its own.
            Pair::self_signed_authority("h.test"),
            TlsProblem::SelfSigned,
            "the certificate is self-signed and not among the trusted ones",
        ),
        (
            stranger.issue("h.test"),
            TlsProblem::UnknownIssuer,
            "the certificate was issued by nobody that is trusted here",
        ),
    ] {
        let address = echo(pair.config(&[])).await;
        let target = https("h.test", address.port());
        let error = connect(authority.connect_config(), &target, None).await.unwrap_err();
        assert_eq!(problem(&error), want);
        assert_eq!(error.to_string(), format!("TLS handshake with {target}: {what}"));
    }
}

#[tokio::test]
async fn peers_that_speak_something_else_are_named() {
    for (answer, want, what) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            TlsProblem::PlainHttp,
            "the server speaks plain HTTP on this port; the URL's scheme should be http, or the port another",
        ),
        (
            b"SSH-2.0-OpenSSH\r\n",
            TlsProblem::NotTls,
            "the server does not speak TLS: it began with \"SSH-2.0-OpenSSH\"",
        ),
        (b"", TlsProblem::ConnectionLost, "the server closed the connection during the handshake"),
        // A fatal alert: handshake failure.
        (&[0x15, 3, 3, 0, 2, 2, 40], TlsProblem::Alert, "the server refused: handshake failure"),
    ] {
        let address = says(answer).await;
        let target = https("h.test", address.port());
        let error = connect(Authority::new().connect_config(), &target, None).await.unwrap_err();
        assert_eq!(problem(&error), want);
        assert_eq!(error.to_string(), format!("TLS handshake with {target}: {what}"));
    }
}

#[tokio::test]
async fn a_reset_during_the_handshake_is_named() {
    let address = server(|mut stream| async move {
        let mut byte = [0];
        let _ = stream.read(&mut byte).await;
        // With unread data, closing is a reset.
        drop(stream);
    })
    .await;
    let error = connect(Authority::new().connect_config(), &https("h.test", address.port()), None).await.unwrap_err();
    assert_eq!(problem(&error), TlsProblem::ConnectionLost);
    let line = error.to_string();
    assert!(line.contains("the connection broke during the handshake: Connection reset by peer"), "{line}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_runs_out_of_time() {
    let address = server(|stream| async move {
        let _held = stream;
        std::future::pending().await
    })
    .await;
    let target = https("h.test", address.port());
    let error = connect(Authority::new().connect_config(), &target, None).await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Tls)));
    assert_eq!(error.to_string(), format!("TLS handshake with {target}: not done within 10s (handshake_timeout)"));
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_a_server_that_asks() {
    let authority = Authority::new();
    let server = authority.issue("h.test");
    let address = echo(authority.asking(&server)).await;
    let identity = Some(authority.issue("a client").identity());
    let target = https("h.test", address.port());
    let mut dialed = connect(with(TlsConfig { identity, ..authority.trusted() }), &target, None).await.unwrap();
    echoes(&mut dialed).await;
    // Without one the server hangs up; in TLS 1.3 that comes after our side of the handshake.
    let mut refused = connect(authority.connect_config(), &target, None).await.unwrap();
    let read = refused.stream.read(&mut [0]).await;
    assert!(read.is_err_and(|error| error.to_string().contains("CertificateRequired")));
}

#[tokio::test]
async fn dangerous_options_do_what_they_say_and_no_more() {
    let authority = Authority::new();
    let wrong_host = echo(authority.issue("other.test").config(&[])).await;
    let self_signed = echo(Pair::self_signed("h.test").config(&[])).await;
    let any_name = DangerousTls { accept_invalid_names: true, ..DangerousTls::default() };
    let any = DangerousTls { accept_invalid_certificates: true, ..DangerousTls::default() };
    for (danger, address, passes) in [
        (&any_name, wrong_host, true),
        (&any_name, self_signed, false),
        (&any, wrong_host, true),
        (&any, self_signed, true),
    ] {
        let tls = TlsConfig { danger: danger.clone(), ..authority.trusted() };
        let outcome = connect(with(tls), &https("h.test", address.port()), None).await;
        assert_eq!(outcome.is_ok(), passes, "{danger:?} {outcome:?}");
    }
}

#[tokio::test]
async fn another_name_can_be_expected_and_old_versions_refused() {
    let authority = Authority::new();
    let pair = authority.issue("other.test");
    let address = echo(pair.config(&[])).await;
    let tls = TlsConfig { server_name: Some("other.test".into()), ..authority.trusted() };
    let mut dialed = connect(with(tls), &https("127.0.0.1", address.port()), None).await.unwrap();
    echoes(&mut dialed).await;

    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let only_12 = tokio_rustls::rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&tokio_rustls::rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![pair.certificate.clone()], pair.key.clone_key())
        .unwrap();
    let address = echo(only_12).await;
    let target = https("other.test", address.port());
    let dialed = connect(authority.connect_config(), &target, None).await.unwrap();
    assert_eq!(dialed.info.tls().unwrap().version, "TLSv1.2");
    let tls = TlsConfig { min_version: TlsVersion::Tls13, ..authority.trusted() };
    let error = connect(with(tls), &target, None).await.unwrap_err();
    assert!(matches!(problem(&error), TlsProblem::Alert | TlsProblem::Protocol), "{error}");
}

#[tokio::test]
async fn ip_addresses_can_be_proved_too() {
    let authority = Authority::new();
    let address = echo(authority.issue("127.0.0.1").config(&[])).await;
    let target = https("127.0.0.1", address.port());
    echoes(&mut connect(authority.connect_config(), &target, None).await.unwrap()).await;
}

#[tokio::test]
async fn http2_alone_fails_where_the_server_has_none() {
    let authority = Authority::new();
    let address = echo(authority.issue("h.test").config(&[])).await;
    let target = https("h.test", address.port());
    let connector = Connector::new(authority.connect_config(), None);
    let error = connector.connect(&target, None, Alpn::Http2, None).await.unwrap_err();
    assert_eq!(error.to_string(), format!("{target}: the server does not speak HTTP/2, and nothing else is wanted"));
}

#[tokio::test]
async fn handshakes_may_be_the_users_own() {
    struct Own;
    impl Handshake for Own {
        fn handshake<'a>(&'a self, io: Box<dyn Io>, request: &'a HandshakeRequest) -> HandshakeFuture<'a> {
            Box::pin(async move {
                assert_eq!((request.server_name(), request.alpn()), ("h.test", &["h2", "http/1.1"][..]));
                let mut tls = TlsInfo::new("TLSv9", "TLS_NONE");
                tls.alpn = Some("h2".into());
                Ok(Connection::new(io).secured(tls))
            })
        }
    }
    let address = says(b"!").await;
    let tls = TlsConfig { handshake: Some(Arc::new(Own)), ..TlsConfig::default() };
    let dialed = connect(with(tls), &https("h.test.", address.port()), None).await;
    // The dot at the end is part of the name to look up, and not of the one to prove.
    assert!(dialed.is_err_and(|error| error.phase() == Some(Phase::Dns)));
    let tls = TlsConfig { handshake: Some(Arc::new(Own)), ..TlsConfig::default() };
    let dialed = connect(with(tls), &https("h.test", address.port()), None).await.unwrap();
    assert_eq!((&*dialed.info.tls().unwrap().version, dialed.info.alpn()), ("TLSv9", Some(&b"h2"[..])));
}

#[tokio::test]
async fn a_dialer_may_secure_its_connections_itself() {
    struct Own;
    impl Dial for Own {
        fn dial<'a>(&'a self, _: &'a Target) -> DialFuture<'a> {
            Box::pin(async { Ok(Connection::new(tokio::io::duplex(16).0).secured(TlsInfo::new("TLSv9", "TLS_NONE"))) })
        }
    }
    let config = ConnectConfig { dial: Dialer::Custom(Arc::new(Own)), ..ConnectConfig::default() };
    let dialed = connect(config, &https("h.test", 443), None).await.unwrap();
    assert_eq!((dialed.info.tls().unwrap().version.as_ref(), dialed.tls), ("TLSv9", None));
}

#[tokio::test]
async fn without_a_root_nothing_is_trusted_and_that_is_said() {
    let address = says(b"").await;
    let tls = TlsConfig { roots: crate::net::Roots::Nothing, ..TlsConfig::default() };
    let error = connect(with(tls), &https("h.test", address.port()), None).await.unwrap_err();
    assert_eq!(problem(&error), TlsProblem::Configuration);
    assert!(error.to_string().ends_with("no certificate is trusted: the settings have neither roots nor extra_roots"));
}
