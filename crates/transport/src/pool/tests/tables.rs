//! Single situations.

use super::*;

type Fx = Effects<u64, u32>;

/// A pool, its clock, and what its effects were.
struct Bench {
    pool: Pool<u64, u32>,
    now: Instant,
    fx: Fx,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        Bench { pool: Pool::new(limits), now: Instant::now(), fx: Fx::default() }
    }

    fn tick(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    fn acquire(&mut self, host: u8) -> Acquired<u64> {
        self.tick(1);
        let acquired = self.pool.acquire(&key(host), true, self.now, &mut self.fx);
        self.pool.check();
        acquired
    }

    fn wait(&mut self, host: u8) -> WaiterId {
        let Acquired::Wait(waiter) = self.acquire(host) else { panic!("nothing is idle") };
        waiter
    }

    fn take(&mut self, host: u8) -> Option<u64> {
        match self.acquire(host) {
            Acquired::Conn(taken) => Some(taken.conn),
            Acquired::Wait(waiter) => {
                self.pool.give_up(waiter, self.now, &mut self.fx);
                None
            }
            Acquired::Refused(_) => None,
        }
    }

    fn dial_of(&mut self, waiter: &WaiterId) -> DialId {
        match self.pool.look(waiter) {
            Waited::Dial(dial) => dial,
            other => panic!("{other:?} instead of a dial"),
        }
    }

    fn dialed(&mut self, dial: DialId) {
        self.pool.dialed(dial, |slot| slot.id.0, None, self.now, &mut self.fx);
        self.pool.check();
    }

    fn failed(&mut self, dial: DialId) {
        self.pool.dial_failed(dial, self.now, &mut self.fx);
        self.pool.check();
    }

    fn collect(&mut self, waiter: WaiterId) -> Taken<u64> {
        assert_eq!(self.pool.look(&waiter), Waited::Served);
        self.pool.collect(waiter).unwrap()
    }

    /// A connection opened for a request of its own.
    fn open(&mut self, host: u8) -> Slot {
        let waiter = self.wait(host);
        let dial = self.dial_of(&waiter);
        self.dialed(dial);
        let taken = self.collect(waiter);
        assert!(!taken.reused);
        taken.slot
    }

    fn put(&mut self, slot: Slot) {
        self.put_after(slot, Terms::default());
    }

    fn put_after(&mut self, slot: Slot, terms: Terms) {
        self.tick(1);
        self.pool.put(slot, slot.id.0, terms, self.now, &mut self.fx);
        self.pool.check();
    }

    fn closed(&mut self) -> Vec<(u64, CloseReason)> {
        let mut closed = Vec::new();
        self.fx.0.retain(|effect| match effect {
            Effect::Close(_, conn, reason) => {
                closed.push((*conn, *reason));
                false
            }
            _ => true,
        });
        closed
    }

    fn woken(&self) -> Vec<u32> {
        self.fx.0.iter().filter_map(|effect| if let Effect::Wake(who) = effect { Some(*who) } else { None }).collect()
    }

    fn aborted(&self) -> Vec<DialId> {
        self.fx
            .0
            .iter()
            .filter_map(|effect| if let Effect::Abort(dial) = effect { Some(*dial) } else { None })
            .collect()
    }

    fn is_emptied(&self) -> bool {
        self.fx.0.iter().any(|effect| matches!(effect, Effect::Emptied))
    }
}

#[test]
fn the_most_recently_used_connection_of_the_host_is_taken() {
    let mut bench = Bench::new(unlimited());
    let slots = [bench.open(1), bench.open(1), bench.open(2)];
    for slot in slots {
        bench.put(slot);
    }
    assert_eq!(bench.take(1), Some(2));
    assert_eq!(bench.take(1), Some(1));
    assert_eq!(bench.take(1), None);
    assert_eq!(bench.take(2), Some(3));
}

#[test]
fn one_from_outside_serves_who_waits_or_lies_idle_as_any_other_or_finds_no_room() {
    let adopt = |bench: &mut Bench, host, served, expires| {
        let id = bench.pool.number();
        let terms = Terms { served, idle_limit: None };
        bench.pool.adopt(&key(host), id, |slot| slot.id.0, terms, expires, bench.now, &mut bench.fx);
        bench.pool.check();
        id.0
    };
    let limits = Limits { max_conns_per_host: 2, max_requests_per_conn: 5, ..unlimited() };
    let mut bench = Bench::new(limits);
    let idle = adopt(&mut bench, 1, 4, None);
    assert_eq!((bench.take(1), bench.pool.stats().created, bench.pool.stats().reused), (Some(idle), 1, 1));
    let waiter = bench.wait(1);
    let dial = bench.dial_of(&waiter);
    // Two are there already, one of them being opened.
    let surplus = adopt(&mut bench, 1, 0, None);
    bench.failed(dial);
    let served = adopt(&mut bench, 1, 0, None);
    let taken = bench.collect(waiter);
    assert_eq!((taken.conn, taken.reused), (served, true));
    let worn = adopt(&mut bench, 2, 5, None);
    let now = bench.now;
    let old = adopt(&mut bench, 2, 0, Some(now));
    bench.pool.shut_down(now, &mut bench.fx);
    let late = adopt(&mut bench, 2, 0, None);
    let want = [
        (surplus, CloseReason::Surplus),
        (worn, CloseReason::MaxRequests),
        (old, CloseReason::MaxAge),
        (late, CloseReason::Shutdown),
    ];
    assert_eq!(bench.closed(), want);
}

#[test]
fn a_host_that_is_full_closes_the_one_coming_back_and_the_pool_the_oldest() {
    let mut bench = Bench::new(Limits { max_idle: 2, max_idle_per_host: 1, ..unlimited() });
    let slots = [bench.open(1), bench.open(1), bench.open(2), bench.open(3)];
    for slot in slots {
        bench.put(slot);
    }
    assert_eq!(bench.closed(), [(2, CloseReason::Surplus), (1, CloseReason::Evicted)]);
}

#[test]
fn idle_connections_expire_when_taken_and_when_swept() {
    let mut bench = Bench::new(Limits { idle_timeout: Some(Duration::from_millis(100)), ..unlimited() });
    let slots = [bench.open(1), bench.open(1), bench.open(2)];
    bench.put(slots[0]);
    let expiry = bench.pool.next_expiry().unwrap();
    assert_eq!(expiry, bench.now + Duration::from_millis(100));
    bench.tick(60);
    bench.put(slots[2]);
    bench.tick(60);
    assert_eq!(bench.take(1), None);
    assert_eq!(bench.closed(), [(1, CloseReason::IdleTimeout)]);
    bench.pool.sweep(bench.now, &mut bench.fx);
    assert_eq!(bench.closed(), []);
    bench.tick(60);
    bench.pool.sweep(bench.now, &mut bench.fx);
    assert_eq!(bench.closed(), [(3, CloseReason::IdleTimeout)]);
    assert_eq!(bench.pool.next_expiry(), None);
}

#[test]
fn a_server_that_says_for_how_long_it_keeps_connections_is_believed() {
    let mut bench = Bench::new(unlimited());
    let slot = bench.open(1);
    bench.put_after(slot, Terms { served: 1, idle_limit: Some(Duration::from_millis(50)) });
    bench.tick(60);
    assert_eq!(bench.take(1), None);
    assert_eq!(bench.closed(), [(1, CloseReason::IdleTimeout)]);
}

#[test]
fn old_and_worn_connections_are_not_kept() {
    let mut bench = Bench::new(Limits { max_requests_per_conn: 3, ..unlimited() });
    let worn = bench.open(1);
    bench.put_after(worn, Terms { served: 3, idle_limit: None });
    assert_eq!(bench.closed(), [(1, CloseReason::MaxRequests)]);
    let waiter = bench.wait(1);
    let dial = bench.dial_of(&waiter);
    let expires = bench.now + Duration::from_millis(100);
    bench.pool.dialed(dial, |slot| slot.id.0, Some(expires), bench.now, &mut bench.fx);
    let slot = bench.collect(waiter).slot;
    bench.put(slot);
    let Acquired::Conn(taken) = bench.acquire(1) else { panic!("it is young enough") };
    bench.put(taken.slot);
    bench.tick(200);
    assert_eq!(bench.take(1), None);
    assert_eq!(bench.closed(), [(2, CloseReason::MaxAge)]);
}

#[test]
fn whatever_comes_first_serves_a_request_and_its_dial_goes_on() {
    let mut bench = Bench::new(unlimited());
    let slot = bench.open(1);
    let second = bench.wait(1);
    let dial = bench.dial_of(&second);
    bench.put(slot);
    let taken = bench.collect(second);
    assert_eq!((taken.conn, taken.reused, taken.idle), (1, true, None));
    bench.dialed(dial);
    assert_eq!(bench.pool.stats().idle, 1, "the connection that nobody waited for lies idle");
    assert_eq!(bench.take(1), Some(2));
}

#[test]
fn a_dial_serves_its_own_request_before_others() {
    let mut bench = Bench::new(unlimited());
    let (first, second) = (bench.wait(1), bench.wait(1));
    let (_, dial) = (bench.dial_of(&first), bench.dial_of(&second));
    bench.dialed(dial);
    assert_eq!(bench.pool.look(&first), Waited::Pending);
    assert_eq!(bench.collect(second).conn, 1);
}

#[test]
fn the_dial_of_a_request_that_gave_up_serves_the_next() {
    let mut bench = Bench::new(Limits { max_conns_per_host: 1, ..unlimited() });
    let (first, second) = (bench.wait(1), bench.wait(1));
    let dial = bench.dial_of(&first);
    bench.pool.give_up(first, bench.now, &mut bench.fx);
    assert!(bench.pool.is_wanted(dial));
    assert_eq!(bench.pool.look(&second), Waited::Pending, "the one slot is taken by the dial");
    bench.dialed(dial);
    assert!(bench.collect(second).reused);
}

#[test]
fn a_slot_whose_dial_failed_goes_to_the_next() {
    let mut bench = Bench::new(Limits { max_conns_per_host: 1, ..unlimited() });
    let (first, second) = (bench.wait(1), bench.wait(1));
    *bench.pool.waker(&second) = Some(22);
    let dial = bench.dial_of(&first);
    bench.failed(dial);
    assert_eq!(bench.woken(), [22]);
    bench.dial_of(&second);
    bench.pool.give_up(first, bench.now, &mut bench.fx);
    bench.pool.check();
}

#[test]
fn a_dial_that_was_allowed_and_not_begun_is_passed_on() {
    let mut bench = Bench::new(Limits { max_conns_per_host: 1, ..unlimited() });
    let (first, second) = (bench.wait(1), bench.wait(1));
    bench.pool.give_up(first, bench.now, &mut bench.fx);
    bench.pool.check();
    bench.dial_of(&second);
}

#[test]
fn dials_are_bounded_and_go_to_the_first() {
    let mut bench = Bench::new(Limits { max_dials_per_host: 2, ..unlimited() });
    let waiters: Vec<_> = (0..5).map(|_| bench.wait(1)).collect();
    let dials = [bench.dial_of(&waiters[0]), bench.dial_of(&waiters[1])];
    assert!(waiters[2..].iter().all(|waiter| bench.pool.look(waiter) == Waited::Pending));
    bench.dialed(dials[1]);
    bench.dial_of(&waiters[2]);
    assert_eq!(bench.pool.stats().dialing, 2);
}

#[test]
fn waiters_are_served_in_order_and_leave_from_the_middle() {
    let mut bench = Bench::new(Limits { max_conns_per_host: 1, ..unlimited() });
    let slot = bench.open(1);
    let mut waiters: VecDeque<_> = (0..4).map(|_| bench.wait(1)).collect();
    let gone = waiters.remove(1).unwrap();
    bench.pool.give_up(gone, bench.now, &mut bench.fx);
    for waiter in waiters {
        bench.put(slot);
        let taken = bench.collect(waiter);
        assert_eq!((taken.conn, taken.slot), (1, slot));
    }
}

#[test]
fn a_connection_handed_to_one_who_gave_up_goes_to_the_next_and_then_lies_idle() {
    let mut bench = Bench::new(Limits { max_conns_per_host: 1, ..unlimited() });
    let slot = bench.open(1);
    let (first, second) = (bench.wait(1), bench.wait(1));
    bench.put(slot);
    bench.pool.give_up(first, bench.now, &mut bench.fx);
    assert_eq!(bench.pool.look(&second), Waited::Served);
    bench.pool.give_up(second, bench.now, &mut bench.fx);
    assert_eq!((bench.closed(), bench.pool.stats().idle), (vec![], 1));
    bench.pool.check();
}

#[test]
fn a_full_queue_refuses() {
    let mut bench = Bench::new(Limits { max_conns_per_host: 1, max_waiters_per_host: 1, ..unlimited() });
    let _slot = bench.open(1);
    let _waiter = bench.wait(1);
    assert_eq!(bench.acquire(1), Acquired::Refused(Refused::QueueFull { waiting: 1 }));
}

#[test]
fn an_idle_connection_of_another_host_makes_way_when_the_pool_is_full() {
    let mut bench = Bench::new(Limits { max_conns: 2, ..unlimited() });
    let (a, b) = (bench.open(1), bench.open(2));
    bench.put(a);
    let third = bench.wait(3);
    bench.dial_of(&third);
    assert_eq!(bench.closed(), [(1, CloseReason::Evicted)]);
    let fourth = bench.wait(4);
    assert_eq!(bench.pool.look(&fourth), Waited::Pending);
    bench.put(b);
    assert_eq!(bench.closed(), [(2, CloseReason::Evicted)]);
    bench.dial_of(&fourth);
}

#[test]
fn hosts_that_starve_take_turns() {
    let mut bench = Bench::new(Limits { max_conns: 1, ..unlimited() });
    let slot = bench.open(1);
    let (a, b, c) = (bench.wait(2), bench.wait(2), bench.wait(3));
    bench.pool.closed(slot, CloseReason::Failed, bench.now, &mut bench.fx);
    let dial = bench.dial_of(&a);
    bench.failed(dial);
    bench.pool.give_up(a, bench.now, &mut bench.fx);
    bench.dial_of(&c);
    assert_eq!(bench.pool.look(&b), Waited::Pending);
}

#[test]
fn a_request_that_wants_a_new_connection_gets_one_even_beside_idle_ones() {
    let mut bench = Bench::new(Limits { max_conns_per_host: 1, ..unlimited() });
    let slot = bench.open(1);
    bench.put(slot);
    let acquired = bench.pool.acquire(&key(1), false, bench.now, &mut bench.fx);
    bench.pool.check();
    let Acquired::Wait(fresh) = acquired else { panic!("it was given an old one") };
    assert_eq!(bench.closed(), [(1, CloseReason::Evicted)]);
    let dial = bench.dial_of(&fresh);
    bench.dialed(dial);
    assert_eq!(bench.collect(fresh).conn, 2);
}

#[test]
fn closing_idle_ones_holds_until_the_next_request() {
    let mut bench = Bench::new(unlimited());
    let (a, b) = (bench.open(1), bench.open(1));
    bench.put(a);
    bench.pool.close_idle(bench.now, &mut bench.fx);
    bench.put(b);
    assert_eq!(bench.closed(), [(1, CloseReason::Requested), (2, CloseReason::Requested)]);
    let c = bench.open(2);
    bench.put(c);
    assert_eq!(bench.closed(), []);
}

#[test]
fn closing_idle_ones_gives_unwanted_dials_up_and_leaves_wanted_ones() {
    let mut bench = Bench::new(unlimited());
    let (first, second) = (bench.wait(1), bench.wait(1));
    let (unwanted, wanted) = (bench.dial_of(&first), bench.dial_of(&second));
    bench.pool.give_up(first, bench.now, &mut bench.fx);
    bench.pool.close_idle(bench.now, &mut bench.fx);
    assert_eq!(bench.aborted(), [unwanted]);
    assert!(!bench.pool.is_wanted(unwanted) && bench.pool.is_wanted(wanted));
}

#[test]
fn an_evicted_host_keeps_nothing_that_was_open_then() {
    let mut bench = Bench::new(unlimited());
    let (idle, busy, other) = (bench.open(1), bench.open(1), bench.open(2));
    bench.put(idle);
    bench.put(other);
    bench.pool.evict(&key(1), bench.now, &mut bench.fx);
    bench.put(busy);
    assert_eq!(bench.closed(), [(1, CloseReason::Requested), (2, CloseReason::Requested)]);
    assert_eq!(bench.pool.stats_for(&key(2)).idle, 1);
    let new = bench.open(1);
    bench.put(new);
    assert_eq!(bench.pool.stats_for(&key(1)).idle, 1);
}

#[test]
fn limits_that_are_lowered_close_and_those_that_are_raised_dial() {
    let mut bench = Bench::new(unlimited());
    let slots = [bench.open(1), bench.open(1), bench.open(1)];
    for slot in &slots[..2] {
        bench.put(*slot);
    }
    bench.pool.set_limits(Limits { max_conns_per_host: 1, ..unlimited() }, bench.now, &mut bench.fx);
    bench.pool.check();
    assert_eq!(bench.closed(), [(1, CloseReason::Surplus), (2, CloseReason::Surplus)]);
    let waiter = bench.wait(1);
    assert_eq!(bench.pool.look(&waiter), Waited::Pending);
    bench.pool.set_limits(unlimited(), bench.now, &mut bench.fx);
    bench.dial_of(&waiter);
}

#[test]
fn a_pool_that_is_shut_down_empties_itself() {
    let mut bench = Bench::new(Limits { max_conns_per_host: 2, ..unlimited() });
    let (idle, busy) = (bench.open(1), bench.open(1));
    bench.put(idle);
    let Acquired::Conn(again) = bench.acquire(1) else { panic!("it was idle") };
    let waiter = bench.wait(1);
    *bench.pool.waker(&waiter) = Some(7);
    bench.put(again.slot);
    let taken = bench.collect(waiter);
    bench.put(taken.slot);
    bench.pool.shut_down(bench.now, &mut bench.fx);
    assert_eq!(bench.closed(), [(1, CloseReason::Shutdown)]);
    assert!(!bench.is_emptied());
    assert_eq!(bench.acquire(1), Acquired::Refused(Refused::Shutdown));
    bench.put(busy);
    assert_eq!(bench.closed(), [(2, CloseReason::Shutdown)]);
    assert!(bench.is_emptied() && bench.pool.is_quiet());
}

#[test]
fn shutting_down_wakes_those_who_wait() {
    let mut bench = Bench::new(Limits { max_conns_per_host: 1, ..unlimited() });
    let (first, second) = (bench.wait(1), bench.wait(1));
    let dial = bench.dial_of(&first);
    *bench.pool.waker(&first) = Some(1);
    *bench.pool.waker(&second) = Some(2);
    bench.pool.shut_down(bench.now, &mut bench.fx);
    assert_eq!((bench.woken(), bench.aborted()), (vec![1, 2], vec![dial]));
    assert_eq!(bench.pool.look(&first), Waited::Refused(Refused::Shutdown));
    for waiter in [first, second] {
        bench.pool.give_up(waiter, bench.now, &mut bench.fx);
    }
    bench.dialed(dial);
    assert_eq!(bench.closed(), [(1, CloseReason::Shutdown)]);
    assert!(bench.is_emptied() && bench.pool.is_quiet());
}

#[test]
fn hosts_seen_once_leave_little_behind() {
    let mut pool: Pool<u64, u32> = Pool::new(Limits { max_idle: 0, ..unlimited() });
    let (now, mut fx) = (Instant::now(), Fx::default());
    for host in 0..10 * KEPT_HOSTS {
        let key = Key::http(Authority::try_from(format!("h{host}.test")).unwrap()).unwrap();
        let dial = pool.dial_ahead(&key, now, &mut fx).unwrap();
        pool.dialed(dial, |slot| slot.id.0, None, now, &mut fx);
    }
    assert!(pool.hosts.len() <= KEPT_HOSTS + 1 && pool.vacant.len() <= KEPT_HOSTS + 1, "{}", pool.hosts.len());
    pool.check();
}

#[test]
fn limits_of_zero_let_one_through() {
    let config = crate::TransportConfig {
        max_conns_per_host: Some(0),
        max_conns: Some(0),
        max_dials_per_host: Some(0),
        ..crate::TransportConfig::default()
    };
    let limits = Limits::of(&config);
    assert_eq!((limits.max_conns_per_host, limits.max_conns, limits.max_dials_per_host), (1, 1, 1));
}
