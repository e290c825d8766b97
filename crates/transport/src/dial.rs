//! Opening a connection to a host of the pool.

use std::time::Duration;

use roundtrip_types::{Error, ErrorKind, Phase, Result};

use crate::TransportConfig;
use crate::key::Key;
use crate::net::dial::{Names, Opened, open};
use crate::net::{ConnInfo, Dialed, Facts, Resolver, Scheme, Target, TcpConfig};

/// Opens a connection to `key` within `limit`, names and addresses included.
///
/// # Errors
/// Kind `Connect` or `Timeout`, with the phase. If several addresses were tried, each is named with its own cause.
///
/// # Cancel safety
/// Dropping the future gives the attempt up; nothing is left open.
pub(crate) async fn dial(config: &TransportConfig, key: &Key, limit: Option<Duration>) -> Result<Dialed> {
    let target = Target::new(Scheme::Http, key.host(), key.port());
    let (names, tcp) = (Names::Asked(Resolver::default()), TcpConfig::default());
    let mut phase = Phase::Dns;
    let opening = open(&target, &config.dial, &names, &tcp, &mut phase);
    let opened = match limit {
        None => opening.await?,
        Some(limit) => match tokio::time::timeout(limit, opening).await {
            Ok(done) => done?,
            Err(_) => {
                let doing = if phase == Phase::Dns { "resolve" } else { "connect" };
                let message = format!("{doing} {key}: not done within {limit:?} (connect_timeout)");
                return Err(Error::new(ErrorKind::Timeout, message).with_phase(phase));
            }
        },
    };
    let Opened { stream, peer, local, tls, dns, connect } = opened;
    let info = ConnInfo::new(Facts { peer, local, tls, ..Facts::default() });
    Ok(Dialed { stream, info, dns, connect: Some(connect), proxy: None, tls: None })
}
