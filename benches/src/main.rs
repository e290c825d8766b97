//! `just bench`: what a connection pool is worth, and where we stand. `--help` tells the rest.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use roundtrip_bench::alloc::Counting;
use roundtrip_bench::args::{self, Args, Command, Stage};
use roundtrip_bench::interrupt::Interrupt;
use roundtrip_bench::model::Results;
use roundtrip_bench::progress::Progress;
use roundtrip_bench::scenarios::{self, Plan};
use roundtrip_bench::watch::Watch;
use roundtrip_bench::{closing, cpu, growth, machine, report, side_by_side};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    // A contestant of the side by side is this program in a process of its own.
    if let Some(ended) = side_by_side::take_over() {
        return ended;
    }
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

/// What each stage may take. It begins nothing behind its limit, and ends what it has begun: on a machine three times slower that is
/// one request far away, one turn or one point, for which the sum has room below what [`args::HELP`] promises.
struct Limits {
    scenarios: Duration,
    closing: closing::Options,
    side_by_side: Duration,
    growth: Duration,
}

impl Limits {
    /// All of it, as the progress bar has it.
    const fn whole(&self) -> Duration {
        let scenarios = self.scenarios.saturating_add(self.closing.time);
        scenarios.saturating_add(self.side_by_side).saturating_add(self.growth)
    }

    /// Growth alone has the time of the others too: what takes longest, most connections, is what a shorter run leaves out.
    fn of_stages(self, args: &Args) -> Self {
        if args.runs(Stage::Scenarios) || args.runs(Stage::SideBySide) {
            return self;
        }
        let growth = self.scenarios.saturating_add(self.side_by_side).saturating_add(self.growth);
        Limits { scenarios: Duration::ZERO, side_by_side: Duration::ZERO, growth, ..self }
    }
}

const WHOLE: Limits = Limits {
    scenarios: Duration::from_secs(72),
    closing: closing::Options::WHOLE,
    side_by_side: Duration::from_secs(45),
    growth: Duration::from_secs(32),
};
const QUICK: Limits = Limits {
    scenarios: Duration::from_millis(8500),
    closing: closing::Options::QUICK,
    side_by_side: Duration::from_millis(5500),
    growth: Duration::from_millis(3000),
};

fn run(args: &Args) -> Result<ExitCode, String> {
    let limits = if args.quick { QUICK } else { WHOLE }.of_stages(args);
    let plan = plan(args, &limits)?.within_files(cpu::open_files());
    if args.list {
        print(&listed(args, &plan));
        return Ok(ExitCode::SUCCESS);
    }
    let shown: Arc<OnceLock<Progress>> = Arc::default();
    let (first, again) = (Arc::clone(&shown), Arc::clone(&shown));
    let interrupt = Interrupt::listen(
        move || {
            if let Some(progress) = first.get() {
                progress.stopping();
            }
        },
        move || at_once(again.get().cloned()),
    )?;
    let progress = Progress::new(limits.whole(), interrupt);
    // Set once, here.
    let _ = shown.set(progress.clone());
    let begun = Instant::now();
    let mut results = Results { environment: machine::environment(), ..Results::default() };
    let measured = measure(args, &limits, &plan, &mut results, &progress);
    progress.clear();
    results.left_out.extend(progress.all_left_out());
    results.interrupted = progress.stopped();
    results.seconds = begun.elapsed().as_secs_f64();
    let told = tell(args, &results);
    measured?;
    told?;
    Ok(if results.interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}

/// Prints and writes whatever was measured, all of it or not.
fn tell(args: &Args, results: &Results) -> Result<(), String> {
    if !results.scenarios.is_empty() {
        print(&report::go_format(results));
    }
    print(&report::terminal(results));
    report::write(results, &args.report)?;
    print(&format!("The page: {}", args.report.join("index.html").display()));
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(results).map_err(|error| error.to_string())?;
        std::fs::write(path, text + "\n").map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

/// As shells count: 128 and the signal's number.
const INTERRUPTED: u8 = 130;

/// Ctrl-C again: whatever is going on, this is the end of it.
#[expect(clippy::exit, reason = "the user asked twice")]
fn at_once(progress: Option<Progress>) {
    let (cleared_in, cleared) = mpsc::channel();
    let clearing = std::thread::Builder::new().spawn(move || {
        if let Some(progress) = progress {
            progress.clear();
        }
        // Nobody waits for it any longer, if it took too long.
        let _ = cleared_in.send(());
    });
    // A terminal that takes nothing (Ctrl-S) must not keep the program.
    if clearing.is_ok() {
        let _ = cleared.recv_timeout(Duration::from_millis(300));
    }
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
fn measure(args: &Args, limits: &Limits, plan: &Plan, results: &mut Results, watch: &dyn Watch) -> Result<(), String> {
    if args.runs(Stage::Scenarios) {
        results.left_out.clone_from(&plan.left_out);
        results.scenarios = scenarios::run(plan, watch)?;
        if !args.chosen() && !watch.stopped() {
            results.closing = closing::run(limits.closing, watch)?;
        }
    }
    if args.runs(Stage::SideBySide) && !watch.stopped() {
        let options = side_by_side::Options { time: limits.side_by_side, ..side_by_side::Options::default() };
        results.comparisons = side_by_side::run(&options, watch)?;
    }
    if args.runs(Stage::Growth) && !watch.stopped() {
        results.growths = growth::run(&growth::Options::within(limits.growth), watch)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_leave_room_below_what_is_promised() {
        assert!(WHOLE.whole() <= Duration::from_secs(180 - 20), "{:?}", WHOLE.whole());
        assert!(QUICK.whole() <= Duration::from_secs(30 - 8), "{:?}", QUICK.whole());
    }
}
