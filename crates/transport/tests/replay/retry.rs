//! `retry.json`: what is sent again when the server, or the network, kills the connections that carry a request.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use roundtrip_transport::{
    ConnectConfig, Dial, DialFuture, Dialer, RequestOptions, Retry, RoundTripper, Target, Transport, TransportConfig,
};
use roundtrip_types::{Body, Error, ErrorKind, Request};
use serde_json::{Value, json};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::peer::Inbox;
use super::wire::{Control, Wire};
use super::{LIMIT, count, go_zero, play_all, same_kind, slug, within};
use roundtrip_golden::{Outcome, Run, known_keys};

const FILE: &str = "retry.json";

pub(crate) async fn run() {
    let mut run = Run::load(env!("CARGO_MANIFEST_DIR"), FILE).with_keys(&[
        "name",
        "method",
        "idempotency_key",
        "body",
        "idle_conns",
        "kill",
        "want",
        "note",
    ]);
    play_all(&mut run, |case| async move { check(&case).await }).await;
    run.finish();
}

async fn check(case: &Value) -> Outcome {
    known_keys(&case["kill"], &["stage", "how", "times"]);
    known_keys(&case["body"], &["kind", "bytes"]);
    let mut want = case["want"].clone();
    let keys = [
        "outcome",
        "error",
        "status",
        "body_end",
        "body_read",
        "attempts",
        "connections",
        "answered_request_body",
        "rewinds",
    ];
    known_keys(&want, &keys);
    let (got, error) = match play(case).await {
        Ok(got) => got,
        Err(why) => return Outcome::Failed(why),
    };
    let cuts = ["one_byte", "partial_status", "interim", "head", "mid_body", "mid_chunk"];
    let cut = cuts.iter().any(|stage| case["kill"]["stage"] == *stage);
    for (key, prefix) in [("error", ""), ("body_end", "error:")] {
        if let (Some(wanted), Some(is)) = (want[key].as_str(), got[key].as_str())
            && let (Some(wanted), Some(kind)) = (wanted.strip_prefix(prefix), is.strip_prefix(prefix))
            && same_kind(wanted, kind, cut)
        {
            want[key] = got[key].clone();
        }
    }
    if want == got { Outcome::Passed } else { Outcome::Failed(format!("got  {got} {error}\n    want {want}")) }
}

/// What the server does and sees.
#[derive(Default)]
struct Server {
    warming: usize,
    /// Warm-up requests that came.
    arrived: AtomicUsize,
    accepted: AtomicUsize,
    /// Connections that the client has left.
    left: AtomicUsize,
    state: Mutex<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    armed: bool,
    stage: String,
    how: String,
    kills_left: usize,
    /// Idle connections are to be shut down.
    shut_idle: bool,
    attempts: usize,
    answered: Option<usize>,
}

async fn play(case: &Value) -> Result<(Value, String), String> {
    let (idle, times) = (count(&case["idle_conns"]), count(&case["kill"]["times"]));
    let stage = case["kill"]["stage"].as_str().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Arc::new(Server { warming: idle, ..Server::default() });
    let serving = tokio::spawn(accept(listener, Arc::clone(&server)));
    let dialer = Arc::new(Deaf { address, conns: Mutex::default(), deaf: AtomicUsize::new(0) });
    let transport = Transport::with_config(TransportConfig {
        max_idle_conns_per_host: 100,
        connect: ConnectConfig {
            dial: Dialer::Custom(Arc::clone(&dialer) as Arc<dyn Dial>),
            ..ConnectConfig::default()
        },
        ..go_zero()
    });
    warm_up(&transport, idle, address).await?;
    {
        let mut state = server.state.lock().unwrap();
        state.armed = true;
        state.stage = stage.to_owned();
        case["kill"]["how"].as_str().unwrap().clone_into(&mut state.how);
        state.kills_left = times;
        state.shut_idle = stage == "idle";
    }
    match stage {
        "idle" => {
            server.news.notify_waiters();
            if !within(LIMIT, || server.left.load(Ordering::SeqCst) == idle).await {
                return Err("the client did not close its idle connections".into());
            }
            server.state.lock().unwrap().shut_idle = false;
        }
        "write_error" => dialer.deafen(times),
        _ => {}
    }
    let made = Arc::new(AtomicUsize::new(0));
    let request = request(case, address, &made);
    let mut got = json!({"body_read": 0});
    let mut shown = String::new();
    match timeout(LIMIT, transport.round_trip(request)).await.map_err(|_| "no answer")? {
        Err(error) => {
            got["outcome"] = json!("error");
            got["error"] = json!(slug(&error));
            shown = error.to_string();
        }
        Ok(response) => {
            got["outcome"] = json!("ok");
            got["status"] = json!(response.status().as_u16());
            let (mut body, mut read) = (response.into_body(), 0);
            let end = loop {
                match timeout(LIMIT, body.chunk()).await.map_err(|_| "the body does not end")? {
                    None => break "eof".to_owned(),
                    Some(Ok(piece)) => read += piece.len(),
                    Some(Err(error)) => {
                        shown = error.to_string();
                        break format!("error:{}", slug(&error));
                    }
                }
            };
            got["body_read"] = json!(read);
            got["body_end"] = json!(end);
        }
    }
    let state = server.state.lock().unwrap();
    got["attempts"] = json!(state.attempts);
    got["answered_request_body"] = json!(state.answered);
    got["connections"] = json!(server.accepted.load(Ordering::SeqCst));
    got["rewinds"] = json!(made.load(Ordering::SeqCst).saturating_sub(1));
    serving.abort();
    Ok((got, shown))
}

/// Leaves `idle` connections in the pool.
async fn warm_up(transport: &Transport, idle: usize, address: SocketAddr) -> Result<(), String> {
    let mut calls = JoinSet::new();
    for _ in 0..idle {
        let transport = transport.clone();
        let request = http::Request::get(format!("http://{address}/warm")).body(Body::empty()).unwrap();
        calls.spawn(async move { transport.round_trip(request).await });
    }
    let mut bodies = Vec::new();
    while let Some(call) = calls.join_next().await {
        bodies.push(call.unwrap().map_err(|error| format!("warm-up: {error}"))?.into_body());
    }
    for body in bodies {
        body.bytes().await.map_err(|error| format!("warm-up: {error}"))?;
    }
    match transport.stats().idle {
        is if is == idle => Ok(()),
        is => Err(format!("{is} idle connections instead of {idle}")),
    }
}

fn request(case: &Value, address: SocketAddr, made: &Arc<AtomicUsize>) -> Request {
    let bytes = count(&case["body"]["bytes"]);
    let method = Method::from_bytes(case["method"].as_str().unwrap().as_bytes()).unwrap();
    let mut builder = http::Request::builder().method(method).uri(format!("http://{address}/armed"));
    match case["idempotency_key"].as_str().unwrap() {
        "value" => builder = builder.header("idempotency-key", "k1"),
        "x_value" => builder = builder.header("x-idempotency-key", "k2"),
        // A key that is there without a value says: this may be repeated, and nobody needs to be told. Here that is an option.
        "empty" => builder = builder.extension(RequestOptions { retry: Retry::Always, ..RequestOptions::default() }),
        "none" => {}
        other => panic!("unknown idempotency_key {other}"),
    }
    let once = || {
        let (mut sender, body) = Body::channel(2);
        assert!(sender.try_send(vec![b'b'; bytes]).is_ok(), "there is room");
        sender.finish();
        body
    };
    let body = match case["body"]["kind"].as_str().unwrap() {
        "none" => Body::empty(),
        "replayable" => {
            let made = Arc::clone(made);
            Body::replayable(move || {
                made.fetch_add(1, Ordering::SeqCst);
                Body::from(vec![b'b'; bytes])
            })
        }
        "one_shot" => {
            builder = builder.header("content-length", bytes);
            once()
        }
        "one_shot_unknown_length" => once(),
        other => panic!("unknown kind of body {other}"),
    };
    builder.body(body).unwrap()
}

/// Connects; writes on the connections that it is told of fail, with nothing written.
struct Deaf {
    address: SocketAddr,
    conns: Mutex<Vec<Arc<Control>>>,
    /// Connections yet to be opened that will be deaf.
    deaf: AtomicUsize,
}

impl Deaf {
    fn deafen(&self, times: usize) {
        let conns = self.conns.lock().unwrap();
        conns.iter().rev().take(times).for_each(|conn| conn.fail_writes());
        self.deaf.store(times.saturating_sub(conns.len()), Ordering::SeqCst);
    }
}

impl Dial for Deaf {
    fn dial<'a>(&'a self, _: &'a Target) -> DialFuture<'a> {
        Box::pin(async move {
            let connected = Wire::connect(self.address).await;
            let (conn, _, control) =
                connected.map_err(|error| Error::new(ErrorKind::Connect, "dial").with_cause(error))?;
            if self.deaf.load(Ordering::SeqCst) > 0 {
                self.deaf.fetch_sub(1, Ordering::SeqCst);
                control.fail_writes();
            }
            self.conns.lock().unwrap().push(control);
            Ok(conn)
        })
    }
}

async fn accept(listener: TcpListener, server: Arc<Server>) {
    let mut conns = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        server.accepted.fetch_add(1, Ordering::SeqCst);
        let server = Arc::clone(&server);
        conns.spawn(async move {
            // An error is the client's hanging up, which is what cases are about.
            let _ = serve(stream, &server).await;
            server.left.fetch_add(1, Ordering::SeqCst);
        });
    }
}

async fn serve(mut stream: TcpStream, server: &Server) -> io::Result<()> {
    let mut inbox = Inbox::default();
    loop {
        let mut news = std::pin::pin!(server.news.notified());
        news.as_mut().enable();
        let mut byte = [0];
        tokio::select! {
            // Nothing is read yet: some stages close with bytes unread.
            seen = stream.peek(&mut byte) => if seen? == 0 { return Ok(()) },
            () = news => {
                if server.state.lock().unwrap().shut_idle {
                    stream.shutdown().await?;
                    // Until the client has left too.
                    while stream.read(&mut [0; 64]).await? > 0 {}
                    return Ok(());
                }
                continue;
            }
        }
        let kill = {
            let mut state = server.state.lock().unwrap();
            state.attempts += usize::from(state.armed);
            let kills = state.armed && state.kills_left > 0 && !["idle", "write_error"].contains(&&*state.stage);
            state.kills_left -= usize::from(kills);
            kills.then(|| (state.stage.clone(), state.how.clone()))
        };
        if let Some((stage, how)) = kill {
            return perish(stream, inbox, &stage, &how).await;
        }
        let (head, body) = read_request(&mut stream, &mut inbox).await?;
        if head.path == "/warm" {
            server.arrived.fetch_add(1, Ordering::SeqCst);
            within(LIMIT, || server.arrived.load(Ordering::SeqCst) >= server.warming).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwarm").await?;
            continue;
        }
        server.state.lock().unwrap().answered = Some(body);
        let content: &[u8] = if head.method == "HEAD" { b"" } else { b"ok" };
        let reply = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", content].concat();
        stream.write_all(&reply).await?;
    }
}

async fn read_request(stream: &mut TcpStream, inbox: &mut Inbox) -> io::Result<(super::peer::Head, usize)> {
    let head = loop {
        if let Some(head) = inbox.head() {
            break head;
        }
        fill(stream, inbox).await?;
    };
    loop {
        if let Some(body) = inbox.body(&head) {
            return Ok((head, body));
        }
        fill(stream, inbox).await?;
    }
}

async fn fill(stream: &mut TcpStream, inbox: &mut Inbox) -> io::Result<()> {
    match stream.read_buf(&mut inbox.bytes).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Ends a connection at a stage of its exchange.
async fn perish(mut stream: TcpStream, mut inbox: Inbox, stage: &str, how: &str) -> io::Result<()> {
    match stage {
        // The kernel resets a connection that is closed with bytes unread.
        "unread" => return Ok(()),
        "head_only" => {
            let mut seen = vec![0; 64 << 10];
            let length = loop {
                let count = stream.peek(&mut seen).await?;
                if let Some(end) = seen[..count].windows(4).position(|four| four == b"\r\n\r\n") {
                    break end + 4;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            };
            stream.read_exact(&mut seen[..length]).await?;
            stream.peek(&mut [0]).await?;
            return Ok(());
        }
        _ => {}
    }
    read_request(&mut stream, &mut inbox).await?;
    let last: &[u8] = match stage {
        "request_read" => b"",
        "one_byte" => b"H",
        "partial_status" => b"HTTP/1.1 2",
        "interim" => b"HTTP/1.1 103 Early Hints\r\n\r\n",
        "head" => b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        "mid_body" => b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe",
        "mid_chunk" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
        other => panic!("unknown stage {other}"),
    };
    stream.write_all(last).await?;
    if how == "rst" {
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    }
    Ok(())
}
