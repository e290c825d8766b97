//! The policy where threads meet, under a model checker that chooses the schedule: requests that wait, dial, are cancelled and give back, on
//! several threads at once, with the protocol of the transport around the lock (look and leave a waker in one step; wake after
//! unlocking). A waiter that is not woken shows as a deadlock, which the checker reports with the schedule that led to it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use shuttle::rand::Rng;
use shuttle::sync::{Arc, Mutex};

use super::*;

type Fx = Effects<u64, Waker>;

#[derive(Clone)]
struct Shared(Arc<Mutex<Pool<u64, Waker>>>);

impl Shared {
    fn step<T>(&self, step: impl FnOnce(&mut Pool<u64, Waker>, Instant, &mut Fx) -> T) -> T {
        let mut fx = Fx::default();
        let mut pool = self.0.lock().unwrap();
        let done = step(&mut pool, epoch(), &mut fx);
        pool.check();
        pool.check_limits();
        drop(pool);
        for effect in fx.into_ordered() {
            if let Effect::Wake(waker) = effect {
                waker.wake();
            }
        }
        done
    }
}

/// No time passes: what is checked is order.
fn epoch() -> Instant {
    static EPOCH: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

/// A request in the queue, with its dial.
struct Waiting {
    shared: Shared,
    waiter: Option<WaiterId>,
    dial: Option<DialId>,
    /// How often it is polled before it is cancelled; `None` if it is not.
    patience: Option<u8>,
}

impl Future for Waiting {
    type Output = Option<Slot>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Slot>> {
        loop {
            if let Some(patience) = &mut self.patience {
                let Some(less) = patience.checked_sub(1) else { return Poll::Ready(None) };
                *patience = less;
                if less == 0 {
                    // A timer of its own wakes it.
                    cx.waker().wake_by_ref();
                }
            }
            let waiter = self.waiter.as_ref().expect("polled until it is ready");
            let found = self.shared.step(|pool, _, _| {
                let found = pool.look(waiter);
                if found == Waited::Pending {
                    *pool.waker(waiter) = Some(cx.waker().clone());
                }
                found
            });
            match found {
                Waited::Served => {
                    let waiter = self.waiter.take().expect("polled until it is ready");
                    let taken = self.shared.step(|pool, _, _| pool.collect(waiter));
                    return Poll::Ready(taken.map(|taken| taken.slot));
                }
                Waited::Dial(dial) => {
                    self.dial = Some(dial);
                    // It takes a while, so others come in between.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Waited::Refused(_) => return Poll::Ready(None),
                Waited::Offered => unreachable!("no connection is shared"),
                Waited::Pending => {}
            }
            match self.dial {
                // Still under way.
                Some(_) if shuttle::rand::thread_rng().gen_bool(0.3) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(dial) => {
                    self.dial = None;
                    if shuttle::rand::thread_rng().gen_bool(0.3) {
                        self.shared.step(|pool, now, fx| pool.dial_failed(dial, now, fx));
                        // It gives up, unless somebody was quicker.
                        let waiter = self.waiter.as_ref().expect("polled until it is ready");
                        if self.shared.step(|pool, _, _| pool.look(waiter)) != Waited::Served {
                            return Poll::Ready(None);
                        }
                    } else {
                        self.shared.step(|pool, now, fx| pool.dialed(dial, |slot| slot.id.0, None, now, fx));
                    }
                }
                None => return Poll::Pending,
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            self.shared.step(|pool, now, fx| pool.give_up(waiter, now, fx));
        }
        if let Some(dial) = self.dial.take() {
            // It goes on in a task of its own.
            let shared = self.shared.clone();
            shuttle::thread::spawn(move || {
                shared.step(|pool, now, fx| pool.dialed(dial, |slot| slot.id.0, None, now, fx));
            });
        }
    }
}

async fn client(shared: Shared, requests: u8) {
    for _ in 0..requests {
        let host = shuttle::rand::thread_rng().gen_range(0..2);
        let acquired = shared.step(|pool, now, fx| pool.acquire(&key(host), true, now, fx));
        let slot = match acquired {
            Acquired::Conn(taken) => Some(taken.slot),
            Acquired::Wait(waiter) => {
                let mut rng = shuttle::rand::thread_rng();
                let patience = rng.gen_bool(0.3).then(|| rng.gen_range(1..5));
                Waiting { shared: shared.clone(), waiter: Some(waiter), dial: None, patience }.await
            }
            Acquired::Refused(_) => None,
        };
        let Some(slot) = slot else { continue };
        shuttle::thread::yield_now();
        shared.step(|pool, now, fx| {
            if shuttle::rand::thread_rng().gen_bool(0.7) {
                pool.put(slot, slot.id.0, Terms::default(), now, fx);
            } else {
                pool.closed(slot, CloseReason::Failed, now, fx);
            }
        });
    }
}

fn scenario(limits: Limits) {
    let shared = Shared(Arc::new(Mutex::new(Pool::new(limits))));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let shared = shared.clone();
            shuttle::thread::spawn(move || shuttle::future::block_on(client(shared, 3)))
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    // Dials that go on for nobody end by themselves.
    while shared.step(|pool, _, _| pool.stats().dialing) > 0 {
        shuttle::thread::yield_now();
    }
    shared.step(|pool, now, fx| pool.close_idle(now, fx));
    shared.step(|pool, _, _| assert!(pool.is_quiet(), "{:?}", pool.stats()));
}

/// Schedules per set of limits; `ROUNDTRIP_SCHEDULES` sets another number.
fn schedules() -> usize {
    std::env::var("ROUNDTRIP_SCHEDULES").ok().and_then(|number| number.parse().ok()).unwrap_or(300)
}

#[test]
fn no_schedule_loses_a_waiter_a_slot_or_a_connection() {
    let few = |conns_per_host, conns, dials| Limits {
        max_conns_per_host: conns_per_host,
        max_conns: conns,
        max_dials_per_host: dials,
        max_idle_per_host: 1,
        ..unlimited()
    };
    let sets = [few(1, usize::MAX, usize::MAX), few(2, usize::MAX, 1), few(usize::MAX, 2, usize::MAX), few(2, 1, 1)];
    for limits in sets {
        shuttle::check_random(move || scenario(limits), schedules());
        shuttle::check_pct(move || scenario(limits), schedules(), 3);
    }
    println!("{} schedules of 4 threads with 3 requests each", sets.len() * 2 * schedules());
}
