//! HTTP/2 by hand: raw frames against the server, one rule of RFC 9113 or RFC 7541 a case. Each test is written once and runs on
//! plain connections by prior knowledge, and over TLS with HTTP/2 by ALPN ([`raw::run`]).
//!
//! Numbers in the tables are sections of RFC 9113, unless another is named. A stream error may be answered with the stronger
//! connection error (5.4). Nothing else that differs from the expected answer passes, but for what hyper does and we cannot change
//! from above it: it ends a connection with PROTOCOL_ERROR where the RFC has a more telling word (`BAD_SIZE` and its like in
//! `raw.rs`); it serves a client that begins without SETTINGS; and it drops a pseudo field in trailers, which makes a request
//! malformed. The last two are asserted as they are, with a note.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic is how a test reports, and so is a line that it prints"
)]

mod fields;
mod floods;
mod flow;
mod frames;
mod hpack;
mod limits;
mod raw;
mod settings;
mod streams;
