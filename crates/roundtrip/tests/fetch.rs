//! The example `fetch` as a program: its options and exit codes.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::io;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use roundtrip::prelude::*;
use roundtrip::{Response, ServeMux, Server, ServerConfig, http};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig as TlsServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

fn fetch(args: &[&str]) -> Output {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples");
    path.push(format!("fetch{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "{} is not built: run `cargo build -p roundtrip --examples`", path.display());
    Command::new(path).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Serves `mux` on a thread of its own, for as long as the process lives.
fn serve(mux: ServeMux) -> String {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::with_config(mux, ServerConfig { h2c: true, ..ServerConfig::default() });
            let listener = server.listen("127.0.0.1:0").await.unwrap();
            tell.send(format!("http://{}", listener.local_addr().unwrap())).unwrap();
            server.serve(listener).await.unwrap();
        });
    });
    told.recv().unwrap()
}

fn redirect(location: &str, cookie: &str) -> Response {
    let response = http::Response::builder().status(302).header("location", location).header("set-cookie", cookie);
    response.body(Body::empty()).unwrap()
}

/// Tells what it was sent: method, `Content-Type`, cookies, authorization, body.
async fn tell(req: Request) -> String {
    let field = |name: &str| req.headers().get(name).map_or("-".into(), |value| value.to_str().unwrap().to_owned());
    let line = format!("{} {} {} {}", req.method(), field("content-type"), field("cookie"), field("authorization"));
    format!("{line} {}", req.text().await.unwrap())
}

/// A path in the system's folder for temporary files.
fn temp(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("roundtrip-fetch-{}-{name}", std::process::id()))
}

#[test]
fn bodies_and_credentials() {
    let mux = ServeMux::new();
    mux.handle("/", tell);
    let url = serve(mux);
    let file = temp("upload");
    std::fs::write(&file, "from a file").unwrap();
    let file = file.to_str().unwrap();
    for (args, want) in [
        (&["-d", "text"][..], "POST - - - text".to_owned()),
        (&["-d", &format!("@{file}")], "POST - - - from a file".to_owned()),
        (&["--json", "{\"x\":1}"], "POST application/json - - {\"x\":1}".to_owned()),
        (&["--form", "a=1 2", "--form", "b=é"], "POST application/x-www-form-urlencoded - - a=1+2&b=%C3%A9".to_owned()),
        (&["-u", "ann:s3cret"], "GET - - Basic YW5uOnMzY3JldA== ".to_owned()),
        (&["-X", "PUT", "-d", "x", "-H", "Content-Type: a/b"], "PUT a/b - - x".to_owned()),
    ] {
        let out = fetch(&[args, &["-b", &url]].concat());
        assert_eq!(text(&out.stdout), want, "{args:?}: {out:?}");
    }
    let out = fetch(&["-b", "--form", "title=A", "-F", &format!("f=@{file}"), &url]);
    let got = text(&out.stdout);
    assert!(got.starts_with("POST multipart/form-data; boundary="), "{got}");
    assert!(got.contains("name=\"title\"\r\n\r\nA\r\n") && got.contains("\r\n\r\nfrom a file\r\n"), "{got}");
    std::fs::remove_file(file).unwrap();
    let out = fetch(&["-b", "-F", &format!("f=@{file}"), &url]);
    assert_eq!(out.status.code(), Some(26), "{out:?}");
    let secret = fetch(&["-v", "-u", "ann:s3cret", "-H", "Cookie: sid=s3cret", &url]);
    assert!(text(&secret.stderr).contains("> authorization: ***\n> cookie: ***\n"), "{secret:?}");
    let head = fetch(&["--http2", "-d", "x", &url]);
    assert!(
        text(&head.stdout).starts_with("HTTP/2.0 200 OK\n") && text(&head.stdout).ends_with("\n\nPOST - - - x"),
        "{head:?}"
    );
    let head = fetch(&["-I", &url]);
    assert!(text(&head.stdout).starts_with("HTTP/1.1 200 OK\n") && text(&head.stdout).ends_with("\n\n"), "{head:?}");
}

#[test]
fn redirects_cookies_and_files() {
    let mux = ServeMux::new();
    mux.handle("/start", |_req| async { redirect("/end", "sid=1; Max-Age=100; Path=/") });
    mux.handle("/loop", |_req| async { redirect("/loop", "n=1") });
    mux.handle("/end", tell);
    mux.handle("/big", |_req| async { vec![b'x'; 300_000] });
    let url = serve(mux);
    let out = fetch(&[&format!("{url}/start")]);
    assert!(text(&out.stdout).starts_with("HTTP/1.1 302 Found\n"), "{out:?}");
    let cookies = temp("cookies");
    let jar = cookies.to_str().unwrap();
    let out = fetch(&["-L", "-v", "-b", "--cookies", jar, &format!("{url}/start")]);
    assert_eq!(text(&out.stdout), "GET - sid=1 - ");
    assert!(text(&out.stderr).contains(&format!("< 302 Found GET {url}/start\n* answered by {url}/end\n")), "{out:?}");
    let said = text(&out.stderr);
    for row in ["* queue ", "* write ", "* wait ", "* body ", "* total "] {
        assert!(said.contains(row), "{row}: {said}");
    }
    assert!(said.contains(", used before, to 127.0.0.1:"), "{said}");
    assert_eq!(text(&fetch(&["-b", "--cookies", jar, &format!("{url}/end")]).stdout), "GET - sid=1 - ");
    std::fs::remove_file(&cookies).unwrap();
    let looping = fetch(&["-L", &format!("{url}/loop")]);
    assert_eq!(looping.status.code(), Some(47), "{looping:?}");
    assert!(text(&looping.stderr).contains("stopped after 9 redirects"), "{looping:?}");

    let target = temp("download");
    let path = target.to_str().unwrap();
    let out = fetch(&["-o", path, &format!("{url}/big")]);
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), format!("{path}: 300000 bytes\n").as_str()));
    assert!(text(&out.stdout).starts_with("HTTP/1.1 200 OK\n"), "{out:?}");
    assert_eq!(std::fs::read(&target).unwrap().len(), 300_000);
    std::fs::remove_file(&target).unwrap();
    let unwritable = fetch(&["-o", &format!("{path}/none"), &format!("{url}/big")]);
    assert_eq!(unwritable.status.code(), Some(23), "{unwritable:?}");
    let too_large = fetch(&["-b", "--max-size", "1000", &format!("{url}/big")]);
    assert_eq!(too_large.status.code(), Some(63), "{too_large:?}");
}

#[test]
fn failing_statuses_and_retries() {
    let asked = Arc::new(AtomicUsize::new(0));
    let mux = ServeMux::new();
    mux.handle("/flaky", {
        let asked = Arc::clone(&asked);
        move |_req| {
            let first = asked.fetch_add(1, Ordering::Relaxed) == 0;
            async move { if first { http::StatusCode::SERVICE_UNAVAILABLE } else { http::StatusCode::OK } }
        }
    });
    let url = serve(mux);
    let out = fetch(&["--retry", "2", "-f", &format!("{url}/flaky")]);
    assert_eq!((out.status.code(), asked.load(Ordering::Relaxed)), (Some(0), 2), "{out:?}");
    let missing = fetch(&["-f", &format!("{url}/none")]);
    assert_eq!(missing.status.code(), Some(22), "{missing:?}");
    assert_eq!(text(&missing.stderr), format!("fetch: GET {url}/none: 404 Not Found\n"));
}

/// Answers each connection's first request with these bytes, over TLS with a certificate for localhost if there is one, on a thread
/// of its own. Returns the port, and the authority's certificate.
fn raw(answer: &'static str, secured: bool) -> (u16, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let config = TlsServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = secured.then(|| TlsAcceptor::from(Arc::new(config)));
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap().port()).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // A client that does not trust the certificate goes.
                match &acceptor {
                    Some(acceptor) => drop(answer_once(acceptor.accept(stream).await, answer).await),
                    None => drop(answer_once(Ok(stream), answer).await),
                }
            }
        });
    });
    (told.recv().unwrap(), made.cert.pem())
}

async fn answer_once(stream: io::Result<impl AsyncRead + AsyncWrite + Unpin>, answer: &str) -> io::Result<()> {
    let mut stream = stream?;
    let mut request = vec![0; 4096];
    let read = stream.read(&mut request).await?;
    let line = String::from_utf8_lossy(&request[..read]).lines().next().unwrap_or_default().to_owned();
    let answer = answer.replace("LENGTH", &line.len().to_string()).replace("LINE", &line);
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

const ECHO: &str = "HTTP/1.1 200 OK\r\ncontent-length: LENGTH\r\n\r\nLINE";

#[test]
fn tls_is_trusted_only_with_reason() {
    let (port, pem) = raw(ECHO, true);
    let url = format!("https://localhost:{port}/x");
    let untrusted = fetch(&["-b", "--no-proxy", &url]);
    assert_eq!(untrusted.status.code(), Some(60), "{untrusted:?}");
    let certificate = temp("certificate");
    std::fs::write(&certificate, pem).unwrap();
    let trusted = fetch(&["-b", "-v", "--no-proxy", "--cacert", certificate.to_str().unwrap(), &url]);
    assert_eq!(text(&trusted.stdout), "GET /x HTTP/1.1", "{trusted:?}");
    assert!(text(&trusted.stderr).contains("* TLSv1.3 TLS_"), "{trusted:?}");
    let other_name = format!("https://127.0.0.1:{port}/x");
    let wrong = fetch(&["-b", "--no-proxy", "--cacert", certificate.to_str().unwrap(), &other_name]);
    assert_eq!(wrong.status.code(), Some(60), "{wrong:?}");
    std::fs::remove_file(&certificate).unwrap();
    assert_eq!(text(&fetch(&["-b", "-k", "--no-proxy", &other_name]).stdout), "GET /x HTTP/1.1");
    let (plain, _) = raw(ECHO, false);
    let plain = fetch(&["-b", "-k", "--no-proxy", &format!("https://localhost:{plain}/")]);
    assert_eq!(plain.status.code(), Some(35), "{plain:?}");
}

#[test]
fn proxies_are_used_and_their_refusals_told() {
    let (port, _) = raw(ECHO, false);
    let proxy = format!("http://127.0.0.1:{port}");
    let through = fetch(&["-b", "--proxy", &proxy, "http://nowhere.invalid/x"]);
    assert_eq!(text(&through.stdout), "GET http://nowhere.invalid/x HTTP/1.1", "{through:?}");
    let (refusing, _) = raw("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n", false);
    let refused =
        fetch(&["-b", "--proxy", &format!("http://ann:s3cret@127.0.0.1:{refusing}"), "https://nowhere.invalid/"]);
    assert_eq!(refused.status.code(), Some(97), "{refused:?}");
    assert!(!text(&refused.stderr).contains("s3cret"), "{refused:?}");
    let bad = fetch(&["--proxy", "gopher://h/", "http://nowhere.invalid/"]);
    assert_eq!(bad.status.code(), Some(3), "{bad:?}");
}
