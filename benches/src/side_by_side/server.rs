//! Servers under load: requests for each second of CPU time.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use super::load::Load;
use super::process::Process;
use super::turns::{Player, rounds};
use super::{Arena, not_built};
use crate::model::{Absent, Comparison};
use crate::servers::{self, Threads};
use crate::watch::{Watch, Within, tell_no_time};

/// The one that ratios are against.
pub(super) const BASE: &str = "hyper";

/// Name, name on the command line, what serves, whether ours.
const SERVERS: [(&str, &str, Threads, bool); 6] = [
    ("roundtrip", "mux", Threads::Workers, true),
    ("roundtrip per core", "mux", Threads::PerCore, true),
    (BASE, "hyper", Threads::Workers, false),
    ("hyper, one thread", "hyper", Threads::PerCore, false),
    ("axum", "axum", Threads::Workers, false),
    ("actix-web", "actix", Threads::PerCore, false),
];

/// A server's process.
pub(super) struct Serving {
    pub(super) process: Process,
    pub(super) addr: SocketAddr,
}

impl Serving {
    /// Takes a process that says its address first.
    pub(super) fn new(mut process: Process) -> Result<Self, String> {
        let (_, addr) = process.line()?;
        let addr = addr.parse().map_err(|_| format!("not an address: {addr:?}"))?;
        Ok(Serving { process, addr })
    }
}

/// What takes part, started anew, and who does not.
pub(super) fn start(arena: &Arena, delay: Duration) -> Result<(Vec<Player<Serving>>, Vec<Absent>), String> {
    let (mut players, mut absent) = (Vec::new(), not_built(&["axum", "actix-web"]));
    for (name, word, threads, ours) in SERVERS {
        if !servers::ways().contains(&word) {
            continue;
        }
        let millis = delay.as_millis().to_string();
        let process = Process::contestant(arena, arena.contestants, &["server", word, threads.word(), &millis])?;
        players.push(Player { name, ours, note: note(name), state: Serving::new(process)? });
    }
    match &arena.go {
        Ok(go) => {
            let delay = format!("{}ms", delay.as_millis());
            let process = Process::other(arena, arena.contestants, &go.server, &[&delay])?;
            let note = Some(go.version.clone());
            players.push(Player { name: "Go", ours: false, note, state: Serving::new(process)? });
        }
        Err(why) => absent.push(Absent { name: "Go".into(), why: why.clone() }),
    }
    Ok((players, absent))
}

fn note(name: &str) -> Option<String> {
    let note = match name {
        "roundtrip" => "through the mux, every limit on, on the shared runtime",
        "roundtrip per core" => "the same with a runtime for each processor",
        "hyper" => "no limits, on the shared runtime",
        "hyper, one thread" => "no limits, to compare with what runs per core",
        _ => return None,
    };
    Some(note.to_owned())
}

/// A load.
struct Kind {
    id: &'static str,
    title: &'static str,
    connections: usize,
    /// After how many answers a connection is closed and another one opened.
    reconnect_every: Option<u64>,
}

/// As many connections as a proxy keeps to one of its servers.
const USUAL: [Kind; 2] = [
    Kind {
        id: "server-keep-alive",
        title: "Server, 32 connections that are kept",
        connections: 32,
        reconnect_every: None,
    },
    Kind {
        id: "server-reconnect",
        title: "Server, 32 connections, each closed after 25 requests",
        connections: 32,
        reconnect_every: Some(25),
    },
];

/// One, which wakes the server for each request, and more than its loop is given at once.
const FEW_AND_MANY: [Kind; 2] = [
    Kind {
        id: "server-keep-alive-1",
        title: "Server, one connection that is kept",
        connections: 1,
        reconnect_every: None,
    },
    Kind {
        id: "server-keep-alive-256",
        title: "Server, 256 connections that are kept",
        connections: 256,
        reconnect_every: None,
    },
];

/// Keep-alive, and a reconnect every 25 requests.
pub(super) fn compare(arena: &Arena, watch: &dyn Watch) -> Result<Vec<Comparison>, String> {
    all(arena, &USUAL, watch)
}

/// Keep-alive with other numbers of connections, each as long as the usual one.
pub(super) fn compare_few_and_many(arena: &Arena, watch: &dyn Watch) -> Result<Vec<Comparison>, String> {
    all(arena, &FEW_AND_MANY, &Within::new(watch, arena.time.mul_f64(0.4)))
}

fn all(arena: &Arena, kinds: &[Kind], watch: &dyn Watch) -> Result<Vec<Comparison>, String> {
    let mut comparisons = Vec::new();
    for (kind, rest) in kinds.iter().zip((1..=2).rev()) {
        if watch.stopped() {
            tell_no_time(watch, kind.id);
            continue;
        }
        let part = Within::new(watch, watch.left() / rest);
        comparisons.extend(compare_kind(arena, kind, &part)?);
    }
    Ok(comparisons)
}

fn compare_kind(arena: &Arena, kind: &Kind, watch: &dyn Watch) -> Result<Option<Comparison>, String> {
    let Kind { id, title, connections, reconnect_every } = *kind;
    let about = Comparison {
        id: id.into(),
        title: title.into(),
        explained: "Each connection asks again as soon as it is answered. Requests for each second of CPU time of the server's \
                    process, user and system; the load comes from another process on the other processor."
            .into(),
        unit: "requests/CPU s".into(),
        more_is_better: true,
        base: BASE.into(),
        ..Comparison::default()
    };
    if let Some(absent) = arena.too_few_files(connections) {
        return Ok(Some(Comparison { absent, ..about }));
    }
    let (players, absent) = start(arena, Duration::ZERO)?;
    let count = arena.rounds();
    let turns_left = Cell::new(count * u32::try_from(players.len()).map_err(|error| error.to_string())?);
    let rounds = rounds(id, BASE, count, players, absent, watch, |serving| {
        let mut time = arena.turn(watch, &turns_left).max(LEAST);
        let loaded = loop {
            let load = Load { addr: serving.addr, connections, reconnect_every, time };
            let loaded = load.run(serving.process.id(), arena.others)?;
            if (loaded.answered > 0 && !loaded.cpu.is_zero()) || time >= MOST {
                break loaded;
            }
            // On a busy machine it did not even have the processor.
            time *= 4;
        };
        if let Some(every) = reconnect_every
            && loaded.opened < (loaded.answered / every).saturating_sub(connections as u64)
        {
            return Err(format!("{} answers on {} connections", loaded.answered, loaded.opened));
        }
        if reconnect_every.is_none() && loaded.opened > 0 {
            return Err(format!("{} connections were opened that should have been kept", loaded.opened));
        }
        if loaded.answered == 0 || loaded.cpu.is_zero() {
            return Err(format!("{} answers in {:?} of CPU time", loaded.answered, loaded.cpu));
        }
        Ok([loaded.answered as f64 / loaded.cpu.as_secs_f64()])
    })?;
    Ok(rounds.comparison(0, about))
}

/// How long a turn is at least.
const LEAST: Duration = Duration::from_millis(40);

/// A server that had no processor in so long a turn is broken.
const MOST: Duration = Duration::from_secs(2);
