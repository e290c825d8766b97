//! Waking at a time, more exactly than a runtime's timer, which knows whole milliseconds only.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::poll_fn;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Instant;

/// Has `waker` woken at `at`, by the one thread that does so for all connections. It cannot be taken back: whoever is woken looks at the
/// time.
pub(crate) fn wake_at(at: Instant, waker: Waker) {
    CLOCK.add(at, waker);
}

/// Waits until `at`.
pub(crate) async fn sleep_until(at: Instant) {
    let mut asked = false;
    poll_fn(|cx| {
        if Instant::now() >= at {
            return Poll::Ready(());
        }
        // Only woken by the clock, and once: this future has its task for itself.
        if !asked {
            asked = true;
            wake_at(at, cx.waker().clone());
        }
        Poll::Pending
    })
    .await;
}

static CLOCK: LazyLock<Clock> = LazyLock::new(|| {
    let started = std::thread::Builder::new().name("latency".into()).spawn(|| CLOCK.run());
    // Without it nothing delayed would ever arrive.
    started.expect("a thread can be started");
    Clock { alarms: Mutex::default(), sooner: Condvar::new() }
});

struct Clock {
    alarms: Mutex<Alarms>,
    /// Told when an alarm was added that is before all others.
    sooner: Condvar,
}

#[derive(Default)]
struct Alarms {
    heap: BinaryHeap<Reverse<Alarm>>,
    /// How many there have been: those of one time go off in the order in which they were set.
    added: u64,
}

struct Alarm {
    at: Instant,
    number: u64,
    waker: Waker,
}

impl Clock {
    fn add(&self, at: Instant, waker: Waker) {
        let mut alarms = self.lock();
        let first = alarms.heap.peek().is_none_or(|Reverse(first)| at < first.at);
        let number = alarms.added;
        alarms.added += 1;
        alarms.heap.push(Reverse(Alarm { at, number, waker }));
        drop(alarms);
        if first {
            self.sooner.notify_one();
        }
    }

    fn run(&self) {
        be_punctual();
        let mut alarms = self.lock();
        loop {
            let now = Instant::now();
            if alarms.heap.peek().is_some_and(|Reverse(first)| first.at <= now) {
                if let Some(Reverse(due)) = alarms.heap.pop() {
                    drop(alarms);
                    due.waker.wake();
                    alarms = self.lock();
                }
                continue;
            }
            let next = alarms.heap.peek().map(|Reverse(first)| first.at - now);
            alarms = match next {
                Some(wait) => self
                    .sooner
                    .wait_timeout(alarms, wait)
                    .map_or_else(|error| error.into_inner().0, |(alarms, _)| alarms),
                None => self.sooner.wait(alarms).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Alarms> {
        // Nothing under this lock can leave it half done.
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Linux lets a thread's timers be 50 microseconds late unless told otherwise. Where it cannot be told, they are.
fn be_punctual() {
    let Ok(thread) = std::fs::read_link("/proc/thread-self") else { return };
    let Some(id) = thread.file_name().and_then(|id| id.to_str()) else { return };
    let _ = std::fs::write(format!("/proc/{id}/timerslack_ns"), "1");
}

impl PartialEq for Alarm {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Alarm {}

impl PartialOrd for Alarm {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Alarm {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
