//! HTTP/1's own ways, and the pool's, over real sockets against servers that do exactly what a test tells them. What holds over HTTP/2 as
//! well is in `behaviour`.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod control;
mod exchanges;
mod limits;
mod peer;
