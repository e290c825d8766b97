//! `server_wire.json`: raw bytes on one connection to a server with one handler.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use roundtrip_server::{AbortHandler, ErrorLog, ResponseController, Server, ServerConfig};
use roundtrip_types::{Body, ErrorKind, IntoResponse, Request, Response};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::http1::{Replies, Reply};
use super::{replay, text};
use roundtrip_golden::{Outcome, known_keys, latin1, part_bytes, to_base64};

const KEYS: &[&str] = &[
    "name",
    "group",
    "rfc",
    "must",
    "should",
    "must_close",
    "about",
    "note",
    "server",
    "handler",
    "send",
    "heads",
    "preview",
    "want",
    "go",
];

pub(crate) fn run() {
    replay("server_wire.json", KEYS, 48, |case| async move { check(&case).await });
}

/// What came of one connection.
struct Seen {
    replies: Replies,
    closed: bool,
    waits: Vec<&'static str>,
    /// The requests that the handler got, in the words of the file.
    requests: Vec<Value>,
}

async fn check(case: &Value) -> Outcome {
    let seen = play(case).await;
    if let Err(why) = safe(case, &seen) {
        return Outcome::Failed(format!("{why}\n    {}\n    {}", case["preview"], shown(&seen)));
    }
    match (agrees(case, &seen), promised(case, &seen)) {
        (Ok(()), _) => Outcome::Passed,
        (Err(_), Some(slug)) => Outcome::Differs(slug),
        (Err(why), None) => Outcome::Failed(format!(
            "{why}\n    must {} should {}; {}\n    {}\n    {}",
            case["must"],
            case["should"],
            case["note"],
            case["preview"],
            shown(&seen)
        )),
    }
}

fn shown(seen: &Seen) -> String {
    let replies: Vec<_> = seen
        .replies
        .replies
        .iter()
        .map(|r| {
            format!(
                "{} {} {}B{} {:?} {:?}",
                r.status,
                r.framing,
                r.body.len(),
                if r.complete { "" } else { " cut" },
                latin1(&r.body[..r.body.len().min(60)]),
                r.headers
            )
        })
        .collect();
    format!(
        "got {replies:#?} interim {:?} junk {:?} closed {} waits {:?} seen {}",
        seen.replies.interim,
        latin1(&seen.replies.junk),
        seen.closed,
        seen.waits,
        json!(seen.requests)
    )
}

// --- what the RFCs ask, whatever Go did

fn safe(case: &Value, seen: &Seen) -> Result<(), String> {
    let about = usize::try_from(case["about"].as_u64().unwrap_or(0)).unwrap();
    let statuses: Vec<_> = seen.replies.replies.iter().map(|reply| reply.status).collect();
    let answered_well = statuses.get(about).is_some_and(|status| *status < 400 || seen.requests.len() > about);
    let body_failed = seen.requests.get(about).is_some_and(|request| text(request, "body_state").starts_with("error"));
    match text(case, "must") {
        "accept" if seen.requests.len() <= about && !is_general_options(case) => {
            return Err(format!("must be accepted, and was answered {statuses:?}"));
        }
        "reject" if answered_well && !body_failed => {
            return Err(format!("must be rejected, and was answered {statuses:?}"));
        }
        _ => {}
    }
    if case["must_close"] == true && !seen.closed {
        return Err("the connection must be closed".into());
    }
    if !seen.replies.junk.is_empty() {
        return Err("bytes that are no response".into());
    }
    Ok(())
}

fn is_general_options(case: &Value) -> bool {
    text(case, "preview").starts_with("\"OPTIONS *")
}

// --- what Go did

fn agrees(case: &Value, seen: &Seen) -> Result<(), String> {
    let want = &case["want"];
    known_keys(want, &["responses", "interim", "closed", "waits", "seen"]);
    let wanted = want["seen"].as_array().unwrap();
    for (n, want) in wanted.iter().enumerate() {
        let Some(got) = seen.requests.get(n) else { return Err(format!("request {n} is missing: {want}")) };
        let (want, got) = (comparable(want), comparable(got));
        if want != got {
            return Err(format!("request {n}:\n    got  {got}\n    want {want}"));
        }
    }
    if seen.requests.len() > wanted.len() {
        return Err(format!("one request too many: {}", seen.requests[wanted.len()]));
    }
    let responses = want["responses"].as_array().unwrap();
    for (n, want) in responses.iter().enumerate() {
        known_keys(want, &["proto", "status", "headers", "framing", "body_len", "body", "complete", "trailers"]);
        let Some(got) = seen.replies.replies.get(n) else { return Err(format!("response {n} is missing: {want}")) };
        // Beyond the requests that the handler saw are the server's own answers, whose wording and framing are its own.
        let own = n >= seen.requests.len();
        response(case, got, want, own).map_err(|why| format!("response {n}: {why}"))?;
    }
    if seen.replies.replies.len() > responses.len() {
        return Err("one response too many".into());
    }
    let interim: Vec<_> = want["interim"].as_array().unwrap().iter().map(|code| code.as_u64().unwrap()).collect();
    if interim != seen.replies.interim.iter().map(|code| u64::from(*code)).collect::<Vec<_>>() {
        return Err(format!("interim responses {:?}, not {interim:?}", seen.replies.interim));
    }
    if want["closed"].as_bool() != Some(seen.closed) {
        return Err(format!("closed {}, not {}", seen.closed, want["closed"]));
    }
    if json!(seen.waits) != *want.get("waits").unwrap_or(&json!([])) {
        return Err(format!("waits {:?}, not {}", seen.waits, want["waits"]));
    }
    Ok(())
}

fn response(case: &Value, got: &Reply, want: &Value, own: bool) -> Result<(), String> {
    if want["status"] != got.status {
        return Err(format!("status {}, not {}", got.status, want["status"]));
    }
    if own {
        return if got.complete { Ok(()) } else { Err("it is cut".into()) };
    }
    let complete = want["complete"].as_bool().unwrap();
    if want["framing"] != got.framing || complete != got.complete {
        return Err(format!("framed {}, complete {}; not {} {complete}", got.framing, got.complete, want["framing"]));
    }
    if want["body_len"] != got.body.len() || want["body"].as_str().is_some_and(|body| body != latin1(&got.body)) {
        return Err(format!("body {:?}, not {}", latin1(&got.body), want["body"]));
    }
    let trailers = Map::from_iter(got.trailers.iter().map(|(name, values)| (name.clone(), json!(values))));
    if *want.get("trailers").unwrap_or(&json!({})) != Value::Object(trailers.clone()) {
        return Err(format!("trailers {trailers:?}, not {}", want["trailers"]));
    }
    let set = case["handler"]["headers"]
        .as_object()
        .map(|set| set.keys().map(|name| name.to_lowercase()).collect::<Vec<_>>());
    let set = set.unwrap_or_default();
    // Content types are found out by Go's server and said by our handlers, so only one that the case sets is compared.
    for name in
        ["content-length", "connection", "transfer-encoding", "trailer"].into_iter().map(String::from).chain(set)
    {
        let got = got.headers.get(&name).cloned().unwrap_or_default().join(", ");
        let want = want["headers"][&name].as_array().map_or(String::new(), |values| {
            values.iter().map(|value| value.as_str().unwrap()).collect::<Vec<_>>().join(", ")
        });
        let names = ["trailer", "connection", "transfer-encoding"].contains(&&*name);
        if got != want && !(names && got.eq_ignore_ascii_case(&want)) {
            return Err(format!("{name} {got}, not {want}"));
        }
    }
    Ok(())
}

fn comparable(request: &Value) -> Value {
    known_keys(
        request,
        &[
            "method",
            "target",
            "proto",
            "host",
            "headers",
            "content_length",
            "chunked",
            "body_read",
            "body_b64",
            "body_state",
            "trailers",
        ],
    );
    let mut request = request.clone();
    let map = request.as_object_mut().unwrap();
    // One kind: Go calls a cut line malformed.
    if map.get("body_state").is_some_and(|state| state == "error:incomplete") {
        map.insert("body_state".into(), json!("error:malformed"));
    }
    // How much of a body came before its error depends on how it was cut into pieces.
    if map["body_state"].as_str().is_some_and(|state| state.starts_with("error") || state == "blocked") {
        map.remove("body_read");
        map.remove("body_b64");
    }
    // Announced trailers that did not come.
    if let Some(trailers) = map.get_mut("trailers").and_then(Value::as_object_mut) {
        trailers.retain(|_, values| values != &json!([]));
    }
    if map.get("trailers") == Some(&json!({})) {
        map.remove("trailers");
    }
    request
}

fn promised(case: &Value, seen: &Seen) -> Option<&'static str> {
    let wanted = case["want"]["seen"].as_array().unwrap();
    let agreed =
        wanted.iter().zip(&seen.requests).take_while(|(want, got)| comparable(want) == comparable(got)).count();
    let input: Vec<u8> = case["send"].as_array().unwrap().iter().flat_map(part_bytes).collect();
    super::wire_differs::promised(&super::wire_differs::Result {
        case,
        replies: &seen.replies.replies,
        interim: &seen.replies.interim,
        requests: &seen.requests,
        closed: seen.closed,
        agreed,
        input: &latin1(&input),
    })
}

// --- playing a case

async fn play(case: &Value) -> Seen {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let active = Arc::new(watch::Sender::new(()));
    let handler = Arc::new(Script {
        case: case["handler"].clone(),
        requests: Arc::clone(&requests),
        active: Arc::clone(&active),
    });
    known_keys(&case["handler"], &["kind", "n", "status", "headers", "body", "flush", "trailers"]);
    known_keys(&case["server"], &["max_header_bytes", "max_header_value_count"]);
    let number = |key: &str| case["server"][key].as_u64().map(|n| usize::try_from(n).unwrap());
    let go = ServerConfig::go();
    let config = ServerConfig {
        // Go's grace, so that the cases about limits can be compared.
        max_header_bytes: number("max_header_bytes").map_or(go.max_header_bytes, |max| max + 4096),
        max_header_count: number("max_header_value_count").unwrap_or(go.max_header_count),
        error_log: ErrorLog::none(),
        ..go
    };
    let server = Server::with_config(
        move |req: Request| {
            let handler = Arc::clone(&handler);
            async move { handler.serve(req).await }
        },
        config,
    );
    let listener = server.listen("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = tokio::spawn(server.serve(listener));
    let heads: Vec<usize> = case["heads"].as_array().map_or(Vec::new(), |heads| {
        heads.iter().map(|head| usize::try_from(head.as_u64().unwrap()).unwrap()).collect()
    });
    let parse = move |bytes: &[u8], ended| Replies::parse(bytes, |n, _| heads.contains(&n), ended);
    let mut seen = Vec::new();
    // Looked at while the client is still there: its going would end what waits for it.
    let settled = || seen = std::mem::take(&mut *requests.lock().unwrap());
    let read = || server.stats().bytes_read;
    let (bytes, closed, waits) = converse(addr, case, &parse, active.subscribe(), read, settled).await;
    let replies = parse(&bytes, closed);
    server.close().await;
    serving.abort();
    Seen { replies, closed, waits, requests: seen }
}

/// How long nothing moves before a conversation is over.
const QUIET: Duration = Duration::from_millis(300);

async fn converse(
    addr: std::net::SocketAddr,
    case: &Value,
    parse: &impl Fn(&[u8], bool) -> Replies,
    mut active: watch::Receiver<()>,
    read: impl Fn() -> u64,
    settled: impl FnOnce(),
) -> (Vec<u8>, bool, Vec<&'static str>) {
    let stream = TcpStream::connect(addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let (got_in, mut got) = watch::channel((Vec::new(), false));
    let collector = tokio::spawn(async move {
        let mut piece = vec![0; 64 << 10];
        loop {
            match reading.read(&mut piece).await {
                Ok(n) if n > 0 => got_in.send_modify(|(bytes, _)| bytes.extend_from_slice(&piece[..n])),
                _ => {
                    got_in.send_modify(|(_, ended)| *ended = true);
                    return;
                }
            }
        }
    });
    let mut waits = Vec::new();
    let (mut moved, mut seen) = (Instant::now(), 0);
    for part in case["send"].as_array().unwrap() {
        known_keys(part, &["b64", "repeat_b64", "times", "pause_ms", "wait", "n", "half_close"]);
        if let Some(ms) = part["pause_ms"].as_u64() {
            sleep(Duration::from_millis(ms)).await;
        } else if part["half_close"] == true {
            // The server may have hung up.
            let _ = writing.shutdown().await;
        } else if let Some(what) = part["wait"].as_str() {
            let n = part["n"].as_u64().unwrap_or(1);
            let arrived = |(bytes, ended): &(Vec<u8>, bool)| {
                let replies = parse(bytes, *ended);
                *ended
                    || if what == "continue" { !replies.interim.is_empty() } else { replies.replies.len() as u64 >= n }
            };
            let waited = timeout(Duration::from_millis(600), got.wait_for(arrived)).await;
            waits.push(match waited {
                Err(_) => "timeout",
                Ok(state) => {
                    let (bytes, ended) = &*state.unwrap();
                    if arrived(&(bytes.clone(), false)) || !*ended { "ok" } else { "closed" }
                }
            });
        } else {
            let bytes = part_bytes(part);
            let _ = timeout(Duration::from_secs(3), writing.write_all(&bytes)).await;
            moved = Instant::now();
        }
    }
    loop {
        if got.borrow().1 {
            break;
        }
        // A handler that goes on reading has not come to rest, however busy the machine is.
        let something = async {
            tokio::select! {
                ended = got.changed() => ended.is_err(),
                ended = active.changed() => ended.is_err(),
            }
        };
        match tokio::time::timeout_at(moved + QUIET, something).await {
            // Neither has a server that goes on reading.
            Err(_) if read() != seen => (seen, moved) = (read(), Instant::now()),
            Err(_) | Ok(true) => break,
            Ok(false) => moved = Instant::now(),
        }
        if got.borrow_and_update().1 {
            break;
        }
    }
    let state = got.borrow().clone();
    settled();
    collector.abort();
    drop(writing);
    (state.0, state.1, waits)
}

// --- the handlers

struct Script {
    case: Value,
    requests: Arc<Mutex<Vec<Value>>>,
    /// Moves whenever a handler does something.
    active: Arc<watch::Sender<()>>,
}

impl Script {
    fn number(&self, key: &str) -> Option<usize> {
        self.case[key].as_u64().map(|n| usize::try_from(n).unwrap())
    }

    async fn serve(&self, req: Request) -> Response {
        let noted = self.note(&req);
        let mut body = req.into_body();
        let read = |state: &str, bytes: &[u8], trailers: Option<&HeaderMap>| self.read(noted, state, bytes, trailers);
        let response = match text(&self.case, "kind") {
            "read_all" => {
                let whole = self.read_all(noted, body).await;
                match whole {
                    Ok(n) => format!("got {n}").into_response(),
                    Err(_) => (StatusCode::BAD_REQUEST, "bad body").into_response(),
                }
            }
            "ignore" => {
                read(if body.is_empty() { "none" } else { "unread" }, &[], None);
                "ignored".into_response()
            }
            "read_some" => {
                let n = self.number("n").unwrap();
                let mut bytes = Vec::new();
                let state = loop {
                    if body.is_empty() && bytes.is_empty() {
                        break "none";
                    }
                    match body.chunk().await {
                        None => break "eof",
                        Some(Ok(chunk)) => bytes.extend_from_slice(&chunk),
                        Some(Err(error)) => {
                            read(kind(error.kind()), &bytes, None);
                            return plain((StatusCode::BAD_REQUEST, "bad body").into_response());
                        }
                    }
                    if bytes.len() >= n {
                        break "partial";
                    }
                };
                bytes.truncate(n);
                read(state, &bytes, None);
                format!("read {}", bytes.len()).into_response()
            }
            "max_bytes" => match self.read_all(noted, body.limited(self.number("n").unwrap())).await {
                Ok(n) => format!("got {n}").into_response(),
                Err(ErrorKind::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, "too large").into_response(),
                Err(_) => (StatusCode::BAD_REQUEST, "bad body").into_response(),
            },
            "early" => {
                let (mut sender, answer) = Body::channel(1);
                sender.send("early").await.unwrap();
                let this = Script {
                    case: self.case.clone(),
                    requests: Arc::clone(&self.requests),
                    active: Arc::clone(&self.active),
                };
                tokio::spawn(async move {
                    // Whatever becomes of the body, the answer was given.
                    let _ = this.read_all(noted, body).await;
                    sender.finish();
                });
                answer.into_response()
            }
            "interim" => {
                let status = StatusCode::from_u16(u16::try_from(self.number("status").unwrap()).unwrap()).unwrap();
                let control = ResponseController::current().unwrap();
                let link =
                    HeaderMap::from_iter([(http::header::LINK, HeaderValue::from_static("</s.css>; rel=preload"))]);
                for _ in 0..self.number("n").unwrap_or(1) {
                    control.send_informational(status, &link).unwrap();
                }
                self.read_all(noted, body).await.unwrap();
                "final".into_response()
            }
            "panic" => {
                read("none", &[], None);
                let Some(n) = self.number("n") else { std::panic::panic_any(AbortHandler) };
                let (mut sender, answer) = Body::channel(1);
                sender.send("p".repeat(n)).await.unwrap();
                let control = ResponseController::current().unwrap();
                tokio::spawn(async move {
                    control.flush().await.unwrap();
                    drop(sender);
                });
                answer.into_response()
            }
            "respond" => return self.respond(noted, body).await,
            other => panic!("a handler that this runner does not know: {other}"),
        };
        plain(response)
    }

    async fn respond(&self, noted: usize, body: Body) -> Response {
        self.read(noted, if body.is_empty() { "none" } else { "unread" }, &[], None);
        let n = self.number("body").unwrap_or(0);
        let text = "r".repeat(n);
        let mut trailers = HeaderMap::new();
        for (name, value) in self.case["trailers"].as_object().into_iter().flatten() {
            trailers
                .insert(HeaderName::try_from(name.to_lowercase()).unwrap(), value.as_str().unwrap().parse().unwrap());
        }
        let body = if self.case["flush"] == true || !trailers.is_empty() {
            let (mut sender, body) = Body::channel(2);
            let half = text.len() / 2;
            sender.send(text[..half].to_owned()).await.unwrap();
            sender.send(text[half..].to_owned()).await.unwrap();
            if trailers.is_empty() {
                sender.finish()
            } else {
                sender.send_trailers(trailers.clone())
            }
            body
        } else {
            Body::from(text)
        };
        let mut response = Response::new(body);
        if let Some(status) = self.number("status") {
            *response.status_mut() = StatusCode::from_u16(u16::try_from(status).unwrap()).unwrap();
        }
        for name in self.case["trailers"].as_object().into_iter().flatten().map(|(name, _)| name) {
            response.headers_mut().append("trailer", name.parse().unwrap());
        }
        for (name, value) in self.case["headers"].as_object().into_iter().flatten() {
            let name = HeaderName::try_from(name.to_lowercase()).unwrap();
            // A value that could split the response cannot be made at all.
            if let Ok(value) = HeaderValue::from_str(value.as_str().unwrap()) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }

    async fn read_all(&self, noted: usize, mut body: Body) -> Result<usize, ErrorKind> {
        if body.is_empty() {
            self.read(noted, "none", &[], None);
            return Ok(0);
        }
        let (mut bytes, mut trailers) = (Vec::new(), None);
        self.read(noted, "blocked", &bytes, None);
        while let Some(frame) = body.frame().await {
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(data)) => {
                    bytes.extend_from_slice(&data);
                    self.read(noted, "blocked", &bytes, None);
                }
                Ok(Err(frame)) => trailers = frame.into_trailers().ok(),
                Err(error) => {
                    self.read(noted, kind(error.kind()), &bytes, None);
                    return Err(error.kind());
                }
            }
        }
        self.read(noted, "eof", &bytes, trailers.as_ref());
        Ok(bytes.len())
    }

    /// Notes a request, and returns its place.
    fn note(&self, req: &Request) -> usize {
        let headers = req.headers();
        let length = match (req.body().is_empty(), req.body().content_length()) {
            (true, _) => 0,
            (false, Some(length)) => i64::try_from(length).unwrap(),
            (false, None) => -1,
        };
        let mut fields = Map::new();
        for (name, value) in headers {
            if ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING, http::header::TRAILER].contains(name) {
                let list = fields.entry(name.as_str()).or_insert_with(|| json!([]));
                list.as_array_mut().unwrap().push(json!(short(latin1(value.as_bytes()))));
            }
        }
        let mut requests = self.requests.lock().unwrap();
        requests.push(json!({
            "method": req.method().as_str(),
            "target": short(latin1(req.uri().to_string().as_bytes())),
            "proto": format!("{:?}", req.version()),
            "host": headers.get(HOST).map_or(String::new(), |host| latin1(host.as_bytes())),
            "headers": fields,
            "content_length": length,
            "chunked": length < 0,
            "body_read": 0,
            "body_state": "unread",
        }));
        requests.len() - 1
    }

    fn read(&self, noted: usize, state: &str, bytes: &[u8], trailers: Option<&HeaderMap>) {
        self.active.send_modify(|()| {});
        let request = &mut self.requests.lock().unwrap()[noted];
        request["body_state"] = json!(state);
        request["body_read"] = json!(bytes.len());
        if !bytes.is_empty() && bytes.len() <= 400 {
            request["body_b64"] = json!(to_base64(bytes));
        } else {
            request.as_object_mut().unwrap().remove("body_b64");
        }
        if let Some(trailers) = trailers.filter(|trailers| !trailers.is_empty()) {
            let mut fields = Map::new();
            for (name, value) in trailers {
                let list = fields.entry(name.as_str()).or_insert_with(|| json!([]));
                list.as_array_mut().unwrap().push(json!(latin1(value.as_bytes())));
            }
            request["trailers"] = Value::Object(fields);
        }
    }
}

fn plain(mut response: Response) -> Response {
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

fn kind(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Protocol => "error:malformed",
        ErrorKind::ConnectionLost => "error:incomplete",
        ErrorKind::TooLarge => "error:too_large",
        ErrorKind::Timeout => "error:timeout",
        other => panic!("an error of a kind that no case has: {other:?}"),
    }
}

/// A text as the files write it: a long one by its length.
fn short(text: String) -> String {
    if text.len() > 400 { format!("({} bytes)", text.len()) } else { text }
}
