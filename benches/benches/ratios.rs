//! Routers side by side, as ratios: ours and another one measured in turn, many times over, so that a busy machine slows both. Prints
//! for each set and router the median of the ratios of neighbouring measurements, and the middle half and nine tenths of them.
//! `cargo bench -p roundtrip-bench --bench ratios`; words behind `--` choose sets and routers by their names.

use std::hint::black_box;
use std::time::{Duration, Instant};

use roundtrip_bench::routers::{Contestant, Set};

/// A router and what it is asked.
type Side<'a> = (&'a Set, &'a dyn Contestant);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let sets = Set::all();
    let hits = &sets[0];
    let hit = hits.contestants().swap_remove(0).1;
    for set in &sets {
        let (ours, others): (Vec<_>, Vec<_>) =
            set.contestants().into_iter().partition(|(name, _)| name.starts_with("roundtrip"));
        for (name, router) in &ours {
            let measure = |other: &str, against: Side<'_>| {
                let title = format!("{}: {name} / {other}", set.name);
                if words.iter().all(|word| title.contains(word.as_str())) {
                    print(&title, &ratios((set, router.as_ref()), against));
                }
            };
            // The one that tries one route after another would take minutes.
            for (other, theirs) in others.iter().filter(|(name, _)| *name != "actix-router") {
                measure(other, (set, theirs.as_ref()));
            }
            if set.name.starts_with('c') {
                measure("a hit", (hits, hit.as_ref()));
            }
        }
    }
}

/// How many times as long a lookup takes on one side as on the other, in many measurements, sorted.
fn ratios(ours: Side<'_>, theirs: Side<'_>) -> Vec<f64> {
    let (our_rounds, their_rounds) = (rounds(ours), rounds(theirs));
    let mut ratios: Vec<_> = (0..PAIRS)
        .map(|_| per_lookup(ours, our_rounds).as_secs_f64() / per_lookup(theirs, their_rounds).as_secs_f64())
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios
}

/// How many rounds fill a measurement; finding out also warms up.
fn rounds(side: Side<'_>) -> u32 {
    let mut rounds = 1;
    while timed(side, rounds) < MEASUREMENT {
        rounds *= 2;
    }
    rounds
}

fn per_lookup(side: Side<'_>, rounds: u32) -> Duration {
    timed(side, rounds).mul_f64(1e6) / rounds / u32::try_from(side.0.paths.len()).unwrap_or(u32::MAX)
}

fn timed((set, router): Side<'_>, rounds: u32) -> Duration {
    let start = Instant::now();
    for _ in 0..rounds {
        black_box(router.run(set.reading, &set.paths));
    }
    start.elapsed()
}

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn print(title: &str, sorted: &[f64]) {
    let at = |percent: usize| sorted[(sorted.len() - 1) * percent / 100];
    println!(
        "{title:<60} {:.2}  (half of all between {:.2} and {:.2}, nine tenths between {:.2} and {:.2})",
        at(50),
        at(25),
        at(75),
        at(5),
        at(95),
    );
}

/// How long one measurement takes at least: short, so that what disturbs one of a pair disturbs both.
const MEASUREMENT: Duration = Duration::from_micros(500);

const PAIRS: usize = 400;
