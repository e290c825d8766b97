//! What all clones of a transport and all its connections share: the pool behind its lock, spare buffers, and the sweeper.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::TransportConfig;
use crate::conn::Conn;
use crate::key::Key;
use crate::pool::{Limits, Pool, PoolStats};

pub(crate) struct Shared {
    pub(crate) config: TransportConfig,
    locked: Mutex<Locked>,
}

struct Locked {
    pool: Pool<Box<Conn>>,
    /// Read buffers of connections that are not reading, so that idle ones have none.
    buffers: Vec<BytesMut>,
    /// The task that closes expired connections. It starts when something becomes idle and looks again when that would expire,
    /// so that a connection going back and forth does not start one each time.
    sweeper: Option<AbortHandle>,
}

/// A connection in use, and the promise to account for it: given back with [`give_back`](Lease::give_back), or closed by being
/// dropped.
pub(crate) struct Lease {
    /// `None` only while it is being given back.
    conn: Option<Box<Conn>>,
    shared: Arc<Shared>,
    /// How long it had lain idle; `None` for a new one.
    pub(crate) idle: Option<Duration>,
}

/// Spare buffers to keep; beyond it they are freed.
const SPARE_BUFFERS: usize = 32;

/// Larger buffers, grown by large bodies, are freed rather than kept.
const LARGEST_SPARE: usize = 16 << 10;

impl Shared {
    pub(crate) fn new(config: TransportConfig) -> Arc<Self> {
        let limits = Limits {
            max_idle: config.max_idle_conns,
            max_idle_per_host: config.max_idle_conns_per_host,
            idle_timeout: config.idle_conn_timeout,
        };
        let locked = Locked { pool: Pool::new(limits), buffers: Vec::new(), sweeper: None };
        Arc::new(Shared { config, locked: Mutex::new(locked) })
    }

    /// An idle connection to `key` that still looks usable. Those that do not are closed on the way.
    pub(crate) fn checkout(self: &Arc<Self>, key: &Key) -> Option<Lease> {
        loop {
            // Filled under the lock, dropped after it: closing sockets is a system call.
            let mut expired = Vec::new();
            let mut locked = self.lock();
            let taken = locked.pool.take(key, now(), &mut expired);
            let buffer = taken.is_some().then(|| locked.buffers.pop()).flatten();
            drop(locked);
            drop(expired);
            let mut taken = taken?;
            taken.conn.buf = buffer.unwrap_or_default();
            let lease = Lease { conn: Some(taken.conn), shared: Arc::clone(self), idle: Some(taken.idle) };
            if lease.conn().is_quiet() {
                return Some(lease);
            }
        }
    }

    /// Takes a newly opened connection into account.
    pub(crate) fn opened(self: &Arc<Self>, key: &Key, stream: TcpStream, peer: std::net::SocketAddr) -> Lease {
        let mut locked = self.lock();
        let id = locked.pool.opened(key.clone());
        let buffer = locked.buffers.pop();
        drop(locked);
        let mut conn = Conn::new(id, stream, peer, self.config.max_response_header_bytes);
        conn.buf = buffer.unwrap_or_default();
        Lease { conn: Some(Box::new(conn)), shared: Arc::clone(self), idle: None }
    }

    pub(crate) fn stats(&self) -> PoolStats {
        self.lock().pool.stats()
    }

    pub(crate) fn close_idle(&self) {
        let mut closed = Vec::new();
        self.lock().pool.close_idle(&mut closed);
    }

    fn put(self: &Arc<Self>, mut conn: Box<Conn>) {
        let buffer = conn.rest();
        let mut closed = Vec::new();
        let mut locked = self.lock();
        locked.pool.put(conn.id, conn, now(), &mut closed);
        locked.keep_buffer(buffer);
        if locked.sweeper.is_none()
            && let Some(first) = locked.pool.next_expiry()
        {
            // Without a runtime nothing can wait; the next checkout looks at the age all the same.
            let runtime = Handle::try_current().ok();
            locked.sweeper = runtime.map(|runtime| runtime.spawn(sweep(Arc::downgrade(self), first)).abort_handle());
        }
    }

    fn forget(&self, conn: &mut Conn) {
        let buffer = conn.rest();
        let mut locked = self.lock();
        locked.pool.closed(conn.id);
        locked.keep_buffer(buffer);
    }

    /// Closes what has expired. Returns when to come again; with `None` the sweeper is done.
    fn sweep(&self) -> Option<Instant> {
        let mut expired = Vec::new();
        let mut locked = self.lock();
        locked.pool.sweep(now(), &mut expired);
        let next = locked.pool.next_expiry();
        if next.is_none() {
            locked.sweeper = None;
            locked.buffers.clear();
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, Locked> {
        // A panic under the lock would be a broken invariant of the pool; the others go on with what is there.
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(sweeper) = &self.lock().sweeper {
            sweeper.abort();
        }
    }
}

impl Locked {
    fn keep_buffer(&mut self, buffer: BytesMut) {
        if self.buffers.len() < SPARE_BUFFERS && (1..=LARGEST_SPARE).contains(&buffer.capacity()) {
            self.buffers.push(buffer);
        }
    }
}

impl Lease {
    pub(crate) fn conn(&self) -> &Conn {
        self.conn.as_ref().expect("a lease has its connection until it is given back")
    }

    pub(crate) fn conn_mut(&mut self) -> &mut Conn {
        self.conn.as_mut().expect("a lease has its connection until it is given back")
    }

    /// Gives the connection back for the next request. It must be between two messages.
    pub(crate) fn give_back(mut self) {
        if let Some(mut conn) = self.conn.take() {
            debug_assert!(conn.buf.is_empty(), "bytes behind a message never reach the next request");
            conn.served += 1;
            self.shared.put(conn);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(mut conn) = self.conn.take() {
            self.shared.forget(&mut conn);
        }
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("conn", &self.conn).field("idle", &self.idle).finish_non_exhaustive()
    }
}

/// Closes expired connections when their time comes, until nothing lies idle. It keeps nothing alive.
async fn sweep(shared: Weak<Shared>, first: Instant) {
    let mut cut_short = OnDrop(Weak::clone(&shared));
    let mut next = Some(first);
    while let Some(at) = next {
        tokio::time::sleep_until(at.into()).await;
        next = shared.upgrade().and_then(|shared| shared.sweep());
    }
    // The last look has said so already, and there may be a successor by now.
    cut_short.0 = Weak::new();
}

/// Says that there is no sweeper any more when its runtime goes away, so that the next connection to become idle starts another.
struct OnDrop(Weak<Shared>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.lock().sweeper = None;
        }
    }
}

/// The runtime's clock, which tests can pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
