//! URLs of proxies, read as Go reads them.
//!
//! Environment variables that work for Go programs work here, and those that Go takes for nonsense are nonsense here. This is
//! the subset of `net/url` that matters for that: whether a text is a URL, its scheme, credentials, host and port, and how it is
//! written again.

use std::fmt;

/// A URL of a proxy. A scheme and a host need not be there; see [`Proxy`](super::Proxy) for what is usable.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProxyUrl {
    /// In lower case.
    scheme: String,
    /// `scheme:something` without a slash. No proxy has it.
    opaque: bool,
    /// A URL only because `http://` was put in front of what looks like one with a scheme: `http://http:/px.test`.
    doubled: bool,
    user_info: Option<(String, Option<String>)>,
    /// Host and port, escapes undone. Bytes, since escapes may stand for any.
    host: Vec<u8>,
    /// Path, query and fragment as they are written again.
    rest: String,
}

/// Which characters of a part stand for themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    User,
    Host,
    Zone,
    Path,
    Fragment,
}

impl ProxyUrl {
    /// The URL that `text` is, or else the one that it is behind `http://`. `None` if neither is one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let plain = ProxyUrl::parse_exactly(text);
        if plain.as_ref().is_some_and(|url| !url.scheme.is_empty() && !url.host.is_empty()) {
            return plain;
        }
        let mut repaired = ProxyUrl::parse_exactly(&format!("http://{text}"));
        if let Some(url) = &mut repaired {
            let scheme = split_scheme(text).map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
            url.doubled = text.contains("://") || matches!(&*scheme, "http" | "https" | "socks5" | "socks5h");
        }
        repaired.or(plain)
    }

    fn parse_exactly(text: &str) -> Option<Self> {
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return None;
        }
        let (text, fragment) = match text.split_once('#') {
            Some((text, fragment)) => (text, Some(fragment)),
            None => (text, None),
        };
        let fragment = match fragment {
            Some(fragment) if !fragment.is_empty() => format!("#{}", rewritten(fragment, Part::Fragment)?),
            _ => String::new(),
        };
        let none = |rest| ProxyUrl {
            scheme: String::new(),
            opaque: false,
            doubled: false,
            user_info: None,
            host: Vec::new(),
            rest,
        };
        if text == "*" {
            return Some(none(format!("*{fragment}")));
        }
        let (scheme, hierarchy) = split_scheme(text)?;
        let (hierarchy, query) = match hierarchy.split_once('?') {
            Some((hierarchy, query)) => (hierarchy, format!("?{query}")),
            None => (hierarchy, String::new()),
        };
        let scheme = scheme.to_ascii_lowercase();
        if !hierarchy.starts_with('/') {
            if !scheme.is_empty() {
                let rest = format!("{hierarchy}{query}{fragment}");
                return Some(ProxyUrl { scheme, opaque: true, ..none(rest) });
            }
            if hierarchy.split('/').next().is_some_and(|first| first.contains(':')) {
                // "a:b" without a scheme could be taken for one.
                return None;
            }
        }
        let has_authority = hierarchy.starts_with("//") && (!scheme.is_empty() || !hierarchy.starts_with("///"));
        let (authority, path) = if has_authority {
            let behind = &hierarchy[2..];
            behind.split_at(behind.find('/').unwrap_or(behind.len()))
        } else {
            ("", hierarchy)
        };
        let (user_info, host) = split_authority(authority)?;
        let rest = format!("{}{query}{fragment}", rewritten(path, Part::Path)?);
        Some(ProxyUrl { scheme, opaque: false, doubled: false, user_info, host, rest })
    }

    /// Whether the text is a URL that lost its way, and was never meant as a host that is called `http`.
    pub(super) fn is_doubled(&self) -> bool {
        self.doubled
    }

    pub(super) fn scheme(&self) -> &str {
        &self.scheme
    }

    /// User and password as they stand in the URL, escaped.
    pub(super) fn user_info(&self) -> Option<(&str, Option<&str>)> {
        self.user_info.as_ref().map(|(user, password)| (user.as_str(), password.as_deref()))
    }

    /// The host, brackets gone, and the port if there is one. `None` if the port is no number up to 65535.
    pub(super) fn host_and_port(&self) -> Option<(String, Option<u16>)> {
        let text = String::from_utf8_lossy(&self.host);
        let (host, port) = match text.rfind(':').filter(|colon| !text[*colon..].contains(']')) {
            Some(colon) => (&text[..colon], &text[colon + 1..]),
            None => (&*text, ""),
        };
        let port = if port.is_empty() { None } else { Some(port.parse().ok()?) };
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        Some((bare.to_owned(), port))
    }
}

/// The canonical spelling, credentials included.
impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.scheme.is_empty() {
            write!(f, "{}:", self.scheme)?;
        }
        if !self.opaque && (!self.host.is_empty() || self.user_info.is_some()) {
            f.write_str("//")?;
            if let Some((user, password)) = &self.user_info {
                let again = |text| rewritten_always(text, Part::User);
                f.write_str(&again(user))?;
                if let Some(password) = password {
                    write!(f, ":{}", again(password))?;
                }
                f.write_str("@")?;
            }
            f.write_str(&escape(&self.host, Part::Host))?;
        }
        f.write_str(&self.rest)
    }
}

/// Scheme and what is behind its colon; an empty scheme if there is none. `None` if the text begins with a colon.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' => return (at > 0).then(|| (&text[..at], &text[at + 1..])),
            _ => break,
        }
    }
    Some(("", text))
}

type UserInfo = (String, Option<String>);

fn split_authority(authority: &str) -> Option<(Option<UserInfo>, Vec<u8>)> {
    let Some((user_info, host)) = authority.rsplit_once('@') else { return Some((None, parse_host(authority)?)) };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
    if !user_info.bytes().all(allowed) {
        return None;
    }
    let (user, password) = match user_info.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (user_info, None),
    };
    for part in [Some(user), password].into_iter().flatten() {
        unescape(part, Part::User)?;
    }
    Some((Some((user.to_owned(), password.map(str::to_owned))), parse_host(host)?))
}

/// Host and port. A name has at most one colon; an IPv6 address stands in brackets, perhaps with a zone (RFC 6874).
fn parse_host(text: &str) -> Option<Vec<u8>> {
    if let Some(open) = text.rfind('[') {
        if open > 0 {
            return None;
        }
        let close = text.rfind(']')?;
        let port = &text[close + 1..];
        if !is_port(port) {
            return None;
        }
        let (address, zone) = match text[..close].find("%25") {
            Some(at) => text[..close].split_at(at),
            None => (&text[..close], ""),
        };
        if address[1..].parse::<std::net::Ipv6Addr>().is_err() {
            return None;
        }
        let mut host = unescape(address, Part::Host)?;
        host.extend(unescape(zone, Part::Zone)?);
        host.extend(unescape(&text[close..], Part::Host)?);
        return Some(host);
    }
    if let Some(colon) = text.find(':')
        && !is_port(&text[colon..])
    {
        return None;
    }
    unescape(text, Part::Host)
}

/// Nothing, or a colon with digits behind it or nothing.
fn is_port(text: &str) -> bool {
    match text.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => text.is_empty(),
    }
}

/// Undoes percent-escapes; `None` if one is broken or something stands there that must not.
fn unescape(text: &str, part: Part) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte != b'%' {
            if matches!(part, Part::Host | Part::Zone) && byte < 0x80 && must_escape(byte, part) {
                return None;
            }
            out.push(byte);
            at += 1;
            continue;
        }
        let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
        let (high, low) = (digit(at + 1)?, digit(at + 2)?);
        let value = u8::try_from(high * 16 + low).ok()?;
        let is_percent = value == b'%';
        // In a host an escape may stand for a byte beyond ASCII only (RFC 3986, section 3.2.2), in a zone for little more.
        if part == Part::Host && high < 8 && !is_percent {
            return None;
        }
        if part == Part::Zone && !is_percent && value != b' ' && must_escape(value, Part::Host) {
            return None;
        }
        out.push(value);
        at += 3;
    }
    Some(out)
}

/// A part as it is written again: as it came if nothing in it needs escaping, else unescaped and escaped anew.
fn rewritten(text: &str, part: Part) -> Option<String> {
    let plain = unescape(text, part)?;
    let stands = |byte: u8| b"!$&'()*+,;=:@[]%".contains(&byte) || !must_escape(byte, part);
    if text.bytes().all(stands) {
        return Some(text.to_owned());
    }
    Some(escape(&plain, part))
}

fn rewritten_always(text: &str, part: Part) -> String {
    unescape(text, part).map_or_else(|| text.to_owned(), |plain| escape(&plain, part))
}

fn escape(bytes: &[u8], part: Part) -> String {
    use fmt::Write as _;

    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        if must_escape(*byte, part) {
            // Writing into a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        } else {
            out.push(char::from(*byte));
        }
    }
    out
}

/// Go's `shouldEscape`.
fn must_escape(byte: u8, part: Part) -> bool {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        return false;
    }
    match part {
        Part::Host | Part::Zone => !b"!$&'()*+,;=:[]<>\"".contains(&byte),
        Part::User => !b"$&+,;=".contains(&byte),
        Part::Path => !b"$&+,/:;=@".contains(&byte),
        Part::Fragment => !b"$&+,/:;=?@!()*".contains(&byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_written_again_in_one_spelling() {
        for (text, want) in [
            ("HTTP://PX.test", "http://PX.test"),
            ("px.test:80", "http://px.test:80"),
            ("http://u%40x:p%3A@px.test", "http://u%40x:p%3A@px.test"),
            ("http://a!b@px.test", "http://a%21b@px.test"),
            ("http://px.test/a b?c d#e f", "http://px.test/a%20b?c d#e%20f"),
            ("http://b\u{fc}cher.test", "http://b%C3%BCcher.test"),
            ("http://[fe80::1%25eth0]:1", "http://[fe80::1%25eth0]:1"),
            ("http:px.test", "http:px.test"),
            ("px.test:port", "px.test:port"),
        ] {
            assert_eq!(ProxyUrl::parse(text).map(|url| url.to_string()).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_at_all_is_none() {
        for text in
            ["::1", "%zz", "http://%zz/", " http://px.test", "a\nb", "http://[::1", "http://[x]", "http://a:1:2"]
        {
            // Some of them are one behind "http://", as `http://a:1:2` is a host `http` with a path.
            let found = ProxyUrl::parse_exactly(text);
            assert_eq!(found, None, "{text}");
        }
    }

    #[test]
    fn host_and_port_are_found() {
        for (text, host, port) in [
            ("http://px.test", "px.test", None),
            ("http://px.test:", "px.test", None),
            ("http://px.test:81", "px.test", Some(81)),
            ("http://[::1]:81", "::1", Some(81)),
            ("http://[::1]", "::1", None),
        ] {
            let url = ProxyUrl::parse(text).unwrap();
            assert_eq!(url.host_and_port(), Some((host.to_owned(), port)), "{text}");
        }
        assert_eq!(ProxyUrl::parse("http://px.test:65536").unwrap().host_and_port(), None);
    }
}
