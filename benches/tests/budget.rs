//! `just budget` as those who call it see it: by its exit status.

use std::process::{Command, Output};

fn budget(args: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_budget")).args(args).output()
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_cost_over_its_budget_ends_the_process_with_a_failure() {
    let over = budget(&["--quick", "transport-allocations", "--limit", "transport-allocations=0.5"]).unwrap();
    assert_eq!(over.status.code(), Some(1), "{over:?}");
    assert!(said(&over.stderr).contains("over budget: transport-allocations: "), "{over:?}");
    assert!(said(&over.stdout).contains("OVER"), "{over:?}");
}

#[test]
fn a_cost_within_its_budget_does_not() {
    let within = budget(&["--quick", "transport-allocations", "--limit", "transport-allocations=1000000"]).unwrap();
    assert_eq!(within.status.code(), Some(0), "{within:?}");
    assert!(!said(&within.stdout).contains("OVER"), "{within:?}");
}

#[test]
fn a_time_is_told_and_judged_only_where_asked() {
    let args = ["--quick", "transport-time-32", "--limit", "transport-time-32=0.000001"];
    let told = budget(&args).unwrap();
    assert_eq!(told.status.code(), Some(0), "{told:?}");
    assert!(said(&told.stdout).contains("told, not judged"), "{told:?}");
    let judged = budget(&[&args[..], &["--judge-times"]].concat()).unwrap();
    assert_eq!(judged.status.code(), Some(1), "{judged:?}");
}

#[test]
fn what_idle_connections_hold_is_the_servers_own_count() {
    let idle = budget(&["--quick", "server-idle-bytes", "--limit", "server-idle-bytes=500"]).unwrap();
    assert_eq!(idle.status.code(), Some(1), "a connection has a task, a buffer and a handler: {idle:?}");
    assert!(said(&idle.stderr).contains("over budget: server-idle-bytes: "), "{idle:?}");
}

#[test]
fn a_budget_that_nobody_knows_is_an_error() {
    let unknown = budget(&["no-such-budget"]).unwrap();
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    assert!(said(&unknown.stderr).contains("no-such-budget"), "{unknown:?}");
}
