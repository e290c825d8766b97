//! Which fields may come behind a body.

use http::HeaderName;
use http::header as h;

/// Whether a field may stand in a trailer section.
///
/// RFC 9110 section 6.5.1 keeps out what is needed before the body: message framing, routing, request modifiers,
/// authentication, response control data, and how to process the content. Such fields are not sent, and are dropped when they
/// come: merged or acted upon, they would let a peer change a message that has been checked already.
///
/// Differs from Go: Go hands up all trailers and only refuses to announce `Content-Length`, `Transfer-Encoding` and `Trailer`.
///
/// # Examples
///
/// ```
/// use http::{HeaderName, header::CONTENT_LENGTH};
/// use roundtrip_h1::is_trailer_allowed;
///
/// assert!(is_trailer_allowed(&HeaderName::from_static("x-checksum")));
/// assert!(!is_trailer_allowed(&CONTENT_LENGTH));
/// ```
#[must_use]
pub fn is_trailer_allowed(name: &HeaderName) -> bool {
    !(FORBIDDEN.contains(name) || name == "keep-alive" || name == "proxy-connection")
}

static FORBIDDEN: [HeaderName; 38] = [
    // message framing and the connection
    h::CONTENT_LENGTH,
    h::TRANSFER_ENCODING,
    h::TRAILER,
    h::TE,
    h::CONNECTION,
    h::UPGRADE,
    // routing
    h::HOST,
    h::FORWARDED,
    h::MAX_FORWARDS,
    // request modifiers
    h::EXPECT,
    h::RANGE,
    h::CACHE_CONTROL,
    h::PRAGMA,
    h::IF_MATCH,
    h::IF_NONE_MATCH,
    h::IF_MODIFIED_SINCE,
    h::IF_UNMODIFIED_SINCE,
    h::IF_RANGE,
    h::ACCEPT_ENCODING,
    // authentication and state
    h::AUTHORIZATION,
    h::PROXY_AUTHORIZATION,
    h::WWW_AUTHENTICATE,
    h::PROXY_AUTHENTICATE,
    h::COOKIE,
    h::SET_COOKIE,
    // response control data
    h::AGE,
    h::DATE,
    h::EXPIRES,
    h::LOCATION,
    h::RETRY_AFTER,
    h::VARY,
    h::WARNING,
    h::STRICT_TRANSPORT_SECURITY,
    // how to process the content
    h::CONTENT_ENCODING,
    h::CONTENT_TYPE,
    h::CONTENT_RANGE,
    h::CONTENT_LOCATION,
    h::CONTENT_DISPOSITION,
];
