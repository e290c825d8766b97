//! One connection as a server sees it: bytes in, the requests that a handler gets, and how it ends.

use bytes::BytesMut;
use http::{Method, StatusCode};
use roundtrip_h1::write::outgoing_response_framing;
use roundtrip_h1::{
    Decoded, Decoder, DecoderLimits, Expectation, Framing, Leniency, Limits, RequestHead, RequestParser, keep_alive,
    request_framing,
};
use serde_json::{Value, json};

use roundtrip_golden::{LooseRequest, Outcome, Run, fields, has_bare_lf, is_authority, known_keys, latin1, short};

const KEYS: &[&str] = &[
    "should",
    "heads",
    "about",
    "must",
    "want",
    "send",
    "must_close",
    "preview",
    "go",
    "name",
    "rfc",
    "handler",
    "server",
    "group",
    "note",
];

/// What came of one connection.
struct Seen {
    /// The requests that a handler gets, in the words of the file.
    requests: Vec<Value>,
    /// How it ends: the status with which the server answers and closes, or that it closes, or waits for more.
    end: End,
    error: String,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Refused(StatusCode),
    /// A body could not be read to its end.
    BadBody,
    Closed,
    Open,
}

pub(crate) fn run() {
    let mut run = Run::load(env!("CARGO_MANIFEST_DIR"), "server_wire.json").with_keys(KEYS);
    for (index, case) in run.cases().into_iter().enumerate() {
        if !reads_all(&case) {
            run.partly(index, "the handler or the server ends the connection; request heads are checked");
        } else if case["group"] == "response" {
            run.partly(
                index,
                "what is sent belongs to the server; requests and the choice of response framing are checked",
            );
        } else if case["group"] == "expect" {
            run.partly(index, "when to send a 100 belongs to the server; requests are checked");
        }
        let verdict = check(&case);
        run.score(index, verdict);
    }
    run.finish();
}

/// Whether the handler reads every body to its end, so that all of the input is read as Go read it.
fn reads_all(case: &Value) -> bool {
    ["read_all", "interim"].contains(&case["handler"]["kind"].as_str().unwrap())
        || (case["handler"]["kind"] == "respond" && case["want"]["closed"] == false)
}

fn check(case: &Value) -> Outcome {
    let seen = connection(case);
    let about = usize::try_from(case["about"].as_u64().unwrap_or(0)).unwrap();
    let refused = seen.end != End::Open && seen.end != End::Closed && seen.requests.len() <= about + 1;
    match case["must"].as_str() {
        Some("accept") if refused => return Outcome::Failed(format!("must be accepted: {}", seen.error)),
        Some("reject") if !refused && case["want"]["seen"].as_array().is_none_or(|s| s.len() <= about) => {
            return Outcome::Failed(format!("must be rejected: {:?}", seen.requests));
        }
        _ => {}
    }
    if case["must_close"] == true && seen.end == End::Open && case["handler"]["headers"]["Connection"] != "close" {
        return Outcome::Failed("the connection must be closed".into());
    }
    let agreed = agrees(case, &seen).and_then(|()| response_framings(case));
    match (agreed, promised(case, &seen)) {
        (Ok(()), _) => Outcome::Passed,
        (Err(_), Some(slug)) => Outcome::Differs(slug),
        (Err(why), None) => Outcome::Failed(format!("{why}\n    ended {:?} {}", seen.end, seen.error)),
    }
}

/// Compares with what Go's handlers saw, and how Go's connection ended.
fn agrees(case: &Value, seen: &Seen) -> Result<(), String> {
    let want = &case["want"];
    known_keys(want, &["interim", "closed", "waits", "responses", "seen"]);
    let empty = Vec::new();
    let wanted = want["seen"].as_array().unwrap_or(&empty);
    let complete = reads_all(case);
    for (n, want) in wanted.iter().enumerate() {
        let Some(got) = seen.requests.get(n) else { return Err(format!("request {n} is missing: {want}")) };
        let (want, got) = (comparable(want, complete), comparable(got, complete));
        if want != got {
            return Err(format!("request {n}:\n    got  {got}\n    want {want}"));
        }
    }
    if !complete {
        return Ok(());
    }
    if seen.requests.len() > wanted.len() {
        return Err(format!("one request too many: {}", seen.requests[wanted.len()]));
    }
    let statuses: Vec<_> =
        want["responses"].as_array().unwrap().iter().map(|r| r["status"].as_u64().unwrap()).collect();
    match seen.end {
        End::Refused(status) if statuses.last() != Some(&u64::from(status.as_u16())) => {
            Err(format!("refused with {status}, Go answered {statuses:?}"))
        }
        End::Open if want["closed"] == true => Err("Go closed the connection".into()),
        End::Closed | End::Refused(_) | End::BadBody if want["closed"] == false => Err("Go kept the connection".into()),
        _ => Ok(()),
    }
}

fn comparable(request: &Value, with_body: bool) -> Value {
    known_keys(
        request,
        &[
            "body_state",
            "headers",
            "body_read",
            "trailers",
            "host",
            "chunked",
            "body_b64",
            "target",
            "content_length",
            "method",
            "proto",
        ],
    );
    let mut request = request.clone();
    let map = request.as_object_mut().unwrap();
    if !with_body {
        map.retain(|key, _| !["body_state", "body_read", "body_b64", "trailers"].contains(&key.as_str()));
    }
    map.remove("body_b64");
    // One kind, as for the client: Go calls a cut line malformed.
    if map.get("body_state").is_some_and(|state| state == "error:incomplete") {
        map.insert("body_state".into(), json!("error:malformed"));
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

/// Whether each response has the framing that this crate would choose, told whether the length is known.
fn response_framings(case: &Value) -> Result<(), String> {
    if case["group"] != "response" {
        return Ok(());
    }
    let seen = case["want"]["seen"].as_array().unwrap();
    for (response, request) in case["want"]["responses"].as_array().unwrap().iter().zip(seen) {
        let method = Method::from_bytes(request["method"].as_str().unwrap().as_bytes()).unwrap();
        let version = if request["proto"] == "HTTP/1.0" { http::Version::HTTP_10 } else { http::Version::HTTP_11 };
        let status = StatusCode::from_u16(u16::try_from(response["status"].as_u64().unwrap()).unwrap()).unwrap();
        let length = (response["framing"] == "length").then(|| response["body_len"].as_u64().unwrap());
        let framing = match outgoing_response_framing(&method, version, status, length) {
            Framing::None => "none",
            Framing::Length(_) => "length",
            Framing::Chunked => "chunked",
            Framing::UntilClose | Framing::Tunnel => "until_close",
        };
        if response["framing"] != framing {
            return Err(format!("response to {method} framed {framing}, not {}", response["framing"]));
        }
    }
    Ok(())
}

fn connection(case: &Value) -> Seen {
    let number = |key: &str| case["server"][key].as_u64().map(|n| usize::try_from(n).unwrap());
    // Go's own limits, so that the cases about limits can be compared: 4096 bytes of grace, and every value counts.
    let limits = Limits {
        max_head_bytes: number("max_header_bytes").unwrap_or(1 << 20) + 4096,
        max_fields: number("max_header_value_count").unwrap_or(Limits::request().max_fields),
    };
    let decoder_limits = DecoderLimits {
        max_trailer_fields: number("max_header_value_count").unwrap_or(DecoderLimits::default().max_trailer_fields),
        ..DecoderLimits::default()
    };
    let send = case["send"].as_array().unwrap();
    let half_closes = send.iter().any(|part| part["half_close"] == true);
    let mut parts = send.iter().map(super::part).collect::<Vec<_>>().into_iter();
    let mut buf = BytesMut::new();
    let mut parser = RequestParser::new(limits);
    let mut requests = Vec::new();
    let end = |requests, end, error: String| Seen { requests, end, error };
    loop {
        let head = match parser.parse(&mut buf) {
            Err(error) => return end(requests, End::Refused(error.response_status()), error.to_string()),
            Ok(Some(head)) => head,
            Ok(None) => {
                if let Some(part) = parts.next() {
                    buf.extend_from_slice(&part);
                    continue;
                }
                return match parser.eof(&buf) {
                    _ if !half_closes => end(requests, End::Open, String::new()),
                    Err(error) => end(requests, End::Refused(error.response_status()), error.to_string()),
                    Ok(()) => end(requests, End::Closed, String::new()),
                };
            }
        };
        let framing = match request_framing(&head) {
            Ok(framing) => framing,
            Err(error) => return end(requests, End::Refused(error.response_status()), error.to_string()),
        };
        if Expectation::from_headers(head.version, &head.headers) == Expectation::Unknown {
            return end(requests, End::Refused(StatusCode::EXPECTATION_FAILED), "unknown expectation".into());
        }
        let mut decoder = Decoder::new(framing, decoder_limits).with_leniency(Leniency::request());
        let (mut body, mut trailers, mut error) = (Vec::new(), None, String::new());
        let state = loop {
            match decoder.decode(&mut buf) {
                Ok(Decoded::Data(data)) => body.extend_from_slice(&data),
                Ok(Decoded::Trailers(fields)) => trailers = Some(fields),
                Ok(Decoded::End) if framing == Framing::None || framing == Framing::Length(0) => break "none",
                Ok(Decoded::End) => break "eof",
                Ok(Decoded::NeedMore) => match parts.next() {
                    Some(part) => buf.extend_from_slice(&part),
                    None if !half_closes => break "blocked",
                    None => {
                        error = decoder.eof().expect_err("only a response ends with the connection").to_string();
                        break "error:malformed";
                    }
                },
                Err(e) => {
                    error = e.to_string();
                    break "error:malformed";
                }
            }
        };
        // The general OPTIONS is answered by the server itself.
        if !(head.method == Method::OPTIONS && head.target == "*") {
            requests.push(request(&head, framing, &body, trailers.as_ref(), state));
        }
        match state {
            "blocked" => return end(requests, End::Open, error),
            "error:malformed" => return end(requests, End::BadBody, error),
            _ if head.method == Method::CONNECT || !keep_alive(head.version, &head.headers, framing) => {
                return end(requests, End::Closed, error);
            }
            _ => {}
        }
    }
}

fn request(
    head: &RequestHead,
    framing: Framing,
    body: &[u8],
    trailers: Option<&http::HeaderMap>,
    state: &str,
) -> Value {
    let length = match framing {
        Framing::Length(length) => i64::try_from(length).unwrap(),
        Framing::Chunked => -1,
        _ => 0,
    };
    let mut request = json!({
        "method": head.method.as_str(),
        "target": short(latin1(head.target.to_string().as_bytes())),
        "proto": format!("{:?}", head.version),
        "host": head.host(),
        "headers": fields(&head.headers, &["host", "content-length", "transfer-encoding", "trailer"]),
        "content_length": length,
        "chunked": framing == Framing::Chunked,
        "body_read": body.len(),
        "body_state": state,
    });
    if let Some(trailers) = trailers.filter(|trailers| !trailers.is_empty()) {
        request["trailers"] = fields(trailers, &[]);
    }
    request
}

/// The difference that covers this case, if its promise was kept. Predicates look at the input alone.
fn promised(case: &Value, seen: &Seen) -> Option<&'static str> {
    let input: Vec<u8> = case["send"].as_array().unwrap().iter().flat_map(super::part).collect();
    let text = latin1(&input);
    let wanted = case["want"]["seen"].as_array().unwrap();
    // Whatever comes before the request in question has to agree.
    let agreed =
        wanted.iter().zip(&seen.requests).take_while(|(w, g)| comparable(w, true) == comparable(g, true)).count();
    let request = LooseRequest::new(&text, agreed);
    let refused_with =
        |status: u16| seen.end == End::Refused(StatusCode::from_u16(status).unwrap()) && seen.requests.len() == agreed;
    let te = request.values("transfer-encoding");
    let chunked = te.iter().any(|value| value.to_lowercase().contains("chunked"));
    let has_length = !request.values("content-length").is_empty();
    for (slug, status, applies) in [
        ("bare_lf", 400, has_bare_lf(&input)),
        ("fold", 400, request.has_fold),
        ("target_bytes", 400, request.target.contains(['#', '"']) || !request.target.is_ascii()),
        (
            "target_form",
            400,
            (request.method == "CONNECT") != is_authority(&request.target)
                || (request.target == "*") != (request.method == "OPTIONS"),
        ),
        ("target_userinfo", 400, request.target.contains("://") && request.target.contains('@')),
        ("host_grammar", 400, request.values("host").iter().any(|host| !roundtrip_h1::is_host(host.as_bytes()))),
        ("connect_without_host", 400, request.method == "CONNECT" && request.values("host").is_empty()),
        ("http2_preface", 505, request.method == "PRI"),
        ("transfer_encoding_in_http10", 400, request.version == "HTTP/1.0" && !te.is_empty()),
        ("transfer_encoding_with_length", 400, chunked && has_length),
        ("expectation_list", 417, request.values("expect").iter().any(|value| value.contains(','))),
    ] {
        if applies && refused_with(status) {
            return Some(slug);
        }
    }
    let next = seen.requests.get(agreed);
    let bad_body = seen.end == End::BadBody
        && next.is_some_and(|r| r["body_state"] == "error:malformed")
        && seen.requests.len() == agreed + 1;
    let whole_body = next.is_some_and(|r| r["body_state"] == "eof");
    let served = seen.requests.len() > wanted.len() && agreed == wanted.len() && !matches!(seen.end, End::Refused(_));
    let differs_in = |key: &str, value: Value| {
        let (Some(got), Some(want)) = (next, wanted.get(agreed)) else { return false };
        let mut promise = comparable(want, true);
        promise.as_object_mut().unwrap().insert(key.into(), value);
        comparable(got, true) == promise
    };
    let uri = request.target.parse::<http::Uri>().map(|uri| uri.to_string()).unwrap_or_default();
    let without_trailers = next.zip(wanted.get(agreed)).is_some_and(|(got, want)| {
        let mut promise = comparable(want, true);
        promise.as_object_mut().unwrap().remove("trailers");
        comparable(got, true) == promise
    });
    let body = &request.body;
    let last = LooseRequest::new(&text, agreed.saturating_sub(1));
    let trailer_len = body.rsplit_once("\r\n0\r\n").map_or(0, |(_, trailers)| trailers.len());
    for (slug, applies, kept) in [
        ("minor_version", request.version.as_bytes().get(7) > Some(&b'1'), differs_in("proto", json!("HTTP/1.1"))),
        ("absolute_target_as_uri", request.target.contains("://"), differs_in("target", json!(uri))),
        (
            "empty_line_before_request",
            text.starts_with("\r\n") || text.contains("\r\n\r\n\r\n") || text.contains("ab\r\nGET"),
            served,
        ),
        ("empty_list_members", te.iter().any(|value| value.contains(',')), served && whole_body),
        ("space_before_chunk_extension", body.contains(" ;"), whole_body),
        ("chunk_size_line", body.contains(" \r\n") || body.contains(";\r\n"), bad_body),
        ("space_before_trailer_colon", body.contains(" :"), bad_body),
        (
            "forbidden_trailer_dropped",
            body.to_lowercase().contains("\r\n0\r\ncontent-length:")
                || body.to_lowercase().contains("\r\n0\r\ntransfer-encoding:"),
            without_trailers,
        ),
        (
            "forbidden_trailer_announced",
            request.values("trailer").iter().any(|value| value.to_lowercase().contains("content-length")),
            served && whole_body,
        ),
        ("trailer_section_limit", (4_000..16_384).contains(&trailer_len), whole_body),
        (
            "close_beside_keep_alive",
            last.version == "HTTP/1.0" && last.values("connection").iter().any(|v| v.contains("close")),
            agreed == wanted.len() && seen.end == End::Closed,
        ),
        (
            "identity_response",
            case["handler"]["headers"]["Transfer-Encoding"] == "identity",
            agreed == seen.requests.len().min(wanted.len()),
        ),
    ] {
        if applies && kept {
            return Some(slug);
        }
    }
    None
}
