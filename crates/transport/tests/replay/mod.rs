//! Reading the golden files, playing their cases side by side, and keeping score.

pub(crate) mod client_wire;
mod peer;
pub(crate) mod pool;
mod promises;
pub(crate) mod retry;
pub(crate) mod timeouts;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::HeaderMap;
use roundtrip_transport::TransportConfig;
use roundtrip_types::{Error, ErrorKind};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Cases played at the same time. Most of them wait most of the time.
const AT_ONCE: usize = 16;

/// A machine that did not run us for so long has upset a case that depends on time; it is played again, alone.
const STALL: Duration = Duration::from_millis(12);

/// As often as that, at most.
const REPEATS: usize = 6;

/// The cases of one file, and what came of them.
pub(crate) struct Run {
    file: &'static str,
    pub(crate) cases: Vec<Value>,
    passed: usize,
    failures: Vec<String>,
    differs: usize,
    applied: BTreeSet<&'static str>,
}

#[derive(Debug)]
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
        Run { file, cases, passed: 0, failures: Vec::new(), differs: 0, applied: BTreeSet::new() }
    }

    /// Plays the cases for which `play` returns something, several at once, and scores them in order.
    pub(crate) async fn play<F, Fut>(&mut self, play: F)
    where
        F: Fn(Value) -> Fut + Send + Sync + Clone + 'static,
        Fut: Future<Output = Verdict> + Send + 'static,
    {
        let stalls = Stalls::watch();
        let (slots, mut tasks) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
        for (index, case) in self.cases.iter().cloned().enumerate() {
            let (play, slots, stalls) = (play.clone(), Arc::clone(&slots), Arc::clone(&stalls));
            tasks.spawn(async move {
                let _slot = slots.acquire().await.unwrap();
                let since = Instant::now();
                let verdict = play(case).await;
                let upset = stalls.any_since(since);
                (index, verdict, upset)
            });
        }
        let mut verdicts: BTreeMap<usize, (Verdict, bool)> = BTreeMap::new();
        while let Some(done) = tasks.join_next().await {
            let (index, verdict, upset) =
                done.unwrap_or_else(|error| panic!("{}: a case panicked: {error}", self.file));
            verdicts.insert(index, (verdict, upset));
        }
        let mut repeated = Vec::new();
        for (index, (mut verdict, mut upset)) in verdicts {
            let mut left = REPEATS;
            while matches!(verdict, Verdict::Failed(_)) && upset && left > 0 {
                left -= 1;
                repeated.push(self.name(index));
                let since = Instant::now();
                verdict = play(self.cases[index].clone()).await;
                upset = stalls.any_since(since);
            }
            self.score(index, verdict);
        }
        if !repeated.is_empty() {
            println!("{}: played again, because the machine stood still in between: {}", self.file, repeated.join(" "));
        }
        stalls.stop();
    }

    fn name(&self, index: usize) -> String {
        self.cases[index]["name"].as_str().unwrap_or("?").to_owned()
    }

    fn score(&mut self, index: usize, verdict: Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Differs(slug) => {
                self.differs += 1;
                self.applied.insert(slug);
            }
            Verdict::Failed(why) => {
                let case = &self.cases[index];
                let preview = case["preview"].as_str().unwrap_or_default();
                self.failures.push(format!("{} case {index} {} {preview}: {why}", self.file, case["name"]));
            }
        }
    }

    pub(crate) fn finish(self) {
        println!("{}: {} passed, {} failed, {} differs", self.file, self.passed, self.failures.len(), self.differs);
        let listed = differences(self.file);
        for slug in listed.iter().filter(|slug| !self.applied.contains(slug.as_str())) {
            println!("{}: the difference {slug} applies to no case here", self.file);
        }
        for failure in &self.failures {
            println!("{failure}");
        }
        let unlisted: Vec<_> = self.applied.iter().filter(|slug| !listed.contains(**slug)).collect();
        assert!(unlisted.is_empty(), "differences without an entry in differs.json: {unlisted:?}");
        assert!(self.failures.is_empty(), "{} of {} failed, see above", self.failures.len(), self.cases.len());
    }
}

fn differences(file: &str) -> BTreeSet<String> {
    let all: Value = serde_json::from_str(include_str!("../golden/differs.json")).expect("differs.json is JSON");
    let of_file = all.as_array().unwrap().iter().filter(|one| one["subject"] == file);
    of_file.map(|one| one["slug"].as_str().unwrap().to_owned()).collect()
}

/// When the machine did not run this program for a while: a ticker that came late.
struct Stalls {
    at: Mutex<Vec<Instant>>,
    ticker: Mutex<Option<tokio::task::AbortHandle>>,
}

impl Stalls {
    fn watch() -> Arc<Self> {
        const TICK: Duration = Duration::from_millis(3);
        let stalls = Arc::new(Stalls { at: Mutex::default(), ticker: Mutex::default() });
        let watched = Arc::clone(&stalls);
        let ticker = tokio::spawn(async move {
            loop {
                let began = Instant::now();
                tokio::time::sleep(TICK).await;
                if began.elapsed() > TICK + STALL {
                    watched.at.lock().unwrap().push(Instant::now());
                }
            }
        });
        *stalls.ticker.lock().unwrap() = Some(ticker.abort_handle());
        stalls
    }

    fn any_since(&self, since: Instant) -> bool {
        self.at.lock().unwrap().last().is_some_and(|&at| at >= since)
    }

    fn stop(&self) {
        if let Some(ticker) = self.ticker.lock().unwrap().take() {
            ticker.abort();
        }
    }
}

/// Waits until something that other tasks bring about is so. Returns whether it came within `limit`.
pub(crate) async fn within(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// How long a step waits for its event (SCENARIOS: 3 s; more for machines that are busy).
pub(crate) const LIMIT: Duration = Duration::from_secs(6);

/// The settings of Go's zero `http.Transport`.
pub(crate) fn go_zero() -> TransportConfig {
    TransportConfig {
        max_idle_conns: usize::MAX,
        idle_conn_timeout: None,
        connect_timeout: None,
        expect_continue_timeout: None,
        ..TransportConfig::go()
    }
}

pub(crate) fn millis(value: &Value) -> Option<Duration> {
    value.as_u64().map(Duration::from_millis)
}

pub(crate) fn count(value: &Value) -> usize {
    usize::try_from(value.as_u64().expect("a count")).unwrap()
}

/// An error in the words of the files.
pub(crate) fn slug(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::Connect => "connect",
        ErrorKind::ConnectionLost => "connection_lost",
        ErrorKind::Protocol => "malformed",
        ErrorKind::TooLarge => "header_too_large",
        ErrorKind::Timeout => "timeout",
        ErrorKind::Canceled => "canceled",
        ErrorKind::Decode => "bad_gzip",
        _ => "other",
    }
}

/// Whether two kinds of error are the same here: the words for a message that is cut off are Go's wording. `cut` says that the server cut
/// inside a message.
pub(crate) fn same_kind(want: &str, got: &str, cut: bool) -> bool {
    let broken = ["unexpected_eof", "malformed"];
    want == got
        || (broken.contains(&want) && broken.contains(&got))
        // We have one word for a connection that ended inside a message, wherever that was.
        || (want == "unexpected_eof" && got == "connection_lost")
        || (cut && [want, got].iter().all(|kind| broken.contains(kind) || *kind == "connection_lost"))
}

pub(crate) fn known_keys(value: &Value, keys: &[&str]) {
    let unknown: Vec<_> = value.as_object().expect("an object").keys().filter(|k| !keys.contains(&&***k)).collect();
    assert!(unknown.is_empty(), "unknown keys {unknown:?} in {value}");
}

/// The bytes of one part of a script, or none for a part that only waits.
pub(crate) fn part_bytes(part: &Value) -> Vec<u8> {
    let mut bytes = part["b64"].as_str().map(base64).unwrap_or_default();
    if let Some(text) = part["repeat_b64"].as_str() {
        bytes.extend(base64(text).repeat(count(&part["times"])));
    }
    bytes
}

pub(crate) fn base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
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
