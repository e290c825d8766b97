//! Every kind of scenario runs and passes its own check; and broken ones are caught, by name.

use std::time::Duration;

use roundtrip_transport::{Protocols, TransportConfig};

use super::round::{Outcome, Time};
use super::*;
use crate::model::{Case, Pooling, Protocol, Security};
use crate::watch::fake::Hourglass;
use crate::watch::{NO_TIME, Unwatched};

const SHORT: Time = Time { warm: Duration::from_millis(5), measured: Duration::from_millis(20) };

const ALL: [Pooling; 3] = [Pooling::Pool, Pooling::ServerCloses, Pooling::NoPool];
const SECURITIES: [Security; 3] = [Security::Plain, Security::Tls, Security::TlsResumed];
const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// A round with a transport that `break_it` has changed.
fn run_with(case: &Case, break_it: impl FnOnce(&mut TransportConfig)) -> Result<Outcome, String> {
    let identity = Identity::make().unwrap();
    let mut config = client::transport(case, &identity).unwrap();
    break_it(&mut config);
    round::run(case, config, &identity, SHORT, &Unwatched).map(|outcome| outcome.expect("nobody stops it"))
}

fn combinations(concurrency: usize) -> impl Iterator<Item = Case> {
    let of = move |pooling| {
        SECURITIES.into_iter().flat_map(move |security| {
            PROTOCOLS.map(|protocol| Case { security, protocol, concurrency, ..Case::classic(pooling) })
        })
    };
    ALL.into_iter().flat_map(of).filter(|case| case.makes_no_sense().is_none())
}

#[test]
fn every_combination_passes_its_own_check() {
    for case in combinations(1).chain(combinations(4)) {
        let Outcome { round, .. } = run_with(&case, |_| {}).unwrap();
        assert!(round.requests > 0 && round.all_requests > round.requests, "{case:?}: {round:?}");
        assert!(round.p50_ns <= round.p99_ns && round.ns_per_op > 0.0, "{case:?}: {round:?}");
    }
}

#[test]
fn large_bodies_and_distances_pass_too() {
    for case in combinations(1).filter(|case| case.security != Security::Tls) {
        for case in [Case { body: 65_536, ..case }, Case { body: 0, ..case }, Case { rtt_ms: 2, ..case }] {
            run_with(&case, |_| {}).unwrap();
        }
    }
}

#[test]
fn a_pool_that_never_reuses_is_caught() {
    for security in SECURITIES {
        for protocol in PROTOCOLS {
            let case = Case { security, protocol, ..Case::classic(Pooling::Pool) };
            let error = run_with(&case, |config| config.disable_keep_alives = true).unwrap_err();
            assert!(error.starts_with(&format!("{} did not pool: ", case.name())), "{error}");
        }
    }
}

#[test]
fn a_pool_without_room_is_caught() {
    let case = Case::classic(Pooling::Pool);
    let error = run_with(&case, |config| config.max_idle_conns = 0).unwrap_err();
    assert!(error.starts_with("WithConnectionPool did not pool: "), "{error}");
}

#[test]
fn a_client_that_keeps_connections_against_its_scenarios_name_is_caught() {
    for security in SECURITIES {
        for protocol in PROTOCOLS {
            let case = Case { security, protocol, ..Case::classic(Pooling::NoPool) };
            let error = run_with(&case, |config| config.disable_keep_alives = false).unwrap_err();
            assert!(error.starts_with(&format!("{} did reuse connections: ", case.name())), "{error}");
        }
    }
}

#[test]
fn a_server_that_does_not_close_is_caught() {
    for protocol in PROTOCOLS {
        // What came to a server that kept its connections, seen by the check of one that should have closed them.
        let pooled = Case { protocol, ..Case::classic(Pooling::Pool) };
        let kept = run_with(&pooled, |_| {}).unwrap().round;
        let closing = Case { pooling: Pooling::ServerCloses, ..pooled };
        let error = check::check(&closing, &kept, 0).unwrap_err();
        assert!(error.starts_with(&format!("{} did reuse connections: ", closing.name())), "{error}");
    }
}

#[test]
fn broken_resumption_is_caught() {
    for pooling in ALL {
        for protocol in PROTOCOLS {
            let case = Case { security: Security::TlsResumed, protocol, ..Case::classic(pooling) };
            let error = run_with(&case, |config| config.connect.tls.session_cache = 0).unwrap_err();
            assert!(error.starts_with(&format!("{} did not resume sessions: ", case.name())), "{error}");
        }
    }
}

#[test]
fn resumption_against_the_scenarios_name_is_caught() {
    for pooling in [Pooling::ServerCloses, Pooling::NoPool] {
        let case = Case { security: Security::Tls, ..Case::classic(pooling) };
        let error = run_with(&case, |config| config.connect.tls.session_cache = 16).unwrap_err();
        assert!(error.starts_with(&format!("{} did resume sessions: ", case.name())), "{error}");
    }
}

#[test]
fn another_protocol_than_the_named_one_is_caught() {
    let case = Case { security: Security::Tls, protocol: Protocol::Http2, ..Case::classic(Pooling::Pool) };
    let error = run_with(&case, |config| config.protocols = Protocols::Http1).unwrap_err();
    assert!(error.starts_with(&format!("{} did not speak HTTP/2: ", case.name())), "{error}");
}

#[test]
fn a_request_that_fails_is_told_by_the_scenarios_name() {
    let case = Case { security: Security::Tls, ..Case::classic(Pooling::Pool) };
    let error = run_with(&case, |config| config.connect.tls.extra_roots.clear()).unwrap_err();
    assert!(error.starts_with("WithConnectionPool/tls failed: "), "{error}");
}

#[test]
fn phases_add_up_and_costs_follow_the_model() {
    let case = |pooling| Case { security: Security::Tls, rtt_ms: 10, ..Case::classic(pooling) };
    let time = Duration::from_millis(60);
    let plan = Plan {
        groups: vec![Group { cases: vec![case(Pooling::Pool), case(Pooling::NoPool)], rounds: 1, time }],
        left_out: Vec::new(),
        limit: None,
    };
    let scenarios = run(&plan, &Unwatched).unwrap();
    for (scenario, predicted) in scenarios.iter().zip([1.0, 3.0]) {
        let phases = scenario.phases.unwrap();
        let sum = phases.queue
            + phases.dns
            + phases.connect
            + phases.tls
            + phases.write
            + phases.wait
            + phases.body
            + phases.other;
        assert!((sum - phases.total).abs() < 0.02 * phases.total, "{phases:?}");
        assert_eq!(scenario.cost.predicted, predicted);
        // It cannot be faster than the distance; how much slower is the machine's affair.
        let measured = scenario.cost.measured.unwrap();
        assert!(measured >= predicted, "{measured} of {predicted}");
    }
    let [pooled, fresh] = [0, 1].map(|at| scenarios[at].phases.unwrap());
    assert!(pooled.connect == 0.0 && pooled.tls == 0.0, "{pooled:?}");
    assert!(fresh.connect >= 10_000.0 && fresh.tls >= 10_000.0 && fresh.wait >= 10_000.0, "{fresh:?}");
}

/// Stops when it is told of the second piece of work.
struct Second(std::cell::Cell<u32>);

impl Watch for Second {
    fn doing(&self, _what: &str) {
        self.0.set(self.0.get() + 1);
    }

    fn stopped(&self) -> bool {
        self.0.get() >= 2
    }
}

#[test]
fn stopping_keeps_what_was_measured() {
    let long = Duration::from_secs(600);
    let plan = Plan {
        groups: vec![
            Group { cases: vec![Case::classic(Pooling::Pool)], rounds: 1, time: Duration::from_millis(20) },
            Group { cases: ALL.map(Case::classic).to_vec(), rounds: 9, time: long },
        ],
        left_out: Vec::new(),
        limit: None,
    };
    let scenarios = run(&plan, &Second(0.into())).unwrap();
    assert_eq!(scenarios.len(), 1);
    assert_eq!((scenarios[0].rounds.len(), scenarios[0].phases), (1, None));
}

fn two_groups(time: Duration, limit: Option<Duration>) -> Plan {
    let group = |pooling| Group { cases: vec![Case::classic(pooling)], rounds: 2, time };
    Plan { groups: vec![group(Pooling::Pool), group(Pooling::NoPool)], left_out: Vec::new(), limit }
}

#[test]
fn without_time_nothing_is_measured_and_all_is_told() {
    let watch = Hourglass::after(u32::MAX);
    let plan = two_groups(Duration::from_secs(600), Some(Duration::ZERO));
    assert_eq!(run(&plan, &watch).unwrap(), []);
    let no_time = ["WithConnectionPool", "WithoutConnectionPool"].map(|name| format!("{name}: {NO_TIME}"));
    assert_eq!(watch.said(), no_time);
}

#[test]
fn what_does_not_fit_into_the_limit_is_told() {
    // Two rounds of the first, and its phases that are cut off before they begin.
    let watch = Hourglass::after(3);
    let scenarios = run(&two_groups(Duration::from_millis(10), None), &watch).unwrap();
    assert_eq!(scenarios.len(), 1);
    assert_eq!((scenarios[0].rounds.len(), scenarios[0].phases), (2, None));
    let no_time = ["WithConnectionPool: phases", "WithoutConnectionPool"].map(|name| format!("{name}: {NO_TIME}"));
    assert_eq!(watch.said(), no_time);
}
