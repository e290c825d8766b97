//! Reading the golden files, replaying their cases and keeping score.

pub(crate) mod http1;
pub(crate) mod script;
pub(crate) mod server_wire;
pub(crate) mod timeouts;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod wire_differs;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use roundtrip_server::ServerConfig;
use serde_json::Value;
use tokio::sync::Semaphore;

/// The cases of one file, and what came of them.
pub(crate) struct Run {
    file: &'static str,
    cases: Vec<Value>,
    passed: usize,
    failures: Vec<String>,
    differs: BTreeMap<&'static str, usize>,
    elsewhere: BTreeMap<&'static str, usize>,
}

pub(crate) enum Verdict {
    Passed,
    /// The result is not Go's, but the one that this difference promises.
    Differs(&'static str),
    /// Not this crate's: whose runner it belongs to.
    Elsewhere(&'static str),
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
        Run { file, cases, passed: 0, failures: Vec::new(), differs: BTreeMap::new(), elsewhere: BTreeMap::new() }
    }

    /// Replays all cases, `at_once` of them side by side, and keeps the score in their order.
    pub(crate) fn replay<F>(mut self, at_once: usize, check: impl Fn(Value) -> F)
    where
        F: Future<Output = Verdict> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let room = Arc::new(Semaphore::new(at_once));
        let only = std::env::var("ROUNDTRIP_GOLDEN_ONLY").ok();
        let verdicts = runtime.block_on(async {
            let mut tasks = Vec::new();
            for case in &self.cases {
                if only.as_deref().is_some_and(|only| case["name"] != only) {
                    continue;
                }
                let (work, room) = (check(case.clone()), Arc::clone(&room));
                tasks.push(tokio::spawn(async move {
                    let _permit = room.acquire_owned().await.unwrap();
                    work.await
                }));
            }
            let mut verdicts = Vec::new();
            for task in tasks {
                verdicts
                    .push(task.await.unwrap_or_else(|panic| Verdict::Failed(format!("the runner failed: {panic}"))));
            }
            verdicts
        });
        for (index, verdict) in verdicts.into_iter().enumerate() {
            match verdict {
                Verdict::Passed => self.passed += 1,
                Verdict::Differs(slug) => *self.differs.entry(slug).or_default() += 1,
                Verdict::Elsewhere(whose) => *self.elsewhere.entry(whose).or_default() += 1,
                Verdict::Failed(why) => {
                    let case = &self.cases[index];
                    self.failures.push(format!("{} case {index} {}: {why}", self.file, case["name"]));
                }
            }
        }
        if only.is_none() {
            self.finish();
        } else {
            println!("{:?}", self.failures);
        }
    }

    fn finish(self) {
        let differs: usize = self.differs.values().sum();
        println!("{}: {} passed, {} failed, {differs} differs", self.file, self.passed, self.failures.len());
        for (whose, cases) in &self.elsewhere {
            println!("{}: {cases} cases belong to {whose}", self.file);
        }
        let listed = differences(self.file);
        for slug in listed.iter().filter(|slug| !self.differs.contains_key(slug.as_str())) {
            println!("{}: the difference {slug} applies to no case here", self.file);
        }
        let unlisted: Vec<_> = self.differs.keys().filter(|slug| !listed.contains(**slug)).collect();
        let shown = self.failures.iter().take(400).fold(String::new(), |mut text, failure| {
            let _ = writeln!(text, "{failure}");
            text
        });
        assert!(self.failures.is_empty(), "{} failed:\n{shown}", self.failures.len());
        assert!(unlisted.is_empty(), "differences without an entry in differs.json: {unlisted:?}");
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

pub(crate) fn to_base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let shown = digit <= three.len();
            text.push(if shown { char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]) } else { '=' });
        }
    }
    text
}

/// Bytes as the files write them: one code point each.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| char::from(b)).collect()
}

/// A server's settings as the files give them: Go's, with what is there. `null` is Go's zero.
pub(crate) fn server_config(server: &Value) -> ServerConfig {
    let go = ServerConfig::go();
    let ms = |key: &str| server[key].as_i64().map(|ms| u64::try_from(ms).ok().map(Duration::from_millis));
    // Go's zero falls back to the read timeout; a negative one is none.
    let read = ms("read_timeout_ms").flatten();
    ServerConfig {
        read_timeout: read,
        read_header_timeout: ms("read_header_timeout_ms").unwrap_or(read),
        write_timeout: ms("write_timeout_ms").flatten(),
        // Go derives it from the others.
        tls_handshake_timeout: ["read_header_timeout_ms", "read_timeout_ms", "write_timeout_ms"]
            .into_iter()
            .filter_map(|key| ms(key).flatten())
            .min(),
        idle_timeout: ms("idle_timeout_ms").unwrap_or(read),
        max_header_bytes: server["max_header_bytes"]
            .as_u64()
            .map_or(go.max_header_bytes, |max| usize::try_from(max).unwrap() + 4096),
        ..go
    }
}

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is text in {value}"))
}
