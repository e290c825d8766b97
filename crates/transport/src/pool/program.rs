//! What time and the program do: sweep, evict, shut down, change limits, look.

use std::time::Instant;

use super::{CloseReason, Effects, Limits, Pool, PoolStats, State, narrow};
use crate::key::Key;

impl<C, W> Pool<C, W> {
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
}
