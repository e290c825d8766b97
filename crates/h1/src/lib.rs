//! HTTP/1.1 message framing as plain values: bytes in, heads and body data out; heads and lengths in, bytes out.
#![forbid(unsafe_code)]

pub mod body;
mod excerpt;
mod expect;
mod fields;
mod framing;
mod head;
mod leniency;
mod limits;
mod persistence;
mod syntax;
mod target;
pub mod write;

pub use body::{DecodeError, Decoded, Decoder, DecoderLimits};
pub use excerpt::Excerpt;
pub use expect::Expectation;
pub use fields::{FieldError, is_trailer_allowed};
pub use framing::{Framing, FramingError, request_framing, response_framing};
pub use head::{HeadError, RequestHead, RequestParser, ResponseHead, ResponseParser, is_host};
pub use leniency::Leniency;
pub use limits::Limits;
pub use persistence::{KeepAliveHint, keep_alive};
pub use target::RequestTarget;
pub use write::EncodeError;
