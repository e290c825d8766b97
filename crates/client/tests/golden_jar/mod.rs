//! Scripts for the jar.

use std::sync::Arc;

use roundtrip_client::{Jar, JarConfig, JarUrl, MemoryJar, PublicSuffixes};
use roundtrip_types::Cookie;
use serde_json::{Value, json};

use roundtrip_golden::{Outcome, bytes, has_quirk, known_keys};

/// The list of the file: the longest entry that the domain ends in, else its last label.
#[derive(Clone)]
pub(crate) struct TinyList(Arc<Vec<String>>);

impl TinyList {
    pub(crate) fn of(entries: &Value) -> Self {
        TinyList(Arc::new(entries.as_array().unwrap().iter().map(|entry| entry.as_str().unwrap().to_owned()).collect()))
    }
}

impl PublicSuffixes for TinyList {
    fn public_suffix<'d>(&self, domain: &'d str) -> &'d str {
        let ends = |entry: &&String| domain == entry.as_str() || domain.ends_with(&format!(".{entry}"));
        let length = self.0.iter().filter(ends).map(String::len).max();
        let last = domain.len() - domain.rfind('.').map_or(0, |dot| dot + 1);
        &domain[domain.len() - length.unwrap_or(last)..]
    }
}

/// A URL taken apart as Go does it: the zone of an address is not escaped any more.
struct Split {
    scheme: String,
    host: String,
    path: String,
}

impl Split {
    fn new(url: &Value) -> Self {
        let url = url.as_str().unwrap();
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let path = &path[..path.find(['?', '#']).unwrap_or(path.len())];
        Split { scheme: scheme.to_ascii_lowercase(), host: host.replace("%25", "%"), path: path.into() }
    }

    fn url(&self) -> JarUrl<'_> {
        JarUrl { scheme: &self.scheme, host: &self.host, path: &self.path }
    }
}

/// Gives the lines of one response to a jar.
pub(crate) fn fill(jar: &MemoryJar, url: &Value, lines: &Value) {
    let lines = lines.as_array().unwrap().iter().map(bytes);
    let cookies = lines.filter_map(|line| Cookie::parse_set_cookie(&line).ok()).collect();
    jar.set_cookies(Split::new(url).url(), cookies);
}

fn ask(jar: &MemoryJar, url: &Value) -> Value {
    jar.cookies(Split::new(url).url()).iter().map(|cookie| json!(cookie.to_request_pair())).collect()
}

/// What the `get` steps of a case return, in order.
fn replay(case: &Value, list: &TinyList) -> Vec<Value> {
    let suffixes = case["psl"].as_bool().unwrap().then(|| Arc::new(list.clone()) as Arc<dyn PublicSuffixes>);
    let jar = MemoryJar::with_config(JarConfig { suffixes, ..JarConfig::default() });
    let mut got = Vec::new();
    for step in case["steps"].as_array().unwrap() {
        known_keys(step, &["set", "get"]);
        if let Some(set) = step.get("set") {
            known_keys(set, &["url", "set_cookie"]);
            fill(&jar, &set["url"], &set["set_cookie"]);
        } else {
            known_keys(&step["get"], &["url", "want"]);
            got.push(ask(&jar, &step["get"]["url"]));
        }
    }
    got
}

pub(crate) fn check(case: &Value, list: &TinyList) -> Outcome {
    let gets: Vec<_> = case["steps"].as_array().unwrap().iter().filter_map(|step| step.get("get")).collect();
    let want: Vec<_> = gets.iter().map(|get| get["want"].clone()).collect();
    let got = replay(case, list);
    if got == want {
        return Outcome::Passed;
    }
    let text = case.to_string();
    let (slug, promised) = match () {
        () if has_quirk(case, "ipv6_brackets") => ("ipv6_brackets", promised_for_addresses(case, &gets, want, list)),
        () if has_quirk(case, "max_age_overflow") => ("max_age_overflow", promised_for_long_lives(case, &gets)),
        () if text.contains("__Host-") || text.contains("__Secure-") => {
            ("name_prefix", promised_for_prefixes(case, want))
        }
        () if gets.iter().any(|get| has_capital(&get["url"])) => {
            ("idn_case", promised_for_capitals(case, &gets, want, list))
        }
        () => return Outcome::Failed(format!("got {}", json!(got))),
    };
    if got == promised {
        Outcome::Differs(slug)
    } else {
        Outcome::Failed(format!("got {}, promised ({slug}) {}", json!(got), json!(promised)))
    }
}

/// The same script with every bare address given the port 1. Go's cookies are then kept under the address without brackets, as
/// ours always are, so that only hosts that are no addresses can be compared with Go; for addresses, an own small jar that knows
/// nothing but equal hosts has to agree.
fn promised_for_addresses(case: &Value, gets: &[&Value], want: Vec<Value>, list: &TinyList) -> Vec<Value> {
    let mut with_ports = case.clone();
    for step in with_ports["steps"].as_array_mut().unwrap() {
        for part in step.as_object_mut().unwrap().values_mut() {
            let url = part["url"].as_str().unwrap().to_owned();
            if let Some(end) = url.find(']').filter(|end| !url[end + 1..].starts_with(':')) {
                part["url"] = json!(format!("{}:1{}", &url[..=end], &url[end + 1..]));
            }
        }
    }
    let as_addresses = replay(&with_ports, list);
    let small = SmallJar::replay(case);
    let pick = |at: usize, go: Value| {
        if !gets[at]["url"].as_str().unwrap().contains('[') {
            return go;
        }
        assert_eq!(as_addresses[at], small[at], "{case}");
        small[at].clone()
    };
    want.into_iter().enumerate().map(|(at, go)| pick(at, go)).collect()
}

/// Cookies of addresses in brackets: one host each, no domains.
#[derive(Default)]
struct SmallJar(Vec<(String, String, String, bool, String)>);

impl SmallJar {
    fn replay(case: &Value) -> Vec<Value> {
        let mut jar = SmallJar::default();
        let mut got = Vec::new();
        for step in case["steps"].as_array().unwrap() {
            match step.get("set") {
                Some(set) => jar.set(&set["url"], &set["set_cookie"]),
                None => got.push(jar.get(&step["get"]["url"])),
            }
        }
        got
    }

    fn address(url: &Value) -> Option<(Split, String)> {
        let split = Split::new(url);
        let host = split.host.strip_prefix('[')?.split(']').next()?.to_ascii_lowercase();
        Some((split, host))
    }

    fn set(&mut self, url: &Value, lines: &Value) {
        let Some((split, host)) = SmallJar::address(url) else { return };
        for line in lines.as_array().unwrap() {
            let Ok(cookie) = Cookie::parse_set_cookie(&bytes(line)) else { continue };
            if !cookie.domain.is_empty() && cookie.domain.trim_matches(['[', ']']) != host {
                continue;
            }
            let default = split.path[..split.path.rfind('/').unwrap_or(0)].to_owned();
            let default = if default.is_empty() { "/".into() } else { default };
            let path = if cookie.path.starts_with('/') { cookie.path.clone() } else { default };
            let is_past = |date: roundtrip_types::HttpDate| date.unix_seconds() < 1_700_000_000;
            let dies = cookie.max_age.map_or(cookie.expires.is_some_and(is_past), |age| age < 0);
            let same = |entry: &(String, String, String, bool, String)| {
                entry.0 == host && entry.1 == path && entry.2 == cookie.name
            };
            let value = cookie.to_request_pair();
            let entry = (host.clone(), path.clone(), cookie.name.clone(), cookie.secure, value);
            match self.0.iter().position(same) {
                Some(at) if dies => drop(self.0.remove(at)),
                Some(at) => self.0[at] = entry,
                None if dies => {}
                None => self.0.push(entry),
            }
        }
    }

    fn get(&self, url: &Value) -> Value {
        let Some((split, host)) = SmallJar::address(url) else { return json!(null) };
        let request = if split.path.is_empty() { "/" } else { &split.path };
        let local = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        let mut going: Vec<_> = self
            .0
            .iter()
            .filter(|(of, path, _, secure, _)| {
                let below = format!("{}/", path.trim_end_matches('/'));
                let matches = request == path || request.starts_with(&below);
                *of == host && matches && (!secure || split.scheme == "https" || local)
            })
            .collect();
        going.sort_by_key(|(_, path, ..)| std::cmp::Reverse(path.len()));
        going.into_iter().map(|entry| json!(entry.4)).collect()
    }
}

/// Go without the lines that break their promise, if none of them has replaced or been replaced by another.
fn promised_for_prefixes(case: &Value, want: Vec<Value>) -> Vec<Value> {
    let mut refused = Vec::new();
    for set in case["steps"].as_array().unwrap().iter().filter_map(|step| step.get("set")) {
        let https = Split::new(&set["url"]).scheme == "https";
        for line in set["set_cookie"].as_array().unwrap() {
            let Ok(cookie) = Cookie::parse_set_cookie(&bytes(line)) else { continue };
            let secure = cookie.secure && https;
            let name = cookie.name.to_ascii_lowercase();
            let kept = !name.starts_with("__secure-") || secure;
            let kept =
                kept && (!name.starts_with("__host-") || secure && cookie.path == "/" && cookie.domain.is_empty());
            if !kept {
                refused.push(json!(cookie.to_request_pair()));
            }
        }
    }
    let without = |list: Value| list.as_array().unwrap().iter().filter(|one| !refused.contains(one)).cloned().collect();
    want.into_iter().map(without).collect()
}

/// All cookies that were set, in order: the cases of this quirk have nothing else in them.
fn promised_for_long_lives(case: &Value, gets: &[&Value]) -> Vec<Value> {
    let sets = case["steps"].as_array().unwrap().iter().filter_map(|step| step.get("set"));
    let lines = sets.flat_map(|set| set["set_cookie"].as_array().unwrap());
    let all: Value = lines.map(|line| json!(line.as_str().unwrap().split(';').next().unwrap())).collect();
    vec![all; gets.len()]
}

fn has_capital(url: &Value) -> bool {
    Split::new(url).host.chars().any(|char| !char.is_ascii() && char.is_uppercase())
}

/// Go's cookies of the same host in lower case.
fn promised_for_capitals(case: &Value, gets: &[&Value], mut want: Vec<Value>, list: &TinyList) -> Vec<Value> {
    let mut lower = case.clone();
    for step in lower["steps"].as_array_mut().unwrap() {
        for part in step.as_object_mut().unwrap().values_mut().filter(|part| has_capital(&part["url"])) {
            part["url"] = json!(part["url"].as_str().unwrap().to_lowercase());
        }
    }
    let lower = replay(&lower, list);
    for (at, get) in gets.iter().enumerate().filter(|(_, get)| has_capital(&get["url"])) {
        assert_ne!(lower[at], get["want"]);
        want[at] = lower[at].clone();
    }
    want
}
