//! `just bench`: what a connection pool is worth, and where we stand. `--help` tells the rest.

mod report;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use roundtrip_bench::alloc::Counting;
use roundtrip_bench::args::{self, Args, Command, Stage};
use roundtrip_bench::interrupt::Interrupt;
use roundtrip_bench::machine;
use roundtrip_bench::model::Results;
use roundtrip_bench::progress::Progress;
use roundtrip_bench::scenarios::{self, Plan};
use roundtrip_bench::watch::Watch;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let outcome = Args::parse(std::env::args_os().skip(1)).and_then(|command| match command {
        Command::Help => {
            print(args::HELP);
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(args) => run(&args),
    });
    outcome.unwrap_or_else(|message| {
        eprintln!("roundtrip-bench: {message}");
        ExitCode::FAILURE
    })
}

/// How long each stage may take.
struct Limits {
    scenarios: Duration,
}

const WHOLE: Limits = Limits { scenarios: Duration::from_secs(74) };
const QUICK: Limits = Limits { scenarios: Duration::from_secs(10) };

fn run(args: &Args) -> Result<ExitCode, String> {
    let limits = if args.quick { QUICK } else { WHOLE };
    let plan = plan(args, &limits)?;
    if args.list {
        print(&listed(args, &plan));
        return Ok(ExitCode::SUCCESS);
    }
    let interrupt = Interrupt::listen(at_once)?;
    let progress = Progress::new(limits.scenarios, interrupt);
    let begun = Instant::now();
    let mut results = Results { environment: machine::environment(), ..Results::default() };
    let measured = measure(args, &plan, &mut results, &progress);
    progress.clear();
    measured?;
    results.interrupted = progress.stopped();
    results.seconds = begun.elapsed().as_secs_f64();
    print(&report::go_format(&results));
    print(&report::table(&results));
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&results).map_err(|error| error.to_string())?;
        std::fs::write(path, text + "\n").map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(if results.interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}

/// As shells count: 128 and the signal's number.
const INTERRUPTED: u8 = 130;

/// Ctrl-C again: whatever is going on, this is the end of it.
#[expect(clippy::exit, reason = "the user asked twice")]
fn at_once() {
    std::process::exit(INTERRUPTED.into());
}

fn plan(args: &Args, limits: &Limits) -> Result<Plan, String> {
    if args.chosen() {
        Plan::combined(&args.matrix, limits.scenarios, args.wishes)
    } else {
        Ok(Plan::usual(args.quick, limits.scenarios, args.wishes))
    }
}

/// One stage after the other, until it is told to stop.
fn measure(args: &Args, plan: &Plan, results: &mut Results, watch: &dyn Watch) -> Result<(), String> {
    if args.runs(Stage::Scenarios) {
        results.left_out.clone_from(&plan.left_out);
        results.scenarios = scenarios::run(plan, watch)?;
    }
    Ok(())
}

/// What would be run.
fn listed(args: &Args, plan: &Plan) -> String {
    let mut lines = Vec::new();
    if args.runs(Stage::Scenarios) {
        for group in &plan.groups {
            for case in &group.cases {
                let milliseconds = group.time.as_millis();
                lines.push(format!("{}  {} round(s) of {milliseconds} ms", case.name(), group.rounds));
            }
        }
        lines.extend(plan.left_out.iter().map(|left| format!("{}  left out: {}", left.name, left.why)));
    }
    lines.join("\n")
}

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn print(text: &str) {
    println!("{text}");
}
