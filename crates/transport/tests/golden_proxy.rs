//! Which proxy Go takes from an environment, case by case, against ours. `golden/README.md` has the rules and the format.

// clippy.toml lets tests unwrap and print; here their helpers do.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use roundtrip_transport::ProxyEnv;
use roundtrip_types::ErrorKind;
use serde_json::Value;

const FILE: &str = "proxy_env.json";

#[test]
fn golden_proxy_env() {
    let data = load();
    known_keys(&data, &["subject", "oracle", "format", "cases"]);
    let (mut passed, mut differs, mut failures) = (0, 0, Vec::new());
    for (index, case) in data["cases"].as_array().expect("cases is a list").iter().enumerate() {
        known_keys(case, &["env", "url", "proxy", "error", "quirks", "note"]);
        match check(case) {
            Ok(Verdict::Passed) => passed += 1,
            Ok(Verdict::Differs) => differs += 1,
            Err(why) => failures.push(format!("{FILE} case {index}: {case}\n    {why}")),
        }
    }
    println!("{FILE}: {passed} passed, {} failed, {differs} differs", failures.len());
    if differs == 0 {
        println!("{FILE}: the difference unusable_proxy_value applies to no case here");
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures[..failures.len().min(20)].join("\n"));
}

enum Verdict {
    Passed,
    /// The result is not Go's, but the one that `unusable_proxy_value` promises.
    Differs,
}

fn check(case: &Value) -> Result<Verdict, String> {
    let env = case["env"].as_object().expect("env is an object");
    let env = ProxyEnv::from_vars(|name| env.get(name).map(|value| value.as_str().expect("text").to_owned()));
    let (scheme, host, port) = split(case["url"].as_str().expect("text"));
    let got = env.proxy_for(&scheme, &host, port);
    let shown = format!("got {:?}", got.as_ref().map(|proxy| proxy.as_ref().map(|proxy| proxy.url_with_credentials())));
    if case["quirks"].as_array().is_some_and(|quirks| quirks.iter().any(|quirk| quirk == "unusable_proxy_value")) {
        return match got {
            Err(error)
                if error.kind() == ErrorKind::Request && error.to_string().contains("_PROXY: the proxy URL \"") =>
            {
                Ok(Verdict::Differs)
            }
            _ => Err(shown),
        };
    }
    let right = match (&case["error"], &case["proxy"], &got) {
        (Value::String(slug), _, Err(error)) => {
            slug == "cgi_http_proxy_refused" && error.to_string().contains("REQUEST_METHOD")
        }
        (Value::Null, Value::Null, Ok(None)) => true,
        (Value::Null, Value::String(want), Ok(Some(proxy))) => proxy.url_with_credentials() == want,
        _ => false,
    };
    if right { Ok(Verdict::Passed) } else { Err(shown) }
}

/// Scheme, host and port of a request's URL, some of which are no URLs that could be sent.
fn split(url: &str) -> (String, String, u16) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url.trim_start_matches('/')));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, behind)| behind);
    let (host, port) = match host_and_port.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (host_and_port, ""),
    };
    let default = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
    (scheme.to_owned(), host.replace("%25", "%"), port.parse().unwrap_or(default))
}

fn load() -> Value {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let folder = std::env::var("ROUNDTRIP_GOLDEN_DIR").unwrap_or_else(|_| own.into());
    let path = std::path::Path::new(&folder).join(FILE);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn known_keys(value: &Value, keys: &[&str]) {
    let unknown: Vec<_> = value.as_object().expect("an object").keys().filter(|k| !keys.contains(&&***k)).collect();
    assert!(unknown.is_empty(), "unknown keys {unknown:?} in {value}");
}
