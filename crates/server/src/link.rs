//! What the server, a connection's task, its stream and the handlers on it share.
//!
//! One [`Link`] a connection. What only the connection's task touches is kept in relaxed atomics, which cost what plain fields
//! cost; what others ask of the connection lies behind a mutex, and a flag says that there is something to look at.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use hyper::body::Incoming;
use tokio::sync::oneshot;

use crate::config::{ConnState, ServerConfig};
use crate::control::Hijacked;
use crate::deadlines::{Override, Phase, Seen};
use crate::framing::BodyFraming;
use crate::info::ConnInfo;
use crate::stream::Stream;
use crate::tracker::{Stage, Tracker};

pub(crate) struct Link {
    pub(crate) info: ConnInfo,
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) context: http::Extensions,
    stage: AtomicU8,
    phase: AtomicU8,
    /// The last state that was told to the hook.
    told: AtomicU8,
    /// What this poll waits for: reset before each poll of the connection's work.
    waits: AtomicU8,
    flags: AtomicU32,
    /// How the body of the request in progress is delimited, for the stream beneath hyper where it is hyper that reads.
    body: AtomicU64,
    requests: AtomicU64,
    panics: AtomicU64,
    read: AtomicU64,
    written: AtomicU64,
    flushes: AtomicU64,
    /// The connection's task, once it has been polled.
    task: Mutex<Option<Waker>>,
    control: Mutex<Control>,
}

/// What others ask of the connection, and what they are waiting for.
#[derive(Default)]
pub(crate) struct Control {
    /// Interim responses that wait to be written.
    pub(crate) out_of_band: Vec<u8>,
    /// Who takes the connection over.
    pub(crate) hijack: Option<oneshot::Sender<Hijacked>>,
    pub(crate) read_deadline: Override,
    pub(crate) write_deadline: Override,
    /// Those who want to know that the client is gone.
    pub(crate) watchers: Vec<Waker>,
    /// A request body that its handler did not want, and how much of it was read away.
    pub(crate) leftover: Option<(Incoming, u64)>,
    /// The stream, when what spoke on it is through, and what was read of it but not used.
    pub(crate) returned: Option<(Stream, Vec<u8>)>,
    /// Why the request in progress was refused beneath hyper.
    pub(crate) malformed: Option<&'static str>,
}

impl Control {
    /// Has `waker` woken with the next news, once however often it asks.
    pub(crate) fn watch(&mut self, waker: &Waker) {
        if !self.watchers.iter().any(|watcher| watcher.will_wake(waker)) {
            self.watchers.push(waker.clone());
        }
    }
}

/// The bits of `waits`.
pub(crate) const READ_PENDING: u8 = 1;
pub(crate) const WRITE_PENDING: u8 = 2;

/// The bits of `flags`. Those above `PER_REQUEST` end with their request.
pub(crate) const LISTENING: u32 = 1;
pub(crate) const CLIENT_STOPPED: u32 = 1 << 1;
pub(crate) const READ_EXPIRED: u32 = 1 << 2;
pub(crate) const RESPONSE_BEGUN: u32 = 1 << 3;
pub(crate) const RESPONSE_DONE: u32 = 1 << 4;
pub(crate) const LEFTOVER: u32 = 1 << 5;
pub(crate) const DEADLINES: u32 = 1 << 6;
pub(crate) const OUT_OF_BAND: u32 = 1 << 7;
pub(crate) const HIJACK: u32 = 1 << 8;
pub(crate) const EXPECTS_CONTINUE: u32 = 1 << 9;
/// The client knows no interim responses.
pub(crate) const NO_INTERIM: u32 = 1 << 10;
pub(crate) const FLUSH_WATCHED: u32 = 1 << 11;
const PER_REQUEST: u32 = (1 << 16) - 1;
/// The rest is the connection's.
pub(crate) const EOF: u32 = 1 << 16;
pub(crate) const UPGRADED: u32 = 1 << 17;
pub(crate) const HIJACKED: u32 = 1 << 18;
pub(crate) const CLOSED: u32 = 1 << 19;
/// Bytes that were to be written have not all reached the socket.
pub(crate) const DIRTY: u32 = 1 << 20;
pub(crate) const MALFORMED: u32 = 1 << 21;
/// The body was given up: the connection ends with this request.
pub(crate) const UNREAD_BODY: u32 = 1 << 22;

/// HTTP/2: requests share the connection.
pub(crate) const STREAMS: u32 = 1 << 23;
/// HTTP/2 is told that this connection takes no new requests.
pub(crate) const GOING_AWAY: u32 = 1 << 24;
/// HTTP/2: a stream ran into a time limit, and no other has begun since.
const TARDY: u32 = 1 << 25;

const CHUNKED: u64 = u64::MAX;

impl Link {
    pub(crate) fn new(info: ConnInfo, config: Arc<ServerConfig>, tracker: Arc<Tracker>, stage: Stage) -> Self {
        let context = config.conn_context.make(&info);
        Link {
            info,
            config,
            tracker,
            context,
            stage: AtomicU8::new(stage as u8),
            phase: AtomicU8::new(Phase::New as u8),
            told: AtomicU8::new(ConnState::New as u8),
            waits: AtomicU8::new(0),
            flags: AtomicU32::new(0),
            body: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            flushes: AtomicU64::new(0),
            task: Mutex::new(None),
            control: Mutex::default(),
        }
    }

    pub(crate) fn control(&self) -> MutexGuard<'_, Control> {
        // Nothing under this lock can leave it half done.
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stage(&self) -> Stage {
        Stage::from_u8(self.stage.load(Ordering::Acquire))
    }

    /// Remembers whom to wake. Called by the task before it first looks at `stage`: whoever advances the stage either finds
    /// the waker here, or has stored the stage before this lock was released, where the task will see it.
    pub(crate) fn register(&self, task: &Waker) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.clone());
    }

    pub(crate) fn wake(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Wakes the connection's task, unless it is the one that is asking.
    pub(crate) fn wake_other(&self, asking: &Waker) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task.filter(|task| !task.will_wake(asking)) {
            task.wake();
        }
    }

    pub(crate) fn advance(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::Release);
        self.wake();
    }

    // --- flags

    pub(crate) fn has(&self, flag: u32) -> bool {
        self.flags.load(Ordering::Acquire) & flag != 0
    }

    pub(crate) fn flags(&self) -> u32 {
        self.flags.load(Ordering::Acquire)
    }

    pub(crate) fn raise(&self, flag: u32) {
        self.flags.fetch_or(flag, Ordering::AcqRel);
    }

    pub(crate) fn lower(&self, flag: u32) {
        self.flags.fetch_and(!flag, Ordering::AcqRel);
    }

    // --- progress, by the connection's task alone

    pub(crate) fn phase(&self) -> Phase {
        Phase::from_u8(self.phase.load(Ordering::Relaxed))
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    pub(crate) fn begin_poll(&self) {
        self.waits.store(0, Ordering::Relaxed);
    }

    pub(crate) fn waits(&self, what: u8) {
        self.waits.store(self.waits.load(Ordering::Relaxed) | what, Ordering::Relaxed);
    }

    /// Whether hyper has asked for body bytes in this poll and there were none.
    pub(crate) fn awaits_body(&self) -> bool {
        self.waits.load(Ordering::Relaxed) & READ_PENDING != 0
    }

    pub(crate) fn count_read(&self, bytes: usize) {
        self.read.store(self.read.load(Ordering::Relaxed) + bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_written(&self, bytes: usize) {
        self.written.store(self.written.load(Ordering::Relaxed) + bytes as u64, Ordering::Relaxed);
    }

    /// Whether the connection is between requests, with nothing to wait for but the next, on a server that goes on.
    #[inline]
    pub(crate) fn rests(&self) -> bool {
        let stage = self.stage.load(Ordering::Acquire);
        let waits = self.waits.load(Ordering::Relaxed);
        self.phase.load(Ordering::Relaxed) == Phase::Idle as u8 && (waits | stage) == 0
    }

    pub(crate) fn seen(&self) -> Seen {
        let (waits, flags) = (self.waits.load(Ordering::Relaxed), self.flags());
        let (read_deadline, write_deadline) = if flags & DEADLINES == 0 {
            (Override::Unset, Override::Unset)
        } else {
            let control = self.control();
            (control.read_deadline, control.write_deadline)
        };
        Seen {
            phase: self.phase(),
            requests: self.requests(),
            read: self.bytes_read(),
            written: self.bytes_written(),
            awaits_body: waits & READ_PENDING != 0,
            awaits_client: waits & WRITE_PENDING != 0,
            client_stopped: flags & CLIENT_STOPPED != 0,
            tardy: flags & TARDY != 0,
            read_deadline,
            write_deadline,
        }
    }

    // --- requests

    /// A request's head is complete. Returns its number, from 1.
    pub(crate) fn begin_request(&self, body: BodyFraming) -> u64 {
        let number = self.requests.load(Ordering::Relaxed) + 1;
        self.requests.store(number, Ordering::Relaxed);
        let flags = self.flags();
        if flags & PER_REQUEST != 0 {
            self.lower(PER_REQUEST);
            if flags & DEADLINES != 0 {
                let mut control = self.control();
                control.read_deadline = Override::Unset;
                control.write_deadline = Override::Unset;
            }
        }
        self.body.store(
            match body {
                BodyFraming::Length(length) => length,
                BodyFraming::Chunked | BodyFraming::Raw => CHUNKED,
            },
            Ordering::Relaxed,
        );
        self.enter(Phase::Active);
        self.tell(ConnState::Active);
        number
    }

    pub(crate) fn body_framing(&self) -> BodyFraming {
        if self.has(UPGRADED) {
            return BodyFraming::Raw;
        }
        match self.body.load(Ordering::Relaxed) {
            CHUNKED => BodyFraming::Chunked,
            length => BodyFraming::Length(length),
        }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes_written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub(crate) fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Acquire)
    }

    /// There is nothing left to write, and somebody wants to know.
    pub(crate) fn flushed(&self) {
        self.flushes.store(self.flushes.load(Ordering::Relaxed) + 1, Ordering::Release);
        self.lower(FLUSH_WATCHED);
        self.wake_watchers();
    }

    pub(crate) fn count_request(&self) -> u64 {
        if self.has(TARDY) {
            self.lower(TARDY);
        }
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    // --- HTTP/2

    pub(crate) fn begin_streams(&self) {
        self.raise(STREAMS);
    }

    /// The client was too slow for one of its streams, and may be too slow for anything.
    pub(crate) fn stream_timed_out(&self) {
        self.tracker.count_timeout();
        self.raise(TARDY);
    }

    pub(crate) fn is_streams(&self) -> bool {
        self.has(STREAMS)
    }

    /// So many requests are in progress.
    pub(crate) fn note_streams(&self, open: usize) {
        if open > 0 {
            self.enter(Phase::Active);
            self.tell(ConnState::Active);
        } else if self.requests() > 0 && self.phase() == Phase::Active {
            self.enter(Phase::Idle);
            self.tell(ConnState::Idle);
        }
    }

    pub(crate) fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells the hook of a new state, once.
    pub(crate) fn tell(&self, state: ConnState) {
        if self.config.on_state.is_set() && self.told.swap(state as u8, Ordering::Relaxed) != state as u8 {
            self.config.on_state.call(&self.info, state);
        }
    }

    /// All of the response is written, or hyper's.
    pub(crate) fn response_done(&self) {
        self.lower(LISTENING);
        self.raise(RESPONSE_DONE);
    }

    /// The client has stopped sending, or is gone.
    pub(crate) fn client_stopped(&self) {
        self.lower(LISTENING);
        self.raise(CLIENT_STOPPED);
        self.wake_watchers();
    }

    pub(crate) fn wake_watchers(&self) {
        let watchers = std::mem::take(&mut self.control().watchers);
        for watcher in watchers {
            watcher.wake();
        }
    }

    /// Why the framing of what the client sends was refused.
    pub(crate) fn refuse(&self, reason: &'static str) {
        self.control().malformed = Some(reason);
        self.raise(MALFORMED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_asks_in_a_loop_is_kept_once() {
        let mut control = Control::default();
        // The waker of a real task: whether two of the standard library's no-op wakers are the same depends on the compiler.
        std::future::poll_fn(|cx| {
            for _ in 0..1000 {
                control.watch(cx.waker());
            }
            std::task::Poll::Ready(())
        })
        .await;
        assert_eq!(control.watchers.len(), 1);
    }
}
