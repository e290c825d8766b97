//! Message heads: the start line and the fields, parsed from a growing buffer.

mod error;
mod host;
mod parser;
mod request;
mod response;
mod target;
mod version;

pub use error::HeadError;
pub use host::is_host;
pub use request::{RequestHead, RequestParser};
pub use response::{ResponseHead, ResponseParser};
