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
use crate::watch::Watch;

/// How long it may take, and how far it goes.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The time for all of it. Each point gets its part, and none is begun that cannot be ended.
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
/// files does not allow is left out, and the growth's text says so.
pub fn run(options: &Options, watch: &dyn Watch) -> Result<Vec<Growth>, String> {
    let mut growths = Vec::new();
    let parts: [(&str, u32, Part); 3] = [
        ("growth with connections", 35, connections::run),
        ("growth with hosts", 25, hosts::run),
        ("growth with idle connections", 40, idle::run),
    ];
    for (name, percent, part) in parts {
        if watch.stopped() {
            break;
        }
        watch.doing(name);
        let until = Instant::now() + options.time * percent / 100;
        growths.extend(part(options, until, watch)?);
    }
    Ok(growths)
}

/// Measures one kind of growth until then.
type Part = fn(&Options, Instant, &dyn Watch) -> Result<Vec<Growth>, String>;

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}
