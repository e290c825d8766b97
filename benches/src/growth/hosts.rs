//! One pool with connections to many hosts: what finding one costs, and what making room for one costs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roundtrip_transport::{ConnectConfig, Dial, Dialer, Transport, TransportConfig};

use super::Options;
use super::load::{fetch, runtime};
use crate::cpu;
use crate::in_memory::InMemory;
use crate::model::{Growth, Series};
use crate::watch::Watch;

const HOSTS: [usize; 4] = [1, 100, 1_000, 10_000];

pub(super) fn run(options: &Options, watch: &dyn Watch) -> Result<Vec<Growth>, String> {
    let (mut found, mut evicted) = (Vec::new(), Vec::new());
    let hosts: Vec<usize> = HOSTS.into_iter().filter(|hosts| *hosts <= options.most).collect();
    let mut weights: u32 = (1..).zip(&hosts).map(|(weight, _)| 2 * weight).sum();
    let mut no_time = Vec::new();
    // What the last point took for each host says what the next one will take.
    let mut each = EACH;
    for (weight, hosts) in (1..).zip(hosts) {
        if !super::fits(each * u32::try_from(2 * hosts + LEAST).unwrap_or(u32::MAX), watch) {
            no_time.push(hosts);
            weights = weights.saturating_sub(2 * weight);
            continue;
        }
        for (points, room) in [(&mut found, Room::ForAll), (&mut evicted, Room::ForHalf)] {
            if watch.stopped() {
                no_time.push(hosts);
                break;
            }
            // With one host there is nothing that could make room.
            let hosts = if room == Room::ForHalf { hosts.max(2) } else { hosts };
            let point = ns_by_request(hosts, room, super::part(weight, &mut weights, watch))?;
            points.push((super::float(hosts as u64), point.ns));
            each = point.opening / u32::try_from(hosts).unwrap_or(u32::MAX);
        }
    }
    let series = |name: &str, points| Series { name: name.into(), ours: true, points };
    Ok(vec![Growth {
        id: "hosts".into(),
        title: "One pool, many hosts".into(),
        explained: format!(
            "A GET to one host after the other in turn, over connections in memory, so that only the client's work is measured. Where \
                    the pool keeps one connection for each host, a request finds its own; where it keeps half of them, each request \
                    closes the oldest and opens its own. Flat lines are good: neither finding nor making room depends on how many there are, \
                    but for memory that is no longer in the processor's cache.{}",
            super::no_time(&no_time, "hosts", watch)
        ),
        x: "hosts".into(),
        y: "ns of CPU time a request".into(),
        log_x: true,
        series: vec![series("found in pool", found), series("opened anew", evicted)],
    }])
}

/// How many idle connections the pool keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    ForAll,
    ForHalf,
}

struct Point {
    /// Processor time of a request.
    ns: f64,
    /// How long it took before anything was measured.
    opening: Duration,
}

fn ns_by_request(hosts: usize, room: Room, time: Duration) -> Result<Point, String> {
    let started = Instant::now();
    let memory = Arc::new(InMemory::greeting());
    let kept = if room == Room::ForAll { hosts } else { hosts / 2 };
    let transport = Transport::with_config(TransportConfig {
        max_idle_conns: kept,
        connect: ConnectConfig {
            dial: Dialer::Custom(Arc::clone(&memory) as Arc<dyn Dial>),
            ..ConnectConfig::default()
        },
        ..TransportConfig::default()
    });
    let uris = (0..hosts).map(|host| format!("http://host-{host}.test/").parse().map_err(|_| "no URI".to_owned()));
    let uris: Vec<http::Uri> = uris.collect::<Result<_, _>>()?;
    runtime()?.block_on(async {
        // Twice around: the first opens, the second meets the pool as it will be.
        for uri in uris.iter().chain(&uris) {
            fetch(&transport, uri).await?;
        }
        let opening = started.elapsed();
        let (dials, before) = (memory.dials(), cpu::thread_time());
        let mut requests = 0;
        let mut around = uris.iter().cycle();
        while requests < LEAST || requests % 64 != 0 || started.elapsed() < time {
            if let Some(uri) = around.next() {
                fetch(&transport, uri).await?;
            }
            requests += 1;
        }
        let used = cpu::thread_time() - before;
        let dials = memory.dials() - dials;
        let expected = if room == Room::ForAll { 0 } else { requests };
        if dials != expected {
            return Err(format!("{hosts} hosts, room for {kept}: {dials} dials for {requests} requests"));
        }
        let (idle, open) = (transport.stats().idle, memory.open());
        if idle != kept || open != kept {
            return Err(format!("{hosts} hosts: {idle} connections are idle and {open} open, where {kept} are kept"));
        }
        Ok(Point { ns: used.as_secs_f64() * 1e9 / super::float(requests as u64), opening })
    })
}

/// What a host takes, where it is not known yet.
const EACH: Duration = Duration::from_micros(20);

/// Requests that are measured at least.
const LEAST: usize = 512;
