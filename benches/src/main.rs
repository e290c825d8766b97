//! `just bench`: what a connection pool is worth.
//!
//! One real server, one real client, loopback TCP, one GET with its body read to the end per operation, in three scenarios:
//! connections pooled, connections closed by the server, connections not pooled by the client. `--help` tells the rest.

mod args;
mod machine;
mod measure;
mod report;
mod scenario;
mod server;

use std::io::IsTerminal;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use roundtrip_bench::alloc::Counting;

use crate::args::{Args, Command};
use crate::measure::Round;
use crate::scenario::Scenario;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    // A contestant of the side by side is this program in a process of its own.
    if let Some(ended) = roundtrip_bench::side_by_side::take_over() {
        return ended;
    }
    let outcome = Args::parse(std::env::args_os().skip(1)).and_then(|command| match command {
        Command::Help => {
            print(args::HELP);
            Ok(())
        }
        Command::Run(args) => run(&args),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("roundtrip-bench: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all scenarios, interleaved, and prints what was measured.
fn run(args: &Args) -> Result<(), String> {
    let bar = progress_bar(args);
    let mut rounds: Vec<(Scenario, Vec<Round>)> = Scenario::ALL.map(|scenario| (scenario, Vec::new())).into();
    // In turns, so that a machine that becomes slower or faster meanwhile does so for all.
    for _ in 0..args.rounds {
        for (scenario, measured) in &mut rounds {
            bar.set_message(scenario.name());
            measured.push(scenario::run(*scenario, args)?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    print(&report::go_format(&rounds));
    print(&report::table(&rounds, args));
    if let Some(path) = &args.json {
        let text = format!("{:#}\n", report::json(&rounds, args));
        std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

/// A bar on a terminal, nothing in a pipe. It goes to standard error, so that results can be piped all the same.
fn progress_bar(args: &Args) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(u64::from(args.rounds) * Scenario::ALL.len() as u64).with_style(style)
}

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn print(text: &str) {
    println!("{text}");
}
