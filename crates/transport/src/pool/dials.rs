//! What dials do: begin, open a connection, fail. And what comes from outside.

use std::time::Instant;

use super::{CloseReason, ConnId, Dial, DialId, Effects, Pool, Slot, Taken, Terms};
use crate::key::Key;

impl<C, W> Pool<C, W> {
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

    /// Takes over a connection that was opened and used outside, under a [number](Self::number) of this pool. As one that comes back, it
    /// serves the first waiter, lies idle, or is closed if there is no room for it.
    #[expect(clippy::too_many_arguments, reason = "all that is known of a connection")]
    pub(crate) fn adopt(
        &mut self,
        key: &Key,
        id: ConnId,
        conn: impl FnOnce(Slot) -> C,
        terms: Terms,
        expires: Option<Instant>,
        now: Instant,
        fx: &mut Effects<C, W>,
    ) {
        let host = self.host(key);
        let slot = self.enter_as(id, host, expires);
        let conn = conn(slot);
        self.put(slot, conn, terms, now, fx);
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
}
