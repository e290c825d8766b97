//! What most programs import: `use roundtrip::prelude::*;`.
//!
//! The message types, and the traits whose methods are called on them.

pub use roundtrip_client::ResponseExt;
pub use roundtrip_types::{Body, Handler, IntoResponse, MessageExt, Request, RequestExt, Response, RoundTripper};
