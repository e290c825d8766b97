//! Clients: what a request takes, and what CPU time it costs.

use std::cell::Cell;
use std::time::Duration;

use super::process::Process;
use super::turns::{Player, rounds};
use super::{Arena, not_built};
use crate::clients::floor_server::{Floor, Manner};
use crate::model::{Absent, Comparison};
use crate::report::figure::whole;
use crate::watch::{Watch, Within, tell_no_time};

/// How requests are sent.
struct Way {
    id: &'static str,
    title: &'static str,
    explained: &'static str,
    word: &'static str,
    tasks: u64,
    /// Whether the client has one processor and the server the other; else they share one.
    apart: bool,
}

const WAYS: [Way; 3] = [
    Way {
        id: "client-sequential",
        title: "Client, one request after the other",
        explained: "On the runtime's own thread, on the server's processor: on different ones, waking the other takes longer than \
                    all that a client does.",
        word: "sequential",
        tasks: 1,
        apart: false,
    },
    Way {
        id: "client-main-task",
        title: "Client, one request after the other, from the main task of a multi-thread runtime",
        explained: "As in a program with #[tokio::main]: a client that needs a task of its own pays for waking it on another thread. \
                    Server, main thread and the worker share one processor.",
        word: "main",
        tasks: 1,
        apart: false,
    },
    Way {
        id: "client-32-tasks",
        title: "Client, 32 tasks at once",
        explained: "Tasks of a multi-thread runtime with a worker, which has a processor to itself; the server's single thread on the \
                    other one needs less time for a request than any client does, so the client is what is waited for.",
        word: "tasks",
        tasks: 32,
        apart: true,
    },
];

/// Name, name on the command line, whether ours.
const CLIENTS: [(&str, &str, bool); 7] = [
    ("roundtrip client", "client", true),
    ("roundtrip transport", "transport", true),
    (BASE, "hyper", false),
    ("hyper-util", "hyper-util", false),
    ("reqwest", "reqwest", false),
    ("ureq", "ureq", false),
    ("loop around a socket", "socket", false),
];

const BASE: &str = "hyper";

/// All ways, each as time and as CPU time.
pub(super) fn compare(arena: &Arena, watch: &dyn Watch) -> Result<Vec<Comparison>, String> {
    let mut comparisons = Vec::new();
    for (way, rest) in WAYS.iter().zip((1..=3).rev()) {
        if watch.stopped() {
            tell_no_time(watch, way.id);
            continue;
        }
        let part = Within::new(watch, watch.left() / rest);
        let floor =
            Floor::start(Manner::Right, arena.others).map_err(|error| format!("cannot start a server: {error}"))?;
        comparisons.extend(compare_way(arena, &floor, way, &part)?);
    }
    Ok(comparisons)
}

fn compare_way(arena: &Arena, floor: &Floor, way: &Way, watch: &dyn Watch) -> Result<Vec<Comparison>, String> {
    let core = if way.apart { arena.contestants } else { arena.others };
    let addr = floor.addr.to_string();
    let (mut players, mut absent) = (Vec::new(), not_built(&["hyper-util", "reqwest", "ureq"]));
    for (name, word, ours) in CLIENTS {
        if crate::clients::find(word).is_err() {
            continue;
        }
        if word == "ureq" && way.word == "main" {
            absent.push(Absent { name: name.into(), why: "it blocks, so it has no such way".into() });
            continue;
        }
        let process = Process::contestant(arena, core, &["client", word, &addr])?;
        let note = (word == "socket").then(|| "knows no HTTP: what the system and the runtime take".to_owned());
        players.push(Player { name, ours, note, state: Sender::new(process) });
    }
    match &arena.go {
        Ok(go) => {
            let process = Process::other(arena, core, &go.client, &[&addr])?;
            let note = Some(go.version.clone());
            players.push(Player { name: "Go", ours: false, note, state: Sender::new(process) });
        }
        Err(why) => absent.push(Absent { name: "Go".into(), why: why.clone() }),
    }
    let count = arena.rounds();
    let turns_left = Cell::new(count * u32::try_from(players.len()).map_err(|error| error.to_string())?);
    let mut rounds = rounds(way.id, BASE, count, players, absent, watch, |sender| {
        let turn = arena.turn(watch, &turns_left);
        if sender.took.is_zero() {
            sender.send(way, floor, WARM_UP)?;
        }
        // By what it took the last time: a machine that becomes busier must not make a run longer.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "far from the limits")]
        let fill = (turn.as_secs_f64() / sender.took.as_secs_f64()) as u64;
        let requests = fill.max(WARM_UP) / way.tasks * way.tasks;
        let (time, cpu) = sender.send(way, floor, requests)?;
        Ok([time, cpu].map(|time| time.as_secs_f64() * 1e6 / requests as f64))
    })?;
    rounds.note(|sender| {
        let (opened, requests) = sender.most_opened;
        (opened > way.tasks).then(|| format!("up to {} connections for {} requests", whole(opened), whole(requests)))
    });
    let about = |id: String, title: String, more: &str| Comparison {
        id,
        title,
        explained: format!("{} {more} A round's connections are opened in it.", way.explained),
        unit: "us".into(),
        base: BASE.into(),
        ..Comparison::default()
    };
    let time = about(way.id.into(), way.title.into(), "Time of the round by requests.");
    let cpu = about(
        format!("{}-cpu", way.id),
        format!("{}: CPU time", way.title),
        "CPU time of the client's process by requests, user and system.",
    );
    Ok([rounds.comparison(0, time), rounds.comparison(1, cpu)].into_iter().flatten().collect())
}

/// A client's process.
struct Sender {
    process: Process,
    /// What a request took the last time; zero before that is known.
    took: Duration,
    /// Connections in the turn that opened most, and its requests.
    most_opened: (u64, u64),
}

impl Sender {
    fn new(process: Process) -> Self {
        Sender { process, took: Duration::ZERO, most_opened: (0, 0) }
    }

    /// Has it send so many requests, the same number in each task; how long it took, and how much CPU time.
    fn send(&mut self, way: &Way, floor: &Floor, requests: u64) -> Result<(Duration, Duration), String> {
        let before = (floor.accepted(), floor.answered(), self.process.cpu()?);
        let line = match way.word {
            "tasks" => format!("tasks {requests} {}", way.tasks),
            // Go's has no main task.
            word => format!("{word} {requests}"),
        };
        let nanos = self.process.ask(&line, "done")?.parse().map_err(|error| format!("no time: {error}"))?;
        self.took = Duration::from_nanos(nanos).div_f64(requests as f64);
        let cpu = self.process.cpu()?.saturating_sub(before.2);
        let (opened, answered) = (floor.accepted() - before.0, floor.answered() - before.1);
        if answered != requests {
            return Err(format!("the server answered {answered} requests of {requests}"));
        }
        // While a connection is on its way back to the pool, hyper-util opens another one; so some open more than there are tasks.
        if opened > 2 * way.tasks + requests / 10 {
            return Err(format!("{requests} requests of {} task(s) opened {opened} connections", way.tasks));
        }
        self.most_opened = self.most_opened.max((opened, requests));
        Ok((Duration::from_nanos(nanos), cpu))
    }
}

/// Requests before anything is measured: as many for each task as show the way.
const WARM_UP: u64 = 640;
