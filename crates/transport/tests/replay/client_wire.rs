//! `client_wire.json`: fixed bytes from a raw server, what the caller gets, and whether the next request is safe from what is left of them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{HeaderMap, Method};
use roundtrip_transport::{
    InterimHook, RequestOptions, RoundTripper, Transport, TransportConfig, Uncompressed, Upgraded,
};
use roundtrip_types::{Body, Error, Response};
use serde_json::{Map, Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::peer::Socket;
use super::promises::promised;
use super::{go_zero, millis, play_all, slug, within};
use roundtrip_golden::{Outcome, Run, fields, known_keys, latin1, part_bytes};

const FILE: &str = "client_wire.json";

const KEYS: &[&str] = &[
    "request",
    "should",
    "must",
    "then",
    "want",
    "must_close",
    "preview",
    "go",
    "name",
    "rfc",
    "transport",
    "group",
    "note",
    "reply",
];

/// No head within this is `stalled`.
const HEAD_LIMIT: Duration = Duration::from_millis(500);

/// So is a body that pauses so long.
const BODY_LIMIT: Duration = Duration::from_millis(400);

/// For late bytes, the drain, and whoever watches idle connections.
const QUIET: Duration = Duration::from_millis(80);

pub(crate) async fn run() {
    let mut run = Run::load(env!("CARGO_MANIFEST_DIR"), FILE).with_keys(KEYS);
    play_all(&mut run, |case| async move { check(&case).await }).await;
    println!("{FILE}: the reason phrase is not looked at: http::Response has none");
    run.finish();
}

/// What the caller and the server saw.
struct Seen {
    facts: Value,
    /// Whether an error was surfaced, at the head or in the body.
    rejected: bool,
    error: String,
}

async fn check(case: &Value) -> Outcome {
    let seen = exchange(case).await;
    let follow_up = &seen.facts["follow_up"];
    if follow_up["outcome"] != "ok" || follow_up["body"] != "next" {
        return Outcome::Failed(format!("the follow-up got {follow_up}: {}", seen.error));
    }
    let same_connection = follow_up["same_connection"] == true;
    match case["must"].as_str() {
        Some("accept") if seen.rejected => return Outcome::Failed(format!("must be accepted: {}", seen.error)),
        Some("reject") if !seen.rejected => return Outcome::Failed(format!("must be rejected: {}", seen.facts)),
        _ => {}
    }
    if case["must_close"] == true && same_connection {
        return Outcome::Failed("the connection must be closed".into());
    }
    let want = wanted(case);
    if seen.facts == want {
        return Outcome::Passed;
    }
    match promised(case, &input(case), &want, &seen.facts) {
        Some(slug) => Outcome::Differs(slug),
        None => Outcome::Failed(format!("got  {} {}\n    want {want}", seen.facts, seen.error)),
    }
}

/// `want`, as far as a caller of ours can see it.
fn wanted(case: &Value) -> Value {
    let want = &case["want"];
    let keys = [
        "uncompressed",
        "interim",
        "headers",
        "status",
        "status_line_text",
        "request_body_sent",
        "body_end",
        "client_closed_connection",
        "trailers",
        "follow_up",
        "close",
        "body",
        "content_length",
        "body_len",
        "outcome",
        "error",
        "proto",
    ];
    known_keys(want, &keys);
    let mut wanted = want.clone();
    let map = wanted.as_object_mut().unwrap();
    // Whether the response ends its connection is seen by the connection.
    for key in ["close", "status_line_text"] {
        map.remove(key);
    }
    if want["close"] == true
        && let Some(headers) = map.get_mut("headers").and_then(Value::as_object_mut)
        && headers.get("connection").is_some_and(|values| values.to_string().to_lowercase().contains("close"))
    {
        headers.remove("connection");
        if headers.is_empty() {
            map.remove("headers");
        }
    }
    if map["outcome"] != "ok" {
        map.retain(|key, _| FAILED_KEYS.contains(&key.as_str()));
    }
    for key in ["error", "body_end"] {
        if let Some(kind) = map.get(key).and_then(Value::as_str) {
            map.insert(key.into(), json!(one_kind(kind)));
        }
    }
    wanted
}

const FAILED_KEYS: &[&str] =
    &["outcome", "interim", "error", "client_closed_connection", "follow_up", "request_body_sent"];

/// SCENARIOS.md: these are one kind; in this file the server always cuts inside a message.
fn one_kind(kind: &str) -> String {
    kind.replace("unexpected_eof", "malformed").replace("connection_lost", "malformed")
}

fn input(case: &Value) -> Vec<u8> {
    case["reply"].as_array().unwrap().iter().flat_map(part_bytes).collect()
}

/// What the server saw and did.
struct Served {
    /// When the last part of the reply was played, and whether that was all.
    played: (Instant, bool),
    sockets: Vec<Arc<Socket>>,
    request_body: Option<bool>,
    follow_up_on: Option<usize>,
}

async fn exchange(case: &Value) -> Seen {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = Arc::new(Mutex::new(Served {
        played: (Instant::now(), false),
        sockets: Vec::new(),
        request_body: None,
        follow_up_on: None,
    }));
    let server = tokio::spawn(serve(case.clone(), listener, Arc::clone(&served)));
    let transport = Transport::with_config(config(&case["transport"]));
    let interim = Arc::new(Mutex::new(Vec::new()));
    let (mut facts, error) = first(case, &transport, address, &interim, &served).await;
    // Late bytes come first. A script that waits for a body which is not sent ends with the connection, or not at all.
    within(HEAD_LIMIT, || {
        let served = served.lock().unwrap();
        served.played.1 || served.sockets.first().is_some_and(|socket| socket.has_ended())
    })
    .await;
    tokio::time::sleep(QUIET).await;
    if case["want"]["client_closed_connection"] == true {
        // It may take longer on a busy machine; that it stays open has been seen by now.
        within(Duration::from_secs(1), || {
            served.lock().unwrap().sockets.first().is_some_and(|socket| socket.has_ended())
        })
        .await;
    }
    let (closed, body_sent) = {
        let served = served.lock().unwrap();
        (served.sockets.first().is_some_and(|socket| socket.has_ended()), served.request_body)
    };
    facts.insert("client_closed_connection".into(), json!(closed));
    if let Some(sent) = body_sent.filter(|_| case["want"]["request_body_sent"].is_boolean()) {
        facts.insert("request_body_sent".into(), json!(sent));
    }
    let interim = interim.lock().unwrap().clone();
    if !interim.is_empty() {
        facts.insert("interim".into(), json!(interim));
    }
    let mut follow_up = json!({"outcome": "error"});
    let request = http::Request::get(format!("http://{address}/follow")).body(Body::empty()).unwrap();
    if let Ok(Ok(response)) = timeout(super::LIMIT, transport.round_trip(request)).await
        && let Ok(Ok(body)) = timeout(super::LIMIT, response.into_body().bytes()).await
    {
        follow_up = json!({"outcome": "ok", "body": latin1(&body)});
    }
    follow_up["same_connection"] = json!(served.lock().unwrap().follow_up_on == Some(0));
    facts.insert("follow_up".into(), follow_up);
    server.abort();
    for socket in &served.lock().unwrap().sockets {
        socket.stop();
    }
    let rejected = facts["outcome"] == "error"
        || facts.get("body_end").and_then(Value::as_str).is_some_and(|end| end.starts_with("error"));
    Seen { facts: Value::Object(facts), rejected, error }
}

fn config(given: &Value) -> TransportConfig {
    let keys =
        ["max_response_header_bytes", "disable_compression", "expect_continue_timeout_ms", "disable_keep_alives"];
    known_keys(given, &keys);
    let mut config = go_zero();
    if let Some(limit) = given["max_response_header_bytes"].as_u64() {
        config.max_response_header_bytes = usize::try_from(limit).unwrap();
    }
    config.expect_continue_timeout = millis(&given["expect_continue_timeout_ms"]).filter(|limit| !limit.is_zero());
    if given["disable_compression"] == true {
        config.accept_codings.clear();
    }
    config.disable_keep_alives = given["disable_keep_alives"] == true;
    config
}

/// The request of the case, and what its caller gets.
async fn first(
    case: &Value,
    transport: &Transport,
    address: std::net::SocketAddr,
    interim: &Arc<Mutex<Vec<u16>>>,
    served: &Mutex<Served>,
) -> (Map<String, Value>, String) {
    let given = &case["request"];
    known_keys(given, &["method", "path", "headers", "body", "trace_interim"]);
    let method = Method::from_bytes(given["method"].as_str().unwrap().as_bytes()).unwrap();
    let body = given["body"].as_str().map_or_else(Body::empty, |text| Body::from(text.to_owned()));
    let uri = format!("http://{address}{}", given["path"].as_str().unwrap());
    let mut request = http::Request::builder().method(method.clone()).uri(uri).body(body).unwrap();
    for (name, value) in given["headers"].as_object().into_iter().flatten() {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, value.as_str().unwrap().parse().unwrap());
    }
    if given["trace_interim"] == true {
        let interim = Arc::clone(interim);
        let hook = InterimHook::new(move |status, _| interim.lock().unwrap().push(status.as_u16()));
        request.extensions_mut().insert(RequestOptions { on_interim: Some(hook), ..RequestOptions::default() });
    }
    let mut facts = Map::new();
    match patiently(HEAD_LIMIT, served, transport.round_trip(request)).await {
        None => {
            facts.insert("outcome".into(), json!("stalled"));
            (facts, String::new())
        }
        Some(Err(error)) => {
            facts.insert("outcome".into(), json!("error"));
            facts.insert("error".into(), json!(one_kind(slug(&error))));
            (facts, error.to_string())
        }
        Some(Ok(response)) => read(&method, response, served).await,
    }
}

/// What `done` comes to; `None` if it has not for so long, counted from when the server last did something.
async fn patiently<T>(limit: Duration, served: &Mutex<Served>, done: impl Future<Output = T>) -> Option<T> {
    let (began, mut done) = (Instant::now(), std::pin::pin!(done));
    loop {
        if let Ok(done) = timeout(Duration::from_millis(10), &mut done).await {
            return Some(done);
        }
        let since = served.lock().unwrap().played.0.max(began);
        if since.elapsed() >= limit {
            return None;
        }
    }
}

async fn read(method: &Method, mut response: Response, served: &Mutex<Served>) -> (Map<String, Value>, String) {
    let stream = Upgraded::take(&mut response);
    let (head, mut body) = response.into_parts();
    let chunked = says(&head.headers, "transfer-encoding", "chunked");
    let length = match body.content_length() {
        // What Go says of the length when there is no body: the field's value for HEAD, nothing known without one.
        Some(0) if method == Method::HEAD => {
            head.headers.get("content-length").and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(-1)
        }
        Some(length) => i64::try_from(length).unwrap(),
        None => -1,
    };
    let (mut data, mut trailers, mut error) = (Vec::new(), None, None::<Error>);
    let mut end = "eof".to_owned();
    if let Some(mut stream) = stream {
        loop {
            match patiently(BODY_LIMIT, served, stream.read_buf(&mut data)).await {
                Some(Ok(0)) => break,
                Some(Ok(_)) => {}
                Some(Err(_)) => {
                    end = "error:malformed".into();
                    break;
                }
                None => {
                    end = "stalled".into();
                    break;
                }
            }
        }
    } else {
        loop {
            match patiently(BODY_LIMIT, served, body.frame()).await {
                Some(None) => break,
                Some(Some(Ok(frame))) => match frame.into_data() {
                    Ok(piece) => data.extend_from_slice(&piece),
                    Err(frame) => trailers = frame.into_trailers().ok(),
                },
                Some(Some(Err(failure))) => {
                    end = format!("error:{}", one_kind(slug(&failure)));
                    error = Some(failure);
                    break;
                }
                None => {
                    end = "stalled".into();
                    break;
                }
            }
        }
    }
    drop(body);
    // Go keeps these apart from the other fields.
    let mut without = vec!["transfer-encoding"];
    if chunked {
        without.push("trailer");
    }
    if says(&head.headers, "connection", "close") {
        without.push("connection");
    }
    if head.headers.contains_key("transfer-encoding") {
        without.push("content-length");
    }
    let facts = json!({
        "outcome": "ok",
        "proto": format!("{:?}", head.version),
        "status": head.status.as_u16(),
        "content_length": length,
        "body_len": data.len(),
        "body_end": end,
    });
    let Value::Object(mut facts) = facts else { unreachable!("an object") };
    if head.extensions.get::<Uncompressed>().is_some() {
        facts.insert("uncompressed".into(), json!(true));
    }
    let headers = fields(&head.headers, &without);
    if headers.as_object().is_some_and(|map| !map.is_empty()) {
        facts.insert("headers".into(), headers);
    }
    if !data.is_empty() && data.len() <= 200 {
        facts.insert("body".into(), json!(latin1(&data)));
    }
    if let Some(trailers) = trailers.filter(|trailers| !trailers.is_empty()) {
        facts.insert("trailers".into(), fields(&trailers, &[]));
    }
    (facts, error.map(|error| error.to_string()).unwrap_or_default())
}

fn says(headers: &HeaderMap, name: &str, option: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(option))
}

/// Plays the reply to the first request, and `next` to all others.
async fn serve(case: Value, listener: TcpListener, served: Arc<Mutex<Served>>) {
    let (case, mut is_first) = (Arc::new(case), true);
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let socket = Socket::new(stream);
        let number = {
            let mut served = served.lock().unwrap();
            served.sockets.push(Arc::clone(&socket));
            served.sockets.len() - 1
        };
        let (case, served) = (Arc::clone(&case), Arc::clone(&served));
        let plays = std::mem::take(&mut is_first);
        tokio::spawn(async move {
            if plays && play(&case, &socket, &served).await.is_none() {
                return;
            }
            while let Some(head) = socket.head().await {
                socket.body(&head).await;
                served.lock().unwrap().follow_up_on.get_or_insert(number);
                let _ = socket.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext").await;
            }
        });
    }
}

async fn play(case: &Value, socket: &Socket, served: &Mutex<Served>) -> Option<()> {
    let head = socket.head().await?;
    let expects = head.field("expect").is_some();
    let mut has_body = false;
    if !expects {
        socket.body(&head).await?;
        has_body = true;
    }
    for part in case["reply"].as_array().unwrap() {
        known_keys(part, &["b64", "repeat_b64", "times", "pause_ms", "wait"]);
        if part["wait"] == "body" && !has_body {
            socket.body(&head).await?;
            has_body = true;
        }
        if let Some(pause) = millis(&part["pause_ms"]) {
            tokio::time::sleep(pause).await;
        }
        // The client may have seen enough already.
        let _ = socket.write(&part_bytes(part)).await;
        served.lock().unwrap().played.0 = Instant::now();
    }
    if case["then"] == "close" {
        socket.fin();
    }
    served.lock().unwrap().played = (Instant::now(), true);
    if expects && !has_body {
        let body = socket.body(&head);
        served.lock().unwrap().request_body = Some(false);
        body.await?;
    }
    served.lock().unwrap().request_body = Some(true);
    Some(())
}
