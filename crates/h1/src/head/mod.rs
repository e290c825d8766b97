//! Message heads: the start line and the fields, parsed from a growing buffer.

mod error;
mod host;
mod parser;
mod request;
mod response;
mod target;
mod version;

use std::ops::Range;

use bytes::{Buf, Bytes};

pub use error::HeadError;
pub use host::is_host;
pub use request::{RequestHead, RequestParser};
pub use response::{ResponseHead, ResponseParser};

/// `block.slice(range)` out of the block itself, without counting a reference up and another one down.
fn narrowed(mut block: Bytes, range: Range<usize>) -> Bytes {
    if range.is_empty() {
        return Bytes::new(); // and let go of the block
    }
    block.truncate(range.end);
    block.advance(range.start);
    block
}
