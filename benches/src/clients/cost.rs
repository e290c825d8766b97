//! What a request costs a client.

use std::path::Path;
use std::time::{Duration, Instant};

use super::Contestant;
use crate::alloc::{Allocated, Side};
use crate::callgrind;

/// The instructions of one request. `program`, told `--run`, a client's name, an address and a number, sends so many requests.
///
/// # Errors
/// There is no valgrind, or a request failed.
pub fn instructions(program: &Path, name: &str, addr: &str, requests: u64) -> Result<f64, String> {
    callgrind::per_round(requests, |count| callgrind::count(program, &["--run", name, addr, &count.to_string()]))
}

/// Allocations and their bytes of one request, where [`Counting`](crate::alloc::Counting) is installed: those of the client, and those of the
/// server in the same process, if there is one.
///
/// # Errors
/// A request failed.
pub fn allocations(contestant: &Contestant, addr: &str) -> Result<[(f64, f64); 2], String> {
    const FEW: u64 = 100;
    let of = |requests| {
        let before = [Side::Client, Side::Server].map(Allocated::by);
        contestant.run(addr, requests)?;
        let [client, server] = [Side::Client, Side::Server].map(Allocated::by);
        Ok::<_, String>([client - before[0], server - before[1]])
    };
    // Whoever comes first would pay for what a process makes once.
    of(FEW)?;
    let (fewer, more) = (of(FEW)?, of(2 * FEW)?);
    Ok([0, 1].map(|side| {
        // Less than nothing would be noise, and is to be seen as such.
        let each = |more, fewer| (float(more) - float(fewer)) / float(FEW);
        (each(more[side].count, fewer[side].count), each(more[side].bytes, fewer[side].bytes))
    }))
}

/// How the requests of a measurement of time are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// One after the other, on the runtime's own thread.
    Here,
    /// One after the other, from the main task of a runtime of two workers.
    Main,
    /// By so many tasks of a runtime of two workers.
    Tasks(u64),
}

/// How long so many requests take; `None` for a client that cannot send them so.
///
/// # Errors
/// A request failed.
pub fn timed(contestant: &Contestant, way: Way, addr: &str, requests: u64) -> Result<Option<Duration>, String> {
    let started = Instant::now();
    let done = match way {
        Way::Here => contestant.run(addr, requests).map(|()| true),
        Way::Main => contestant.run_from_main(addr, requests),
        Way::Tasks(tasks) => contestant.run_many(addr, requests, tasks).map(|()| true),
    }?;
    Ok(done.then(|| started.elapsed()))
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}
