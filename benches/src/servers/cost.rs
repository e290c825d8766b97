//! What a server costs, measured from outside: it runs as a process of its own, and this one is its client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use super::GREETING;
use crate::callgrind;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:12302\r\nUser-Agent: roundtrip\r\nAccept: */*\r\n\r\n";

/// The same, and the connection's last.
const LAST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:12302\r\nUser-Agent: roundtrip\r\nAccept: */*\r\nConnection: close\r\n\r\n";

/// The instructions of one request. `program`, told `--serve` and a way, is that server ([`serve`](super::serve)), as below.
///
/// # Errors
/// There is no valgrind, or a request is not answered.
pub fn instructions(program: &Path, way: &str, requests: u64) -> Result<f64, String> {
    counted(program, way, requests, talk)
}

/// The instructions of a connection that carries one request, which says that it is the last; those of the request are in it.
///
/// # Errors
/// As [`instructions`].
pub fn connection(program: &Path, way: &str, connections: u64) -> Result<f64, String> {
    counted(program, way, connections, |addr, count| {
        // Held open, so that the server does not take the first connection's end for that of the last.
        let mut held = connect(addr)?;
        let mut got = Vec::new();
        ask(&mut held, &mut got)?;
        for n in 0..count {
            last_ask(&mut connect(addr)?, &mut got).map_err(|error| format!("connection {n}: {error}"))?;
        }
        Ok(())
    })
}

/// The instructions of one round, of which `talk` has so many with the server at that address.
fn counted(
    program: &Path,
    way: &str,
    rounds: u64,
    talk: impl Fn(&str, u64) -> Result<(), String>,
) -> Result<f64, String> {
    callgrind::per_round(rounds, |count| {
        let mut command = callgrind::command(program);
        command.args(["--serve", way]);
        let said = drive(command, |addr| talk(addr, count))?;
        callgrind::collected(&said).ok_or_else(|| format!("valgrind did not count: {said}"))
    })
}

/// Allocations and their bytes of one request, as the server itself counts them.
///
/// # Errors
/// A request is not answered, or the server does not tell.
pub fn allocations(program: &Path, way: &str, requests: u64) -> Result<(f64, f64), String> {
    let all = |requests| {
        let mut command = Command::new(program);
        command.args(["--serve", way]);
        let said = drive(command, |addr| talk(addr, requests))?;
        told(&said).ok_or_else(|| format!("the server did not tell its allocations: {said}"))
    };
    let ((few, few_bytes), (many, many_bytes)) = (all(requests)?, all(2 * requests)?);
    Ok((by(many.saturating_sub(few), requests), by(many_bytes.saturating_sub(few_bytes), requests)))
}

/// What a server has told about its allocations: how many, and their bytes.
fn told(said: &str) -> Option<(u64, u64)> {
    let (count, bytes) = said.lines().find_map(|line| line.strip_prefix("allocated ")?.split_once(' '))?;
    Some((count.parse().ok()?, bytes.trim().parse().ok()?))
}

/// What each of so many idle connections holds of the server's memory, in bytes, as its own allocator counts: what it has given out and not
/// got back, so neither what the allocator keeps for later nor the kernel's part of a socket. `program`, told `--serve-told` and a way, is that
/// server ([`serve_until_told`](super::serve_until_told)).
///
/// # Errors
/// A request is not answered, a connection does not stay idle, or the server does not tell.
pub fn idle_bytes(program: &Path, way: &str, connections: u64) -> Result<f64, String> {
    let mut child = Command::new(program)
        .args(["--serve-told", way])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start the server: {error}"))?;
    let measured = measure(&mut child, connections);
    // Perhaps it has ended by itself, which is as good.
    let _ = child.kill();
    child.wait().map_err(|error| error.to_string())?;
    measured.map_err(|error| format!("{way}: {error}"))
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn by(sum: u64, parts: u64) -> f64 {
    sum as f64 / parts as f64
}

fn measure(child: &mut Child, connections: u64) -> Result<f64, String> {
    let (stdin, stdout) =
        (child.stdin.take().ok_or("no standard input")?, child.stdout.take().ok_or("no standard output")?);
    let (mut asked, mut answers) = (stdin, BufReader::new(stdout));
    let addr = line(&mut answers)?;
    let mut open = Vec::new();
    let mut before = 0;
    for n in 0..WARM + connections {
        if n == WARM {
            before = live(&mut asked, &mut answers)?;
        }
        let mut stream = TcpStream::connect(&addr).map_err(|error| format!("connection {n}: {error}"))?;
        ask(&mut stream, &mut Vec::new()).map_err(|error| format!("connection {n}: {error}"))?;
        open.push(stream);
    }
    let after = live(&mut asked, &mut answers)?;
    for (n, stream) in open.iter().enumerate() {
        stream.set_nonblocking(true).map_err(|error| error.to_string())?;
        match stream.peek(&mut [0]) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            looked => return Err(format!("connection {n} is not idle: {looked:?}")),
        }
    }
    each(after - before, connections)
}

/// By connection; a server without the counting allocator tells nothing but zeros.
#[expect(clippy::cast_precision_loss, reason = "bytes are far below 2^53")]
fn each(bytes: i64, connections: u64) -> Result<f64, String> {
    if bytes <= 0 || connections == 0 {
        return Err(format!("{connections} connections hold {bytes} bytes by the server's count"));
    }
    Ok(bytes as f64 / connections as f64)
}

/// How many bytes the server holds, as soon as it tells the same twice, a while apart: some is freed a while after the last request.
fn live(asked: &mut ChildStdin, answers: &mut impl BufRead) -> Result<i64, String> {
    let mut last = None;
    for _ in 0..LOOKS {
        std::thread::sleep(REST);
        writeln!(asked, "live").map_err(|error| format!("cannot ask the server: {error}"))?;
        let said = line(answers)?;
        let now = said.strip_prefix("live ").and_then(|bytes| bytes.parse::<i64>().ok());
        let now = now.ok_or_else(|| format!("the server says {said:?} of what it holds"))?;
        if last.replace(now) == Some(now) {
            return Ok(now);
        }
    }
    Err(format!("what the server holds still changes: {last:?} bytes"))
}

/// Connections before the first look, so that what the server makes once does not count.
const WARM: u64 = 200;

/// Longer than a connection of ours has to be idle before it gives memory back: 250 ms.
const REST: Duration = Duration::from_millis(400);

/// How often the server is asked before that is given up.
const LOOKS: u32 = 20;

/// Starts a server, has `talk` talk to it at its address, and returns what it said on standard error.
fn drive(mut command: Command, talk: impl FnOnce(&str) -> Result<(), String>) -> Result<String, String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start {command:?}: {error}"))?;
    let driven = address(&mut child).and_then(|addr| talk(&addr));
    if driven.is_err() {
        // Perhaps it ended by itself, which is as good.
        let _ = child.kill();
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    driven.map_err(|error| format!("{error}; the server said: {said}"))?;
    Ok(said)
}

fn connect(addr: &str) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(addr).map_err(|error| format!("connect {addr:?}: {error}"))?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    Ok(stream)
}

/// Requests one after the other on one connection.
fn talk(addr: &str, requests: u64) -> Result<(), String> {
    let mut stream = connect(addr)?;
    let mut got = Vec::new();
    for _ in 0..requests {
        ask(&mut stream, &mut got)?;
    }
    Ok(())
}

/// Where the server says it listens.
fn address(child: &mut Child) -> Result<String, String> {
    let stdout = child.stdout.take().ok_or("no standard output")?;
    line(&mut BufReader::new(stdout))
}

/// The next line that the server says.
fn line(answers: &mut impl BufRead) -> Result<String, String> {
    let mut line = String::new();
    answers.read_line(&mut line).map_err(|error| error.to_string())?;
    Ok(line.trim().to_owned())
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

/// A connection's last request, its answer, and the connection's end.
fn last_ask(stream: &mut TcpStream, got: &mut Vec<u8>) -> Result<(), String> {
    stream.write_all(LAST).map_err(|error| format!("write: {error}"))?;
    got.clear();
    stream.read_to_end(got).map_err(|error| format!("read: {error}"))?;
    if got.ends_with(GREETING.as_bytes()) {
        Ok(())
    } else {
        Err(format!("closed after {:?}", String::from_utf8_lossy(got)))
    }
}

#[cfg(test)]
mod tests {
    use super::{each, told};

    #[test]
    fn a_server_tells_its_allocations() {
        assert_eq!(told("==1== Collected : 5\nallocated 12 3456\n"), Some((12, 3456)));
        assert_eq!(told("allocated 12\n"), None);
        assert_eq!(told(""), None);
    }

    #[test]
    fn a_server_that_does_not_count_holds_no_zero() {
        assert_eq!(each(6_000, 2), Ok(3_000.0));
        assert!(each(0, 2).is_err());
        assert!(each(-8, 2).is_err());
    }
}
