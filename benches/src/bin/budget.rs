//! What a request costs, beside what it may cost. `--help` tells the rest.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use roundtrip_bench::alloc::Counting;
use roundtrip_bench::budget::{self, Limit, Lookups, Options, limits};
use roundtrip_bench::routers::{self, Set};
use roundtrip_bench::watch::Watch;
use roundtrip_bench::{clients, servers, stress};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const HELP: &str = "\
budget: what one keep-alive GET of a small body costs, beside what it may cost and what it costs the peers

Instructions are those of user space under `valgrind --tool=callgrind`, (those of 2n requests - those of n) / n. Allocations are counted
by the allocator, and so is the memory of idle connections: what is allocated and not freed, divided. Times are ratios to a peer in the
same run. The exit status is 1 if a cost is over its budget by more than 5 %; what is above the design's target is told, and no failure.
Times are told and not judged: even as a ratio within one run they depend on what else the machine does.

  cargo run --profile bench -p roundtrip-bench --features peers --bin budget

Usage: budget [OPTIONS] [ID...]
  ID               only these budgets; `--list` names them
  --list           name all budgets, with what they are held to, and measure nothing
  --limit ID=N     hold this one to N in this run
  --judge-times    judge times as well; only of use on a machine that does nothing else
  --quick          fewer requests, connections and rounds
  --write          keep the table in benches/BUDGET.md
  -h, --help       print this
What it tells itself to do in other processes:
  --run CLIENT ADDR N, --serve WAY, --serve-told WAY, --serve-idle, --look-up ROUTER ROUNDS";

fn main() -> ExitCode {
    match Args::parse().and_then(|args| args.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("budget: {message}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Args {
    job: Option<Job>,
    limits: Vec<(String, f64)>,
    ids: Vec<String>,
    quick: bool,
    judge_times: bool,
    write: bool,
}

/// What is done instead of a measurement.
enum Job {
    Help,
    List,
    Run(String, String, u64),
    Serve(String),
    ServeTold(String),
    ServeIdle,
    LookUp(String, u64),
}

impl Args {
    fn parse() -> Result<Self, String> {
        let mut args = Args::default();
        let mut parser = lexopt::Parser::from_env();
        let say = |error: lexopt::Error| format!("{error}; see --help");
        let text = |parser: &mut lexopt::Parser| parser.value().and_then(ValueExt::string).map_err(say);
        while let Some(arg) = parser.next().map_err(say)? {
            match arg {
                Arg::Long("run") => {
                    let (name, addr) = (text(&mut parser)?, text(&mut parser)?);
                    let count = parser.value().and_then(|value| value.parse()).map_err(say)?;
                    args.job = Some(Job::Run(name, addr, count));
                }
                Arg::Long("serve") => args.job = Some(Job::Serve(text(&mut parser)?)),
                Arg::Long("serve-told") => args.job = Some(Job::ServeTold(text(&mut parser)?)),
                Arg::Long("serve-idle") => args.job = Some(Job::ServeIdle),
                Arg::Long("look-up") => {
                    let name = text(&mut parser)?;
                    let rounds = parser.value().and_then(|value| value.parse()).map_err(say)?;
                    args.job = Some(Job::LookUp(name, rounds));
                }
                Arg::Long("list") => args.job = Some(Job::List),
                Arg::Long("help") | Arg::Short('h') => args.job = Some(Job::Help),
                Arg::Long("judge-times") => args.judge_times = true,
                Arg::Long("quick") => args.quick = true,
                Arg::Long("write") => args.write = true,
                Arg::Long("limit") => {
                    let limit = text(&mut parser)?;
                    let parsed = limit.split_once('=').and_then(|(id, most)| Some((id.to_owned(), most.parse().ok()?)));
                    args.limits.push(parsed.ok_or_else(|| format!("--limit takes ID=N, not {limit:?}"))?);
                }
                Arg::Value(id) => args.ids.push(id.string().map_err(say)?),
                other => return Err(say(other.unexpected())),
            }
        }
        Ok(args)
    }

    fn run(self) -> Result<(), String> {
        match self.job {
            None => self.measure(),
            Some(Job::Help) => {
                print(HELP);
                Ok(())
            }
            Some(Job::List) => {
                limits::ALL
                    .iter()
                    .for_each(|limit| print(&format!("{:<32}{:>10} {}", limit.id, limit.kept, limit.unit)));
                Ok(())
            }
            Some(Job::Run(name, addr, count)) => clients::find(&name)?.run(&addr, count),
            Some(Job::Serve(way)) => servers::serve(&way),
            Some(Job::ServeTold(way)) => servers::serve_until_told(&way, servers::Threads::One, Duration::ZERO),
            Some(Job::ServeIdle) => serve_idle(),
            Some(Job::LookUp(name, rounds)) => {
                let router = routers().into_iter().find(|router| router.name == name);
                (router.ok_or_else(|| format!("no router is called {name:?}"))?.run)(rounds);
                Ok(())
            }
        }
    }

    fn measure(self) -> Result<(), String> {
        let this = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
        let mut options = Options::new(this);
        options.limits = self.limits()?;
        options.routers = routers();
        if self.quick {
            (options.requests, options.idle, options.rounds) = (100, 300, 5);
        }
        let budget = budget::run(&options, &Saying)?;
        print(&budget::table(&budget));
        if self.write {
            let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("BUDGET.md");
            let text = budget::document(&budget, &roundtrip_bench::machine::environment());
            std::fs::write(&file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        }
        budget::judge(&budget)
    }

    /// The budgets that were asked for.
    fn limits(&self) -> Result<Vec<Limit>, String> {
        for id in self.ids.iter().chain(self.limits.iter().map(|(id, _)| id)) {
            limits::find(id).ok_or_else(|| format!("no budget is called {id:?}; see --list"))?;
        }
        let mut limits: Vec<Limit> = limits::ALL.into();
        limits.retain(|limit| self.ids.is_empty() || self.ids.iter().any(|id| id == limit.id));
        for limit in &mut limits {
            if self.judge_times {
                limit.judge_times();
            }
            if let Some((_, most)) = self.limits.iter().find(|(id, _)| id == limit.id) {
                limit.kept = *most;
            }
        }
        Ok(limits)
    }
}

/// Tells on standard error what is being measured.
struct Saying;

impl Watch for Saying {
    fn doing(&self, what: &str) {
        eprintln!("{what} ...");
    }

    fn stopped(&self) -> bool {
        false
    }
}

/// Ours and matchit, with GitHub's 130 routes, each looked up once in a round.
fn routers() -> Vec<Lookups> {
    let Some(set) = Set::all().into_iter().find(|set| set.name == "a 130 in order") else { return Vec::new() };
    let chosen = set.contestants().into_iter().filter(|(name, _)| matches!(*name, "roundtrip" | "matchit"));
    let lookups = |(name, contestant): (&'static str, Box<dyn routers::Contestant>)| {
        let (paths, reading) = (set.paths.clone(), set.reading);
        let lookups = paths.len() as u64;
        let run = Box::new(move |rounds| {
            for _ in 0..rounds {
                std::hint::black_box(contestant.run(reading, &paths));
            }
        });
        Lookups { name, lookups, run }
    };
    chosen.map(lookups).collect()
}

/// Serves until whoever started it is gone.
fn serve_idle() -> Result<(), String> {
    let addr = stress::serve_idle().map_err(|error| error.to_string())?;
    print(&addr.to_string());
    std::io::stdout().flush().map_err(|error| error.to_string())?;
    std::io::stdin().read_to_end(&mut Vec::new()).map(drop).map_err(|error| error.to_string())
}

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn print(text: &str) {
    println!("{text}");
}
