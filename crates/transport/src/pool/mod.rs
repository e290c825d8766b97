//! Which connections are kept, which are handed out and which are closed: policy alone.
//!
//! A pure state machine. Connections are opaque values, time is an argument, and whatever has to be closed is returned for the
//! caller to drop once it has let go of the lock. Nothing here waits, does I/O or wakes anybody.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::key::{Hashed, Key};

#[cfg(test)]
mod tests;

/// A connection's number, unique in its pool, counted from 1 in the order of dialing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConnId(pub(crate) u64);

/// What the pool is allowed to keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_idle: usize,
    pub(crate) max_idle_per_host: usize,
    pub(crate) idle_timeout: Option<Duration>,
}

/// What a pool holds, and what it has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Connections that lie idle now.
    pub idle: usize,
    /// Connections that carry a request or a response body now.
    pub in_use: usize,
    /// Connections opened.
    pub created: u64,
    /// Requests that took an idle connection instead of opening one.
    pub reused: u64,
}

/// The idle connections of all hosts.
///
/// Invariants: `idle` is the number of connections in all stacks, and at most `max_idle` between calls; no stack is longer than
/// `max_idle_per_host`; a stack is ordered by the time its connections came back; `conns` has an entry for each open connection,
/// marked idle exactly if it lies in a stack, and its idle entries are ordered by the time they came back.
pub(crate) struct Pool<C> {
    limits: Limits,
    /// The hosts with idle connections, and few others: hosts seen once leave nothing behind.
    hosts: HashMap<Key, VecDeque<Idle<C>>, BuildHasherDefault<Hashed>>,
    /// All open connections, the least recently used last. An entry lives as long as its connection, marked rather than
    /// removed while that is in use, so that handing one out and taking it back allocates nothing.
    conns: LruCache<ConnId, Entry>,
    stats: PoolStats,
}

struct Idle<C> {
    id: ConnId,
    conn: C,
    since: Instant,
}

struct Entry {
    key: Key,
    idle_since: Option<Instant>,
}

/// An idle connection handed out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taken<C> {
    pub(crate) id: ConnId,
    pub(crate) conn: C,
    /// How long it lay idle.
    pub(crate) idle: Duration,
}

impl<C> Pool<C> {
    pub(crate) fn new(limits: Limits) -> Self {
        Pool { limits, hosts: HashMap::default(), conns: LruCache::unbounded(), stats: PoolStats::default() }
    }

    /// Counts a connection that was just opened, and numbers it.
    pub(crate) fn opened(&mut self, key: Key) -> ConnId {
        self.stats.created += 1;
        self.stats.in_use += 1;
        let id = ConnId(self.stats.created);
        self.conns.put(id, Entry { key, idle_since: None });
        id
    }

    /// Hands out the idle connection of `key` that was used most recently: it is the least likely to have been closed by the
    /// server, and leaving the others idle lets a pool that is too large shrink. Expired ones go into `close`.
    pub(crate) fn take(&mut self, key: &Key, now: Instant, close: &mut Vec<C>) -> Option<Taken<C>> {
        let stack = self.hosts.get_mut(key)?;
        let Idle { id, conn, since } = stack.pop_back()?;
        let idle = now.saturating_duration_since(since);
        if self.limits.idle_timeout.is_some_and(|limit| idle >= limit) {
            // All below it in the stack are older still; the sweep finds them in order.
            stack.push_back(Idle { id, conn, since });
            self.sweep(now, close);
            return None;
        }
        if stack.is_empty() && self.hosts.len() > SPARE_STACKS {
            self.hosts.remove(key);
        }
        let entry = self.conns.peek_mut(&id).expect("every open connection has an entry");
        entry.idle_since = None;
        self.stats.idle -= 1;
        self.stats.in_use += 1;
        self.stats.reused += 1;
        Some(Taken { id, conn, idle })
    }

    /// Takes a connection back. Whatever has to make room for it, or the connection itself, goes into `close`.
    pub(crate) fn put(&mut self, id: ConnId, conn: C, now: Instant, close: &mut Vec<C>) {
        // `get_mut` also makes it the most recently used.
        let entry = self.conns.get_mut(&id).expect("every open connection has an entry");
        let stack = match self.hosts.get_mut(&entry.key) {
            Some(stack) => stack,
            None => self.hosts.entry(entry.key.clone()).or_default(),
        };
        if self.limits.max_idle == 0 || stack.len() >= self.limits.max_idle_per_host {
            self.closed(id);
            close.push(conn);
            return;
        }
        entry.idle_since = Some(now);
        stack.push_back(Idle { id, conn, since: now });
        self.stats.in_use -= 1;
        self.stats.idle += 1;
        while self.stats.idle > self.limits.max_idle {
            close.extend(self.evict_oldest());
        }
    }

    /// Forgets a connection that was in use and is closed.
    pub(crate) fn closed(&mut self, id: ConnId) {
        let entry = self.conns.pop(&id);
        debug_assert!(
            entry.is_some_and(|entry| entry.idle_since.is_none()),
            "only a connection in use is closed by its user"
        );
        self.stats.in_use -= 1;
    }

    /// Closes what has been idle for too long. Costs time for those alone.
    pub(crate) fn sweep(&mut self, now: Instant, close: &mut Vec<C>) {
        while let Some(expiry) = self.next_expiry()
            && expiry <= now
        {
            close.extend(self.evict_oldest());
        }
    }

    /// When the connection that has been idle longest expires.
    pub(crate) fn next_expiry(&mut self) -> Option<Instant> {
        let limit = self.limits.idle_timeout?;
        self.oldest_idle()?;
        let (_, entry) = self.conns.peek_lru()?;
        Some(entry.idle_since? + limit)
    }

    /// Closes all idle connections.
    pub(crate) fn close_idle(&mut self, close: &mut Vec<C>) {
        while let Some(conn) = self.evict_oldest() {
            close.push(conn);
        }
    }

    pub(crate) fn stats(&self) -> PoolStats {
        self.stats
    }

    fn evict_oldest(&mut self) -> Option<C> {
        let id = self.oldest_idle()?;
        let entry = self.conns.pop(&id)?;
        self.stats.idle -= 1;
        // Of its host it came back first too, so it lies at the bottom of the stack.
        let stack = self.hosts.get_mut(&entry.key).expect("an idle connection lies in its host's stack");
        let lowest = stack.pop_front().expect("an idle connection lies in its host's stack");
        debug_assert_eq!(lowest.id, id, "stacks and recency agree on the order");
        if stack.is_empty() {
            self.hosts.remove(&entry.key);
        }
        Some(lowest.conn)
    }

    /// The idle connection that came back longest ago; afterwards it is the last of `conns`.
    fn oldest_idle(&mut self) -> Option<ConnId> {
        if self.stats.idle == 0 {
            return None;
        }
        loop {
            let (&id, entry) = self.conns.peek_lru().expect("an idle connection has an entry");
            if entry.idle_since.is_some() {
                return Some(id);
            }
            // In use: when it comes back it will be the most recent anyway, so it may be so now. Each connection is moved once
            // for each time that it was handed out, so the walk costs what the hand-outs did.
            self.conns.promote(&id);
        }
    }
}

/// With more hosts than this, one whose last idle connection is taken loses its stack; with fewer it keeps it, so that a
/// connection going back and forth does not allocate one each time.
const SPARE_STACKS: usize = 64;
