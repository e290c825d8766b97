//! What all clones of a transport and all its connections share: the pool behind its lock, spare buffers, and the tasks.

mod http2;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use roundtrip_types::BoxRoundTripper;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::TransportConfig;
use crate::conn::{Conn, Tools, Watch};
use crate::events::Events;
use crate::key::Key;
use crate::lease::Lease;
use crate::mux::{Active, Mux, StreamLease};
use crate::net::{ConnInfo, Connector, Departed, Dialed, PeerAddr};
use crate::pool::{
    Acquired, CloseReason, ConnId, DialId, Effect, Effects, Limits, Pool, PoolStats, Refused, Slot, Taken, Terms,
    Waited, WaiterId,
};
use crate::pooled::Pooled;
use crate::sweeper::{Next, Signal, sweep};

type Fx = Effects<Pooled, Waker>;

pub(crate) struct Shared {
    pub(crate) config: ArcSwap<TransportConfig>,
    locked: Mutex<Locked>,
    has_events: AtomicBool,
    pub(crate) connector: Arc<Connector>,
    signal: Arc<Signal>,
    /// Who sends what has another scheme than http and https.
    schemes: Mutex<HashMap<String, BoxRoundTripper>>,
    /// Told when a transport that was shut down has nothing open any more.
    emptied: Notify,
}

struct Locked {
    pool: Pool<Pooled, Waker>,
    /// HTTP/2 connections that carry requests.
    active: Active,
    /// Tools of connections that are not in use, so that idle ones have none. The box changes hands, and is not made anew.
    #[expect(clippy::vec_box, reason = "what is lent is the box")]
    tools: Vec<Box<Tools>>,
    /// The sweeper. It starts when something becomes idle and looks again when that would expire, so that a connection going back
    /// and forth does not start one each time.
    sweeping: bool,
    sweeper: Option<AbortHandle>,
    /// The tasks of dials whose requests do not wait for them any more.
    dials: HashMap<DialId, AbortHandle>,
    /// By slot, to cut off those in use.
    watches: Vec<Weak<Watch>>,
}

/// What carries a request.
#[derive(Debug)]
pub(crate) enum Got {
    /// A connection of its own.
    Conn(Lease),
    /// A stream of one that it shares.
    Stream(StreamLease),
}

/// A connection that was opened.
#[derive(Debug)]
pub(crate) enum Opened {
    One(Dialed),
    Many(Arc<Mux>),
}

/// What a request gets that asks for a connection.
pub(crate) enum Checkout {
    Got(Got),
    Wait(WaiterId),
    Refused(Refused),
}

/// Spare tools to keep; beyond it they are freed.
const SPARE_TOOLS: usize = 32;

impl Shared {
    pub(crate) fn new(config: TransportConfig) -> Arc<Self> {
        let locked = Locked {
            pool: Pool::new(Limits::of(&config)),
            active: Active::default(),
            tools: Vec::new(),
            sweeping: false,
            sweeper: None,
            dials: HashMap::new(),
            watches: Vec::new(),
        };
        Arc::new_cyclic(|shared: &Weak<Shared>| Shared {
            has_events: AtomicBool::new(config.events.is_some()),
            connector: Arc::new(Connector::new(config.connect.clone(), Some(when_departed(Weak::clone(shared))))),
            config: ArcSwap::from_pointee(config),
            locked: Mutex::new(locked),
            signal: Arc::default(),
            schemes: Mutex::default(),
            emptied: Notify::new(),
        })
    }

    // ---- for requests

    /// A place in a connection that others use, an idle connection to `key` that still looks usable, or a place in the queue. Those that
    /// turn out to be dead are closed on the way.
    pub(crate) fn checkout(self: &Arc<Self>, key: &Key, reuse: bool) -> Checkout {
        let mut fx = Fx::default();
        let mut locked = self.lock();
        if reuse
            && key.may_be_shared()
            // Those who wait come first.
            && locked.pool.waiting(key) == 0
            && let Some(stream) = self.take_stream(&mut locked, key, &mut fx)
        {
            drop(locked);
            self.carry_out(fx);
            return Checkout::Got(Got::Stream(stream));
        }
        let mut acquired = locked.pool.acquire(key, reuse, now(), &mut fx);
        loop {
            let Taken { slot, conn, idle, reused } = match acquired {
                Acquired::Conn(taken) => taken,
                other => {
                    drop(locked);
                    self.carry_out(fx);
                    return match other {
                        Acquired::Refused(refused) => Checkout::Refused(refused),
                        Acquired::Wait(waiter) => Checkout::Wait(waiter),
                        Acquired::Conn(_) => unreachable!("taken above"),
                    };
                }
            };
            match conn {
                Pooled::One(conn) => {
                    let tools = locked.tools.pop();
                    drop(locked);
                    self.carry_out(std::mem::take(&mut fx));
                    let mut lease = self.lease(Taken { slot, conn, idle, reused }, tools);
                    if lease.conn_mut().is_usable() {
                        return Checkout::Got(Got::Conn(lease));
                    }
                    lease.fate = CloseReason::ClosedByPeer;
                    drop(lease);
                }
                Pooled::Many(mux) => {
                    let activated = self.activate(&mut locked, key, mux, slot, (reused, idle), &mut fx);
                    drop(locked);
                    self.carry_out(std::mem::take(&mut fx));
                    match activated {
                        Ok(stream) => return Checkout::Got(Got::Stream(stream)),
                        Err(dead) => self.close_mux(slot, &dead, CloseReason::ClosedByPeer),
                    }
                }
            }
            locked = self.lock();
            acquired = locked.pool.acquire(key, reuse, now(), &mut fx);
        }
    }

    /// As [`checkout`](Self::checkout), first in the queue: for a waiter that was handed a connection which had died.
    pub(crate) fn checkout_again(self: &Arc<Self>, key: &Key) -> Checkout {
        let mut fx = Fx::default();
        let acquired = self.lock().pool.acquire_again(key, now(), &mut fx);
        self.carry_out(fx);
        match acquired {
            Acquired::Conn(taken) => match self.got(key, taken) {
                Some(got) => Checkout::Got(got),
                None => self.checkout_again(key),
            },
            Acquired::Wait(waiter) => Checkout::Wait(waiter),
            Acquired::Refused(refused) => Checkout::Refused(refused),
        }
    }

    /// What there is for a waiter; if nothing, `waker` is woken when there is.
    pub(crate) fn look(&self, waiter: &WaiterId, waker: &Waker) -> Waited {
        let mut locked = self.lock();
        let found = locked.pool.look(waiter);
        if found == Waited::Pending {
            match locked.pool.waker(waiter) {
                Some(known) => known.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
        }
        found
    }

    /// The connection of a waiter that was served; `None` if it has died meanwhile.
    pub(crate) fn collect(self: &Arc<Self>, key: &Key, waiter: WaiterId) -> Option<Got> {
        let taken = self.lock().pool.collect(waiter)?;
        self.got(key, taken)
    }

    /// A place in a shared connection for a waiter that was offered one, if it is there still.
    pub(crate) fn share(self: &Arc<Self>, key: &Key, waiter: &mut Option<WaiterId>) -> Option<StreamLease> {
        let mut fx = Fx::default();
        let mut locked = self.lock();
        let stream = self.take_stream(&mut locked, key, &mut fx);
        if stream.is_some()
            && let Some(waiter) = waiter.take()
        {
            locked.pool.share(waiter, now(), &mut fx);
        }
        self.offer_next(&mut locked, key, &mut fx);
        drop(locked);
        self.carry_out(fx);
        stream
    }

    pub(crate) fn give_up(&self, key: &Key, waiter: WaiterId) {
        self.change_all(|locked, now, fx| {
            locked.pool.give_up(waiter, now, fx);
            // It may have been offered what it did not take.
            self.offer_next(locked, key, fx);
        });
    }

    pub(crate) fn retried(&self, key: &Key) {
        self.lock().pool.retried(key);
    }

    // ---- for dials

    /// Allows a dial that no request asked for, if there is room.
    pub(crate) fn dial_ahead(&self, key: &Key) -> Option<DialId> {
        self.change(|pool, now, fx| pool.dial_ahead(key, now, fx))
    }

    /// Enters a connection that was opened. `by` is its owner, if that is who drives the dial and looks itself afterwards; it may get a
    /// place in the connection at once, and stays a waiter to be ended with [`share`](Self::share)'s sister, [`give_up`](Self::give_up).
    pub(crate) fn dialed(
        self: &Arc<Self>,
        key: &Key,
        dial: DialId,
        opened: Opened,
        by: &mut Option<WaiterId>,
    ) -> Option<StreamLease> {
        match opened {
            Opened::One(dialed) => {
                self.dialed_one(dial, dialed, by.as_ref());
                None
            }
            Opened::Many(mux) => self.dialed_many(key, dial, mux, by),
        }
    }

    fn dialed_one(self: &Arc<Self>, dial: DialId, dialed: Dialed, by: Option<&WaiterId>) {
        let watch = Watch::new(Arc::clone(&self.signal));
        let mut conn = Box::new(Conn::new(dialed, Arc::clone(&watch)));
        if by.is_none() {
            // It may lie idle at once. If it is dead already, the mark stays, and whoever takes it looks again.
            conn.arm();
        }
        let now = now();
        let expires = self.expiry();
        let mut fx = Fx::default();
        let mut locked = self.lock();
        if let Some(waiter) = by {
            // To be woken would mean to be polled again for nothing.
            *locked.pool.waker(waiter) = None;
        }
        let Locked { pool, watches, dials, .. } = &mut *locked;
        dials.remove(&dial);
        pool.dialed(dial, entered(conn, &watch, watches), expires, now, &mut fx);
        self.after_entering(locked, &watch, fx);
    }

    /// What is left to do when an HTTP/1.1 connection has entered the pool.
    fn after_entering(self: &Arc<Self>, mut locked: MutexGuard<'_, Locked>, watch: &Watch, fx: Fx) {
        let start = locked.sweeper_to_start();
        drop(locked);
        if watch.is_woken()
            && let Some(slot) = watch.slot()
        {
            // It happened before the connection could say which it is.
            self.signal.woken(slot);
        }
        self.carry_out(fx);
        self.start_sweeper(start);
    }

    pub(crate) fn dial_failed(&self, dial: DialId) {
        self.change_all(|locked, now, fx| {
            locked.dials.remove(&dial);
            locked.pool.dial_failed(dial, now, fx);
        });
    }

    /// Whether a dial is to go on that its request stopped driving.
    pub(crate) fn is_wanted(&self, dial: DialId) -> bool {
        self.lock().pool.is_wanted(dial)
    }

    /// Remembers the task that drives a dial, to stop it when nobody wants it any more.
    pub(crate) fn driven(&self, dial: DialId, task: AbortHandle) {
        let mut locked = self.lock();
        if task.is_finished() {
            return;
        }
        if locked.pool.is_wanted(dial) {
            locked.dials.insert(dial, task);
        } else {
            drop(locked);
            task.abort();
        }
    }

    // ---- for held connections

    /// The number of a connection that is opened outside of the pool; `None` if the transport was shut down.
    pub(crate) fn number(&self) -> Option<ConnId> {
        let mut locked = self.lock();
        (!locked.pool.is_shut()).then(|| locked.pool.number())
    }

    pub(crate) fn spare_tools(&self) -> Option<Box<Tools>> {
        self.lock().tools.pop()
    }

    pub(crate) fn keep_tools(&self, tools: Option<Box<Tools>>) {
        self.lock().keep_tools(tools);
    }

    /// Takes a connection into the pool that was held outside and rests, if there is room for it.
    pub(crate) fn adopt_one(self: &Arc<Self>, key: &Key, mut conn: Box<Conn>, expires: Option<Instant>) {
        let (id, terms) = (conn.id, conn.terms);
        let watch = Watch::new(Arc::clone(&self.signal));
        conn.watched_by(Arc::clone(&watch));
        if !conn.arm() {
            drop(conn);
            return self.tell_closed(id, CloseReason::ClosedByPeer);
        }
        self.tell_idle(id);
        let mut fx = Fx::default();
        let mut locked = self.lock();
        let Locked { pool, watches, .. } = &mut *locked;
        pool.adopt(key, id, entered(conn, &watch, watches), terms, expires, now(), &mut fx);
        self.after_entering(locked, &watch, fx);
    }

    pub(crate) fn tell_closed(&self, id: ConnId, reason: CloseReason) {
        if let Some(events) = self.events() {
            events.conn_closed(id, reason);
        }
    }

    fn tell_idle(&self, id: ConnId) {
        if let Some(events) = self.events() {
            events.put_idle_conn(id);
        }
    }

    // ---- for the program

    /// Has `round_tripper` send what has this scheme. Returns whether the scheme was free.
    pub(crate) fn register(&self, scheme: String, round_tripper: BoxRoundTripper) -> bool {
        let mut schemes = self.schemes.lock().unwrap_or_else(PoisonError::into_inner);
        match schemes.entry(scheme) {
            Entry::Occupied(_) => false,
            Entry::Vacant(free) => {
                free.insert(round_tripper);
                true
            }
        }
    }

    pub(crate) fn registered(&self, scheme: &str) -> Option<BoxRoundTripper> {
        let schemes = self.schemes.lock().unwrap_or_else(PoisonError::into_inner);
        schemes.get(&scheme.to_ascii_lowercase()).cloned()
    }

    pub(crate) fn stats(&self) -> PoolStats {
        self.lock().pool.stats()
    }

    pub(crate) fn stats_for(&self, key: &Key) -> PoolStats {
        self.lock().pool.stats_for(key)
    }

    pub(crate) fn close_idle(&self) {
        self.change(|pool, now, fx| pool.close_idle(now, fx));
    }

    pub(crate) fn evict(&self, key: &Key) {
        self.change_all(|locked, now, fx| {
            locked.active.evict(key);
            locked.pool.evict(key, now, fx);
            self.note_sharing(locked, key, now, fx);
        });
    }

    pub(crate) fn set_config(&self, config: TransportConfig) {
        let limits = Limits::of(&config);
        self.has_events.store(config.events.is_some(), Ordering::Relaxed);
        self.config.store(Arc::new(config));
        self.change(|pool, now, fx| pool.set_limits(limits, now, fx));
    }

    /// Refuses new work and closes what lies idle.
    pub(crate) fn shut_down(&self) {
        let sweeper = self.change_all(|locked, now, fx| {
            locked.pool.shut_down(now, fx);
            // None is started any more, since nothing becomes idle.
            locked.sweeper.take()
        });
        if let Some(sweeper) = sweeper {
            sweeper.abort();
        }
    }

    /// Waits until nothing is open, after [`shut_down`](Self::shut_down).
    pub(crate) async fn wait_empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.lock().pool.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// Cuts off what is in use.
    pub(crate) fn cut(&self) {
        let (watches, dials, muxes) = {
            let mut locked = self.lock();
            (std::mem::take(&mut locked.watches), std::mem::take(&mut locked.dials), locked.active.all())
        };
        for mux in muxes {
            mux.conn().close("the transport was shut down");
        }
        for watch in watches.iter().filter_map(Weak::upgrade) {
            watch.cut();
        }
        for dial in dials.into_values() {
            dial.abort();
        }
    }

    // ---- for the sweeper

    /// Closes what has died or expired.
    pub(crate) fn sweep(self: &Arc<Self>) -> Next {
        for slot in self.signal.take() {
            let taken = self.lock().pool.take_out(slot);
            if let Some(Pooled::Many(mux)) = taken {
                if mux.conn().room().is_err() {
                    self.close_mux(slot, &mux, CloseReason::ClosedByPeer);
                } else {
                    self.rest(slot, mux, Terms::default());
                }
            } else if let Some(Pooled::One(conn)) = taken {
                let mut lease = self.lease(Taken { slot, conn, idle: None, reused: true }, None);
                if lease.conn_mut().arm() {
                    // A false alarm. It goes back as it came.
                    lease.lay_down();
                } else {
                    lease.fate = CloseReason::ClosedByPeer;
                }
            }
        }
        self.change_all(|locked, now, fx| {
            locked.pool.sweep(now, fx);
            let next = locked.next();
            if next == Next::Done {
                locked.sweeping = false;
                locked.sweeper = None;
                locked.tools.clear();
            }
            next
        })
    }

    pub(crate) fn sweeper_gone(&self) {
        let mut locked = self.lock();
        locked.sweeping = false;
        locked.sweeper = None;
    }

    /// Addresses have left the answer for a name: what leads to them is not used any more.
    fn departed(&self, departed: &Departed) {
        let gone = |key: &Key, info: &ConnInfo| {
            let name = key.proxy().map_or(key.host(), |proxy| proxy.target().host());
            let PeerAddr::Ip(peer) = info.peer() else { return false };
            departed.addresses.contains(&peer.ip()) && name.eq_ignore_ascii_case(&departed.name)
        };
        self.change_all(|locked, now, fx| {
            locked.active.evict_where(gone);
            locked.pool.close_idle_where(|key, conn| gone(key, conn.info()), CloseReason::AddressGone, now, fx);
        });
    }

    // ---- inside

    /// What a connection that was taken out of the pool is for a request; `None` if it has died.
    fn got(self: &Arc<Self>, key: &Key, taken: Taken<Pooled>) -> Option<Got> {
        let Taken { slot, conn, idle, reused } = taken;
        match conn {
            Pooled::One(conn) => {
                let tools = self.lock().tools.pop();
                Some(Got::Conn(self.lease(Taken { slot, conn, idle, reused }, tools)))
            }
            Pooled::Many(mux) => {
                let mut fx = Fx::default();
                let activated = self.activate(&mut self.lock(), key, mux, slot, (reused, idle), &mut fx);
                self.carry_out(fx);
                activated.map(Got::Stream).map_err(|dead| self.close_mux(slot, &dead, CloseReason::ClosedByPeer)).ok()
            }
        }
    }

    /// When a connection that is opened now will be too old.
    pub(crate) fn expiry(&self) -> Option<Instant> {
        let age = self.config.load().max_conn_age?;
        now().checked_add(jittered(age, random_fraction()))
    }

    fn lease(self: &Arc<Self>, taken: Taken<Box<Conn>>, tools: Option<Box<Tools>>) -> Lease {
        let Taken { slot, mut conn, idle, reused } = taken;
        conn.lend(tools);
        Lease::new(conn, slot, Arc::clone(self), idle, reused)
    }

    /// Who listens to all that happens.
    #[inline]
    pub(crate) fn events(&self) -> Option<Arc<dyn Events>> {
        // Relaxed: whoever sets it gives no promise about requests under way.
        if self.has_events.load(Ordering::Relaxed) { self.config.load().events.clone() } else { None }
    }

    /// Puts an armed connection into the pool.
    ///
    /// # Errors
    /// Something has woken it. It comes back, to be looked at again.
    pub(crate) fn lay_down(self: &Arc<Self>, slot: Slot, mut conn: Box<Conn>) -> Result<(), Box<Conn>> {
        let tools = conn.rest();
        if let Some(events) = self.events() {
            events.put_idle_conn(slot.id);
        }
        let mut fx = Fx::default();
        let mut locked = self.lock();
        locked.keep_tools(tools);
        // Looked at under the lock: later marks find the connection in the pool.
        if conn.is_woken() {
            return Err(conn);
        }
        let terms = conn.terms;
        locked.pool.put(slot, Pooled::One(conn), terms, now(), &mut fx);
        let start = locked.sweeper_to_start();
        drop(locked);
        self.carry_out(fx);
        self.start_sweeper(start);
        Ok(())
    }

    /// Takes a connection that was in use off the books.
    pub(crate) fn close(&self, slot: Slot, reason: CloseReason, tools: Option<Box<Tools>>) {
        self.change_all(|locked, now, fx| {
            locked.keep_tools(tools);
            locked.pool.closed(slot, reason, now, fx);
        });
        if let Some(events) = self.events() {
            events.conn_closed(slot.id, reason);
        }
    }

    fn change<T>(&self, step: impl FnOnce(&mut Pool<Pooled, Waker>, Instant, &mut Fx) -> T) -> T {
        self.change_all(|locked, now, fx| step(&mut locked.pool, now, fx))
    }

    fn change_all<T>(&self, step: impl FnOnce(&mut Locked, Instant, &mut Fx) -> T) -> T {
        let mut fx = Fx::default();
        let now = now();
        let result = step(&mut self.lock(), now, &mut fx);
        self.carry_out(fx);
        result
    }

    /// Does what a step of the pool asks for. Not under the lock: closing sockets is a system call, and whoever is woken may want it.
    #[inline]
    fn carry_out(&self, fx: Fx) {
        // Most steps ask for nothing.
        if !fx.is_empty() {
            self.carry_out_all(fx);
        }
    }

    #[cold]
    fn carry_out_all(&self, fx: Fx) {
        for effect in fx.into_ordered() {
            match effect {
                Effect::Close(slot, conn, reason) => {
                    match conn {
                        Pooled::One(conn) => {
                            if let Some(tools) = conn.end() {
                                self.lock().keep_tools(Some(tools));
                            }
                        }
                        Pooled::Many(mux) => mux.conn().retire(),
                    }
                    if let Some(events) = self.events() {
                        events.conn_closed(slot.id, reason);
                    }
                }
                Effect::Wake(waker) => waker.wake(),
                Effect::Abort(dial) => {
                    let handle = self.lock().dials.remove(&dial);
                    if let Some(handle) = handle {
                        handle.abort();
                    }
                }
                Effect::Emptied => self.emptied.notify_waiters(),
            }
        }
    }

    /// Starts the sweeper. Not under the lock: a runtime that is going away drops what it is given at once.
    fn start_sweeper(self: &Arc<Self>, first: Option<Next>) {
        let Some(first) = first else { return };
        let task = sweep(Arc::downgrade(self), Arc::clone(&self.signal), first);
        match Handle::try_current() {
            Ok(runtime) => {
                let handle = runtime.spawn(task).abort_handle();
                let mut locked = self.lock();
                if locked.sweeping {
                    locked.sweeper = Some(handle);
                }
            }
            // Without a runtime nothing can wait; the next checkout looks at the age all the same.
            Err(_) => drop(task),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Locked> {
        // A panic under the lock would be a broken invariant of the pool; the others go on with what is there.
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let locked = self.locked.get_mut().unwrap_or_else(PoisonError::into_inner);
        for task in locked.sweeper.iter().chain(locked.dials.values()) {
            task.abort();
        }
    }
}

impl Locked {
    fn keep_tools(&mut self, tools: Option<Box<Tools>>) {
        if self.tools.len() < SPARE_TOOLS {
            self.tools.extend(tools);
        }
    }

    /// When the sweeper has to look next.
    fn next(&mut self) -> Next {
        match self.pool.next_expiry() {
            Some(at) => Next::At(at),
            None if self.pool.has_idle() => Next::Told,
            None => Next::Done,
        }
    }

    /// When a sweeper that has to be started now would look first.
    fn sweeper_to_start(&mut self) -> Option<Next> {
        if self.sweeping || !self.pool.has_idle() {
            return None;
        }
        self.sweeping = true;
        Some(self.next())
    }
}

/// Says to an HTTP/1.1 connection and to those who watch it where it stands in the pool.
fn entered<'a>(
    mut conn: Box<Conn>,
    watch: &'a Arc<Watch>,
    watches: &'a mut Vec<Weak<Watch>>,
) -> impl FnOnce(Slot) -> Pooled + 'a {
    move |slot| {
        watch.enter(slot);
        conn.id = slot.id;
        if watches.len() <= slot.index() {
            watches.resize(slot.index() + 1, Weak::new());
        }
        watches[slot.index()] = Arc::downgrade(watch);
        Pooled::One(conn)
    }
}

/// Tells the transport of addresses that are gone, while there is one.
fn when_departed(shared: Weak<Shared>) -> Box<dyn Fn(Departed) + Send + Sync> {
    Box::new(move |departed| {
        if let Some(shared) = shared.upgrade() {
            shared.departed(&departed);
        }
    })
}

/// `age`, up to 10 % shorter or longer, by a `fraction` between 0 and 1.
fn jittered(age: Duration, fraction: f64) -> Duration {
    age.checked_add(age / 10).map_or(age, |longest| longest - (age / 5).mul_f64(fraction))
}

/// Between 0 and 1, different each time.
fn random_fraction() -> f64 {
    let bits = RandomState::new().hash_one(0_u8) >> 32;
    f64::from(u32::try_from(bits).unwrap_or(0)) / f64::from(u32::MAX)
}

/// The runtime's clock, which tests can pause.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_spread_by_a_tenth_either_way() {
        let age = Duration::from_secs(100);
        assert_eq!(jittered(age, 0.0), Duration::from_secs(110));
        assert_eq!(jittered(age, 0.5), Duration::from_secs(100));
        assert_eq!(jittered(age, 1.0), Duration::from_secs(90));
        assert_eq!(jittered(Duration::MAX, 0.3), Duration::MAX);
        let drawn: Vec<f64> = (0..100).map(|_| random_fraction()).collect();
        assert!(drawn.iter().all(|fraction| (0.0..=1.0).contains(fraction)) && drawn[0] != drawn[1]);
    }
}
