//! The protocol version in a start line.

use http::Version;

/// What eight bytes say about the version.
pub(crate) enum Parsed {
    Supported(Version),
    /// Well formed, but of another major version.
    Other,
    Malformed,
}

/// Reads `HTTP/` DIGIT `.` DIGIT: case-sensitive, exactly one digit each (RFC 9112 section 2.3).
///
/// A minor version above 1 is served as 1.1 (RFC 9110 section 2.5).
pub(crate) fn parse(text: &[u8]) -> Parsed {
    // One comparison of eight bytes, where patterns are compared byte by byte.
    if text == b"HTTP/1.1" {
        return Parsed::Supported(Version::HTTP_11);
    }
    match text {
        b"HTTP/1.0" => Parsed::Supported(Version::HTTP_10),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => Parsed::Supported(Version::HTTP_11),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Parsed::Other,
        _ => Parsed::Malformed,
    }
}
