//! The rules of the mux, read as plainly as they can be: every pattern is tried on every request, and the narrowest wins.
//!
//! Written for the tests, apart from the crate's code, so that the two can be held against each other. Slow on purpose.

// Each test binary uses a part of it.
#![allow(dead_code)]

use std::collections::BTreeSet;

/// A pattern, which must be valid.
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    pub(crate) text: String,
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) segments: Vec<Seg>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seg {
    Literal(Vec<u8>),
    Wild(String),
    /// The name is empty for a final slash.
    Rest(String),
    End,
}

/// What the rules say about a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    Found { pattern: String, values: Vec<(String, Vec<u8>)> },
    Redirect { pattern: Option<String>, path: String },
    MethodNotAllowed(Vec<String>),
    NotFound,
    Malformed,
}

impl Plain {
    pub(crate) fn new(text: &str) -> Self {
        let (method, rest) = match text.find([' ', '\t']) {
            Some(blank) => (&text[..blank], text[blank..].trim_start_matches([' ', '\t'])),
            None => ("", text),
        };
        let (host, path) = rest.split_at(rest.find('/').unwrap());
        let texts: Vec<&str> = path[1..].split('/').collect();
        let segments = texts.iter().enumerate().map(|(at, text)| segment(text, at + 1 == texts.len())).collect();
        Plain { text: text.into(), method: method.into(), host: host.into(), segments }
    }

    /// Whether it matches a request, whatever its host.
    pub(crate) fn takes(&self, method: &str, path: &str) -> bool {
        self.takes_method(method) && parts(path).is_some_and(|parts| self.values(&parts).is_some())
    }

    fn takes_method(&self, method: &str) -> bool {
        self.method.is_empty() || self.method == method || (self.method == "GET" && method == "HEAD")
    }

    /// The values of the wildcards, if the path matches. `parts` is what stands between the slashes.
    fn values(&self, parts: &[&str]) -> Option<Vec<(String, Vec<u8>)>> {
        let mut values = Vec::new();
        for (at, segment) in self.segments.iter().enumerate() {
            // The last part is empty when the path ends in a slash.
            let part = parts.get(at)?;
            let at_end = at + 1 == parts.len();
            match segment {
                Seg::End => return (at_end && part.is_empty()).then_some(values),
                Seg::Rest(name) => {
                    if !name.is_empty() {
                        values.push((name.clone(), decode(&parts[at..].join("/"))));
                    }
                    return Some(values);
                }
                _ if at_end && part.is_empty() => return None,
                Seg::Literal(literal) if decode(part) != *literal => return None,
                Seg::Literal(_) => {}
                Seg::Wild(_) if part.is_empty() => return None,
                Seg::Wild(name) => values.push((name.clone(), decode(part))),
            }
        }
        (parts.len() == self.segments.len()).then_some(values)
    }

    /// Whether a path without a final slash is matched only by way of a rest.
    fn is_exact(&self, path: &str) -> bool {
        !matches!(self.segments.last(), Some(Seg::Rest(_)))
            || (path.ends_with('/') && path.matches('/').count() == self.segments.len())
    }

    /// How narrow the pattern is, to compare patterns that match one request: larger is narrower.
    fn narrowness(&self) -> (bool, Vec<u8>, u8) {
        let path = self.segments.iter().map(|segment| match segment {
            Seg::Literal(_) | Seg::End => 2,
            Seg::Wild(_) => 1,
            Seg::Rest(_) => 0,
        });
        let method = match self.method.as_str() {
            "" => 0,
            "GET" => 1,
            _ => 2,
        };
        (!self.host.is_empty(), path.collect(), method)
    }
}

fn segment(text: &str, last: bool) -> Seg {
    let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    match inner {
        None if last && text.is_empty() => Seg::Rest(String::new()),
        None if escapes_are_sound(text) => Seg::Literal(decode(text)),
        None => Seg::Literal(text.into()),
        Some("$") => Seg::End,
        Some(name) => match name.strip_suffix("...") {
            Some(name) => Seg::Rest(name.into()),
            None => Seg::Wild(name.into()),
        },
    }
}

/// What a mux with these patterns does with a request.
pub(crate) fn verdict(patterns: &[Plain], method: &str, url_host: &str, host: &str, path: &str) -> Verdict {
    let control = path.bytes().any(|byte| byte < b' ' || byte == 0x7f);
    if control || !escapes_are_sound(path) || !(path.is_empty() || path.starts_with('/')) {
        return Verdict::Malformed;
    }
    let path = spell(path);
    if method == "CONNECT" {
        return connect(patterns, url_host, host, &path);
    }
    let host = strip_port(host);
    let clean = clean(&path);
    let best = narrowest(patterns, method, &host, &clean);
    if let Some(pattern) = slash(patterns, method, &host, &clean) {
        return Verdict::Redirect { pattern: Some(pattern), path: format!("{clean}/") };
    }
    if clean != path {
        return Verdict::Redirect { pattern: best.map(|best| best.text.clone()), path: clean };
    }
    match best {
        Some(best) => found(best, &path),
        None => missed(patterns, &host, &path),
    }
}

fn connect(patterns: &[Plain], url_host: &str, host: &str, path: &str) -> Verdict {
    if let Some(pattern) = slash(patterns, "CONNECT", url_host, path) {
        let clean = clean(path);
        let path = if clean == "/" { clean } else { format!("{clean}/") };
        return Verdict::Redirect { pattern: Some(pattern), path };
    }
    match narrowest(patterns, "CONNECT", host, path) {
        Some(best) => found(best, path),
        None => missed(patterns, url_host, path),
    }
}

fn found(pattern: &Plain, path: &str) -> Verdict {
    let values = pattern.values(&parts(path).unwrap()).unwrap();
    Verdict::Found { pattern: pattern.text.clone(), values }
}

fn missed(patterns: &[Plain], host: &str, path: &str) -> Verdict {
    let mut paths = vec![path.to_owned()];
    if !path.ends_with('/') {
        paths.push(format!("{path}/"));
    }
    let mut methods = BTreeSet::new();
    for pattern in patterns.iter().filter(|pattern| pattern.host.is_empty() || pattern.host == host) {
        let takes = paths.iter().any(|path| parts(path).is_some_and(|parts| pattern.values(&parts).is_some()));
        if takes && !pattern.method.is_empty() {
            methods.insert(pattern.method.clone());
        }
    }
    if methods.contains("GET") {
        methods.insert("HEAD".into());
    }
    if methods.is_empty() { Verdict::NotFound } else { Verdict::MethodNotAllowed(methods.into_iter().collect()) }
}

/// The pattern that a final slash leads to, if the request should be sent there.
fn slash(patterns: &[Plain], method: &str, host: &str, path: &str) -> Option<String> {
    let exact = |path: &str| narrowest(patterns, method, host, path).filter(|best| best.is_exact(path));
    if path.is_empty() || path.ends_with('/') || exact(path).is_some() {
        return None;
    }
    exact(&format!("{path}/")).map(|best| best.text.clone())
}

fn narrowest<'a>(patterns: &'a [Plain], method: &str, host: &str, path: &str) -> Option<&'a Plain> {
    let parts = parts(path)?;
    let fits = |pattern: &&Plain| {
        (pattern.host.is_empty() || pattern.host == host)
            && pattern.takes_method(method)
            && pattern.values(&parts).is_some()
    };
    patterns.iter().filter(fits).max_by_key(|pattern| pattern.narrowness())
}

fn parts(path: &str) -> Option<Vec<&str>> {
    Some(path.strip_prefix('/')?.split('/').collect())
}

pub(crate) fn clean(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            part => kept.push(part),
        }
    }
    let slash = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("/{}{slash}", kept.join("/"))
}

pub(crate) fn escapes_are_sound(path: &str) -> bool {
    path.split('%').skip(1).all(|after| after.len() >= 2 && after.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
}

pub(crate) fn decode(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or("").as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}

/// The path itself, or spelled anew if a byte stands in it that must be escaped. Escaped slashes stay escaped.
fn spell(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.~$&+,:;=@".contains(c);
    if path.chars().all(|c| plain(c) || "/%!'()*[]".contains(c)) {
        return path.into();
    }
    let one = |part: &str| {
        let escape = |byte: u8| if plain(byte.into()) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        decode(part).into_iter().map(escape).collect::<String>()
    };
    path.split('/').map(one).collect::<Vec<_>>().join("/")
}

fn strip_port(host: &str) -> String {
    let odd = |text: &str| text.contains(['[', ']']);
    if let Some((inner, port)) = host.strip_prefix('[').and_then(|host| host.split_once("]:"))
        && !odd(inner)
        && !odd(port)
        && !port.contains(':')
    {
        return inner.into();
    }
    match host.split_once(':') {
        Some((name, port)) if !port.contains(':') && !odd(host) => name.into(),
        _ => host.into(),
    }
}

/// Whether two patterns may not stand together, found by trying requests that can tell them apart.
pub(crate) fn conflict(one: &Plain, two: &Plain) -> bool {
    if one.host != two.host {
        return false;
    }
    let (mut both, mut only_one, mut only_two) = (false, false, false);
    for (method, path) in probes(one, two) {
        match (one.takes(method, &path), two.takes(method, &path)) {
            (true, true) => both = true,
            (true, false) => only_one = true,
            (false, true) => only_two = true,
            _ => {}
        }
    }
    both && only_one == only_two
}

/// Requests over the literals of both patterns, one other segment and the empty one, up to one segment more than they have.
fn probes<'a>(one: &'a Plain, two: &'a Plain) -> Vec<(&'a str, String)> {
    let mut alphabet: BTreeSet<String> = ["", "other"].map(str::to_owned).into();
    for segment in one.segments.iter().chain(&two.segments) {
        if let Seg::Literal(bytes) = segment {
            alphabet.insert(bytes.iter().map(|byte| format!("%{byte:02X}")).collect());
        }
    }
    let longest = one.segments.len().max(two.segments.len()) + 1;
    let mut layer = vec![String::new()];
    let mut paths = Vec::new();
    for _ in 0..longest {
        layer = layer.iter().flat_map(|path| alphabet.iter().map(move |part| format!("{path}/{part}"))).collect();
        paths.extend(layer.iter().cloned());
    }
    let methods: BTreeSet<&str> = [one.method.as_str(), &two.method, "GET", "OTHER"].into();
    let methods = methods.into_iter().filter(|method| !method.is_empty());
    methods.flat_map(|method| paths.iter().map(move |path| (method, path.clone()))).collect()
}
