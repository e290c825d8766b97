//! What a server costs: instructions and allocations of one keep-alive request, and memory of an idle connection, beside bare
//! hyper: figures that do not depend on how busy the machine is. `--help` tells the rest.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitCode, Stdio};

use lexopt::ValueExt;
use roundtrip_bench::alloc::Counting;

use roundtrip_bench::servers::{self, GREETING};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const HELP: &str = "\
server_cost: what serving one small GET on a keep-alive connection costs, in user-space instructions and allocations, and what
an idle connection keeps, in bytes

Each way of serving runs as a process of its own under `valgrind --tool=callgrind`, once for a number of requests and once for
twice as many; the difference, by request, is what is printed. Then it runs by itself with a number of connections, each of which
carries one request; what the process has grown by, divided, is the memory. Build with the profile of the benchmarks:
  cargo run --profile bench -p roundtrip-bench --example server_cost

Usage: server_cost [OPTIONS] [WAY...]
  WAY             hyper, handler, mux, and with the feature `peers` axum, actix (default: all)
  --requests N    requests of the shorter run (default 2000)
  --idle N        idle connections (default 5000; needs as many file descriptors here and there)
  --serve WAY     be the server, for profiling: prints its address, ends with its last connection,
                  axum and actix with their standard input
  -h, --help      print this";

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:12302\r\nUser-Agent: roundtrip\r\nAccept: */*\r\n\r\n";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("server_cost: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let (mut requests, mut idle) = (2000_u32, 5000_u32);
    let mut ways = Vec::new();
    let mut parser = lexopt::Parser::from_env();
    let say = |error: lexopt::Error| format!("{error}; see --help");
    while let Some(arg) = parser.next().map_err(say)? {
        match arg {
            lexopt::Arg::Long("requests") => {
                requests = parser.value().and_then(|n| n.parse()).map_err(say)?;
            }
            lexopt::Arg::Long("idle") => idle = parser.value().and_then(|n| n.parse()).map_err(say)?,
            lexopt::Arg::Long("serve") => {
                let way = parser.value().and_then(ValueExt::string).map_err(say)?;
                return servers::serve(&way);
            }
            lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => {
                print(HELP);
                return Ok(());
            }
            lexopt::Arg::Value(way) => ways.push(way.string().map_err(say)?),
            other => return Err(say(other.unexpected())),
        }
    }
    let requests = requests.max(1);
    print(&format!("{:12}{:>14}{:>14}{:>14}{:>14}", "way", "instructions", "allocations", "bytes", "idle bytes"));
    for way in servers::ways().into_iter().filter(|way| ways.is_empty() || ways.iter().any(|name| name == way)) {
        let [short, long] = [requests, 2 * requests].map(|n| callgrind(way, n));
        let instructions = (long? - short?) / u64::from(requests);
        let [short, long] = [requests, 2 * requests].map(|n| allocations(way, n));
        let ((few, few_bytes), (many, many_bytes)) = (short?, long?);
        let [count, bytes] = [many - few, many_bytes - few_bytes].map(|sum| tenths(sum, requests));
        let kept = kept(way, idle)?;
        print(&format!("{way:12}{instructions:>14}{count:>14}{bytes:>14}{kept:>14}"));
    }
    Ok(())
}

fn tenths(sum: u64, requests: u32) -> String {
    let tenths = sum * 10 / u64::from(requests);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// All instructions of a server that answers so many requests.
fn callgrind(way: &str, requests: u32) -> Result<u64, String> {
    let this = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(this).args(["--serve", way]);
    let said = drive(command, requests)?;
    let collected = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    collected.ok_or_else(|| format!("valgrind did not count: {said}"))
}

/// All allocations and their bytes, as the server itself counts them.
fn allocations(way: &str, requests: u32) -> Result<(u64, u64), String> {
    let this = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let mut command = Command::new(this);
    command.args(["--serve", way]);
    let said = drive(command, requests)?;
    let figures = said.lines().find_map(|line| line.strip_prefix("allocated ")?.split_once(' '));
    let figures = figures.and_then(|(count, bytes)| Some((count.parse().ok()?, bytes.parse().ok()?)));
    figures.ok_or_else(|| format!("the server did not tell its allocations: {said}"))
}

/// What each of so many idle connections adds to the server's own memory, in bytes.
fn kept(way: &str, connections: u32) -> Result<u64, String> {
    let this = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let mut child = Command::new(this)
        .args(["--serve", way])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start the server: {error}"))?;
    let measured = measure(&mut child, connections);
    // Perhaps it has ended by itself, which is as good.
    let _ = child.kill();
    child.wait().map_err(|error| error.to_string())?;
    measured
}

fn measure(child: &mut Child, connections: u32) -> Result<u64, String> {
    let addr = address(child)?;
    let mut open = Vec::new();
    let mut before = 0;
    for n in 0..connections + WARM {
        if n == WARM {
            before = anonymous(child.id())?;
        }
        let mut stream = TcpStream::connect(&addr).map_err(|error| format!("connection {n}: {error}"))?;
        ask(&mut stream, &mut Vec::new())?;
        open.push(stream);
    }
    Ok((anonymous(child.id())? - before) / u64::from(connections))
}

/// Connections before the first look, so that what the server makes once does not count.
const WARM: u32 = 100;

/// How much of a process's memory in use is its own, by the kernel's word.
fn anonymous(process: u32) -> Result<u64, String> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).map_err(|error| error.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().map_err(|_| format!("RssAnon {line:?}"))?;
    Ok(kilobytes * 1024)
}

/// Starts a server, sends it requests one after the other on one connection, and returns what it said on standard error.
fn drive(mut command: Command, requests: u32) -> Result<String, String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start {command:?}: {error}"))?;
    let driven = talk(&mut child, requests);
    if driven.is_err() {
        // Perhaps it ended by itself, which is as good.
        let _ = child.kill();
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    driven.map_err(|error| format!("{error}; the server said: {said}"))?;
    Ok(said)
}

fn talk(child: &mut Child, requests: u32) -> Result<(), String> {
    let addr = address(child)?;
    let mut stream = TcpStream::connect(&addr).map_err(|error| format!("connect {addr:?}: {error}"))?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let mut got = Vec::new();
    for _ in 0..requests {
        ask(&mut stream, &mut got)?;
    }
    Ok(())
}

/// Where the server says it listens.
fn address(child: &mut Child) -> Result<String, String> {
    let mut addr = String::new();
    let stdout = child.stdout.take().ok_or("no standard output")?;
    BufReader::new(stdout).read_line(&mut addr).map_err(|error| error.to_string())?;
    Ok(addr.trim().to_owned())
}

/// One request and its answer.
fn ask(stream: &mut TcpStream, got: &mut Vec<u8>) -> Result<(), String> {
    stream.write_all(REQUEST).map_err(|error| format!("write: {error}"))?;
    got.clear();
    let mut piece = [0; 4096];
    while !got.ends_with(GREETING.as_bytes()) {
        match stream.read(&mut piece).map_err(|error| format!("read: {error}"))? {
            0 => return Err(format!("closed after {:?}", String::from_utf8_lossy(got))),
            n => got.extend_from_slice(&piece[..n]),
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn print(text: &str) {
    println!("{text}");
}
