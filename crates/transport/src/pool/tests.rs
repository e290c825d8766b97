//! The policy by table and by property, without sockets: a connection is its number.

use std::collections::HashSet;

use http::uri::Authority;
use proptest::prelude::*;

use super::*;

fn key(host: u8) -> Key {
    Key::http(Authority::try_from(format!("h{host}.test")).unwrap()).unwrap()
}

fn limits(max_idle: usize, max_idle_per_host: usize) -> Limits {
    Limits { max_idle, max_idle_per_host, idle_timeout: Some(Duration::from_secs(90)) }
}

struct Bench {
    pool: Pool<u64>,
    now: Instant,
    closed: Vec<u64>,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        Bench { pool: Pool::new(limits), now: Instant::now(), closed: Vec::new() }
    }

    fn open(&mut self, host: u8) -> ConnId {
        self.pool.opened(key(host))
    }

    fn put(&mut self, id: ConnId) {
        self.now += Duration::from_millis(1);
        self.pool.put(id, id.0, self.now, &mut self.closed);
    }

    fn take(&mut self, host: u8) -> Option<u64> {
        self.pool.take(&key(host), self.now, &mut self.closed).map(|taken| taken.conn)
    }
}

#[test]
fn the_most_recently_used_connection_of_the_host_is_taken() {
    let mut bench = Bench::new(limits(10, 10));
    let ids = [bench.open(1), bench.open(1), bench.open(2)];
    for id in ids {
        bench.put(id);
    }
    assert_eq!(bench.take(1), Some(2));
    assert_eq!(bench.take(1), Some(1));
    assert_eq!(bench.take(1), None);
    assert_eq!(bench.take(2), Some(3));
}

#[test]
fn a_host_that_is_full_closes_the_one_coming_back() {
    let mut bench = Bench::new(limits(10, 1));
    let ids = [bench.open(1), bench.open(1)];
    for id in ids {
        bench.put(id);
    }
    assert_eq!(bench.closed, [2]);
    assert_eq!(bench.take(1), Some(1));
}

#[test]
fn the_total_limit_closes_the_least_recently_used_of_all_hosts() {
    let mut bench = Bench::new(limits(2, 2));
    let ids = [bench.open(1), bench.open(2), bench.open(3)];
    for id in ids {
        bench.put(id);
    }
    assert_eq!(bench.closed, [1]);
    // Taking and putting 2 makes 3 the oldest.
    assert_eq!(bench.take(2), Some(2));
    bench.put(ConnId(2));
    let fourth = bench.open(4);
    bench.put(fourth);
    assert_eq!(bench.closed, [1, 3]);
}

#[test]
fn limits_of_zero_keep_nothing() {
    for limits in [limits(0, 5), limits(5, 0)] {
        let mut bench = Bench::new(limits);
        let id = bench.open(1);
        bench.put(id);
        assert_eq!((bench.closed.as_slice(), bench.pool.stats().idle, bench.pool.stats().in_use), (&[1][..], 0, 0));
    }
}

#[test]
fn an_expired_connection_is_closed_and_not_taken() {
    let mut bench = Bench::new(limits(10, 10));
    let (old, young) = (bench.open(1), bench.open(2));
    bench.put(old);
    bench.now += Duration::from_secs(60);
    bench.put(young);
    let expiry = bench.pool.next_expiry().unwrap();
    bench.now = expiry;
    assert_eq!(bench.take(1), None);
    assert_eq!(bench.closed, [1]);
    assert_eq!(bench.take(2), Some(2), "the other has its time still");
    assert_eq!(bench.pool.next_expiry(), None, "nothing lies idle");
}

#[test]
fn hosts_seen_once_leave_nothing_behind() {
    let mut bench = Bench::new(limits(10, 2));
    for host in 0..=255 {
        let id = bench.open(host);
        bench.put(id);
    }
    assert_eq!(bench.pool.stats().idle, 10);
    bench.now += Duration::from_secs(90);
    bench.pool.sweep(bench.now, &mut bench.closed);
    assert_eq!((bench.pool.stats().idle, bench.pool.hosts.len(), bench.pool.conns.len()), (0, 0, 0));
    for host in 0..=255 {
        let id = bench.open(host);
        bench.put(id);
        assert_eq!(bench.take(host), Some(id.0));
        bench.pool.closed(id);
    }
    assert!(bench.pool.hosts.len() <= SPARE_STACKS, "{} stacks", bench.pool.hosts.len());
}

#[derive(Clone, Debug)]
enum Step {
    Open(u8),
    Take(u8),
    /// Gives the n-th connection in use back.
    Put(usize),
    /// Closes the n-th connection in use.
    Close(usize),
    Wait(u16),
    Sweep,
    CloseIdle,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4u8).prop_map(Step::Open),
        6 => (0..4u8).prop_map(Step::Take),
        8 => (0..9usize).prop_map(Step::Put),
        2 => (0..9usize).prop_map(Step::Close),
        2 => (0..40_000u16).prop_map(Step::Wait),
        1 => Just(Step::Sweep),
        1 => Just(Step::CloseIdle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// A naive model beside the pool: a list of idle connections in the order in which they came back.
    #[test]
    fn agrees_with_a_naive_model(max_idle in 0..6usize, per_host in 0..4usize, steps in prop::collection::vec(step(), 1..120)) {
        let mut bench = Bench::new(limits(max_idle, per_host));
        let mut idle: Vec<(u64, u8, Instant)> = Vec::new();
        let mut in_use: Vec<(u64, u8)> = Vec::new();
        let mut gone = HashSet::new();
        for step in steps {
            let before = bench.closed.len();
            let mut want_closed: HashSet<u64> = HashSet::new();
            let fresh = |since: Instant, now: Instant| now - since < Duration::from_secs(90);
            match step {
                Step::Open(host) => in_use.push((bench.open(host).0, host)),
                Step::Take(host) => {
                    let newest = idle.iter().rposition(|&(_, h, _)| h == host);
                    let want = newest.filter(|&at| fresh(idle[at].2, bench.now)).map(|at| idle.remove(at).0);
                    if newest.is_some() && want.is_none() {
                        // An expired one was met: all expired ones go.
                        idle.retain(|&(id, _, since)| fresh(since, bench.now) || !want_closed.insert(id));
                    }
                    prop_assert_eq!(bench.take(host), want);
                    in_use.extend(want.map(|id| (id, host)));
                }
                Step::Put(at) if at < in_use.len() => {
                    let (id, host) = in_use.remove(at);
                    bench.put(ConnId(id));
                    if max_idle == 0 || idle.iter().filter(|&&(_, h, _)| h == host).count() >= per_host {
                        want_closed.insert(id);
                    } else {
                        idle.push((id, host, bench.now));
                        if idle.len() > max_idle {
                            want_closed.insert(idle.remove(0).0);
                        }
                    }
                }
                Step::Close(at) if at < in_use.len() => {
                    let (id, _) = in_use.remove(at);
                    bench.pool.closed(ConnId(id));
                    gone.insert(id);
                }
                Step::Put(_) | Step::Close(_) => {}
                Step::Wait(millis) => bench.now += Duration::from_millis(millis.into()),
                Step::Sweep => {
                    bench.pool.sweep(bench.now, &mut bench.closed);
                    idle.retain(|&(id, _, since)| fresh(since, bench.now) || !want_closed.insert(id));
                }
                Step::CloseIdle => {
                    bench.pool.close_idle(&mut bench.closed);
                    want_closed.extend(idle.drain(..).map(|(id, ..)| id));
                }
            }
            prop_assert_eq!(bench.closed[before..].iter().copied().collect::<HashSet<_>>(), want_closed);
            let stats = bench.pool.stats();
            prop_assert_eq!((stats.idle, stats.in_use), (idle.len(), in_use.len()));
            prop_assert_eq!(bench.pool.conns.len(), idle.len() + in_use.len());
            prop_assert!(stats.idle <= max_idle);
        }
        gone.extend(bench.closed.iter().copied());
        let all: HashSet<u64> = (1..=bench.pool.stats().created).collect();
        let open: HashSet<u64> = idle.iter().map(|&(id, ..)| id).chain(in_use.iter().map(|&(id, _)| id)).collect();
        prop_assert_eq!(&all - &gone, open, "every connection is open or was closed once");
        prop_assert_eq!(all.len(), gone.len() + idle.len() + in_use.len());
    }
}
