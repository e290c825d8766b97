//! What Go's `net/http` does with bytes on the wire, case by case, against this crate.
//!
//! The files are those of the project's golden data; `differs.json` beside them lists the deliberate differences.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic is the right report of a failure, and the score is printed"
)]

mod wire;

#[test]
fn golden_client_wire() {
    wire::client::run();
}

#[test]
fn golden_server_wire() {
    wire::server::run();
}
