//! What a request costs through the client, in instructions and allocations: figures that do not depend on how busy the machine
//! is. `--help` tells the rest.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use roundtrip_bench::alloc::{Allocated, Counting, Side};
use roundtrip_client::{Client, ClientConfig, MemoryJar, RoundTripper};
use roundtrip_transport::Transport;
use roundtrip_types::{Body, Error, MessageExt, Request};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const HELP: &str = "\
client_cost: what a keep-alive request of a small body costs, in instructions and allocations

Runs each case for a number of requests and for twice as many under `valgrind --tool=callgrind`; the difference, by request,
is printed. The server is another process. Allocations are counted without valgrind. Build with the profile of the benchmarks:
  cargo run --profile bench -p roundtrip-bench --example client_cost

Usage: client_cost [OPTIONS] [CASE...]
  CASE          transport, get, get-jar-timeout, post (default: all)
  --turns N     requests of the shorter run (default 500)
  --run ADDR    do nothing but the requests of the one case, for profiling
  --serve       be the server
  -h, --help    print this";

const CASES: [&str; 4] = ["transport", "get", "get-jar-timeout", "post"];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("client_cost: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let (mut turns, mut addr, mut names) = (500, None, Vec::new());
    let mut parser = lexopt::Parser::from_env();
    let say = |error: lexopt::Error| format!("{error}; see --help");
    while let Some(arg) = parser.next().map_err(say)? {
        match arg {
            Arg::Long("turns") => turns = parser.value().and_then(|turns| turns.parse::<u32>()).map_err(say)?.max(1),
            Arg::Long("run") => addr = Some(parser.value().and_then(ValueExt::string).map_err(say)?),
            Arg::Long("serve") => return serve().map_err(|error| error.to_string()),
            Arg::Long("help") | Arg::Short('h') => {
                print(HELP);
                return Ok(());
            }
            Arg::Value(name) => names.push(name.string().map_err(say)?),
            other => return Err(say(other.unexpected())),
        }
    }
    if let Some(addr) = addr {
        return requests(names.first().ok_or("which case?")?, &addr, turns);
    }
    let server = Peer::start()?;
    print(&format!("{:20}{:>14}{:>14}", "case", "instructions", "allocations"));
    for case in CASES.iter().filter(|case| names.is_empty() || names.iter().any(|name| name == *case)) {
        let [short, long] = [turns, turns * 2].map(|turns| callgrind(case, &server.addr, turns));
        let instructions = (long? - short?) / i64::from(turns);
        let (few, many) = (allocations(case, &server.addr, 100)?, allocations(case, &server.addr, 200)?);
        print(&format!("{case:20}{instructions:>14}{:>14.2}", f64::from(many - few) / 100.0));
    }
    Ok(())
}

fn allocations(case: &str, addr: &str, turns: u32) -> Result<u32, String> {
    let before = Allocated::by(Side::Client);
    requests(case, addr, turns)?;
    Ok(u32::try_from((Allocated::by(Side::Client) - before).count).unwrap_or(u32::MAX))
}

fn requests(case: &str, addr: &str, turns: u32) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(send(case, addr, turns)).map_err(|error| error.to_string())
}

async fn send(case: &str, addr: &str, turns: u32) -> Result<(), Error> {
    let url = format!("http://{addr}/");
    match case {
        "transport" => {
            let transport = Transport::new();
            let uri: http::Uri = url.parse().expect("an address makes a URL");
            for _ in 0..turns {
                let mut req = Request::new(Body::empty());
                *req.uri_mut() = uri.clone();
                transport.round_trip(req).await?.bytes().await?;
            }
        }
        "get-jar-timeout" => {
            let config = ClientConfig {
                jar: Some(Arc::new(MemoryJar::new())),
                timeout: Some(Duration::from_secs(30)),
                ..ClientConfig::default()
            };
            let client = Client::with_config(Transport::new(), config);
            for _ in 0..turns {
                client.get(&url).await?.text().await?;
            }
        }
        "post" => {
            let client = Client::new();
            for _ in 0..turns {
                let body = client.post(&url).header("content-type", "application/json").body("{\"x\":1}").await?;
                body.bytes().await?;
            }
        }
        _ => {
            let client = Client::new();
            for _ in 0..turns {
                client.get(&url).await?.text().await?;
            }
        }
    }
    Ok(())
}

/// The server process.
struct Peer {
    child: Child,
    addr: String,
}

impl Peer {
    fn start() -> Result<Self, String> {
        let this = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
        let mut child = Command::new(this)
            .arg("--serve")
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start the server: {error}"))?;
        let mut addr = String::new();
        let out = child.stdout.take().ok_or("the server has no output")?;
        BufReader::new(out).read_line(&mut addr).map_err(|error| format!("the server does not say where: {error}"))?;
        Ok(Peer { child, addr: addr.trim().to_owned() })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers whatever comes with a small body, at once.
fn serve() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    print(&listener.local_addr()?.to_string());
    loop {
        let (mut stream, _) = listener.accept()?;
        std::thread::spawn(move || {
            let mut request = [0; 4096];
            // A small request comes in one piece.
            while stream.read(&mut request).is_ok_and(|read| read > 0) {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 19\r\n\
                    date: Tue, 24 Nov 2026 12:00:00 GMT\r\n\r\nHello I am server 3";
                if stream.write_all(answer).is_err() {
                    break;
                }
            }
        });
    }
}

/// All instructions of this program when it does nothing but requests.
fn callgrind(case: &str, addr: &str, turns: u32) -> Result<i64, String> {
    let this = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(this)
        .args(["--turns", &turns.to_string(), "--run", addr, case])
        .output()
        .map_err(|error| format!("cannot run valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    collected.filter(|_| output.status.success()).ok_or_else(|| format!("valgrind did not count: {text}"))
}

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn print(text: &str) {
    println!("{text}");
}
