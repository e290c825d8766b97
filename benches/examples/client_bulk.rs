//! A large download to a file, and a burst of requests to many hosts, beside a raw socket and reqwest. `--help` tells the rest.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use lexopt::{Arg, ValueExt};
use roundtrip_client::{Client, ResponseExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const HELP: &str = "\
client_bulk: a large download to a file, and a burst of requests to many hosts

`download` reads a body of 100 MB (--megabytes) into a file; the raw socket is the measure, and each run is a process of its own, so
that its peak of memory is its own. `burst` sends 1000 GETs at once, 20 to each of 50 hosts. Times are medians of rounds that take
turns, in milliseconds, and as ratios to the first.

  cargo run --release -p roundtrip-bench --features peers --example client_bulk

Usage: client_bulk [OPTIONS]
  --rounds N         rounds (default 5)
  --megabytes N      size of the download (default 100)
  --run WAY URL FILE do nothing but one download
  -h, --help         print this";

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("client_bulk: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let (mut rounds, mut megabytes) = (5_usize, 100_u64);
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("rounds") => rounds = parser.value()?.parse()?,
            Arg::Long("megabytes") => megabytes = parser.value()?.parse()?,
            Arg::Long("run") => {
                let mut text = || parser.value()?.string();
                let (way, addr, file) = (text()?, text()?, text()?);
                return download(&way, &addr, Path::new(&file));
            }
            Arg::Long("help") | Arg::Short('h') => {
                print(HELP);
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    downloads(rounds, megabytes)?;
    bursts(rounds)
}

/// The ways of downloading, the measure first.
fn ways() -> Vec<&'static str> {
    if cfg!(feature = "peers") { vec!["socket", "ours", "reqwest"] } else { vec!["socket", "ours"] }
}

fn downloads(rounds: usize, megabytes: u64) -> Outcome<()> {
    let addr = serve(megabytes << 20)?;
    let file = std::env::temp_dir().join(format!("roundtrip-bulk-{}", std::process::id()));
    let this = std::env::current_exe()?;
    let mut results = vec![(Vec::new(), Vec::new()); ways().len()];
    for _ in 0..rounds {
        for (way, (times, peaks)) in ways().into_iter().zip(&mut results) {
            let output = Command::new(&this).args(["--run", way, &addr]).arg(&file).output()?;
            let said = String::from_utf8_lossy(&output.stdout);
            let mut figures = said.split_whitespace().map(str::parse::<f64>);
            let (Some(Ok(time)), Some(Ok(peak))) = (figures.next(), figures.next()) else {
                return Err(format!("{way}: {}", String::from_utf8_lossy(&output.stderr)).into());
            };
            let length = std::fs::metadata(&file)?.len();
            if length != megabytes << 20 {
                return Err(format!("{way}: the file has {length} bytes").into());
            }
            times.push(time);
            peaks.push(peak);
        }
    }
    std::fs::remove_file(&file)?;
    print(&format!("{:<12} {:>10} {:>8} {:>14}", "download", "ms", "ratio", "peak memory MB"));
    let base = median(&results[0].0);
    for (way, (times, peaks)) in ways().into_iter().zip(&results) {
        let (time, peak) = (median(times), median(peaks));
        print(&format!("{way:<12} {time:>10.1} {:>8.2} {:>14.1}", time / base, peak / 1024.0));
    }
    Ok(())
}

/// One download, and on standard output how long it took and the process's peak of memory in KB.
fn download(way: &str, addr: &str, file: &Path) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let started = Instant::now();
    runtime.block_on(async {
        match way {
            "socket" => socket(addr, file).await,
            "ours" => {
                Client::new().get(format!("http://{addr}/")).await?.copy_to_file(file, |_| {}).await?;
                Ok(())
            }
            other => peers::download(other, addr, file).await,
        }
    })?;
    let took = started.elapsed();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()).unwrap_or("0");
    print(&format!("{} {peak}", took.as_secs_f64() * 1000.0));
    Ok(())
}

/// What the system and the runtime cost: a loop between a socket and a file.
async fn socket(addr: &str, file: &Path) -> Outcome<()> {
    let mut stream = tokio::net::TcpStream::connect(addr).await?;
    stream.write_all(format!("GET / HTTP/1.1\r\nhost: {addr}\r\n\r\n").as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head)?;
    let length = head.split_once("length: ").and_then(|(_, rest)| rest.split_whitespace().next()).ok_or("no length")?;
    let mut file = tokio::fs::File::create(file).await?;
    let (mut left, mut buffer) = (length.parse::<usize>()?, vec![0; 64 << 10]);
    while left > 0 {
        let read = stream.read(&mut buffer).await?;
        file.write_all(&buffer[..read]).await?;
        left -= read;
    }
    file.flush().await?;
    Ok(())
}

fn bursts(rounds: usize) -> Outcome<()> {
    const HOSTS: usize = 50;
    const REQUESTS: usize = 1000;
    let hosts = (0..HOSTS).map(|_| Ok(format!("http://{}/", serve(19)?))).collect::<Outcome<Vec<_>>>()?;
    let urls: Vec<_> = (0..REQUESTS).map(|n| hosts[n % HOSTS].clone()).collect();
    let mut results = vec![Vec::new(); ways().len() - 1];
    for _ in 0..rounds {
        for (way, times) in ways().into_iter().skip(1).zip(&mut results) {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            let urls = urls.clone();
            let started = Instant::now();
            runtime.block_on(async {
                if way == "ours" {
                    let client = Client::new();
                    let all: Vec<_> = urls.into_iter().map(|url| tokio::spawn(client.get(url).send())).collect();
                    for request in all {
                        request.await??.into_body().bytes().await?;
                    }
                    Ok(())
                } else {
                    peers::burst(urls).await
                }
            })?;
            times.push(started.elapsed().as_secs_f64() * 1000.0);
            // Sockets that are closing must not count for the next one.
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
    print(&format!("{:<12} {:>10} {:>8}", "burst", "ms", "ratio"));
    let base = median(&results[0]);
    for (way, times) in ways().into_iter().skip(1).zip(&results) {
        print(&format!("{way:<12} {:>10.1} {:>8.2}", median(times), median(times) / base));
    }
    Ok(())
}

/// Answers each request with a body of that length.
fn serve(length: u64) -> Outcome<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?.to_string();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            std::thread::Builder::new().stack_size(64 << 10).spawn(move || answer(&mut stream, length)).ok();
        }
    });
    Ok(addr)
}

/// Until the client goes; then whatever fails is of no interest.
fn answer(stream: &mut std::net::TcpStream, length: u64) -> std::io::Result<()> {
    let piece = vec![b'x'; usize::try_from(length).unwrap_or(usize::MAX).min(1 << 20)];
    let mut request = [0; 4096];
    while stream.read(&mut request)? > 0 {
        stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").as_bytes())?;
        let mut left = length;
        while left > 0 {
            let next = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            stream.write_all(&piece[..next])?;
            left -= next as u64;
        }
    }
    Ok(())
}

#[cfg(feature = "peers")]
mod peers {
    use super::{AsyncWriteExt, Outcome, Path};

    pub(super) async fn download(_way: &str, addr: &str, file: &Path) -> Outcome<()> {
        let mut response = reqwest::Client::new().get(format!("http://{addr}/")).send().await?;
        let mut file = tokio::fs::File::create(file).await?;
        while let Some(piece) = response.chunk().await? {
            file.write_all(&piece).await?;
        }
        file.flush().await?;
        Ok(())
    }

    pub(super) async fn burst(urls: Vec<String>) -> Outcome<()> {
        let client = reqwest::Client::new();
        let all: Vec<_> = urls.into_iter().map(|url| tokio::spawn(client.get(url).send())).collect();
        for request in all {
            request.await??.bytes().await?;
        }
        Ok(())
    }
}

#[cfg(not(feature = "peers"))]
mod peers {
    use super::{Outcome, Path};

    pub(super) async fn download(way: &str, _addr: &str, _file: &Path) -> Outcome<()> {
        Err(format!("{way} is built with the feature `peers`").into())
    }

    pub(super) async fn burst(_urls: Vec<String>) -> Outcome<()> {
        Err("peers are built with the feature `peers`".into())
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn print(text: &str) {
    println!("{text}");
}
