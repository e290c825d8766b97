//! What cannot be written.

use std::fmt;

use crate::excerpt::Excerpt;
use crate::framing::Framing;

/// Why a message was not written. The caller is at fault; nothing of the refused part was put into the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The request target is empty or holds white space or a control byte.
    Target(Excerpt),
    /// The host holds white space or a control byte.
    Host(Excerpt),
    /// A message of this kind cannot be framed so.
    Framing(Framing),
    /// The body is longer than the length that was announced. The excess was not written; the connection may go on.
    BodyTooLong {
        /// How many bytes there were beyond the announced length.
        excess: u64,
    },
    /// The body ended before the length that was announced. The connection has to be closed, so that the peer notices.
    BodyTooShort {
        /// How many bytes were missing.
        missing: u64,
    },
    /// There are trailer fields, but only a chunked body can carry them.
    TrailersWithoutChunks,
    /// A field that may not stand in a trailer section; see [`is_trailer_allowed`](crate::is_trailer_allowed).
    Trailer(Excerpt),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::Target(target) => write!(f, "invalid request target: {target}"),
            EncodeError::Host(host) => write!(f, "invalid host: {host}"),
            EncodeError::Framing(framing) => write!(f, "a message of this kind cannot have the framing {framing:?}"),
            EncodeError::BodyTooLong { excess } => write!(f, "body is {excess} bytes longer than its content-length"),
            EncodeError::BodyTooShort { missing } => {
                write!(f, "body is {missing} bytes shorter than its content-length")
            }
            EncodeError::TrailersWithoutChunks => f.write_str("trailers on a body that is not chunked"),
            EncodeError::Trailer(name) => write!(f, "field {name} may not be a trailer"),
        }
    }
}

impl std::error::Error for EncodeError {}
