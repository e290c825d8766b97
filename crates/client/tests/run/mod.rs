//! Going through a golden file: every case, in order; one line a file; differences in one place.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

/// The cases of one file, and what came of them.
pub(crate) struct Run {
    file: &'static str,
    pub(crate) data: Value,
    differences: BTreeSet<String>,
    passed: usize,
    failures: Vec<String>,
    differs: usize,
    applied: BTreeSet<String>,
}

pub(crate) enum Outcome {
    Passed,
    /// The result is not Go's, but the one that this difference promises.
    Differs(&'static str),
    Failed(String),
}

impl Run {
    /// Reads a file, from `ROUNDTRIP_GOLDEN_DIR` if that is set. `differs` is the text of differs.json.
    pub(crate) fn load(file: &'static str, differs: &str) -> Self {
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
        let folder = std::env::var("ROUNDTRIP_GOLDEN_DIR").unwrap_or_else(|_| own.into());
        let path = std::path::Path::new(&folder).join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let data = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let all: Value = serde_json::from_str(differs).expect("differs.json is JSON");
        let of_file = all.as_array().unwrap().iter().filter(|one| one["subject"] == file);
        let differences = of_file.map(|one| one["slug"].as_str().unwrap().to_owned()).collect();
        Run { file, data, differences, passed: 0, failures: Vec::new(), differs: 0, applied: BTreeSet::new() }
    }

    pub(crate) fn cases(&mut self, keys: &[&str], mut check: impl FnMut(&Value) -> Outcome) {
        let cases = self.data["cases"].as_array().expect("cases is a list").clone();
        for (index, case) in cases.iter().enumerate() {
            known_keys(case, keys);
            match check(case) {
                Outcome::Passed => self.passed += 1,
                Outcome::Differs(slug) => {
                    assert!(self.differences.contains(slug), "differs.json has no {slug} for {}", self.file);
                    self.differs += 1;
                    self.applied.insert(slug.into());
                }
                Outcome::Failed(why) => self.failures.push(format!("{} case {index}: {case}\n    {why}", self.file)),
            }
        }
    }

    pub(crate) fn finish(self) {
        println!("{}: {} passed, {} failed, {} differs", self.file, self.passed, self.failures.len(), self.differs);
        for slug in self.differences.difference(&self.applied) {
            println!("{}: the difference {slug} applies to no case here", self.file);
        }
        let shown = self.failures.iter().take(20).fold(String::new(), |mut text, failure| {
            let _ = writeln!(text, "{failure}");
            text
        });
        assert!(self.failures.is_empty(), "{} failed:\n{shown}", self.failures.len());
    }
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
            BASE64_STANDARD.decode(value["b64"].as_str().expect("base64 text")).expect("base64")
        }
        other => panic!("not a string: {other}"),
    }
}

pub(crate) fn has_quirk(case: &Value, slug: &str) -> bool {
    case["quirks"].as_array().is_some_and(|quirks| quirks.iter().any(|quirk| quirk == slug))
}
