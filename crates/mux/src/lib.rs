//! Go's `ServeMux` for Rust: patterns of method, host and path, where the most specific wins, whatever the order.
//!
//! [`Router`] finds values, [`ServeMux`] finds handlers and answers what no handler takes. Both may be filled while they are
//! used, and their lookups, but for the very first, take no lock. [`CrossOriginProtection`] refuses requests that another site
//! made a browser send. This crate does no I/O and knows neither tokio nor hyper.

#![forbid(unsafe_code)]

mod clean;
mod conflict;
mod host;
mod pattern;
mod relation;
mod witness;

mod arena;
mod builder;
mod explain;
mod freeze;
mod inline;
mod key;
mod lookup;
mod matched;
mod methods;
mod published;
mod quick;
mod reach;
mod router;
mod scan;
mod table;
mod tree;
mod wilds;
mod words;

mod answers;
mod cross_origin;
mod mount;
mod serve_mux;
mod service;

pub use conflict::{Clash, Conflict, InsertError};
pub use cross_origin::{CrossOriginError, CrossOriginProtection, OriginError, OriginFault, Protected};
pub use matched::{Allowed, Found, Match, Redirect, Value};
pub use pattern::{Pattern, PatternError, PatternFault};
pub use relation::Relation;
pub use router::{Frozen, Router};
pub use serve_mux::{ServeMux, default_serve_mux};
pub use service::{RouteService, ServiceFuture, ServiceHandler};
pub use witness::Witness;
