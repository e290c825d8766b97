//! Our transport, and our client on it, as they are by default.

use std::sync::Arc;
use std::time::Duration;

use roundtrip_client::{Client, ClientConfig, Jar, MemoryJar};
use roundtrip_transport::{RoundTripper, Transport};
use roundtrip_types::{Body, MessageExt};

use super::{check, document, drive, said};

/// The pool by itself: from a request to a response.
pub(super) async fn transport(addr: String, requests: u64, tasks: u64) -> Result<(), String> {
    let transport = Transport::new();
    let uri: http::Uri = format!("http://{addr}/").parse().map_err(said)?;
    drive(requests, tasks, |requests| {
        let (transport, uri) = (transport.clone(), uri.clone());
        async move {
            for _ in 0..requests {
                let request = http::Request::get(uri.clone()).body(Body::empty()).map_err(said)?;
                let response = transport.round_trip(request).await.map_err(said)?;
                check(&response.bytes().await.map_err(said)?)?;
            }
            Ok(())
        }
    })
    .await
}

/// From the text of a URL to the text of the body.
pub(super) async fn client(addr: String, requests: u64, tasks: u64) -> Result<(), String> {
    let client = Client::new();
    drive(requests, tasks, |requests| {
        let (client, url) = (client.clone(), format!("http://{addr}/"));
        async move {
            for _ in 0..requests {
                let response = client.get(&url).await.map_err(said)?;
                check(response.text().await.map_err(said)?.as_bytes())?;
            }
            Ok(())
        }
    })
    .await
}

/// The same with cookies and a limit on time.
pub(super) async fn session(addr: String, requests: u64, tasks: u64) -> Result<(), String> {
    let jar: Option<Arc<dyn Jar>> = Some(Arc::new(MemoryJar::new()));
    let config = ClientConfig { jar, timeout: Some(Duration::from_secs(30)), ..ClientConfig::default() };
    let client = Client::with_config(Transport::new(), config);
    drive(requests, tasks, |requests| {
        let (client, url) = (client.clone(), format!("http://{addr}/"));
        async move {
            for _ in 0..requests {
                let response = client.get(&url).await.map_err(said)?;
                check(response.text().await.map_err(said)?.as_bytes())?;
            }
            Ok(())
        }
    })
    .await
}

/// A POST of a small JSON document.
pub(super) async fn json(addr: String, requests: u64, tasks: u64) -> Result<(), String> {
    let client = Client::new();
    drive(requests, tasks, |requests| {
        let (client, url) = (client.clone(), format!("http://{addr}/"));
        async move {
            for _ in 0..requests {
                let response = client.post(&url).json(&document()).await.map_err(said)?;
                check(response.text().await.map_err(said)?.as_bytes())?;
            }
            Ok(())
        }
    })
    .await
}
