//! What can be counted of a server: instructions and allocations of a request.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use super::load::{REQUEST, whole};
use super::process::Process;
use super::server::{BASE, Serving};
use super::turns::{Player, rounds};
use super::{Arena, not_built};
use crate::model::{Absent, Comparison};
use crate::servers::{self, Threads};
use crate::watch::{Watch, tell_no_time};

/// Name, name on the command line, whether ours.
const SERVERS: [(&str, &str, bool); 4] =
    [("roundtrip", "mux", true), (BASE, "hyper", false), ("axum", "axum", false), ("actix-web", "actix", false)];

fn players() -> Vec<Player<&'static str>> {
    let built =
        |(name, word, ours)| servers::ways().contains(&word).then_some(Player { name, ours, note: None, state: word });
    SERVERS.into_iter().filter_map(built).collect()
}

/// Allocations and their bytes.
pub(super) fn allocations(arena: &Arena, watch: &dyn Watch) -> Result<Vec<Comparison>, String> {
    if watch.stopped() {
        tell_no_time(watch, "server-allocations");
        return Ok(Vec::new());
    }
    let mut absent = not_built(&["axum", "actix-web"]);
    absent.push(Absent { name: "Go".into(), why: "its allocator is not ours to count".into() });
    let rounds = rounds("server-allocations", BASE, 1, players(), absent, watch, |way| {
        let one = Threads::One.word();
        let mut serving = Serving::new(Process::contestant(arena, arena.contestants, &["server", way, one, "0"])?)?;
        let mut stream = connect(serving.addr)?;
        several(&mut stream, COUNTED)?;
        let before = allocated(&mut serving.process)?;
        several(&mut stream, COUNTED)?;
        let after = allocated(&mut serving.process)?;
        Ok([after.0 - before.0, after.1 - before.1].map(|count| count as f64 / COUNTED as f64))
    })?;
    let about = |id: &str, title: &str, unit: &str| Comparison {
        id: id.into(),
        title: title.into(),
        explained: format!(
            "Of {COUNTED} requests on one connection, after as many that do not count; all threads of the server's process."
        ),
        unit: unit.into(),
        base: BASE.into(),
        ..Comparison::default()
    };
    let count = about("server-allocations", "Server, allocations of a request", "allocations");
    let bytes = about("server-allocated-bytes", "Server, bytes allocated for a request", "bytes");
    Ok([rounds.comparison(0, count), rounds.comparison(1, bytes)].into_iter().flatten().collect())
}

fn allocated(process: &mut Process) -> Result<(u64, u64), String> {
    let told = process.ask("allocated", "allocated")?;
    let figures = told.split_once(' ').and_then(|(count, bytes)| Some((count.parse().ok()?, bytes.parse().ok()?)));
    figures.ok_or_else(|| format!("not understood: {told:?}"))
}

/// Instructions under valgrind.
pub(super) fn instructions(arena: &Arena, watch: &dyn Watch) -> Result<Vec<Comparison>, String> {
    let about = Comparison {
        id: "server-instructions".into(),
        title: "Server, instructions of a request".into(),
        explained: format!(
            "User-space instructions under `valgrind --tool=callgrind`, (those of a server that answers {} requests on one connection - \
             those of one that answers {FEW}) / {FEW}.",
            2 * FEW
        ),
        unit: "instructions".into(),
        base: BASE.into(),
        ..Comparison::default()
    };
    let mut absent = not_built(&["axum", "actix-web"]);
    absent.push(Absent { name: "Go".into(), why: "valgrind does not run Go's programs".into() });
    if Command::new("valgrind").arg("--version").output().is_err() {
        absent = SERVERS.map(|(name, ..)| Absent { name: name.into(), why: "valgrind is not installed".into() }).into();
        return Ok(vec![Comparison { absent, ..about }]);
    }
    let rounds = rounds("server-instructions", BASE, 1, players(), absent, watch, |way| {
        let fewer = collected(arena, way, FEW)?;
        let more = collected(arena, way, 2 * FEW)?;
        Ok([more.saturating_sub(fewer) as f64 / FEW as f64])
    })?;
    Ok(rounds.comparison(0, about).into_iter().collect())
}

/// All instructions of a server that answers so many requests.
fn collected(arena: &Arena, way: &str, requests: u64) -> Result<u64, String> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(&arena.program);
    command.args([super::child::CONTESTANT, "any", "server", way, Threads::One.word(), "0"]);
    let serving = Serving::new(Process::start(command, way)?)?;
    let mut stream = connect(serving.addr)?;
    several(&mut stream, requests)?;
    drop(stream);
    let said = serving.process.end()?;
    let count = said.split_once("Collected : ").and_then(|(_, count)| count.split_whitespace().next()?.parse().ok());
    count.ok_or_else(|| format!("valgrind did not count: {said}"))
}

/// Requests whose allocations are counted: each is like the one before.
const COUNTED: u64 = 250;

/// Requests whose instructions are.
const FEW: u64 = 1000;

/// Connects, with patience for a server that is slow.
pub(super) fn connect(addr: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(addr).map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).map_err(|error| error.to_string())?;
    Ok(stream)
}

fn several(stream: &mut TcpStream, requests: u64) -> Result<(), String> {
    (0..requests).try_for_each(|_| {
        stream.write_all(REQUEST).map_err(|error| format!("write: {error}"))?;
        answer(stream)
    })
}

/// Reads an answer and compares it.
pub(super) fn answer(stream: &mut TcpStream) -> Result<(), String> {
    let (mut got, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut piece).map_err(|error| format!("read: {error}"))? {
            0 => return Err(format!("closed after {:?}", String::from_utf8_lossy(&got))),
            count => got.extend_from_slice(&piece[..count]),
        }
        if whole(&got)?.is_some() {
            return Ok(());
        }
    }
}
