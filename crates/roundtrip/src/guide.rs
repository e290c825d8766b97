//! The guide: how things work here, with examples that are compiled and run.

#[doc = include_str!("../../../docs/guide/connections.md")]
pub mod connections {}

#[doc = include_str!("../../../docs/guide/serving.md")]
pub mod serving {}

#[doc = include_str!("../../../docs/guide/client.md")]
pub mod client {}

#[doc = include_str!("../../../docs/guide/errors.md")]
pub mod errors {}

// The first meaning of a link counts: here a module, in the file by itself another file.
#[doc = "[server-closes]: server_closes\n"]
#[doc = include_str!("../../../docs/guide/benchmark.md")]
pub mod benchmark {}

#[doc = include_str!("../../../docs/guide/server-closes.md")]
pub mod server_closes {}

/// The README's examples are compiled too.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
