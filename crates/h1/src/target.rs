//! The four forms of a request target.

/// What the request line names, in one of the four forms of RFC 9112 section 3.2.
///
/// **Shape**: the text goes onto the wire as it is, after a check that every byte is visible ASCII; bytes above it are
/// percent-encoded. Nothing is normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestTarget<'a> {
    /// `/path?query`, for a request to the server itself (section 3.2.1). Text that does not begin with a slash gets one, so
    /// that an empty path is `/`.
    Origin(&'a str),
    /// `http://host/path?query`, for a request to a proxy (section 3.2.2).
    Absolute(&'a str),
    /// `host:port`, for `CONNECT` only (section 3.2.3).
    Authority(&'a str),
    /// `*`, for `OPTIONS` on the server as a whole (section 3.2.4).
    Asterisk,
}
