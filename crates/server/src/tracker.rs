//! Which connections are open, and telling them to stop.
//!
//! The server and its connections share one [`Tracker`]; each connection has its own [`ConnState`], so that a request costs no
//! lock and no shared cache line. The lock is taken when a connection opens or closes and at shutdown.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tokio::sync::{OwnedSemaphorePermit, watch};

/// How far the server has come on its way to the end. Only ever moves down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    /// Accepting and serving.
    Running = 0,
    /// No new connections, no new requests on open ones; what has begun is finished.
    Draining = 1,
    /// Connections are dropped where they stand.
    Cut = 2,
}

/// What a server has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStats {
    /// Connections accepted since the server was made.
    pub accepted: u64,
    /// Connections open now.
    pub open: u64,
    /// Requests whose head was read since the server was made.
    pub requests: u64,
    /// Handlers that panicked.
    pub panics: u64,
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
    /// For those who wait: the accept loops and `shutdown`.
    stage: watch::Sender<Stage>,
    /// Moves whenever a connection closes.
    closed: watch::Sender<u64>,
}

struct Conns {
    open: HashMap<u64, Arc<ConnState>>,
    accepted: u64,
    /// Sums over closed connections.
    requests: u64,
    panics: u64,
}

/// What the server and one connection's task share.
pub(crate) struct ConnState {
    stage: AtomicU8,
    /// The connection's task, once it has been polled.
    task: Mutex<Option<Waker>>,
    requests: AtomicU64,
    panics: AtomicU64,
    /// Written and read by the connection's task alone.
    client: AtomicU8,
}

/// What the connection's task knows of its client. A client that has shut down its sending side and one that is gone look the
/// same from here.
const UNWATCHED: u8 = 0;
const LISTENING: u8 = 1;
const STOPPED: u8 = 2;

/// Keeps a connection on the tracker's list; dropping it, however the task ends, takes it off.
pub(crate) struct Tracked {
    tracker: Arc<Tracker>,
    pub(crate) id: u64,
    pub(crate) state: Arc<ConnState>,
    /// Its place under `max_connections`.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

impl Tracker {
    pub(crate) fn new() -> Arc<Self> {
        let conns = Conns { open: HashMap::new(), accepted: 0, requests: 0, panics: 0 };
        Arc::new(Tracker {
            conns: Mutex::new(conns),
            stage: watch::Sender::new(Stage::Running),
            closed: watch::Sender::new(0),
        })
    }

    pub(crate) fn stage(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    /// Puts a new connection on the list. `None` once the server is stopping: the connection is then not served.
    pub(crate) fn open(self: &Arc<Self>) -> Option<Tracked> {
        let mut conns = self.lock();
        if *self.stage.borrow() != Stage::Running {
            return None;
        }
        let id = conns.accepted;
        conns.accepted += 1;
        let state = Arc::new(ConnState {
            stage: AtomicU8::new(Stage::Running as u8),
            task: Mutex::new(None),
            requests: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            client: AtomicU8::new(UNWATCHED),
        });
        conns.open.insert(id, Arc::clone(&state));
        Some(Tracked { tracker: Arc::clone(self), id, state, permit: None })
    }

    /// Moves to `stage`, tells everyone, and returns how many connections are open.
    pub(crate) fn advance(&self, stage: Stage) -> u64 {
        let conns = self.lock();
        // Under the lock, so that `open` cannot slip a connection in between.
        self.stage.send_if_modified(|now| {
            let later = stage > *now;
            *now = stage.max(*now);
            later
        });
        for conn in conns.open.values() {
            conn.advance(stage);
        }
        conns.open.len() as u64
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
        let mut stats = ServerStats {
            accepted: conns.accepted,
            open: conns.open.len() as u64,
            requests: conns.requests,
            panics: conns.panics,
        };
        for conn in conns.open.values() {
            stats.requests += conn.requests.load(Ordering::Relaxed);
            stats.panics += conn.panics.load(Ordering::Relaxed);
        }
        stats
    }

    fn lock(&self) -> MutexGuard<'_, Conns> {
        // Nothing under this lock can leave it half done, so a panic elsewhere does not matter.
        self.conns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnState {
    pub(crate) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Running,
            1 => Stage::Draining,
            _ => Stage::Cut,
        }
    }

    /// Remembers whom to wake. Called by the task before it first looks at `stage`: whoever advances the stage either finds
    /// the waker here, or has stored the stage before this lock was released, where the task will see it.
    pub(crate) fn register(&self, task: &Waker) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.clone());
    }

    pub(crate) fn request_started(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn served_any(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// From now on the end of what the client sends is looked for.
    pub(crate) fn listen(&self) {
        self.client.store(LISTENING, Ordering::Relaxed);
    }

    pub(crate) fn is_listening(&self) -> bool {
        self.client.load(Ordering::Relaxed) == LISTENING
    }

    pub(crate) fn stop_listening(&self) {
        self.client.store(UNWATCHED, Ordering::Relaxed);
    }

    pub(crate) fn client_stopped(&self) {
        self.client.store(STOPPED, Ordering::Relaxed);
    }

    pub(crate) fn has_client_stopped(&self) -> bool {
        self.client.load(Ordering::Relaxed) == STOPPED
    }

    fn advance(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::Release);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let mut conns = self.tracker.lock();
        conns.open.remove(&self.id);
        conns.requests += self.state.requests.load(Ordering::Relaxed);
        conns.panics += self.state.panics.load(Ordering::Relaxed);
        drop(conns);
        self.tracker.closed.send_modify(|count| *count += 1);
    }
}
