//! The hard cases of a connection pool, at length. `--help` tells the rest.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use roundtrip_bench::alloc::Counting;
use roundtrip_bench::stress::{self, Idle, Kind, Outcome};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const HELP: &str = "\
pool_stress: the hard cases of a connection pool, each with a count of what came back

  race-get, race-keyed-post, race-post   200,000 requests at the moments in which the server closes idle connections
  fairness      8 connections, 64 clients, three in ten requests cancelled, 60 s
  burst         100 requests at once to a host that is slow to accept
  echo          an upload that goes on with each piece that comes back, 100,000 pieces
  refusal       an upload of 10 MB that is refused after its head, 200 times
  unsolicited   bytes on an idle connection, 5,000 times
  runtimes      a transport that outlives its runtimes, 500 times
  idle          5,000 idle connections: bytes each, processor time at rest; with the feature `peers` also idle-hyper-util

  cargo run --profile bench -p roundtrip-bench --example pool_stress

Usage: pool_stress [--quick] [CASE...]
  --quick       a hundredth of everything
  -h, --help    print this";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("pool_stress: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, String> {
    let (mut parts, mut names) = (1, Vec::new());
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        match arg {
            lexopt::Arg::Long("quick") => parts = 100,
            lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => {
                print(HELP);
                return Ok(true);
            }
            lexopt::Arg::Long("serve-idle") => return serve_idle(),
            lexopt::Arg::Value(name) => names.push(name.to_string_lossy().into_owned()),
            other => return Err(format!("{}; see --help", other.unexpected())),
        }
    }
    #[cfg_attr(not(feature = "peers"), expect(unused_mut, reason = "a peer adds its own"))]
    let mut cases: Vec<(&str, Case)> = vec![
        ("race-get", Box::new(move || stress::race(Kind::Get, 200_000 / parts))),
        ("race-keyed-post", Box::new(move || stress::race(Kind::KeyedPost, 200_000 / parts))),
        ("race-post", Box::new(move || stress::race(Kind::Post, 200_000 / parts))),
        ("fairness", Box::new(move || stress::fairness(Duration::from_secs(60) / small(parts)))),
        ("burst", Box::new(|| stress::burst(100))),
        ("echo", Box::new(move || stress::echo_upload(times(100_000, parts)))),
        ("refusal", Box::new(move || stress::early_refusal(times(200, parts)))),
        ("unsolicited", Box::new(move || stress::unsolicited(times(5_000, parts)))),
        ("runtimes", Box::new(move || stress::two_runtimes(times(500, parts)))),
        ("idle", Box::new(move || idle(stress::idle, times(5_000, parts)))),
    ];
    #[cfg(feature = "peers")]
    cases.push(("idle-hyper-util", Box::new(move || idle(stress::idle_hyper_util, times(5_000, parts)))));
    if let Some(unknown) = names.iter().find(|name| !cases.iter().any(|(known, _)| known == name)) {
        return Err(format!("no case is called {unknown:?}; see --help"));
    }
    let mut all_well = true;
    for (name, case) in cases.iter().filter(|(name, _)| names.is_empty() || names.iter().any(|chosen| chosen == name)) {
        let began = Instant::now();
        match case() {
            Ok(report) => print(&format!("{name:<16} ok in {:.1?}: {report}", began.elapsed())),
            Err(message) => {
                all_well = false;
                print(&format!("{name:<16} FAILED after {:.1?}: {message}", began.elapsed()));
            }
        }
    }
    Ok(all_well)
}

type Case = Box<dyn Fn() -> Outcome>;

fn times(all: usize, parts: u64) -> usize {
    usize::try_from(parts).map_or(all, |parts| all / parts).max(1)
}

fn small(parts: u64) -> u32 {
    u32::try_from(parts).unwrap_or(1)
}

/// The idle connections, with their server in a process of its own.
fn idle(case: fn(SocketAddr, &Idle) -> Outcome, connections: usize) -> Outcome {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let server = Command::new(this).arg("--serve-idle").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut server = Stopped(server.map_err(|error| format!("cannot start the server: {error}"))?);
    let mut line = String::new();
    if let Some(stdout) = server.0.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
    }
    let addr: SocketAddr = line.trim().parse().map_err(|_| format!("the server said {line:?}"))?;
    case(addr, &Idle { connections, watch: Duration::from_secs(3) })
}

/// A process that ends with this value.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves until its input ends.
fn serve_idle() -> Result<bool, String> {
    let addr = stress::serve_idle().map_err(|error| error.to_string())?;
    print(&addr.to_string());
    std::io::stdin().read_line(&mut String::new()).map_err(|error| error.to_string())?;
    Ok(true)
}

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn print(text: &str) {
    println!("{text}");
}
