//! Opening a connection: resolve the name, try its addresses in turn.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use roundtrip_types::{Error, ErrorKind, Phase, Result};
use tokio::net::TcpStream;

use crate::TransportConfig;
use crate::key::Key;
use crate::net::{ConnInfo, Dialed, Facts, Stream};
use crate::shared::now;

/// Opens a connection to `key` within `limit`, names and addresses included.
///
/// # Errors
/// Kind `Connect` or `Timeout`, with the phase. If several addresses were tried, each is named with its own cause.
///
/// # Cancel safety
/// Dropping the future gives the attempt up; nothing is left open.
pub(crate) async fn dial(_config: &TransportConfig, key: &Key, limit: Option<Duration>) -> Result<Dialed> {
    let mut phase = Phase::Dns;
    let Some(limit) = limit else { return open(key, &mut phase).await };
    match tokio::time::timeout(limit, open(key, &mut phase)).await {
        Ok(done) => done,
        Err(_) => {
            let doing = if phase == Phase::Dns { "resolve" } else { "connect" };
            let message = format!("{doing} {key}: not done within {limit:?}");
            Err(Error::new(ErrorKind::Timeout, message).with_phase(phase))
        }
    }
}

async fn open(key: &Key, phase: &mut Phase) -> Result<Dialed> {
    let started = now();
    let mut dns = None;
    let addresses = match key.host().parse::<IpAddr>() {
        Ok(ip) => vec![SocketAddr::new(ip, key.port())],
        Err(_) => {
            let found = resolve(key).await?;
            dns = Some(now().saturating_duration_since(started));
            found
        }
    };
    let connecting = now();
    *phase = Phase::Connect;
    let mut failures = Vec::new();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Requests are written whole, so waiting for more to send only delays them.
                let _ = stream.set_nodelay(true);
                let local = stream.local_addr().ok();
                let info = ConnInfo::new(Facts { peer: address.into(), local, ..Facts::default() });
                let connect = Some(now().saturating_duration_since(connecting));
                return Ok(Dialed { stream: Stream::Tcp(stream), info, dns, connect, proxy: None, tls: None });
            }
            Err(cause) => failures.push((address, cause)),
        }
    }
    Err(all_failed(key, failures).with_phase(Phase::Connect))
}

async fn resolve(key: &Key) -> Result<Vec<SocketAddr>> {
    let failed = |error: Error| error.with_phase(Phase::Dns);
    let found = tokio::net::lookup_host((key.host(), key.port())).await;
    let addresses: Vec<SocketAddr> = found
        .map_err(|cause| failed(Error::new(ErrorKind::Connect, format!("resolve {}", key.host())).with_cause(cause)))?
        .collect();
    if addresses.is_empty() {
        return Err(failed(Error::new(
            ErrorKind::Connect,
            format!("resolve {}: the name has no addresses", key.host()),
        )));
    }
    Ok(addresses)
}

fn all_failed(key: &Key, mut failures: Vec<(SocketAddr, io::Error)>) -> Error {
    let Some((last, cause)) = failures.pop() else {
        return Error::new(ErrorKind::Connect, format!("connect {key}: no address to try"));
    };
    let mut message = format!("connect {last}");
    if !failures.is_empty() {
        message = format!("connect {key}: ");
        for (address, cause) in &failures {
            // Writing into a String cannot fail.
            let _ = write!(message, "{address}: {cause}; ");
        }
        let _ = write!(message, "{last}");
    }
    Error::new(ErrorKind::Connect, message).with_cause(cause)
}

#[cfg(test)]
mod tests {
    use http::uri::Authority;

    use super::*;

    fn refused() -> io::Error {
        io::ErrorKind::ConnectionRefused.into()
    }

    #[test]
    fn every_address_tried_is_named_with_its_cause() {
        let key = Key::http(Authority::from_static("h.test:81")).unwrap();
        let (v6, v4) = ("[::1]:81".parse().unwrap(), "127.0.0.1:81".parse().unwrap());
        assert_eq!(all_failed(&key, vec![(v4, refused())]).to_string(), "connect 127.0.0.1:81: connection refused");
        assert_eq!(
            all_failed(&key, vec![(v6, io::ErrorKind::TimedOut.into()), (v4, refused())]).to_string(),
            "connect h.test:81: [::1]:81: timed out; 127.0.0.1:81: connection refused"
        );
    }
}
