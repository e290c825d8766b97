//! Connections that do nothing, and what they cost.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::time::Duration;

use roundtrip_transport::{RoundTripper, Transport, TransportConfig};
use roundtrip_types::{Body, MessageExt};
use tokio::runtime::Builder;

use super::{Outcome, Report, ensure, peers};
use crate::alloc::live_bytes;

/// Idle connections, held open.
#[derive(Debug)]
pub struct Idle {
    /// How many.
    pub connections: usize,
    /// For how long their cost at rest is watched.
    pub watch: Duration,
}

/// Serves the idle connections, for as long as the process lives: best in a process of its own, so that its memory is not counted.
///
/// # Errors
/// If it cannot listen.
pub fn serve_idle() -> std::io::Result<SocketAddr> {
    let together: Mutex<HashMap<usize, Arc<Barrier>>> = Mutex::default();
    peers::start(move |mut stream| {
        let mut buf = Vec::new();
        while let Some(head) = peers::read_head(&mut stream, &mut buf)? {
            let target = peers::target(&head);
            // `/together/N` is answered when N such requests have come, so each has a connection of its own.
            if let Some(count) = target.strip_prefix("/together/").and_then(|count| count.parse().ok()) {
                let mut together = together.lock().unwrap_or_else(PoisonError::into_inner);
                let barrier = Arc::clone(together.entry(count).or_insert_with(|| Arc::new(Barrier::new(count))));
                drop(together);
                barrier.wait();
            }
            peers::answer(&mut stream, &target)?;
        }
        Ok(())
    })
}

/// Opens so many connections to `addr`, lets them lie idle, and counts what they cost. The memory is that of the allocator alone, and only
/// where [`Counting`](crate::alloc::Counting) is installed; the kernel's part of a socket is not in it.
///
/// # Errors
/// If a request fails, or the connections are not all idle in the end; if one remains after the idle ones were closed.
pub fn idle(addr: SocketAddr, load: &Idle) -> Outcome {
    let n = load.connections;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let transport = Transport::with_config(TransportConfig {
        max_idle_conns: n,
        max_idle_conns_per_host: n,
        max_conns_per_host: None,
        ..TransportConfig::default()
    });
    runtime.block_on(async {
        let uri: http::Uri = format!("http://{addr}/idle").parse().map_err(|_| "an address makes a URI".to_owned())?;
        // What is there once for all is there before the count.
        fetch(&transport, &uri).await?;
        transport.close_idle_connections();
        let before = live_bytes();
        let mut left = n;
        while left > 0 {
            left -= transport.warm(&uri, left.min(32)).await.map_err(|error| error.to_string())?;
        }
        // Each has carried a request, as idle connections have.
        let fetching: Vec<_> = (0..n)
            .map(|_| {
                let (transport, uri) = (transport.clone(), uri.clone());
                tokio::spawn(async move { fetch(&transport, &uri).await })
            })
            .collect();
        for fetched in fetching {
            fetched.await.map_err(|error| error.to_string())??;
        }
        tokio::task::yield_now().await;
        let stats = transport.stats();
        ensure(stats.idle == n, || format!("{} of {n} connections are idle", stats.idle))?;
        #[expect(clippy::cast_precision_loss, reason = "bytes are far below 2^53")]
        let each = (live_bytes() - before) as f64 / n as f64;
        let cpu = cpu_time();
        tokio::time::sleep(load.watch).await;
        let used = cpu_time().zip(cpu).map(|(after, before)| after.saturating_sub(before));
        transport.close_idle_connections();
        let stats = transport.stats();
        ensure(stats.open() == 0, || format!("{} connections remain", stats.open()))?;
        Ok(Report::default()
            .with("connections", n)
            .with("bytes each", format!("{each:.0}"))
            .with("cpu at rest", used.map_or_else(|| "unknown".into(), |used| format!("{used:?} in {:?}", load.watch))))
    })
}

/// As [`idle`], for the pool of hyper-util's legacy client: what ours is compared with.
///
/// # Errors
/// If a request fails.
#[cfg(feature = "peers")]
pub fn idle_hyper_util(addr: SocketAddr, load: &Idle) -> Outcome {
    use http_body_util::{BodyExt as _, Empty};
    use hyper_util::client::legacy::Client;
    use hyper_util::client::legacy::connect::HttpConnector;
    use hyper_util::rt::{TokioExecutor, TokioTimer};

    let n = load.connections;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_max_idle_per_host(n).pool_timer(TokioTimer::new());
        let client: Client<HttpConnector, Empty<bytes::Bytes>> = builder.build_http();
        let before = live_bytes();
        let fetching: Vec<_> = (0..n)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move {
                    let uri = format!("http://{addr}/together/{n}").parse().map_err(|_| "no URI".to_owned())?;
                    let response = client.get(uri).await.map_err(|error| error.to_string())?;
                    response.into_body().collect().await.map(drop).map_err(|error| error.to_string())
                })
            })
            .collect();
        for fetched in fetching {
            fetched.await.map_err(|error| error.to_string())??;
        }
        // Its connections go back to the pool by tasks of their own.
        tokio::time::sleep(Duration::from_millis(50)).await;
        #[expect(clippy::cast_precision_loss, reason = "bytes are far below 2^53")]
        let each = (live_bytes() - before) as f64 / n as f64;
        let cpu = cpu_time();
        tokio::time::sleep(load.watch).await;
        let used = cpu_time().zip(cpu).map(|(after, before)| after.saturating_sub(before));
        Ok(Report::default()
            .with("connections", n)
            .with("bytes each", format!("{each:.0}"))
            .with("cpu at rest", used.map_or_else(|| "unknown".into(), |used| format!("{used:?} in {:?}", load.watch))))
    })
}

async fn fetch(transport: &Transport, uri: &http::Uri) -> Result<(), String> {
    let req = http::Request::get(uri.clone()).body(Body::empty()).map_err(|error| error.to_string())?;
    let response = transport.round_trip(req).await.map_err(|error| error.to_string())?;
    let text = response.text().await.map_err(|error| error.to_string())?;
    ensure(text == "/idle", || format!("it was answered {text:?}"))
}

/// The processor time of this process so far, where the system tells (Linux), in steps of 10 ms.
fn cpu_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may hold anything; the times are the 12th and 13th words behind it.
    let mut words = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = words.next()?.parse().ok()?;
    let system: u64 = words.next()?.parse().ok()?;
    Some(Duration::from_millis(10 * (user + system)))
}
