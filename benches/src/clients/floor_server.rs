//! Servers that cost as little as a server can: they know no HTTP and answer each read with the same bytes.
//!
//! [`start`] has a thread for each connection: the shortest way for one client that waits for each answer. With many connections and few
//! processors waking all those threads is most of what is measured; [`Floor`] serves them all on one thread, which answers
//! whoever has asked and sleeps when nobody has, so it takes about two system calls for a request and is less busy than any client.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use mio::{Events, Interest, Poll, Token, Waker};

use crate::alloc::{Side, work_for};
use crate::cores;

/// What every read is answered with.
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 19\r\n\
date: Tue, 24 Nov 2026 12:00:00 GMT\r\n\r\nHello I am server 3";

/// Starts one with a thread for each connection, for as long as the process lives. Returns its address.
///
/// # Errors
/// The system gives no socket or no thread.
pub fn start() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?.to_string();
    std::thread::Builder::new().name("server".into()).spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            // A connection that cannot be served is the client's to notice.
            let _ = std::thread::Builder::new().stack_size(64 << 10).spawn(move || {
                work_for(Side::Server);
                let _ = stream.set_nodelay(true);
                let mut buf = [0; 4096];
                // A request is small, so it comes in one read.
                while stream.read(&mut buf).is_ok_and(|count| count > 0) && stream.write_all(RESPONSE).is_ok() {}
            });
        }
    })?;
    Ok(addr)
}

/// How a [`Floor`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// With the greeting, connections kept.
    Right,
    /// With another body of the same length: to see that it is noticed.
    WrongBody,
    /// With the greeting, and the connection closed: to see that it is noticed.
    Closes,
}

/// One thread that serves all connections. Dropped, it stops.
#[derive(Debug)]
pub struct Floor {
    /// Where it listens.
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    accepted: AtomicU64,
    answered: AtomicU64,
    stopped: AtomicBool,
}

impl Floor {
    /// Starts it, on one processor if one is named and the system can do that.
    ///
    /// # Errors
    /// The system gives no socket or no thread.
    pub fn start(manner: Manner, core: Option<usize>) -> io::Result<Floor> {
        let mut listener = mio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let (addr, waker, shared) =
            (listener.local_addr()?, Waker::new(poll.registry(), WAKER)?, Arc::new(Shared::default()));
        let serving = Serving { poll, listener, manner, shared: Arc::clone(&shared), open: Vec::new() };
        let thread = std::thread::Builder::new().name("floor".into()).spawn(move || {
            work_for(Side::Server);
            if let Some(core) = core {
                // Elsewhere it runs where the system wants; the report says whether it could be done.
                let _ = cores::stay_on(core);
            }
            // It ends when it cannot poll any more, which its clients notice.
            let _ = serving.run();
        })?;
        Ok(Floor { addr, shared, waker, thread: Some(thread) })
    }

    /// Connections that it has accepted.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Requests that it has answered.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        if self.waker.wake().is_ok()
            && let Some(thread) = self.thread.take()
        {
            // A panic has been printed.
            let _ = thread.join();
        }
    }
}

const LISTENER: Token = Token(usize::MAX - 1);
const WAKER: Token = Token(usize::MAX - 2);

struct Serving {
    poll: Poll,
    listener: mio::net::TcpListener,
    manner: Manner,
    shared: Arc<Shared>,
    /// By token; closed ones leave their place to the next.
    open: Vec<Option<mio::net::TcpStream>>,
}

impl Serving {
    fn run(mut self) -> io::Result<()> {
        let response = match self.manner {
            Manner::Right => RESPONSE.to_vec(),
            Manner::WrongBody => String::from_utf8_lossy(RESPONSE).replace("server 3", "server 4").into_bytes(),
            Manner::Closes => {
                String::from_utf8_lossy(RESPONSE).replace("date:", "connection: close\r\ndate:").into_bytes()
            }
        };
        let mut events = Events::with_capacity(256);
        while !self.shared.stopped.load(Ordering::Relaxed) {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    WAKER => {}
                    Token(at) => {
                        if !self.answer(at, &response) {
                            self.open[at] = None;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        while let Ok((mut stream, _)) = self.listener.accept() {
            // Without it the client would only wait longer.
            let _ = stream.set_nodelay(true);
            let free = self.open.iter().position(Option::is_none).unwrap_or(self.open.len());
            self.poll.registry().register(&mut stream, Token(free), Interest::READABLE)?;
            if free == self.open.len() {
                self.open.push(None);
            }
            self.open[free] = Some(stream);
            self.shared.accepted.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Answers what has come; `false` if the connection is over. A request is small, so it comes in one read, and since a client
    /// waits for the answer there is never a second one behind it.
    fn answer(&self, at: usize, response: &[u8]) -> bool {
        let Some(stream) = self.open.get(at).and_then(Option::as_ref) else { return true };
        let (mut reader, mut writer) = (stream, stream);
        let mut buf = [0; 4096];
        match reader.read(&mut buf) {
            Ok(0) => false,
            Ok(_) => {
                self.shared.answered.fetch_add(1, Ordering::Relaxed);
                writer.write_all(response).is_ok() && self.manner != Manner::Closes
            }
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}
