//! The transport over real sockets, against servers that do exactly what a test tells them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod control;
mod exchanges;
mod limits;
mod peer;
