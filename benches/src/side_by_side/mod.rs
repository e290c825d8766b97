//! Ours beside its peers, in one run and in turns.
//!
//! Each contestant is a process of its own, so that what it costs can be read off its CPU clock and nothing of one is warm for another; the
//! program starts itself again for those in Rust ([`take_over`]), and builds those in Go. In each round everybody has a turn,
//! and a ratio is made of two figures of one round, so that a machine that becomes slower does so for both. Where the system lets it,
//! one processor has the contestants and the other what they talk to.
//!
//! All checks itself: bodies are compared by whoever reads them, and connections are counted.

mod child;
mod client;
mod counts;
mod go;
mod idle;
mod load;
mod mux;
mod process;
mod server;
mod shutdown;
mod turns;
mod wrk;

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;

pub use child::take_over;

use crate::model::{Absent, Comparison};
use crate::watch::{Watch, Within};
use crate::{cores, cpu};

/// What to compare, and for how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long all may take but for what `full` adds. With less than a second for each contestant figures become noise.
    pub time: Duration,
    /// How long a turn may take, if not as long as fits into that time; then there are few rounds as well. For tests: the time is a limit.
    pub turn: Option<Duration>,
    /// Also what takes minutes: servers with 1 and 256 connections, instructions under valgrind, 5,000 idle connections, stopping with 1,100,
    /// wrk.
    pub full: bool,
    /// This program, which has to call [`take_over`] first thing; `None` is the one that runs.
    pub program: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Options { time: Duration::from_secs(50), turn: None, full: false, program: None }
    }
}

/// A part of a run, which has the time that its watch says.
type Stage = fn(&Arena, &dyn Watch) -> Result<Vec<Comparison>, String>;

/// What is run within the time, and its share of it.
const STAGES: [(Stage, f64); 4] =
    [(client::compare, 0.46), (server::compare, 0.40), (mux::compare, 0.07), (counts::allocations, 0.07)];

/// What `full` adds, without a limit.
const FULL: [Stage; 5] =
    [server::compare_few_and_many, counts::instructions, idle::compare, shutdown::compare, wrk::compare];

/// Compares, and returns what was measured until it was told to stop or its time was over; `watch` is told what there was no time for.
///
/// # Errors
/// One of ours or the one that ratios are against failed. A peer that fails is absent instead.
pub fn run(options: &Options, watch: &dyn Watch) -> Result<Vec<Comparison>, String> {
    let within = Within::new(watch, options.time);
    let arena = Arena::new(options, &within)?;
    let mut comparisons = Vec::new();
    for (at, (stage, share)) in STAGES.iter().enumerate() {
        let rest: f64 = STAGES[at..].iter().map(|(_, share)| share).sum();
        let part = Within::new(&within, within.left().mul_f64(share / rest));
        comparisons.extend(stage(&arena, &part)?);
    }
    for stage in FULL.iter().filter(|_| options.full) {
        if watch.stopped() {
            break;
        }
        comparisons.extend(stage(&arena, watch)?);
    }
    Ok(comparisons)
}

/// The settings that are the same for all, those that are not, and what was left out, in words for the report.
#[must_use]
pub fn settings(options: &Options) -> Vec<(String, String)> {
    let [contestants, others] = match places() {
        (Some(contestants), Some(others)) => [contestants, others].map(|core| format!("processor {core}")),
        _ => ["any processor", "any processor"].map(str::to_owned),
    };
    [
        (
            "side by side",
            "each contestant a process of its own, everybody in turn in each round, ratios within a round".to_owned(),
        ),
        (
            "processors",
            format!(
                "servers and the 32 tasks of clients on {contestants}, what they talk to on {others}; sequential clients there too, \
                 since waking another processor takes longer than all that a client does"
            ),
        ),
        ("CPU time", "user and system, of all threads of the contestant's process, by its CPU clock".to_owned()),
        ("TCP", "TCP_NODELAY for all, on both sides; loopback; keep-alive".to_owned()),
        ("allocator", "the system's for all in Rust, Go's own for Go; not counted while time is measured".to_owned()),
        (
            "runtime",
            "as #[tokio::main] makes it for the processors that may be used: one worker where there is one".to_owned(),
        ),
        ("requests", "GET / for 19 bytes of text; each client adds the fields that it adds by itself".to_owned()),
        (
            "hyper",
            "client: a connection for each task, driven by a task; server: no timer, so no time limit".to_owned(),
        ),
        ("hyper-util", "the legacy client over HttpConnector, TCP_NODELAY set".to_owned()),
        ("reqwest", "without TLS, compression and proxies built in".to_owned()),
        ("ureq", "blocking: a thread for each task; its pool keeps a connection for each".to_owned()),
        ("axum", "axum::serve, one route, TCP_NODELAY set".to_owned()),
        (
            "actix-web",
            "one route, as many workers as processors may be used, keep-alive 75 s instead of 5 s".to_owned(),
        ),
        ("Go", "net/http as it comes; client: idle connections of a host as many as tasks instead of 2".to_owned()),
        (
            "roundtrip",
            "client, transport and server as they come: every time limit and every other limit on".to_owned(),
        ),
        (
            "left out",
            if options.full {
                "nothing".to_owned()
            } else {
                "servers with 1 and 256 connections, instructions, memory of idle connections, stopping, wrk: they take minutes, and `full` adds them".to_owned()
            },
        ),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// Where contestants run, and where what they talk to does, if there are two processors and the system can tell.
fn places() -> (Option<usize>, Option<usize>) {
    match cores::allowed().as_deref() {
        Ok([first, second, ..]) => (Some(*second), Some(*first)),
        _ => (None, None),
    }
}

/// What all comparisons share.
struct Arena {
    program: PathBuf,
    /// The contestants' processor.
    contestants: Option<usize>,
    /// The processor of what they talk to.
    others: Option<usize>,
    /// What was built of Go, or why not.
    go: Result<go::Programs, String>,
    /// How long all may take but for what `full` adds.
    time: Duration,
    /// How long a turn may take at most.
    turn: Option<Duration>,
    /// How many files each process may have open.
    files: Option<u64>,
}

impl Arena {
    fn new(options: &Options, watch: &dyn Watch) -> Result<Self, String> {
        let this = || std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"));
        let program = options.program.clone().map_or_else(this, Ok)?;
        let (contestants, others) = places();
        watch.doing("side by side: building the programs in Go");
        let go = go::build(options.time.mul_f64(0.5), watch);
        Ok(Arena { program, contestants, others, go, time: options.time, turn: options.turn, files: cpu::open_files() })
    }

    /// That nobody takes part, if a process may not have so many connections open.
    fn too_few_files(&self, connections: usize) -> Option<Vec<Absent>> {
        let why = cpu::allows(self.files, connections).err()?;
        Some(vec![Absent { name: "all".into(), why }])
    }

    /// The time of a turn, where so many are left.
    fn turn(&self, watch: &dyn Watch, turns_left: &Cell<u32>) -> Duration {
        let left = turns_left.replace(turns_left.get().saturating_sub(1)).max(1);
        // The rest is for starting, for finding out how much fills a turn, and for a machine that becomes busier.
        (watch.left().mul_f64(0.8) / left).min(self.turn.unwrap_or(Duration::MAX))
    }

    /// Rounds of one comparison.
    fn rounds(&self) -> u32 {
        if self.turn.is_some() || self.time < Duration::from_secs(15) { 3 } else { 7 }
    }
}

/// Who was not built.
fn not_built(names: &[&str]) -> Vec<Absent> {
    if cfg!(feature = "peers") {
        return Vec::new();
    }
    let absent = |name: &&str| Absent { name: (*name).to_owned(), why: "built without the feature `peers`".to_owned() };
    names.iter().map(absent).collect()
}
