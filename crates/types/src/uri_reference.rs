//! A URI reference taken apart, as Go's `url.Parse` does it.

use std::fmt;
use std::net::Ipv6Addr;

/// A URI reference in its parts: `scheme`, `user@host:port`, path, query and fragment (RFC 3986, section 4.1).
///
/// **Shape**: borrows the text; nothing is decoded. Reads what stands in a `Location` or an `Origin` field, which is looser than
/// a request's URI: a scheme or a host may be missing, and bytes that are not ASCII are taken as they are. An authority with
/// nothing in it, as in `file:///x`, is an empty [`host`](Self::host).
///
/// **Source**: Go's `url.Parse`; it is as strict and as loose, so that a text means here what it means there.
///
/// # Examples
/// ```
/// # use roundtrip_types::UriReference;
/// let parts = UriReference::parse("//cdn.test:8443/a/b?q=1#top")?;
/// assert_eq!((parts.scheme(), parts.host(), parts.path()), ("", "cdn.test:8443", "/a/b"));
/// assert_eq!((parts.query(), parts.fragment()), (Some("q=1"), Some("top")));
/// assert!(UriReference::parse("http://a b/").is_err());
/// # Ok::<_, roundtrip_types::UriReferenceError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UriReference<'a> {
    scheme: &'a str,
    opaque: Option<&'a str>,
    user: Option<&'a str>,
    host: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

/// Why a text is no URI reference. Lower case, without the text itself, which the caller knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UriReferenceError {
    /// It holds a control character.
    ControlCharacter,
    /// It begins with a colon: the scheme in front is missing.
    MissingScheme,
    /// The first segment of a path without scheme holds a colon, so that it would read as a scheme.
    ColonInFirstSegment,
    /// A `%` without two hexadecimal digits behind it, or one in a host that escapes an ASCII character.
    InvalidEscape,
    /// User information with characters that have no place there.
    InvalidUserInfo,
    /// A host with characters that no host has.
    InvalidHost,
    /// What follows the colon behind a host is no number.
    InvalidPort,
}

impl fmt::Display for UriReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UriReferenceError::ControlCharacter => "a control character",
            UriReferenceError::MissingScheme => "no scheme in front of the colon",
            UriReferenceError::ColonInFirstSegment => "a colon in the first segment of a path without scheme",
            UriReferenceError::InvalidEscape => "an invalid percent escape",
            UriReferenceError::InvalidUserInfo => "invalid user information",
            UriReferenceError::InvalidHost => "an invalid host",
            UriReferenceError::InvalidPort => "an invalid port",
        })
    }
}

impl std::error::Error for UriReferenceError {}

impl<'a> UriReference<'a> {
    /// Takes `text` apart.
    ///
    /// # Errors
    /// It is no URI reference; the variant says where.
    pub fn parse(text: &'a str) -> Result<Self, UriReferenceError> {
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(UriReferenceError::ControlCharacter);
        }
        let (text, fragment) = cut(text, '#');
        check_escapes(fragment.unwrap_or_default())?;
        let (scheme, rest) = split_scheme(text)?;
        let (rest, query) = cut(rest, '?');
        let mut parts = UriReference { scheme, opaque: None, user: None, host: "", path: "", query, fragment };
        let path = if let Some(rooted) = rest.strip_prefix("//").filter(|_| has_authority(scheme, rest)) {
            let (authority, path) = rooted.split_at(rooted.find('/').unwrap_or(rooted.len()));
            (parts.user, parts.host) = split_authority(authority)?;
            path
        } else if rest.starts_with('/') {
            rest
        } else if scheme.is_empty() {
            if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
                return Err(UriReferenceError::ColonInFirstSegment);
            }
            rest
        } else {
            parts.opaque = Some(rest);
            return Ok(parts);
        };
        check_escapes(path)?;
        parts.path = path;
        Ok(parts)
    }

    /// The scheme as it is written, without its colon; empty if there is none.
    #[must_use]
    pub fn scheme(&self) -> &'a str {
        self.scheme
    }

    /// What follows the scheme of a URI without hierarchy, such as `me@far.test` of `mailto:me@far.test`.
    #[must_use]
    pub fn opaque(&self) -> Option<&'a str> {
        self.opaque
    }

    /// The user information in front of an `@`, still escaped.
    #[must_use]
    pub fn user_info(&self) -> Option<&'a str> {
        self.user
    }

    /// Host and port as they are written, `[::1]:80` with its brackets; empty if there are none.
    #[must_use]
    pub fn host(&self) -> &'a str {
        self.host
    }

    /// The path, still escaped; empty, or beginning with a slash if there is a host.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// The query behind the `?`, still escaped. `Some("")` for a `?` with nothing behind it.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// The fragment behind the `#`, still escaped.
    #[must_use]
    pub fn fragment(&self) -> Option<&'a str> {
        self.fragment
    }

    /// Whether it names neither a scheme nor a host, and so is a place relative to the request's own URI.
    #[must_use]
    pub fn is_relative(&self) -> bool {
        self.scheme.is_empty() && self.host.is_empty()
    }
}

/// Whether what begins with `//` is an authority. Three slashes without a scheme are a path, as Go has it.
fn has_authority(scheme: &str, rest: &str) -> bool {
    !scheme.is_empty() || !rest.starts_with("///")
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

/// RFC 3986, section 3.1: a letter, then letters, digits, `+`, `-` and `.`, then a colon.
fn split_scheme(text: &str) -> Result<(&str, &str), UriReferenceError> {
    let end = text.bytes().position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')));
    match end {
        Some(0) if text.starts_with(':') => Err(UriReferenceError::MissingScheme),
        Some(end) if text.as_bytes()[end] == b':' && text.as_bytes()[0].is_ascii_alphabetic() => {
            Ok((&text[..end], &text[end + 1..]))
        }
        _ => Ok(("", text)),
    }
}

/// User information and host.
fn split_authority(authority: &str) -> Result<(Option<&str>, &str), UriReferenceError> {
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    check_host(host)?;
    if let Some(user) = user {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
        if !user.bytes().all(fits) {
            return Err(UriReferenceError::InvalidUserInfo);
        }
        check_escapes(user)?;
    }
    Ok((user, host))
}

/// A name or an address in brackets, and a port. Go takes more than RFC 3986 does: an empty port, and names that are not ASCII.
fn check_host(host: &str) -> Result<(), UriReferenceError> {
    let (name, after) = if host.starts_with('[') {
        let end = host.rfind(']').ok_or(UriReferenceError::InvalidHost)?;
        // The zone of an address may hold any escape.
        let zone = host[..end].find("%25").unwrap_or(end);
        check_escapes(&host[zone..end])?;
        if zone + "%25".len() == end || host[1..zone].parse::<Ipv6Addr>().is_err() {
            return Err(UriReferenceError::InvalidHost);
        }
        (&host[..zone], &host[end + 1..])
    } else {
        host.split_at(host.find(':').unwrap_or(host.len()))
    };
    match after.strip_prefix(':') {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {}
        None if after.is_empty() => {}
        _ => return Err(UriReferenceError::InvalidPort),
    }
    check_escapes(name)?;
    // In a name only bytes that are not ASCII may be escaped.
    let ascii_escape = |(at, _): (usize, &str)| name.as_bytes()[at + 1] < b'8' && name[at..].get(..3) != Some("%25");
    if name.match_indices('%').any(ascii_escape) {
        return Err(UriReferenceError::InvalidEscape);
    }
    let fits = |byte: u8| byte >= 0x80 || byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"%".contains(&byte);
    if name.bytes().all(fits) { Ok(()) } else { Err(UriReferenceError::InvalidHost) }
}

fn check_escapes(text: &str) -> Result<(), UriReferenceError> {
    let digit = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_hexdigit);
    let sound = text.match_indices('%').all(|(at, _)| digit(at + 1) && digit(at + 2));
    if sound { Ok(()) } else { Err(UriReferenceError::InvalidEscape) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_apart() {
        for (text, scheme, host, path) in [
            ("", "", "", ""),
            ("a/b", "", "", "a/b"),
            ("https://u:p@h.test:1/a?b#c", "https", "h.test:1", "/a"),
            ("https://[::1%25en0]:80", "https", "[::1%25en0]:80", ""),
            ("///x", "", "", "///x"),
            ("file:///x", "file", "", "/x"),
            ("//@/x", "", "", "/x"),
            ("http:/x", "http", "", "/x"),
            ("https://a.test,https://b.test", "https", "a.test,https:", "//b.test"),
            ("https://é.test", "https", "é.test", ""),
            ("1a/b", "", "", "1a/b"),
        ] {
            let parts = UriReference::parse(text).unwrap();
            assert_eq!((parts.scheme(), parts.host(), parts.path()), (scheme, host, path), "{text}");
        }
        assert_eq!(UriReference::parse("mailto:me@far.test").unwrap().opaque(), Some("me@far.test"));
    }

    #[test]
    fn what_is_none_says_where() {
        use UriReferenceError::*;
        for (text, error) in [
            ("a\nb", ControlCharacter),
            (":x", MissingScheme),
            ("1a:b", ColonInFirstSegment),
            ("/%zz", InvalidEscape),
            ("/x#%z", InvalidEscape),
            ("https://%41", InvalidEscape),
            ("https://%zz", InvalidEscape),
            ("https://[::1", InvalidHost),
            ("https://a b", InvalidHost),
            ("https://a\\b", InvalidHost),
            ("https://a:port", InvalidPort),
            ("https://[::1]x", InvalidPort),
            ("https://a:80:80", InvalidPort),
            ("https://[a.test]", InvalidHost),
            ("https://[127.0.0.1]", InvalidHost),
            ("https://[fe80::1%25]", InvalidHost),
            ("https://é@h", InvalidUserInfo),
        ] {
            assert_eq!(UriReference::parse(text), Err(error), "{text:?}");
        }
    }
}
