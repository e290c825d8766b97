//! The client's cases of `timeouts.json`: which timer ends which stall. The server's belong to the server's crate.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use roundtrip_transport::{
    ConnectConfig, Connection, Dial, DialFuture, Dialer, RequestOptions, RoundTripper, Target, TlsConfig, Transport,
    TransportConfig,
};
use roundtrip_types::{Body, BodySender, Error, ErrorKind, Request};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::peer::Socket;
use super::{LIMIT, count, go_zero, millis, play_all, within};
use roundtrip_golden::{Outcome, Run, base64, known_keys, part_bytes};

const FILE: &str = "timeouts.json";

const KEYS: &[&str] = &[
    "name",
    "side",
    "server",
    "tls",
    "handler",
    "client_sends",
    "client_does_not_read",
    "client",
    "request",
    "server_plays",
    "observe_ms",
    "want",
    "note",
];

pub(crate) async fn run() {
    let mut run = Run::load(env!("CARGO_MANIFEST_DIR"), FILE).with_keys(KEYS);
    play_all(&mut run, |case| async move {
        if case["side"] == "client" { check(&case).await } else { Outcome::Elsewhere("roundtrip-server") }
    })
    .await;
    run.finish();
}

async fn check(case: &Value) -> Outcome {
    let mut want = case["want"].clone();
    let keys = [
        "fired",
        "closed",
        "outcome",
        "stage",
        "kind",
        "attempts",
        "error_is_timeout",
        "request_body_arrived",
        "body_read",
        "follow_up_same_connection",
        "returned_when",
    ];
    known_keys(&want, &keys);
    let map = want.as_object_mut().unwrap();
    if want_stalls(case) {
        // The harness has given up, and what it leaves behind is its own.
        map.remove("closed");
    }
    // Go waits for the read of the request's body; we return when the timer has fired, which the elapsed time shows.
    let waits_for_body = map.remove("returned_when").is_some();
    let got = match play(case).await {
        Ok(got) => got,
        Err(why) => return Outcome::Failed(why),
    };
    let kept = got.facts.as_object().unwrap().keys().filter(|key| !want.as_object().unwrap().contains_key(*key));
    let superfluous: Vec<_> =
        kept.filter(|key| !["body_read", "request_body_arrived"].contains(&key.as_str())).collect();
    let same = want.as_object().unwrap().iter().all(|(key, value)| got.facts[key] == *value);
    if !same || !superfluous.is_empty() {
        return Outcome::Failed(format!("got  {} {}\n    want {want}", got.facts, got.error));
    }
    match got.in_time(case) {
        Err(why) => Outcome::Failed(why),
        Ok(()) if waits_for_body => Outcome::Differs("returns_at_once"),
        Ok(()) => Outcome::Passed,
    }
}

fn want_stalls(case: &Value) -> bool {
    case["want"]["outcome"] == "stalled"
}

struct Got {
    facts: Value,
    error: String,
    elapsed: Duration,
}

impl Got {
    /// Whether the timer that fired fits the time that it took.
    fn in_time(&self, case: &Value) -> Result<(), String> {
        let client = &case["client"];
        let nominal = |key: &str| millis(&client[key]).unwrap_or_default();
        // The header's timer starts when the request is sent, which may be late.
        let sent = millis(&case["request"]["body_gate_ms"]).unwrap_or_default()
            + if case["request"]["expect_continue"] == true {
                nominal("expect_continue_timeout_ms")
            } else {
                Duration::ZERO
            };
        let due = match case["want"]["fired"].as_str().unwrap() {
            "client" => nominal("client_timeout_ms"),
            "deadline" => nominal("request_deadline_ms"),
            "cancel" => nominal("cancel_after_ms"),
            "dial" => nominal("dial_timeout_ms"),
            "tls_handshake" => nominal("tls_handshake_timeout_ms"),
            "response_header" => sent + nominal("response_header_timeout_ms"),
            "expect_continue" => nominal("expect_continue_timeout_ms"),
            _ => return Ok(()),
        };
        let (least, most) = (due.mul_f64(0.85), due + Duration::from_millis(250));
        if (least..=most).contains(&self.elapsed) {
            return Ok(());
        }
        Err(format!("took {:?}, want {least:?} to {most:?} {}", self.elapsed, self.error))
    }
}

/// Which timer an error names.
fn fired(error: &Error, case: &Value) -> &'static str {
    let text = error.to_string();
    let settings = [
        ("(connect_timeout)", "dial"),
        ("(response_header_timeout)", "response_header"),
        ("(handshake_timeout)", "tls_handshake"),
    ];
    if let Some((_, timer)) = settings.iter().find(|(setting, _)| text.contains(setting)) {
        return timer;
    }
    match (text.contains("(total_timeout)"), total(case)) {
        (true, Some((_, timer))) => timer,
        _ => "other",
    }
}

/// The limit on the whole: the earlier of Go's two.
fn total(case: &Value) -> Option<(Duration, &'static str)> {
    let client = &case["client"];
    let limits = [("client_timeout_ms", "client"), ("request_deadline_ms", "deadline")];
    limits.iter().filter_map(|(key, timer)| Some((millis(&client[key])?, *timer))).min()
}

/// What the server saw of the request.
#[derive(Default)]
struct Served {
    /// Connections, and the path of the last request on each.
    conns: Vec<(Arc<Socket>, String)>,
    attempts: usize,
    body_arrived: bool,
    /// Which connections carried the request and what followed it.
    carried: Option<usize>,
    follow_up: Option<usize>,
}

async fn play(case: &Value) -> Result<Got, String> {
    known_keys(
        &case["request"],
        &[
            "method",
            "https",
            "warm",
            "body_bytes",
            "body_gate_ms",
            "expect_continue",
            "other_request_holds_the_only_slot",
        ],
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = Arc::new(Mutex::new(Served::default()));
    let serving = tokio::spawn(serve(case.clone(), listener, Arc::clone(&served)));
    let transport = Transport::with_config(config(&case["client"], address));
    let get = |path: &str| http::Request::get(format!("http://h.test/{path}")).body(Body::empty()).unwrap();
    if case["request"]["warm"] == true {
        let warm = transport.round_trip(get("warm")).await.map_err(|error| error.to_string())?;
        warm.into_body().bytes().await.map_err(|error| error.to_string())?;
    }
    let mut holder = None;
    if case["request"]["other_request_holds_the_only_slot"] == true {
        let hold = get("hold");
        holder = Some(transport.round_trip(hold).await.map_err(|error| error.to_string())?);
    }
    let (mut facts, error, elapsed) = attempt(case, &transport).await?;
    let is_ok = facts["outcome"] == "ok";
    if is_ok {
        let follow = timeout(LIMIT, transport.round_trip(get("follow"))).await.map_err(|_| "no follow-up")?;
        follow.map_err(|error| format!("follow-up: {error}"))?;
        let served = served.lock().unwrap();
        facts["follow_up_same_connection"] = json!(served.follow_up.is_some() && served.follow_up == served.carried);
    }
    let closed = || {
        let served = served.lock().unwrap();
        served.conns.iter().any(|(socket, path)| path != "/hold" && socket.has_ended())
    };
    if !want_stalls(case) {
        facts["closed"] = if case["want"]["closed"] == true {
            json!(within(Duration::from_secs(2), closed).await)
        } else {
            sleep(Duration::from_millis(60)).await;
            json!(closed())
        };
    }
    {
        let served = served.lock().unwrap();
        facts["attempts"] = json!(served.attempts);
        if case["request"]["body_bytes"].is_u64() {
            facts["request_body_arrived"] = json!(served.body_arrived);
        }
        served.conns.iter().for_each(|(socket, _)| socket.stop());
    }
    serving.abort();
    drop(holder);
    Ok(Got { facts, error, elapsed })
}

fn config(given: &Value, address: SocketAddr) -> TransportConfig {
    let keys = [
        "client_timeout_ms",
        "dial_timeout_ms",
        "dial_blocks_ms",
        "tls_handshake_timeout_ms",
        "response_header_timeout_ms",
        "expect_continue_timeout_ms",
        "idle_conn_timeout_ms",
        "request_deadline_ms",
        "cancel_after_ms",
        "max_conns_per_host",
    ];
    known_keys(given, &keys);
    let dial = Slow { address, blocks: millis(&given["dial_blocks_ms"]) };
    let tls = TlsConfig { handshake_timeout: millis(&given["tls_handshake_timeout_ms"]), ..TlsConfig::default() };
    let connect = ConnectConfig { dial: Dialer::Custom(Arc::new(dial)), tls, ..ConnectConfig::default() };
    TransportConfig {
        connect,
        max_conns_per_host: given["max_conns_per_host"].as_u64().map(|limit| usize::try_from(limit).unwrap()),
        connect_timeout: millis(&given["dial_timeout_ms"]),
        response_header_timeout: millis(&given["response_header_timeout_ms"]),
        expect_continue_timeout: millis(&given["expect_continue_timeout_ms"]),
        idle_conn_timeout: millis(&given["idle_conn_timeout_ms"]),
        ..go_zero()
    }
}

/// Connects after a while.
struct Slow {
    address: SocketAddr,
    blocks: Option<Duration>,
}

impl Dial for Slow {
    fn dial<'a>(&'a self, _: &'a Target) -> DialFuture<'a> {
        Box::pin(async move {
            if let Some(blocks) = self.blocks {
                sleep(blocks).await;
            }
            let stream = TcpStream::connect(self.address).await;
            stream.map(Connection::new).map_err(|error| Error::new(ErrorKind::Connect, "dial").with_cause(error))
        })
    }
}

fn request(case: &Value) -> (Request, Option<(BodySender, Vec<u8>)>) {
    let given = &case["request"];
    let scheme = if given["https"] == true { "https" } else { "http" };
    let mut builder = http::Request::builder().method(given["method"].as_str().unwrap());
    builder = builder.uri(format!("{scheme}://h.test/timed"));
    if given["expect_continue"] == true {
        builder = builder.header("expect", "100-continue");
    }
    if let Some((limit, _)) = total(case) {
        let options = RequestOptions { total_timeout: Some(limit), ..RequestOptions::default() };
        builder = builder.extension(options);
    }
    let Some(bytes) = given["body_bytes"].as_u64() else { return (builder.body(Body::empty()).unwrap(), None) };
    let data = vec![b'b'; usize::try_from(bytes).unwrap()];
    if given["body_gate_ms"].is_null() {
        return (builder.body(Body::from(data)).unwrap(), None);
    }
    let (sender, body) = Body::channel(1);
    (builder.header("content-length", bytes).body(body).unwrap(), Some((sender, data)))
}

/// Sends the request and reads its response, for as long as the case watches it.
async fn attempt(case: &Value, transport: &Transport) -> Result<(Value, String, Duration), String> {
    let (request, upload) = request(case);
    let gate = millis(&case["request"]["body_gate_ms"]);
    let sending = upload.map(|(mut sender, data)| {
        tokio::spawn(async move {
            sleep(gate.expect("a gated body has a gate")).await;
            // The request may have been given up.
            let _ = sender.send(data).await;
            sender.finish();
        })
    });
    let observe = millis(&case["observe_ms"]).expect("observe_ms");
    let cancel = millis(&case["client"]["cancel_after_ms"]);
    let limit = cancel.map_or(observe, |cancel| cancel.min(observe));
    let began = Instant::now();
    let (mut stage, mut read) = ("head", 0);
    let exchange = async {
        let response = transport.round_trip(request).await?;
        stage = "body";
        let mut body = response.into_body();
        while let Some(piece) = body.chunk().await {
            read += piece?.len();
        }
        Ok::<(), Error>(())
    };
    // Running out drops what there is of it, which is how a caller cancels.
    let done = timeout(limit, exchange).await;
    let elapsed = began.elapsed();
    let mut shown = String::new();
    let mut facts = match &done {
        Ok(Ok(())) => json!({"outcome": "ok", "fired": "none"}),
        Ok(Err(error)) => {
            shown = error.to_string();
            let kind = if error.is_timeout() { "timeout" } else { super::slug(error) };
            json!({
                "outcome": "error", "stage": stage, "kind": kind, "fired": fired(error, case),
                "error_is_timeout": error.is_timeout(),
            })
        }
        Err(_) if cancel.is_some_and(|cancel| cancel < observe) => {
            json!({"outcome": "error", "stage": stage, "kind": "canceled", "fired": "cancel", "error_is_timeout": false})
        }
        Err(_) => json!({"outcome": "stalled", "stage": stage, "fired": "none"}),
    };
    if stage == "body" {
        facts["body_read"] = json!(read);
    }
    let expected = case["want"]["fired"] == "expect_continue" && facts["outcome"] == "ok";
    if expected {
        // No error tells of this timer: the time does, and that the body arrived.
        facts["fired"] = json!("expect_continue");
    }
    if let Some(sending) = sending {
        sending.abort();
    }
    Ok((facts, shown, elapsed))
}

async fn serve(case: Value, listener: TcpListener, served: Arc<Mutex<Served>>) {
    let case = Arc::new(case);
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let socket = Socket::new(stream);
        let number = {
            let mut served = served.lock().unwrap();
            served.conns.push((Arc::clone(&socket), String::new()));
            served.conns.len() - 1
        };
        if case["request"]["https"] == true {
            // The handshake is never answered.
            continue;
        }
        let (case, served) = (Arc::clone(&case), Arc::clone(&served));
        tokio::spawn(async move {
            while let Some(head) = socket.head().await {
                {
                    let mut served = served.lock().unwrap();
                    head.path.clone_into(&mut served.conns[number].1);
                    match head.path.as_str() {
                        "/timed" => {
                            served.attempts += 1;
                            served.carried = Some(number);
                        }
                        "/follow" => served.follow_up = Some(number),
                        _ => {}
                    }
                }
                match head.path.as_str() {
                    "/timed" => {
                        let arrives = async {
                            if socket.body(&head).await.is_some() {
                                served.lock().unwrap().body_arrived = true;
                            }
                        };
                        let plays = play_parts(&case, &socket, &head);
                        tokio::join!(plays, arrives);
                    }
                    // The rest of the body never comes.
                    "/hold" => drop(socket.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab").await),
                    _ => drop(socket.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await),
                }
            }
        });
    }
}

async fn play_parts(case: &Value, socket: &Socket, head: &super::peer::Head) {
    for part in case["server_plays"].as_array().into_iter().flatten() {
        known_keys(part, &["b64", "pause_ms", "trickle_b64", "gap_ms", "wait"]);
        if part["wait"] == "body" && !socket.wait_body(head).await {
            return;
        }
        if let Some(pause) = millis(&part["pause_ms"])
            && timeout(pause, socket.wait_ended()).await.is_ok()
        {
            return;
        }
        // The client may have given up.
        if socket.write(&part_bytes(part)).await.is_err() {
            return;
        }
        if let Some(text) = part["trickle_b64"].as_str() {
            let gap = Duration::from_millis(count(&part["gap_ms"]) as u64);
            for byte in base64(text) {
                sleep(gap).await;
                if socket.has_ended() || socket.write(&[byte]).await.is_err() {
                    return;
                }
            }
        }
    }
}
