//! Reading golden files and counting what comes of their cases.

#![allow(dead_code, reason = "each test binary uses what it needs")]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use roundtrip_mux::PatternFault;
use serde_json::{Value, json};

/// The cases of one file, and what came of them.
pub(crate) struct Run {
    pub(crate) file: &'static str,
    pub(crate) data: Value,
    passed: usize,
    failures: Vec<String>,
    differs: usize,
    applied: BTreeSet<String>,
}

pub(crate) enum Result {
    Passed,
    /// The result is not Go's, but the one that this difference promises.
    Differs(&'static str),
    Failed(String),
}

impl Run {
    pub(crate) fn load(file: &'static str) -> Self {
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
        let folder = std::env::var("ROUNDTRIP_GOLDEN_DIR").unwrap_or_else(|_| own.into());
        let path = std::path::Path::new(&folder).join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let data = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Run { file, data, passed: 0, failures: Vec::new(), differs: 0, applied: BTreeSet::new() }
    }

    pub(crate) fn cases(&mut self, keys: &[&str], mut check: impl FnMut(&Value) -> Result) {
        let cases = self.data["cases"].as_array().expect("cases is a list").clone();
        for (index, case) in cases.iter().enumerate() {
            known_keys(case, keys);
            match check(case) {
                Result::Passed => self.passed += 1,
                Result::Differs(slug) => {
                    self.differs += 1;
                    self.applied.insert(slug.into());
                }
                Result::Failed(why) => self.failures.push(format!("{} case {index}: {case}\n    {why}", self.file)),
            }
        }
    }

    pub(crate) fn finish(self) {
        println!("{}: {} passed, {} failed, {} differs", self.file, self.passed, self.failures.len(), self.differs);
        for slug in differences(self.file).difference(&self.applied) {
            println!("{}: the difference {slug} applies to no case here", self.file);
        }
        let shown = self.failures.iter().take(20).fold(String::new(), |mut text, failure| {
            let _ = writeln!(text, "{failure}");
            text
        });
        assert!(self.failures.is_empty(), "{} failed:\n{shown}", self.failures.len());
    }
}

/// The slugs of the deliberate differences in one file.
fn differences(file: &str) -> BTreeSet<String> {
    let all: Value = serde_json::from_str(include_str!("../golden/differs.json")).expect("differs.json is JSON");
    let of_file = all.as_array().unwrap().iter().filter(|one| one["subject"] == file);
    of_file.map(|one| one["slug"].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn known_keys(value: &Value, keys: &[&str]) {
    let unknown: Vec<_> = value.as_object().expect("an object").keys().filter(|k| !keys.contains(&&***k)).collect();
    assert!(unknown.is_empty(), "unknown keys {unknown:?} in {value}");
}

/// The bytes of a string, which stands as base64 if it is not text.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.clone().into_bytes(),
        Value::Object(_) => {
            known_keys(value, &["b64"]);
            base64(value["b64"].as_str().expect("base64 text"))
        }
        other => panic!("not a string: {other}"),
    }
}

fn base64(text: &str) -> Vec<u8> {
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

pub(crate) fn has_quirk(case: &Value, slug: &str) -> bool {
    case["quirks"].as_array().is_some_and(|quirks| quirks.iter().any(|quirk| quirk == slug))
}

/// A pattern's fault in the words of the files.
pub(crate) fn invalid(error: &roundtrip_mux::PatternError) -> Value {
    let reason = match error.fault() {
        PatternFault::Empty => "empty",
        PatternFault::NotUtf8 => "not_utf8",
        PatternFault::InvalidMethod => "invalid_method",
        PatternFault::MissingSlash => "missing_slash",
        PatternFault::BraceInHost => "brace_in_host",
        PatternFault::UncleanPathWithMethod => "unclean_path_with_method",
        PatternFault::WildcardNotAtSegmentStart => "wildcard_not_at_segment_start",
        PatternFault::WildcardNotAtSegmentEnd => "wildcard_not_at_segment_end",
        PatternFault::DollarNotAtEnd => "dollar_not_at_end",
        PatternFault::RestNotAtEnd => "multi_not_at_end",
        PatternFault::EmptyWildcard => "empty_wildcard",
        PatternFault::BadWildcardName => "bad_wildcard_name",
        PatternFault::DuplicateWildcardName => "duplicate_wildcard_name",
        other => panic!("a fault that this runner does not know: {other:?}"),
    };
    json!({"error": "invalid_pattern", "offset": error.offset(), "reason": reason})
}
