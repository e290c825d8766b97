//! The hard cases of a connection pool, in short. `cargo run --profile bench -p roundtrip-bench --example pool_stress` runs them at length.

use std::time::Duration;

use roundtrip_bench::alloc::Counting;
use roundtrip_bench::stress::{self, Idle, Kind, Outcome, Report};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn well(outcome: Outcome) -> Report {
    outcome.expect("the case ends well")
}

#[test]
fn a_server_that_closes_at_that_moment_loses_no_get() {
    well(stress::race(Kind::Get, 2_000));
}

#[test]
fn a_server_that_closes_at_that_moment_loses_no_post_with_a_key() {
    well(stress::race(Kind::KeyedPost, 2_000));
}

#[test]
fn a_post_that_is_lost_says_that_it_was_sent() {
    well(stress::race(Kind::Post, 2_000));
}

#[test]
fn eight_connections_are_shared_by_sixty_four_clients_who_change_their_mind() {
    well(stress::fairness(Duration::from_millis(700)));
}

#[test]
fn a_burst_opens_no_more_at_once_than_it_may() {
    well(stress::burst(100));
}

#[test]
fn writing_and_reading_do_not_wait_for_each_other() {
    well(stress::echo_upload(1_000));
}

#[test]
fn a_refusal_reaches_a_caller_who_is_still_writing() {
    well(stress::early_refusal(5));
}

#[test]
fn bytes_on_an_idle_connection_answer_nothing() {
    let report = well(stress::unsolicited(200));
    assert_eq!(report.get("connections"), Some("200"), "none was used again");
}

#[test]
fn a_transport_outlives_its_runtimes() {
    well(stress::two_runtimes(20));
}

#[test]
fn idle_connections_are_held_and_let_go() {
    let addr = stress::serve_idle().expect("a port is free");
    well(stress::idle(addr, &Idle { connections: 100, watch: Duration::from_millis(1) }));
}
