//! The transport of a scenario.

use std::sync::Arc;
use std::time::Duration;

use roundtrip_transport::{ConnectConfig, Dialer, Protocols, TransportConfig};

use crate::identity::Identity;
use crate::latency::Distance;
use crate::model::{Case, Pooling, Protocol, Security};

/// Our transport as it is by default, but for what the case is about.
///
/// # Errors
/// The certificate is of no use.
pub(super) fn transport(case: &Case, identity: &Identity) -> Result<TransportConfig, String> {
    let tls = match case.security {
        Security::Plain => roundtrip_transport::TlsConfig::default(),
        Security::Tls => identity.for_client(0)?,
        Security::TlsResumed => identity.for_client(SESSIONS)?,
    };
    let dial = match case.rtt_ms {
        0 => Dialer::Tcp,
        rtt => Dialer::Custom(Arc::new(Distance { round_trip: Duration::from_millis(rtt.into()) })),
    };
    Ok(TransportConfig {
        disable_keep_alives: case.pooling == Pooling::NoPool,
        max_idle_conns: case.concurrency,
        max_idle_conns_per_host: case.concurrency,
        // Every worker may have a connection.
        max_conns_per_host: None,
        protocols: match case.protocol {
            Protocol::Http1 => Protocols::Http1,
            Protocol::Http2 => Protocols::Http2,
        },
        connect: ConnectConfig { dial, tls, ..ConnectConfig::default() },
        ..TransportConfig::default()
    })
}

/// The default.
const SESSIONS: usize = 256;
