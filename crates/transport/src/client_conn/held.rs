//! What a held connection is inside: its places, who waits for them, and how it ends.
//!
//! HTTP/1.1 has one place: it is taken from when a ticket is drawn to when the connection is back, or lost. HTTP/2 counts its places itself,
//! and a ticket owns a stream that was reserved there. No lock is held while a connection, a stream or a ticket is dropped, the hook is
//! called or the pool is entered: each of them comes back here.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use roundtrip_types::{Error, ErrorKind, Phase, Result};
use tokio::sync::{Notify, Semaphore};

use super::ClientConnState;
use super::hook::{Hook, StateHook};
use crate::conn::{Conn, Tools, Watch};
use crate::h2::{NoRoom, Slot as Stream};
use crate::key::Key;
use crate::lease::Lease;
use crate::mux::Mux;
use crate::net::ConnInfo;
use crate::pool::{CloseReason, ConnId, Idle};
use crate::shared::{Got, Opened, Shared, now};

pub(crate) struct Held {
    pub(super) shared: Arc<Shared>,
    /// Who may be asked on it.
    pub(super) origin: Key,
    /// The way there, and so its place in the pool, should it go there.
    pub(super) route: Key,
    pub(super) id: ConnId,
    pub(super) info: ConnInfo,
    /// When it will be too old for the pool.
    expires: Option<Instant>,
    line: Line,
    state: Mutex<State>,
    /// Who waits for a place, first come, first served; the first has the one permit.
    lane: Semaphore,
    /// Tells the first that there may be a place.
    room: Notify,
    hook: StateHook,
}

enum Line {
    /// HTTP/1.1
    One {
        watch: Arc<Watch>,
        /// Wakes the task that looks at it while it rests.
        looks: Arc<Notify>,
    },
    /// HTTP/2
    Many(Arc<Mux>),
}

struct State {
    /// HTTP/1.1: the connection, while no request is on its way, and since when.
    resting: Option<(Box<Conn>, Instant)>,
    /// HTTP/1.1: somebody has the place.
    taken: bool,
    /// Tickets that are reserved.
    reserved: usize,
    /// Why it takes no more requests.
    over: Option<Over>,
    then: Then,
    /// Keeps it from when its holder has left it until nothing is on its way.
    itself: Option<Arc<Held>>,
}

/// What becomes of it when nothing is on its way any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Stay,
    Close,
    Pool,
    /// It is closed, or not here any more.
    Gone,
}

/// Why it takes no more requests.
#[derive(Clone, Debug)]
struct Over {
    kind: ErrorKind,
    why: Cow<'static, str>,
}

/// Why there is no place for a request.
#[derive(Debug)]
pub(super) enum NoPlace {
    /// Others have all of them, or it is not known whether the server is there. That ends.
    Busy,
    /// All are reserved, this many.
    Reserved(usize),
    Over,
}

/// A place. Dropped before it is started, it is free again.
pub(super) struct Ticket {
    held: Arc<Held>,
    /// HTTP/2: the place.
    stream: Option<Stream>,
    is_reserved: bool,
    /// HTTP/1.1: the connection has taken the place over.
    is_started: bool,
}

impl Held {
    /// Holds a connection that was opened, from a task of a runtime.
    pub(super) fn new(
        shared: &Arc<Shared>,
        id: ConnId,
        origin: Key,
        route: Key,
        expires: Option<Instant>,
        opened: Opened,
    ) -> Arc<Self> {
        let (line, resting, info) = match opened {
            Opened::One(dialed) => {
                let looks = Arc::new(Notify::new());
                let watch = Watch::held(Arc::clone(&looks));
                let mut conn = Box::new(Conn::new(dialed, Arc::clone(&watch)));
                conn.id = id;
                let info = conn.info.clone();
                // One that has something to say before it is asked is no good.
                let resting = conn.arm().then(|| (conn, now()));
                (Line::One { watch, looks }, resting, info)
            }
            Opened::Many(mux) => {
                let info = mux.info().clone();
                (Line::Many(mux), None, info)
            }
        };
        let state = State { resting, taken: false, reserved: 0, over: None, then: Then::Stay, itself: None };
        let at_first = ClientConnState {
            available: match &line {
                Line::One { .. } => 1,
                Line::Many(mux) => mux.conn().room().unwrap_or(0),
            },
            in_flight: 0,
            closed: false,
        };
        let held = Arc::new(Held {
            shared: Arc::clone(shared),
            origin,
            route,
            id,
            info,
            expires,
            line,
            state: Mutex::new(state),
            lane: Semaphore::new(1),
            room: Notify::new(),
            hook: StateHook::new(at_first),
        });
        match &held.line {
            Line::One { looks, .. } => {
                let state = held.lock();
                if state.resting.is_some() {
                    drop(state);
                    tokio::spawn(watch_over(Arc::downgrade(&held), Arc::clone(looks)));
                } else {
                    held.lost(state, CloseReason::ClosedByPeer);
                }
            }
            Line::Many(mux) => {
                mux.held_by(Arc::downgrade(&held));
                // What has happened before that nobody was told.
                held.changed();
            }
        }
        held
    }

    pub(super) fn is_http2(&self) -> bool {
        matches!(self.line, Line::Many(_))
    }

    // ---- places

    /// A place, unless others wait for one.
    pub(super) fn take_at_once(self: &Arc<Self>) -> Result<Ticket, NoPlace> {
        if self.lane.available_permits() == 0 { Err(NoPlace::Busy) } else { self.try_take() }
    }

    /// A place, when it is this one's turn.
    pub(super) async fn take_in_turn(self: &Arc<Self>) -> Result<Ticket> {
        let _first = self.lane.acquire().await;
        loop {
            match self.try_take() {
                Ok(ticket) => return Ok(ticket),
                Err(NoPlace::Busy) => self.room.notified().await,
                Err(other) => return Err(self.refusal(other)),
            }
        }
    }

    pub(super) fn reserve(self: &Arc<Self>) -> Result<Ticket> {
        let mut ticket = self.take_at_once().map_err(|why| self.refusal(why))?;
        ticket.is_reserved = true;
        self.lock().reserved += 1;
        Ok(ticket)
    }

    fn try_take(self: &Arc<Self>) -> Result<Ticket, NoPlace> {
        let taken = match &self.line {
            Line::One { .. } => self.try_take_one(),
            Line::Many(mux) => self.try_take_stream(mux),
        };
        if taken.is_ok() {
            self.changed();
        }
        taken
    }

    fn try_take_one(self: &Arc<Self>) -> Result<Ticket, NoPlace> {
        let mut state = self.lock();
        if state.over.is_some() {
            return Err(NoPlace::Over);
        }
        if state.taken {
            return Err(if state.reserved > 0 { NoPlace::Reserved(1) } else { NoPlace::Busy });
        }
        if !state.is_usable() {
            self.lost(state, CloseReason::ClosedByPeer);
            return Err(NoPlace::Over);
        }
        state.taken = true;
        drop(state);
        Ok(self.ticket(None))
    }

    fn try_take_stream(self: &Arc<Self>, mux: &Mux) -> Result<Ticket, NoPlace> {
        // Held meanwhile, so that nothing is taken of what goes to the pool.
        let state = self.lock();
        if state.over.is_some() {
            return Err(NoPlace::Over);
        }
        match mux.conn().reserve() {
            Ok(stream) => {
                drop(state);
                Ok(self.ticket(Some(stream)))
            }
            Err(NoRoom::Closed | NoRoom::Draining) => Err(NoPlace::Over),
            // Whoever waits while all are reserved may wait for itself.
            Err(NoRoom::Full) if state.reserved > 0 && state.reserved >= mux.conn().in_flight() => {
                Err(NoPlace::Reserved(state.reserved))
            }
            Err(NoRoom::Full | NoRoom::Suspect) => Err(NoPlace::Busy),
        }
    }

    fn ticket(self: &Arc<Self>, stream: Option<Stream>) -> Ticket {
        Ticket { held: Arc::clone(self), stream, is_reserved: false, is_started: false }
    }

    // ---- what the connection does

    /// A request has ended well, and its connection is armed. HTTP/1.1.
    ///
    /// # Errors
    /// Something has woken it. It comes back, to be looked at again.
    pub(crate) fn lay_down(self: &Arc<Self>, mut conn: Box<Conn>) -> Result<(), Box<Conn>> {
        self.shared.keep_tools(conn.rest());
        let mut state = self.lock();
        // Looked at under the lock: later marks find it resting.
        if conn.is_woken() {
            return Err(conn);
        }
        state.resting = Some((conn, now()));
        state.taken = false;
        drop(state);
        self.changed();
        Ok(())
    }

    /// A request has closed the connection, or taken it away. HTTP/1.1.
    pub(crate) fn closed(self: &Arc<Self>, reason: CloseReason, tools: Option<Box<Tools>>) {
        self.shared.keep_tools(tools);
        self.lost(self.lock(), reason);
    }

    /// Something may have happened to the connection: whatever depends on that is looked at.
    pub(crate) fn changed(self: &Arc<Self>) {
        self.settle();
        self.room.notify_one();
        self.hook.tell(|| self.state());
    }

    /// Looks at a connection that something was heard of while it rested. Returns whether there is more to watch.
    fn look(self: &Arc<Self>) -> bool {
        let mut state = self.lock();
        if let Some((conn, _)) = &mut state.resting
            && conn.is_woken()
            && !conn.arm()
        {
            self.lost(state, CloseReason::ClosedByPeer);
            return false;
        }
        state.then != Then::Gone
    }

    /// It is over, over HTTP/1.1.
    fn lost(self: &Arc<Self>, mut state: MutexGuard<'_, State>, reason: CloseReason) {
        state.over.get_or_insert_with(|| Over::of(reason));
        let resting = state.resting.take();
        state.taken = false;
        let was = std::mem::replace(&mut state.then, Then::Gone);
        let _itself = state.itself.take();
        drop(state);
        // Closed before it is told, so that whoever is told finds the descriptor free.
        drop(resting);
        if was != Then::Gone {
            self.shared.tell_closed(self.id, reason);
        }
        self.stop_watching();
        self.changed();
    }

    /// Ends it, or hands it on, if it is to be left and nothing is on its way.
    fn settle(self: &Arc<Self>) {
        let mut state = self.lock();
        let is_over = match &self.line {
            Line::One { .. } => false,
            Line::Many(mux) => matches!(mux.conn().room(), Err(NoRoom::Closed)),
        };
        let is_busy = match &self.line {
            // Who has reserved it and does not use it has nothing on its way.
            Line::One { .. } => state.resting.is_none(),
            Line::Many(mux) => mux.conn().in_flight() > 0,
        };
        let then = match state.then {
            Then::Gone => return,
            // The end of an HTTP/2 connection is told here.
            _ if is_over => Then::Close,
            Then::Stay => return,
            _ if is_busy => return,
            then => then,
        };
        state.then = Then::Gone;
        state.taken = false;
        let _itself = state.itself.take();
        let resting = state.resting.take();
        let reason = match (&state.over, &self.line) {
            (Some(_), _) => CloseReason::Requested,
            (None, Line::Many(mux)) => mux.why_closed(),
            (None, Line::One { .. }) => CloseReason::ClosedByPeer,
        };
        drop(state);
        match (&self.line, resting) {
            (Line::Many(mux), _) if then == Then::Pool => {
                self.shared.adopt_many(&self.route, self.id, Arc::clone(mux), self.expires);
            }
            (Line::Many(mux), _) => {
                mux.conn().retire();
                self.shared.tell_closed(self.id, reason);
            }
            (Line::One { .. }, Some((conn, _))) => {
                self.stop_watching();
                if then == Then::Pool {
                    self.shared.adopt_one(&self.route, conn, self.expires);
                } else {
                    drop(conn);
                    self.shared.tell_closed(self.id, reason);
                }
            }
            (Line::One { .. }, None) => unreachable!("it is busy then"),
        }
    }

    // ---- what the program does

    /// No more requests; then what is said, once nothing is on its way.
    pub(super) fn leave(self: &Arc<Self>, then: Then) {
        {
            let mut state = self.lock();
            if state.then != Then::Stay {
                return;
            }
            state.then = then;
            state.itself = Some(Arc::clone(self));
            state.over.get_or_insert_with(|| match then {
                Then::Pool => Over { kind: ErrorKind::Canceled, why: "it was given to the pool".into() },
                _ => Over { kind: ErrorKind::Canceled, why: "its holder has dropped it".into() },
            });
        }
        self.changed();
    }

    pub(super) fn close(self: &Arc<Self>) {
        const WHY: &str = "the program closed the connection, which it held";
        {
            let mut state = self.lock();
            if state.then == Then::Gone {
                return;
            }
            state.then = Then::Close;
            state.over.get_or_insert(Over { kind: ErrorKind::Canceled, why: "the program closed it".into() });
        }
        match &self.line {
            Line::One { watch, .. } => watch.cut(),
            Line::Many(mux) => mux.conn().close(WHY),
        }
        // At rest it is closed here.
        self.changed();
    }

    pub(super) fn set_hook(self: &Arc<Self>, hook: Hook) {
        self.hook.set(hook);
        self.hook.tell(|| self.state());
    }

    pub(super) fn state(&self) -> ClientConnState {
        let state = self.lock();
        let closed = self.over(&state).is_some();
        let free = match &self.line {
            Line::One { .. } => usize::from(!state.taken),
            Line::Many(mux) => mux.conn().room().unwrap_or(0),
        };
        ClientConnState { available: if closed { 0 } else { free }, in_flight: self.in_flight(&state), closed }
    }

    pub(super) fn error(&self) -> Option<Error> {
        let over = self.over(&self.lock());
        over.map(|over| self.said(&over))
    }

    pub(super) fn refusal(&self, why: NoPlace) -> Error {
        let Self { id, origin, .. } = self;
        let message = match why {
            NoPlace::Over => return self.error().unwrap_or_else(|| self.said(&Over::of(CloseReason::ClosedByPeer))),
            NoPlace::Busy => format!("the held {id} to {origin} has no room for another request now"),
            NoPlace::Reserved(1) => format!("the one request that the held {id} to {origin} can carry is reserved"),
            NoPlace::Reserved(all) => {
                format!("all {all} requests that the held {id} to {origin} can carry are reserved")
            }
        };
        Error::new(ErrorKind::Overloaded, message).with_phase(Phase::Queue)
    }

    // ---- inside

    fn said(&self, over: &Over) -> Error {
        let message = format!("the held {} to {} takes no more requests: {}", self.id, self.origin, over.why);
        Error::new(over.kind, message).with_phase(Phase::Queue)
    }

    fn over(&self, state: &State) -> Option<Over> {
        let Line::Many(mux) = &self.line else { return state.over.clone() };
        let over = |why: Cow<'static, str>| Some(Over { kind: ErrorKind::ConnectionLost, why });
        match (&state.over, mux.conn().room()) {
            (Some(over), _) => Some(over.clone()),
            (None, Err(NoRoom::Closed)) => {
                over(mux.conn().closed().map_or("it was closed".into(), |why| why.to_string().into()))
            }
            (None, Err(NoRoom::Draining)) if mux.conn().is_retired() => Some(Over::of(CloseReason::NotPersistent)),
            (None, Err(NoRoom::Draining)) => over("the server is going away (GOAWAY)".into()),
            (None, _) => None,
        }
    }

    fn in_flight(&self, state: &State) -> usize {
        match &self.line {
            Line::One { .. } => usize::from(state.taken),
            Line::Many(mux) => mux.conn().in_flight(),
        }
    }

    /// Ends the task that looks at the connection while it rests.
    fn stop_watching(&self) {
        if let Line::One { looks, .. } = &self.line {
            looks.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stop_watching();
    }
}

impl State {
    /// Whether the connection is there and nothing has come that would answer the next request.
    fn is_usable(&mut self) -> bool {
        self.resting.as_mut().is_some_and(|(conn, _)| conn.is_usable())
    }
}

impl Ticket {
    pub(super) fn held(&self) -> &Arc<Held> {
        &self.held
    }

    /// The connection or stream, for the one request of this ticket.
    ///
    /// # Errors
    /// It is over.
    pub(super) fn start(mut self) -> Result<Got> {
        let held = Arc::clone(&self.held);
        let mut state = held.lock();
        if state.over.is_some() {
            drop(state);
            return Err(held.refusal(NoPlace::Over));
        }
        let got = match &held.line {
            Line::Many(mux) => {
                drop(state);
                if let Err(NoRoom::Closed | NoRoom::Draining) = mux.conn().room() {
                    return Err(held.refusal(NoPlace::Over));
                }
                let stream = self.stream.take().expect("a ticket of HTTP/2 has its stream until it is started");
                let reused = mux.terms().served > 0;
                Got::Stream(mux.lease(held.id, reused, None, stream))
            }
            Line::One { .. } => {
                // A place may have been reserved for long.
                if !state.is_usable() {
                    held.lost(state, CloseReason::ClosedByPeer);
                    return Err(held.refusal(NoPlace::Over));
                }
                let (mut conn, since) = state.resting.take().expect("it is usable, so it is there");
                drop(state);
                self.is_started = true;
                let idle = (conn.terms.served > 0).then(|| Idle::new(since, now()));
                conn.lend(held.shared.spare_tools());
                Got::Conn(Lease::held(conn, Arc::clone(&held), idle))
            }
        };
        Ok(got)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        {
            let mut state = self.held.lock();
            if self.is_reserved {
                state.reserved -= 1;
            }
            if !self.is_started && !self.held.is_http2() {
                state.taken = false;
            }
        }
        // Gives the stream back, and says so.
        self.stream = None;
        self.held.changed();
    }
}

impl Over {
    fn of(reason: CloseReason) -> Self {
        let (kind, why) = match reason {
            CloseReason::ClosedByPeer => {
                (ErrorKind::ConnectionLost, "the server closed it, or sent what nobody had asked for")
            }
            CloseReason::Failed => (ErrorKind::ConnectionLost, "a request on it failed"),
            CloseReason::NotPersistent => (
                ErrorKind::ConnectionLost,
                "one side had said Connection: close, or a message ended with the connection",
            ),
            CloseReason::Upgraded => (ErrorKind::Canceled, "it went to another protocol"),
            CloseReason::Abandoned => (ErrorKind::Canceled, "a request or a response was given up before its end"),
            other => (ErrorKind::Canceled, other.as_str()),
        };
        Over { kind, why: why.into() }
    }
}

/// Looks at a resting connection whenever something is heard of it, until it is gone. It keeps nothing alive.
async fn watch_over(held: Weak<Held>, looks: Arc<Notify>) {
    loop {
        looks.notified().await;
        match held.upgrade() {
            Some(held) if held.look() => {}
            _ => return,
        }
    }
}
