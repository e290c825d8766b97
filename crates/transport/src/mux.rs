//! HTTP/2 connections in the pool: shared by many requests while some are in flight, idle like any other while none is.
//!
//! A connection without a stream in flight lies in the pool. With the first request it moves to the list of the active ones, where the
//! others find it; with the end of the last it goes back. All moves are made under the transport's lock; what happens on the connection
//! itself reaches it through the [hook](crate::h2::Hook), which takes that lock and has none before.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use roundtrip_types::{ErrorKind, Result};

use crate::TransportConfig;
use crate::client_conn::Held;
use crate::h2::{H2Conn, H2Event, NoRoom, Slot as Stream};
use crate::key::{Hashed, Key};
use crate::net::{ConnInfo, Dialed};
use crate::pool::{CloseReason, ConnId, Slot, Terms};
use crate::shared::Shared;
use crate::timings::DialTimes;

/// An HTTP/2 connection as the pool knows it.
#[derive(Debug)]
pub(crate) struct Mux {
    conn: H2Conn,
    place: Arc<Place>,
    pub(crate) dial: DialTimes,
    /// Requests that it has carried.
    served: AtomicU64,
    /// When it is too old for another.
    expires: OnceLock<Instant>,
}

/// Where a connection stands in the pool, once it does.
#[derive(Debug)]
struct Place {
    shared: Weak<Shared>,
    key: Key,
    slot: OnceLock<Slot>,
    /// Who holds it before it does, if the program does.
    held: OnceLock<Weak<Held>>,
}

/// A place in a connection: one exchange.
#[derive(Debug)]
pub(crate) struct StreamLease {
    pub(crate) mux: Arc<Mux>,
    pub(crate) id: ConnId,
    /// Whether the connection was opened for another request.
    pub(crate) reused: bool,
    /// How long it had lain idle; `None` if it had not.
    pub(crate) idle: Option<Duration>,
    stream: Stream,
}

/// The connections that carry requests.
#[derive(Debug, Default)]
pub(crate) struct Active(HashMap<Key, Vec<Entry>, BuildHasherDefault<Hashed>>);

#[derive(Debug)]
struct Entry {
    mux: Arc<Mux>,
    slot: Slot,
    /// It carries no new requests: the program wants it closed.
    leaving: bool,
}

/// What has to be done with a connection that something happened to.
#[derive(Debug)]
pub(crate) enum Move {
    /// Nothing.
    Stay,
    /// It carries no request any more, and goes back to the pool.
    Rest(Arc<Mux>, Terms),
    /// One is over, or will never carry another: mostly the one that was looked at.
    Gone(Slot, Arc<Mux>, CloseReason),
    /// It is not among the active ones.
    Unknown,
}

/// How many connections to one host may wait for an answer to their PING without carrying anything. A server that is there answers within a
/// round trip; one that is not would have a connection more for each request that is given up, until the first PING has waited for
/// `ping_timeout`.
const SUSPECTS_MOST: usize = 4;

impl Mux {
    /// Starts HTTP/2 on a connection that was opened for `key`.
    pub(crate) async fn start(
        dialed: Dialed,
        key: &Key,
        config: &TransportConfig,
        shared: Weak<Shared>,
    ) -> Result<Arc<Self>> {
        let Dialed { stream, info, dns, connect, proxy, tls } = dialed;
        let place = Arc::new(Place { shared, key: key.clone(), slot: OnceLock::new(), held: OnceLock::new() });
        let hook = {
            let place = Arc::clone(&place);
            Box::new(move |event| place.changed(event))
        };
        let conn = H2Conn::start(stream, info, &config.http2, config.max_response_header_bytes, hook).await?;
        let dial = DialTimes { dns, connect, proxy, tls };
        Ok(Arc::new(Mux { conn, place, dial, served: AtomicU64::new(0), expires: OnceLock::new() }))
    }

    pub(crate) fn conn(&self) -> &H2Conn {
        &self.conn
    }

    pub(crate) fn info(&self) -> &ConnInfo {
        self.conn.info()
    }

    /// Says where it stands. What happens from now on is told.
    pub(crate) fn enter(&self, slot: Slot, expires: Option<Instant>) {
        // It is entered once.
        let _ = self.place.slot.set(slot);
        if let Some(expires) = expires {
            let _ = self.expires.set(expires);
        }
    }

    /// Says who holds it. What happens from now on is told, until it is [entered](Self::enter).
    pub(crate) fn held_by(&self, held: Weak<Held>) {
        // It is held once.
        let _ = self.place.held.set(held);
    }

    pub(crate) fn terms(&self) -> Terms {
        Terms { served: self.served.load(Ordering::Relaxed), idle_limit: None }
    }

    /// Why it is over, if it is.
    pub(crate) fn why_closed(&self) -> CloseReason {
        match self.conn.closed_with() {
            // Only a transport that is shut down closes what others use.
            Some(ErrorKind::Canceled) => CloseReason::Shutdown,
            Some(ErrorKind::Protocol) => CloseReason::Failed,
            _ if self.conn.is_retired() => CloseReason::NotPersistent,
            _ => CloseReason::ClosedByPeer,
        }
    }

    fn reserve(self: &Arc<Self>, id: ConnId, reused: bool, idle: Option<Duration>) -> Result<StreamLease, NoRoom> {
        Ok(self.lease(id, reused, idle, self.conn.reserve()?))
    }

    /// The lease of a stream that was reserved.
    pub(crate) fn lease(
        self: &Arc<Self>,
        id: ConnId,
        reused: bool,
        idle: Option<Duration>,
        stream: Stream,
    ) -> StreamLease {
        self.served.fetch_add(1, Ordering::Relaxed);
        StreamLease { mux: Arc::clone(self), id, reused, idle, stream }
    }
}

impl Place {
    fn changed(&self, event: H2Event) {
        if let Some(slot) = self.slot.get() {
            // Of one that is over the pool wants to hear no more.
            if event != H2Event::Freed
                && let Some(shared) = self.shared.upgrade()
            {
                shared.mux_changed(&self.key, *slot);
            }
        } else if let Some(held) = self.held.get().and_then(Weak::upgrade) {
            held.changed();
        }
    }
}

impl StreamLease {
    /// The stream, to send a request on.
    pub(crate) fn into_parts(self) -> (Arc<Mux>, Stream) {
        (self.mux, self.stream)
    }
}

impl Entry {
    fn room(&self, now: Instant, most_requests: u64) -> Result<usize, NoRoom> {
        if self.is_worn(now, most_requests) { Err(NoRoom::Draining) } else { self.mux.conn.room() }
    }

    /// Whether it carries no new requests, although the connection would.
    fn is_worn(&self, now: Instant, most_requests: u64) -> bool {
        let too_old = self.mux.expires.get().is_some_and(|expires| *expires <= now);
        self.leaving || too_old || self.mux.served.load(Ordering::Relaxed) >= most_requests
    }
}

impl Active {
    /// A place in the connection that carries least.
    pub(crate) fn reserve(&self, key: &Key, now: Instant, most_requests: u64) -> Option<(Slot, StreamLease)> {
        let entries = self.0.get(key)?.iter().filter(|entry| entry.room(now, most_requests).is_ok());
        let least = entries.min_by_key(|entry| entry.mux.conn.in_flight())?;
        Some((least.slot, least.mux.reserve(least.slot.id, true, None).ok()?))
    }

    /// Adds a connection and takes a place in it, if `take`.
    ///
    /// # Errors
    /// If it is not usable any more; it is not added then.
    pub(crate) fn add(
        &mut self,
        key: &Key,
        mux: Arc<Mux>,
        slot: Slot,
        take: Option<(bool, Option<Duration>)>,
    ) -> Result<Option<StreamLease>, Arc<Mux>> {
        let lease = match take {
            None => None,
            Some((reused, idle)) => match mux.reserve(slot.id, reused, idle) {
                Ok(lease) => Some(lease),
                Err(_) => return Err(mux),
            },
        };
        self.0.entry(key.clone()).or_default().push(Entry { mux, slot, leaving: false });
        Ok(lease)
    }

    /// Whether a request could have a place in one; with `strict`, whether one is merely full counts as well.
    pub(crate) fn has_room(&self, key: &Key, now: Instant, most_requests: u64, strict: bool) -> bool {
        self.0.get(key).into_iter().flatten().any(|entry| match entry.room(now, most_requests) {
            Ok(_) => true,
            Err(NoRoom::Full) => strict,
            Err(_) => false,
        })
    }

    /// How many places there are.
    pub(crate) fn places(&self, key: &Key, now: Instant, most_requests: u64) -> usize {
        let entries = self.0.get(key).into_iter().flatten();
        entries.filter_map(|entry| entry.room(now, most_requests).ok()).sum()
    }

    /// Looks what has become of a connection. `wanted` is whether somebody waits for a place.
    pub(crate) fn look(&mut self, key: &Key, slot: Slot, wanted: bool, now: Instant, most_requests: u64) -> Move {
        let Some(entries) = self.0.get_mut(key) else { return Move::Unknown };
        let Some(at) = entries.iter().position(|entry| entry.slot == slot) else { return Move::Unknown };
        let mux = &entries[at].mux;
        // One that takes no new requests is of no use to those who wait.
        let wanted = wanted && !entries[at].is_worn(now, most_requests);
        let unused = mux.conn.in_flight() == 0;
        let gone = match mux.conn.room() {
            Err(NoRoom::Closed) => true,
            Err(NoRoom::Draining) if unused => true,
            // Whether it lives is known when the PING is answered.
            Err(NoRoom::Suspect) if unused => return self.leave_surplus_suspect(key),
            Err(NoRoom::Suspect | NoRoom::Draining) => return Move::Stay,
            Ok(_) | Err(NoRoom::Full) if unused && !wanted => false,
            Ok(_) | Err(NoRoom::Full) => return Move::Stay,
        };
        let mux = self.remove(key, at).mux;
        if gone {
            let reason = mux.why_closed();
            return Move::Gone(slot, mux, reason);
        }
        let terms = mux.terms();
        Move::Rest(mux, terms)
    }

    /// If too many to `key` wait for a sign of life and carry nothing, the one that has waited longest is over.
    fn leave_surplus_suspect(&mut self, key: &Key) -> Move {
        let entries = self.0.get(key).into_iter().flatten().enumerate();
        let unused = entries.filter(|(_, entry)| entry.mux.conn.in_flight() == 0);
        let suspects = unused.filter_map(|(at, entry)| Some((entry.mux.conn.suspect_since()?, at)));
        let (mut count, mut first) = (0, None);
        for suspect in suspects {
            count += 1;
            first = Some(first.map_or(suspect, |first| suspect.min(first)));
        }
        match first {
            Some((_, at)) if count > SUSPECTS_MOST => {
                let Entry { mux, slot, .. } = self.remove(key, at);
                Move::Gone(slot, mux, CloseReason::Abandoned)
            }
            _ => Move::Stay,
        }
    }

    fn remove(&mut self, key: &Key, at: usize) -> Entry {
        let entries = self.0.get_mut(key).expect("only what is there is removed");
        let entry = entries.swap_remove(at);
        if entries.is_empty() {
            self.0.remove(key);
        }
        entry
    }

    /// Those to `key` carry no new requests from now on.
    pub(crate) fn evict(&mut self, key: &Key) {
        for entry in self.0.get_mut(key).into_iter().flatten() {
            entry.leaving = true;
        }
    }

    /// Those for which `is` holds carry no new requests from now on.
    pub(crate) fn evict_where(&mut self, is: impl Fn(&Key, &ConnInfo) -> bool) {
        for (key, entries) in &mut self.0 {
            for entry in entries {
                entry.leaving |= is(key, entry.mux.info());
            }
        }
    }

    pub(crate) fn all(&self) -> Vec<Arc<Mux>> {
        self.0.values().flatten().map(|entry| Arc::clone(&entry.mux)).collect()
    }
}
