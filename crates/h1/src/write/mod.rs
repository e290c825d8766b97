//! Encoding: heads, chunks and bodies.
//!
//! Heads are appended to a `Vec<u8>` that the caller reuses; with room in it, nothing is allocated. A small body can be
//! appended behind its head with [`BodyEncoder::encode`], so that both leave in one write; for a larger one
//! [`BodyEncoder::frame`] gives the few bytes before and behind the data, for a vectored write without a copy.

mod body;
mod chunk;
mod error;
mod request;
mod response;

pub use body::{BodyEncoder, Frame};
pub use chunk::{CHUNK_END, ChunkHead, LAST_CHUNK, encode_chunk_head, encode_last_chunk};
pub use error::EncodeError;
pub use request::encode_request_head;
pub use response::{encode_response_head, outgoing_response_framing};

use http::HeaderMap;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};

/// Writes `name: value CRLF`. What the types let through cannot break the line (RFC 9110 sections 5.1 and 5.5).
#[inline]
fn field(dst: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    dst.extend_from_slice(name);
    dst.extend_from_slice(b": ");
    dst.extend_from_slice(value);
    dst.extend_from_slice(b"\r\n");
}

/// Writes the caller's fields in the map's order, without those that frame or route the message: these are written from what
/// is known, never copied.
fn fields(dst: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        if *name != HOST && *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING {
            field(dst, name.as_str().as_bytes(), value.as_bytes());
        }
    }
}

fn content_length(dst: &mut Vec<u8>, length: u64) {
    dst.extend_from_slice(b"content-length: ");
    dst.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    dst.extend_from_slice(b"\r\n");
}

const CHUNKED: &[u8] = b"transfer-encoding: chunked\r\n";
