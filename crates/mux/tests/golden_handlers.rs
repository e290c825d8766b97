//! What Go's handler helpers do, case by case: `Redirect`, `StripPrefix`, path cleaning, `CrossOriginProtection`.
//!
//! They live in `roundtrip-types` and here; the cases need both. `golden/README.md` has the rules and the format.

// clippy.toml lets tests unwrap and print; here their helpers do.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod faults;
mod reference;

use faults::invalid;
use http::header::{CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderValue, Method, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use reference::{Plain, Verdict};
use roundtrip_golden::{Outcome, Run, bytes, has_quirk, known_keys};
use roundtrip_mux::{CrossOriginError, CrossOriginProtection, OriginFault, ServeMux};
use roundtrip_types::{
    Body, Handler, MessageExt, RedirectHandler, Request, Response, StripPrefix, redirect, redirect_from,
};
use serde_json::{Value, json};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

fn text(value: &Value) -> String {
    String::from_utf8(bytes(value)).expect("text")
}

/// Whether a program can say this: what it writes is a Rust string.
fn is_text(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.iter().all(is_text),
        value => value.is_null() || std::str::from_utf8(&bytes(value)).is_ok(),
    }
}

/// The request of a case, if `http::Uri` takes its target.
fn request(method: &str, target: &str, host: &str) -> Option<Request> {
    let host = HeaderValue::from_bytes(host.as_bytes()).unwrap();
    let uri: Uri = target.parse().ok()?;
    http::Request::builder().method(method).uri(uri).header(HOST, host).body(Body::empty()).ok()
}

#[test]
fn golden_clean_redirect_helper() {
    let mut run = Run::load(env!("CARGO_MANIFEST_DIR"), "clean_redirect_helper.json");
    known_keys(&run.data, &["subject", "oracle", "format", "cases"]);
    let keys = [
        "kind",
        "method",
        "target",
        "to",
        "code",
        "preset_content_type",
        "prefix",
        "status",
        "location",
        "content_type",
        "body",
        "path",
        "raw_path",
        "escaped",
        "quirks",
        "note",
    ];
    let runtime = runtime();
    run.check(&keys, |case| {
        if !["to", "prefix", "preset_content_type"].iter().all(|key| is_text(&case[key])) {
            return Outcome::Differs("not_text");
        }
        if !is_text(&case["target"]) {
            let refused = Uri::try_from(bytes(&case["target"]).as_slice()).is_err();
            return if refused { Outcome::Differs("target_not_a_uri") } else { Outcome::Failed("taken".into()) };
        }
        let target = text(&case["target"]);
        let Some(req) = request(case["method"].as_str().unwrap_or("GET"), &target, "site.test") else {
            return Outcome::Differs("target_not_a_uri");
        };
        match case["kind"].as_str().unwrap() {
            "redirect" | "redirect_handler" => runtime.block_on(check_redirect(case, req)),
            "strip_prefix" => runtime.block_on(check_strip_prefix(case, req)),
            "clean_path" => runtime.block_on(check_clean_path(case, req)),
            other => panic!("a kind that this runner does not know: {other}"),
        }
    });
    run.finish();
}

async fn check_redirect(case: &Value, req: Request) -> Outcome {
    let (to, method) = (text(&case["to"]), req.method().clone());
    let status = StatusCode::from_u16(u16::try_from(case["code"].as_u64().unwrap()).unwrap()).unwrap();
    let preset = case.get("preset_content_type");
    let response = if case["kind"] == "redirect_handler" {
        RedirectHandler::new(to, status).serve_http(req).await
    } else if let Some(preset) = preset.filter(|preset| !preset.is_null()) {
        let mut response = Response::new(Body::empty());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_str(&text(preset)).unwrap());
        redirect_from(response, &req, &to, status)
    } else {
        redirect(&req, &to, status)
    };
    let field = |name| response.headers().get(name).map(|value: &HeaderValue| value.to_str().unwrap().to_owned());
    let (location, content_type) = (field(LOCATION).unwrap(), field(CONTENT_TYPE));
    let got = (response.status().as_u16(), content_type, response.text().await.unwrap());
    let mut want = (
        u16::try_from(case["status"].as_u64().unwrap()).unwrap(),
        case["content_type"].as_str().map(str::to_owned),
        text(&case["body"]),
    );
    let mut differs = None;
    if preset.is_some_and(Value::is_null) {
        differs = Some("content_type_without_value");
        let html = matches!(method, Method::GET | Method::HEAD).then(|| "text/html; charset=utf-8".to_owned());
        let reason = status.canonical_reason().unwrap_or_default();
        let link = if method == Method::GET { format!("<a href=\"{location}\">{reason}</a>.\n\n") } else { "".into() };
        (want.1, want.2) = (html, link);
    }
    let mut want_location = text(&case["location"]);
    let mut got_location = location.clone();
    if has_quirk(case, "escaped_slash_lost") {
        differs = Some("escaped_slash_lost");
        (want_location, got_location) = (want_location.replace("%2F", "/"), got_location.replace("%2F", "/"));
    }
    if got != want || got_location != want_location {
        return Outcome::Failed(format!("got {location} {got:?}"));
    }
    differs.map_or(Outcome::Passed, Outcome::Differs)
}

async fn check_strip_prefix(case: &Value, req: Request) -> Outcome {
    let (prefix, raw) = (text(&case["prefix"]), req.uri().path().to_owned());
    let see = |req: Request| async move { req.uri().path().to_owned() };
    let response = StripPrefix::new(&prefix, see).serve_http(req).await;
    let got = match response.status() {
        StatusCode::OK => Some(response.text().await.unwrap()),
        StatusCode::NOT_FOUND => None,
        other => return Outcome::Failed(format!("status {other}")),
    };
    let promised = without_prefix(&prefix, &raw);
    if got != promised {
        return Outcome::Failed(format!("got {got:?}, by the plain rule {promised:?}"));
    }
    let go = match case["status"].as_u64() {
        Some(200) => Some((bytes(&case["path"]), text(&case["raw_path"]), text(&case["escaped"]))),
        Some(404) => None,
        other => panic!("status {other:?}"),
    };
    let same = match (&got, &go) {
        (None, None) => true,
        (Some(got), Some((path, raw_path, escaped))) => {
            let spelling = if raw_path.is_empty() { escaped } else { raw_path };
            let respelled = percent_decode_str(escaped).eq(path.iter().copied());
            got == spelling && percent_decode_str(got).eq(path.iter().copied()) && respelled
        }
        _ => false,
    };
    if same {
        return Outcome::Passed;
    }
    let decoded: Vec<u8> = percent_decode_str(&raw).collect();
    let below = decoded.starts_with(prefix.as_bytes());
    match got {
        None if below => Outcome::Differs("prefix_inside_a_segment"),
        Some(_) if has_quirk(case, "escaped_slash_lost") => Outcome::Differs("escaped_slash_lost"),
        Some(_) if !raw.starts_with(&prefix) && go.is_none() => Outcome::Differs("escaped_prefix"),
        Some(got) if prefix.ends_with('/') || decoded == prefix.as_bytes() => {
            let (path, ..) = go.unwrap();
            let with_slash = [b"/", path.as_slice()].concat();
            let kept = percent_decode_str(&got).eq(with_slash);
            if kept { Outcome::Differs("rest_has_its_slash") } else { Outcome::Failed(format!("got {got}")) }
        }
        got => Outcome::Failed(format!("got {got:?}")),
    }
}

/// The path without the prefix, by lists of segments.
fn without_prefix(prefix: &str, path: &str) -> Option<String> {
    if prefix.is_empty() {
        return Some(path.to_owned());
    }
    let wanted: Vec<_> = prefix.strip_prefix('/')?.split('/').collect();
    let segments: Vec<_> = path.strip_prefix('/')?.split('/').collect();
    // What follows the last slash of the prefix is the beginning of nothing.
    let wanted = if prefix.ends_with('/') { &wanted[..wanted.len() - 1] } else { &wanted[..] };
    let decoded = segments.iter().map(|segment| percent_decode_str(segment).collect::<Vec<u8>>());
    let shared = decoded.zip(wanted).take_while(|(segment, wanted)| segment == wanted.as_bytes()).count();
    let enough = segments.len() > wanted.len() || !prefix.ends_with('/');
    (shared == wanted.len() && enough).then(|| format!("/{}", segments[shared..].join("/")))
}

async fn check_clean_path(case: &Value, req: Request) -> Outcome {
    let mux = ServeMux::new();
    mux.handle("/", |_req| async {});
    let (path, query) = (req.uri().path().to_owned(), req.uri().query().map(str::to_owned));
    let url_host = req.uri().authority().map_or("", |authority| authority.as_str()).to_owned();
    let target = text(&case["target"]);
    let response = mux.serve_http(req).await;
    let got = response.headers().get(LOCATION).map_or(Value::Null, |value| json!(value.to_str().unwrap()));
    if (response.status() == StatusCode::TEMPORARY_REDIRECT) == got.is_null() {
        return Outcome::Failed(format!("status {} with location {got}", response.status()));
    }
    if got == case["location"] {
        return Outcome::Passed;
    }
    // Only an absolute form can have no path at all.
    if !target.starts_with('/')
        && !target.split_once("://").is_some_and(|(_, rest)| rest.contains('/'))
        && got.is_null()
    {
        return Outcome::Differs("empty_path_is_slash");
    }
    if target.contains('#') {
        let kept = case["location"].as_str().map(|place| place.split('#').next().unwrap().trim_end_matches('?'));
        let same = got.as_str() == kept;
        return if same { Outcome::Differs("target_with_fragment") } else { Outcome::Failed(format!("got {got}")) };
    }
    if !has_quirk(case, "escaped_slash_lost") {
        return Outcome::Failed(format!("got {got}"));
    }
    let promised = match reference::verdict(&[Plain::new("/")], "GET", &url_host, "site.test", &path) {
        Verdict::Redirect { path, .. } => {
            json!(query.filter(|query| !query.is_empty()).map_or(path.clone(), |query| format!("{path}?{query}")))
        }
        _ => Value::Null,
    };
    if got == promised {
        Outcome::Differs("escaped_slash_lost")
    } else {
        Outcome::Failed(format!("got {got}, promised {promised}"))
    }
}

#[test]
fn golden_cross_origin() {
    let mut run = Run::load(env!("CARGO_MANIFEST_DIR"), "cross_origin.json");
    known_keys(&run.data, &["subject", "oracle", "format", "cases"]);
    let keys = [
        "kind", "origin", "ok", "error", "patterns", "results", "trusted", "bypass", "method", "target", "host",
        "headers", "allowed", "reason", "status", "quirks", "note",
    ];
    let runtime = runtime();
    run.check(&keys, |case| match case["kind"].as_str().unwrap() {
        _ if !["origin", "patterns", "trusted", "bypass"].iter().all(|key| is_text(&case[key])) => {
            Outcome::Differs("not_text")
        }
        _ if !is_text(&case["target"]) => {
            let refused = Uri::try_from(bytes(&case["target"]).as_slice()).is_err();
            if refused { Outcome::Differs("target_not_a_uri") } else { Outcome::Failed("taken".into()) }
        }
        "config_origin" => check_origin(case),
        "config_bypass" => check_bypass(case),
        "check" => runtime.block_on(check_request(case)),
        other => panic!("a kind that this runner does not know: {other}"),
    });
    run.finish();
}

fn check_origin(case: &Value) -> Outcome {
    let added = CrossOriginProtection::new().add_trusted_origin(&text(&case["origin"]));
    let got = added.as_ref().err().map(|error| match error.fault() {
        OriginFault::Unparsable(_) => "unparsable",
        OriginFault::MissingScheme => "missing_scheme",
        OriginFault::MissingHost => "missing_host",
        OriginFault::ExtraParts => "extra_parts",
        other => panic!("a fault that this runner does not know: {other:?}"),
    });
    let same = case["ok"] == json!(got.is_none()) && case.get("error").and_then(Value::as_str) == got;
    if same { Outcome::Passed } else { Outcome::Failed(format!("got {got:?}")) }
}

fn check_bypass(case: &Value) -> Outcome {
    let protection = CrossOriginProtection::new();
    let patterns: Vec<_> = case["patterns"].as_array().unwrap().iter().map(text).collect();
    let mut accepted: Vec<(usize, &str)> = Vec::new();
    let mut got = Vec::new();
    for (index, pattern) in patterns.iter().enumerate() {
        let Err(error) = protection.try_add_insecure_bypass_pattern(pattern) else {
            accepted.push((index, pattern));
            got.push(json!("ok"));
            continue;
        };
        got.push(match (error.pattern_error(), error.conflict()) {
            (Some(fault), _) => invalid(fault),
            (None, Some(conflict)) => {
                let index = |text: &str| accepted.iter().find(|(_, pattern)| *pattern == text).unwrap().0;
                let with: Vec<_> = conflict.clashes().iter().map(|clash| index(clash.pattern().as_str())).collect();
                json!({"error": "conflict", "with": with})
            }
            (None, None) => panic!("neither a fault nor a conflict: {error}"),
        });
    }
    if json!(got) == case["results"] { Outcome::Passed } else { Outcome::Failed(format!("got {}", json!(got))) }
}

async fn check_request(case: &Value) -> Outcome {
    let protection = CrossOriginProtection::new();
    for origin in case["trusted"].as_array().unwrap() {
        protection.add_trusted_origin(&text(origin)).unwrap();
    }
    for pattern in case["bypass"].as_array().unwrap() {
        protection.add_insecure_bypass_pattern(&text(pattern));
    }
    let (method, target) = (case["method"].as_str().unwrap(), text(&case["target"]));
    let Some(mut req) = request(method, &target, &text(&case["host"])) else {
        return Outcome::Differs("target_not_a_uri");
    };
    for field in case["headers"].as_array().unwrap() {
        let name: http::HeaderName = text(&field[0]).parse().unwrap();
        req.headers_mut().append(name, HeaderValue::from_bytes(&bytes(&field[1])).unwrap());
    }
    let reason = protection.check(&req).err().map(|refusal| match refusal {
        CrossOriginError::SecFetchSite => "sec_fetch_site",
        CrossOriginError::Origin => "origin",
        other => panic!("a refusal that this runner does not know: {other:?}"),
    });
    let status = protection.handler(|_req| async {}).serve_http(req).await.status();
    let want_status = case["status"].as_u64().unwrap_or(200);
    let same = case["allowed"] == json!(reason.is_none())
        && case.get("reason").and_then(Value::as_str) == reason
        && want_status == u64::from(status.as_u16());
    if same { Outcome::Passed } else { Outcome::Failed(format!("got {reason:?}, {status}")) }
}
