//! Which connections are open, and telling them to stop.
//!
//! The server and its connections share one [`Tracker`]; each connection has its own [`Link`], so that a request costs no
//! lock and no shared cache line. The lock is taken when a connection opens or closes and at shutdown.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, watch};

#[cfg(feature = "tls")]
use crate::TlsInfo;
use crate::config::ConnState;
use crate::deadlines::Phase;
use crate::link::{self, Link};
use crate::{ConnInfo, ServerConfig};

/// How far the server has come on its way to the end. Only ever moves down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    /// Accepting and serving.
    Running = 0,
    /// Accepting and serving, and each response says that it is its connection's last.
    LameDuck = 1,
    /// No new connections, no new requests on open ones; what has begun is finished.
    Draining = 2,
    /// Connections are dropped where they stand.
    Cut = 3,
}

impl Stage {
    pub(crate) fn from_u8(number: u8) -> Self {
        match number {
            0 => Stage::Running,
            1 => Stage::LameDuck,
            2 => Stage::Draining,
            _ => Stage::Cut,
        }
    }
}

/// What a server has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStats {
    /// Connections accepted since the server was made.
    pub accepted: u64,
    /// Connections open now, those that handlers took over not counted.
    pub open: u64,
    /// Of the open ones, those on which a request is in progress, part of a head included.
    pub active: u64,
    /// Of the open ones, those that wait for a next request.
    pub idle: u64,
    /// Connections that handlers took over since the server was made, upgrades included.
    pub hijacked: u64,
    /// Requests whose head was read since the server was made.
    pub requests: u64,
    /// Requests refused by the server itself: malformed ones, and those it does not support.
    pub refused: u64,
    /// Connections and bodies that ran into a time limit; idle ones are not counted.
    pub timeouts: u64,
    /// Handlers that panicked.
    pub panics: u64,
    /// Bytes read from clients, as they came out of the stream: behind TLS, the plain ones.
    pub bytes_read: u64,
    /// Bytes written to clients.
    pub bytes_written: u64,
}

/// What a [`shutdown`](crate::Server::shutdown) did to the connections that were open when it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Connections that came to their own end: idle ones at once, busy ones after their last response.
    pub finished: u64,
    /// Connections that were cut when the time was up.
    pub cut: u64,
}

pub(crate) struct Tracker {
    conns: Mutex<Conns>,
    /// Connections accepted: the number of the next.
    accepted: AtomicU64,
    /// For those who wait: the accept loops, `shutdown`, and handlers.
    stage: watch::Sender<Stage>,
    /// Moves when a connection closes and somebody waits for that.
    closed: watch::Sender<u64>,
    /// How many sockets are listened on.
    listening: watch::Sender<usize>,
    pub(crate) keep_alives: AtomicBool,
    refused: AtomicU64,
    timeouts: AtomicU64,
}

#[derive(Default)]
struct Conns {
    open: HashMap<u64, Arc<Link>, BuildHasherDefault<ByNumber>>,
    hijacked: u64,
    /// Sums over connections that are not on the list any more.
    past: Sums,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    requests: u64,
    panics: u64,
    read: u64,
    written: u64,
}

/// Spreads the numbers of connections, which are ours: no client can make them collide.
#[derive(Default)]
struct ByNumber(u64);

impl Hasher for ByNumber {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // 2^64 by the golden ratio: the map looks at the highest bits and at the lowest.
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Sums {
    fn add(&mut self, link: &Link) {
        self.requests += link.requests();
        self.panics += link.panics();
        self.read += link.bytes_read();
        self.written += link.bytes_written();
    }
}

/// Keeps a connection on the tracker's list; dropping it, however the task ends, takes it off.
pub(crate) struct Tracked {
    pub(crate) link: Arc<Link>,
    /// Its place under `max_connections`.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

/// A socket that is listened on. It has to outlive the socket.
pub(crate) struct Listening(Arc<Tracker>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.listening.send_modify(|count| *count -= 1);
    }
}

impl Tracker {
    pub(crate) fn new(keep_alives: bool) -> Arc<Self> {
        Arc::new(Tracker {
            conns: Mutex::default(),
            accepted: AtomicU64::new(0),
            stage: watch::Sender::new(Stage::Running),
            closed: watch::Sender::new(0),
            listening: watch::Sender::new(0),
            keep_alives: AtomicBool::new(keep_alives),
            refused: AtomicU64::new(0),
            timeouts: AtomicU64::new(0),
        })
    }

    pub(crate) fn stage(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    pub(crate) fn keeps_alive(&self) -> bool {
        self.keep_alives.load(Ordering::Relaxed)
    }

    pub(crate) fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_timeout(&self) {
        self.timeouts.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts a new connection on the list. `None` once the server is stopping: the connection is then not served.
    pub(crate) fn open(self: &Arc<Self>, mut info: ConnInfo, config: &Arc<ServerConfig>) -> Option<Tracked> {
        info.id = self.accepted.fetch_add(1, Ordering::Relaxed);
        // Outside of the lock: the user's code runs in here.
        let link = Arc::new(Link::new(info, Arc::clone(config), Arc::clone(self), Stage::Running));
        {
            let mut conns = self.lock();
            let stage = *self.stage.borrow();
            if stage > Stage::LameDuck {
                self.accepted.fetch_sub(1, Ordering::Relaxed);
                return None;
            }
            if stage > Stage::Running {
                link.advance(stage);
            }
            conns.open.insert(link.info.id, Arc::clone(&link));
        }
        config.on_state.call(&link.info, ConnState::New);
        Some(Tracked { link, permit: None })
    }

    /// Moves to `stage`, tells everyone, and returns how many connections are open.
    pub(crate) fn advance(&self, stage: Stage) -> Open {
        let conns = self.lock();
        // Under the lock, so that `open` cannot slip a connection in between.
        self.stage.send_if_modified(|now| {
            let later = stage > *now;
            *now = stage.max(*now);
            later
        });
        let mut open = Open::default();
        for link in conns.open.values() {
            open.all += 1;
            open.busy += u64::from(matches!(link.phase(), Phase::Head | Phase::Active));
            link.advance(stage);
        }
        open
    }

    /// Has all connections look at what they are told.
    pub(crate) fn wake_all(&self) {
        for link in self.lock().open.values() {
            link.wake();
        }
    }

    /// Takes a connection off the list that its handler has taken over.
    pub(crate) fn let_go(&self, id: u64) {
        let mut conns = self.lock();
        if let Some(link) = conns.open.remove(&id) {
            conns.past.add(&link);
            conns.hijacked += 1;
            drop(conns);
            self.tell_closed();
        }
    }

    /// A connection is off the list. Who waits for that has subscribed before looking at the list, and so before it went off.
    fn tell_closed(&self) {
        if self.closed.receiver_count() > 0 {
            self.closed.send_modify(|count| *count += 1);
        }
    }

    /// Counts a socket that is listened on, for as long as the guard lives.
    pub(crate) fn listens(self: &Arc<Self>) -> Listening {
        self.listening.send_modify(|count| *count += 1);
        Listening(Arc::clone(self))
    }

    /// Waits until no socket is listened on.
    pub(crate) async fn none_listening(&self) {
        // An error means that the sender is gone, which lives in `self`.
        let _ = self.listening.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Waits until no connection is open.
    pub(crate) async fn all_closed(&self) {
        let mut closed = self.closed.subscribe();
        while !self.lock().open.is_empty() {
            // The sender lives in `self`, so this cannot fail.
            let _ = closed.changed().await;
        }
    }

    pub(crate) fn stats(&self) -> ServerStats {
        let conns = self.lock();
        let mut sums = conns.past;
        let (mut active, mut idle) = (0, 0);
        for link in conns.open.values() {
            sums.add(link);
            match link.phase() {
                Phase::Head | Phase::Active => active += 1,
                Phase::Idle => idle += 1,
                Phase::New | Phase::Hijacked | Phase::Closing => {}
            }
        }
        ServerStats {
            accepted: self.accepted.load(Ordering::Relaxed),
            open: conns.open.len() as u64,
            active,
            idle,
            hijacked: conns.hijacked,
            requests: sums.requests,
            refused: self.refused.load(Ordering::Relaxed),
            timeouts: self.timeouts.load(Ordering::Relaxed),
            panics: sums.panics,
            bytes_read: sums.read,
            bytes_written: sums.written,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Conns> {
        // Nothing under this lock can leave it half done, so a panic elsewhere does not matter.
        self.conns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tracked {
    /// Takes over what a TLS handshake has settled. Nothing has happened on the connection before that anybody could have seen.
    #[cfg(feature = "tls")]
    pub(crate) fn settle(&mut self, tls: TlsInfo) {
        let old = &self.link;
        let tracker = Arc::clone(&old.tracker);
        let info = ConnInfo { tls: Some(Arc::new(tls)), ..old.info.clone() };
        // Outside of the lock: the user's code runs in here.
        let link = Arc::new(Link::new(info, Arc::clone(&old.config), Arc::clone(&tracker), Stage::Running));
        let mut conns = tracker.lock();
        link.advance(*tracker.stage.borrow());
        conns.open.insert(link.info.id, Arc::clone(&link));
        drop(conns);
        self.link = link;
    }
}

/// How many connections were open at some moment, and on how many of them something was going on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Open {
    pub(crate) all: u64,
    pub(crate) busy: u64,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let link = &self.link;
        let tracker = &link.tracker;
        {
            let mut conns = tracker.lock();
            if conns.open.remove(&link.info.id).is_some() {
                conns.past.add(link);
            }
        }
        if !link.has(link::HIJACKED) {
            link.raise(link::CLOSED);
            link.wake_watchers();
            link.tell(ConnState::Closed);
        }
        tracker.tell_closed();
    }
}
