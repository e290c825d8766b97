//! Clients of others. Each as its documentation shows; no delay of small packets is their default but hyper-util's, where it is set.

use std::time::Duration;

use super::{check, document, drive, said};

/// hyper-util's pool, the one under most clients.
pub(super) async fn hyper_util(addr: String, requests: u64, tasks: u64) -> Result<(), String> {
    use http_body_util::BodyExt as _;
    use hyper_util::client::legacy::Client;
    use hyper_util::client::legacy::connect::HttpConnector;
    use hyper_util::rt::TokioExecutor;

    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, http_body_util::Empty<bytes::Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let uri: http::Uri = format!("http://{addr}/").parse().map_err(said)?;
    drive(requests, tasks, |requests| {
        let (client, uri) = (client.clone(), uri.clone());
        async move {
            for _ in 0..requests {
                let response = client.get(uri.clone()).await.map_err(said)?;
                check(&response.into_body().collect().await.map_err(said)?.to_bytes())?;
            }
            Ok(())
        }
    })
    .await
}

/// reqwest without TLS, compression or cookies built in.
pub(super) async fn reqwest(addr: String, requests: u64, tasks: u64) -> Result<(), String> {
    let client = reqwest::Client::new();
    drive(requests, tasks, |requests| {
        let (client, url) = (client.clone(), format!("http://{addr}/"));
        async move {
            for _ in 0..requests {
                let response = client.get(&url).send().await.map_err(said)?;
                check(response.text().await.map_err(said)?.as_bytes())?;
            }
            Ok(())
        }
    })
    .await
}

/// The same with cookies and a limit on time.
pub(super) async fn session(addr: String, requests: u64, tasks: u64) -> Result<(), String> {
    let client = reqwest::Client::builder().cookie_store(true).timeout(Duration::from_secs(30)).build();
    let client = client.map_err(said)?;
    drive(requests, tasks, |requests| {
        let (client, url) = (client.clone(), format!("http://{addr}/"));
        async move {
            for _ in 0..requests {
                let response = client.get(&url).send().await.map_err(said)?;
                check(response.text().await.map_err(said)?.as_bytes())?;
            }
            Ok(())
        }
    })
    .await
}

/// A POST of a small JSON document.
pub(super) async fn json(addr: String, requests: u64, tasks: u64) -> Result<(), String> {
    let client = reqwest::Client::new();
    drive(requests, tasks, |requests| {
        let (client, url) = (client.clone(), format!("http://{addr}/"));
        async move {
            for _ in 0..requests {
                let response = client.post(&url).json(&document()).send().await.map_err(said)?;
                check(response.text().await.map_err(said)?.as_bytes())?;
            }
            Ok(())
        }
    })
    .await
}

/// ureq blocks: each task is a thread, and they share one agent, whose pool keeps a connection for each.
pub(super) fn ureq(addr: &str, requests: u64, tasks: u64) -> Result<(), String> {
    let keep = usize::try_from(tasks).map_err(said)?;
    let config = ureq::Agent::config_builder().max_idle_connections(keep).max_idle_connections_per_host(keep);
    let (agent, url) = (config.build().new_agent(), format!("http://{addr}/"));
    let send = |requests| {
        for _ in 0..requests {
            let mut response = agent.get(&url).call().map_err(said)?;
            check(response.body_mut().read_to_string().map_err(said)?.as_bytes())?;
        }
        Ok(())
    };
    if tasks == 1 {
        return send(requests);
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..tasks).map(|_| scope.spawn(|| send(requests / tasks))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
    })
}
