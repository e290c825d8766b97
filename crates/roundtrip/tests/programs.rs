//! The examples as programs, and other people's programs as their peers.
//!
//! A test whose peer is not installed says so by name and does nothing; with `CI` set, it fails instead.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic is how a test reports, and so is a line that it prints"
)]

mod peers;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};

use peers::{example, program, text};

/// `hello_server` on a free port; killed when dropped.
struct Hello {
    child: Child,
    url: String,
}

impl Hello {
    fn start() -> Self {
        let mut child = example("hello_server").args(["--addr", "127.0.0.1:0"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Hello { child, url }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

impl Drop for Hello {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn fetch(args: &[&str]) -> Output {
    example("fetch").args(args).output().unwrap()
}

#[test]
fn fetch_prints_status_fields_and_body() {
    let hello = Hello::start();
    let out = fetch(&["-v", &hello.url("/users/a%20b")]);
    assert_eq!(out.status.code(), Some(0));
    let (head, body) = text(&out.stdout).split_once("\n\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\n") && head.contains("\ncontent-length: 9"), "{head}");
    assert_eq!(body, "user a b\n");
    let said = text(&out.stderr);
    assert!(said.starts_with(&format!("> GET {}\n", hello.url("/users/a%20b"))), "{said}");
    let echoed = fetch(&["-b", "-X", "PUT", "-H", "content-type: text/plain", "-d", "some text", &hello.url("/echo")]);
    assert_eq!(text(&echoed.stdout), "some text");
    assert_eq!(text(&fetch(&["-b", &hello.url("/count/3")]).stdout), "1\n2\n3\n");
    let missing = fetch(&["-X", "DELETE", &hello.url("/users/7")]);
    let printed = text(&missing.stdout);
    assert!(
        printed.starts_with("HTTP/1.1 405 Method Not Allowed\n") && printed.contains("\nallow: GET, HEAD\n"),
        "{printed}"
    );
}

#[test]
fn fetch_has_an_exit_code_for_each_kind_of_failure() {
    let hello = Hello::start();
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (refused, secure) = (format!("http://{unused}/"), format!("https://{unused}/"));
    for (args, code, words) in [
        (&["--nonsense"][..], 2, "--nonsense"),
        (&[][..], 2, "no URL"),
        (&["no-scheme"], 3, "no scheme"),
        (&[&secure], 7, "refused"),
        (&["-H", "bad name: x", &hello.url("/")], 3, "bad name"),
        (&["http://no-such-host.invalid/"], 6, "no-such-host.invalid"),
        (&[&refused], 7, "refused"),
        (&["--timeout", "0.05", &hello.url("/slow/60000")], 28, "50ms"),
    ] {
        let out = fetch(args);
        assert_eq!(out.status.code(), Some(code), "{args:?}: {out:?}");
        assert!(text(&out.stderr).starts_with("fetch: ") && text(&out.stderr).contains(words), "{args:?}: {out:?}");
    }
    for (answer, code) in
        [("", 52), ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", 18), ("SSH-2.0-OpenSSH\r\n", 8)]
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let peer = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let out = fetch(&[&url]);
        assert_eq!(out.status.code(), Some(code), "{answer:?}: {out:?}");
        peer.join().unwrap();
    }
}

#[test]
fn curl_is_served() {
    let Some(_) = program("curl") else { return };
    let hello = Hello::start();
    let curl = |args: &[&str]| {
        let out = Command::new("curl").args(["-sS", "--max-time", "20"]).args(args).output().unwrap();
        assert!(out.status.success(), "curl {args:?}: {out:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    assert_eq!(curl(&[&hello.url("/")]), "Hello I am server 3");
    assert_eq!(curl(&["--http1.0", &hello.url("/")]), "Hello I am server 3");
    assert_eq!(curl(&["-w", "%{num_connects}", &hello.url("/users/1"), &hello.url("/users/2")]), "user 1\n1user 2\n0");
    assert_eq!(curl(&["-d", "posted", &hello.url("/echo")]), "posted");
    assert_eq!(curl(&["-d", "chunked", "-H", "transfer-encoding: chunked", &hello.url("/echo")]), "chunked");
    assert_eq!(curl(&["-d", "awaited", "-H", "expect: 100-continue", &hello.url("/echo")]), "awaited");
    let lines = curl(&[&hello.url("/count/5000")]);
    assert_eq!(lines.lines().count(), 5000);
    let head = curl(&["-I", &hello.url("/")]);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("content-length: 19\r\n"), "{head}");
    let redirected = curl(&["-o", "-", "-L", "-w", "%{num_redirects} %{url_effective}", &hello.url("/users/../echo")]);
    assert!(redirected.ends_with(&hello.url("/echo")), "{redirected}");
}

#[test]
fn pythons_http_server_is_understood() {
    let Some(mut python) = program("python3") else { return };
    let folder = std::env::temp_dir().join(format!("roundtrip-test-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("page.txt"), "from python\n").unwrap();
    // Unbuffered, so that the line that tells the port comes at once.
    let mut child = python
        .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"])
        .arg(&folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.split("port ").nth(1).unwrap().split(' ').next().unwrap();
    let page = fetch(&[&format!("http://127.0.0.1:{port}/page.txt")]);
    let missing = fetch(&[&format!("http://127.0.0.1:{port}/none")]);
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(
        text(&page.stdout).starts_with("HTTP/1.0 200 OK\n") && text(&page.stdout).ends_with("\n\nfrom python\n"),
        "{page:?}"
    );
    assert!(text(&missing.stdout).starts_with("HTTP/1.0 404 "), "{missing:?}");
}

#[cfg(unix)]
#[test]
fn hello_server_finishes_its_work_when_terminated() {
    let mut hello = Hello::start();
    let addr = hello.url.strip_prefix("http://").unwrap().to_owned();
    let mut slow = TcpStream::connect(addr).unwrap();
    slow.write_all(b"GET /slow/300 HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    // Connections are accepted in order: once a later one is answered, this one is no longer in the queue.
    assert_eq!(text(&fetch(&["-b", &hello.url("/")]).stdout), "Hello I am server 3");
    let stopped = Command::new("kill").args(["-TERM", &hello.child.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    let mut response = String::new();
    slow.read_to_string(&mut response).unwrap();
    assert!(response.contains("\r\nconnection: close\r\n") && response.ends_with("waited 300 ms\n"), "{response}");
    assert_eq!(hello.child.wait().unwrap().code(), Some(0));
}
