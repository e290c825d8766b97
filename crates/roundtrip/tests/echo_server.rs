//! The echo server as a program: what it says, on every kind of socket, and how it ends.
//!
//! A test whose peer is not installed says so by name and does nothing; with `CI` set, it fails instead.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic is how a test reports, and so is a line that it prints"
)]

mod peers;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

use peers::{example, program, text};
use serde_json::{Value, json};

/// `echo_server`, killed when dropped.
struct Echo {
    child: Child,
    said: BufReader<ChildStderr>,
}

impl Echo {
    fn start(args: &[&str]) -> Self {
        Echo::run(example("echo_server").args(args))
    }

    fn run(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        Echo { child, said }
    }

    /// Where it says that it listens, once it does.
    fn place(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("said {line:?}")).to_owned()
    }

    fn addr(&mut self) -> SocketAddr {
        self.place().split_once("://").unwrap().1.parse().unwrap()
    }

    fn signal(&self, signal: &str) {
        let told = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
    }

    /// Terminates it; what it said at the end.
    fn stop(mut self) -> String {
        self.signal("-TERM");
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        rest
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends `request`, which asks for the connection's end, and reads to it.
fn exchange(mut stream: impl Read + Write, request: &[u8]) -> String {
    stream.write_all(request).unwrap();
    let mut got = String::new();
    stream.read_to_string(&mut got).unwrap();
    got
}

fn account(response: &str) -> Value {
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    serde_json::from_str(body).unwrap()
}

const CLOSING: &[u8] = b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

#[test]
fn it_says_what_it_was_asked_and_reads_the_body_first() {
    let mut echo = Echo::start(&["--addr", "127.0.0.1:0"]);
    let addr = echo.addr();
    let stream = TcpStream::connect(addr).unwrap();
    let said = account(&exchange(
        stream,
        b"BREW /pot/%20?q=1 HTTP/1.1\r\nHost: h.test:1\r\nX-A: 1\r\nx-a: 2\r\nTransfer-Encoding: chunked\r\n\
          Connection: close\r\n\r\n5\r\nhello\r\n2\r\n!!\r\n0\r\n\r\n",
    ));
    assert_eq!(
        said,
        json!({
            "method": "BREW",
            "target": "/pot/%20?q=1",
            "host": "h.test:1",
            "version": "HTTP/1.1",
            "fields": [
                ["host", "h.test:1"], ["x-a", "1"], ["x-a", "2"], ["transfer-encoding", "chunked"], ["connection", "close"],
            ],
            "body_length": 7,
        })
    );
    let absolute = b"GET http://other.test/p HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let said = account(&exchange(TcpStream::connect(addr).unwrap(), absolute));
    assert_eq!((&said["target"], &said["host"]), (&json!("http://other.test/p"), &json!("other.test")));
    let half = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n";
    let refused = exchange(TcpStream::connect(addr).unwrap(), half);
    assert!(refused.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{refused}");
    let last = echo.stop();
    assert!(last.starts_with("stopped: ") && last.contains("panics: 0"), "{last}");
}

#[test]
fn options_that_do_not_go_together_are_named() {
    for (args, words) in [
        (&["--tls-cert", "x.pem"][..], "--tls-cert and --tls-key go together"),
        (&["--tls-cert", "/none.pem", "--tls-key", "/none.key"], "/none.pem: "),
        (&["--nonsense"], "--nonsense"),
        (&["--systemd"], "systemd has passed no socket"),
    ] {
        let out = example("echo_server").args(args).env_remove("LISTEN_FDS").output().unwrap();
        assert_eq!(out.status.code(), Some(1), "{args:?}");
        assert!(text(&out.stderr).contains(words), "{args:?}: {out:?}");
    }
}

/// A folder for a test's files, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("roundtrip-echo-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn it_serves_a_unix_socket_and_tcp_on_every_core_at_once() {
    let folder = Folder::new("unix");
    let path = folder.file("echo.sock");
    let mut echo = Echo::start(&["--unix", &path, "--addr", "127.0.0.1:0", "--per-core"]);
    assert_eq!(echo.place(), format!("http+unix:{path}"));
    let addr = echo.addr();
    assert_eq!(account(&exchange(UnixStream::connect(&path).unwrap(), CLOSING))["target"], "/x");
    for _ in 0..20 {
        assert_eq!(account(&exchange(TcpStream::connect(addr).unwrap(), CLOSING))["target"], "/x");
    }
    let last = echo.stop();
    assert!(last.contains("accepted: 21"), "{last}");
    assert!(!PathBuf::from(&path).exists());
}

#[test]
fn it_serves_the_sockets_that_systemd_passes() {
    let folder = Folder::new("systemd");
    let path = folder.file("passed.sock");
    let (tcp, unix) = (TcpListener::bind("127.0.0.1:0").unwrap(), UnixListener::bind(&path).unwrap());
    let addr = tcp.local_addr().unwrap();
    // What systemd does: descriptors from 3 on, and the process's own number.
    let mut shell = Command::new("sh");
    shell.arg("-c").arg("exec 3<&0 4<&1 0<&- 1<&-; LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" --systemd");
    shell.arg(example("echo_server").get_program());
    shell.stdin(Stdio::from(OwnedFd::from(tcp))).stdout(Stdio::from(OwnedFd::from(unix)));
    let mut echo = Echo::run(&mut shell);
    drop(shell);
    assert_eq!(echo.addr(), addr);
    assert_eq!(echo.place(), format!("http+unix:{path}"));
    assert_eq!(account(&exchange(TcpStream::connect(addr).unwrap(), CLOSING))["target"], "/x");
    assert_eq!(account(&exchange(UnixStream::connect(&path).unwrap(), CLOSING))["target"], "/x");
    echo.stop();
    assert!(PathBuf::from(&path).exists(), "the file is systemd's");
}

#[test]
fn out_of_descriptors_it_goes_on_once_some_are_free() {
    // A few descriptors are the program's own.
    let mut shell = Command::new("sh");
    shell.arg("-c").arg("ulimit -n 40; exec \"$0\" --addr 127.0.0.1:0").arg(example("echo_server").get_program());
    let mut echo = Echo::run(&mut shell);
    let addr = echo.addr();
    let many: Vec<_> = (0..60).map(|_| TcpStream::connect(addr).unwrap()).collect();
    // It says so once, and waits for a descriptor.
    let mut line = String::new();
    echo.said.read_line(&mut line).unwrap();
    assert!(line.starts_with(&format!("roundtrip-server: accept on {addr}: ")), "{line}");
    assert!(line.contains("os error 24") && line.ends_with("; retrying\n"), "{line}");
    let mut late = TcpStream::connect(addr).unwrap();
    late.write_all(CLOSING).unwrap();
    drop(many);
    let mut got = String::new();
    late.read_to_string(&mut got).unwrap();
    assert_eq!(account(&got)["target"], "/x");
    let last = echo.stop();
    assert_eq!(last.lines().count(), 1, "nothing else was said: {last}");
}

#[test]
fn curl_is_served_over_tls() {
    let Some(_) = program("curl") else { return };
    let folder = Folder::new("tls");
    let (cert, key) = (folder.file("cert.pem"), folder.file("key.pem"));
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut echo = Echo::start(&["--addr", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key]);
    let url = echo.place();
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    let curl = |args: &[&str]| {
        let out =
            Command::new("curl").args(["-sS", "--max-time", "20", "--cacert", &cert]).args(args).output().unwrap();
        assert!(out.status.success(), "curl {args:?}: {out:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    for version in ["--tlsv1.2", "--tlsv1.3"] {
        let max = &version["--tlsv".len()..];
        let said: Value =
            serde_json::from_str(&curl(&["--http1.1", version, "--tls-max", max, "-d", "posted", &url])).unwrap();
        assert_eq!((&said["method"], &said["body_length"]), (&json!("POST"), &json!(6)), "{version}");
    }
    let plain = curl(&["-i", &url.replace("https", "http")]);
    assert!(plain.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{plain}");
    assert!(plain.ends_with("Client sent an HTTP request to an HTTPS server.\n"), "{plain}");
    echo.stop();
}

#[test]
fn a_second_signal_cuts_what_the_first_leaves_to_finish() {
    let mut echo = Echo::start(&["--addr", "127.0.0.1:0"]);
    let addr = echo.addr();
    // Half a request, which it waits for.
    let mut half = TcpStream::connect(addr).unwrap();
    half.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n").unwrap();
    let mut interim = [0; 25];
    half.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    echo.signal("-INT");
    // The first one has arrived when nobody listens any more.
    while TcpStream::connect(addr).is_ok() {
        std::thread::yield_now();
    }
    let last = echo.stop();
    assert!(last.starts_with("stopped: 0 connection(s) finished, 1 cut"), "{last}");
}

/// What came of one client's requests.
#[derive(Debug, Default)]
struct Tally {
    answered: u32,
    /// Sent on a connection that had been served before, and never answered.
    lost: u32,
}

/// Asks again and again, on one connection for as long as the server lets it, until nobody listens any more.
fn ask_until_refused(addr: SocketAddr) -> Tally {
    let mut tally = Tally::default();
    'connections: while let Ok(mut stream) = TcpStream::connect(addr) {
        let mut served = 0;
        loop {
            let written = stream.write_all(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
            let mut got = Vec::new();
            let mut piece = [0; 1024];
            let complete = loop {
                match stream.read(&mut piece) {
                    Ok(0) | Err(_) => break false,
                    Ok(read) => got.extend(&piece[..read]),
                }
                // The account ends the response.
                if got.ends_with(b"}\n") {
                    break true;
                }
            };
            if !complete {
                // One that was never served may not have been accepted at all: the system has dropped it with its queue.
                tally.lost += u32::from(written.is_ok() && served > 0);
                continue 'connections;
            }
            served += 1;
            tally.answered += 1;
            if String::from_utf8_lossy(&got).contains("\r\nconnection: close\r\n") {
                continue 'connections;
            }
        }
    }
    tally
}

#[test]
fn terminated_under_load_it_answers_every_request_it_took() {
    for args in [&["--addr", "127.0.0.1:0"][..], &["--addr", "127.0.0.1:0", "--per-core"]] {
        let mut echo = Echo::start(args);
        let addr = echo.addr();
        let clients: Vec<_> = (0..16).map(|_| std::thread::spawn(move || ask_until_refused(addr))).collect();
        // All of them are at work once this many are answered.
        let warm = TcpStream::connect(addr).unwrap();
        for _ in 0..200 {
            (&warm).write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
            let mut piece = [0; 1024];
            assert_ne!((&warm).read(&mut piece).unwrap(), 0);
        }
        let last = echo.stop();
        let tallies: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        assert!(tallies.iter().all(|tally| tally.answered > 0 && tally.lost == 0), "{tallies:?}");
        assert!(last.contains(" 0 cut"), "{last}");
    }
}
