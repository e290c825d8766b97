//! What can be wrong with a head.

use std::fmt;

use http::StatusCode;

use crate::excerpt::Excerpt;
use crate::fields::FieldError;

/// Why a message head was refused. The connection cannot be used any further.
///
/// **Shape**: small and copied freely; each variant shows what came, cut to [`Excerpt::MAX`] bytes and escaped. How much of a
/// line is shown may depend on how much of it had arrived; which variant it is does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
    /// The head does not end within [`Limits::max_head_bytes`](crate::Limits::max_head_bytes).
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The head has more field lines than [`Limits::max_fields`](crate::Limits::max_fields).
    TooManyFields {
        /// The limit, in lines.
        limit: usize,
    },
    /// What came does not begin as an HTTP/1 response does.
    NotHttp(Excerpt),
    /// The method is empty or holds a byte that no token may hold (RFC 9110 section 9.1).
    Method(Excerpt),
    /// The request line is not `method SP target SP HTTP/x.y` (RFC 9112 section 3).
    RequestLine(Excerpt),
    /// The request target is malformed, or in a form that does not suit the method (RFC 9112 section 3.2).
    Target(Excerpt),
    /// The request target is longer than a [`Uri`](http::Uri) can be.
    TargetTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The request has no `Host` field (RFC 9112 section 3.2).
    MissingHost,
    /// The request has a second `Host` field.
    RepeatedHost(Excerpt),
    /// The value of `Host` is not a host with an optional port.
    Host(Excerpt),
    /// The status line is not `HTTP/x.y SP 3DIGIT SP [reason]` (RFC 9112 section 4).
    StatusLine(Excerpt),
    /// The message is of a major version other than 1 (RFC 9110 section 2.5).
    Version(Excerpt),
    /// A field line is malformed.
    Field(FieldError),
    /// The peer closed before the head was complete (RFC 9112 section 8).
    Truncated {
        /// How many bytes of it had come.
        received: usize,
    },
}

impl HeadError {
    /// Whether the message was refused for its size alone.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(
            self,
            HeadError::TooLarge { .. } | HeadError::TooManyFields { .. } | HeadError::Field(FieldError::TooMany)
        )
    }

    /// The status with which a server answers such a request before it closes.
    ///
    /// 431 for heads that are too large, 414 for long targets, 505 for other versions, and 400 for everything else.
    #[must_use]
    pub fn response_status(&self) -> StatusCode {
        match self {
            HeadError::TooLarge { .. } | HeadError::TooManyFields { .. } | HeadError::Field(FieldError::TooMany) => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            HeadError::TargetTooLong { .. } => StatusCode::URI_TOO_LONG,
            HeadError::Version(_) => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            HeadError::NotHttp(_)
            | HeadError::Method(_)
            | HeadError::RequestLine(_)
            | HeadError::Target(_)
            | HeadError::MissingHost
            | HeadError::RepeatedHost(_)
            | HeadError::Host(_)
            | HeadError::StatusLine(_)
            | HeadError::Field(_)
            | HeadError::Truncated { .. } => StatusCode::BAD_REQUEST,
        }
    }

    /// Whether the message was cut short, rather than wrong.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        matches!(self, HeadError::Truncated { .. })
    }
}

impl From<FieldError> for HeadError {
    fn from(error: FieldError) -> Self {
        HeadError::Field(error)
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeadError::TooLarge { limit } => write!(f, "message head is larger than the limit of {limit} bytes"),
            HeadError::TooManyFields { limit } => write!(f, "message head has more than the limit of {limit} fields"),
            HeadError::NotHttp(begin) => write!(f, "not an HTTP/1 response: begins with {begin}"),
            HeadError::Method(method) => write!(f, "invalid method: {method}"),
            HeadError::RequestLine(line) => write!(f, "malformed request line: {line}"),
            HeadError::Target(target) => write!(f, "invalid request target: {target}"),
            HeadError::TargetTooLong { limit } => write!(f, "request target is longer than the limit of {limit} bytes"),
            HeadError::MissingHost => f.write_str("missing host field"),
            HeadError::RepeatedHost(second) => write!(f, "second host field: {second}"),
            HeadError::Host(host) => write!(f, "invalid host: {host}"),
            HeadError::StatusLine(line) => write!(f, "malformed status line: {line}"),
            HeadError::Version(version) => write!(f, "unsupported protocol version: {version}"),
            HeadError::Field(error) => error.fmt(f),
            HeadError::Truncated { received } => write!(f, "message head cut off after {received} bytes"),
        }
    }
}

impl std::error::Error for HeadError {}
