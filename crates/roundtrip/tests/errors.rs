//! The errors of the first hour, provoked and compared with what the guide says about them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roundtrip::prelude::*;
use roundtrip::{
    Certificate, Client, ClientConfig, ConnectConfig, Error, Proxy, ProxyConfig, RequestOptions, Resolver, Roots,
    Server, Transport, TransportConfig, http,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// What came of each situation of the guide's table, by the situation.
#[derive(Default)]
struct Errors(BTreeMap<&'static str, String>);

impl Errors {
    /// Keeps an error as the guide shows it: the port that the test got is called PORT, times that were measured TIME.
    fn keep(&mut self, situation: &'static str, error: &Error, addr: Option<SocketAddr>) {
        let mut line = error.to_string();
        if let Some(addr) = addr {
            line = line.replace(&format!(":{}", addr.port()), ":PORT");
        }
        let known = self.0.insert(situation, format!("{:?}: {line}", error.kind()));
        assert!(known.is_none(), "{situation} twice");
    }
}

/// The rows of the guide's table: the situation, and kind and message in backquotes.
fn table() -> BTreeMap<&'static str, String> {
    let guide = include_str!("../../../docs/guide/errors.md");
    let (_, guide) = guide.split_once("## The first hour").expect("the guide has this part");
    let rows = guide.lines().filter_map(|line| line.strip_prefix("| ")).filter(|line| line.contains('`'));
    rows.map(|row| {
        let (situation, rest) = row.split_once(" | ").unwrap();
        let (kind, rest) = rest.split_once(" | ").unwrap();
        let message = rest.strip_suffix(" |").unwrap().replace('`', "");
        (situation, format!("{}: {message}", kind.replace('`', "")))
    })
    .collect()
}

/// A peer that reads one request and answers with these bytes, for each connection; it closes afterwards unless it is to wait.
async fn peer(answer: &'static str, then_closes: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
                if then_closes {
                    stream.shutdown().await.unwrap();
                }
                // Until the client goes.
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {}
            });
        }
    });
    addr
}

fn options(change: impl FnOnce(&mut RequestOptions)) -> RequestOptions {
    let mut options = RequestOptions::default();
    change(&mut options);
    options
}

#[tokio::test]
async fn the_guide_shows_each_error_as_it_is() {
    let mut errors = Errors::default();
    addresses(&mut errors).await;
    security(&mut errors).await;
    proxies(&mut errors).await;
    answers(&mut errors).await;
    limits(&mut errors).await;
    bodies(&mut errors).await;
    let guide = table();
    for (situation, got) in &errors.0 {
        assert_eq!(guide.get(situation), Some(got), "{situation}: the guide's table does not say that");
    }
    let unproven: Vec<_> = guide.keys().filter(|situation| !errors.0.contains_key(**situation)).collect();
    assert!(unproven.is_empty(), "nothing proves {unproven:?}");
}

/// URLs, names, connections.
async fn addresses(errors: &mut Errors) {
    let client = Client::new();
    for (situation, url) in [
        ("a URL without a scheme", "example.com/path"),
        ("a path alone", "/path"),
        ("a scheme that is not HTTP", "ftp://example.com/"),
        ("a character that no host has", "http://exa mple.com/"),
        ("a port that is none", "http://example.com:99999/"),
    ] {
        errors.keep(situation, &client.get(url).await.unwrap_err(), None);
    }
    let error = client.get("http://example.com/").header("x-note", "two\nlines").await.unwrap_err();
    errors.keep("a field with a line break", &error, None);

    let unknown = || io::Error::other("failed to lookup address information: Name or service not known");
    let resolve = Resolver::from_fn(move |_| async move { Err(unknown()) });
    let connect = ConnectConfig { resolve, ..ConnectConfig::default() };
    let transport = Transport::with_config(TransportConfig { connect, ..TransportConfig::default() });
    let error = Client::with_transport(transport).get("http://no-such-host.example/").await.unwrap_err();
    errors.keep("a name that nobody knows", &error, None);

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = client.get(format!("http://{closed}/")).await.unwrap_err();
    errors.keep("nobody listens there", &error, Some(closed));
}

/// A server that secures with a certificate for `name` until `year`, signed by nobody that is known.
async fn secured(name: &str, year: i32) -> SocketAddr {
    let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 2, 28);
    let issuer = {
        let mut params = rcgen::CertificateParams::new([]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        // Each has a name of its own: two of one name would look like one with another signature.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("authority {}", NEXT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertifiedIssuer::self_signed(params, key).unwrap()
    };
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    *AUTHORITY.lock().unwrap() = issuer.pem();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // Who does not trust it says so and goes.
            let _ = acceptor.accept(stream).await;
        }
    });
    addr
}

/// Who has signed the last certificate of `secured`.
static AUTHORITY: Mutex<String> = Mutex::new(String::new());

/// A client that trusts that one and nobody else, and finds every name here.
fn trusting() -> Client {
    let mut config = TransportConfig::default();
    config.connect.tls.roots = Roots::Nothing;
    config.connect.tls.extra_roots = Certificate::from_pem(AUTHORITY.lock().unwrap().as_bytes()).unwrap();
    config.connect.resolve = Resolver::from_fn(|_| async { Ok(vec!["127.0.0.1:0".parse().unwrap()]) });
    Client::with_transport(Transport::with_config(config))
}

/// Connections that cannot be trusted.
async fn security(errors: &mut Errors) {
    for (situation, certified, year) in [
        ("a certificate for another host", "other.example", 2096),
        ("a certificate that has expired", "shop.example", 2024),
    ] {
        let addr = secured(certified, year).await;
        let error = trusting().get(format!("https://shop.example:{}/", addr.port())).await.unwrap_err();
        errors.keep(situation, &error, Some(addr));
    }
    let trusting = trusting();
    let addr = secured("shop.example", 2096).await;
    let error = trusting.get(format!("https://shop.example:{}/", addr.port())).await.unwrap_err();
    errors.keep("a certificate that nobody vouches for", &error, Some(addr));

    let plain = peer("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", true).await;
    let error = trusting.get(format!("https://shop.example:{}/", plain.port())).await.unwrap_err();
    errors.keep("https to a port that speaks http", &error, Some(plain));
    let silent = peer("", false).await;
    let url = format!("https://shop.example:{}/", silent.port());
    let mut config = trusting.transport().config().as_ref().clone();
    config.connect.tls.handshake_timeout = Some(Duration::from_millis(300));
    let client = Client::with_transport(Transport::with_config(config));
    errors.keep("the handshake takes too long", &client.get(url).await.unwrap_err(), Some(silent));
}

/// Proxies that do not help.
async fn proxies(errors: &mut Errors) {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refusing = peer("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n", true).await;
    for (situation, proxy) in [("no proxy listens there", closed), ("the proxy wants credentials", refusing)] {
        let proxy_config = ProxyConfig::fixed(Proxy::new(&format!("http://ann:s3cret@{proxy}")).unwrap());
        let config = TransportConfig { proxy: proxy_config, ..TransportConfig::default() };
        let client = Client::with_transport(Transport::with_config(config));
        let error = client.get("https://example.com/").await.unwrap_err();
        errors.keep(situation, &error, Some(proxy));
    }
}

/// Servers that do not answer as they should.
async fn answers(errors: &mut Errors) {
    let client = Client::new();
    for (situation, answer) in [
        ("the server closes without an answer", ""),
        ("something that is not HTTP", "SSH-2.0-OpenSSH_9.2\r\n"),
        ("the body ends too early", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"),
    ] {
        let addr = peer(answer, true).await;
        let url = format!("http://{addr}/");
        let error = async { client.get(&url).await?.text().await }.await.unwrap_err();
        errors.keep(situation, &error, Some(addr));
    }
    let server = Server::new(|req: Request| async move {
        match req.uri().path() {
            "/loop" => (http::StatusCode::FOUND, [("location", "/loop")], ()).into_response(),
            "/nowhere" => (http::StatusCode::FOUND, [("location", "mailto:ann@example.com")], ()).into_response(),
            _ => http::StatusCode::NOT_FOUND.into_response(),
        }
    });
    let listener = server.listen("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(server.serve(listener));
    for (situation, path) in [("redirects without end", "/loop"), ("a redirect to nowhere", "/nowhere")] {
        let error = client.get(format!("http://{addr}{path}")).await.unwrap_err();
        errors.keep(situation, &error, Some(addr));
    }
    let error = client.get(format!("http://{addr}/missing")).error_for_status().await.unwrap_err();
    errors.keep("a status that is to be an error", &error, Some(addr));
}

/// Time, in each phase.
async fn limits(errors: &mut Errors) {
    let short = Some(Duration::from_millis(300));
    let never = Resolver::from_fn(|_| std::future::pending());
    let connect = ConnectConfig { resolve: never, ..ConnectConfig::default() };
    let transport = Transport::with_config(TransportConfig { connect, ..TransportConfig::default() });
    let slow_names = Client::with_transport(transport);
    let request = slow_names.get("http://slow.example/").options(options(|own| own.connect_timeout = short));
    errors.keep("the name takes too long", &request.await.unwrap_err(), None);

    let config = TransportConfig { max_conns_per_host: Some(1), ..TransportConfig::default() };
    let client = Client::with_transport(Transport::with_config(config));
    let silent = peer("", false).await;
    let url = format!("http://{silent}/");
    let holding = tokio::spawn(client.get(&url).send());
    while client.transport().stats().in_use == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let error = client.get(&url).options(options(|own| own.wait_timeout = short)).await.unwrap_err();
    errors.keep("no connection is free in time", &error, Some(silent));
    holding.abort();

    let client = Client::new();
    let error = client.get(&url).options(options(|own| own.response_header_timeout = short)).await.unwrap_err();
    errors.keep("the head takes too long", &error, Some(silent));
    let error = client.get(&url).timeout(Duration::from_millis(300)).await.unwrap_err();
    errors.keep("everything takes too long", &error, Some(silent));
    let stalled = peer("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", false).await;
    let url = format!("http://{stalled}/");
    let response = client.get(&url).options(options(|own| own.body_gap_timeout = short)).await.unwrap();
    errors.keep("the body pauses too long", &response.text().await.unwrap_err(), Some(stalled));
}

/// Bodies that are not what was wanted.
async fn bodies(errors: &mut Errors) {
    let server = Server::new(|_req| async { "{\"name\": \"Ann\",\n \"age\": old}" });
    let listener = server.listen("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(server.serve(listener));
    let url = format!("http://{addr}/");
    let error = Client::new().get(&url).await.unwrap().json::<serde_json::Value>().await.unwrap_err();
    errors.keep("JSON that is none", &error, Some(addr));
    let config = ClientConfig { max_body: Some(10), ..ClientConfig::default() };
    let client = Client::with_config(Transport::new(), config);
    errors.keep("a body that is too large", &client.get(&url).await.unwrap().text().await.unwrap_err(), Some(addr));
    let error = Client::new().put(&url).file("/no/such/file").await.unwrap_err();
    errors.keep("a file that is not there", &error, Some(addr));
    let error = roundtrip::blocking::get(&url).send().unwrap_err();
    errors.keep("the blocking client in async code", &error, None);
}
