//! How cost grows: with connections, with hosts in one pool, with idle connections beside.
//!
//! Each figure is the processor time of the thread that has the side under test, and no other's: what the other side, the kernel's other
//! work and the neighbours on the machine use is not in it.

mod connections;
mod hosts;
mod idle;
pub(crate) mod load;

use std::time::{Duration, Instant};

use crate::model::Growth;
use crate::report::figure;
use crate::watch::{Watch, Within, tell_no_time};

/// How long it may take, and how far it goes.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The time for all of it. Each point gets its part, and none is begun that cannot be ended, by what the one before has taken.
    pub time: Duration,
    /// The most connections, hosts and idle connections; `usize::MAX` for all there are: 1,000, 10,000 and 5,000.
    pub most: usize,
}

impl Options {
    /// All of it, in that time.
    #[must_use]
    pub fn within(time: Duration) -> Self {
        Options { time, most: usize::MAX }
    }
}

/// Measures how cost grows.
///
/// # Errors
/// A request failed or was answered with something else, or the connections are not those that there should be. What the limit of open
/// files or the time does not allow is left out, and the growth's text says so.
pub fn run(options: &Options, watch: &dyn Watch) -> Result<Vec<Growth>, String> {
    let watch = Within::new(watch, options.time);
    let begun = Instant::now();
    let mut growths = Vec::new();
    let mut share = 0;
    let parts: [(&str, u32, Part); 3] = [
        ("growth with connections", 35, connections::run),
        ("growth with hosts", 25, hosts::run),
        ("growth with idle connections", 40, idle::run),
    ];
    for (name, percent, part) in parts {
        if watch.stopped() {
            tell_no_time(&watch, name);
            continue;
        }
        watch.doing(name);
        // What one did not use is the next one's, and what it used too much is not.
        share += percent;
        let until = (options.time * share / 100).saturating_sub(begun.elapsed());
        growths.extend(part(options, &Within::new(&watch, until))?);
    }
    Ok(growths)
}

/// Measures one kind of growth as long as its watch lets it.
type Part = fn(&Options, &dyn Watch) -> Result<Vec<Growth>, String>;

/// Whether something fits into the time that is left, where `needed` is what it needs if nothing changes: on a busy machine things do.
fn fits(needed: Duration, watch: &dyn Watch) -> bool {
    !watch.stopped() && needed.mul_f64(1.25) <= watch.left()
}

/// The part of the time that the next of some points has, where so many weights are left: more of them are further to the right, and
/// those take longer to be ready.
fn part(weight: u32, left: &mut u32, watch: &dyn Watch) -> Duration {
    let part = watch.left().mul_f64(f64::from(weight) / f64::from((*left).max(weight)));
    *left = left.saturating_sub(weight);
    part
}

/// What there is to say about points without time; nothing if somebody stopped the run.
fn no_time(points: &[usize], what: &str, watch: &dyn Watch) -> String {
    if points.is_empty() || (watch.stopped() && !watch.left().is_zero()) {
        return String::new();
    }
    format!(" Left out: {} {what}, for which there was no time.", listed(points))
}

/// Points as one says them.
fn listed(points: &[usize]) -> String {
    points.iter().map(|point| figure::whole(*point as u64)).collect::<Vec<_>>().join(" and ")
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}
