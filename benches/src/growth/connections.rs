//! Requests in a second of processor time, with few connections and with many.

use std::time::{Duration, Instant};

use super::Options;
use super::load::{Sender, Served, Serving, drive, runtime};
use crate::cpu;
use crate::model::{Growth, Series};
use crate::report::figure;
use crate::watch::Watch;

const CONNECTIONS: [usize; 4] = [1, 16, 256, 1000];

/// What it takes to open a connection and to send the first requests on it, where no point has told yet.
const EACH: Duration = Duration::from_micros(150);

/// How long a point is measured at least.
const LEAST: Duration = Duration::from_millis(50);

/// Who is measured.
#[derive(Clone, Copy, Debug)]
enum Measured {
    Client(Who),
    Server(Who),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Ours,
    Hyper,
}

pub(super) fn run(options: &Options, watch: &dyn Watch) -> Result<Vec<Growth>, String> {
    let all = [
        Measured::Client(Who::Ours),
        Measured::Client(Who::Hyper),
        Measured::Server(Who::Ours),
        Measured::Server(Who::Hyper),
    ];
    let wanted: Vec<usize> = CONNECTIONS.into_iter().filter(|connections| *connections <= options.most).collect();
    let (possible, mut left_out) = within_files(&wanted);
    let mut points = vec![Vec::new(); all.len()];
    let sides = u32::try_from(all.len()).unwrap_or(u32::MAX);
    let mut weights: u32 = (1..).zip(&possible).map(|(weight, _)| weight * sides).sum();
    let mut no_time = Vec::new();
    // What the last point took says what the next one will take.
    let mut each = EACH;
    // What the first took is not for its one connection, but for starting.
    let mut starting = None;
    for (weight, connections) in (1..).zip(possible) {
        let many = u32::try_from(connections).unwrap_or(u32::MAX);
        // All four or none, so that the lines have the same length.
        if !super::fits((each * many + LEAST) * sides + starting.unwrap_or_default(), watch) {
            no_time.push(connections);
            weights = weights.saturating_sub(weight * sides);
            continue;
        }
        let mut opening = Duration::ZERO;
        // Next to each other, so that all meet the same neighbours.
        let mut here = Vec::new();
        for measured in all {
            if watch.stopped() {
                break;
            }
            let point = requests_by_cpu(measured, connections, super::part(weight, &mut weights, watch))?;
            here.push((super::float(connections as u64), point.requests_by_cpu));
            opening += point.opening;
        }
        if here.len() < all.len() {
            no_time.push(connections);
            continue;
        }
        points.iter_mut().zip(here).for_each(|(points, point)| points.push(point));
        match starting {
            None => starting = Some(opening),
            Some(starting) => each = opening.saturating_sub(starting) / (sides * many),
        }
    }
    left_out.push_str(&super::no_time(&no_time, "connections", watch));
    let mut points = points.into_iter();
    let mut growth = |id: &str, title: &str, side: &str| Growth {
        id: id.into(),
        title: title.into(),
        explained: format!(
            "A GET of 19 bytes over loopback, so many at a time, each on a connection of its own: requests by the processor time of the \
             {side}'s thread. A flat line is good: each request costs the same, however many there are.{left_out}"
        ),
        x: "connections".into(),
        y: "requests/CPU s".into(),
        log_x: true,
        series: [("roundtrip", true), ("hyper", false)]
            .into_iter()
            .map(|(name, ours)| Series { name: name.into(), ours, points: points.next().unwrap_or_default() })
            .collect(),
    };
    Ok(vec![
        growth("client-connections", "Client: many connections", "client"),
        growth("server-connections", "Server: many connections", "server"),
    ])
}

/// Those that the limit of open files allows, and what there is to say about the rest: each connection has both ends in this process.
pub(super) fn within_files(wanted: &[usize]) -> (Vec<usize>, String) {
    let limit = cpu::open_files();
    split_by_files(wanted, limit)
}

fn split_by_files(wanted: &[usize], limit: Option<u64>) -> (Vec<usize>, String) {
    let fits = |connections: &&usize| cpu::allows(limit, 2 * **connections).is_ok();
    let (possible, rest): (Vec<_>, Vec<_>) = wanted.iter().partition(fits);
    let said = if rest.is_empty() {
        String::new()
    } else {
        let limit = limit.unwrap_or_default();
        let rest = super::listed(&rest);
        format!(" Left out: {rest} connections, for the process may have {} files open.", figure::whole(limit))
    };
    (possible, said)
}

struct Point {
    requests_by_cpu: f64,
    /// How long it took but for the time that was measured.
    opening: Duration,
}

fn requests_by_cpu(measured: Measured, connections: usize, time: Duration) -> Result<Point, String> {
    let runtime = runtime()?;
    let serving = Serving::start(match measured {
        Measured::Client(_) => Served::Floor,
        Measured::Server(Who::Ours) => Served::Ours,
        Measured::Server(Who::Hyper) => Served::Hyper,
    })?;
    let started = Instant::now();
    let done = runtime.block_on(async {
        let sender = match measured {
            Measured::Client(Who::Ours) => Sender::ours(serving.addr, connections).await?,
            Measured::Client(Who::Hyper) => Sender::Hyper(serving.addr),
            Measured::Server(_) => Sender::Socket(serving.addr),
        };
        // Connecting takes its part of the time, and reading the last answers too.
        let left = time.saturating_sub(started.elapsed()).max(LEAST) * 9 / 10;
        drive(&serving, &sender, connections, left).await.map(|done| (done, left))
    });
    let (done, left) = done?;
    let accepted = serving.accepted();
    if accepted != connections as u64 {
        return Err(format!("{measured:?}: {accepted} connections were accepted instead of {connections}"));
    }
    let used = match measured {
        Measured::Client(_) => done.client,
        Measured::Server(_) => done.server,
    };
    let requests_by_cpu = super::float(done.requests) / used.as_secs_f64();
    Ok(Point { requests_by_cpu, opening: started.elapsed().saturating_sub(left) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_beyond_the_limit_of_open_files_are_left_out_and_told() {
        assert_eq!(split_by_files(&CONNECTIONS, None), (CONNECTIONS.to_vec(), String::new()));
        assert_eq!(split_by_files(&CONNECTIONS, Some(1 << 20)), (CONNECTIONS.to_vec(), String::new()));
        for (limit, possible, rest) in [(1024, &CONNECTIONS[..3], "1,000"), (256, &CONNECTIONS[..2], "256 and 1,000")] {
            let limit_said = figure::whole(limit);
            let said = format!(" Left out: {rest} connections, for the process may have {limit_said} files open.");
            assert_eq!(split_by_files(&CONNECTIONS, Some(limit)), (possible.to_vec(), said));
        }
    }
}
