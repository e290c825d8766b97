//! What Go's `net/http` server does over real sockets, case by case, against this crate.
//!
//! The files are those of the project's golden data; `golden/differs.json` lists the deliberate differences.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic is the right report of a failure, and the score is printed"
)]

mod replay;

#[test]
fn golden_server_wire() {
    replay::server_wire::run();
}

#[test]
fn golden_conn_state() {
    replay::script::run_states();
}

#[test]
fn golden_shutdown() {
    replay::script::run_shutdown();
}

#[test]
fn golden_timeouts() {
    replay::timeouts::run();
}
