//! The costs that have budgets.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Options;
use crate::callgrind;
use crate::clients::cost::{self, Way};
use crate::clients::{self, floor_server};
use crate::growth::load::{Served, Serving};
use crate::model::median;
use crate::servers;
use crate::stress::{self, Idle};
use crate::watch::Watch;

/// A router, filled, and what looks its paths up.
pub struct Lookups {
    /// Its name.
    pub name: &'static str,
    /// How many lookups a round has.
    pub lookups: u64,
    /// Does so many rounds.
    pub run: Box<dyn Fn(u64)>,
}

impl fmt::Debug for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookups").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What was measured for one budget, with the peers', or why it was not.
pub(super) struct Cost {
    pub(super) id: &'static str,
    pub(super) outcome: Result<(f64, Vec<(String, f64)>), String>,
}

/// Measures what the options' limits are about, and tells it by their names.
pub(super) fn all(options: &Options, watch: &dyn Watch) -> Result<Vec<Cost>, String> {
    let measuring = Measuring { options, valgrind: callgrind::available(), addr: start_floor()? };
    let mut costs = Vec::new();
    for part in PARTS {
        if watch.stopped() || !options.limits.iter().any(|limit| part.ids.contains(&limit.id)) {
            continue;
        }
        watch.doing(part.name);
        costs.extend((part.measure)(&measuring)?);
    }
    Ok(costs)
}

fn start_floor() -> Result<String, String> {
    floor_server::start().map_err(|error| format!("cannot start a server: {error}"))
}

/// What is measured together.
struct Part {
    name: &'static str,
    ids: &'static [&'static str],
    measure: fn(&Measuring<'_>) -> Result<Vec<Cost>, String>,
}

const PARTS: [Part; 10] = [
    Part {
        name: "instructions of the server",
        ids: &["server-instructions", "server-instructions-ratio"],
        measure: server_instructions,
    },
    Part {
        name: "instructions of transport and client",
        ids: &["transport-instructions", "transport-instructions-ratio", "client-instructions"],
        measure: client_instructions,
    },
    Part { name: "instructions of the router", ids: &["router-instructions"], measure: router_instructions },
    Part { name: "time of the router", ids: &["router-time-ratio"], measure: router_time },
    Part {
        name: "allocations of the server",
        ids: &["server-allocations", "server-bytes"],
        measure: server_allocations,
    },
    Part {
        name: "allocations of transport and client",
        ids: &["transport-allocations", "transport-bytes", "client-allocations", "client-bytes"],
        measure: client_allocations,
    },
    Part {
        name: "allocations of client and server together",
        ids: &["both-allocations", "both-bytes"],
        measure: both_allocations,
    },
    Part { name: "idle connections of the client", ids: &["client-idle-bytes"], measure: client_idle },
    Part { name: "idle connections of the server", ids: &["server-idle-bytes"], measure: server_idle },
    Part {
        name: "time of the transport",
        ids: &["transport-time-32", "transport-time-main"],
        measure: transport_times,
    },
];

struct Measuring<'a> {
    options: &'a Options,
    valgrind: Result<(), String>,
    /// Of the server that costs as little as a server can.
    addr: String,
}

/// Figures by contestants' names.
type Figures = Vec<(String, f64)>;

/// Takes ours out of the figures; what is left are the peers.
fn split(id: &'static str, ours: &str, mut figures: Figures, leave_out: &[&str]) -> Cost {
    figures.retain(|(name, _)| name == ours || !leave_out.contains(&name.as_str()));
    let at = figures.iter().position(|(name, _)| name == ours);
    let outcome = at.map(|at| (figures.remove(at).1, figures)).ok_or_else(|| format!("{ours} was not measured"));
    Cost { id, outcome }
}

/// The same by the figure of `base`.
fn split_ratio(id: &'static str, ours: &str, base: &str, figures: &Figures, leave_out: &[&str]) -> Cost {
    let Some(by) = figures.iter().find(|(name, _)| name == base).map(|(_, figure)| *figure) else {
        return Cost { id, outcome: Err(format!("{base} was not measured")) };
    };
    split(id, ours, figures.iter().map(|(name, figure)| (name.clone(), figure / by)).collect(), leave_out)
}

fn absent(ids: &[&'static str], why: &str) -> Vec<Cost> {
    ids.iter().map(|id| Cost { id, outcome: Err(why.to_owned()) }).collect()
}

fn server_instructions(measuring: &Measuring<'_>) -> Result<Vec<Cost>, String> {
    const IDS: [&str; 2] = ["server-instructions", "server-instructions-ratio"];
    if let Err(why) = &measuring.valgrind {
        return Ok(absent(&IDS, why));
    }
    let mut figures = Figures::new();
    for way in servers::ways() {
        let cost = servers::cost::instructions(&measuring.options.program, way, 4 * measuring.options.requests)?;
        figures.push((way.to_owned(), cost));
    }
    let ratio = split_ratio(IDS[1], "mux", "hyper", &figures, &["handler"]);
    Ok(vec![split(IDS[0], "mux", figures, &["handler"]), ratio])
}

/// Our other ways to send a request: no peers of the transport's.
const NO_PEERS: [&str; 6] = ["transport", "client", "client-session", "client-json", "reqwest-session", "reqwest-json"];

/// The clients whose figures stand in the table.
fn compared() -> impl Iterator<Item = clients::Contestant> {
    clients::all().into_iter().filter(|one| matches!(one.name, "transport" | "client") || !NO_PEERS.contains(&one.name))
}

fn client_instructions(measuring: &Measuring<'_>) -> Result<Vec<Cost>, String> {
    const IDS: [&str; 3] = ["transport-instructions", "transport-instructions-ratio", "client-instructions"];
    if let Err(why) = &measuring.valgrind {
        return Ok(absent(&IDS, why));
    }
    let mut figures = Figures::new();
    for one in compared() {
        let options = measuring.options;
        let cost = cost::instructions(&options.program, one.name, &measuring.addr, options.requests)?;
        figures.push((one.name.to_owned(), cost));
    }
    Ok(vec![
        split(IDS[0], "transport", figures.clone(), &NO_PEERS),
        split_ratio(IDS[1], "transport", "hyper", &figures, &NO_PEERS),
        split(IDS[2], "client", figures, &NO_PEERS),
    ])
}

fn client_allocations(measuring: &Measuring<'_>) -> Result<Vec<Cost>, String> {
    let (mut counts, mut bytes) = (Figures::new(), Figures::new());
    for one in compared() {
        let [(count, size), _] = cost::allocations(&one, &measuring.addr)?;
        counts.push((one.name.to_owned(), count));
        bytes.push((one.name.to_owned(), size));
    }
    Ok(vec![
        split("transport-allocations", "transport", counts.clone(), &NO_PEERS),
        split("transport-bytes", "transport", bytes.clone(), &NO_PEERS),
        split("client-allocations", "client", counts, &NO_PEERS),
        split("client-bytes", "client", bytes, &NO_PEERS),
    ])
}

fn server_allocations(measuring: &Measuring<'_>) -> Result<Vec<Cost>, String> {
    let (mut counts, mut bytes) = (Figures::new(), Figures::new());
    for way in servers::ways() {
        let (count, size) = servers::cost::allocations(&measuring.options.program, way, 1000)?;
        counts.push((way.to_owned(), count));
        bytes.push((way.to_owned(), size));
    }
    Ok(vec![
        split("server-allocations", "mux", counts, &["handler"]),
        split("server-bytes", "mux", bytes, &["handler"]),
    ])
}

/// Our client against our server, as Go's `-benchmem` counts.
fn both_allocations(_measuring: &Measuring<'_>) -> Result<Vec<Cost>, String> {
    let serving = Serving::start(Served::Ours)?;
    let addr = serving.addr.to_string();
    let [client, server] = cost::allocations(&clients::find("client")?, &addr)?;
    Ok(vec![
        Cost { id: "both-allocations", outcome: Ok((client.0 + server.0, Vec::new())) },
        Cost { id: "both-bytes", outcome: Ok((client.1 + server.1, Vec::new())) },
    ])
}

fn client_idle(measuring: &Measuring<'_>) -> Result<Vec<Cost>, String> {
    let options = measuring.options;
    // The server's memory is not the client's, so it is another process.
    let mut child = Command::new(&options.program)
        .arg("--serve-idle")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start the server: {error}"))?;
    let measured = child.stdout.take().ok_or("no standard output".to_owned()).and_then(|stdout| {
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        let addr: SocketAddr = line.trim().parse().map_err(|_| format!("the server says {line:?}"))?;
        let connections = usize::try_from(options.idle).map_err(|error| error.to_string())?;
        let load = || Idle { connections, watch: Duration::from_millis(1) };
        #[cfg_attr(not(feature = "peers"), expect(unused_mut, reason = "only peers come behind"))]
        let mut figures = vec![("roundtrip".to_owned(), bytes_each(stress::idle(addr, &load()))?)];
        #[cfg(feature = "peers")]
        figures.push(("hyper-util".to_owned(), bytes_each(stress::idle_hyper_util(addr, &load()))?));
        Ok(figures)
    });
    // Perhaps it has ended by itself, which is as good.
    let _ = child.kill();
    child.wait().map_err(|error| error.to_string())?;
    Ok(vec![split("client-idle-bytes", "roundtrip", measured?, &[])])
}

fn bytes_each(outcome: stress::Outcome) -> Result<f64, String> {
    let report = outcome?;
    report.get("bytes each").and_then(|bytes| bytes.parse().ok()).ok_or_else(|| format!("no bytes in {report}"))
}

fn server_idle(measuring: &Measuring<'_>) -> Result<Vec<Cost>, String> {
    let mut figures = Figures::new();
    for way in servers::ways() {
        let options = measuring.options;
        figures.push((way.to_owned(), servers::cost::idle_bytes(&options.program, way, options.idle)?));
    }
    Ok(vec![split("server-idle-bytes", "mux", figures, &["handler"])])
}

fn transport_times(measuring: &Measuring<'_>) -> Result<Vec<Cost>, String> {
    const REQUESTS: u64 = 2048;
    let time = |name: &str, way| {
        let took = cost::timed(&clients::find(name)?, way, &measuring.addr, REQUESTS)?;
        took.map(|took| took.as_secs_f64()).ok_or_else(|| format!("{name} has no such way"))
    };
    let mut many = Vec::new();
    let mut main = Vec::new();
    for _ in 0..measuring.options.rounds.max(1) {
        many.push(time("transport", Way::Tasks(32))? / time("hyper", Way::Tasks(32))?);
        if cfg!(feature = "peers") {
            let ours = time("transport", Way::Main)?;
            main.push(ours / time("hyper-util", Way::Main)?.min(time("reqwest", Way::Main)?));
        }
    }
    let cost = |id, ratios: &[f64], peer: &str| Cost {
        id,
        outcome: median(ratios).map(|ratio| (ratio, vec![(peer.to_owned(), 1.0)])).ok_or_else(|| NEEDS_PEERS.into()),
    };
    Ok(vec![
        cost("transport-time-32", &many, "hyper"),
        cost("transport-time-main", &main, "the faster of hyper-util and reqwest"),
    ])
}

const NEEDS_PEERS: &str = "what it is compared with is built with the feature `peers`";

fn router_instructions(measuring: &Measuring<'_>) -> Result<Vec<Cost>, String> {
    const ID: &str = "router-instructions";
    if let Err(why) = &measuring.valgrind {
        return Ok(absent(&[ID], why));
    }
    let Some(ours) = measuring.options.routers.first() else { return Ok(absent(&[ID], NO_ROUTER)) };
    let mut figures = Figures::new();
    for router in &measuring.options.routers {
        let cost = callgrind::per_round(20, |rounds| {
            callgrind::count(&measuring.options.program, &["--look-up", router.name, &rounds.to_string()])
        })?;
        figures.push((router.name.to_owned(), cost / precise(router.lookups)));
    }
    Ok(vec![split(ID, ours.name, figures, &[])])
}

fn router_time(measuring: &Measuring<'_>) -> Result<Vec<Cost>, String> {
    const ID: &str = "router-time-ratio";
    let [ours, base, ..] = &measuring.options.routers[..] else { return Ok(absent(&[ID], NO_ROUTER)) };
    let each = |router: &Lookups| {
        let started = Instant::now();
        (router.run)(100);
        started.elapsed().as_secs_f64() / precise(router.lookups)
    };
    // Both are warm when it counts.
    each(ours);
    each(base);
    let ratios: Vec<f64> = (0..20 * measuring.options.rounds.max(1)).map(|_| each(ours) / each(base)).collect();
    let outcome = median(&ratios).map(|ratio| (ratio, vec![(base.name.to_owned(), 1.0)]));
    Ok(vec![Cost { id: ID, outcome: outcome.ok_or_else(|| NO_ROUTER.into()) }])
}

#[expect(clippy::cast_precision_loss, reason = "a round has some hundred lookups")]
fn precise(lookups: u64) -> f64 {
    lookups as f64
}

const NO_ROUTER: &str = "no other router was given to compare with";
