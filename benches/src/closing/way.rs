//! The four ways, and asking in one of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use roundtrip_client::{Client, ClientConfig};
use roundtrip_transport::{ConnectConfig, Dialer, Resolver, Transport, TransportConfig};
use roundtrip_types::MessageExt;
use tokio::runtime::Builder;

use super::time_wait::{self, Waiting};
use crate::alloc::{Allocated, Side};
use crate::identity::Identity;
use crate::latency::{self, Distance};
use crate::model::{Protocol, Security};
use crate::servers::GREETING;
use crate::servers::embedded::{Running, Settings};
use crate::watch::Watch;

/// A way of making requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The client keeps connections.
    Pool,
    /// It would, but the server closes them.
    ServerCloses,
    /// The client opens one for each request.
    NoPool,
    /// There is a client for each request.
    NewClient,
}

/// Under which conditions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conditions {
    pub(super) security: Security,
    /// How far the server is; zero is plain loopback.
    pub(super) round_trip: Duration,
    /// How long finding a name takes; it is not looked up where the server is far.
    pub(super) lookup: Duration,
    pub(super) requests: u32,
}

/// What came of it, all but the median for one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) median: Duration,
    pub(super) connections: f64,
    pub(super) resumed: f64,
    pub(super) lookups: f64,
    pub(super) client: f64,
    pub(super) server: f64,
    /// `None` where the system does not tell.
    pub(super) waiting: Option<Waiting>,
}

impl Way {
    /// All, in the order of figures.
    pub const ALL: [Way; 4] = [Way::Pool, Way::ServerCloses, Way::NoPool, Way::NewClient];

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Way::Pool => "pool",
            Way::ServerCloses => "server closes",
            Way::NoPool => "no pool",
            Way::NewClient => "new client",
        }
    }

    /// Makes requests, one after the other, fewer if it is stopped before, but two at least. The counts are those of all of them; the
    /// median leaves out the first, which opens what there is to use again.
    pub(super) fn ask(self, conditions: &Conditions, identity: &Identity, watch: &dyn Watch) -> Result<Asked, String> {
        let secured = conditions.security != Security::Plain;
        let server = Running::start(&Settings {
            keep_alives: self != Way::ServerCloses,
            protocol: Protocol::Http1,
            identity: secured.then_some(identity),
            body: GREETING.len(),
        })?;
        let lookups = Arc::<AtomicU64>::default();
        let config = self.config(conditions, identity, &lookups)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        let scheme = if secured { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{}/", server.addr().port());
        let before = (Allocated::by(Side::Client), Allocated::by(Side::Server));
        let mut took = Vec::with_capacity(conditions.requests as usize);
        let asking = runtime.block_on(async {
            let kept = Client::with_config(Transport::with_config(config.clone()), ClientConfig::default());
            while took.len() < conditions.requests as usize && (took.len() < 2 || !watch.stopped()) {
                let begun = Instant::now();
                if self == Way::NewClient {
                    let fresh = Client::with_config(Transport::with_config(config.clone()), ClientConfig::default());
                    get(&fresh, &url).await?;
                } else {
                    get(&kept, &url).await?;
                }
                took.push(begun.elapsed());
            }
            Ok::<_, String>(())
        });
        asking.map_err(|error| format!("{}: {error}", self.name()))?;
        let client = Allocated::by(Side::Client) - before.0;
        let allocated = Allocated::by(Side::Server) - before.1;
        let requests = took.len() as f64;
        let each = |count: u64| count as f64 / requests;
        let waiting = time_wait::of(server.addr().port())
            .map(|waiting| Waiting { client: waiting.client / requests, server: waiting.server / requests });
        let behind_the_first = &mut took[1..];
        behind_the_first.sort_unstable();
        let asked = Asked {
            median: behind_the_first.get(behind_the_first.len() / 2).copied().unwrap_or_default(),
            connections: each(server.connections()),
            resumed: each(server.resumed()),
            lookups: each(lookups.load(Ordering::Relaxed)),
            client: each(client.count),
            server: each(allocated.count),
            waiting,
        };
        drop(runtime);
        server.stop()?;
        Ok(asked)
    }

    fn config(
        self,
        conditions: &Conditions,
        identity: &Identity,
        lookups: &Arc<AtomicU64>,
    ) -> Result<TransportConfig, String> {
        let (lookups, takes) = (Arc::clone(lookups), conditions.lookup);
        let resolve = Resolver::from_fn(move |_name| {
            lookups.fetch_add(1, Ordering::Relaxed);
            async move {
                latency::sleep(takes).await;
                Ok(vec![([127, 0, 0, 1], 0).into()])
            }
        });
        let dial = match conditions.round_trip {
            Duration::ZERO => Dialer::Tcp,
            round_trip => Dialer::Custom(Arc::new(Distance { round_trip })),
        };
        let tls = match conditions.security {
            Security::Plain => roundtrip_transport::TlsConfig::default(),
            Security::Tls => identity.for_client(0)?,
            Security::TlsResumed => identity.for_client(256)?,
        };
        Ok(TransportConfig {
            disable_keep_alives: self == Way::NoPool,
            connect: ConnectConfig { dial, resolve, tls, ..ConnectConfig::default() },
            ..TransportConfig::default()
        })
    }
}

async fn get(client: &Client, url: &str) -> Result<(), String> {
    let response = client.get(url).await.map_err(|error| error.to_string())?;
    let body = response.bytes().await.map_err(|error| error.to_string())?;
    if body == GREETING { Ok(()) } else { Err(format!("GET {url} was answered with {} other bytes", body.len())) }
}
