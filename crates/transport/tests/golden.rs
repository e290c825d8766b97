//! What Go's `net/http` client does, replayed against the real transport over real sockets, case by case.
//!
//! The files are those of the project's golden data; `golden/differs.json` beside them lists the deliberate differences.

// Some cases ask for TLS.
#![cfg(feature = "tls")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic is the right report of a failure, and the score is printed"
)]

mod replay;

#[tokio::test]
async fn golden_pool() {
    replay::pool::run().await;
}

#[tokio::test]
async fn golden_retry() {
    replay::retry::run().await;
}

#[tokio::test]
async fn golden_client_wire() {
    replay::client_wire::run().await;
}

#[tokio::test]
async fn golden_timeouts() {
    replay::timeouts::run().await;
}
