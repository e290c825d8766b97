//! What the transport promises, over every protocol that it speaks: each behaviour is written once, and [`run`](rig::run) runs it over
//! HTTP/1 and HTTP/2, in plain text and over TLS. One that holds for some only says so, and why, where it is written.
//!
//! Each test prints the protocols that it ran over, and those that it left out with the reason.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]
#![cfg(feature = "tls")]

mod certificates;
mod exchange;
mod http1;
mod http2;
mod peer;
mod rig;

mod bodies;
mod ends;
mod farewell;
mod heads;
mod hooks;
mod pool;
mod retries;
mod uploads;
