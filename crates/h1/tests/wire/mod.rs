//! Reading the golden files and keeping score.

pub(crate) mod client;
pub(crate) mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use http::HeaderMap;
use serde_json::{Value, json};

/// The cases of one file, and what came of them.
pub(crate) struct Run {
    file: &'static str,
    pub(crate) cases: Vec<Value>,
    passed: usize,
    failures: Vec<String>,
    differs: usize,
    applied: BTreeSet<&'static str>,
    partly: BTreeMap<&'static str, Vec<String>>,
}

pub(crate) enum Verdict {
    Passed,
    /// The result is not Go's, but the one that this difference promises.
    Differs(&'static str),
    Failed(String),
}

impl Run {
    pub(crate) fn load(file: &'static str, keys: &[&str]) -> Self {
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
        let folder = std::env::var("ROUNDTRIP_GOLDEN_DIR").unwrap_or_else(|_| own.into());
        let path = std::path::Path::new(&folder).join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let data: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        known_keys(&data, &["subject", "oracle", "format", "cases"]);
        let cases = data["cases"].as_array().expect("cases is a list").clone();
        cases.iter().for_each(|case| known_keys(case, keys));
        Run {
            file,
            cases,
            passed: 0,
            failures: Vec::new(),
            differs: 0,
            applied: BTreeSet::new(),
            partly: BTreeMap::new(),
        }
    }

    pub(crate) fn score(&mut self, index: usize, verdict: Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Differs(slug) => {
                self.differs += 1;
                self.applied.insert(slug);
            }
            Verdict::Failed(why) => {
                let case = &self.cases[index];
                self.failures
                    .push(format!("{} case {index} {}: {}\n    {why}", self.file, case["name"], case["preview"]));
            }
        }
    }

    /// Names a case of which this crate can check a part only.
    pub(crate) fn partly(&mut self, index: usize, why: &'static str) {
        let name = self.cases[index]["name"].as_str().unwrap_or("?").to_owned();
        self.partly.entry(why).or_default().push(name);
    }

    pub(crate) fn finish(self) {
        println!("{}: {} passed, {} failed, {} differs", self.file, self.passed, self.failures.len(), self.differs);
        for (why, names) in &self.partly {
            println!("{}: {} checked in part ({why}): {}", self.file, names.len(), names.join(" "));
        }
        let listed = differences(self.file);
        for slug in listed.iter().filter(|slug| !self.applied.contains(slug.as_str())) {
            println!("{}: the difference {slug} applies to no case here", self.file);
        }
        let unlisted: Vec<_> = self.applied.iter().filter(|slug| !listed.contains(**slug)).collect();
        assert!(unlisted.is_empty(), "differences without an entry in differs.json: {unlisted:?}");
        let shown = self.failures.iter().take(400).fold(String::new(), |mut text, failure| {
            let _ = writeln!(text, "{failure}");
            text
        });
        assert!(self.failures.is_empty(), "{} failed:\n{shown}", self.failures.len());
    }
}

fn differences(file: &str) -> BTreeSet<String> {
    let all: Value = serde_json::from_str(include_str!("../golden/differs.json")).expect("differs.json is JSON");
    let of_file = all.as_array().unwrap().iter().filter(|one| one["subject"] == file);
    of_file.map(|one| one["slug"].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn known_keys(value: &Value, keys: &[&str]) {
    let unknown: Vec<_> = value.as_object().expect("an object").keys().filter(|k| !keys.contains(&&***k)).collect();
    assert!(unknown.is_empty(), "unknown keys {unknown:?} in {value}");
}

/// The bytes of one part of a script, or none for a part that only waits.
pub(crate) fn part_bytes(part: &Value) -> Vec<u8> {
    known_keys(part, &["b64", "repeat_b64", "times", "pause_ms", "wait", "n", "half_close"]);
    let mut bytes = part["b64"].as_str().map(base64).unwrap_or_default();
    if let Some(text) = part["repeat_b64"].as_str() {
        let times = part["times"].as_u64().expect("times stands beside repeat_b64");
        bytes.extend(base64(text).repeat(usize::try_from(times).unwrap()));
    }
    bytes
}

pub(crate) fn base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("not base64: {other}"),
    };
    let (mut bits, mut held, mut bytes) = (0u32, 0, Vec::new());
    for c in text.bytes().filter(|c| *c != b'=') {
        bits = bits << 6 | u32::from(digit(c));
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    bytes
}

/// Bytes as the files write them: one code point each.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| char::from(b)).collect()
}

/// A text as the files write it: a long one by its length.
pub(crate) fn short(text: String) -> String {
    if text.len() > 400 { format!("({} bytes)", text.len()) } else { text }
}

/// Fields as the files write them: values by lower-case name, long ones by their length. `without` are names that Go's header
/// map never has.
pub(crate) fn fields(headers: &HeaderMap, without: &[&str]) -> Value {
    let mut map = serde_json::Map::new();
    for (name, value) in headers.iter().filter(|(name, _)| !without.contains(&name.as_str())) {
        let value = value.as_bytes();
        map.entry(name.as_str()).or_insert_with(|| json!([])).as_array_mut().unwrap().push(json!(short(latin1(value))));
    }
    Value::Object(map)
}

/// Whether a head in `bytes`, up to its first empty line, has a line that ends with LF alone.
pub(crate) fn has_bare_lf(bytes: &[u8]) -> bool {
    let end = (0..bytes.len()).find(|&i| bytes[i..].starts_with(b"\n\n") || bytes[i..].starts_with(b"\n\r\n"));
    let head = &bytes[..end.map_or(bytes.len(), |i| (i + 3).min(bytes.len()))];
    head.iter().enumerate().any(|(i, &b)| b == b'\n' && (i == 0 || head[i - 1] != b'\r'))
}
