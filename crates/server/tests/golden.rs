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
