//! Playing the golden files' cases side by side, over real sockets.

pub(crate) mod client_wire;
mod peer;
pub(crate) mod pool;
mod promises;
pub(crate) mod retry;
pub(crate) mod timeouts;
mod wire;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use roundtrip_golden::{Outcome, Run};
use roundtrip_transport::TransportConfig;
use roundtrip_types::{Error, ErrorKind};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Cases played at the same time. Most of them wait most of the time.
const AT_ONCE: usize = 16;

/// A machine that did not run us for so long has upset a case that depends on time; it is played again, alone.
const STALL: Duration = Duration::from_millis(12);

/// As often as that, at most.
const REPEATS: usize = 6;

/// Plays all cases, several at once, and scores them in order.
pub(crate) async fn play_all<F, Fut>(run: &mut Run, play: F)
where
    F: Fn(Value) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = Outcome> + Send + 'static,
{
    let stalls = Stalls::watch();
    let (slots, mut tasks) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for (index, case) in run.cases().into_iter().enumerate() {
        let (play, slots, stalls) = (play.clone(), Arc::clone(&slots), Arc::clone(&stalls));
        tasks.spawn(async move {
            let _slot = slots.acquire().await.unwrap();
            let since = Instant::now();
            let outcome = play(case).await;
            let upset = stalls.any_since(since);
            (index, outcome, upset)
        });
    }
    let mut outcomes: BTreeMap<usize, (Outcome, bool)> = BTreeMap::new();
    while let Some(done) = tasks.join_next().await {
        let (index, outcome, upset) = done.unwrap_or_else(|error| panic!("{}: a case panicked: {error}", run.file));
        outcomes.insert(index, (outcome, upset));
    }
    let mut repeated = Vec::new();
    for (index, (mut outcome, mut upset)) in outcomes {
        let mut left = REPEATS;
        while matches!(outcome, Outcome::Failed(_)) && upset && left > 0 {
            left -= 1;
            repeated.push(run.name(index));
            let since = Instant::now();
            outcome = play(run.data["cases"][index].clone()).await;
            upset = stalls.any_since(since);
        }
        run.score(index, outcome);
    }
    if !repeated.is_empty() {
        println!("{}: played again, because the machine stood still in between: {}", run.file, repeated.join(" "));
    }
    stalls.stop();
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
