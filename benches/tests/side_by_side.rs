//! The side by side with hardly any time: everybody takes part, and what is wrong is noticed.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use roundtrip_bench::clients;
use roundtrip_bench::clients::floor_server::{Floor, Manner};
use roundtrip_bench::side_by_side::{self, Options};
use roundtrip_bench::watch::{NO_TIME, Unwatched, Watch};

/// Turns as short as they can be, and a limit that nothing reaches.
fn short(full: bool) -> Options {
    let program = Some(env!("CARGO_BIN_EXE_roundtrip-bench").into());
    Options { time: Duration::from_secs(600), turn: Some(Duration::from_millis(1)), full, program }
}

#[test]
fn everybody_takes_part() {
    let options = short(false);
    let comparisons = side_by_side::run(&options, &Unwatched).unwrap();
    for id in [
        "client-sequential",
        "client-main-task",
        "client-32-tasks",
        "server-keep-alive",
        "server-reconnect",
        "mux-github",
    ] {
        let compared = comparisons.iter().find(|comparison| comparison.id == id).unwrap_or_else(|| panic!("no {id}"));
        assert!(compared.contestants.iter().any(|contestant| contestant.ours), "{id}: {compared:?}");
        for contestant in &compared.contestants {
            assert_eq!(contestant.figures.len(), contestant.ratios.len(), "{id}: {contestant:?}");
            assert!(contestant.figures.iter().all(|figure| *figure > 0.0), "{id}: {contestant:?}");
            let base = contestant.name == compared.base;
            assert!(!base || contestant.ratios.iter().all(|ratio| *ratio == 1.0), "{id}: {contestant:?}");
        }
        // All that were built take part: who does not was not built, is not installed, or has no such way.
        for absent in &compared.absent {
            let known = ["built without", "no `go` command", "`go build`", "no such way", "one route after another"];
            assert!(known.iter().any(|why| absent.why.contains(why)), "{id}: {absent:?}");
        }
    }
}

/// Stops a run where its second comparison would begin.
#[derive(Default)]
struct UntilTheSecond(AtomicBool);

impl Watch for UntilTheSecond {
    fn doing(&self, what: &str) {
        if what.starts_with("client-main-task") {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn a_run_that_is_stopped_returns_what_it_has() {
    let options = short(true);
    let comparisons = side_by_side::run(&options, &UntilTheSecond::default()).unwrap();
    let ids: Vec<&str> = comparisons.iter().map(|comparison| comparison.id.as_str()).collect();
    assert_eq!(ids, ["client-sequential", "client-sequential-cpu"]);
}

/// Keeps what it is told that was left out.
#[derive(Default)]
struct Listening(Mutex<Vec<String>>);

impl Watch for Listening {
    fn doing(&self, _what: &str) {}

    fn stopped(&self) -> bool {
        false
    }

    fn left_out(&self, what: &str, why: &str) {
        self.0.lock().expect("nobody panics with it").push(format!("{what}: {why}"));
    }
}

#[test]
fn without_time_nobody_takes_part_and_all_is_told() {
    let watch = Listening::default();
    let comparisons = side_by_side::run(&Options { time: Duration::ZERO, ..short(false) }, &watch).unwrap();
    assert_eq!(comparisons, []);
    let ids = [
        "client-sequential",
        "client-main-task",
        "client-32-tasks",
        "server-keep-alive",
        "server-reconnect",
        "mux-github",
        "mux-overlapping",
        "server-allocations",
    ];
    assert_eq!(*watch.0.lock().unwrap(), ids.map(|id| format!("{id}: {NO_TIME}")));
}

/// Has each client of this program send a few requests, each way that it has, and returns what it says.
fn clients_against(manner: Manner, requests: u64) -> Vec<(&'static str, Result<(), String>, u64)> {
    let mut outcomes = Vec::new();
    for client in clients::all() {
        // Those send something else than a GET, which this server does not notice.
        let floor = Floor::start(manner, None).expect("a socket and a thread");
        let outcome = client.run(&floor.addr.to_string(), requests);
        outcomes.push((client.name, outcome, floor.accepted()));
    }
    outcomes
}

#[test]
fn each_client_gets_the_greeting_on_one_connection() {
    for (name, outcome, connections) in clients_against(Manner::Right, 20) {
        outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(connections, 1, "{name}");
    }
}

#[test]
fn each_client_keeps_as_many_connections_as_it_has_tasks() {
    for client in clients::all() {
        let floor = Floor::start(Manner::Right, None).unwrap();
        client.run_many(&floor.addr.to_string(), 400, 4).unwrap_or_else(|error| panic!("{}: {error}", client.name));
        assert_eq!(floor.answered(), 400, "{}", client.name);
        // While one is on its way back to the pool, hyper-util opens another one.
        assert!(floor.accepted() <= 40, "{}: {} connections", client.name, floor.accepted());
    }
}

#[test]
fn a_wrong_body_is_noticed_by_each_client() {
    for (name, outcome, _) in clients_against(Manner::WrongBody, 1) {
        assert!(outcome.as_ref().is_err_and(|error| error.contains("server 4")), "{name}: {outcome:?}");
    }
}

#[test]
fn a_server_that_closes_is_seen_in_the_connections() {
    for (name, outcome, connections) in clients_against(Manner::Closes, 5) {
        // Those that are a connection and no more fail with it.
        if matches!(name, "socket" | "hyper") {
            assert!(outcome.is_err(), "{name}");
        } else {
            assert_eq!((outcome, connections), (Ok(()), 5), "{name}");
        }
    }
}

#[test]
fn a_contestant_that_there_is_not_says_so() {
    let output = Command::new(env!("CARGO_BIN_EXE_roundtrip-bench"))
        .args(["--contestant", "any", "server", "apache", "workers", "0"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("no server is called \"apache\"; there are hyper, handler, mux"), "{said}");
}
