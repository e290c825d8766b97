//! What one keep-alive GET costs a client, beside its peers: instructions, allocations, and time. `--help` tells the rest.

use std::process::ExitCode;

use lexopt::{Arg, ValueExt};
use roundtrip_bench::alloc::Counting;
use roundtrip_bench::callgrind;
use roundtrip_bench::clients::cost::{self, Way};
use roundtrip_bench::clients::{self, Contestant, floor_server};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const HELP: &str = "\
client_cost: what a keep-alive GET of a small body costs, in instructions, allocations and time

The server is a thread that knows no HTTP: it answers each read with the same bytes. Instructions are those of the client's own
process under `valgrind --tool=callgrind`, (those of 2n requests - those of n) / n, user space only. Times are medians of rounds that
take turns, given as ratios to bare hyper: `here` with the client on the runtime's own thread, `main` awaited from the main task of a
runtime of two workers, `2`, `8` and `32` with so many tasks at once there, which share our pool and its one lock.

  cargo run --profile bench -p roundtrip-bench --features peers --example client_cost

Usage: client_cost [OPTIONS] [CLIENT...]
  CLIENT             only these
  --requests N       requests of the shorter run under valgrind (default 500)
  --rounds N         rounds of the measurement of time (default 9; 0 leaves it out)
  --run CLIENT ADDR N  do nothing but N requests, for profiling
  -h, --help         print this";

fn main() -> ExitCode {
    match Args::parse().and_then(|args| run(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("client_cost: {message}");
            ExitCode::FAILURE
        }
    }
}

struct Args {
    help: bool,
    requests: u64,
    rounds: usize,
    only: Option<(String, String, u64)>,
    names: Vec<String>,
}

impl Args {
    fn parse() -> Result<Self, String> {
        let mut args = Args { help: false, requests: 500, rounds: 9, only: None, names: Vec::new() };
        let mut parser = lexopt::Parser::from_env();
        let say = |error: lexopt::Error| format!("{error}; see --help");
        while let Some(arg) = parser.next().map_err(say)? {
            match arg {
                Arg::Long("requests") => {
                    args.requests = parser.value().and_then(|value| value.parse::<u64>()).map_err(say)?.max(1);
                }
                Arg::Long("rounds") => {
                    args.rounds = parser.value().and_then(|value| value.parse()).map_err(say)?;
                }
                Arg::Long("run") => {
                    let mut text = || parser.value().and_then(ValueExt::string).map_err(say);
                    let (name, addr) = (text()?, text()?);
                    let count = parser.value().and_then(|value| value.parse()).map_err(say)?;
                    args.only = Some((name, addr, count));
                }
                Arg::Long("help") | Arg::Short('h') => args.help = true,
                Arg::Value(name) => args.names.push(name.string().map_err(say)?),
                other => return Err(say(other.unexpected())),
            }
        }
        Ok(args)
    }
}

fn run(args: &Args) -> Result<(), String> {
    if args.help {
        print(HELP);
        return Ok(());
    }
    if let Some((name, addr, count)) = &args.only {
        return clients::find(name)?.run(addr, *count);
    }
    let chosen: Vec<Contestant> = if args.names.is_empty() {
        clients::all()
    } else {
        args.names.iter().map(|name| clients::find(name)).collect::<Result<_, _>>()?
    };
    let this = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let addr = floor_server::start().map_err(|error| format!("cannot start the server: {error}"))?;
    let has_valgrind = match callgrind::available() {
        Ok(()) => true,
        Err(why) => {
            eprintln!("no instructions are counted: {why}");
            false
        }
    };
    let times = measure_times(&chosen, &addr, args.rounds)?;
    print(&format!(
        "{:<20} {:>12} {:>8} {:>8}   {:>6} {:>6} {:>6} {:>6} {:>6}",
        "client", "instructions", "allocs", "bytes", "here", "main", "2", "8", "32"
    ));
    for (contestant, times) in chosen.iter().zip(times) {
        let instructions =
            if has_valgrind { Some(cost::instructions(&this, contestant.name, &addr, args.requests)?) } else { None };
        let [(allocations, bytes), _] = cost::allocations(contestant, &addr)?;
        let instructions = instructions.map_or_else(|| "-".into(), |count| format!("{count:.0}"));
        let times: Vec<String> =
            times.iter().map(|time| time.map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}"))).collect();
        let times: String = times.iter().map(|time| format!(" {time:>6}")).collect();
        print(&format!("{:<20} {instructions:>12} {allocations:>8.1} {bytes:>8.0}  {times}", contestant.name));
    }
    Ok(())
}

/// For each client the ratios to bare hyper, each the median over the rounds of the ratio in that round.
fn measure_times(chosen: &[Contestant], addr: &str, rounds: usize) -> Result<Vec<[Option<f64>; WAYS.len()]>, String> {
    let hyper = clients::find("hyper")?;
    let mut ratios = vec![[const { Vec::new() }; WAYS.len()]; chosen.len()];
    for _ in 0..rounds {
        for (at, way) in WAYS.into_iter().enumerate() {
            for (contestant, ratios) in chosen.iter().zip(&mut ratios) {
                // Side by side with its measure, so that both meet the same neighbours.
                let base = cost::timed(&hyper, way, addr, REQUESTS)?;
                let (Some(base), Some(time)) = (base, cost::timed(contestant, way, addr, REQUESTS)?) else {
                    continue;
                };
                ratios[at].push(time.as_secs_f64() / base.as_secs_f64());
            }
        }
    }
    Ok(ratios.into_iter().map(|ways| ways.map(median)).collect())
}

/// How the requests of a measurement are sent.
const WAYS: [Way; 5] = [Way::Here, Way::Main, Way::Tasks(2), Way::Tasks(8), Way::Tasks(32)];

const REQUESTS: u64 = 2048;

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn print(text: &str) {
    println!("{text}");
}
