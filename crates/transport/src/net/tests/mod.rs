//! The connector over real sockets: what a stranger's network does to it.

mod dialing;
mod peers;
#[cfg(feature = "tls")]
mod proxies;
#[cfg(feature = "tls")]
mod securing;

use std::time::Duration;

use roundtrip_types::Result;

use super::{Alpn, ConnectConfig, Connector, Dialed, Proxy, Scheme, Target};

async fn connect(config: ConnectConfig, target: &Target, proxy: Option<&Proxy>) -> Result<Dialed> {
    let limit = Some(Duration::from_secs(30));
    Connector::new(config, None).connect(target, proxy, Alpn::Http2OrHttp1, limit).await
}

fn http(host: &str, port: u16) -> Target {
    Target::new(Scheme::Http, host, port)
}

#[cfg(feature = "tls")]
fn https(host: &str, port: u16) -> Target {
    Target::new(Scheme::Https, host, port)
}
