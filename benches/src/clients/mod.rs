//! The clients that are compared. Each makes the same request in the way its own documentation shows.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use tokio::runtime::{Builder, Runtime};

use crate::servers::GREETING;

/// What a request costs a client.
pub mod cost;
pub mod floor_server;
pub mod go;
mod hyper;
mod ours;
#[cfg(feature = "peers")]
mod peers;

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
    /// Sends so many requests in so many threads.
    #[cfg_attr(not(feature = "peers"), expect(dead_code, reason = "only peers block"))]
    Blocking(fn(&str, u64, u64) -> Result<(), String>),
}

/// All requests of a measurement: one box for all of them, so that each is counted as it is.
type Running = Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// All that this program was built with.
#[must_use]
pub fn all() -> Vec<Contestant> {
    let mut all = vec![
        Contestant { name: "socket", kind: Kind::Async(|addr, n, tasks| Box::pin(hyper::socket(addr, n, tasks))) },
        Contestant { name: "hyper", kind: Kind::Async(|addr, n, tasks| Box::pin(hyper::hyper(addr, n, tasks))) },
        Contestant { name: "transport", kind: Kind::Async(|addr, n, tasks| Box::pin(ours::transport(addr, n, tasks))) },
        Contestant { name: "client", kind: Kind::Async(|addr, n, tasks| Box::pin(ours::client(addr, n, tasks))) },
        Contestant {
            name: "client-session",
            kind: Kind::Async(|addr, n, tasks| Box::pin(ours::session(addr, n, tasks))),
        },
        Contestant { name: "client-json", kind: Kind::Async(|addr, n, tasks| Box::pin(ours::json(addr, n, tasks))) },
    ];
    all.extend(built_peers());
    all
}

#[cfg(feature = "peers")]
fn built_peers() -> Vec<Contestant> {
    vec![
        Contestant {
            name: "hyper-util",
            kind: Kind::Async(|addr, n, tasks| Box::pin(peers::hyper_util(addr, n, tasks))),
        },
        Contestant { name: "reqwest", kind: Kind::Async(|addr, n, tasks| Box::pin(peers::reqwest(addr, n, tasks))) },
        Contestant {
            name: "reqwest-session",
            kind: Kind::Async(|addr, n, tasks| Box::pin(peers::session(addr, n, tasks))),
        },
        Contestant { name: "reqwest-json", kind: Kind::Async(|addr, n, tasks| Box::pin(peers::json(addr, n, tasks))) },
        Contestant { name: "ureq", kind: Kind::Blocking(peers::ureq) },
    ]
}

/// They are built with the feature `peers`.
#[cfg(not(feature = "peers"))]
fn built_peers() -> Vec<Contestant> {
    Vec::new()
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
            Kind::Blocking(run) => run(addr, requests, 1),
            Kind::Async(run) => {
                let runtime = Builder::new_current_thread().enable_all().build().map_err(said)?;
                runtime.block_on(run(addr.to_owned(), requests, 1))
            }
        }
    }

    /// One request after the other, from the main task of a runtime with a worker for each processor that it may use.
    /// Returns `false` if it blocks and so has no such way.
    ///
    /// # Errors
    /// A request failed, or was not answered with the greeting.
    pub fn run_from_main(&self, addr: &str, requests: u64) -> Result<bool, String> {
        let Kind::Async(run) = self.kind else { return Ok(false) };
        workers()?.block_on(run(addr.to_owned(), requests, 1)).map(|()| true)
    }

    /// Many requests at once, by tasks of a runtime with a worker for each processor that it may use, or by threads if it blocks.
    ///
    /// # Errors
    /// A request failed, or was not answered with the greeting.
    pub fn run_many(&self, addr: &str, requests: u64, tasks: u64) -> Result<(), String> {
        match self.kind {
            Kind::Blocking(run) => run(addr, requests, tasks),
            Kind::Async(run) => workers()?.block_on(run(addr.to_owned(), requests, tasks)),
        }
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
        task.await.map_err(said)??;
    }
    Ok(())
}

/// As `#[tokio::main]` makes it.
fn workers() -> Result<Runtime, String> {
    Builder::new_multi_thread().enable_all().build().map_err(said)
}

/// Everybody has to get the greeting.
fn check(body: &[u8]) -> Result<(), String> {
    if body == GREETING.as_bytes() {
        return Ok(());
    }
    let start = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
    Err(format!("the body has {} bytes and begins {start:?} instead of being {GREETING:?}", body.len()))
}

/// What went wrong, in words.
fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// What is posted.
fn document() -> BTreeMap<&'static str, u32> {
    BTreeMap::from([("x", 1), ("y", 2)])
}
