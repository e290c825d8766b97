//! Shared connections: one dial until it is known whether there are any, places offered in order, and dials only when there are none.

use proptest::prelude::*;

use super::*;
use crate::net::Alpn;

type Fx = Effects<u64, usize>;

fn shared_key() -> Key {
    key(1).speaking(Alpn::Http2OrHttp1)
}

struct Bench {
    pool: Pool<u64, usize>,
    now: Instant,
    fx: Fx,
    waiters: Vec<Option<WaiterId>>,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        Bench { pool: Pool::new(limits), now: Instant::now(), fx: Fx::default(), waiters: Vec::new() }
    }

    /// A request that waits. Returns its number, which is its waker too.
    fn wait(&mut self, reuse: bool) -> usize {
        let Acquired::Wait(waiter) = self.pool.acquire(&shared_key(), reuse, self.now, &mut self.fx) else {
            panic!("nothing is idle")
        };
        self.waiters.push(Some(waiter));
        self.waiters.len() - 1
    }

    fn look(&mut self, at: usize) -> Waited {
        let waiter = self.waiters[at].as_ref().unwrap();
        let found = self.pool.look(waiter);
        if found == Waited::Pending {
            *self.pool.waker(waiter) = Some(at);
        }
        found
    }

    fn dial(&mut self, at: usize) -> DialId {
        match self.look(at) {
            Waited::Dial(dial) => dial,
            other => panic!("{other:?} instead of a dial"),
        }
    }

    fn dialed(&mut self, dial: DialId) -> Slot {
        self.pool.dialed_shared(dial, None, self.now, &mut self.fx)
    }

    fn offer(&mut self, count: usize) {
        self.pool.offer(&shared_key(), count, &mut self.fx);
    }

    fn share(&mut self, at: usize) {
        let waiter = self.waiters[at].take().unwrap();
        self.pool.share(waiter, self.now, &mut self.fx);
    }

    fn give_up(&mut self, at: usize) {
        let waiter = self.waiters[at].take().unwrap();
        self.pool.give_up(waiter, self.now, &mut self.fx);
    }

    fn set_sharing(&mut self, sharing: bool) {
        self.pool.set_sharing(&shared_key(), sharing, self.now, &mut self.fx);
    }

    /// Who was woken since the last call.
    fn woken(&mut self) -> Vec<usize> {
        let wake = |effect| if let Effect::Wake(at) = effect { Some(at) } else { None };
        std::mem::take(&mut self.fx).into_ordered().filter_map(wake).collect()
    }
}

#[test]
fn one_dial_is_made_until_it_is_known_what_the_host_speaks() {
    let mut bench = Bench::new(unlimited());
    for _ in 0..10 {
        bench.wait(true);
    }
    let dial = bench.dial(0);
    assert!((1..10).all(|at| bench.look(at) == Waited::Pending));
    assert_eq!(bench.pool.stats().dialing, 1);
    // It speaks HTTP/1.1: everybody dials.
    bench.pool.dialed(dial, |slot| slot.id.0, None, bench.now, &mut bench.fx);
    assert_eq!(bench.pool.stats().dialing, 9);
    assert_eq!(bench.look(0), Waited::Served);
    assert!((1..10).all(|at| matches!(bench.look(at), Waited::Dial(_))));
}

#[test]
fn a_shared_connection_serves_all_who_wait_without_another_dial() {
    let mut bench = Bench::new(unlimited());
    for _ in 0..10 {
        bench.wait(true);
    }
    let dial = bench.dial(0);
    for at in 1..10 {
        bench.look(at);
    }
    bench.dialed(dial);
    bench.share(0);
    bench.offer(9);
    assert_eq!(bench.woken(), (1..10).collect::<Vec<_>>(), "in the order in which they came");
    for at in 1..10 {
        assert_eq!(bench.look(at), Waited::Offered);
        bench.share(at);
    }
    let stats = bench.pool.stats();
    assert_eq!((stats.dialing, stats.created, stats.in_use, stats.waiting), (0, 1, 1, 0));
    assert_eq!(stats.wait_time.count(), 10);
}

#[test]
fn without_room_the_next_one_dials_and_one_at_a_time() {
    let mut bench = Bench::new(unlimited());
    for _ in 0..5 {
        bench.wait(true);
    }
    let dial = bench.dial(0);
    bench.dialed(dial);
    bench.share(0);
    bench.offer(1);
    assert_eq!(bench.look(1), Waited::Offered);
    bench.share(1);
    assert_eq!(bench.pool.stats().dialing, 0, "as long as there is room, nobody dials");
    bench.set_sharing(false);
    let dial = bench.dial(2);
    assert!((3..5).all(|at| bench.look(at) == Waited::Pending));
    // There is room again before the dial ends: it goes on for others.
    bench.set_sharing(true);
    bench.offer(1);
    assert_eq!(bench.look(2), Waited::Offered);
    bench.share(2);
    assert!(bench.pool.is_wanted(dial));
    bench.dialed(dial);
    assert_eq!(bench.pool.stats().created, 2);
}

#[test]
fn who_was_offered_a_place_and_finds_none_waits_on() {
    let mut bench = Bench::new(unlimited());
    bench.wait(true);
    bench.wait(true);
    let dial = bench.dial(0);
    bench.look(1);
    bench.dialed(dial);
    bench.offer(2);
    bench.share(0);
    assert_eq!(bench.look(1), Waited::Offered);
    assert_eq!(bench.look(1), Waited::Pending, "it is told once");
    bench.offer(1);
    assert_eq!(bench.woken().last(), Some(&1));
    assert_eq!(bench.look(1), Waited::Offered);
}

#[test]
fn a_dial_that_fails_lets_the_others_dial_at_once() {
    let mut bench = Bench::new(unlimited());
    for _ in 0..5 {
        bench.wait(true);
    }
    let dial = bench.dial(0);
    bench.pool.dial_failed(dial, bench.now, &mut bench.fx);
    bench.give_up(0);
    assert_eq!(bench.pool.stats().dialing, 4, "they do not fail one after the other");
}

#[test]
fn one_that_wants_a_new_connection_dials_beside_a_shared_one() {
    let mut bench = Bench::new(unlimited());
    bench.wait(true);
    let dial = bench.dial(0);
    bench.dialed(dial);
    bench.share(0);
    let fresh = bench.wait(false);
    bench.offer(1);
    assert!(matches!(bench.look(fresh), Waited::Dial(_)));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(bool),
    Look(usize),
    Share(usize),
    GiveUp(usize),
    Dialed(usize, bool),
    Failed(usize),
    Offer(usize),
    Sharing(bool),
    Put(usize),
    Closed(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let at = 0_usize..8;
    let step = prop_oneof![
        3 => any::<bool>().prop_map(Step::Wait),
        4 => at.clone().prop_map(Step::Look),
        2 => at.clone().prop_map(Step::Share),
        1 => at.clone().prop_map(Step::GiveUp),
        2 => (at.clone(), any::<bool>()).prop_map(|(at, shared)| Step::Dialed(at, shared)),
        1 => at.clone().prop_map(Step::Failed),
        2 => at.clone().prop_map(Step::Offer),
        2 => any::<bool>().prop_map(Step::Sharing),
        2 => at.clone().prop_map(Step::Put),
        1 => at.prop_map(Step::Closed),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Whatever is done in whatever order: counts add up, limits hold, and in the end nothing is left.
    #[test]
    fn counts_and_limits_hold_with_shared_connections(steps in steps(), max in 1_usize..4) {
        let limits = Limits { max_conns_per_host: max, ..unlimited() };
        let mut bench = Bench::new(limits);
        let (mut dials, mut in_use) = (Vec::new(), Vec::new());
        let pick = |len: usize, at: usize| (len > 0).then(|| at % len);
        for step in steps {
            let waiting: Vec<usize> = (0..bench.waiters.len()).filter(|at| bench.waiters[*at].is_some()).collect();
            let chosen = |at: usize| pick(waiting.len(), at).map(|at| waiting[at]);
            match step {
                Step::Wait(reuse) => match bench.pool.acquire(&shared_key(), reuse, bench.now, &mut bench.fx) {
                    Acquired::Conn(taken) => in_use.push(taken.slot),
                    Acquired::Wait(waiter) => bench.waiters.push(Some(waiter)),
                    Acquired::Refused(_) => unreachable!("it is not shut down"),
                },
                Step::Look(at) => if let Some(at) = chosen(at) {
                    match bench.look(at) {
                        Waited::Dial(dial) => dials.push((dial, at)),
                        Waited::Served => {
                            let waiter = bench.waiters[at].take().unwrap();
                            in_use.push(bench.pool.collect(waiter).unwrap().slot);
                        }
                        Waited::Offered | Waited::Pending => {}
                        Waited::Refused(_) => unreachable!("it is not shut down"),
                    }
                },
                // A place is taken only while there is a connection to have it in.
                Step::Share(at) if !in_use.is_empty() => if let Some(at) = chosen(at) {
                    bench.share(at);
                },
                Step::Share(_) => {}
                Step::GiveUp(at) => if let Some(at) = chosen(at) {
                    bench.give_up(at);
                },
                Step::Dialed(at, shared) => if let Some(at) = pick(dials.len(), at) {
                    let (dial, _) = dials.swap_remove(at);
                    if shared {
                        in_use.push(bench.dialed(dial));
                    } else {
                        bench.pool.dialed(dial, |slot| slot.id.0, None, bench.now, &mut bench.fx);
                    }
                },
                Step::Failed(at) => if let Some(at) = pick(dials.len(), at) {
                    let (dial, owner) = dials.swap_remove(at);
                    bench.pool.dial_failed(dial, bench.now, &mut bench.fx);
                    // Its owner, if it still waits, fails with it, unless it was served at that moment.
                    if bench.waiters[owner].is_some() {
                        bench.give_up(owner);
                    }
                },
                Step::Offer(count) => bench.offer(count),
                // Room is there only while there is a connection that has it.
                Step::Sharing(sharing) => bench.set_sharing(sharing && !in_use.is_empty()),
                Step::Put(at) => if let Some(at) = pick(in_use.len(), at) {
                    let slot = in_use.swap_remove(at);
                    bench.pool.put(slot, slot.id.0, Terms::default(), bench.now, &mut bench.fx);
                },
                Step::Closed(at) => if let Some(at) = pick(in_use.len(), at) {
                    let slot = in_use.swap_remove(at);
                    bench.pool.closed(slot, CloseReason::Failed, bench.now, &mut bench.fx);
                },
            }
            if in_use.is_empty() {
                bench.set_sharing(false);
            }
            bench.pool.check();
            bench.pool.check_limits();
        }
        for at in 0..bench.waiters.len() {
            if bench.waiters[at].is_some() {
                bench.give_up(at);
            }
        }
        for (dial, _) in dials {
            bench.pool.dial_failed(dial, bench.now, &mut bench.fx);
        }
        for slot in in_use {
            bench.pool.closed(slot, CloseReason::Failed, bench.now, &mut bench.fx);
        }
        bench.pool.close_idle(bench.now, &mut bench.fx);
        prop_assert!(bench.pool.is_quiet());
    }
}
