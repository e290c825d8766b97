//! One round: warm up, find out how many operations fill the time, measure those.

use std::time::{Duration, Instant};

use roundtrip_client::Client;
use roundtrip_types::MessageExt;

use crate::args::Args;
use crate::server::{GREETING, Running};
use roundtrip_bench::alloc::{Allocated, Side};

/// What one round measured.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    /// Operations measured.
    pub(crate) requests: u64,
    /// Those and the warm-up's.
    pub(crate) all_requests: u64,
    /// Connections that the server accepted, for all requests.
    pub(crate) connections: u64,
    pub(crate) elapsed: Duration,
    /// Of each measured operation, sorted.
    pub(crate) latencies: Vec<Duration>,
    pub(crate) client: Allocated,
    pub(crate) server: Allocated,
}

impl Round {
    pub(crate) fn ns_per_op(&self) -> f64 {
        self.elapsed.as_secs_f64() * 1e9 / self.requests as f64
    }

    pub(crate) fn allocs_per_op(&self, side: Side) -> f64 {
        self.allocated(side).count as f64 / self.requests as f64
    }

    pub(crate) fn bytes_per_op(&self, side: Side) -> f64 {
        self.allocated(side).bytes as f64 / self.requests as f64
    }

    /// The latency that a share of all operations did not exceed.
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        percentile(&self.latencies, share)
    }

    fn allocated(&self, side: Side) -> Allocated {
        match side {
            Side::Client => self.client,
            Side::Server => self.server,
        }
    }
}

fn percentile(sorted: &[Duration], share: f64) -> Duration {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length is a small count")]
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Operations before the clock starts, per worker; the first opens the connection.
const WARM_UP: u64 = 50;

/// Measures one round against `server`.
pub(crate) async fn round(client: &Client, server: &Running, args: &Args) -> Result<Round, String> {
    let url = format!("http://{}/", server.addr);
    let workers = args.concurrency as u64;
    let begun = Instant::now();
    let warmed: u64 = all(client, &url, workers, WARM_UP).await?.len() as u64;
    let each = begun.elapsed().as_secs_f64() / WARM_UP as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least one and far from the limits")]
    let per_worker = (args.time.as_secs_f64() / each).max(1.0) as u64;

    let before = (Allocated::by(Side::Client), Allocated::by(Side::Server));
    let begun = Instant::now();
    let mut latencies = all(client, &url, workers, per_worker).await?;
    let elapsed = begun.elapsed();
    let (client_did, server_did) = (Allocated::by(Side::Client) - before.0, Allocated::by(Side::Server) - before.1);
    latencies.sort_unstable();
    let requests = latencies.len() as u64;
    Ok(Round {
        requests,
        all_requests: requests + warmed,
        connections: server.connections(),
        elapsed,
        latencies,
        client: client_did,
        server: server_did,
    })
}

/// `per_worker` operations in each of `workers` tasks. Returns how long each took.
async fn all(client: &Client, url: &str, workers: u64, per_worker: u64) -> Result<Vec<Duration>, String> {
    if workers == 1 {
        return worker(client.clone(), url.to_owned(), per_worker).await;
    }
    let tasks: Vec<_> =
        (0..workers).map(|_| tokio::spawn(worker(client.clone(), url.to_owned(), per_worker))).collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.map_err(|error| error.to_string())??);
    }
    Ok(latencies)
}

async fn worker(client: Client, url: String, count: u64) -> Result<Vec<Duration>, String> {
    let mut latencies = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    for _ in 0..count {
        let begun = Instant::now();
        operation(&client, &url).await?;
        latencies.push(begun.elapsed());
    }
    Ok(latencies)
}

/// One GET, its body read to the end and compared.
async fn operation(client: &Client, url: &str) -> Result<(), String> {
    let response = client.get(url).await.map_err(|error| error.to_string())?;
    let status = response.status();
    let body = response.bytes().await.map_err(|error| error.to_string())?;
    if status != 200 || body != GREETING {
        return Err(format!("GET {url} was answered {status} {body:?} instead of 200 {GREETING:?}"));
    }
    Ok(())
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
