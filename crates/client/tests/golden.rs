//! What Go's client does with redirects and cookies, case by case. `golden/README.md` has the format.

// clippy.toml lets tests unwrap and print; here their helpers do.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod golden_jar;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures_core::Stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use roundtrip_client::{Client, ClientConfig, JarConfig, MemoryJar, RedirectFault, RoundTripper};
use roundtrip_golden::{Outcome, Run, bytes, has_quirk, known_keys};
use roundtrip_types::{Body, Error, ErrorKind, Request, Response, Result};
use serde_json::{Value, json};

use golden_jar::{TinyList, fill};

/// Gives responses in turn and keeps the requests. Like a real transport, it refuses schemes other than http and https.
#[derive(Clone, Default)]
struct Script {
    hops: Arc<Mutex<VecDeque<Value>>>,
    seen: Arc<Mutex<Vec<Value>>>,
}

impl RoundTripper for Script {
    async fn round_trip(&self, req: Request) -> Result<Response> {
        let uri = req.uri().clone();
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(Error::new(ErrorKind::Request, "unsupported_scheme"));
        }
        let (parts, body) = req.into_parts();
        let has_body = !body.is_empty();
        let body = String::from_utf8(body.bytes().await?.into()).unwrap();
        let host = parts.headers.get("host").map_or(uri.authority().unwrap().as_str(), |host| host.to_str().unwrap());
        self.seen.lock().unwrap().push(json!({
            "method": parts.method.as_str(),
            "url": uri.to_string(),
            "target": uri.path_and_query().unwrap().as_str(),
            "host": host,
            "headers": sorted_fields(&parts.headers),
            "body": if has_body { json!(body) } else { Value::Null },
        }));
        let hop = self.hops.lock().unwrap().pop_front();
        let mut response = Response::new(Body::empty());
        let Some(hop) = hop else { return Ok(response) };
        known_keys(&hop, &["status", "location", "set_cookie"]);
        *response.status_mut() = StatusCode::from_u16(hop["status"].as_u64().unwrap().try_into().unwrap()).unwrap();
        if let Some(location) = hop.get("location") {
            response.headers_mut().insert("location", HeaderValue::from_bytes(&bytes(location)).unwrap());
        }
        for cookie in hop["set_cookie"].as_array().into_iter().flatten() {
            response.headers_mut().append("set-cookie", HeaderValue::from_bytes(&bytes(cookie)).unwrap());
        }
        Ok(response)
    }
}

fn sorted_fields(fields: &HeaderMap) -> Value {
    let mut sorted: Vec<_> = fields.iter().filter(|(name, _)| *name != "host").collect();
    sorted.sort_by_key(|(name, _)| name.as_str());
    sorted.into_iter().map(|(name, value)| json!([name.as_str(), value.to_str().unwrap()])).collect()
}

/// A body that can be sent only once, and whose length is unknown.
struct Once(Option<Vec<u8>>);

impl Stream for Once {
    type Item = std::result::Result<Vec<u8>, std::io::Error>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.take().map(Ok))
    }
}

#[tokio::test]
async fn golden_client_redirect() {
    let mut run = Run::load(env!("CARGO_MANIFEST_DIR"), "client_redirect.json");
    let list = TinyList::of(&run.data["public_suffixes"]);
    let mut results = Vec::new();
    for case in run.data["cases"].as_array().unwrap().clone() {
        results.push(replay(&case, &list).await);
    }
    let mut results = results.into_iter();
    run.check(&["start", "hops", "requests", "final", "redirects", "quirks", "note"], |case| {
        let got = results.next().unwrap();
        let mut want = json!({
            "requests": case["requests"],
            "final": case["final"],
            "redirects": case["redirects"],
        });
        lower_names(&mut want);
        if got == want {
            return Outcome::Passed;
        }
        let (slug, promised) = promise(case, want);
        match slug {
            Some(slug) if got == promised => Outcome::Differs(slug),
            _ => Outcome::Failed(format!("got {got}, promised ({slug:?}) {promised}")),
        }
    });
    run.finish();
}

/// Runs a case, and tells what came of it in the words of the file.
async fn replay(case: &Value, list: &TinyList) -> Value {
    let start = &case["start"];
    known_keys(start, &["method", "url", "host", "headers", "body", "replayable", "jar", "jar_cookies"]);
    let script = Script::default();
    *script.hops.lock().unwrap() = case["hops"].as_array().unwrap().iter().cloned().collect();
    let jar = MemoryJar::with_config(JarConfig { suffixes: Some(Arc::new(list.clone())), ..JarConfig::default() });
    for entry in start["jar_cookies"].as_array().into_iter().flatten() {
        fill(&jar, &entry[0], &entry[1]);
    }
    let config = ClientConfig {
        headers: HeaderMap::new(),
        jar: start["jar"].as_bool().unwrap().then(|| Arc::new(jar) as _),
        ..ClientConfig::default()
    };
    let client = Client::with_config(script.clone(), config);
    let method: Method = start["method"].as_str().unwrap().parse().unwrap();
    let mut builder = client.request(method, String::from_utf8(bytes(&start["url"])).unwrap());
    if let Some(host) = start["host"].as_str() {
        builder = builder.header("host", host);
    }
    for field in start["headers"].as_array().unwrap() {
        let name = HeaderName::from_bytes(&bytes(&field[0])).unwrap();
        builder = builder.header(name, HeaderValue::from_bytes(&bytes(&field[1])).unwrap());
    }
    if !start["body"].is_null() {
        let body = bytes(&start["body"]);
        let replayable = start["replayable"].as_bool().unwrap();
        builder = builder.body(if replayable { Body::from(body) } else { Body::stream(Once(Some(body))) });
    }
    let outcome = match builder.await {
        Ok(response) => json!({"status": response.status().as_u16()}),
        Err(error) => json!({"error": error_slug(&error)}),
    };
    let seen = script.seen.lock().unwrap().clone();
    let redirects = seen.len().saturating_sub(1);
    json!({"requests": seen, "final": outcome, "redirects": redirects})
}

fn error_slug(error: &Error) -> String {
    let fault = error.cause().and_then(|cause| cause.downcast_ref::<RedirectFault>());
    match fault {
        Some(RedirectFault::TooMany(9)) => "too_many_redirects".into(),
        Some(RedirectFault::BadLocation(_)) => "bad_location".into(),
        Some(RedirectFault::UnsupportedScheme(_)) => "unsupported_scheme".into(),
        Some(RedirectFault::NoHost) => "no_host".into(),
        _ if error.to_string().ends_with("unsupported_scheme") => "unsupported_scheme".into(),
        _ => format!("{error:?}"),
    }
}

/// Field names as the `http` crate has them.
fn lower_names(want: &mut Value) {
    for request in want["requests"].as_array_mut().unwrap() {
        for field in request["headers"].as_array_mut().unwrap() {
            field[0] = json!(field[0].as_str().unwrap().to_ascii_lowercase());
        }
    }
}

/// The difference that applies, and Go's result as it changes it.
fn promise(case: &Value, mut want: Value) -> (Option<&'static str>, Value) {
    let locations = case["hops"].as_array().unwrap().iter().filter_map(|hop| hop.get("location"));
    let inputs: Vec<_> = std::iter::once(&case["start"]["url"]).chain(locations).map(bytes).collect();
    let mut slug = None;
    let repaired: Vec<(String, String)> = inputs.iter().filter_map(|input| repaired_path(input)).collect();
    let mut change = |text: &Value| {
        let (changed, found) = ours(&bytes(text), &repaired);
        // The fragment is named only where nothing else is.
        slug = slug.filter(|slug| *slug != "fragment").or(found).or(slug);
        changed
    };
    let mut hosts = Vec::new();
    for request in want["requests"].as_array_mut().unwrap() {
        let old = String::from_utf8_lossy(&bytes(&request["url"])).into_owned();
        let new = change(&request["url"]);
        let (authority, target) =
            new.split_once("://").unwrap().1.split_at(new.split_once("://").unwrap().1.find('/').unwrap());
        if !request["host"].as_str().unwrap().is_ascii() || host_of(&old) != host_of(&new) {
            request["host"] = json!(authority);
        }
        request["target"] = json!(target);
        hosts.push(host_of(&new));
        request["url"] = json!(new);
        for field in request["headers"].as_array_mut().unwrap().iter_mut().filter(|field| field[0] == "referer") {
            if !is_explicit_referer(case, &field[1]) {
                field[1] = json!(change(&field[1]));
            }
        }
    }
    if has_quirk(case, "idn_case_not_mapped") {
        restore_secrets(case, &mut want, &hosts);
    }
    (slug, want)
}

fn is_explicit_referer(case: &Value, value: &Value) -> bool {
    case["start"]["headers"].as_array().unwrap().iter().any(|field| field[0] == "Referer" && field[1] == *value)
}

/// A URL as Go prints it, as we have it; and the difference that made the change.
fn ours(url: &[u8], repaired: &[(String, String)]) -> (String, Option<&'static str>) {
    if url.is_empty() {
        return (String::new(), None);
    }
    let mut slug = None;
    let mut note = |changed: bool, name| {
        if changed {
            slug = slug.or(Some(name));
        }
    };
    let fragment = url.iter().position(|byte| *byte == b'#');
    let url = &url[..fragment.unwrap_or(url.len())];
    let mark = url.iter().position(|byte| *byte == b'?');
    let query = mark.map(|mark| &url[mark + 1..]);
    let url = std::str::from_utf8(&url[..mark.unwrap_or(url.len())]).expect("Go escapes all but the query");
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    note(host.len() != authority.len(), "user_info");
    let mapped = if host.contains('%') && !host.contains('[') {
        let decoded = percent_encoding::percent_decode_str(host).decode_utf8().unwrap();
        idna::domain_to_ascii(&decoded).unwrap()
    } else {
        host.to_owned()
    };
    note(mapped != host, "idn_host");
    note(path.is_empty(), "empty_path");
    let mut path = if path.is_empty() { "/".to_owned() } else { path.to_owned() };
    for (go, own) in repaired {
        note(path.contains(go), "escaped_path");
        path = path.replace(go, own);
    }
    let query = query.map_or(String::new(), |query| {
        let must = |byte: &u8| matches!(byte, b' ' | b'"' | b'<' | b'>' | 0x80..);
        note(query.iter().any(must), "escaped_query");
        let one = |byte: &u8| if must(byte) { format!("%{byte:02X}") } else { char::from(*byte).to_string() };
        format!("?{}", query.iter().map(one).collect::<String>())
    });
    note(fragment.is_some(), "fragment");
    (format!("{scheme}://{mapped}{path}{query}"), slug)
}

fn host_of(url: &str) -> String {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.rsplit_once(':').filter(|(name, _)| !name.contains(':')).map_or(host, |(name, _)| name).to_ascii_lowercase()
}

/// The path of an input that Go decodes and escapes anew: as Go has it, and with escapes only where they must be.
fn repaired_path(input: &[u8]) -> Option<(String, String)> {
    let input = &input[..input.iter().position(|byte| b"?#".contains(byte)).unwrap_or(input.len())];
    let path = match input.windows(2).position(|two| two == b"//") {
        Some(at) => {
            let rest = &input[at + 2..];
            &rest[rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len())..]
        }
        None => input,
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte);
    let may_stay = |byte: u8| is_plain(byte) || b"!'()*[]%".contains(&byte);
    if path.iter().all(|byte| may_stay(*byte)) {
        return None;
    }
    let escape = |bytes: &[u8], keep: &dyn Fn(u8) -> bool| -> String {
        let one = |byte: &u8| if keep(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") };
        bytes.iter().map(one).collect()
    };
    let decoded: Vec<u8> = percent_encoding::percent_decode(path).collect();
    let (go, own) = (escape(&decoded, &is_plain), escape(path, &may_stay));
    (go != own).then_some((go, own))
}

/// Gives back the secrets that Go leaves behind when the case of a host's letters changes.
fn restore_secrets(case: &Value, want: &mut Value, hosts: &[String]) {
    let secrets =
        ["authorization", "cookie", "cookie2", "proxy-authenticate", "proxy-authorization", "www-authenticate"];
    let given: Vec<_> = case["start"]["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| json!([field[0].as_str().unwrap().to_ascii_lowercase(), field[1]]))
        .filter(|field| secrets.contains(&field[0].as_str().unwrap()))
        .collect();
    let mut stripped = false;
    for (request, host) in want["requests"].as_array_mut().unwrap().iter_mut().zip(hosts) {
        stripped |= *host != hosts[0] && !host.ends_with(&format!(".{}", hosts[0]));
        let fields = request["headers"].as_array_mut().unwrap();
        fields.retain(|field| !secrets.contains(&field[0].as_str().unwrap()));
        if !stripped {
            fields.extend(given.iter().cloned());
        }
        fields.sort_by_key(|field| field[0].as_str().unwrap().to_owned());
    }
}

#[test]
fn golden_cookie_jar() {
    let mut run = Run::load(env!("CARGO_MANIFEST_DIR"), "cookie_jar.json");
    let list = TinyList::of(&run.data["public_suffixes"]);
    run.check(&["psl", "steps", "quirks", "note"], |case| golden_jar::check(case, &list));
    run.finish();
}
