//! Whether a connection may carry another message, and for how long.

use std::time::Duration;

use http::{HeaderMap, HeaderName, Version};

use crate::facts::Facts;
use crate::framing::Framing;
use crate::syntax::{decimal, list};

/// Whether a connection may be used again after the message with this version, these fields and this framing.
///
/// Ask it for both messages of an exchange; the connection stays only if both allow it, both bodies came to their
/// [end](crate::Decoder::is_done) without an error, and nothing unasked follows. **Source**: RFC 9112 section 9.3.
///
/// For a head that was parsed here, [`ResponseHead::keep_alive`](crate::ResponseHead::keep_alive) and
/// [`RequestHead::keep_alive`](crate::RequestHead::keep_alive) say the same and cost less.
///
/// # Examples
///
/// ```
/// use http::{HeaderMap, HeaderValue, Version, header::CONNECTION};
/// use roundtrip_h1::{Framing, keep_alive};
///
/// let mut headers = HeaderMap::new();
/// assert!(keep_alive(Version::HTTP_11, &headers, Framing::Length(5)));
/// assert!(!keep_alive(Version::HTTP_10, &headers, Framing::Length(5)));
/// headers.insert(CONNECTION, HeaderValue::from_static("foo, close"));
/// assert!(!keep_alive(Version::HTTP_11, &headers, Framing::Length(5)));
/// ```
#[must_use]
pub fn keep_alive(version: Version, headers: &HeaderMap, framing: Framing) -> bool {
    Facts::of(headers).keeps_alive(version, framing)
}

/// What a peer says in the `Keep-Alive` field about how long it will keep an idle connection.
///
/// **Shape**: a hint and no promise; `None` where the peer said nothing or nothing that can be understood. The field is not in
/// the current RFCs; its two parameters are those of RFC 2068 section 19.7.1.1, as Apache and nginx send them:
/// `Keep-Alive: timeout=5, max=100`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepAliveHint {
    /// How long the peer keeps the connection while it is idle, in whole seconds.
    pub timeout: Option<Duration>,
    /// How many more requests the peer takes on this connection.
    pub max: Option<u64>,
}

impl KeepAliveHint {
    /// Reads the hint from a message's fields. Of repeated parameters the first counts.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
        let mut hint = KeepAliveHint::default();
        for value in headers.get_all(&KEEP_ALIVE) {
            for parameter in list(value.as_bytes()) {
                let Some(equals) = parameter.iter().position(|&b| b == b'=') else { continue };
                let (name, number) = (&parameter[..equals], decimal(&parameter[equals + 1..]));
                if name.eq_ignore_ascii_case(b"timeout") {
                    hint.timeout = hint.timeout.or(number.map(Duration::from_secs));
                } else if name.eq_ignore_ascii_case(b"max") {
                    hint.max = hint.max.or(number);
                }
            }
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::CONNECTION;

    use super::*;

    #[test]
    fn options_are_tokens_of_a_list_in_any_case() {
        let check = |version, value: &'static str| {
            let headers = HeaderMap::from_iter([(CONNECTION, HeaderValue::from_static(value))]);
            keep_alive(version, &headers, Framing::None)
        };
        assert!(check(Version::HTTP_11, "closed"));
        assert!(check(Version::HTTP_11, ""));
        assert!(!check(Version::HTTP_11, "keep-alive,CLOSE"));
        assert!(check(Version::HTTP_10, "x, Keep-Alive"));
        assert!(!check(Version::HTTP_10, "keep-alive, close"));
        assert!(!check(Version::HTTP_10, "upgrade"));
    }

    #[test]
    fn hints() {
        let hint = |value: &'static str| {
            let name = HeaderName::from_static("keep-alive");
            KeepAliveHint::from_headers(&HeaderMap::from_iter([(name, HeaderValue::from_static(value))]))
        };
        let want = KeepAliveHint { timeout: Some(Duration::from_secs(5)), max: Some(100) };
        assert_eq!(hint("timeout=5, max=100"), want);
        assert_eq!(hint("MAX=100,Timeout=5,timeout=7"), want);
        assert_eq!(hint("timeout=-5, max=x, 7, timeout"), KeepAliveHint::default());
    }
}
