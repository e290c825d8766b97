//! What reaching a server costs, beside peers and beside loops without HTTP. `--help` tells the rest.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use lexopt::{Arg, ValueExt};
use roundtrip_bench::alloc::{Allocated, Counting, Side};
use roundtrip_bench::callgrind;
use roundtrip_bench::identity::Identity;
use roundtrip_bench::model::{median, spread};
use roundtrip_bench::reach::bulk::{self, Direction, Way};
use roundtrip_bench::reach::burst::{Over, Who, burst};
use roundtrip_bench::reach::http2;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const HELP: &str = "\
reach_cost: what reaching a server costs

  bulk        a body of 1 GB down and up, plain and over TLS: throughput as a ratio to a loop that copies between a socket (or tokio-rustls)
              and a buffer, in turns, and the most memory that the client's process had
  burst       100 requests at once to a server nobody has talked to: connections and handshakes, by the server's count
  http2       a small GET over HTTP/2, one after the other and 64 at a time: instructions, allocations, time
  handshakes  a connection over TLS for each request, with and without resumed sessions: instructions, time

  cargo run --profile bench -p roundtrip-bench --features peers --example reach_cost

Usage: reach_cost [OPTIONS] [PART...]
  PART            only these (default: all)
  --megabytes N   the size of the body (default 1024)
  --rounds N      rounds of what is measured in time (default 5)
  --quick         32 MB, 2 rounds, fewer requests
  -h, --help      print this
What it tells itself to do in other processes:
  --transfer WAY DIRECTION ADDR BYTES, with the certificate on standard input; --http2 CLIENT ADDR N TASKS;
  --handshakes CERTIFICATE ADDR N SESSIONS";

const PARTS: [&str; 4] = ["bulk", "burst", "http2", "handshakes"];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("reach_cost: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Measures and prints.
type Part = fn(&Plan) -> Result<(), String>;

struct Plan {
    this: PathBuf,
    bytes: u64,
    rounds: usize,
    requests: u64,
}

fn run() -> Result<(), String> {
    let this = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let mut plan = Plan { this, bytes: 1 << 30, rounds: 5, requests: 2000 };
    let mut parts = Vec::new();
    let mut parser = lexopt::Parser::from_env();
    let say = |error: lexopt::Error| format!("{error}; see --help");
    while let Some(arg) = parser.next().map_err(say)? {
        match arg {
            Arg::Long("megabytes") => {
                plan.bytes = parser.value().and_then(|value| value.parse::<u64>()).map_err(say)? << 20;
            }
            Arg::Long("rounds") => plan.rounds = parser.value().and_then(|value| value.parse()).map_err(say)?,
            Arg::Long("quick") => (plan.bytes, plan.rounds, plan.requests) = (32 << 20, 2, 200),
            Arg::Long("transfer") => {
                let words: Vec<String> =
                    parser.values().map_err(say)?.map(|word| word.string()).collect::<Result<_, _>>().map_err(say)?;
                return transfer(&words);
            }
            Arg::Long("http2") => {
                let words: Vec<String> =
                    parser.values().map_err(say)?.map(|word| word.string()).collect::<Result<_, _>>().map_err(say)?;
                let [client, addr, requests, tasks] = &words[..] else { return Err("--http2 takes four words".into()) };
                return http2::run(client, parsed(addr)?, parsed(requests)?, parsed(tasks)?);
            }
            Arg::Long("handshakes") => {
                // The certificate begins as an option does.
                let mut word = || parser.value().and_then(ValueExt::string).map_err(say);
                let (certificate, addr, count, sessions) = (word()?, word()?, word()?, word()?);
                return http2::handshakes(&certificate, parsed(&addr)?, parsed(&count)?, parsed(&sessions)?);
            }
            Arg::Long("help") | Arg::Short('h') => {
                print(HELP);
                return Ok(());
            }
            Arg::Value(part) => parts.push(part.string().map_err(say)?),
            other => return Err(say(other.unexpected())),
        }
    }
    if let Some(unknown) = parts.iter().find(|part| !PARTS.contains(&part.as_str())) {
        return Err(format!("no part is called {unknown:?}; there are {}", PARTS.join(", ")));
    }
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|chosen| chosen == part);
    let all: [Part; 4] = [bulks, bursts, http2s, handshakes];
    for (name, part) in PARTS.into_iter().zip(all) {
        if wanted(name) {
            part(&plan)?;
        }
    }
    Ok(())
}

fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("cannot take {text:?}"))
}

/// One transfer; on standard output how long it took, in seconds, and the most memory, in bytes.
fn transfer(words: &[String]) -> Result<(), String> {
    let [way, direction, addr, bytes] = words else { return Err("--transfer takes four words".into()) };
    let way = if way == "raw" { Way::Raw } else { Way::Ours };
    let direction = if direction == "down" { Direction::Down } else { Direction::Up };
    let mut certificate = String::new();
    std::io::stdin().read_to_string(&mut certificate).map_err(|error| error.to_string())?;
    let certificate = Some(certificate.as_str()).filter(|text| !text.is_empty());
    let took = bulk::transfer(way, direction, parsed(addr)?, certificate, parsed(bytes)?)?;
    print(&format!("{} {}", took.as_secs_f64(), bulk::peak_memory().unwrap_or_default()));
    Ok(())
}

fn bulks(plan: &Plan) -> Result<(), String> {
    let identity = Identity::make()?;
    print(&format!(
        "{:<12} {:>10} {:>10} {:>8} {:>14} {:>14} {:>14}",
        "body", "raw MB/s", "ours MB/s", "ratio", "spread", "raw peak MB", "ours peak MB"
    ));
    for (name, tls) in [("plain", None), ("TLS", Some(&identity))] {
        let addr = bulk::serve(tls)?;
        for direction in ["down", "up"] {
            let mut figures = [Vec::new(), Vec::new()];
            let mut peaks = [0.0_f64; 2];
            let mut ratios = Vec::new();
            // The first is not counted: it warms up both ends.
            for round in 0..=plan.rounds {
                let mut took = [0.0; 2];
                for (at, way) in ["raw", "ours"].into_iter().enumerate() {
                    let (seconds, peak) = apart(plan, way, direction, addr, tls)?;
                    took[at] = seconds;
                    peaks[at] = peaks[at].max(peak);
                }
                if round > 0 || plan.rounds == 0 {
                    ratios.push(took[0] / took[1]);
                    figures[0].push(megabytes(plan.bytes) / took[0]);
                    figures[1].push(megabytes(plan.bytes) / took[1]);
                }
            }
            let [raw, ours] = figures.map(|speeds| median(&speeds).unwrap_or_default());
            let (low, high) = spread(&ratios).unwrap_or_default();
            print(&format!(
                "{:<12} {raw:>10.0} {ours:>10.0} {:>8.2} {:>14} {:>14.1} {:>14.1}",
                format!("{name} {direction}"),
                median(&ratios).unwrap_or_default(),
                format!("{low:.2}-{high:.2}"),
                peaks[0] / 1e6,
                peaks[1] / 1e6
            ));
        }
    }
    Ok(())
}

/// A transfer in a process of its own, so that its memory is its own: seconds and bytes.
fn apart(
    plan: &Plan,
    way: &str,
    direction: &str,
    addr: SocketAddr,
    identity: Option<&Identity>,
) -> Result<(f64, f64), String> {
    use std::io::Write as _;

    let mut child = Command::new(&plan.this)
        .args(["--transfer", way, direction, &addr.to_string(), &plan.bytes.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start {way}: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        let certificate = identity.map_or("", Identity::certificate);
        stdin.write_all(certificate.as_bytes()).map_err(|error| error.to_string())?;
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    let figures = said.trim().split_once(' ').and_then(|(took, peak)| Some((took.parse().ok()?, peak.parse().ok()?)));
    figures.ok_or_else(|| format!("{way} {direction}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn bursts(_plan: &Plan) -> Result<(), String> {
    const REQUESTS: usize = 100;
    let clients: &[(&str, Who)] = &[
        ("ours", Who::Ours),
        #[cfg(feature = "peers")]
        ("hyper-util", Who::HyperUtil),
    ];
    print(&format!("\n{:<24} {:<12} {:>12} {:>12}", "100 requests at once", "client", "connections", "handshakes"));
    for (name, over) in [("plain", Over::Plain), ("TLS, HTTP/1.1", Over::TlsHttp1), ("TLS, HTTP/2", Over::TlsHttp2)] {
        for (client, who) in clients {
            let counts = burst(*who, over, REQUESTS)?;
            let handshakes = if over == Over::Plain { "-".into() } else { counts.handshakes.to_string() };
            print(&format!("{name:<24} {client:<12} {:>12} {handshakes:>12}", counts.connections));
        }
    }
    Ok(())
}

fn http2s(plan: &Plan) -> Result<(), String> {
    let valgrind = callgrind::available();
    if let Err(why) = &valgrind {
        eprintln!("no instructions are counted: {why}");
    }
    let running = http2::serve()?;
    let addr = running.addr();
    for tasks in [1, 64] {
        print(&format!(
            "\n{:<24} {:>14} {:>8} {:>10} {:>10} {:>8}",
            format!("HTTP/2, {tasks} at a time"),
            "instructions",
            "ratio",
            "allocs",
            "bytes",
            "time"
        ));
        let mut times = vec![Vec::new(); http2::CLIENTS.len()];
        for _ in 0..3 * plan.rounds {
            let mut took = Vec::new();
            for client in http2::CLIENTS {
                let started = Instant::now();
                http2::run(client, addr, plan.requests, tasks)?;
                took.push(started.elapsed().as_secs_f64());
            }
            for (times, seconds) in times.iter_mut().zip(&took) {
                times.push(seconds / took[0]);
            }
        }
        let mut base = None;
        for (client, times) in http2::CLIENTS.iter().zip(times) {
            let (count, bytes) = allocations(|requests| http2::run(client, addr, requests, tasks), 640)?;
            let instructions = match &valgrind {
                Ok(()) => Some(callgrind::per_round(640, |requests| {
                    let (requests, tasks) = (requests.to_string(), tasks.to_string());
                    callgrind::count(&plan.this, &["--http2", client, &addr.to_string(), &requests, &tasks])
                })?),
                Err(_) => None,
            };
            base = base.or(instructions);
            let ratio = instructions.zip(base).map(|(own, base)| own / base);
            let [instructions, ratio] = [(instructions, 0), (ratio, 2)]
                .map(|(figure, digits)| figure.map_or_else(|| "-".into(), |figure| format!("{figure:.digits$}")));
            let time = median(&times).unwrap_or_default();
            print(&format!("{client:<24} {instructions:>14} {ratio:>8} {count:>10.1} {bytes:>10.0} {time:>8.2}"));
        }
    }
    let others = running.by_another_protocol();
    if others == 0 { Ok(()) } else { Err(format!("{others} requests were not HTTP/2")) }
}

/// Allocations and bytes of one request, on the client's side.
fn allocations(run: impl Fn(u64) -> Result<(), String>, requests: u64) -> Result<(f64, f64), String> {
    let of = |requests| {
        let before = Allocated::by(Side::Client);
        run(requests).map(|()| Allocated::by(Side::Client) - before)
    };
    // Whoever comes first would pay for what a process makes once.
    of(requests)?;
    let (fewer, more) = (of(requests)?, of(2 * requests)?);
    let each = |more: u64, fewer: u64| (float(more) - float(fewer)) / float(requests);
    Ok((each(more.count, fewer.count), each(more.bytes, fewer.bytes)))
}

fn handshakes(plan: &Plan) -> Result<(), String> {
    let identity = Identity::make()?;
    let running = http2::serve_tls(&identity)?;
    let connections = plan.requests / 10;
    let valgrind = callgrind::available();
    if let Err(why) = &valgrind {
        eprintln!("no instructions are counted: {why}");
    }
    print(&format!(
        "\n{:<24} {:>14} {:>10} {:>8} {:>10} {:>12}",
        "TLS handshakes", "instructions", "us", "ratio", "allocs", "resumed"
    ));
    let ways = [("full", 0), ("resumed", 64)];
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..plan.rounds.max(1) {
        for ((_, cache), times) in ways.iter().zip(&mut times) {
            let started = Instant::now();
            http2::handshakes(identity.certificate(), running.addr(), connections, *cache)?;
            times.push(started.elapsed().as_secs_f64() * 1e6 / float(connections));
        }
    }
    let base = median(&times[0]).unwrap_or_default();
    for ((name, cache), times) in ways.into_iter().zip(&times) {
        let before = (running.connections(), running.resumed());
        let (count, _) =
            allocations(|n| http2::handshakes(identity.certificate(), running.addr(), n, cache), connections)?;
        let after = (running.connections(), running.resumed());
        let instructions = match &valgrind {
            Ok(()) => {
                let count = callgrind::per_round(20, |connections| {
                    let (addr, connections) = (running.addr().to_string(), connections.to_string());
                    let words = ["--handshakes", identity.certificate(), &addr, &connections, &cache.to_string()];
                    callgrind::count(&plan.this, &words)
                })?;
                format!("{count:.0}")
            }
            Err(_) => "-".into(),
        };
        let time = median(times).unwrap_or_default();
        let resumed = format!("{} of {}", after.1 - before.1, after.0 - before.0);
        print(&format!("{name:<24} {instructions:>14} {time:>10.0} {:>8.2} {count:>10.1} {resumed:>12}", time / base));
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

fn megabytes(bytes: u64) -> f64 {
    float(bytes) / 1e6
}

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn print(text: &str) {
    println!("{text}");
}
