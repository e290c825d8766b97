//! The servers that are compared: each answers `GET /` with the same text, in the way its own documentation shows.
//!
//! All set `TCP_NODELAY`, keep connections alive, and allocate with the system's allocator. None has a log or another layer.

use std::io::BufRead as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::alloc::{self, Allocated, Side};

#[cfg(feature = "peers")]
mod actix;
#[cfg(feature = "peers")]
mod axum;
pub mod embedded;
pub mod go;
mod hyper;
mod ours;

/// What a server costs, measured from outside.
pub mod cost;

/// What every request is answered with.
pub const GREETING: &str = "Hello I am server 3";

/// The servers that this program was built with, by name: hyper by itself; ours with a function as handler; ours with the
/// mux; and with the feature `peers` axum and actix-web.
#[must_use]
pub fn ways() -> Vec<&'static str> {
    let mut ways = vec!["hyper", "handler", "mux"];
    if cfg!(feature = "peers") {
        ways.extend(["axum", "actix"]);
    }
    ways
}

/// What serves the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// The main thread alone: the fewest steps, and those that repeat.
    One,
    /// A runtime with a worker for each processor that may be used, as `#[tokio::main]` makes it.
    Workers,
    /// A runtime and a socket for each processor, where a server has such a mode: ours, and actix-web always. hyper, which knows no
    /// sockets, runs on the main thread alone, which is the same on one processor.
    PerCore,
}

impl Threads {
    /// Its word on the command line of a contestant.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Threads::One => "one",
            Threads::Workers => "workers",
            Threads::PerCore => "per-core",
        }
    }

    /// What that word means.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        [Threads::One, Threads::Workers, Threads::PerCore].into_iter().find(|threads| threads.word() == word)
    }

    fn runtime(self) -> Result<Runtime, String> {
        let runtime = match self {
            Threads::Workers => Builder::new_multi_thread().enable_all().build(),
            Threads::One | Threads::PerCore => Builder::new_current_thread().enable_all().build(),
        };
        runtime.map_err(said)
    }
}

/// What a server does.
#[derive(Clone, Copy, Debug)]
struct Plan {
    threads: Threads,
    /// How long a handler takes.
    delay: Duration,
    ends: Ends,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// With its last connection.
    WithLastConnection,
    /// When standard input says so, or ends.
    WhenTold,
}

/// Is that server until its last connection ends; axum and actix-web, which do not tell of their connections, until standard input does.
/// Prints its address first, and last what it allocated.
///
/// # Errors
/// There is none of that name, or it could not serve.
pub fn serve(way: &str) -> Result<(), String> {
    let ends = if matches!(way, "axum" | "actix") { Ends::WhenTold } else { Ends::WithLastConnection };
    let served = run(way, Plan { threads: Threads::One, delay: Duration::ZERO, ends });
    let allocated = allocated();
    eprintln!("allocated {} {}", allocated.count, allocated.bytes);
    served
}

/// Is that server until standard input says `stop` or ends; then it stops as gracefully as it can, and says so. Prints its address first.
/// Meanwhile it answers on standard output what standard input asks: `allocated`, what it has allocated so far; `live`, how many bytes of that it has not freed; `begun`, how many
/// handlers have begun, if they take time.
///
/// # Errors
/// There is none of that name, or it could not serve.
pub fn serve_until_told(way: &str, threads: Threads, delay: Duration) -> Result<(), String> {
    run(way, Plan { threads, delay, ends: Ends::WhenTold })?;
    say("stopped");
    Ok(())
}

fn run(way: &str, plan: Plan) -> Result<(), String> {
    alloc::work_for(Side::Server);
    match way {
        "hyper" => plan.threads.runtime()?.block_on(hyper::serve(plan)),
        "handler" => plan.threads.runtime()?.block_on(ours::with_handler(plan)),
        "mux" => plan.threads.runtime()?.block_on(ours::with_mux(plan)),
        #[cfg(feature = "peers")]
        "axum" => plan.threads.runtime()?.block_on(axum::serve(plan)),
        #[cfg(feature = "peers")]
        "actix" => actix::serve(plan),
        other => Err(format!("no server is called {other:?}; there are {}", ways().join(", "))),
    }
}

/// What all threads of this process have allocated: all of them serve.
fn allocated() -> Allocated {
    let [client, server] = [Side::Client, Side::Server].map(Allocated::by);
    Allocated { count: client.count + server.count, bytes: client.bytes + server.bytes }
}

/// Handlers that have begun to take time.
static BEGUN: AtomicU64 = AtomicU64::new(0);

/// A handler that takes time.
async fn greet_after(delay: Duration) -> &'static str {
    BEGUN.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(delay).await;
    GREETING
}

/// Listens, and says where.
async fn listen() -> Result<TcpListener, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(said)?;
    say(&listener.local_addr().map_err(said)?.to_string());
    Ok(listener)
}

/// Answers what standard input asks, on a thread; the receiver is told when it says `stop`, or ends.
fn told() -> oneshot::Receiver<()> {
    let (stop, told) = oneshot::channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            match line.as_deref() {
                Ok("allocated") => {
                    let Allocated { count, bytes } = allocated();
                    say(&format!("allocated {count} {bytes}"));
                }
                Ok("live") => say(&format!("live {}", alloc::live_bytes())),
                Ok("begun") => say(&format!("begun {}", BEGUN.load(Ordering::Relaxed))),
                _ => break,
            }
        }
        // Nobody waits if it has failed meanwhile.
        let _ = stop.send(());
    });
    told
}

/// How long a stop may take.
const STOP: Duration = Duration::from_secs(10);

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[expect(clippy::print_stdout, reason = "standard output is where the parent process listens")]
fn say(text: &str) {
    println!("{text}");
}
