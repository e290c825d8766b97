//! One round of a scenario: a server and a client of its own, a warm-up, and requests until the time is up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use roundtrip_client::{Client, ClientConfig};
use roundtrip_transport::{Timings, Transport, TransportConfig};
use roundtrip_types::MessageExt;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::check::check;
use super::phases::Sums;
use crate::alloc::{Allocated, Side};
use crate::identity::Identity;
use crate::model::{Allocations, Case, Pooling, Round, Security};
use crate::servers::embedded::{self, Running, Settings};
use crate::watch::Watch;

/// How long a round may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    /// Before the clock starts; whatever it says, each worker makes one request then.
    pub(super) warm: Duration,
    /// With the clock running; whatever it says, each worker makes one request then.
    pub(super) measured: Duration,
}

/// What a round measured, and where the time of its requests went if the transport tells.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) round: Round,
    pub(super) sums: Sums,
}

/// Runs one round. `None` if it was stopped before anything was measured.
///
/// # Errors
/// A request failed or was answered with something else, or the scenario did not do what its name says.
pub(super) fn run(
    case: &Case,
    transport: TransportConfig,
    identity: &Identity,
    time: Time,
    watch: &dyn Watch,
) -> Result<Option<Outcome>, String> {
    let secured = case.security != Security::Plain;
    let server = Running::start(&Settings {
        keep_alives: case.pooling != Pooling::ServerCloses,
        protocol: case.protocol,
        identity: secured.then_some(identity),
        body: case.body,
    })?;
    // The client runs on this thread, the server on its own: two cores, as in Go's benchmark with a server in its process.
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let transport = Transport::with_config(transport);
    let scheme = if secured { "https" } else { "http" };
    let work = Work {
        client: Client::with_config(transport.clone(), ClientConfig::default()),
        url: format!("{scheme}://{}/", server.addr()).into(),
        want: embedded::body(case.body),
        stop: Arc::default(),
    };
    let measured = runtime.block_on(work.measure(case, &transport, &server, time, watch));
    let measured = measured.map_err(|error| {
        let complaint = server.complaint().map_or_else(String::new, |line| format!("; the server said: {line}"));
        format!("{} failed: {error}{complaint}", case.name())
    });
    let by_another_protocol = server.by_another_protocol();
    drop((work, transport, runtime));
    server.stop()?;
    let Some(outcome) = measured? else { return Ok(None) };
    check(case, &outcome.round, by_another_protocol)?;
    Ok(Some(outcome))
}

/// What the workers of a round share.
#[derive(Clone)]
struct Work {
    client: Client,
    url: Arc<str>,
    want: Bytes,
    stop: Arc<AtomicBool>,
}

/// What one worker did.
#[derive(Default)]
struct Done {
    /// What each request took.
    latencies: Vec<Duration>,
    sums: Sums,
}

/// As many requests as a worker makes at most to warm up: the first opens the connection, and some make the processor's caches warm.
const WARM_UP: usize = 50;

impl Work {
    async fn measure(
        &self,
        case: &Case,
        transport: &Transport,
        server: &Running,
        time: Time,
        watch: &dyn Watch,
    ) -> Result<Option<Outcome>, String> {
        let begun = Instant::now();
        let fresh = || (0..case.concurrency).map(|_| Done::default()).collect::<Vec<_>>();
        let mut warmed = count(&self.all(fresh(), begun + time.warm, WARM_UP, watch).await?);
        if case.pooling == Pooling::Pool && case.security == Security::TlsResumed {
            // The connections to be measured shall be resumed ones.
            transport.close_idle_connections();
            warmed += count(&self.all(fresh(), Instant::now(), 1, watch).await?);
        }
        if watch.stopped() {
            return Ok(None);
        }
        // Room for what is measured is made before it is, so that the client's figures are the client's.
        let each = begun.elapsed().as_secs_f64() * case.concurrency as f64 / warmed as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small, and only room")]
        let room = (2.0 * time.measured.as_secs_f64() / each) as usize + 16;
        let mut workers = fresh();
        for worker in &mut workers {
            worker.latencies.reserve_exact(room.min(4_000_000 / case.concurrency));
        }

        let before = (Allocated::by(Side::Client), Allocated::by(Side::Server));
        let begun = Instant::now();
        let workers = self.all(workers, begun + time.measured, usize::MAX, watch).await?;
        let elapsed = begun.elapsed();
        let client = Allocated::by(Side::Client) - before.0;
        let server_did = Allocated::by(Side::Server) - before.1;

        let requests = count(&workers);
        let mut latencies: Vec<Duration> = Vec::with_capacity(requests);
        let mut sums = Sums::default();
        for worker in workers {
            latencies.extend(worker.latencies);
            sums.add_all(&worker.sums);
        }
        latencies.sort_unstable();
        let each = |allocated: Allocated| Allocations {
            count: allocated.count as f64 / requests as f64,
            bytes: allocated.bytes as f64 / requests as f64,
        };
        let round = Round {
            requests: requests as u64,
            all_requests: (requests + warmed) as u64,
            connections: server.connections(),
            resumed: server.resumed(),
            ns_per_op: elapsed.as_secs_f64() * 1e9 / requests as f64,
            p50_ns: percentile(&latencies, 0.5).as_secs_f64() * 1e9,
            p99_ns: percentile(&latencies, 0.99).as_secs_f64() * 1e9,
            client: each(client),
            server: each(server_did),
        };
        Ok(Some(Outcome { round, sums }))
    }

    /// Has each worker make requests, one after the other, at least one and at most `most`, until it is time.
    async fn all(
        &self,
        mut workers: Vec<Done>,
        until: Instant,
        most: usize,
        watch: &dyn Watch,
    ) -> Result<Vec<Done>, String> {
        let work = async {
            if let [alone] = &mut workers[..] {
                let done = self.clone().work(std::mem::take(alone), until, most).await?;
                return Ok(vec![done]);
            }
            let mut tasks: JoinSet<_> = workers.into_iter().map(|done| self.clone().work(done, until, most)).collect();
            let mut all = Vec::with_capacity(tasks.len());
            while let Some(done) = tasks.join_next().await {
                all.push(done.map_err(|error| error.to_string())??);
            }
            Ok(all)
        };
        let mut look = tokio::time::interval(LOOK);
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = look.tick() => self.stop.store(watch.stopped(), Ordering::Relaxed),
            }
        }
    }

    async fn work(self, mut done: Done, until: Instant, most: usize) -> Result<Done, String> {
        loop {
            let begun = Instant::now();
            let timings = self.operation().await?;
            let ended = Instant::now();
            done.latencies.push(ended - begun);
            if let Some(timings) = timings {
                done.sums.add(&timings);
            }
            if ended >= until || done.latencies.len() >= most || self.stop.load(Ordering::Relaxed) {
                return Ok(done);
            }
        }
    }

    /// One GET, its body read to the end and compared.
    async fn operation(&self) -> Result<Option<Timings>, String> {
        let response = self.client.get(&*self.url).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let timings = response.extensions().get::<Timings>().cloned();
        let body = response.bytes().await.map_err(|error| error.to_string())?;
        if status != 200 || body != self.want {
            let got = String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned();
            return Err(format!(
                "GET {} was answered {status} with {} bytes, {got:?}, instead of 200 with {} bytes",
                self.url,
                body.len(),
                self.want.len()
            ));
        }
        Ok(timings)
    }
}

/// How often a round looks whether it shall stop.
const LOOK: Duration = Duration::from_millis(50);

fn count(workers: &[Done]) -> usize {
    workers.iter().map(|done| done.latencies.len()).sum()
}

/// The nearest rank.
pub(super) fn percentile(sorted: &[Duration], share: f64) -> Duration {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length is a small count")]
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_nearest_rank() {
        let sorted: Vec<Duration> = (1..=200).map(Duration::from_micros).collect();
        assert_eq!(percentile(&sorted, 0.5), Duration::from_micros(100));
        assert_eq!(percentile(&sorted, 0.99), Duration::from_micros(198));
        assert_eq!(percentile(&sorted, 1.0), Duration::from_micros(200));
        assert_eq!(percentile(&sorted[..1], 0.5), Duration::from_micros(1));
        assert_eq!(percentile(&[], 0.5), Duration::ZERO);
    }
}
