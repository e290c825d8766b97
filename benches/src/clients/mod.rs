//! The clients that are compared. Each makes the same request in the way its own documentation shows.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use roundtrip_client::{Client, ClientConfig, Jar, MemoryJar};
use roundtrip_transport::{RoundTripper, Transport};
use roundtrip_types::{Body, MessageExt};
use tokio::runtime::{Builder, Runtime};

/// What a request costs a client.
pub mod cost;
/// A server that costs as little as a server can, for the clients to be measured with.
pub mod floor_server;

/// Something that sends requests.
#[derive(Debug)]
pub struct Contestant {
    /// What it is called, on the command line too.
    pub name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Sends so many requests in so many tasks.
    Async(fn(String, u64, u64) -> Running),
    /// Sends so many requests.
    #[cfg_attr(not(feature = "peers"), expect(dead_code, reason = "only peers block"))]
    Blocking(fn(&str, u64) -> Result<(), String>),
}

/// All requests of a measurement: one box for all of them, so that each is counted as it is.
type Running = Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// The length of the body that everybody has to get.
const BODY: usize = 19;

/// All that this program was built with.
#[must_use]
pub fn all() -> Vec<Contestant> {
    let ours = [
        Contestant { name: "socket", kind: Kind::Async(|addr, n, tasks| Box::pin(socket(addr, n, tasks))) },
        Contestant { name: "hyper", kind: Kind::Async(|addr, n, tasks| Box::pin(hyper(addr, n, tasks))) },
        Contestant { name: "transport", kind: Kind::Async(|addr, n, tasks| Box::pin(transport(addr, n, tasks))) },
        Contestant { name: "client", kind: Kind::Async(|addr, n, tasks| Box::pin(client(addr, n, tasks))) },
        Contestant { name: "client-session", kind: Kind::Async(|addr, n, tasks| Box::pin(session(addr, n, tasks))) },
        Contestant { name: "client-json", kind: Kind::Async(|addr, n, tasks| Box::pin(json(addr, n, tasks))) },
    ];
    ours.into_iter().chain(peers::all()).collect()
}

/// The one of that name.
///
/// # Errors
/// There is none; the error names those there are.
pub fn find(name: &str) -> Result<Contestant, String> {
    all().into_iter().find(|contestant| contestant.name == name).ok_or_else(|| {
        let known: Vec<_> = all().iter().map(|contestant| contestant.name).collect();
        format!("no client is called {name:?}; there are {}", known.join(", "))
    })
}

impl Contestant {
    /// One request after the other, on the runtime's own thread.
    ///
    /// # Errors
    /// A request failed, or was not answered with the greeting.
    pub fn run(&self, addr: &str, requests: u64) -> Result<(), String> {
        match self.kind {
            Kind::Blocking(run) => run(addr, requests),
            Kind::Async(run) => {
                let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
                runtime.block_on(run(addr.to_owned(), requests, 1))
            }
        }
    }

    /// One request after the other, from the main task of a runtime of two workers.
    /// Returns `false` if it blocks and so has no such way.
    ///
    /// # Errors
    /// A request failed, or was not answered with the greeting.
    pub fn run_from_main(&self, addr: &str, requests: u64) -> Result<bool, String> {
        let Kind::Async(run) = self.kind else { return Ok(false) };
        two_workers()?.block_on(run(addr.to_owned(), requests, 1)).map(|()| true)
    }

    /// Many requests at once, by tasks of a runtime of two workers.
    /// Returns `false` if it blocks and so has no such way.
    ///
    /// # Errors
    /// A request failed, or was not answered with the greeting.
    pub fn run_many(&self, addr: &str, requests: u64, tasks: u64) -> Result<bool, String> {
        let Kind::Async(run) = self.kind else { return Ok(false) };
        two_workers()?.block_on(run(addr.to_owned(), requests, tasks)).map(|()| true)
    }
}

/// Has `tasks` tasks send their part of the requests; a single one does it where it is.
async fn drive<F>(requests: u64, tasks: u64, send: impl Fn(u64) -> F) -> Result<(), String>
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    if tasks == 1 {
        return send(requests).await;
    }
    let running: Vec<_> = (0..tasks).map(|_| tokio::spawn(send(requests / tasks))).collect();
    for task in running {
        task.await.map_err(|error| error.to_string())??;
    }
    Ok(())
}

fn two_workers() -> Result<Runtime, String> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(|error| error.to_string())
}

fn check(length: usize) -> Result<(), String> {
    if length == BODY { Ok(()) } else { Err(format!("the body has {length} bytes instead of {BODY}")) }
}

/// What went wrong, in words.
fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

async fn connect(addr: &str) -> Result<tokio::net::TcpStream, String> {
    let stream = tokio::net::TcpStream::connect(addr).await.map_err(said)?;
    stream.set_nodelay(true).map_err(said)?;
    Ok(stream)
}

/// A loop around a socket: what the runtime and the system cost. A connection for each task.
async fn socket(addr: String, requests: u64, tasks: u64) -> Result<(), String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    drive(requests, tasks, |requests| {
        let addr = addr.clone();
        async move {
            let mut stream = connect(&addr).await?;
            let request = format!("GET / HTTP/1.1\r\nhost: {addr}\r\n\r\n");
            let mut buf = [0; 4096];
            for _ in 0..requests {
                stream.write_all(request.as_bytes()).await.map_err(said)?;
                let count = stream.read(&mut buf).await.map_err(said)?;
                let end = buf[..count].windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(count);
                check(count - end - 4)?;
            }
            Ok(())
        }
    })
    .await
}

/// hyper's connection, driven by a task as its documentation shows. A connection for each task.
async fn hyper(addr: String, requests: u64, tasks: u64) -> Result<(), String> {
    use http_body_util::BodyExt as _;

    drive(requests, tasks, |requests| {
        let addr = addr.clone();
        async move {
            let io = hyper_util::rt::TokioIo::new(connect(&addr).await?);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(said)?;
            tokio::spawn(connection);
            for _ in 0..requests {
                let request = http::Request::get("/").header("host", &addr);
                let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).map_err(said)?;
                sender.ready().await.map_err(said)?;
                let response = sender.send_request(request).await.map_err(said)?;
                check(response.into_body().collect().await.map_err(said)?.to_bytes().len())?;
            }
            Ok(())
        }
    })
    .await
}

async fn transport(addr: String, requests: u64, tasks: u64) -> Result<(), String> {
    let transport = Transport::new();
    let uri: http::Uri = format!("http://{addr}/").parse().map_err(said)?;
    drive(requests, tasks, |requests| {
        let (transport, uri) = (transport.clone(), uri.clone());
        async move {
            for _ in 0..requests {
                let request = http::Request::get(uri.clone()).body(Body::empty()).map_err(said)?;
                let response = transport.round_trip(request).await.map_err(said)?;
                check(response.bytes().await.map_err(said)?.len())?;
            }
            Ok(())
        }
    })
    .await
}

/// From the text of a URL to the text of the body.
async fn client(addr: String, requests: u64, tasks: u64) -> Result<(), String> {
    let client = Client::new();
    drive(requests, tasks, |requests| {
        let (client, url) = (client.clone(), format!("http://{addr}/"));
        async move {
            for _ in 0..requests {
                let response = client.get(&url).await.map_err(said)?;
                check(response.text().await.map_err(said)?.len())?;
            }
            Ok(())
        }
    })
    .await
}

/// The same with cookies and a limit on time.
async fn session(addr: String, requests: u64, tasks: u64) -> Result<(), String> {
    let jar: Option<Arc<dyn Jar>> = Some(Arc::new(MemoryJar::new()));
    let config = ClientConfig { jar, timeout: Some(Duration::from_secs(30)), ..ClientConfig::default() };
    let client = Client::with_config(Transport::new(), config);
    drive(requests, tasks, |requests| {
        let (client, url) = (client.clone(), format!("http://{addr}/"));
        async move {
            for _ in 0..requests {
                let response = client.get(&url).await.map_err(said)?;
                check(response.text().await.map_err(said)?.len())?;
            }
            Ok(())
        }
    })
    .await
}

/// A POST of a small JSON document.
async fn json(addr: String, requests: u64, tasks: u64) -> Result<(), String> {
    let client = Client::new();
    drive(requests, tasks, |requests| {
        let (client, url) = (client.clone(), format!("http://{addr}/"));
        async move {
            for _ in 0..requests {
                let response = client.post(&url).json(&document()).await.map_err(said)?;
                check(response.text().await.map_err(said)?.len())?;
            }
            Ok(())
        }
    })
    .await
}

/// What is posted.
fn document() -> BTreeMap<&'static str, u32> {
    BTreeMap::from([("x", 1), ("y", 2)])
}

#[cfg(not(feature = "peers"))]
mod peers {
    /// They are built with the feature `peers`.
    pub(super) fn all() -> Vec<super::Contestant> {
        Vec::new()
    }
}

#[cfg(feature = "peers")]
mod peers {
    use super::{Contestant, Duration, Kind, check, document, drive, said};

    pub(super) fn all() -> Vec<Contestant> {
        vec![
            Contestant { name: "hyper-util", kind: Kind::Async(|addr, n, tasks| Box::pin(hyper_util(addr, n, tasks))) },
            Contestant { name: "reqwest", kind: Kind::Async(|addr, n, tasks| Box::pin(reqwest(addr, n, tasks))) },
            Contestant {
                name: "reqwest-session",
                kind: Kind::Async(|addr, n, tasks| Box::pin(session(addr, n, tasks))),
            },
            Contestant { name: "reqwest-json", kind: Kind::Async(|addr, n, tasks| Box::pin(json(addr, n, tasks))) },
            Contestant { name: "ureq", kind: Kind::Blocking(ureq) },
        ]
    }

    async fn hyper_util(addr: String, requests: u64, tasks: u64) -> Result<(), String> {
        use http_body_util::BodyExt as _;
        use hyper_util::client::legacy::Client;
        use hyper_util::client::legacy::connect::HttpConnector;
        use hyper_util::rt::TokioExecutor;

        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client: Client<_, http_body_util::Empty<bytes::Bytes>> =
            Client::builder(TokioExecutor::new()).build(connector);
        let uri: http::Uri = format!("http://{addr}/").parse().map_err(said)?;
        drive(requests, tasks, |requests| {
            let (client, uri) = (client.clone(), uri.clone());
            async move {
                for _ in 0..requests {
                    let response = client.get(uri.clone()).await.map_err(said)?;
                    check(response.into_body().collect().await.map_err(said)?.to_bytes().len())?;
                }
                Ok(())
            }
        })
        .await
    }

    async fn reqwest(addr: String, requests: u64, tasks: u64) -> Result<(), String> {
        let client = reqwest::Client::new();
        drive(requests, tasks, |requests| {
            let (client, url) = (client.clone(), format!("http://{addr}/"));
            async move {
                for _ in 0..requests {
                    let response = client.get(&url).send().await.map_err(said)?;
                    check(response.text().await.map_err(said)?.len())?;
                }
                Ok(())
            }
        })
        .await
    }

    async fn session(addr: String, requests: u64, tasks: u64) -> Result<(), String> {
        let client = reqwest::Client::builder().cookie_store(true).timeout(Duration::from_secs(30)).build();
        let client = client.map_err(said)?;
        drive(requests, tasks, |requests| {
            let (client, url) = (client.clone(), format!("http://{addr}/"));
            async move {
                for _ in 0..requests {
                    let response = client.get(&url).send().await.map_err(said)?;
                    check(response.text().await.map_err(said)?.len())?;
                }
                Ok(())
            }
        })
        .await
    }

    async fn json(addr: String, requests: u64, tasks: u64) -> Result<(), String> {
        let client = reqwest::Client::new();
        drive(requests, tasks, |requests| {
            let (client, url) = (client.clone(), format!("http://{addr}/"));
            async move {
                for _ in 0..requests {
                    let response = client.post(&url).json(&document()).send().await.map_err(said)?;
                    check(response.text().await.map_err(said)?.len())?;
                }
                Ok(())
            }
        })
        .await
    }

    fn ureq(addr: &str, requests: u64) -> Result<(), String> {
        let (agent, url) = (ureq::Agent::new_with_defaults(), format!("http://{addr}/"));
        for _ in 0..requests {
            let mut response = agent.get(&url).call().map_err(said)?;
            check(response.body_mut().read_to_string().map_err(said)?.len())?;
        }
        Ok(())
    }
}
