//! What shared connections do: hosts with room in one offer it to their waiters.

use std::time::Instant;

use super::list::Node;
use super::{Dial, DialId, Effects, Host, Pool, Queue, Slot, Undialed, WaiterId};
use crate::key::Key;

impl<C, W> Pool<C, W> {
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
}
