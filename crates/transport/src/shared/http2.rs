//! What is done with HTTP/2 connections, which stand in the pool while they rest and among the active ones while they carry requests.

use std::sync::Arc;
use std::time::Instant;

use super::{Fx, Locked, Shared, now};
use crate::h2::NoRoom;
use crate::key::Key;
use crate::mux::{Move, Mux, StreamLease};
use crate::pool::{CloseReason, ConnId, DialId, Idle, Slot, Terms, WaiterId};
use crate::pooled::Pooled;

impl Shared {
    pub(super) fn dialed_many(
        self: &Arc<Self>,
        key: &Key,
        dial: DialId,
        mux: Arc<Mux>,
        by: &mut Option<WaiterId>,
    ) -> Option<StreamLease> {
        let expires = self.expiry();
        let mut fx = Fx::default();
        let mut locked = self.lock();
        let now = now();
        locked.dials.remove(&dial);
        let slot = locked.pool.dialed_shared(dial, expires, now, &mut fx);
        mux.enter(slot, expires);
        let shut = locked.pool.is_shut();
        let take = (by.is_some() && !shut).then_some((false, None));
        let added = locked.active.add(key, Arc::clone(&mux), slot, take);
        let stream = added.as_ref().map_or(None, |stream| stream.as_ref()).is_some();
        if stream && let Some(waiter) = by.take() {
            locked.pool.share(waiter, now, &mut fx);
        }
        let places = locked.active.places(key, now, self.most_requests());
        locked.pool.offer(key, places, &mut fx);
        self.note_sharing(&mut locked, key, now, &mut fx);
        drop(locked);
        self.carry_out(fx);
        if shut {
            mux.conn().close("the transport was shut down");
        }
        match added {
            Ok(stream) => {
                // It may be over already, or nobody wants it: then it rests.
                self.mux_changed(key, slot);
                stream
            }
            Err(dead) => {
                self.close_mux(slot, &dead, CloseReason::ClosedByPeer);
                None
            }
        }
    }

    /// Takes a connection into the pool that was held outside and rests, if there is room for it.
    pub(crate) fn adopt_many(self: &Arc<Self>, key: &Key, id: ConnId, mux: Arc<Mux>, expires: Option<Instant>) {
        if let Err(NoRoom::Closed | NoRoom::Draining) = mux.conn().room() {
            mux.conn().retire();
            return self.tell_closed(id, CloseReason::ClosedByPeer);
        }
        self.tell_idle(id);
        let terms = mux.terms();
        let mut fx = Fx::default();
        let mut locked = self.lock();
        let mut entered = None;
        let enter = |slot| {
            mux.enter(slot, expires);
            entered = Some(slot);
            Pooled::Many(mux)
        };
        locked.pool.adopt(key, id, enter, terms, expires, now(), &mut fx);
        let start = locked.sweeper_to_start();
        drop(locked);
        self.carry_out(fx);
        self.start_sweeper(start);
        if let Some(slot) = entered {
            // It may have ended before it could say which it is.
            self.mux_changed(key, slot);
        }
    }

    /// Something happened to an HTTP/2 connection: it has room again, it is going away, or it is over.
    pub(crate) fn mux_changed(self: &Arc<Self>, key: &Key, slot: Slot) {
        let most = self.most_requests();
        let mut fx = Fx::default();
        let mut locked = self.lock();
        let now = now();
        let wanted = locked.pool.waiting(key) > 0;
        let moved = locked.active.look(key, slot, wanted, now, most);
        let mut closed = None;
        let rests = matches!(moved, Move::Rest(..));
        match moved {
            Move::Stay => self.offer_next(&mut locked, key, &mut fx),
            Move::Rest(mux, terms) => locked.pool.put(slot, Pooled::Many(mux), terms, now, &mut fx),
            Move::Gone(slot, mux, reason) => {
                locked.pool.closed(slot, reason, now, &mut fx);
                // Closed when the lock is not held.
                closed = Some((slot, mux, reason));
            }
            Move::Unknown => {
                // It lies idle, or is on its way from one place to the other. The sweeper looks.
                drop(locked);
                return self.signal.woken(slot);
            }
        }
        self.note_sharing(&mut locked, key, now, &mut fx);
        let start = locked.sweeper_to_start();
        drop(locked);
        if rests && let Some(events) = self.events() {
            events.put_idle_conn(slot.id);
        }
        if let Some((_, mux, CloseReason::Abandoned)) = &closed {
            // It does not end by itself.
            mux.conn().retire();
        }
        self.carry_out(fx);
        self.start_sweeper(start);
        if let Some((slot, _, reason)) = closed {
            self.tell_closed(slot.id, reason);
        }
    }

    /// A place in a connection that carries other requests.
    pub(super) fn take_stream(&self, locked: &mut Locked, key: &Key, fx: &mut Fx) -> Option<StreamLease> {
        if locked.pool.is_shut() {
            return None;
        }
        let now = now();
        let found = locked.active.reserve(key, now, self.most_requests());
        let stream = found.map(|(slot, stream)| {
            locked.pool.shared_again(slot);
            stream
        });
        // Noted even if there is none: that a connection is suspect, or its peer allows less than before, nobody has told.
        self.note_sharing(locked, key, now, fx);
        stream
    }

    /// Moves an idle connection to the active ones, with a place in it.
    pub(super) fn activate(
        &self,
        locked: &mut Locked,
        key: &Key,
        mux: Arc<Mux>,
        slot: Slot,
        take: (bool, Option<Idle>),
        fx: &mut Fx,
    ) -> Result<StreamLease, Arc<Mux>> {
        let take = (take.0, take.1.map(Idle::duration));
        let stream = locked.active.add(key, mux, slot, Some(take))?;
        self.note_sharing(locked, key, now(), fx);
        self.offer_next(locked, key, fx);
        Ok(stream.expect("a place was asked for"))
    }

    /// Tells the next waiter, if there is room.
    pub(super) fn offer_next(&self, locked: &mut Locked, key: &Key, fx: &mut Fx) {
        if key.may_be_shared() && locked.active.has_room(key, now(), self.most_requests(), false) {
            locked.pool.offer(key, 1, fx);
        }
    }

    pub(super) fn note_sharing(&self, locked: &mut Locked, key: &Key, now: Instant, fx: &mut Fx) {
        let strict = self.config.load().http2.strict_max_concurrent_streams;
        let sharing = locked.active.has_room(key, now, self.most_requests(), strict);
        locked.pool.set_sharing(key, sharing, now, fx);
    }

    pub(super) fn rest(self: &Arc<Self>, slot: Slot, mux: Arc<Mux>, terms: Terms) {
        let start = self.change_all(|locked, now, fx| {
            locked.pool.put(slot, Pooled::Many(mux), terms, now, fx);
            locked.sweeper_to_start()
        });
        self.start_sweeper(start);
    }

    pub(super) fn close_mux(&self, slot: Slot, mux: &Mux, reason: CloseReason) {
        mux.conn().retire();
        self.close(slot, reason, None);
    }

    fn most_requests(&self) -> u64 {
        self.config.load().max_requests_per_conn.map_or(u64::MAX, |limit| limit.max(1))
    }
}
