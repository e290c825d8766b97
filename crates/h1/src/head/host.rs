//! The grammar of `Host` and of a target's authority.

use std::net::Ipv6Addr;

use crate::syntax::{all, decimal};

/// Whether `text` is `uri-host [ ":" port ]` without user information, as the `Host` field and an authority have it.
///
/// **Shape**: the host is a registered name (RFC 3986 section 3.2.2, so letters, digits, most punctuation, and bytes
/// percent-encoded), an IPv4 address, or an IPv6 address in brackets, without a zone. The port may be empty and is at most
/// 65535. The empty text is a host: RFC 9112 section 3.2 has it sent when the target has no authority.
///
/// Differs from Go: Go checks only that each byte may stand somewhere in a host.
///
/// # Examples
///
/// ```
/// use roundtrip_h1::is_host;
///
/// assert!(is_host(b"example.org:8080") && is_host(b"[::1]") && is_host(b""));
/// assert!(!is_host(b"a b") && !is_host(b"user@example.org") && !is_host(b"[::1") && !is_host(b"a:99999"));
/// ```
#[must_use]
pub fn is_host(text: &[u8]) -> bool {
    // The usual host is letters, digits, dots and hyphens, with or without a port. Read backwards, the port is found in a few
    // steps.
    let digits = text.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let (name, port) = match text[..text.len() - digits] {
        [ref name @ .., b':'] => (name, &text[text.len() - digits..]),
        _ => (text, &[][..]),
    };
    let is_usual = all(name, |b| (b | 0x20).is_ascii_lowercase() | matches!(b, b'-' | b'.' | b'0'..=b'9'));
    if is_usual { is_number_of_port(port) } else { is_unusual_host(text) }
}

/// [`is_port`] of digits alone.
fn is_number_of_port(digits: &[u8]) -> bool {
    match <[u8; 5]>::try_from(digits) {
        Ok(digits) => digits <= *b"65535",
        Err(_) => digits.len() < 5 || is_port(digits),
    }
}

fn is_unusual_host(text: &[u8]) -> bool {
    if let Some(literal) = text.strip_prefix(b"[") {
        let Some(close) = literal.iter().position(|&b| b == b']') else { return false };
        let (address, rest) = (&literal[..close], &literal[close + 1..]);
        let is_address = std::str::from_utf8(address).is_ok_and(|a| a.parse::<Ipv6Addr>().is_ok());
        return is_address && rest.strip_prefix(b":").map_or(rest.is_empty(), is_port);
    }
    match text.iter().position(|&b| b == b':') {
        Some(colon) => is_registered_name(&text[..colon]) && is_port(&text[colon + 1..]),
        None => is_registered_name(text),
    }
}

/// `*DIGIT`, and a number that fits 16 bits.
fn is_port(text: &[u8]) -> bool {
    text.is_empty() || decimal(text).is_some_and(|port| port <= u64::from(u16::MAX))
}

/// `*( unreserved / pct-encoded / sub-delims )`.
fn is_registered_name(mut text: &[u8]) -> bool {
    while let [first, rest @ ..] = text {
        text = match (first, rest) {
            (b'%', [a, b, rest @ ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => rest,
            (
                b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=',
                rest,
            ) => rest,
            (letter, rest) if letter.is_ascii_alphanumeric() => rest,
            _ => return false,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_hosts_are_no_different() {
        for name in [
            "",
            "a",
            "a.b-c.D9",
            "127.0.0.1",
            "localhost",
            "www.example.org",
            "long.name.of.many.example.org",
            "a_b",
            "%41",
        ] {
            for port in [
                "",
                ":",
                ":0",
                ":80",
                ":0080",
                ":65535",
                ":65536",
                ":99999999999999999999",
                ":8a",
                ":-1",
                ":80:80",
                "::",
            ] {
                for odd in ["", "/", "@", ":", " ", "%", "%4", "\0", "\u{e9}"] {
                    for text in
                        [format!("{name}{port}{odd}"), format!("{odd}{name}{port}"), format!("{name}{odd}{port}")]
                    {
                        assert_eq!(is_host(text.as_bytes()), is_unusual_host(text.as_bytes()), "{text:?}");
                    }
                }
            }
        }
    }
}
