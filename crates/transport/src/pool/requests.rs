//! What requests do: ask, wait, collect, give up.

use std::time::Instant;

use super::list::Links;
use super::{
    Acquired, DialId, Effects, Host, Pool, Queue, Refused, State, Taken, Undialed, Waited, Waiter, WaiterId, narrow,
};
use crate::key::Key;

impl<C, W> Pool<C, W> {
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

    pub(super) fn end_waiter(
        &mut self,
        waiter: WaiterId,
        served: Option<Instant>,
        now: Instant,
        fx: &mut Effects<C, W>,
    ) {
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
}
