//! Routers side by side, in instructions: what one lookup costs under valgrind's callgrind, which counts the same on a busy machine
//! as on an idle one. `cargo bench -p roundtrip-bench --bench instructions`; words behind `--` choose sets and routers by their
//! names.
//!
//! The program starts itself under valgrind, with a number of rounds and with twice that number. The difference is the rounds'
//! own: start and registration cancel out. The loop around the lookup and the drop of the match are counted in.

use std::process::ExitCode;

use roundtrip_bench::callgrind;

use roundtrip_bench::routers::Set;

/// What the program is told when it runs under valgrind: this word, set, router, rounds.
const CHILD: &str = "--rounds-of";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [mark, set, router, rounds] = &args[..]
        && mark == CHILD
    {
        run(set, router, rounds.parse().unwrap_or(0));
        return ExitCode::SUCCESS;
    }
    if let Err(why) = callgrind::available() {
        eprintln!("no instructions can be counted: {why}");
        return ExitCode::SUCCESS;
    }
    let words: Vec<_> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    for set in Set::all() {
        for (name, _) in set.contestants() {
            let title = format!("{}: {name}", set.name);
            // It would take minutes to learn that it is slow.
            let linear = name == "actix-router" && set.paths.len() > 1000;
            if !linear && words.iter().all(|word| title.contains(word.as_str())) {
                match per_lookup(&set, name) {
                    Some(count) => print(&format!("{title:<52} {count:>8.0} instructions a lookup")),
                    None => print(&format!("{title:<52} could not be counted")),
                }
            }
        }
    }
    ExitCode::SUCCESS
}

/// Looks all paths of a set up, that many times.
fn run(set: &str, router: &str, rounds: u64) {
    let set = Set::all().into_iter().find(|own| own.name == set);
    let Some(set) = set else { return };
    let Some((_, contestant)) = set.contestants().into_iter().find(|(name, _)| *name == router) else { return };
    for _ in 0..rounds {
        std::hint::black_box(contestant.run(set.reading, &set.paths));
    }
}

/// The instructions of one lookup, on the average over the set.
fn per_lookup(set: &Set, router: &str) -> Option<f64> {
    let rounds = 2600_u64.div_ceil(set.paths.len() as u64);
    let own = counted(set, router, 2 * rounds)?.checked_sub(counted(set, router, rounds)?)?;
    let lookups = rounds * set.paths.len() as u64;
    Some(float(own) / float(lookups))
}

/// All instructions of a process that looks a set up.
fn counted(set: &Set, router: &str, rounds: u64) -> Option<u64> {
    callgrind::count(&std::env::current_exe().ok()?, &[CHILD, set.name, router, &rounds.to_string()]).ok()
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn print(text: &str) {
    println!("{text}");
}
