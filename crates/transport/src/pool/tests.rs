//! The policy by table, by property and under a model checker, without sockets: a connection is its number.

mod model;
mod properties;
mod sharing;
mod tables;

use http::uri::Authority;

use super::*;

pub(super) fn key(host: u8) -> Key {
    Key::http(Authority::try_from(format!("h{host}.test")).unwrap()).unwrap()
}

/// No limit at all.
pub(super) fn unlimited() -> Limits {
    Limits {
        max_idle: usize::MAX,
        max_idle_per_host: usize::MAX,
        max_conns_per_host: usize::MAX,
        max_conns: usize::MAX,
        max_dials_per_host: usize::MAX,
        max_waiters_per_host: usize::MAX,
        max_requests_per_conn: u64::MAX,
        idle_timeout: None,
        reuse: true,
    }
}

impl<C, W> Pool<C, W> {
    /// Checks everything that must hold between two steps.
    pub(super) fn check(&self) {
        let mut sum = PoolStats::default();
        for (index, host) in &self.hosts {
            let index = narrow(index);
            let of_host = self.conns.iter().filter(|(_, entry)| entry.host == index);
            let idle = of_host.clone().filter(|(_, entry)| entry.idle.is_some()).count();
            assert_eq!((idle, of_host.count() - idle), (host.stats.idle, host.stats.in_use), "connections are counted");
            assert_eq!(host.idle.len(), idle, "the stack holds the idle ones");
            let dials = self.dials.iter().filter(|(_, dial)| dial.host == index).count();
            assert_eq!(dials, host.stats.dialing, "dials are counted");
            let waiting = |waiter: &&Waiter<C, W>| {
                waiter.host == index && matches!(waiter.state, State::Waiting | State::Ordered)
            };
            let waiters: Vec<_> = self.waiters.iter().map(|(_, waiter)| waiter).filter(waiting).collect();
            assert_eq!(waiters.len(), host.stats.waiting, "waiters are counted");
            let undialed = waiters.iter().filter(|waiter| waiter.dial.is_none()).count();
            // One whose dial failed has none any more and will give up.
            assert!(host.undialed.len() <= undialed, "waiters without a dial stand in line for one");
            sum.idle += idle;
            sum.in_use += host.stats.in_use;
            sum.dialing += dials;
            sum.waiting += waiters.len();

            assert!(idle <= self.limits.max_idle_per_host, "max_idle_conns_per_host");
            if !self.shut {
                assert!(idle == 0 || host.queue.is_empty(), "nothing lies idle while a waiter would take it");
                let most_dials = if host.one_at_a_time { 1 } else { self.limits.max_dials_per_host };
                let shares = host.undialed.front().is_some_and(|at| host.sharing && !self.waiters[at as usize].fresh);
                let room = host.stats.open() + dials < self.limits.max_conns_per_host
                    && dials < most_dials
                    && !shares
                    && self.totals.open() + self.totals.dialing < self.limits.max_conns;
                assert!(!room || host.undialed.is_empty(), "no slot is free while a waiter has no dial");
                assert_eq!(host.is_starving, self.starving.contains(&index), "the starving are marked");
            }
        }
        let Self { totals, .. } = self;
        assert_eq!(
            (sum.idle, sum.in_use, sum.dialing, sum.waiting),
            (totals.idle, totals.in_use, totals.dialing, totals.waiting),
            "hosts add up"
        );
        assert!(totals.idle <= self.limits.max_idle, "max_idle_conns");
        assert_eq!(self.recency.len(), self.conns.len(), "every open connection has its place in the order");
        assert_eq!(totals.created - totals.closed.total(), totals.open() as u64, "every connection is accounted for");
        assert_eq!(self.keys.len(), self.hosts.len());
        let idle: Vec<_> = self.recency.iter().filter_map(|(&at, ())| self.conns[at as usize].idle.as_ref()).collect();
        assert!(idle.is_sorted_by(|a, b| a.1 >= b.1), "the idle ones are ordered by when they came back");
    }

    /// Whether nothing is left of anything.
    pub(super) fn is_quiet(&self) -> bool {
        self.is_empty()
            && self.waiters.is_empty()
            && self.dials.is_empty()
            && self.conns.is_empty()
            && self.recency.is_empty()
            && self.starving.is_empty()
            && self.totals.waiting == 0
    }

    /// Whether this dial counts within the limits, and all others too.
    pub(super) fn check_limits(&self) {
        for (_, host) in &self.hosts {
            let stats = &host.stats;
            assert!(stats.open() + stats.dialing <= self.limits.max_conns_per_host, "max_conns_per_host");
            assert!(stats.dialing <= self.limits.max_dials_per_host, "max_dials_per_host");
        }
        assert!(self.totals.open() + self.totals.dialing <= self.limits.max_conns, "max_conns");
    }
}
