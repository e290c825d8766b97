//! Load on a server: as many connections as wanted, each of which asks again when it is answered, on one thread.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::cores;
use crate::servers::GREETING;

/// What is sent.
pub(super) const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:12302\r\nUser-Agent: roundtrip\r\nAccept: */*\r\n\r\n";

/// What load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) addr: SocketAddr,
    pub(super) connections: usize,
    /// After how many answers a connection is closed and another one opened.
    pub(super) reconnect_every: Option<u64>,
    pub(super) time: Duration,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Loaded {
    pub(super) answered: u64,
    pub(super) opened: u64,
    pub(super) cpu: Duration,
}

impl Load {
    /// Puts the load on a server, whose process is given, from a processor if one is named. A tenth of the time passes before anything counts.
    ///
    /// # Errors
    /// An answer was not the greeting, or the server closed a connection.
    pub(super) fn run(self, process: u32, core: Option<usize>) -> Result<Loaded, String> {
        let work = || {
            if let Some(core) = core {
                cores::stay_on(core)?;
            }
            let mut user = User::new(self)?;
            user.work(self.time.mul_f64(0.1))?;
            let (before, cpu) = (user.loaded, cores::cpu_time(process)?);
            user.work(self.time.mul_f64(0.9))?;
            let cpu = cores::cpu_time(process)?.saturating_sub(cpu);
            Ok(Loaded {
                answered: user.loaded.answered - before.answered,
                opened: user.loaded.opened - before.opened,
                cpu,
            })
        };
        // On a thread of its own, so that this one's processor is left as it is.
        std::thread::scope(|scope| scope.spawn(work).join().map_err(|_| "the load's thread panicked".to_owned())?)
    }
}

struct User {
    load: Load,
    poll: Poll,
    open: Vec<Connection>,
    loaded: Loaded,
    /// How long an answer is that was found right: most are as long as the last.
    usual: usize,
}

struct Connection {
    stream: TcpStream,
    asked: bool,
    answered: u64,
    got: Vec<u8>,
}

impl User {
    fn new(load: Load) -> Result<Self, String> {
        let poll = Poll::new().map_err(said)?;
        let mut user = User { load, poll, open: Vec::new(), loaded: Loaded::default(), usual: 0 };
        for at in 0..load.connections {
            let connection = user.connect(at)?;
            user.open.push(connection);
        }
        Ok(user)
    }

    fn connect(&mut self, at: usize) -> Result<Connection, String> {
        let mut stream = TcpStream::connect(self.load.addr).map_err(said)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(at), both).map_err(said)?;
        self.loaded.opened += 1;
        Ok(Connection { stream, asked: false, answered: 0, got: Vec::with_capacity(512) })
    }

    fn work(&mut self, time: Duration) -> Result<(), String> {
        let until = Instant::now() + time;
        let mut events = Events::with_capacity(256);
        while Instant::now() < until {
            match self.poll.poll(&mut events, Some(Duration::from_secs(5))) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled.map_err(said)?,
            }
            if events.is_empty() {
                return Err("no connection was answered for 5 s".into());
            }
            for event in &events {
                let at = event.token().0;
                if self.open[at].asked {
                    self.read(at)?;
                } else if event.is_writable() || event.is_error() {
                    let connection = &mut self.open[at];
                    connection.stream.set_nodelay(true).map_err(said)?;
                    connection.ask()?;
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, at: usize) -> Result<(), String> {
        let connection = &mut self.open[at];
        let mut piece = [0; 4096];
        match connection.stream.read(&mut piece) {
            Ok(0) => return Err(format!("the server closed a connection after {} answers", connection.answered)),
            Ok(count) => connection.got.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(said(error)),
        }
        let got = &connection.got;
        let as_usual = got.len() == self.usual && got.ends_with(GREETING.as_bytes()) && got.starts_with(OK);
        if !as_usual {
            match whole(got)? {
                Some(length) => self.usual = length,
                None => return Ok(()),
            }
        }
        connection.got.clear();
        connection.answered += 1;
        self.loaded.answered += 1;
        if self.load.reconnect_every == Some(connection.answered) {
            let fresh = self.connect(at)?;
            // The old one is closed by being dropped.
            self.open[at] = fresh;
            return Ok(());
        }
        self.open[at].ask()
    }
}

impl Connection {
    /// A request is small, so it is written at once or the connection is broken.
    fn ask(&mut self) -> Result<(), String> {
        self.stream.write_all(REQUEST).map_err(said)?;
        self.asked = true;
        Ok(())
    }
}

/// How an answer that is right begins.
const OK: &[u8] = b"HTTP/1.1 200";

/// The length of an answer that is all there, or `None` if more has to come.
///
/// # Errors
/// It is not the greeting, or it closes the connection.
pub(super) fn whole(got: &[u8]) -> Result<Option<usize>, String> {
    let text = || format!("answered {:?}", String::from_utf8_lossy(&got[..got.len().min(300)]));
    let Some(end) = got.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&got[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let body = &got[end + 4..];
    if !got.starts_with(OK) || length != Some(GREETING.len()) || body.len() > GREETING.len() {
        return Err(text());
    }
    if body.len() < GREETING.len() {
        return Ok(None);
    }
    if body == GREETING.as_bytes() { Ok(Some(got.len())) } else { Err(text()) }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_greeting_is_an_answer() {
        let right = format!("HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{GREETING}");
        assert_eq!(whole(right.as_bytes()), Ok(Some(right.len())));
        for length in 0..right.len() {
            assert_eq!(whole(&right.as_bytes()[..length]), Ok(None), "{length} bytes of it");
        }
        for wrong in [right.replace("200", "404"), right.replace("19", "18"), right.replace("server 3", "server 4")] {
            assert!(whole(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
