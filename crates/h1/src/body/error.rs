//! What can be wrong with a body.

use std::fmt;

use crate::excerpt::Excerpt;
use crate::fields::FieldError;

/// Why a body could not be read to its end. The connection cannot be used any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The peer closed before the body was complete (RFC 9112 section 8).
    Truncated {
        /// How many bytes of data were still to come, if known.
        missing: Option<u64>,
    },
    /// A chunk does not begin with a size in one to sixteen hexadecimal digits (RFC 9112 section 7.1).
    ChunkSize(Excerpt),
    /// A chunk extension is malformed (RFC 9112 section 7.1.1).
    ChunkExtension(Excerpt),
    /// A chunk's data is not followed by CRLF: it is longer than its size, or the size is wrong.
    ChunkEnd(Excerpt),
    /// A size line passes [`DecoderLimits::max_chunk_line`](crate::DecoderLimits::max_chunk_line).
    ChunkLineTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The body passes [`DecoderLimits::max_chunk_excess`](crate::DecoderLimits::max_chunk_excess).
    ChunkExcess {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The trailer section passes [`DecoderLimits::max_trailer_bytes`](crate::DecoderLimits::max_trailer_bytes).
    TrailersTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The trailer section passes [`DecoderLimits::max_trailer_fields`](crate::DecoderLimits::max_trailer_fields).
    TooManyTrailers {
        /// The limit, in fields.
        limit: usize,
    },
    /// A trailer field is malformed.
    Trailer(FieldError),
}

impl DecodeError {
    /// Whether the body was cut short, rather than wrong.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        matches!(self, DecodeError::Truncated { .. })
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Truncated { missing: Some(missing) } => {
                write!(f, "body cut off {missing} bytes before its end")
            }
            DecodeError::Truncated { missing: None } => f.write_str("body cut off before its last chunk"),
            DecodeError::ChunkSize(line) => write!(f, "invalid chunk size: {line}"),
            DecodeError::ChunkExtension(line) => write!(f, "invalid chunk extension: {line}"),
            DecodeError::ChunkEnd(found) => write!(f, "chunk data followed by {found} instead of a line end"),
            DecodeError::ChunkLineTooLong { limit } => {
                write!(f, "chunk size line is longer than the limit of {limit} bytes")
            }
            DecodeError::ChunkExcess { limit } => {
                write!(f, "chunk extensions are larger than the limit of {limit} bytes beyond the data")
            }
            DecodeError::TrailersTooLarge { limit } => {
                write!(f, "trailer section is larger than the limit of {limit} bytes")
            }
            DecodeError::TooManyTrailers { limit } => {
                write!(f, "trailer section has more than the limit of {limit} fields")
            }
            DecodeError::Trailer(error) => write!(f, "malformed trailer: {error}"),
        }
    }
}

impl std::error::Error for DecodeError {}
