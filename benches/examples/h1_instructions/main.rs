//! Instructions and allocations of HTTP/1 parsing and writing, beside `httparse` and hyper: figures that do not depend on how
//! busy the machine is. `--help` tells the rest.

mod cases;
mod exchange;

use std::process::{Command, ExitCode};

use lexopt::{Arg, ValueExt};

use crate::cases::{Case, Turn, Way};
use roundtrip_bench::alloc::{Allocated, Counting, Side};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const HELP: &str = "\
h1_instructions: what parsing and writing HTTP/1 costs, in instructions and allocations

Runs each case for a number of turns and for twice as many under `valgrind --tool=callgrind`; the difference, by turn, is
what is printed, less what the case costs when nobody works. `map` is what the http and bytes crates take of it: the same
header map, filled without parsing. Allocations are counted without valgrind. Build with the profile of the benchmarks:
  cargo run --profile bench -p roundtrip-bench --example h1_instructions

Usage: h1_instructions [OPTIONS] [CASE...]
  CASE               only cases whose name begins so
  --turns N          turns of the shorter run (default 500)
  --need-valgrind    fail if valgrind is not there; otherwise only allocations are printed then
  --run CASE WAY     do nothing but the turns, for profiling
  -h, --help         print this";

fn main() -> ExitCode {
    match Args::parse().and_then(|args| run(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("h1_instructions: {message}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Args {
    help: bool,
    need_valgrind: bool,
    turns: Option<u32>,
    only: Option<(String, String)>,
    names: Vec<String>,
}

impl Args {
    fn parse() -> Result<Self, String> {
        let mut args = Args::default();
        let mut parser = lexopt::Parser::from_env();
        let say = |error: lexopt::Error| format!("{error}; see --help");
        while let Some(arg) = parser.next().map_err(say)? {
            match arg {
                Arg::Long("turns") => {
                    args.turns = Some(parser.value().and_then(|turns| turns.parse::<u32>()).map_err(say)?.max(1));
                }
                Arg::Long("need-valgrind") => args.need_valgrind = true,
                Arg::Long("run") => {
                    let mut text = || parser.value().and_then(ValueExt::string).map_err(say);
                    args.only = Some((text()?, text()?));
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
    let turns = args.turns.unwrap_or(500);
    if args.help {
        print(HELP);
        return Ok(());
    }
    if let Some((name, way)) = &args.only {
        let case =
            cases::all().into_iter().find(|case| case.name == name).ok_or(format!("no case is called {name}"))?;
        let turn = case.ways.into_iter().find(|(other, _)| other.name() == way);
        let (_, mut turn) = turn.ok_or(format!("{name} is not done by {way}"))?;
        (0..turns).for_each(|_| turn());
        return Ok(());
    }
    let valgrind = Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success());
    if !valgrind {
        eprintln!("h1_instructions: valgrind is not there, so instructions are not counted");
        if args.need_valgrind {
            return Err("valgrind is needed".into());
        }
    }
    print(&row(
        "case",
        ["bytes", "ours", "httparse", "ratio", "map", "hyper", "allocations", "hyper's"].map(str::to_owned),
    ));
    for case in cases::all() {
        if args.names.is_empty() || args.names.iter().any(|name| case.name.starts_with(name)) {
            print(&measure(case, turns, valgrind)?);
        }
    }
    Ok(())
}

/// The row of one case.
fn measure(case: Case, turns: u32, valgrind: bool) -> Result<String, String> {
    let (mut instructions, mut allocations) = (Vec::new(), Vec::new());
    for (way, turn) in case.ways {
        allocations.push((way, count_allocations(turn)));
        if valgrind {
            instructions.push((way, count_instructions(case.name, way, turns)?));
        }
    }
    let ratio = net(&instructions, Way::Ours).zip(net(&instructions, Way::Httparse));
    #[allow(clippy::cast_precision_loss, reason = "two figures after the point are wanted")]
    let ratio = ratio.map_or("-".into(), |(ours, theirs)| format!("{:.2}", ours as f64 / theirs as f64));
    let text = |figure: Option<i64>| figure.map_or("-".into(), |figure| figure.to_string());
    let figures = [
        case.bytes.to_string(),
        text(net(&instructions, Way::Ours)),
        text(net(&instructions, Way::Httparse)),
        ratio,
        text(net(&instructions, Way::Map)),
        text(net(&instructions, Way::Hyper)),
        text(net(&allocations, Way::Ours)),
        text(net(&allocations, Way::Hyper)),
    ];
    Ok(row(case.name, figures))
}

/// What a way costs beyond the setup.
fn net(counts: &[(Way, i64)], way: Way) -> Option<i64> {
    let of = |way| counts.iter().find(|(other, _)| *other == way).map(|(_, count)| *count);
    Some(of(way)? - of(Way::Setup)?)
}

/// How often one turn allocates, on average over a few behind the first ones.
fn count_allocations(mut turn: Turn) -> i64 {
    (0..10).for_each(|_| turn());
    let before = Allocated::by(Side::Client);
    (0..10).for_each(|_| turn());
    let allocated = Allocated::by(Side::Client) - before;
    i64::try_from(allocated.count / 10).unwrap_or(i64::MAX)
}

/// How many instructions one turn takes: the longer run less the shorter one, so that starting and ending count for nothing.
fn count_instructions(name: &str, way: Way, turns: u32) -> Result<i64, String> {
    let [short, long] = [turns, turns * 2].map(|turns| callgrind(name, way, turns));
    Ok((long? - short?) / i64::from(turns))
}

/// All instructions of this program when it does nothing but turns.
fn callgrind(name: &str, way: Way, turns: u32) -> Result<i64, String> {
    let this = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(this)
        .args(["--turns", &turns.to_string(), "--run", name, way.name()])
        .output()
        .map_err(|error| format!("cannot run valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    collected.filter(|_| output.status.success()).ok_or_else(|| format!("valgrind did not count: {text}"))
}

fn row(name: &str, figures: [String; 8]) -> String {
    let figures: String = figures.iter().map(|figure| format!("{figure:>12}")).collect();
    format!("{name:30}{figures}")
}

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn print(text: &str) {
    println!("{text}");
}
