//! Which proxy Go takes from an environment, case by case, against ours. `golden/README.md` has the rules and the format.

// clippy.toml lets tests unwrap and print; here their helpers do.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use roundtrip_golden::{Outcome, Run, has_quirk};
use roundtrip_transport::ProxyEnv;
use roundtrip_types::ErrorKind;
use serde_json::Value;

#[test]
fn golden_proxy_env() {
    let mut run = Run::load(env!("CARGO_MANIFEST_DIR"), "proxy_env.json");
    run.check(&["env", "url", "proxy", "error", "quirks", "note"], check);
    run.finish();
}

fn check(case: &Value) -> Outcome {
    let env = case["env"].as_object().expect("env is an object");
    let env = ProxyEnv::from_vars(|name| env.get(name).map(|value| value.as_str().expect("text").to_owned()));
    let (scheme, host, port) = split(case["url"].as_str().expect("text"));
    let got = env.proxy_for(&scheme, &host, port);
    let shown = format!("got {:?}", got.as_ref().map(|proxy| proxy.as_ref().map(|proxy| proxy.url_with_credentials())));
    if has_quirk(case, "unusable_proxy_value") {
        return match got {
            Err(error)
                if error.kind() == ErrorKind::Request && error.to_string().contains("_PROXY: the proxy URL \"") =>
            {
                Outcome::Differs("unusable_proxy_value")
            }
            _ => Outcome::Failed(shown),
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
    if right { Outcome::Passed } else { Outcome::Failed(shown) }
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
