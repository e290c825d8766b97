//! Telling the program that a connection's state has changed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ClientConnState;

/// What the program wants to be called.
pub(super) type Hook = Arc<dyn Fn(&ClientConnState) + Send + Sync>;

/// Calls the hook, once at a time and without a lock.
pub(super) struct StateHook(Mutex<Telling>);

struct Telling {
    hook: Option<Hook>,
    /// What it was told last.
    told: ClientConnState,
    is_running: bool,
}

impl StateHook {
    pub(super) fn new(at_first: ClientConnState) -> Self {
        StateHook(Mutex::new(Telling { hook: None, told: at_first, is_running: false }))
    }

    pub(super) fn set(&self, hook: Hook) {
        let before = self.lock().hook.replace(hook);
        // What it owns may be anything; it is dropped when the lock is not held.
        drop(before);
    }

    /// Tells the state, if it is another than was told last. If the hook is running, it is whoever runs it who looks again afterwards: so the
    /// last state is always told.
    pub(super) fn tell(&self, state: impl Fn() -> ClientConnState) {
        loop {
            let hook = {
                let mut telling = self.lock();
                let Telling { hook: Some(hook), told, is_running: false } = &*telling else { return };
                // Asked for under the lock, so that an older one is never told behind a newer.
                let now = state();
                if now == *told {
                    return;
                }
                let hook = Arc::clone(hook);
                telling.told = now;
                telling.is_running = true;
                (hook, now)
            };
            let running = Running(self);
            let (hook, now) = hook;
            hook(&now);
            drop(running);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Telling> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hook runs. A panic in it ends that, too.
struct Running<'a>(&'a StateHook);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lock().is_running = false;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn state(available: usize) -> ClientConnState {
        ClientConnState { available, in_flight: 0, closed: false }
    }

    fn noting() -> (Hook, Arc<Mutex<Vec<usize>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let hook: Hook = {
            let seen = Arc::clone(&seen);
            Arc::new(move |state: &ClientConnState| seen.lock().unwrap().push(state.available))
        };
        (hook, seen)
    }

    #[test]
    fn only_what_is_new_is_told() {
        let hook = StateHook::new(state(1));
        hook.tell(|| state(7));
        let (noting, seen) = noting();
        hook.set(noting);
        for available in [1, 1, 0, 0, 1] {
            hook.tell(|| state(available));
        }
        assert_eq!(*seen.lock().unwrap(), [0, 1]);
    }

    #[test]
    fn what_changes_while_it_runs_is_told_afterwards_by_whoever_runs_it() {
        let now = Arc::new(AtomicUsize::new(9));
        let hook = Arc::new(StateHook::new(state(0)));
        let (noting, seen) = noting();
        hook.set({
            let (now, again) = (Arc::clone(&now), Arc::downgrade(&hook));
            Arc::new(move |told: &ClientConnState| {
                noting(told);
                if told.available > 5 {
                    now.fetch_sub(1, Ordering::SeqCst);
                    // As the connection does for each change.
                    again.upgrade().unwrap().tell(|| state(now.load(Ordering::SeqCst)));
                }
            })
        });
        hook.tell(|| state(now.load(Ordering::SeqCst)));
        assert_eq!(*seen.lock().unwrap(), [9, 8, 7, 6, 5]);
    }

    #[test]
    fn a_panic_in_it_does_not_silence_it() {
        let hook = StateHook::new(state(0));
        hook.set(Arc::new(|_| panic!("on purpose")));
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| hook.tell(|| state(1))));
        assert!(told.is_err());
        let (noting, seen) = noting();
        hook.set(noting);
        hook.tell(|| state(2));
        assert_eq!(*seen.lock().unwrap(), [2]);
    }
}
