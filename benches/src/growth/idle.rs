//! Requests beside idle connections: what these hold, and whether they are in the way.

use std::time::{Duration, Instant};

use super::Options;
use super::connections::within_files;
use super::load::{Sender, Served, Serving, drive, fetch, runtime};
use crate::alloc::{Side, live_bytes_by};
use crate::model::{Growth, Series};
use crate::watch::Watch;

const IDLE: [usize; 4] = [0, 100, 1_000, 5_000];

/// The server gives the memory of a connection back when it has been idle for 250 ms.
const REST: Duration = Duration::from_millis(300);

/// How long a point is measured at most.
const LOAD: Duration = Duration::from_millis(300);

/// With so many idle connections.
#[derive(Clone, Copy, Debug)]
struct Point {
    idle: usize,
    /// Processor time of a request, in microseconds: client, server.
    us: [f64; 2],
    /// What an idle connection holds: client, server.
    bytes: Option<[f64; 2]>,
}

pub(super) fn run(options: &Options, watch: &dyn Watch) -> Result<Vec<Growth>, String> {
    let wanted: Vec<usize> = IDLE.into_iter().filter(|idle| *idle <= options.most).collect();
    let (possible, mut left_out) = within_files(&wanted);
    let mut points: Vec<Point> = Vec::new();
    let load = (options.time / 40).min(LOAD);
    let mut each = Duration::from_micros(300);
    let mut no_time = Vec::new();
    for idle in possible {
        // What opening took last time says what it will take.
        let rest = if idle > 0 { 2 * REST } else { Duration::ZERO };
        let needed = each * u32::try_from(idle).unwrap_or(u32::MAX) + rest + load;
        if !super::fits(needed, watch) {
            no_time.push(idle);
            continue;
        }
        let started = Instant::now();
        points.push(measure(idle, load)?);
        if idle > 0 {
            each = started.elapsed().saturating_sub(rest + load) / u32::try_from(idle).unwrap_or(u32::MAX);
        }
    }
    left_out.push_str(&super::no_time(&no_time, "connections", watch));
    let series = |figure: &dyn Fn(&Point) -> Option<[f64; 2]>| {
        ["client", "server"]
            .into_iter()
            .enumerate()
            .map(|(side, name)| Series {
                name: name.into(),
                ours: true,
                points: points
                    .iter()
                    .filter_map(|point| Some((super::float(point.idle as u64), figure(point)?[side])))
                    .collect(),
            })
            .collect()
    };
    let growth = |id: &str, title: &str, explained: &str, y: &str, series| Growth {
        id: id.into(),
        title: title.into(),
        explained: format!("{explained}{left_out}"),
        x: "idle connections".into(),
        y: y.into(),
        log_x: false,
        series,
    };
    Ok(vec![
        growth(
            "idle-time",
            "Requests beside idle connections",
            "A GET of 19 bytes over loopback on one connection, beside so many idle ones in the same pool and at the same server: processor \
             time of either side's thread. Flat lines are good.",
            "us of CPU time a request",
            series(&|point| Some(point.us)),
        ),
        growth(
            "idle-bytes",
            "What an idle connection holds",
            "Memory that the allocator has given out and not got back, by connection, after each has carried a request; the kernel's part of a \
             socket is not in it.",
            "bytes an idle connection",
            series(&|point| point.bytes),
        ),
    ])
}

fn measure(idle: usize, load: Duration) -> Result<Point, String> {
    let runtime = runtime()?;
    let serving = Serving::start(Served::Ours)?;
    let rest = if idle > 0 { REST } else { Duration::ZERO };
    runtime.block_on(async {
        // What is there once for all is there before the count.
        let first = Sender::ours(serving.addr, 1).await?;
        let Sender::Ours(transport, uri) = &first else { return Err("it is ours".into()) };
        fetch(transport, uri).await?;
        tokio::time::sleep(rest).await;
        let before = [Side::Client, Side::Server].map(live_bytes_by);
        let opened = Sender::ours(serving.addr, idle).await?;
        let Sender::Ours(pool, _) = &opened else { return Err("it is ours".into()) };
        // Each has carried a request, as idle connections have.
        let mut fetching = tokio::task::JoinSet::new();
        for _ in 0..idle {
            let (pool, uri) = (pool.clone(), uri.clone());
            fetching.spawn(async move { fetch(&pool, &uri).await });
        }
        while let Some(fetched) = fetching.join_next().await {
            fetched.map_err(|error| error.to_string())??;
        }
        drop(fetching);
        tokio::time::sleep(rest).await;
        let after = [Side::Client, Side::Server].map(live_bytes_by);
        let (kept, accepted) = (pool.stats().idle, serving.accepted());
        if kept != idle || accepted != idle as u64 + 1 {
            return Err(format!(
                "{kept} connections are idle and {accepted} accepted, where there should be {idle} and one"
            ));
        }
        let bytes = [0, 1].map(|side| by(after[side] - before[side], idle));
        let sender = if idle == 0 { &first } else { &opened };
        let done = drive(&serving, sender, 1, load).await?;
        let us = [done.client, done.server].map(|used| used.as_secs_f64() * 1e6 / super::float(done.requests));
        // Without the counting allocator nothing was measured.
        let counted = bytes.iter().all(|bytes| *bytes > 0.0);
        Ok(Point { idle, us, bytes: (idle > 0 && counted).then_some(bytes) })
    })
}

#[expect(clippy::cast_precision_loss, reason = "bytes are far below 2^53")]
fn by(bytes: i64, connections: usize) -> f64 {
    bytes as f64 / connections.max(1) as f64
}
