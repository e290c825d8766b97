//! Random steps in random order, with everything that must hold checked after each.

use proptest::prelude::*;

use super::*;

type Fx = Effects<u64, usize>;

#[derive(Clone, Debug)]
enum Step {
    Acquire { host: u8, reuse: bool },
    Look(usize),
    GiveUp(usize),
    Dialed(usize),
    DialFailed(usize),
    DialAhead(u8),
    Put(usize),
    Close(usize),
    TakeOut,
    Adopt { host: u8, served: u64 },
    Tick(u16),
    Sweep,
    CloseIdle,
    Evict(u8),
    SetLimits(Limits),
}

fn limits() -> impl Strategy<Value = Limits> {
    let few = || prop_oneof![Just(usize::MAX), 1..4_usize];
    (few(), few(), few(), few(), few(), few(), any::<bool>(), prop_oneof![9 => Just(true), 1 => Just(false)]).prop_map(
        |(max_idle, max_idle_per_host, max_conns_per_host, max_conns, max_dials_per_host, queue, timeout, reuse)| {
            Limits {
                max_idle: if max_idle == 3 { 0 } else { max_idle },
                max_idle_per_host,
                max_conns_per_host,
                max_conns,
                max_dials_per_host,
                max_waiters_per_host: queue.saturating_mul(4),
                max_requests_per_conn: 4,
                idle_timeout: timeout.then_some(Duration::from_millis(100)),
                reuse,
            }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let any = 0..64_usize;
    let host = 0..4_u8;
    prop_oneof![
        8 => (host.clone(), prop_oneof![6 => Just(true), 1 => Just(false)])
            .prop_map(|(host, reuse)| Step::Acquire { host, reuse }),
        8 => any.clone().prop_map(Step::Look),
        3 => any.clone().prop_map(Step::GiveUp),
        6 => any.clone().prop_map(Step::Dialed),
        2 => any.clone().prop_map(Step::DialFailed),
        1 => host.clone().prop_map(Step::DialAhead),
        6 => any.clone().prop_map(Step::Put),
        2 => any.prop_map(Step::Close),
        1 => Just(Step::TakeOut),
        2 => (host.clone(), 0..6_u64).prop_map(|(host, served)| Step::Adopt { host, served }),
        2 => (0..80_u16).prop_map(Step::Tick),
        1 => Just(Step::Sweep),
        1 => Just(Step::CloseIdle),
        1 => host.prop_map(Step::Evict),
        1 => limits().prop_map(Step::SetLimits),
    ]
}

/// The outside of a pool: requests that wait, dials under way and connections in use.
struct World {
    pool: Pool<u64, usize>,
    now: Instant,
    /// In the order in which they came. `token` is also the waker.
    waiting: Vec<Request>,
    dials: Vec<DialId>,
    in_use: Vec<Slot>,
    served: HashMap<ConnId, u64>,
    tokens: usize,
    /// Limits were lowered while more was open.
    above: bool,
}

struct Request {
    token: usize,
    host: u8,
    reuse: bool,
    waiter: WaiterId,
    /// It was woken since it looked last.
    woken: bool,
    dial: Option<DialId>,
}

impl World {
    fn new(limits: Limits) -> Self {
        World {
            pool: Pool::new(limits),
            now: Instant::now(),
            waiting: Vec::new(),
            dials: Vec::new(),
            in_use: Vec::new(),
            served: HashMap::new(),
            tokens: 0,
            above: false,
        }
    }

    fn step(&mut self, step: Step) {
        let mut fx = Fx::default();
        let now = self.now;
        match step {
            Step::Acquire { host, reuse } => match self.pool.acquire(&key(host), reuse, now, &mut fx) {
                Acquired::Conn(taken) => {
                    assert!(reuse && taken.reused && taken.idle.is_some());
                    self.in_use.push(taken.slot);
                }
                Acquired::Wait(waiter) => {
                    self.tokens += 1;
                    let token = self.tokens;
                    // As a task does, it looks at once.
                    self.waiting.push(Request { token, host, reuse, waiter, woken: true, dial: None });
                }
                Acquired::Refused(Refused::QueueFull { waiting }) => assert!(waiting > 0),
                Acquired::Refused(Refused::Shutdown) => unreachable!("it was not shut down"),
            },
            Step::Look(at) => {
                if let Some(at) = pick(at, self.waiting.len()) {
                    self.look(at);
                }
            }
            Step::GiveUp(at) => {
                if let Some(at) = pick(at, self.waiting.len()) {
                    let gone = self.waiting.remove(at);
                    self.pool.give_up(gone.waiter, now, &mut fx);
                }
            }
            Step::Dialed(at) => {
                if let Some(at) = pick(at, self.dials.len()) {
                    let dial = self.dials.swap_remove(at);
                    self.forget_dial(dial);
                    self.pool.dialed(dial, |slot| slot.id.0, None, now, &mut fx);
                }
            }
            Step::DialFailed(at) => {
                if let Some(at) = pick(at, self.dials.len()) {
                    let dial = self.dials.swap_remove(at);
                    let owner = self.forget_dial(dial);
                    self.pool.dial_failed(dial, now, &mut fx);
                    // Whoever drove it gives up with it, unless it was served meanwhile.
                    if let Some(at) = owner {
                        let owner = self.waiting.remove(at);
                        match self.pool.look(&owner.waiter) {
                            Waited::Served => {
                                let taken = self.pool.collect(owner.waiter).unwrap();
                                self.in_use.push(taken.slot);
                            }
                            _ => self.pool.give_up(owner.waiter, now, &mut fx),
                        }
                    }
                }
            }
            Step::DialAhead(host) => self.dials.extend(self.pool.dial_ahead(&key(host), now, &mut fx)),
            Step::Put(at) => {
                if let Some(at) = pick(at, self.in_use.len()) {
                    let slot = self.in_use.swap_remove(at);
                    let served = self.served.entry(slot.id).or_default();
                    *served += 1;
                    let terms = Terms { served: *served, idle_limit: None };
                    self.pool.put(slot, slot.id.0, terms, now, &mut fx);
                }
            }
            Step::Close(at) => {
                if let Some(at) = pick(at, self.in_use.len()) {
                    let slot = self.in_use.swap_remove(at);
                    self.pool.closed(slot, CloseReason::Failed, now, &mut fx);
                }
            }
            Step::TakeOut => {
                let idle = self.pool.conns.iter().find(|(_, entry)| entry.idle.is_some());
                if let Some(slot) = idle.map(|(index, entry)| Slot { index: narrow(index), id: entry.id }) {
                    assert_eq!(self.pool.take_out(slot), Some(slot.id.0));
                    assert_eq!(self.pool.take_out(slot), None);
                    self.in_use.push(slot);
                }
            }
            Step::Adopt { host, served } => {
                let id = self.pool.number();
                self.served.insert(id, served);
                let terms = Terms { served, idle_limit: None };
                self.pool.adopt(&key(host), id, |slot| slot.id.0, terms, None, now, &mut fx);
            }
            Step::Tick(millis) => self.now += Duration::from_millis(millis.into()),
            Step::Sweep => {
                self.pool.sweep(now, &mut fx);
                assert!(self.pool.next_expiry().is_none_or(|next| next > now));
            }
            Step::CloseIdle => {
                self.pool.close_idle(now, &mut fx);
                assert_eq!(self.pool.stats().idle, 0);
            }
            Step::Evict(host) => self.pool.evict(&key(host), now, &mut fx),
            Step::SetLimits(limits) => {
                self.pool.set_limits(limits, now, &mut fx);
                self.above = true;
            }
        }
        self.apply(fx);
        self.pool.check();
        if !self.above {
            self.pool.check_limits();
        }
        self.check_order();
    }

    fn look(&mut self, at: usize) {
        let request = &mut self.waiting[at];
        request.woken = false;
        match self.pool.look(&request.waiter) {
            Waited::Pending => *self.pool.waker(&request.waiter) = Some(request.token),
            Waited::Dial(dial) => {
                request.dial = Some(dial);
                request.woken = true;
                self.dials.push(dial);
            }
            Waited::Served => {
                let request = self.waiting.remove(at);
                let taken = self.pool.collect(request.waiter).unwrap();
                assert!(request.reuse || !taken.reused, "a request that wants a new connection gets one");
                self.in_use.push(taken.slot);
            }
            Waited::Refused(_) => unreachable!("it was not shut down"),
            Waited::Offered => unreachable!("no connection is shared"),
        }
    }

    /// Returns who drives the dial, if anybody still waits for it.
    fn forget_dial(&mut self, dial: DialId) -> Option<usize> {
        let at = self.waiting.iter().position(|request| request.dial == Some(dial))?;
        self.waiting[at].dial = None;
        Some(at)
    }

    fn apply(&mut self, fx: Fx) {
        for effect in fx.into_ordered() {
            match effect {
                Effect::Wake(token) => {
                    // One who gave up in this very step may be woken for nothing.
                    if let Some(request) = self.waiting.iter_mut().find(|request| request.token == token) {
                        request.woken = true;
                    }
                }
                Effect::Close(slot, conn, _) => {
                    assert_eq!(conn, slot.id.0);
                    assert!(!self.in_use.contains(&slot), "a connection in use is not closed by the pool");
                }
                Effect::Abort(dial) => assert!(!self.pool.is_wanted(dial)),
                Effect::Emptied => unreachable!("it was not shut down"),
            }
        }
    }

    /// First come, first served; and whoever has something was told.
    fn check_order(&mut self) {
        for host in 0..4 {
            let mut passed_over = false;
            for request in self.waiting.iter().filter(|request| request.host == host && request.reuse) {
                let waiter = &self.pool.waiters[request.waiter.0 as usize];
                match &waiter.state {
                    // One that came while nothing was handed on does not stand in this queue.
                    State::Waiting => passed_over |= waiter.in_queue != Links::default(),
                    State::Served(taken) => {
                        assert!(!taken.reused || !passed_over, "served out of order");
                        assert!(request.woken || waiter.waker.is_none(), "a served request is told");
                    }
                    State::Ordered => assert!(request.woken, "a request that may dial is told"),
                    State::Refused => unreachable!("it was not shut down"),
                }
            }
        }
    }

    /// Everybody gives up, everything is closed.
    fn end(mut self) {
        let now = self.now;
        let mut fx = Fx::default();
        for request in std::mem::take(&mut self.waiting) {
            self.pool.give_up(request.waiter, now, &mut fx);
            self.pool.check();
        }
        for dial in std::mem::take(&mut self.dials) {
            self.pool.dial_failed(dial, now, &mut fx);
            self.pool.check();
        }
        for slot in std::mem::take(&mut self.in_use) {
            self.pool.closed(slot, CloseReason::Abandoned, now, &mut fx);
            self.pool.check();
        }
        self.pool.close_idle(now, &mut fx);
        self.pool.check();
        assert!(self.pool.is_quiet(), "{:?}", self.pool.stats());
        assert_eq!(self.pool.stats().created, self.pool.stats().closed.total());
    }
}

fn pick(at: usize, len: usize) -> Option<usize> {
    (len > 0).then(|| at % len)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_and_no_limit_passed(limits in limits(), steps in proptest::collection::vec(step(), 1..200)) {
        let mut world = World::new(limits);
        for step in steps {
            world.step(step);
        }
        world.end();
    }

    #[test]
    fn a_shutdown_at_any_moment_ends_everything(
        limits in limits(),
        steps in proptest::collection::vec(step(), 1..100),
    ) {
        let mut world = World::new(limits);
        for step in steps {
            world.step(step);
        }
        let mut fx = Fx::default();
        world.pool.shut_down(world.now, &mut fx);
        prop_assert_eq!(world.pool.stats().idle, 0);
        for request in &world.waiting {
            let found = world.pool.look(&request.waiter);
            prop_assert!(matches!(found, Waited::Served | Waited::Refused(Refused::Shutdown)), "{:?}", found);
        }
        world.end();
    }
}
