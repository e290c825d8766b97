//! Which connection serves which request, which are opened, kept and closed: policy alone.
//!
//! A pure state machine. Connections and wakers are opaque values, time is an argument, and whatever has to be done is returned as
//! [`Effects`], for the caller to carry out once it has let go of the lock. Nothing here waits, does I/O, reads a clock or wakes
//! anybody.
//!
//! # The parts
//! - A **host** is a key with idle connections (a stack: the most recently used is taken), waiters (a queue: first come, first
//!   served) and counts.
//! - A **waiter** is a request without a connection. It stands in its host's queue, and it may have a dial of its own. Whatever
//!   comes first serves it: a connection that another request gives back, its own dial, or a dial that lost its owner.
//! - A **dial** is a connection being opened. It counts as one from the moment it is allowed, and it belongs to the host: its owner is
//!   only the first that it serves. When the owner is served otherwise or gives up, the dial goes on for the next.
//! - A **connection** lies idle here, or is in use, in which case only its entry is here. One that was opened and used outside may be
//!   [adopted](Pool::adopt).
//! - A **shared** connection (HTTP/2) carries many requests. It lies idle here like any other; while it carries some it is in use, and
//!   whoever holds it says whether it has [room](Pool::set_sharing) for more. As long as it has, waiters are [offered](Pool::offer) a
//!   place in it and do not dial. Where shared connections can be had, one dial at a time is made until it is known whether they are.
//! - A host whose waiters need dials that a limit forbids stands among the **starving**, each once, in order: a slot that becomes free
//!   goes to the first of them.
//!
//! # Invariants, checked after every step by the property tests
//! - Connections open and being opened never exceed `max_conns_per_host` of any host, nor `max_conns`; dials of a host never
//!   `max_dials_per_host`; idle ones never `max_idle_per_host`, nor `max_idle` in all.
//! - No connection lies idle while a waiter of its host would take it; no slot is free while a waiter has neither a dial nor the
//!   right to one.
//! - Every count is the number of the things it counts.

mod dials;
mod limits;
mod list;
mod program;
mod requests;
mod sharing;
mod stats;
#[cfg(test)]
mod tests;
mod values;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::{Duration, Instant};

use lru::LruCache;
use slab::Slab;

pub(crate) use self::limits::Limits;
use self::list::{Links, List, Node};
pub use self::stats::{CloseReason, Closed, Histogram, PoolStats};
pub use self::values::ConnId;
pub(crate) use self::values::{Acquired, DialId, Effect, Effects, Idle, Refused, Slot, Taken, Terms, Waited, WaiterId};
use crate::key::{Hashed, Key};

pub(crate) struct Pool<C, W> {
    limits: Limits,
    shut: bool,
    /// `close_idle` was called and nobody has asked for a connection since: those that come back are closed too, as in Go.
    closing_idle: bool,
    keys: HashMap<Key, u32, BuildHasherDefault<Hashed>>,
    hosts: Slab<Host>,
    conns: Slab<Entry<C>>,
    /// All open connections, the one that came back longest ago last. Those in use are left in it and passed over, so that handing
    /// one out and taking it back allocates nothing.
    recency: LruCache<u32, (), BuildHasherDefault<Spread>>,
    waiters: Slab<Waiter<C, W>>,
    dials: Slab<Dial>,
    /// The host of the last request: a client that has only one need not look for it.
    last: Option<u32>,
    starving: VecDeque<u32>,
    /// Hosts that had nothing left at some time, each with its [`Host::vacated`] of then.
    vacant: VecDeque<(u32, u64)>,
    totals: PoolStats,
    /// The last number that was given to a connection.
    numbered: u64,
}

struct Host {
    key: Key,
    /// The most recently used at the back.
    idle: List,
    /// Waiters that take any connection.
    queue: List,
    /// Waiters without a dial.
    undialed: List,
    stats: PoolStats,
    is_starving: bool,
    /// Its connections may turn out to be shared, so that one is opened first.
    one_at_a_time: bool,
    /// A shared connection has room.
    sharing: bool,
    /// Connections of an older epoch are not kept.
    epoch: u64,
    vacated: u64,
}

struct Entry<C> {
    id: ConnId,
    host: u32,
    links: Links,
    /// The connection, while it lies idle, and since when.
    idle: Option<(C, Instant)>,
    idle_limit: Option<Duration>,
    expires: Option<Instant>,
    epoch: u64,
}

struct Waiter<C, W> {
    host: u32,
    since: Instant,
    in_queue: Links,
    in_undialed: Links,
    waker: Option<W>,
    state: State<C>,
    /// Only a new connection will do.
    fresh: bool,
    /// It was told of a shared connection, and has not yet looked.
    offered: bool,
    /// Its dial, from when it is allowed to when it ends.
    dial: Option<DialId>,
}

enum State<C> {
    Waiting,
    /// Its dial is allowed, and it has not yet been told.
    Ordered,
    Served(Taken<C>),
    Refused,
}

struct Dial {
    host: u32,
    owner: Option<u32>,
    since: Instant,
    /// It was told to stop.
    aborted: bool,
}

/// With more hosts than this that have nothing open and nobody waiting, the one that has been so longest is forgotten.
const KEPT_HOSTS: usize = 256;

impl<C, W> Pool<C, W> {
    pub(crate) fn new(limits: Limits) -> Self {
        Pool {
            limits,
            shut: false,
            closing_idle: false,
            keys: HashMap::default(),
            hosts: Slab::new(),
            conns: Slab::new(),
            recency: LruCache::unbounded_with_hasher(BuildHasherDefault::default()),
            waiters: Slab::new(),
            dials: Slab::new(),
            last: None,
            starving: VecDeque::new(),
            vacant: VecDeque::new(),
            totals: PoolStats::default(),
            numbered: 0,
        }
    }

    // ---- what connections do

    /// The number of a connection that is opened.
    pub(crate) fn number(&mut self) -> ConnId {
        self.numbered += 1;
        ConnId(self.numbered)
    }

    /// A connection comes back, ready for another request.
    pub(crate) fn put(&mut self, slot: Slot, conn: C, terms: Terms, now: Instant, fx: &mut Effects<C, W>) {
        let entry = &mut self.conns[slot.index as usize];
        entry.idle_limit = terms.idle_limit;
        let host = entry.host;
        if terms.served >= self.limits.max_requests_per_conn {
            self.close(slot, conn, CloseReason::MaxRequests, fx);
        } else {
            self.lay_down(slot, conn, now, fx);
        }
        if self.needs_settling(host) || self.hosts[host as usize].stats.open() == 0 {
            self.settle(host, now, fx);
        }
    }

    /// A connection that was in use was closed by its user.
    pub(crate) fn closed(&mut self, slot: Slot, reason: CloseReason, now: Instant, fx: &mut Effects<C, W>) {
        let host = self.conns[slot.index as usize].host;
        self.forget(slot, reason);
        self.settle(host, now, fx);
    }

    /// Takes an idle connection out to look at it: it is in use then. `None` if it is not idle any more.
    pub(crate) fn take_out(&mut self, slot: Slot) -> Option<C> {
        let entry = self.conns.get(slot.index as usize)?;
        if entry.id != slot.id || entry.idle.is_none() {
            return None;
        }
        let host = entry.host;
        self.pick_up(host, slot.index).map(|(conn, _)| conn)
    }

    /// Counts a request to `key` that is sent again after its connection failed it. That may be gone already.
    pub(crate) fn retried(&mut self, key: &Key) {
        let host = self.host(key);
        self.count(host, |stats| stats.retried += 1);
        self.vacate_if_empty(host);
    }

    // ---- inside

    fn host(&mut self, key: &Key) -> u32 {
        if let Some(last) = self.last
            && self.hosts.get(last as usize).is_some_and(|host| host.key.is_same_text(key))
        {
            return last;
        }
        let host = self.keys.get(key).copied().unwrap_or_else(|| self.new_host(key));
        self.last = Some(host);
        host
    }

    fn new_host(&mut self, key: &Key) -> u32 {
        let host = Host {
            key: key.clone(),
            idle: List::default(),
            queue: List::default(),
            undialed: List::default(),
            stats: PoolStats::default(),
            is_starving: false,
            one_at_a_time: key.may_be_shared(),
            sharing: false,
            epoch: 0,
            vacated: 0,
        };
        let index = narrow(self.hosts.insert(host));
        self.keys.insert(key.clone(), index);
        index
    }

    /// The idle connection that was used most recently: it is the least likely to have been closed by the server, and leaving the
    /// others idle lets a pool that is too large shrink.
    fn take_idle(&mut self, host: u32, now: Instant, fx: &mut Effects<C, W>) -> Option<Taken<C>> {
        loop {
            let index = self.hosts[host as usize].idle.back()?;
            let entry = &self.conns[index as usize];
            let since = entry.idle.as_ref()?.1;
            // Adding is cheaper than subtracting instants, and this is done for each request.
            let ends = |limit: Option<Duration>| limit.is_some_and(|limit| since + limit <= now);
            if ends(self.limits.idle_timeout) || ends(entry.idle_limit) {
                self.close_idle_one(host, index, CloseReason::IdleTimeout, fx);
                continue;
            }
            if entry.expires.is_some_and(|at| at <= now) {
                self.close_idle_one(host, index, CloseReason::MaxAge, fx);
                continue;
            }
            let slot = Slot { index, id: entry.id };
            let (conn, _) = self.pick_up(host, index)?;
            return Some(self.handed_over(Taken { slot, conn, idle: Some(Idle { since, until: now }), reused: true }));
        }
    }

    /// A connection that nobody uses goes to the first waiter, or lies idle, or is closed.
    fn lay_down(&mut self, slot: Slot, conn: C, now: Instant, fx: &mut Effects<C, W>) {
        let entry = &self.conns[slot.index as usize];
        let host = &self.hosts[entry.host as usize];
        let (at, queue) = (entry.host, host.queue.front());
        let over = self.is_above(at) || self.is_above_all();
        let refused = if self.shut {
            Some(CloseReason::Shutdown)
        } else if !self.limits.reuse {
            Some(CloseReason::NotPersistent)
        } else if entry.epoch != host.epoch {
            Some(CloseReason::Requested)
        } else if entry.expires.is_some_and(|expires| expires <= now) {
            Some(CloseReason::MaxAge)
        } else if over {
            Some(CloseReason::Surplus)
        } else {
            None
        };
        if let Some(reason) = refused {
            return self.close(slot, conn, reason, fx);
        }
        if let Some(waiter) = queue {
            return self.serve(waiter, Taken { slot, conn, idle: None, reused: true }, now, fx);
        }
        if self.closing_idle {
            return self.close(slot, conn, CloseReason::Requested, fx);
        }
        if host.idle.len() >= self.limits.max_idle_per_host {
            return self.close(slot, conn, CloseReason::Surplus, fx);
        }
        if self.limits.max_idle == 0 {
            return self.close(slot, conn, CloseReason::Evicted, fx);
        }
        self.conns[slot.index as usize].idle = Some((conn, now));
        self.hosts[at as usize].idle.push_back::<Stack, _>(&mut self.conns, slot.index);
        self.recency.promote(&slot.index);
        self.count(at, |stats| {
            stats.in_use -= 1;
            stats.idle += 1;
        });
        while self.totals.idle > self.limits.max_idle {
            self.evict_oldest(CloseReason::Evicted, now, fx);
        }
    }

    fn serve(&mut self, index: u32, taken: Taken<C>, now: Instant, fx: &mut Effects<C, W>) {
        self.leave_lists(index, Some(now));
        let waiter = &mut self.waiters[index as usize];
        fx.wake(waiter.waker.take());
        let dial = waiter.dial.take();
        let before = std::mem::replace(&mut waiter.state, State::Served(taken));
        match (before, dial) {
            // Nobody has begun it: it is not needed any more.
            (State::Ordered, Some(dial)) => self.end_dial(dial),
            (_, Some(DialId(dial))) => self.dials[dial as usize].owner = None,
            (_, None) => {}
        }
    }

    /// Takes a waiter out of its host's lists; nothing happens the second time. `served` is when it was served, if it was.
    fn leave_lists(&mut self, index: u32, served: Option<Instant>) {
        let waiter = &self.waiters[index as usize];
        if matches!(waiter.state, State::Served(_) | State::Refused) {
            return;
        }
        let (host, since) = (waiter.host, waiter.since);
        let Host { queue, undialed, .. } = &mut self.hosts[host as usize];
        queue.remove::<Queue, _>(&mut self.waiters, index);
        undialed.remove::<Undialed, _>(&mut self.waiters, index);
        self.count(host, |stats| {
            stats.waiting -= 1;
            if let Some(now) = served {
                stats.wait_time.add(now.saturating_duration_since(since));
            }
        });
    }

    /// Counts the hand-over of a connection.
    fn handed_over(&mut self, taken: Taken<C>) -> Taken<C> {
        if taken.reused {
            let host = self.conns[taken.slot.index as usize].host;
            self.count(host, |stats| stats.reused += 1);
        }
        taken
    }

    /// Takes a connection out of the idle stack of its host: it is in use then.
    fn pick_up(&mut self, host: u32, index: u32) -> Option<(C, Instant)> {
        self.hosts[host as usize].idle.remove::<Stack, _>(&mut self.conns, index);
        self.count(host, |stats| {
            stats.idle -= 1;
            stats.in_use += 1;
        });
        self.conns[index as usize].idle.take()
    }

    fn close_idle_one(&mut self, host: u32, index: u32, reason: CloseReason, fx: &mut Effects<C, W>) {
        let slot = Slot { index, id: self.conns[index as usize].id };
        if let Some((conn, _)) = self.pick_up(host, index) {
            self.close(slot, conn, reason, fx);
        }
    }

    /// Closes the connection that has lain idle longest. Returns whether there was one.
    fn evict_oldest(&mut self, reason: CloseReason, now: Instant, fx: &mut Effects<C, W>) -> bool {
        let Some(index) = self.oldest_idle() else { return false };
        let host = self.conns[index as usize].host;
        self.close_idle_one(host, index, reason, fx);
        if self.needs_settling(host) {
            self.settle(host, now, fx);
        } else {
            self.vacate_if_empty(host);
        }
        true
    }

    /// The idle connection that came back longest ago.
    fn oldest_idle(&mut self) -> Option<u32> {
        if self.totals.idle == 0 {
            return None;
        }
        loop {
            let (&index, ()) = self.recency.peek_lru()?;
            if self.conns[index as usize].idle.is_some() {
                return Some(index);
            }
            // In use: when it comes back it will be the most recent anyway, so it may be so now. Each connection is moved once for
            // each time that it was handed out, so the walk costs what the hand-outs did.
            self.recency.promote(&index);
        }
    }

    /// Closes a connection that counts as in use.
    fn close(&mut self, slot: Slot, conn: C, reason: CloseReason, fx: &mut Effects<C, W>) {
        self.forget(slot, reason);
        fx.close(slot, conn, reason);
        fx.emptied(self.shut && self.is_empty());
    }

    /// Takes a connection in use off the books.
    fn forget(&mut self, slot: Slot, reason: CloseReason) {
        let entry = self.conns.remove(slot.index as usize);
        debug_assert!(entry.id == slot.id && entry.idle.is_none(), "only a connection in use is closed by its user");
        self.recency.pop(&slot.index);
        self.count(entry.host, |stats| {
            stats.in_use -= 1;
            stats.closed.add(reason);
        });
    }

    /// Ends a dial and enters the connection that it has opened.
    fn enter(&mut self, dial: DialId, host: u32, since: Instant, expires: Option<Instant>, now: Instant) -> Slot {
        let took = now.saturating_duration_since(since);
        self.end_dial(dial);
        self.count(host, |stats| stats.dial_time.add(took));
        let id = self.number();
        self.enter_as(id, host, expires)
    }

    /// Enters a connection, which is in use then.
    fn enter_as(&mut self, id: ConnId, host: u32, expires: Option<Instant>) -> Slot {
        let entry =
            Entry { id, host, links: Links::default(), idle: None, idle_limit: None, expires, epoch: self.epoch(host) };
        let index = narrow(self.conns.insert(entry));
        self.recency.put(index, ());
        self.count(host, |stats| {
            stats.created += 1;
            stats.in_use += 1;
        });
        Slot { index, id }
    }

    fn start_dial(&mut self, host: u32, owner: Option<u32>, now: Instant) -> DialId {
        let dial = DialId(narrow(self.dials.insert(Dial { host, owner, since: now, aborted: false })));
        self.count(host, |stats| stats.dialing += 1);
        dial
    }

    fn end_dial(&mut self, dial: DialId) {
        let Dial { host, .. } = self.dials.remove(dial.0 as usize);
        self.count(host, |stats| stats.dialing -= 1);
    }

    fn abort_unwanted(&mut self, of: Option<u32>, fx: &mut Effects<C, W>) {
        for (index, dial) in &mut self.dials {
            if dial.owner.is_none() && of.is_none_or(|of| dial.host == of) {
                dial.aborted = true;
                fx.abort(DialId(narrow(index)));
            }
        }
    }

    /// Whether a step on this host may have made room for somebody.
    fn needs_settling(&self, host: u32) -> bool {
        self.shut || !self.starving.is_empty() || !self.hosts[host as usize].undialed.is_empty()
    }

    /// Gives what has become free to those who wait for it: dials to waiters without one, the first first, hosts in turn.
    fn settle(&mut self, host: u32, now: Instant, fx: &mut Effects<C, W>) {
        if self.shut {
            fx.emptied(self.is_empty());
            return;
        }
        let Some(this) = self.hosts.get_mut(host as usize) else { return };
        if !this.undialed.is_empty() && !this.is_starving {
            this.is_starving = true;
            self.starving.push_back(host);
        }
        while let Some(&next) = self.starving.front() {
            let room = self.make_room(next, fx);
            if room == Room::PoolFull {
                break;
            }
            self.starving.pop_front();
            self.hosts[next as usize].is_starving = false;
            let Some(waiter) = self.hosts[next as usize].undialed.front() else {
                self.vacate_if_empty(next);
                continue;
            };
            if room == Room::HostFull {
                // It is looked at again when something of this host ends.
                continue;
            }
            let dial = self.start_dial(next, Some(waiter), now);
            let Host { undialed, .. } = &mut self.hosts[next as usize];
            undialed.remove::<Undialed, _>(&mut self.waiters, waiter);
            let waiter = &mut self.waiters[waiter as usize];
            waiter.dial = Some(dial);
            waiter.state = State::Ordered;
            fx.wake(waiter.waker.take());
            if !self.hosts[next as usize].undialed.is_empty() {
                self.hosts[next as usize].is_starving = true;
                self.starving.push_back(next);
            }
        }
        self.vacate_if_empty(host);
    }

    /// Whether a waiter of `host` may dial. An idle connection makes way if that is what it takes.
    fn make_room(&mut self, host: u32, fx: &mut Effects<C, W>) -> Room {
        let this = &self.hosts[host as usize];
        let Some(first) = this.undialed.front() else { return Room::HostFull };
        let most = if this.one_at_a_time { 1 } else { self.limits.max_dials_per_host };
        if this.stats.dialing >= most || (this.sharing && !self.waiters[first as usize].fresh) {
            return Room::HostFull;
        }
        if this.stats.open() + this.stats.dialing >= self.limits.max_conns_per_host {
            // Idle connections beside a waiter: it is one that takes only a new connection.
            let Some(oldest) = this.idle.front() else { return Room::HostFull };
            self.close_idle_one(host, oldest, CloseReason::Evicted, fx);
        }
        if self.totals.open() + self.totals.dialing >= self.limits.max_conns {
            let Some(oldest) = self.oldest_idle() else { return Room::PoolFull };
            let of = self.conns[oldest as usize].host;
            self.close_idle_one(of, oldest, CloseReason::Evicted, fx);
            if of != host {
                self.vacate_if_empty(of);
            }
        }
        Room::Yes
    }

    fn is_above(&self, host: u32) -> bool {
        let stats = &self.hosts[host as usize].stats;
        stats.open() + stats.dialing > self.limits.max_conns_per_host
    }

    fn is_above_all(&self) -> bool {
        self.totals.open() + self.totals.dialing > self.limits.max_conns
    }

    fn epoch(&self, host: u32) -> u64 {
        self.hosts[host as usize].epoch
    }

    fn count(&mut self, host: u32, change: impl Fn(&mut PoolStats)) {
        change(&mut self.totals);
        change(&mut self.hosts[host as usize].stats);
    }

    /// Remembers that a host has nothing left, and forgets the one for which that is so longest, if there are many.
    fn vacate_if_empty(&mut self, host: u32) {
        let Some(this) = self.hosts.get_mut(host as usize) else { return };
        if !this.is_vacant() {
            return;
        }
        this.vacated += 1;
        self.vacant.push_back((host, this.vacated));
        if self.vacant.len() <= KEPT_HOSTS {
            return;
        }
        if let Some((host, vacated)) = self.vacant.pop_front()
            && let Some(this) = self.hosts.get(host as usize)
            && this.is_vacant()
            && this.vacated == vacated
        {
            self.keys.remove(&this.key);
            self.hosts.remove(host as usize);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Yes,
    HostFull,
    PoolFull,
}

impl Host {
    fn is_vacant(&self) -> bool {
        self.stats.open() + self.stats.dialing + self.stats.waiting == 0 && !self.is_starving
    }
}

/// The three kinds of list.
struct Stack;
struct Queue;
struct Undialed;

impl<C> Node<Stack> for Entry<C> {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }

    fn peek(&self) -> &Links {
        &self.links
    }
}

impl<C, W> Node<Queue> for Waiter<C, W> {
    fn links(&mut self) -> &mut Links {
        &mut self.in_queue
    }

    fn peek(&self) -> &Links {
        &self.in_queue
    }
}

impl<C, W> Node<Undialed> for Waiter<C, W> {
    fn links(&mut self) -> &mut Links {
        &mut self.in_undialed
    }

    fn peek(&self) -> &Links {
        &self.in_undialed
    }
}

/// Spreads the small numbers of slots over the bits that a hash map looks at.
#[derive(Clone, Copy, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write_u32(&mut self, index: u32) {
        self.0 = u64::from(index).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn narrow(index: usize) -> u32 {
    u32::try_from(index).expect("fewer than 2^32 sockets, dials and requests are alive at once")
}
