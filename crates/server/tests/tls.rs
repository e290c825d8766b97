//! TLS over real sockets, with rustls as the client.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CertifiedKey, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use roundtrip_server::{
    Certificate, ClientCertificates, ConnContext, ConnState, ErrorLog, Listener, ResponseController, Server,
    ServerConfig, ServerEvent, StateHook, Tls, TlsConfig,
};
use roundtrip_types::Request;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

async fn path(req: Request) -> String {
    req.uri().path().to_owned()
}

fn made(name: &str) -> CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap()
}

fn certificate(made: &CertifiedKey<KeyPair>) -> Certificate {
    Certificate::from_pem(made.cert.pem(), made.signing_key.serialize_pem()).unwrap()
}

struct Running {
    addr: SocketAddr,
    stop: Box<dyn FnOnce() -> JoinHandle<()>>,
    events: mpsc::UnboundedReceiver<String>,
}

async fn start(tls: &Tls, config: ServerConfig) -> Running {
    let (tell, events) = mpsc::unbounded_channel();
    let log = ErrorLog::new(move |event: &ServerEvent<'_>| drop(tell.send(event.to_string())));
    let server = Server::with_config(path, ServerConfig { error_log: log, ..config });
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().tcp().unwrap();
    let serving = tokio::spawn(server.serve_tls(listener, tls.clone()));
    let stop = Box::new(move || {
        tokio::spawn(async move {
            server.shutdown(Duration::from_secs(5)).await;
            serving.await.unwrap().unwrap();
            assert_eq!(server.stats().open, 0);
        })
    });
    Running { addr, stop, events }
}

/// A client that trusts `roots`, offers `alpn` and shows `own`.
fn client(
    roots: &[&CertificateDer<'static>],
    alpn: &[&str],
    own: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
) -> Arc<ClientConfig> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add((*root).clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(store);
    let mut config = match own {
        Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

async fn connect(addr: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(addr).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::clone(config)).connect(name, stream).await
}

async fn ask(stream: &mut TlsStream<TcpStream>, path: &str) -> std::io::Result<String> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut got = String::new();
    stream.read_to_string(&mut got).await?;
    Ok(got)
}

#[tokio::test]
async fn each_name_gets_its_certificate() {
    let (a, b) = (made("a.test"), made("b.test"));
    let tls = Tls::new(TlsConfig { certificates: vec![certificate(&a), certificate(&b)], ..TlsConfig::default() });
    let running = start(&tls.unwrap(), ServerConfig::default()).await;
    for (name, own) in [("a.test", &a), ("b.test", &b)] {
        // Trusting one alone shows that it is the one.
        let config = client(&[own.cert.der()], &["http/1.1"], None);
        let mut stream = connect(running.addr, name, &config).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let answer = ask(&mut stream, "/secret").await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("/secret"), "{answer}");
    }
    (running.stop)().await.unwrap();
}

#[tokio::test]
async fn alpn_offers_http_2_unless_told_not_to() {
    let made = made("h.test");
    for (http2, offered, want) in [
        (true, &["http/1.1", "h2"][..], Some("h2")),
        (true, &["http/1.1"], Some("http/1.1")),
        (true, &["http/1.0"], Some("http/1.0")),
        (true, &[], None),
        (false, &["h2", "http/1.1"], Some("http/1.1")),
    ] {
        let config = TlsConfig { certificates: vec![certificate(&made)], http2, ..TlsConfig::default() };
        let running = start(&Tls::new(config).unwrap(), ServerConfig::default()).await;
        let stream = connect(running.addr, "h.test", &client(&[made.cert.der()], offered, None)).await.unwrap();
        let agreed = stream.get_ref().1.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        assert_eq!(agreed.as_deref(), want, "{offered:?}");
        drop(stream);
        (running.stop)().await.unwrap();
    }
}

#[tokio::test]
async fn a_handler_learns_what_the_handshake_has_settled() {
    let server = made("h.test");
    let (issuer, own, key) = authority();
    let config = TlsConfig {
        certificates: vec![certificate(&server)],
        client_certificates: ClientCertificates::Required { authorities: issuer.pem().into_bytes() },
        ..TlsConfig::default()
    };
    let states = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&states);
    let settings = ServerConfig {
        on_state: StateHook::new(move |info, state| sink.lock().unwrap().push((info.id, state))),
        conn_context: ConnContext::new(|info| {
            let mut context = http::Extensions::new();
            context.insert(info.tls.is_some());
            context
        }),
        ..ServerConfig::default()
    };
    let host = Server::with_config(
        |_req| async {
            let control = ResponseController::current().unwrap();
            let tls = control.info().tls.clone().unwrap();
            assert_eq!(control.context().get(), Some(&true));
            let alpn = String::from_utf8(tls.alpn.clone().unwrap()).unwrap();
            format!("{:?} {alpn} {:?} {}", tls.server_name, tls.version, tls.peer_certificates.len())
        },
        settings,
    );
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().tcp().unwrap();
    let serving = tokio::spawn(host.serve_tls(listener, Tls::new(config).unwrap()));
    let client = client(&[server.cert.der()], &["http/1.1"], Some((own, key)));
    let answer = ask(&mut connect(addr, "H.test", &client).await.unwrap(), "/").await.unwrap();
    assert!(answer.ends_with("\r\n\r\nSome(\"h.test\") http/1.1 Some(\"TLSv1.3\") 1"), "{answer}");
    host.shutdown(Duration::from_secs(5)).await;
    serving.await.unwrap().unwrap();
    assert_eq!(*states.lock().unwrap(), [(0, ConnState::New), (0, ConnState::Active), (0, ConnState::Closed)]);
}

#[tokio::test]
async fn a_handler_learns_whether_a_session_was_resumed() {
    let server = made("h.test");
    let tls = Tls::from_pem(server.cert.pem(), server.signing_key.serialize_pem()).unwrap();
    let host = Server::new(|_req| async {
        ResponseController::current().unwrap().info().tls.as_ref().unwrap().resumed.to_string()
    });
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().tcp().unwrap();
    let serving = tokio::spawn(host.serve_tls(listener, tls));
    // Its sessions are remembered by the configuration, which both connections share.
    let client = client(&[server.cert.der()], &["http/1.1"], None);
    for resumed in ["false", "true"] {
        let answer = ask(&mut connect(addr, "h.test", &client).await.unwrap(), "/").await.unwrap();
        assert!(answer.ends_with(&format!("\r\n\r\n{resumed}")), "{answer}");
    }
    host.shutdown(Duration::from_secs(5)).await;
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_reload_changes_new_connections_and_leaves_open_ones() {
    let (old, new) = (made("h.test"), made("h.test"));
    let tls = Tls::from_pem(old.cert.pem(), old.signing_key.serialize_pem()).unwrap();
    let running = start(&tls, ServerConfig::default()).await;
    let trust_old = client(&[old.cert.der()], &[], None);
    let trust_new = client(&[new.cert.der()], &[], None);
    let mut open = connect(running.addr, "h.test", &trust_old).await.unwrap();

    let folder = std::env::temp_dir().join(format!("roundtrip-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (cert_file, key_file) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert_file, new.cert.pem()).unwrap();
    let error = tls.reload_pem_files(&cert_file, &key_file).unwrap_err().to_string();
    assert!(error.starts_with(&key_file.display().to_string()), "{error}");
    std::fs::write(&key_file, old.signing_key.serialize_pem()).unwrap();
    let error = tls.reload_pem_files(&cert_file, &key_file).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: ", cert_file.display())), "the key is another's: {error}");
    std::fs::write(&key_file, new.signing_key.serialize_pem()).unwrap();
    tls.reload_pem_files(&cert_file, &key_file).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();

    assert!(connect(running.addr, "h.test", &trust_old).await.is_err());
    let mut fresh = connect(running.addr, "h.test", &trust_new).await.unwrap();
    assert!(ask(&mut fresh, "/new").await.unwrap().ends_with("/new"));
    assert!(ask(&mut open, "/old").await.unwrap().ends_with("/old"));
    (running.stop)().await.unwrap();
}

/// An authority, and a client's certificate that it has signed.
fn authority() -> (CertifiedIssuer<'static, KeyPair>, CertificateDer<'static>, PrivateKeyDer<'static>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(vec!["client.test".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let own = params.signed_by(&key, &issuer).unwrap().der().clone();
    (issuer, own, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}

#[tokio::test]
async fn clients_are_asked_for_certificates_as_configured() {
    let server = made("h.test");
    let (issuer, own, key) = authority();
    let (_, foreign, foreign_key) = authority();
    let nobody = client(&[server.cert.der()], &[], None);
    let known = client(&[server.cert.der()], &[], Some((own, key)));
    let stranger = client(&[server.cert.der()], &[], Some((foreign, foreign_key)));
    let authorities = issuer.pem().into_bytes();
    for (clients, want) in [
        (ClientCertificates::Required { authorities: authorities.clone() }, [false, true, false]),
        (ClientCertificates::Optional { authorities }, [true, true, false]),
    ] {
        let config = TlsConfig {
            certificates: vec![certificate(&server)],
            client_certificates: clients,
            ..TlsConfig::default()
        };
        let running = start(&Tls::new(config).unwrap(), ServerConfig::default()).await;
        for (client, welcome) in [&nobody, &known, &stranger].into_iter().zip(want) {
            // With TLS 1.3 a client hears of its refusal only when it reads.
            let answer = match connect(running.addr, "h.test", client).await {
                Ok(mut stream) => ask(&mut stream, "/in").await.unwrap_or_default(),
                Err(_) => String::new(),
            };
            assert_eq!(answer.ends_with("/in"), welcome);
        }
        (running.stop)().await.unwrap();
    }
}

#[tokio::test]
async fn plain_http_is_told_what_it_did_wrong() {
    let tls = Tls::from_pem(made("h.test").cert.pem(), made("h.test").signing_key.serialize_pem());
    assert!(tls.is_err(), "certificate and key of two");
    let server = made("h.test");
    let tls = Tls::from_pem(server.cert.pem(), server.signing_key.serialize_pem()).unwrap();
    let mut running = start(&tls, ServerConfig::default()).await;
    let body = "x".repeat(100_000);
    for request in [
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n{body}"),
    ] {
        let mut stream = TcpStream::connect(running.addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut got = String::new();
        stream.read_to_string(&mut got).await.unwrap();
        assert!(got.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{got}");
        assert!(got.ends_with("\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"), "{got}");
        drop(stream);
        let event = running.events.recv().await.unwrap();
        assert!(event.ends_with(": the client spoke plain HTTP"), "{event}");
    }
    (running.stop)().await.unwrap();
}

/// The client sends all of its body before it looks for an answer.
#[tokio::test]
async fn a_plain_request_that_goes_on_for_long_finds_its_answer() {
    const LENGTH: usize = 8 << 20;
    let server = made("h.test");
    let tls = Tls::from_pem(server.cert.pem(), server.signing_key.serialize_pem()).unwrap();
    let running = start(&tls, ServerConfig::default()).await;
    let mut stream = TcpStream::connect(running.addr).await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {LENGTH}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..LENGTH / 65_536 {
        stream.write_all(&[b'x'; 65_536]).await.unwrap();
    }
    let mut got = String::new();
    stream.read_to_string(&mut got).await.unwrap();
    assert!(got.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{got}");
    (running.stop)().await.unwrap();
}

#[tokio::test]
async fn a_plain_request_without_an_end_is_read_for_a_moment_and_no_longer() {
    let server = made("h.test");
    let tls = Tls::from_pem(server.cert.pem(), server.signing_key.serialize_pem()).unwrap();
    let mut running = start(&tls, ServerConfig::default()).await;
    let mut stream = TcpStream::connect(running.addr).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
    let mut sent = 0;
    let flooding = async {
        while stream.write_all(&[b'x'; 65_536]).await.is_ok() {
            sent += 65_536;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), flooding).await.expect("the server goes on reading");
    // What the server reads, and what lies in the sockets' buffers.
    assert!(sent < 64 << 20, "{sent} bytes were taken");
    assert!(running.events.recv().await.unwrap().ends_with(": the client spoke plain HTTP"));
    (running.stop)().await.unwrap();
}

#[tokio::test]
async fn a_silent_client_is_let_go_and_holds_up_nobody() {
    let server = made("h.test");
    let tls = Tls::from_pem(server.cert.pem(), server.signing_key.serialize_pem()).unwrap();
    let limit = Duration::from_millis(1500);
    let mut running = start(&tls, ServerConfig { tls_handshake_timeout: Some(limit), ..ServerConfig::default() }).await;
    let mut silent = TcpStream::connect(running.addr).await.unwrap();
    let mut slow = TcpStream::connect(running.addr).await.unwrap();
    slow.write_all(&[0x16, 3, 1]).await.unwrap();
    // Both are in the middle of a handshake; this one passes them.
    let config = client(&[server.cert.der()], &[], None);
    let mut quick = connect(running.addr, "h.test", &config).await.unwrap();
    assert!(ask(&mut quick, "/quick").await.unwrap().ends_with("/quick"));
    for stream in [&mut silent, &mut slow] {
        let mut got = Vec::new();
        // An end or a reset: all that counts is that it is over.
        let _ = stream.read_to_end(&mut got).await;
        let event = running.events.recv().await.unwrap();
        assert!(event.ends_with(": not complete after 1.5s"), "{event}");
    }
    (running.stop)().await.unwrap();
}

#[tokio::test]
async fn garbage_is_told_and_a_look_at_the_port_is_not() {
    let server = made("h.test");
    let tls = Tls::from_pem(server.cert.pem(), server.signing_key.serialize_pem()).unwrap();
    let mut running = start(&tls, ServerConfig::default()).await;
    drop(TcpStream::connect(running.addr).await.unwrap());
    let mut garbage = TcpStream::connect(running.addr).await.unwrap();
    garbage.write_all(b"SSH-2.0-OpenSSH\r\n").await.unwrap();
    let event = running.events.recv().await.unwrap();
    assert!(event.starts_with(&format!("TLS handshake with {}: ", garbage.local_addr().unwrap())), "{event}");
    (running.stop)().await.unwrap();
}

#[tokio::test]
async fn close_does_not_wait_for_a_handshake() {
    let server = made("h.test");
    let tls = Tls::from_pem(server.cert.pem(), server.signing_key.serialize_pem()).unwrap();
    let requests = Arc::new(Mutex::new(0));
    let count = Arc::clone(&requests);
    let host = Server::new(move |_req| {
        *count.lock().unwrap() += 1;
        async { "never" }
    });
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().tcp().unwrap();
    let serving = tokio::spawn(host.serve_tls(listener, tls));
    let mut silent = TcpStream::connect(addr).await.unwrap();
    silent.write_all(&[0x16]).await.unwrap();
    while host.stats().open == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(host.close().await.cut, 1);
    serving.await.unwrap().unwrap();
    assert_eq!((host.stats().open, *requests.lock().unwrap()), (0, 0));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_reset_through_tls() {
    let server = made("h.test");
    let tls = Tls::from_pem(server.cert.pem(), server.signing_key.serialize_pem()).unwrap();
    let settings = ServerConfig { write_stall_timeout: Some(Duration::from_millis(300)), ..ServerConfig::default() };
    // More than any socket buffer holds.
    let host = Server::with_config(|_req| async { vec![b'z'; 64 << 20] }, settings);
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().tcp().unwrap();
    let serving = tokio::spawn(host.serve_tls(listener, tls));
    let mut deaf = connect(addr, "h.test", &client(&[server.cert.der()], &[], None)).await.unwrap();
    deaf.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    while host.stats().open > 0 || host.stats().requests == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(host.stats().timeouts, 1);
    let (mut stream, _) = deaf.into_inner();
    let mut piece = vec![0; 1 << 16];
    let end = loop {
        match stream.read(&mut piece).await {
            Ok(0) => panic!("an orderly end: the system would go on holding what was not read"),
            Ok(_) => {}
            Err(error) => break error.kind(),
        }
    };
    assert_eq!(end, std::io::ErrorKind::ConnectionReset);
    host.close().await;
    serving.await.unwrap().unwrap();
}

/// With the settings as they come. The clock is paused once hands are shaken: an hour passes in no time then.
#[tokio::test]
async fn no_slow_client_is_connected_after_75_s() {
    let server = made("h.test");
    let tls = Tls::from_pem(server.cert.pem(), server.signing_key.serialize_pem()).unwrap();
    let host = Server::new(|req: Request| async move {
        // More than any socket buffer holds, for those who do not read.
        let length = if req.uri().path() == "/large" { 64 << 20 } else { 5 };
        drop(req.into_body().bytes().await);
        vec![b'z'; length]
    });
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().tcp().unwrap();
    let serving = tokio::spawn(host.serve_tls(listener, tls));
    let config = client(&[server.cert.der()], &["http/1.1"], None);
    for (name, first, trickle, reads) in [
        ("silent", &b""[..], &b""[..], true),
        ("slow head", b"GET / HTTP/1.1\r\nX: ", b"z", true),
        ("slow body", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n", b"z", true),
        (
            "slow body in chunks",
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1\r\nz\r\n",
            true,
        ),
        ("silent within a body", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n", b"", true),
        ("silent behind a response", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"", true),
        ("no reader", b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n", b"", false),
    ] {
        let mut stream = connect(addr, "h.test", &config).await.unwrap();
        while host.stats().open == 0 {
            tokio::task::yield_now().await;
        }
        tokio::time::pause();
        let begun = tokio::time::Instant::now();
        stream.write_all(first).await.unwrap();
        let (mut reading, mut writing) = tokio::io::split(stream);
        let reading = tokio::spawn(async move {
            // To an end or a reset.
            while reads && reading.read(&mut [0; 1024]).await.is_ok_and(|came| came > 0) {}
            reading
        });
        while host.stats().open > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(begun.elapsed() < Duration::from_secs(75), "{name}: {:?}", begun.elapsed());
            // The server may have hung up by now.
            let _ = writing.write_all(trickle).await;
            let _ = writing.flush().await;
        }
        drop(reading.await.unwrap());
        tokio::time::resume();
    }
    host.close().await;
    serving.await.unwrap().unwrap();
}

/// What comes until the connection ends, and whether TLS was ended before.
async fn to_the_end(stream: &mut TlsStream<TcpStream>) -> (String, bool) {
    let mut got = Vec::new();
    // rustls makes an error of an end without `close_notify`.
    let said_goodbye = match stream.read_to_end(&mut got).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{error}");
            false
        }
    };
    (String::from_utf8_lossy(&got).into_owned(), said_goodbye)
}

#[tokio::test]
async fn connections_that_end_say_goodbye() {
    let server = made("h.test");
    let tls = Tls::from_pem(server.cert.pem(), server.signing_key.serialize_pem()).unwrap();
    let trust = client(&[server.cert.der()], &[], None);
    let brief = || ServerConfig {
        idle_timeout: Some(Duration::from_millis(20)),
        read_header_timeout: Some(Duration::from_millis(20)),
        shutdown_drain: Duration::ZERO,
        ..ServerConfig::default()
    };
    for (what, sent, stop) in [
        ("the last response", "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", false),
        ("a refusal", "GET /a HTTP/1.1\r\n\r\n", false),
        ("an idle connection", "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", false),
        ("half a head", "GET /a HTTP/1.1\r\nHo", false),
        ("nothing said", "", false),
        ("a shutdown", "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", true),
    ] {
        let config =
            if stop { ServerConfig { shutdown_drain: Duration::ZERO, ..ServerConfig::default() } } else { brief() };
        let running = start(&tls, config).await;
        let mut stream = connect(running.addr, "h.test", &trust).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        if stop {
            let mut first = [0; 12];
            stream.read_exact(&mut first).await.unwrap();
            assert_eq!(&first, b"HTTP/1.1 200");
            (running.stop)().await.unwrap();
            assert!(to_the_end(&mut stream).await.1, "{what}");
        } else {
            let (got, said_goodbye) = to_the_end(&mut stream).await;
            assert!(said_goodbye, "{what}: {got}");
            (running.stop)().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_server_that_closes_at_once_says_goodbye_where_nothing_is_cut() {
    let server = made("h.test");
    let tls = Tls::from_pem(server.cert.pem(), server.signing_key.serialize_pem()).unwrap();
    let (tell, mut begun) = mpsc::unbounded_channel();
    let host = Server::new(move |req: Request| {
        let tell = tell.clone();
        async move {
            if req.uri().path() == "/endless" {
                let (mut sender, body) = roundtrip_types::Body::channel(1);
                sender.try_send("a part").unwrap();
                tell.send(sender).unwrap();
                return body;
            }
            roundtrip_types::Body::from("whole")
        }
    });
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().tcp().unwrap();
    let serving = tokio::spawn(host.serve_tls(listener, tls));
    let trust = client(&[server.cert.der()], &[], None);
    let mut idle = connect(addr, "h.test", &trust).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"whole") {
        assert!(idle.read_buf(&mut got).await.unwrap() > 0);
    }
    // To HTTP/1.0, the end of the connection is the end of the body: a goodbye would make it look whole.
    let mut cut = connect(addr, "h.test", &trust).await.unwrap();
    cut.write_all(b"GET /endless HTTP/1.0\r\n\r\n").await.unwrap();
    let mut failed = connect(addr, "h.test", &trust).await.unwrap();
    failed.write_all(b"GET /endless HTTP/1.0\r\n\r\n").await.unwrap();
    let (first, second) = (begun.recv().await.unwrap(), begun.recv().await.unwrap());
    let mut parts = Vec::new();
    for stream in [&mut cut, &mut failed] {
        let mut got = Vec::new();
        while !got.ends_with(b"a part") {
            assert!(stream.read_buf(&mut got).await.unwrap() > 0);
        }
        parts.push(got);
    }
    // One of the two producers fails; the server cuts the other.
    first.abort("the disk is gone");
    let one_ended = async { tokio::join!(to_the_end(&mut cut), to_the_end(&mut failed)) };
    let (ended, report) = tokio::join!(one_ended, host.close());
    assert!(!ended.0.1 && !ended.1.1, "{ended:?}");
    assert!(report.cut >= 1, "{report:?}");
    drop(second);
    assert!(to_the_end(&mut idle).await.1, "nothing was cut there");
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn http2_connections_that_end_say_goodbye() {
    let server = made("h.test");
    let tls = Tls::from_pem(server.cert.pem(), server.signing_key.serialize_pem()).unwrap();
    let trust = client(&[server.cert.der()], &["h2"], None);
    for stop in [false, true] {
        let idle_timeout = if stop { None } else { Some(Duration::from_millis(20)) };
        let config = ServerConfig { idle_timeout, shutdown_drain: Duration::ZERO, ..ServerConfig::default() };
        let running = start(&tls, config).await;
        let mut stream = connect(running.addr, "h.test", &trust).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        // HEADERS with END_STREAM: `GET https://h/`, from the static table.
        stream.write_all(b"\0\0\x06\x01\x05\0\0\0\x01\x82\x87\x84\x41\x01h").await.unwrap();
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            stream.read_exact(&mut payload).await.unwrap();
            if head[3] == 0 && head[4] & 1 == 1 {
                assert_eq!(payload, b"/");
                break;
            }
        }
        if stop {
            let (ended, stopped) = tokio::join!(to_the_end(&mut stream), (running.stop)());
            assert!(ended.1);
            stopped.unwrap();
        } else {
            assert!(to_the_end(&mut stream).await.1);
            (running.stop)().await.unwrap();
        }
    }
}

/// The end of a response may be with TLS and not yet with the socket when the last write returns: it must not stay there.
#[tokio::test]
async fn the_end_of_a_response_does_not_stay_in_tls() {
    let server = made("h.test");
    let tls = Tls::from_pem(server.cert.pem(), server.signing_key.serialize_pem()).unwrap();
    let sized = |req: Request| async move { vec![b'z'; req.uri().path()[1..].parse().unwrap()] };
    let host = Server::with_config(sized, ServerConfig::default());
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().tcp().unwrap();
    let serving = tokio::spawn(host.serve_tls(listener, tls));
    let mut stream = connect(addr, "h.test", &client(&[server.cert.der()], &[], None)).await.unwrap();
    let mut waited = 0;
    // Somewhere in here all of a response is written and its end does not fit into the socket.
    for size in (500_000..8_000_000).step_by(40_000) {
        let before = host.stats().bytes_written;
        stream.write_all(format!("GET /{size} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        // As much as goes without our reading.
        let mut written = 0;
        while host.stats().bytes_written != written || written == before {
            written = host.stats().bytes_written;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        waited += u64::from(written < before + size);
        let (mut got, mut body) = (Vec::new(), None);
        while body.is_none_or(|body| got.len() < body + usize::try_from(size).unwrap()) {
            let read = tokio::time::timeout(Duration::from_secs(5), stream.read_buf(&mut got)).await;
            assert!(read.unwrap_or_else(|_| panic!("{} of {size} bytes came", got.len())).unwrap() > 0);
            body = body.or_else(|| got.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4));
        }
        if waited > 3 {
            // Larger ones do not fit by far.
            break;
        }
    }
    assert!(waited > 0, "no response was too large for the socket");
    drop(stream);
    host.close().await;
    serving.await.unwrap().unwrap();
}
