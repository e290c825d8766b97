//! What a connection's handles, its task and its exchanges share.

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use roundtrip_types::ErrorKind;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Http2Config;
use crate::net::ConnInfo;

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum H2Event {
    /// A stream may have become free, or the connection be trusted again.
    Room,
    /// The peer allows more or fewer streams than before.
    Limit,
    /// The peer takes no new streams; those that it has go on.
    Draining,
    /// It is over.
    Closed,
    /// It is over, and one exchange fewer is left of it.
    Freed,
}

/// Is told what happens. No lock is held; it may be called from any task.
pub(crate) type Hook = Box<dyn Fn(H2Event) + Send + Sync>;

/// Why no stream can be reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// All streams that may be open at once are.
    Full,
    /// An exchange was given up before the peer had said anything since it began. Whether the connection is alive is known
    /// when a PING comes back.
    Suspect,
    /// The peer is going away, or the connection was retired.
    Draining,
    /// It is over.
    Closed,
}

/// As many streams as may be opened before the peer's settings are known (RFC 9113, section 6.5.2, recommends that it allow so
/// many).
pub(super) const STREAMS_AT_FIRST: usize = 100;

pub(super) struct Link {
    info: ConnInfo,
    hook: Hook,
    limit: usize,
    max_header_list: usize,
    state: Mutex<State>,
    pub(super) meter: Meter,
    /// Tells that the peer's settings have come, or that it is over.
    settings: Notify,
}

#[derive(Default)]
struct State {
    in_flight: usize,
    draining: bool,
    /// By our own wish.
    retired: bool,
    /// Since when it is not known whether the peer is there.
    suspect: Option<Instant>,
    /// Whether the driver is to send a PING as soon as it can.
    ping_wanted: bool,
    /// How the connection ends, once that is known. The driver closes it then.
    end: Option<End>,
    /// The driver has closed it.
    closed: bool,
    driver: Option<Waker>,
}

/// How a connection ends.
#[derive(Clone, Debug)]
pub(super) struct End {
    /// What its exchanges fail with, unless they know better.
    pub(super) kind: ErrorKind,
    pub(super) why: Arc<str>,
}

impl End {
    pub(super) fn new(kind: ErrorKind, why: impl Into<Arc<str>>) -> Self {
        End { kind, why: why.into() }
    }
}

/// What is seen of the frames that come in, and counted of what goes out.
#[derive(Debug, Default)]
pub(super) struct Meter {
    pub(super) bytes_in: AtomicU64,
    /// Payload of DATA frames.
    pub(super) data_in: AtomicU64,
    /// Frames that are part of a response: HEADERS, and DATA that has some.
    pub(super) answers: AtomicU64,
    /// The longest header block, as it was on the wire.
    pub(super) largest_block: AtomicU64,
    pub(super) bytes_out: AtomicU64,
    /// Streams that were opened.
    pub(super) opened: AtomicU64,
    has_settings: AtomicBool,
    extended_connect: AtomicBool,
    going_away: AtomicBool,
    /// The highest stream that the peer has taken up, and why it goes; valid once it is going away.
    last_stream: AtomicU32,
    going_why: AtomicU32,
}

impl Link {
    pub(super) fn new(config: &Http2Config, info: ConnInfo, max_header_list: usize, hook: Hook) -> Self {
        let limit = config.max_concurrent_streams.max(1);
        Link {
            info,
            hook,
            limit,
            max_header_list,
            state: Mutex::default(),
            meter: Meter::default(),
            settings: Notify::new(),
        }
    }

    pub(super) fn info(&self) -> &ConnInfo {
        &self.info
    }

    pub(super) fn max_header_list(&self) -> usize {
        self.max_header_list
    }

    pub(super) fn room(&self, peer_limit: usize) -> Result<usize, NoRoom> {
        self.lock().room(self.limit.min(peer_limit))
    }

    pub(super) fn reserve(&self, peer_limit: usize) -> Result<(), NoRoom> {
        let mut state = self.lock();
        state.room(self.limit.min(peer_limit))?;
        state.in_flight += 1;
        Ok(())
    }

    pub(super) fn release(&self) {
        let mut state = self.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        // One that retired closes with its last exchange.
        let driver = if state.draining && state.in_flight == 0 { state.driver.take() } else { None };
        let closed = state.closed;
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        (self.hook)(if closed { H2Event::Freed } else { H2Event::Room });
    }

    pub(super) fn in_flight(&self) -> usize {
        self.lock().in_flight
    }

    /// How it ended, or is about to.
    pub(super) fn end(&self) -> Option<End> {
        self.lock().end.clone()
    }

    /// An exchange was given up that began when `bytes_in` had come in.
    pub(super) fn given_up(&self, bytes_in: u64) {
        if self.meter.bytes_in.load(Ordering::Relaxed) != bytes_in {
            // The peer has spoken since: it is slow with this stream, not gone.
            return;
        }
        let mut state = self.lock();
        state.suspect.get_or_insert_with(Instant::now);
        state.ping_wanted = true;
        let driver = state.driver.take();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// Since when the peer owes a sign of life.
    pub(super) fn suspect_since(&self) -> Option<Instant> {
        self.lock().suspect
    }

    /// Waits until the peer's first settings have come, or the connection is over.
    pub(super) async fn settings_came(&self) {
        loop {
            let mut told = pin!(self.settings.notified());
            // From now on nothing is missed.
            told.as_mut().enable();
            if self.meter.has_settings() || self.end().is_some() {
                return;
            }
            told.await;
        }
    }

    /// The peer's first settings have come.
    pub(super) fn tell_settings(&self) {
        self.settings.notify_waiters();
    }

    /// The peer allows more or fewer streams than before.
    pub(super) fn allows_others(&self) {
        (self.hook)(H2Event::Limit);
    }

    /// The peer has answered a PING.
    pub(super) fn alive(&self) {
        let mut state = self.lock();
        let was_suspect = std::mem::take(&mut state.suspect);
        drop(state);
        if was_suspect.is_some() {
            (self.hook)(H2Event::Room);
        }
    }

    /// Whether a PING is wanted, which is then taken for sent.
    pub(super) fn take_ping_wanted(&self) -> bool {
        std::mem::take(&mut self.lock().ping_wanted)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.lock().draining
    }

    pub(super) fn retire(&self) {
        self.lock().retired = true;
        self.drain();
    }

    pub(super) fn is_retired(&self) -> bool {
        self.lock().retired
    }

    pub(super) fn drain(&self) {
        let mut state = self.lock();
        let was = std::mem::replace(&mut state.draining, true);
        let driver = state.driver.take();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        if !was {
            (self.hook)(H2Event::Draining);
        }
    }

    /// Has the driver close it, unless it ends already.
    pub(super) fn close(&self, end: End) {
        let mut state = self.lock();
        state.end.get_or_insert(end);
        let driver = state.driver.take();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// The driver has ended.
    pub(super) fn has_closed(&self) {
        let mut state = self.lock();
        state.driver = None;
        state.closed = true;
        drop(state);
        self.settings.notify_waiters();
        (self.hook)(H2Event::Closed);
    }

    /// Has the driver woken with this task when something is wanted of it.
    pub(super) fn register_driver(&self, cx: &Context<'_>) {
        let mut state = self.lock();
        match &mut state.driver {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn room(&self, limit: usize) -> Result<usize, NoRoom> {
        match () {
            () if self.end.is_some() => Err(NoRoom::Closed),
            () if self.draining => Err(NoRoom::Draining),
            () if self.suspect.is_some() => Err(NoRoom::Suspect),
            () if self.in_flight >= limit => Err(NoRoom::Full),
            () => Ok(limit - self.in_flight),
        }
    }
}

impl Meter {
    /// A setting of the peer.
    pub(super) fn set(&self, id: u16, value: u32) {
        /// SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441, section 3).
        const ENABLE_CONNECT_PROTOCOL: u16 = 8;
        if id == ENABLE_CONNECT_PROTOCOL {
            self.extended_connect.store(value == 1, Ordering::Relaxed);
        }
    }

    /// All settings of a frame have come. Returns whether they are the first.
    pub(super) fn settings_came(&self) -> bool {
        !self.has_settings.swap(true, Ordering::Release)
    }

    pub(super) fn has_settings(&self) -> bool {
        self.has_settings.load(Ordering::Acquire)
    }

    /// Whether the peer has said that it takes extended CONNECT requests.
    pub(super) fn extended_connect(&self) -> bool {
        self.extended_connect.load(Ordering::Relaxed)
    }

    /// The peer has sent GOAWAY. A second one may lower the last stream (RFC 9113, section 6.8).
    pub(super) fn set_going_away(&self, last_stream: u32, why: u32) {
        self.last_stream.store(last_stream, Ordering::Relaxed);
        self.going_why.store(why, Ordering::Relaxed);
        self.going_away.store(true, Ordering::Release);
    }

    /// The highest stream that was taken up, and the code, if the peer is going away.
    pub(super) fn going_away(&self) -> Option<(u32, u32)> {
        let going = self.going_away.load(Ordering::Acquire);
        going.then(|| (self.last_stream.load(Ordering::Relaxed), self.going_why.load(Ordering::Relaxed)))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Link")
            .field("in_flight", &state.in_flight)
            .field("draining", &state.draining)
            .field("suspect", &state.suspect.is_some())
            .field("end", &state.end)
            .finish_non_exhaustive()
    }
}
