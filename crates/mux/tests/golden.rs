//! What Go's `ServeMux` does, case by case, against this crate. `golden/README.md` has the rules and the format.

// clippy.toml lets tests unwrap and print; here their helpers do.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod faults;
mod reference;

use faults::invalid;
use http::header::{ALLOW, CONNECTION, HOST, LOCATION};
use http::{Uri, Version};
use reference::{Plain, Verdict};
use roundtrip_golden::{Outcome, Run, bytes, has_quirk, known_keys};
use roundtrip_mux::{Match, Pattern, Router, ServeMux};
use roundtrip_types::{Body, Handler, PathValues, Request, Response};
use serde_json::{Map, Value, json};

#[test]
fn golden_mux_register() {
    let mut run = Run::load(env!("CARGO_MANIFEST_DIR"), "mux_register.json");
    known_keys(&run.data, &["subject", "oracle", "format", "cases"]);
    run.check(&["patterns", "results", "quirks", "note"], |case| {
        let router = Router::new();
        let patterns: Vec<_> = case["patterns"].as_array().unwrap().iter().map(bytes).collect();
        let mut accepted = Vec::new();
        let got: Vec<_> =
            patterns.iter().enumerate().map(|(at, text)| register(&router, text, at, &mut accepted)).collect();
        if json!(got) == case["results"] {
            return Outcome::Passed;
        }
        let promised = match () {
            () if patterns.iter().any(|text| std::str::from_utf8(text).is_err()) => "pattern_not_text",
            () if has_quirk(case, "empty_literal_segment") => "empty_literal_segment",
            () if has_quirk(case, "slash_literal_segment") => "slash_literal_segment",
            () => return Outcome::Failed(format!("got {}", json!(got))),
        };
        let want = promised_registrations(&patterns, &case["results"]);
        if got == want {
            Outcome::Differs(promised)
        } else {
            Outcome::Failed(format!("got {got:?}, promised {want:?}"))
        }
    });
    run.finish();
}

/// Registers a pattern; `accepted` has the index of each registered one, in the order of `Router::patterns`.
fn register(router: &Router<()>, text: &[u8], index: usize, accepted: &mut Vec<usize>) -> Value {
    let text = match std::str::from_utf8(text) {
        Ok(text) => text,
        Err(_) => return invalid(&Pattern::try_from(text).expect_err("not text")),
    };
    let Err(error) = router.insert(text, ()) else {
        accepted.push(index);
        return json!("ok");
    };
    if let Some(fault) = error.pattern_error() {
        return invalid(fault);
    }
    let conflict = error.conflict().expect("a fault or a conflict");
    let registered = router.patterns();
    let place =
        |clash: &roundtrip_mux::Clash| registered.iter().position(|pattern| pattern == clash.pattern()).unwrap();
    let with: Vec<_> = conflict.clashes().iter().map(|clash| accepted[place(clash)]).collect();
    json!({"error": "conflict", "with": with})
}

/// What the differences promise: faults as Go finds them, except for text; conflicts by the requests that patterns match.
fn promised_registrations(patterns: &[Vec<u8>], go: &Value) -> Vec<Value> {
    let mut registered: Vec<(usize, Plain)> = Vec::new();
    let mut promised = Vec::new();
    for (index, bytes) in patterns.iter().enumerate() {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let offset = error.valid_up_to();
                promised.push(json!({"error": "invalid_pattern", "offset": offset, "reason": "not_utf8"}));
                continue;
            }
        };
        if go[index]["error"] == "invalid_pattern" {
            promised.push(go[index].clone());
            continue;
        }
        let plain = Plain::new(text);
        let clashes = registered.iter().filter(|(_, other)| reference::conflict(&plain, other));
        let with: Vec<_> = clashes.map(|(index, _)| *index).collect();
        if with.is_empty() {
            promised.push(json!("ok"));
            registered.push((index, plain));
        } else {
            promised.push(json!({"error": "conflict", "with": with}));
        }
    }
    promised
}

/// A set of patterns, registered thrice: as values, as handlers, and with the plain rules.
struct Set {
    router: Router<()>,
    mux: ServeMux,
    plain: Vec<Plain>,
    quirks: Vec<String>,
}

/// A request as the file has it, and its parts as the mux takes them.
struct Ask {
    method: String,
    target: String,
    host_field: Option<String>,
    url_host: String,
    host: String,
    path: String,
    query: Option<String>,
}

#[test]
fn golden_mux_match() {
    let mut run = Run::load(env!("CARGO_MANIFEST_DIR"), "mux_match.json");
    known_keys(&run.data, &["subject", "oracle", "format", "sets", "set_quirks", "cases"]);
    let quirks = run.data["set_quirks"].as_array().cloned().unwrap_or_default();
    let quirks_of = |set: usize| {
        let own = quirks.iter().filter(move |quirk| quirk[0] == set);
        own.map(|quirk| quirk[1].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let sets = run.data["sets"].as_array().expect("sets is a list").iter().enumerate();
    let sets: Vec<_> = sets.map(|(index, patterns)| build(patterns, quirks_of(index))).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let keys = [
        "set",
        "method",
        "host",
        "target",
        "status",
        "stage",
        "pattern",
        "values",
        "location",
        "allow",
        "connection",
        "server",
        "quirks",
        "note",
    ];
    let mut by_request = 0;
    run.check(&keys, |case| {
        let set = &sets[usize::try_from(case["set"].as_u64().unwrap()).unwrap()];
        let Ok(target) = String::from_utf8(bytes(&case["target"])) else {
            let refused = Uri::try_from(bytes(&case["target"]).as_slice()).is_err();
            return if refused { Outcome::Differs("target_not_text") } else { Outcome::Failed("taken".into()) };
        };
        let ask = Ask::new(case, target);
        let got = seen_by_router(set, &ask);
        if let Some(req) = ask.request() {
            by_request += 1;
            let answered = runtime.block_on(set.mux.serve_http(req));
            let answered = seen_by_client(answered);
            let mut want = got.clone();
            if want["status"] == 307 {
                want.remove("pattern"); // No handler ran that could have seen it.
            }
            if answered != want {
                return Outcome::Failed(format!("router {}, mux {}", json!(got), json!(answered)));
            }
        }
        judge(case, set, &ask, &got)
    });
    println!("{}: {by_request} requests went through ServeMux too", run.file);
    run.finish();
}

fn build(patterns: &Value, quirks: Vec<String>) -> Set {
    let (router, mux, mut plain) = (Router::new(), ServeMux::new(), Vec::new());
    for pattern in patterns.as_array().unwrap() {
        let pattern = pattern.as_str().expect("a pattern that is text");
        router.insert(pattern, ()).unwrap_or_else(|error| panic!("{error}"));
        plain.push(Plain::new(pattern));
        mux.handle(pattern, |req: Request| async move {
            let mut response = Response::new(Body::empty());
            response.extensions_mut().insert(req.extensions().get::<PathValues>().unwrap().clone());
            response
        });
    }
    Set { router, mux, plain, quirks }
}

impl Ask {
    /// Takes a request target apart, as RFC 9112, section 3.2, has its four forms.
    fn new(case: &Value, target: String) -> Self {
        let method = case["method"].as_str().unwrap().to_owned();
        let host_field = case["host"].as_str().map(str::to_owned);
        let (authority, path) = match target.split_once("://") {
            Some((_, rest)) if !target.starts_with('/') => rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())),
            None if method == "CONNECT" && !target.starts_with('/') => (target.as_str(), ""),
            _ => ("", target.as_str()),
        };
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (path, None),
        };
        let host = if authority.is_empty() { host_field.clone().unwrap_or_default() } else { authority.into() };
        let (url_host, path) = (authority.to_owned(), path.to_owned());
        Ask { method, host_field, url_host, host, path, query, target }
    }

    /// The request as a server would hand it on, if `http::Uri` holds the target as it is written.
    fn request(&self) -> Option<Request> {
        let uri: Uri = self.target.parse().ok()?;
        let same = uri.path() == self.path && uri.query() == self.query.as_deref();
        let same_host = uri.authority().map_or("", |authority| authority.as_str()) == self.url_host;
        let version = if self.host_field.is_some() { Version::HTTP_11 } else { Version::HTTP_10 };
        let mut req = http::Request::builder().method(self.method.as_str()).uri(uri).version(version);
        if let Some(host) = &self.host_field {
            req = req.header(HOST, host);
        }
        req.body(Body::empty()).ok().filter(|_| same && same_host)
    }

    fn location(&self, path: &str) -> String {
        match self.query.as_deref() {
            None | Some("") => path.into(),
            Some(query) => format!("{path}?{query}"),
        }
    }
}

fn text_or_base64(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({"b64": to_base64(bytes)}),
    }
}

fn to_base64(bytes: &[u8]) -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let chunk = |chunk: &[u8]| {
        let bits = chunk.iter().chain([&0; 2]).take(3).fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        let digit = |at: usize| if at > chunk.len() { '=' } else { digits[bits >> (18 - 6 * at) & 63].into() };
        [digit(0), digit(1), digit(2), digit(3)]
    };
    bytes.chunks(3).flat_map(chunk).collect()
}

/// What `Router::at` says, in the words of the file.
fn seen_by_router(set: &Set, ask: &Ask) -> Map<String, Value> {
    let verdict = match set.router.at(&ask.method, &ask.host, &ask.path) {
        Match::Found(found) => Verdict::Found {
            pattern: found.pattern().as_str().into(),
            values: found.values().map(|(name, value)| (name.into(), value.bytes().into_owned())).collect(),
        },
        Match::Redirect(redirect) => {
            Verdict::Redirect { pattern: redirect.pattern().map(ToString::to_string), path: redirect.path().into() }
        }
        Match::MethodNotAllowed(allowed) => {
            Verdict::MethodNotAllowed(allowed.methods().into_iter().map(str::to_owned).collect())
        }
        Match::NotFound => Verdict::NotFound,
        Match::Malformed => Verdict::Malformed,
        other => panic!("an answer that this runner does not know: {other:?}"),
    };
    in_words(verdict, ask)
}

fn in_words(verdict: Verdict, ask: &Ask) -> Map<String, Value> {
    let words = match verdict {
        Verdict::Found { pattern, values } => {
            let values: Map<_, _> = values.iter().map(|(name, value)| (name.clone(), text_or_base64(value))).collect();
            json!({"status": 200, "pattern": pattern, "values": values})
        }
        Verdict::Redirect { pattern: Some(pattern), path } => {
            json!({"status": 307, "pattern": pattern, "location": ask.location(&path)})
        }
        Verdict::Redirect { pattern: None, path } => json!({"status": 307, "location": ask.location(&path)}),
        Verdict::MethodNotAllowed(methods) => json!({"status": 405, "allow": methods.join(", ")}),
        Verdict::NotFound => json!({"status": 404}),
        // Only requests that reach Go's mux get the field from it; those that it refuses to parse get it from its server.
        Verdict::Malformed if ask.host_field.is_some() => json!({"status": 400, "connection": "close"}),
        Verdict::Malformed => json!({"status": 400}),
    };
    let Value::Object(mut words) = words else { unreachable!("all are objects") };
    words.retain(|_, value| value.as_object().is_none_or(|values| !values.is_empty()));
    words
}

/// What `ServeMux` answered, in the words of the file.
fn seen_by_client(response: Response) -> Map<String, Value> {
    let mut words = Map::new();
    words.insert("status".into(), json!(response.status().as_u16()));
    for (field, name) in [(LOCATION, "location"), (ALLOW, "allow"), (CONNECTION, "connection")] {
        if let Some(value) = response.headers().get(field) {
            words.insert(name.into(), json!(value.to_str().unwrap()));
        }
    }
    if let Some(values) = response.extensions().get::<PathValues>() {
        words.insert("pattern".into(), json!(values.pattern()));
        let names: Vec<_> = values.iter().map(|(name, _)| name.to_owned()).collect();
        let value = |name: String| (name.clone(), text_or_base64(&values.value_bytes(&name).unwrap()));
        let values: Map<_, _> = names.into_iter().map(value).collect();
        if !values.is_empty() {
            words.insert("values".into(), values.into());
        }
    }
    words
}

fn judge(case: &Value, set: &Set, ask: &Ask, got: &Map<String, Value>) -> Outcome {
    let mut want = case.as_object().unwrap().clone();
    let asked = ["set", "method", "host", "target", "stage", "server", "quirks", "note"];
    want.retain(|key, _| !asked.contains(&key.as_str()));
    if case["stage"] == "parse" && got["status"] == 400 {
        return Outcome::Passed;
    }
    if *got == want {
        return Outcome::Passed;
    }
    let slug = match () {
        () if ask.method == "CONNECT" && !ask.url_host.is_empty() && !ask.path.is_empty() => "connect_absolute_form",
        () if has_quirk(case, "connect_empty_segment") => "connect_empty_segment",
        () if has_quirk(case, "escaped_slash_lost") => "escaped_slash_lost",
        () if ask.method == "CONNECT" && case["status"] == 307 => "connect_redirect_pattern",
        () if ask.path.split('/').any(|part| part.eq_ignore_ascii_case("%2f")) => "slash_literal_segment",
        () if set.quirks.iter().any(|quirk| quirk == "slash_literal_segment") => "slash_literal_segment",
        () if set.quirks.iter().any(|quirk| quirk == "empty_literal_segment") => "empty_literal_segment",
        () => return Outcome::Failed(format!("got {}", json!(got))),
    };
    let url_host = if slug == "connect_absolute_form" { "" } else { ask.url_host.as_str() };
    let promised = in_words(reference::verdict(&set.plain, &ask.method, url_host, &ask.host, &ask.path), ask);
    if *got == promised {
        Outcome::Differs(slug)
    } else {
        Outcome::Failed(format!("got {}, promised {}", json!(got), json!(promised)))
    }
}
