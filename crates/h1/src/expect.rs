//! What a request expects before its body (RFC 9110 section 10.1.1).

use http::header::EXPECT;
use http::{HeaderMap, Version};

use crate::syntax::list;

/// What the `Expect` field of a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expectation {
    /// Nothing, or nothing that counts: HTTP/1.0 does not have the field.
    None,
    /// The client waits for a 100 before it sends the body.
    Continue,
    /// Something that no server knows; a server may answer 417.
    Unknown,
}

impl Expectation {
    /// Reads the expectation from a request's fields. Several members of a list count as unknown unless all are
    /// `100-continue`; an empty list is none.
    ///
    /// Differs from Go: Go looks for the token in the first field line only and ignores what stands beside it.
    #[must_use]
    pub fn from_headers(version: Version, headers: &HeaderMap) -> Self {
        // RFC 9110 section 10.1.1: a server MUST ignore 100-continue in a request of HTTP/1.0.
        if version < Version::HTTP_11 {
            return Expectation::None;
        }
        let mut expectation = Expectation::None;
        for value in headers.get_all(EXPECT) {
            for member in list(value.as_bytes()) {
                if !member.eq_ignore_ascii_case(b"100-continue") {
                    return Expectation::Unknown;
                }
                expectation = Expectation::Continue;
            }
        }
        expectation
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn expectations() {
        for (version, value, want) in [
            (Version::HTTP_11, "100-Continue", Expectation::Continue),
            (Version::HTTP_11, "100-continue, 100-continue", Expectation::Continue),
            (Version::HTTP_11, "100-continue, foo", Expectation::Unknown),
            (Version::HTTP_11, "nonsense", Expectation::Unknown),
            (Version::HTTP_11, "", Expectation::None),
            (Version::HTTP_10, "100-continue", Expectation::None),
        ] {
            let headers = HeaderMap::from_iter([(EXPECT, HeaderValue::from_static(value))]);
            assert_eq!(Expectation::from_headers(version, &headers), want, "{value}");
        }
    }
}
