//! One exchange as a client sees it: bytes in, what the caller gets and whether the connection may be used again.

use bytes::BytesMut;
use http::{Method, Version};
use roundtrip_h1::{
    DecodeError, Decoded, Decoder, DecoderLimits, Framing, HeadError, Leniency, Limits, ResponseParser, keep_alive,
    response_framing,
};
use serde_json::{Value, json};

use roundtrip_golden::{
    LooseResponse, Outcome, Run, fields, has_bare_lf, has_padded_size, known_keys, latin1, short, trailer_section,
};

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

/// What a caller gets, in the words of the file.
#[derive(Default)]
struct Seen {
    facts: Value,
    /// Whether an error is surfaced, at the head or in the body.
    rejected: bool,
    same_connection: bool,
    error: String,
}

pub(crate) fn run() {
    let mut run = Run::load(env!("CARGO_MANIFEST_DIR"), "client_wire.json").with_keys(KEYS);
    for (index, case) in run.cases().into_iter().enumerate() {
        known_keys(&case["request"], &["method", "path", "headers", "body", "trace_interim"]);
        if decodes_gzip(&case) {
            run.partly(index, "content coding belongs to the transport; head and reuse are checked");
        }
        if case["want"]["request_body_sent"].is_boolean() {
            run.partly(index, "when the body is sent belongs to the transport; the response is checked");
        }
        let verdict = check(&case);
        run.score(index, verdict);
    }
    run.finish();
}

fn check(case: &Value) -> Outcome {
    let seen = exchange(case);
    match case["must"].as_str() {
        Some("accept") if seen.rejected => return Outcome::Failed(format!("must be accepted: {}", seen.error)),
        Some("reject") if !seen.rejected && case["want"]["body_end"] != "error:bad_gzip" && !decodes_gzip(case) => {
            return Outcome::Failed(format!("must be rejected: {}", seen.facts));
        }
        _ => {}
    }
    if case["must_close"] == true && seen.same_connection {
        return Outcome::Failed("the connection must be closed".into());
    }
    let want = wanted(case);
    if seen.facts == want {
        return Outcome::Passed;
    }
    match promised(case, &seen) {
        Some(slug) => Outcome::Differs(slug),
        None => Outcome::Failed(format!("got  {} {}\n    want {want}", seen.facts, seen.error)),
    }
}

/// The part of `want` that this crate answers for.
fn wanted(case: &Value) -> Value {
    let want = &case["want"];
    known_keys(
        want,
        &[
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
        ],
    );
    let mut wanted = want.clone();
    let map = wanted.as_object_mut().unwrap();
    let same = want["follow_up"]["same_connection"] == true;
    for key in ["follow_up", "client_closed_connection", "request_body_sent", "uncompressed", "close"] {
        map.remove(key);
    }
    map.insert("same_connection".into(), json!(same));
    // Whether a space follows the code when there is no reason, and a Connection field that says close, are not kept here.
    if let Some(text) = map.get("status_line_text").and_then(Value::as_str).map(without_reason_space) {
        map.insert("status_line_text".into(), json!(text));
    }
    if want["close"] == true
        && let Some(headers) = map.get_mut("headers").and_then(Value::as_object_mut)
    {
        let says_close =
            headers.get("connection").is_some_and(|values| values.to_string().to_lowercase().contains("close"));
        if says_close {
            headers.remove("connection");
        }
    }
    if map["outcome"] != "ok" {
        map.retain(|key, _| ["outcome", "interim", "error", "same_connection"].contains(&key.as_str()));
    }
    // SCENARIOS.md: these three are one kind, where Go's choice is its wording.
    for key in ["error", "body_end"] {
        if let Some(kind) = map.get(key).and_then(Value::as_str) {
            map.insert(key.into(), json!(one_kind(kind)));
        }
    }
    if decodes_gzip(case) {
        map.retain(|key, _| !GZIP_KEYS.contains(&key.as_str()));
    }
    wanted
}

const GZIP_KEYS: &[&str] =
    &["body", "body_len", "body_end", "headers", "content_length", "uncompressed", "trailers", "same_connection"];

fn one_kind(kind: &str) -> String {
    kind.replace("unexpected_eof", "malformed").replace("connection_lost", "malformed")
}

/// Whether Go's transport would undo the content coding, so that the body is not the one on the wire.
fn decodes_gzip(case: &Value) -> bool {
    let asked = &case["request"]["headers"];
    let coded = latin1(&input(case)).to_ascii_lowercase().contains("content-encoding: gzip\r\n");
    coded
        && case["transport"]["disable_compression"] != true
        && case["request"]["method"] != "HEAD"
        && asked.get("Accept-Encoding").is_none()
        && asked.get("Range").is_none()
}

fn input(case: &Value) -> Vec<u8> {
    case["reply"].as_array().unwrap().iter().flat_map(super::part).collect()
}

fn exchange(case: &Value) -> Seen {
    let request = &case["request"];
    let method = Method::from_bytes(request["method"].as_str().unwrap().as_bytes()).unwrap();
    let closes = case["then"] == "close";
    let hook = request["trace_interim"] == true;
    let limit = case["transport"]["max_response_header_bytes"].as_u64();
    let mut limits = Limits::response();
    limits.max_head_bytes = limit.map_or(limits.max_head_bytes, |n| usize::try_from(n).unwrap());

    let mut parts = case["reply"].as_array().unwrap().iter().map(super::part).collect::<Vec<_>>().into_iter();
    let mut buf = BytesMut::new();
    let mut parser = ResponseParser::new(limits);
    let mut interim = Vec::new();
    let mut interim_bytes = 0;
    let failed = |kind: &str, interim: &[u16], error: String| {
        let mut facts =
            json!({"outcome": if kind == "stalled" { "stalled" } else { "error" }, "same_connection": false});
        if kind != "stalled" {
            facts["error"] = json!(kind);
        }
        if !interim.is_empty() && hook {
            facts["interim"] = json!(interim);
        }
        Seen { facts, rejected: kind != "stalled", same_connection: false, error }
    };
    let kind = |error: &HeadError| if error.is_too_large() { "header_too_large" } else { "malformed" };
    let head = loop {
        match parser.parse(&mut buf) {
            Err(error) => return failed(kind(&error), &interim, error.to_string()),
            Ok(Some(head)) if head.status.is_informational() && head.status != 101 => {
                interim.push(head.status.as_u16());
                interim_bytes += head.head_bytes;
                if !hook && interim_bytes > limits.max_head_bytes {
                    return failed("header_too_large", &interim, "too many interim responses".into());
                }
            }
            Ok(Some(head)) => break head,
            Ok(None) => match parts.next() {
                Some(part) => buf.extend_from_slice(&part),
                None if !closes => return failed("stalled", &interim, String::new()),
                None => match parser.eof(&buf) {
                    Err(error) => return failed("malformed", &interim, error.to_string()),
                    Ok(()) => return failed("malformed", &interim, "closed before a response".into()),
                },
            },
        }
    };
    let framing = match response_framing(&method, &head) {
        Ok(framing) => framing,
        Err(error) => return failed("malformed", &interim, error.to_string()),
    };
    let mut decoder = Decoder::new(framing, DecoderLimits::default()).with_leniency(Leniency::response());
    let (mut body, mut trailers, mut error) = (Vec::new(), None, String::new());
    let body_end = loop {
        match decoder.decode(&mut buf) {
            Ok(Decoded::Data(data)) => body.extend_from_slice(&data),
            Ok(Decoded::Trailers(fields)) => trailers = Some(fields),
            Ok(Decoded::End) => break "eof",
            Ok(Decoded::NeedMore) => match parts.next() {
                Some(part) => buf.extend_from_slice(&part),
                None if !closes => break "stalled",
                None => match decoder.eof() {
                    Ok(()) => break "eof",
                    Err(e @ DecodeError::Truncated { .. }) => {
                        error = e.to_string();
                        break "error:malformed";
                    }
                    Err(e) => unreachable!("only truncation is found at the end: {e}"),
                },
            },
            Err(e) => {
                error = e.to_string();
                break "error:malformed";
            }
        }
    };
    let unasked = !buf.is_empty() || parts.any(|part| !part.is_empty());
    let own_close = case["transport"]["disable_keep_alives"] == true || request["headers"]["Connection"] == "close";
    let same_connection = keep_alive(head.version, &head.headers, framing)
        && decoder.is_done()
        && !unasked
        && !own_close
        && !closes
        && method != Method::CONNECT;
    let length = match framing {
        Framing::Length(length) => i64::try_from(length).unwrap(),
        Framing::None | Framing::Tunnel => without_body(&method, &head),
        Framing::Chunked | Framing::UntilClose => -1,
    };
    // Go keeps these apart from the other fields.
    let mut without = vec!["transfer-encoding"];
    if framing == Framing::Chunked {
        without.push("trailer");
    }
    if says_close(&head.headers) {
        without.push("connection");
    }
    if framing == Framing::Chunked || head.headers.contains_key("transfer-encoding") {
        without.push("content-length");
    }
    let mut facts = json!({
        "outcome": "ok",
        "proto": format!("{:?}", head.version),
        "status": head.status.as_u16(),
        "status_line_text": short(without_reason_space(&format!("{} {}", head.status.as_str(), latin1(&head.reason)))),
        "content_length": length,
        "body_len": body.len(),
        "body_end": body_end,
        "same_connection": same_connection,
    });
    let headers = fields(&head.headers, &without);
    if headers.as_object().is_some_and(|map| !map.is_empty()) {
        facts["headers"] = headers;
    }
    if !body.is_empty() && body.len() <= 200 {
        facts["body"] = json!(latin1(&body));
    }
    if let Some(trailers) = trailers.filter(|trailers| !trailers.is_empty()) {
        facts["trailers"] = fields(&trailers, &[]);
    }
    if hook && !interim.is_empty() {
        facts["interim"] = json!(interim);
    }
    if decodes_gzip(case) {
        facts.as_object_mut().unwrap().retain(|key, _| !GZIP_KEYS.contains(&key.as_str()));
    }
    Seen { facts, rejected: body_end.starts_with("error"), same_connection, error }
}

fn says_close(headers: &http::HeaderMap) -> bool {
    let values = headers.get_all("connection").iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|option| option.trim().eq_ignore_ascii_case("close"))
}

/// A status without a reason, with or without the space that may follow it.
fn without_reason_space(text: &str) -> String {
    if text.len() == 4 { text.trim_end().to_owned() } else { text.to_owned() }
}

/// What Go says of the length when there is no body: the field's value for HEAD, nothing known without one.
fn without_body(method: &Method, head: &roundtrip_h1::ResponseHead) -> i64 {
    let said = head.headers.get("content-length").and_then(|v| v.to_str().ok()?.parse().ok());
    match (method, head.version) {
        (&Method::HEAD, Version::HTTP_10 | Version::HTTP_11) => said.unwrap_or(-1),
        _ => 0,
    }
}

/// The difference that covers this case, if its promise was kept. Predicates look at the input alone.
fn promised(case: &Value, seen: &Seen) -> Option<&'static str> {
    let input = input(case);
    let head = LooseResponse::last(&input);
    let want = wanted(case);
    let refused = json!({"outcome": "error", "error": "malformed", "same_connection": false});
    let with = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let mut promise = want.clone();
        change(promise.as_object_mut().unwrap());
        promise
    };
    let trailers = trailer_section(&input);
    let has_chunks = head.values("transfer-encoding").iter().any(|value| value.contains("chunked"));
    let te_list: Vec<String> = head.values("transfer-encoding");

    // Refused at the head.
    for (slug, applies) in [
        ("bare_lf", has_bare_lf(&input)),
        ("status_line_spaces", head.status_line.get(8..10) == Some("  ")),
        (
            "status_code",
            head.status_line
                .get(9..12)
                .is_some_and(|code| !matches!(code.as_bytes(), [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'])),
        ),
        ("other_major_version", head.status_line.starts_with("HTTP/") && !head.status_line.starts_with("HTTP/1.")),
        ("control_in_reason", head.status_line.chars().any(|c| c.is_ascii_control() && c != '\t')),
        ("space_in_field_name", head.fields.iter().any(|(name, _)| name.contains([' ', '\t']))),
        ("transfer_encoding_in_http10", head.status_line.starts_with("HTTP/1.0") && !te_list.is_empty()),
    ] {
        if applies && seen.facts == refused {
            return Some(slug);
        }
    }
    // Taken, with a stated change to what Go gives.
    let lengths = head.values("content-length");
    let promises = [
        (
            "minor_version",
            head.status_line.as_bytes().get(7) > Some(&b'1'),
            with(&|w| {
                w.insert("proto".into(), json!("HTTP/1.1"));
            }),
        ),
        (
            "equal_lengths_kept",
            lengths.len() > 1,
            with(&|w| {
                if let Some(headers) = w.get_mut("headers") {
                    headers["content-length"] = json!(lengths);
                }
            }),
        ),
        (
            "transfer_encoding_with_length_closes",
            has_chunks && !lengths.is_empty(),
            with(&|w| {
                w.insert("same_connection".into(), json!(false));
            }),
        ),
        (
            "own_close_ends_the_connection",
            case["request"]["headers"]["Connection"] == "close",
            with(&|w| {
                w.insert("same_connection".into(), json!(false));
            }),
        ),
        (
            "announced_trailers_are_not_listed",
            !head.values("trailer").is_empty(),
            with(&|w| {
                if let Some(listed) = w.get_mut("trailers").and_then(Value::as_object_mut) {
                    listed.retain(|_, values| values != &json!([]));
                    if listed.is_empty() {
                        w.remove("trailers");
                    }
                }
            }),
        ),
        (
            "forbidden_trailer_dropped",
            trailers.contains("content-length:") || trailers.contains("transfer-encoding:"),
            with(&|w| {
                if let Some(listed) = w.get_mut("trailers").and_then(Value::as_object_mut) {
                    listed.retain(|name, _| name != "content-length" && name != "transfer-encoding");
                    if listed.is_empty() {
                        w.remove("trailers");
                    }
                }
            }),
        ),
        (
            "space_after_chunk_size",
            has_chunks && has_padded_size(&input),
            with(&|w| {
                w.retain(|key, _| key != "body");
                w.extend([("body_end".into(), json!("error:malformed")), ("body_len".into(), json!(0))]);
            }),
        ),
    ];
    for (slug, applies, promise) in promises {
        if applies && seen.facts == promise {
            return Some(slug);
        }
    }
    // Taken where Go refuses: the promise is a complete message.
    let complete = seen.facts["outcome"] == "ok" && seen.facts["body_end"] == "eof";
    let members = te_list.iter().flat_map(|value| value.split(',')).filter(|member| !member.trim().is_empty()).count();
    for (slug, applies) in [
        ("bad_length_without_a_body", case["request"]["method"] == "HEAD" && !lengths.is_empty()),
        ("empty_list_members", te_list.iter().any(|value| value.contains(',')) && members == 1),
        ("space_before_chunk_extension", has_chunks && latin1(&input).contains(" ;")),
        (
            "forbidden_trailer_announced",
            head.values("trailer").iter().any(|value| value.to_lowercase().contains("content-length")),
        ),
        ("trailer_section_limit", (4_000..16_384).contains(&trailers.len())),
    ] {
        if applies && complete {
            return Some(slug);
        }
    }
    None
}
