//! What a server costs: instructions and allocations of one keep-alive request, instructions of opening and closing a connection, and
//! memory of an idle one, beside bare hyper: figures that do not depend on how busy the machine is. `--help` tells the rest.

use std::process::ExitCode;
use std::time::Duration;

use lexopt::ValueExt;
use roundtrip_bench::alloc::Counting;
use roundtrip_bench::callgrind;
use roundtrip_bench::servers::{self, cost};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const HELP: &str = "\
server_cost: what serving one small GET on a keep-alive connection costs, in user-space instructions and allocations, what a
connection costs besides, in instructions, and what an idle one keeps, in bytes

Each way of serving runs as a process of its own under `valgrind --tool=callgrind`, once for a number of requests and once for
twice as many; the difference, by request, is what is printed. The same with connections that carry one request each, the last by its own
word: what a connection costs more than the request. Then it runs by itself with a number of connections, each of which
carries one request; what its allocator has given out since and not got back, divided, is the memory. Build with the profile of the benchmarks:
  cargo run --profile bench -p roundtrip-bench --example server_cost

Usage: server_cost [OPTIONS] [WAY...]
  WAY             hyper, handler, mux, and with the feature `peers` axum, actix (default: all)
  --requests N    requests of the shorter run, and connections of the shorter run of those (default 2000)
  --idle N        idle connections (default 5000; needs as many file descriptors here and there)
  --serve WAY     be the server, for profiling: prints its address, ends with its last connection,
                  axum and actix with their standard input
  --serve-told WAY  the same until standard input says `stop` or ends; answers `allocated` and `live`
  -h, --help      print this";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("server_cost: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let (mut requests, mut idle) = (2000_u64, 5000_u64);
    let mut ways = Vec::new();
    let mut parser = lexopt::Parser::from_env();
    let say = |error: lexopt::Error| format!("{error}; see --help");
    while let Some(arg) = parser.next().map_err(say)? {
        match arg {
            lexopt::Arg::Long("requests") => {
                requests = parser.value().and_then(|n| n.parse()).map_err(say)?;
            }
            lexopt::Arg::Long("idle") => idle = parser.value().and_then(|n| n.parse()).map_err(say)?,
            lexopt::Arg::Long("serve") => {
                let way = parser.value().and_then(ValueExt::string).map_err(say)?;
                return servers::serve(&way);
            }
            lexopt::Arg::Long("serve-told") => {
                let way = parser.value().and_then(ValueExt::string).map_err(say)?;
                return servers::serve_until_told(&way, servers::Threads::One, Duration::ZERO);
            }
            lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => {
                print(HELP);
                return Ok(());
            }
            lexopt::Arg::Value(way) => ways.push(way.string().map_err(say)?),
            other => return Err(say(other.unexpected())),
        }
    }
    let requests = requests.max(1);
    let counting = callgrind::available();
    if let Err(why) = &counting {
        eprintln!("no instructions are counted: {why}");
    }
    let this = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    print(&format!(
        "{:12}{:>14}{:>14}{:>14}{:>14}{:>14}",
        "way", "instructions", "connection", "allocations", "bytes", "idle bytes"
    ));
    for way in servers::ways().into_iter().filter(|way| ways.is_empty() || ways.iter().any(|name| name == way)) {
        let (instructions, connection) = match &counting {
            Ok(()) => {
                let request = cost::instructions(&this, way, requests)?;
                let both = cost::connection(&this, way, requests)?;
                (format!("{request:.0}"), format!("{:.0}", both - request))
            }
            Err(_) => ("-".into(), "-".into()),
        };
        let (count, bytes) = cost::allocations(&this, way, requests)?;
        let kept = cost::idle_bytes(&this, way, idle)?;
        print(&format!("{way:12}{instructions:>14}{connection:>14}{count:>14.1}{bytes:>14.1}{kept:>14.0}"));
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn print(text: &str) {
    println!("{text}");
}
