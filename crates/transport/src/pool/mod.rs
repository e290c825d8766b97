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
//! - A **connection** lies idle here, or is in use, in which case only its entry is here.
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

mod limits;
mod list;
mod stats;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::{Duration, Instant};

use lru::LruCache;
use slab::Slab;

pub(crate) use self::limits::Limits;
use self::list::{Links, List, Node};
pub use self::stats::{CloseReason, Closed, Histogram, PoolStats};
use crate::key::{Hashed, Key};

/// A connection's number, unique in its pool, counted from 1 in the order in which they were opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub(crate) u64);

impl ConnId {
    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl std::fmt::Display for ConnId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "connection {}", self.0)
    }
}

/// The entry of an open connection: its place, which is used again, and its number, which is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    index: u32,
    pub(crate) id: ConnId,
}

impl Slot {
    /// Its place, below the largest number of connections that were open at once.
    pub(crate) fn index(self) -> usize {
        self.index as usize
    }
}

/// A request that waits. Its owner ends it with [`Pool::collect`] or [`Pool::give_up`], exactly once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WaiterId(u32);

/// A dial. Whoever drives it ends it with [`Pool::dialed`] or [`Pool::dial_failed`], exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct DialId(u32);

/// A connection handed to a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taken<C> {
    pub(crate) slot: Slot,
    pub(crate) conn: C,
    /// When it lay idle; `None` if it did not.
    pub(crate) idle: Option<Idle>,
    /// Whether it was opened for another request, even if that never used it.
    pub(crate) reused: bool,
}

/// A time of lying idle, as two moments, since most never ask for how long it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Idle {
    since: Instant,
    until: Instant,
}

impl Idle {
    pub(crate) fn duration(self) -> Duration {
        self.until.saturating_duration_since(self.since)
    }
}

/// What a request gets when it asks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Acquired<C> {
    Conn(Taken<C>),
    Wait(WaiterId),
    Refused(Refused),
}

/// Why a request gets nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// `max_waiters_per_host` wait already.
    QueueFull { waiting: usize },
    /// The pool was shut down.
    Shutdown,
}

/// What a waiter finds when it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// Nothing yet. It will be woken.
    Pending,
    /// It has a connection; it has to be [collected](Pool::collect).
    Served,
    /// It is to open a connection.
    Dial(DialId),
    /// A shared connection may have room for it; if it has, the waiter ends with [`Pool::share`].
    Offered,
    /// The pool was shut down.
    Refused(Refused),
}

/// What has to be done after a step, outside the lock, in this order.
#[derive(Debug)]
pub(crate) struct Effects<C, W>(Vec<Effect<C, W>>);

/// One thing to do.
#[derive(Debug)]
pub(crate) enum Effect<C, W> {
    /// A waiter has something to look at.
    Wake(W),
    /// A connection is to be closed.
    Close(Slot, C, CloseReason),
    /// A dial that nobody wants is to be given up.
    Abort(DialId),
    /// The pool was shut down, and nothing is open any more.
    Emptied,
}

/// What is known about a connection that comes back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    /// Requests that it has carried.
    pub(crate) served: u64,
    /// How long the server has said that it keeps it.
    pub(crate) idle_limit: Option<Duration>,
}

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
        }
    }

    // ---- what requests do

    /// A request asks for a connection to `key`. With `reuse` false only a new one will do.
    pub(crate) fn acquire(&mut self, key: &Key, reuse: bool, now: Instant, fx: &mut Effects<C, W>) -> Acquired<C> {
        if self.shut {
            return Acquired::Refused(Refused::Shutdown);
        }
        self.closing_idle = false;
        let host = self.host(key);
        let reuse = reuse && self.limits.reuse;
        if reuse && let Some(taken) = self.take_idle(host, now, fx) {
            return Acquired::Conn(taken);
        }
        self.wait(host, reuse, false, now, fx)
    }

    /// As [`acquire`](Self::acquire), for a request that was served a connection which had died meanwhile: it stands first in the
    /// queue again.
    pub(crate) fn acquire_again(&mut self, key: &Key, now: Instant, fx: &mut Effects<C, W>) -> Acquired<C> {
        if self.shut {
            return Acquired::Refused(Refused::Shutdown);
        }
        let host = self.host(key);
        match self.take_idle(host, now, fx) {
            Some(taken) => Acquired::Conn(taken),
            None => self.wait(host, self.limits.reuse, true, now, fx),
        }
    }

    /// What there is for a waiter now.
    pub(crate) fn look(&mut self, waiter: &WaiterId) -> Waited {
        let waiter = &mut self.waiters[waiter.0 as usize];
        match &waiter.state {
            State::Waiting if std::mem::take(&mut waiter.offered) => Waited::Offered,
            State::Waiting => Waited::Pending,
            State::Served(_) => Waited::Served,
            State::Refused => Waited::Refused(Refused::Shutdown),
            State::Ordered => {
                waiter.state = State::Waiting;
                Waited::Dial(waiter.dial.expect("a waiter that was told to dial has a dial"))
            }
        }
    }

    /// Where to leave the waker of a waiter that found nothing.
    pub(crate) fn waker(&mut self, waiter: &WaiterId) -> &mut Option<W> {
        &mut self.waiters[waiter.0 as usize].waker
    }

    /// Ends a waiter that was served. Its dial, if that is under way, goes on for others.
    pub(crate) fn collect(&mut self, waiter: WaiterId) -> Option<Taken<C>> {
        let index = waiter.0;
        if !matches!(self.waiters[index as usize].state, State::Served(_)) {
            debug_assert!(false, "only a served waiter is collected");
            return None;
        }
        match self.waiters.remove(index as usize).state {
            State::Served(taken) => Some(self.handed_over(taken)),
            _ => None,
        }
    }

    /// Ends a waiter in whatever state it is. What it had been given goes to the next; its dial, if that is under way, goes on for
    /// others.
    pub(crate) fn give_up(&mut self, waiter: WaiterId, now: Instant, fx: &mut Effects<C, W>) {
        self.end_waiter(waiter, None, now, fx);
    }

    fn end_waiter(&mut self, waiter: WaiterId, served: Option<Instant>, now: Instant, fx: &mut Effects<C, W>) {
        let index = waiter.0;
        let host = self.waiters[index as usize].host;
        self.leave_lists(index, served);
        let waiter = self.waiters.remove(index as usize);
        match waiter.state {
            State::Served(taken) => self.lay_down(taken.slot, taken.conn, now, fx),
            State::Ordered => self.end_dial(waiter.dial.expect("a waiter that was told to dial has a dial")),
            State::Waiting | State::Refused => {
                if let Some(DialId(dial)) = waiter.dial {
                    self.dials[dial as usize].owner = None;
                }
            }
        }
        self.settle(host, now, fx);
    }

    // ---- what shared connections do

    /// A dial has opened a connection that many requests may use at once. It counts as in use, for whoever has opened it, and waiters are
    /// to be [offered](Self::offer) a place in it; the dial's owner still waits.
    pub(crate) fn dialed_shared(
        &mut self,
        dial: DialId,
        expires: Option<Instant>,
        now: Instant,
        fx: &mut Effects<C, W>,
    ) -> Slot {
        let Dial { host, owner, since, .. } = self.dials[dial.0 as usize];
        let slot = self.enter(dial, host, since, expires, now);
        let this = &mut self.hosts[host as usize];
        this.one_at_a_time = true;
        this.sharing = true;
        if let Some(owner) = owner {
            self.waiters[owner as usize].dial = None;
            // If there is no room for it, it is the first that may dial again.
            let Host { undialed, .. } = &mut self.hosts[host as usize];
            undialed.push_front::<Undialed, _>(&mut self.waiters, owner);
        }
        self.settle(host, now, fx);
        slot
    }

    /// Says whether a shared connection to `key` has room. If none has, waiters may dial.
    pub(crate) fn set_sharing(&mut self, key: &Key, sharing: bool, now: Instant, fx: &mut Effects<C, W>) {
        let Some(&host) = self.keys.get(key) else { return };
        let was = std::mem::replace(&mut self.hosts[host as usize].sharing, sharing);
        if was && !sharing {
            self.settle(host, now, fx);
        }
    }

    /// Tells the first `count` waiters of `key` that have not been told that a shared connection may have room.
    pub(crate) fn offer(&mut self, key: &Key, count: usize, fx: &mut Effects<C, W>) {
        let Some(&host) = self.keys.get(key) else { return };
        let mut told = 0;
        let mut next = self.hosts[host as usize].queue.front();
        while let Some(index) = next
            && told < count
        {
            let waiter = &mut self.waiters[index as usize];
            if !waiter.offered {
                waiter.offered = true;
                fx.wake(waiter.waker.take());
                told += 1;
            }
            next = Node::<Queue>::peek(waiter).next;
        }
    }

    /// Ends a waiter that has a place in a shared connection. What else it had been given goes to the next; its dial, if that is under
    /// way, goes on for others.
    pub(crate) fn share(&mut self, waiter: WaiterId, now: Instant, fx: &mut Effects<C, W>) {
        self.end_waiter(waiter, Some(now), now, fx);
    }

    /// Counts a request that has a place in the connection of `slot`, which was there before it.
    pub(crate) fn shared_again(&mut self, slot: Slot) {
        let host = self.conns[slot.index as usize].host;
        self.count(host, |stats| stats.reused += 1);
    }

    /// How many requests wait for a connection to `key`.
    pub(crate) fn waiting(&self, key: &Key) -> usize {
        self.keys.get(key).map_or(0, |&host| self.hosts[host as usize].stats.waiting)
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.shut
    }

    // ---- what dials do

    /// Allows a dial that no request asked for, if there is room.
    pub(crate) fn dial_ahead(&mut self, key: &Key, now: Instant, fx: &mut Effects<C, W>) -> Option<DialId> {
        if self.shut {
            return None;
        }
        self.closing_idle = false;
        let host = self.host(key);
        let stats = &self.hosts[host as usize].stats;
        // Nobody is waiting for it, so nothing has to make way for it.
        let room = stats.open() + stats.dialing < self.limits.max_conns_per_host
            && self.totals.open() + self.totals.dialing < self.limits.max_conns
            && stats.dialing < self.limits.max_dials_per_host;
        let dial = (room && self.hosts[host as usize].undialed.is_empty()).then(|| self.start_dial(host, None, now));
        self.settle(host, now, fx);
        dial
    }

    /// Whether a dial is to go on that its owner stopped driving, for whoever comes next.
    pub(crate) fn is_wanted(&self, dial: DialId) -> bool {
        !self.shut && !self.dials[dial.0 as usize].aborted
    }

    /// A dial has opened a connection: it serves the owner, the first waiter, or the idle stack. `expires` is when it is too old.
    pub(crate) fn dialed(
        &mut self,
        dial: DialId,
        conn: impl FnOnce(Slot) -> C,
        expires: Option<Instant>,
        now: Instant,
        fx: &mut Effects<C, W>,
    ) {
        let Dial { host, owner, since, .. } = self.dials[dial.0 as usize];
        let slot = self.enter(dial, host, since, expires, now);
        self.hosts[host as usize].one_at_a_time = false;
        let conn = conn(slot);
        match owner {
            _ if self.shut => self.close(slot, conn, CloseReason::Shutdown, fx),
            Some(owner) => {
                self.waiters[owner as usize].dial = None;
                self.serve(owner, Taken { slot, conn, idle: None, reused: false }, now, fx);
            }
            None => self.lay_down(slot, conn, now, fx),
        }
        self.settle(host, now, fx);
    }

    /// A dial has failed or was given up. Its owner, who drives it, has to give up too, or look whether it was served meanwhile.
    pub(crate) fn dial_failed(&mut self, dial: DialId, now: Instant, fx: &mut Effects<C, W>) {
        let Dial { host, owner, .. } = self.dials[dial.0 as usize];
        if let Some(owner) = owner {
            self.waiters[owner as usize].dial = None;
        }
        self.end_dial(dial);
        // Those that wait must not fail one after the other.
        self.hosts[host as usize].one_at_a_time = false;
        self.count(host, |stats| stats.dials_failed += 1);
        self.settle(host, now, fx);
    }

    // ---- what connections do

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

    // ---- what time and the program do

    /// Closes what has been idle for too long. Costs time for those alone.
    pub(crate) fn sweep(&mut self, now: Instant, fx: &mut Effects<C, W>) {
        while let Some(expiry) = self.next_expiry()
            && expiry <= now
        {
            self.evict_oldest(CloseReason::IdleTimeout, now, fx);
        }
    }

    /// When the connection that has been idle longest expires.
    pub(crate) fn next_expiry(&mut self) -> Option<Instant> {
        let limit = self.limits.idle_timeout?;
        let index = self.oldest_idle()?;
        let (_, since) = self.conns[index as usize].idle.as_ref()?;
        since.checked_add(limit)
    }

    /// Whether anything lies idle.
    pub(crate) fn has_idle(&self) -> bool {
        self.totals.idle > 0
    }

    /// Closes all idle connections and gives up the dials that nobody waits for. Until the next request, connections that come
    /// back are closed as well.
    pub(crate) fn close_idle(&mut self, now: Instant, fx: &mut Effects<C, W>) {
        self.closing_idle = true;
        while self.evict_oldest(CloseReason::Requested, now, fx) {}
        self.abort_unwanted(None, fx);
    }

    /// Closes the idle connections of a host, and those in use when they come back.
    pub(crate) fn evict(&mut self, key: &Key, now: Instant, fx: &mut Effects<C, W>) {
        let Some(&host) = self.keys.get(key) else { return };
        self.hosts[host as usize].epoch += 1;
        while let Some(index) = self.hosts[host as usize].idle.front() {
            self.close_idle_one(host, index, CloseReason::Requested, fx);
        }
        self.abort_unwanted(Some(host), fx);
        self.settle(host, now, fx);
    }

    /// Closes the idle connections for which `is` holds. Looks at all of them.
    pub(crate) fn close_idle_where(
        &mut self,
        is: impl Fn(&Key, &C) -> bool,
        reason: CloseReason,
        now: Instant,
        fx: &mut Effects<C, W>,
    ) {
        let found: Vec<(u32, u32)> = self
            .conns
            .iter()
            .filter(|(_, entry)| {
                entry.idle.as_ref().is_some_and(|(conn, _)| is(&self.hosts[entry.host as usize].key, conn))
            })
            .map(|(index, entry)| (narrow(index), entry.host))
            .collect();
        for (index, host) in found {
            self.close_idle_one(host, index, reason, fx);
            self.settle(host, now, fx);
        }
    }

    /// Refuses everything from now on; what is in use goes on, and is closed when it comes back.
    pub(crate) fn shut_down(&mut self, now: Instant, fx: &mut Effects<C, W>) {
        self.shut = true;
        let waiting: Vec<u32> = self.waiters.iter().map(|(index, _)| narrow(index)).collect();
        for index in waiting {
            let state = &self.waiters[index as usize].state;
            if matches!(state, State::Served(_) | State::Refused) {
                continue;
            }
            let ordered = matches!(state, State::Ordered);
            self.leave_lists(index, None);
            let waiter = &mut self.waiters[index as usize];
            waiter.state = State::Refused;
            fx.wake(waiter.waker.take());
            if let Some(dial) = waiter.dial.take() {
                self.dials[dial.0 as usize].owner = None;
                if ordered {
                    self.end_dial(dial);
                }
            }
        }
        self.starving.clear();
        for (_, host) in &mut self.hosts {
            host.is_starving = false;
        }
        while self.evict_oldest(CloseReason::Shutdown, now, fx) {}
        self.abort_unwanted(None, fx);
        fx.emptied(self.is_empty());
    }

    /// Puts other limits in force. Idle connections above them are closed at once, those in use when they come back.
    pub(crate) fn set_limits(&mut self, limits: Limits, now: Instant, fx: &mut Effects<C, W>) {
        self.limits = limits;
        let hosts: Vec<u32> = self.hosts.iter().map(|(index, _)| narrow(index)).collect();
        for &host in &hosts {
            let most_idle = if limits.reuse { limits.max_idle_per_host } else { 0 };
            while let Some(index) = self.hosts[host as usize].idle.front()
                && (self.hosts[host as usize].idle.len() > most_idle || self.is_above(host))
            {
                self.close_idle_one(host, index, CloseReason::Surplus, fx);
            }
        }
        while self.totals.idle > limits.max_idle || (self.totals.idle > 0 && self.is_above_all()) {
            self.evict_oldest(CloseReason::Evicted, now, fx);
        }
        for host in hosts {
            self.settle(host, now, fx);
        }
    }

    pub(crate) fn stats(&self) -> PoolStats {
        self.totals
    }

    pub(crate) fn stats_for(&self, key: &Key) -> PoolStats {
        self.keys.get(key).map(|&host| self.hosts[host as usize].stats).unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.totals.open() + self.totals.dialing == 0
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

    fn wait(&mut self, host: u32, reuse: bool, first: bool, now: Instant, fx: &mut Effects<C, W>) -> Acquired<C> {
        let waiting = self.hosts[host as usize].stats.waiting;
        if waiting >= self.limits.max_waiters_per_host {
            self.vacate_if_empty(host);
            return Acquired::Refused(Refused::QueueFull { waiting });
        }
        let waiter = Waiter {
            host,
            since: now,
            in_queue: Links::default(),
            in_undialed: Links::default(),
            waker: None,
            state: State::Waiting,
            fresh: !reuse,
            offered: false,
            dial: None,
        };
        let index = narrow(self.waiters.insert(waiter));
        let Host { queue, undialed, .. } = &mut self.hosts[host as usize];
        match (first, reuse) {
            (false, true) => queue.push_back::<Queue, _>(&mut self.waiters, index),
            (true, true) => queue.push_front::<Queue, _>(&mut self.waiters, index),
            (_, false) => {}
        }
        if first {
            undialed.push_front::<Undialed, _>(&mut self.waiters, index);
        } else {
            undialed.push_back::<Undialed, _>(&mut self.waiters, index);
        }
        self.count(host, |stats| stats.waiting += 1);
        self.settle(host, now, fx);
        Acquired::Wait(WaiterId(index))
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
        let id = ConnId(self.totals.created + 1);
        let entry =
            Entry { id, host, links: Links::default(), idle: None, idle_limit: None, expires, epoch: self.epoch(host) };
        let index = narrow(self.conns.insert(entry));
        self.recency.put(index, ());
        self.count(host, |stats| {
            stats.created += 1;
            stats.in_use += 1;
            stats.dial_time.add(took);
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

impl<C, W> Effects<C, W> {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them: first what is to be closed, so that whoever waits for the room does not open a connection before the old one is
    /// gone.
    pub(crate) fn into_ordered(self) -> impl Iterator<Item = Effect<C, W>> {
        let (close, rest): (Vec<_>, Vec<_>) =
            self.0.into_iter().partition(|effect| matches!(effect, Effect::Close(..)));
        close.into_iter().chain(rest)
    }

    fn wake(&mut self, waker: Option<W>) {
        self.0.extend(waker.map(Effect::Wake));
    }

    fn close(&mut self, slot: Slot, conn: C, reason: CloseReason) {
        self.0.push(Effect::Close(slot, conn, reason));
    }

    fn abort(&mut self, dial: DialId) {
        self.0.push(Effect::Abort(dial));
    }

    fn emptied(&mut self, emptied: bool) {
        self.0.extend(emptied.then_some(Effect::Emptied));
    }
}

impl<C, W> Default for Effects<C, W> {
    fn default() -> Self {
        Effects(Vec::new())
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
