//! The rules of requests that hyper leaves to its user, applied before a handler sees them.

use http::header::{EXPECT, HOST, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode, Uri, Version, request};

/// Why a request is refused: the status, and a line for whoever reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) StatusCode, pub(crate) &'static str);

/// Checks an HTTP/1 request and sets its `Host` to the target's if the target names one (RFC 9112, 3.2.2).
///
/// `OK` is no refusal but the general answer to `OPTIONS *`, given if `general_options`.
#[inline]
pub(crate) fn http1(
    head: &mut request::Parts,
    has_body: bool,
    length: Option<u64>,
    general_options: bool,
) -> Result<(), Refused> {
    let path = head.uri.path();
    if !escapes_are_whole(path.as_bytes()) {
        return Err(bad("a percent sign without its two digits in the target"));
    }
    // By far the most requests: a path, for a method that takes one.
    let has_authority = head.uri.authority().is_some();
    let is_plain = path.starts_with('/') && !has_authority && head.uri.scheme().is_none();
    if !is_plain || head.method == Method::CONNECT {
        target(&head.method, &head.uri)?;
    }
    let Telling { host, hosts, expects } = Telling::of(&head.headers);
    match host {
        Some(_) if hosts > 1 => return Err(bad("more than one Host")),
        Some(host) if is_host(host.as_bytes()) => {}
        Some(_) => return Err(bad("an invalid Host")),
        None if head.version == Version::HTTP_11 => return Err(bad("a request without Host")),
        None => {}
    }
    if has_body {
        if length.is_some_and(|length| length > MAX_LENGTH) {
            return Err(bad("Content-Length is beyond reason"));
        }
        if length.is_none() {
            transfer_encoding(&head.headers)?;
        }
    }
    if expects {
        expect(&head.headers)?;
    }
    if is_plain {
        return Ok(());
    }
    if has_authority {
        adopt_authority(head)?;
    } else if head.uri.path() == "*" && general_options {
        return Err(Refused(StatusCode::OK, ""));
    }
    Ok(())
}

/// The fields that every request is asked for.
struct Telling<'a> {
    host: Option<&'a HeaderValue>,
    hosts: usize,
    expects: bool,
}

impl<'a> Telling<'a> {
    #[inline]
    fn of(headers: &'a HeaderMap) -> Self {
        if headers.len() <= FEW {
            let mut telling = Telling { host: None, hosts: 0, expects: false };
            for (name, value) in headers {
                if *name == HOST {
                    telling.host = telling.host.or(Some(value));
                    telling.hosts += 1;
                }
                telling.expects |= *name == EXPECT;
            }
            return telling;
        }
        let hosts = headers.get_all(HOST).iter().take(2).count();
        Telling { host: headers.get(HOST), hosts, expects: headers.contains_key(EXPECT) }
    }
}

/// So many fields are looked through faster than two names are hashed (some 15 instructions for each against 60 for a name).
const FEW: usize = 6;

/// Checks what HTTP/2 leaves open: `:authority` and `Host` (RFC 9113, 8.3.1).
pub(crate) fn http2<B>(req: &mut http::Request<B>) -> Result<(), Refused> {
    let headers = req.headers();
    let mut hosts = headers.get_all(HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    if another.is_some() {
        return Err(bad("more than one Host"));
    }
    match (host, req.uri().authority()) {
        (Some(host), _) if !is_host(host.as_bytes()) => return Err(bad("an invalid Host")),
        (Some(host), Some(authority)) => {
            if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) {
                return Err(bad("Host and :authority differ"));
            }
        }
        (None, Some(authority)) => {
            if !is_host(authority.as_str().as_bytes()) {
                return Err(bad("an invalid :authority"));
            }
            if let Ok(value) = HeaderValue::from_str(authority.as_str()) {
                req.headers_mut().insert(HOST, value);
            }
        }
        (Some(_), None) => {}
        (None, None) => return Err(bad("neither Host nor :authority")),
    }
    expect(req.headers())
}

/// The largest length that a signed 64-bit number holds: beyond, two parties may count differently.
const MAX_LENGTH: u64 = i64::MAX as u64;

const fn bad(why: &'static str) -> Refused {
    Refused(StatusCode::BAD_REQUEST, why)
}

/// The four forms of a target, each with its methods (RFC 9112, 3.2).
fn target(method: &Method, uri: &Uri) -> Result<(), Refused> {
    let path = uri.path();
    match (uri.scheme_str(), uri.authority()) {
        (None, None) => match path.as_bytes().first() {
            Some(b'/') if *method != Method::CONNECT => Ok(()),
            Some(b'/') => Err(bad("CONNECT wants host:port")),
            _ if path == "*" => {
                if *method == Method::OPTIONS {
                    Ok(())
                } else {
                    Err(bad("only OPTIONS may ask for *"))
                }
            }
            _ => Err(bad("the target does not begin with a slash")),
        },
        (None, Some(authority)) => {
            if *method != Method::CONNECT {
                return Err(bad("the target does not begin with a slash"));
            }
            if authority.port_u16().is_none() || authority.as_str().contains('@') || authority.host().is_empty() {
                return Err(bad("CONNECT wants host:port"));
            }
            Ok(())
        }
        (Some(scheme), Some(authority)) => {
            if *method == Method::CONNECT {
                return Err(bad("CONNECT wants host:port"));
            }
            if scheme != "http" && scheme != "https" {
                return Err(bad("the target's scheme is neither http nor https"));
            }
            if authority.as_str().contains('@') {
                return Err(bad("the target carries user information"));
            }
            if !is_host(authority.as_str().as_bytes()) || authority.host().is_empty() {
                return Err(bad("the target's host is invalid"));
            }
            Ok(())
        }
        (Some(_), None) => Err(bad("the target names no host")),
    }
}

/// Whether this can stand as a host with an optional port (RFC 9110, 7.2; RFC 3986, 3.2.2), or is empty.
fn is_host(value: &[u8]) -> bool {
    let is_name = |byte: &u8| NAME_BYTES[usize::from(*byte)];
    // Four at a time, since this is asked of every request.
    let mut rest = value;
    while let Some((four, behind)) = rest.split_first_chunk::<4>()
        && is_name(&four[0]) & is_name(&four[1]) & is_name(&four[2]) & is_name(&four[3])
    {
        rest = behind;
    }
    while let [byte, behind @ ..] = rest {
        if !is_name(byte) {
            // A plain name and a port is all there is to most.
            return if *byte == b':' && rest.len() < value.len() { is_port(behind) } else { is_unusual_host(value) };
        }
        rest = behind;
    }
    true
}

#[cold]
fn is_unusual_host(value: &[u8]) -> bool {
    let is_name = |byte: &u8| NAME_BYTES[usize::from(*byte)] || *byte == b'%';
    match value {
        // An address in brackets is nothing but that.
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
            let (address, behind) = (&rest[..end], &rest[end + 1..]);
            address.iter().all(|byte| is_name(byte) || *byte == b':')
                && match behind {
                    [] => true,
                    [b':', digits @ ..] => is_port(digits),
                    _ => false,
                }
        }
        _ => {
            let name = value.iter().position(|byte| !is_name(byte)).unwrap_or(value.len());
            let port_ok = match &value[name..] {
                [] => true,
                [b':', digits @ ..] => is_port(digits),
                _ => false,
            };
            port_ok && escapes_are_whole(&value[..name])
        }
    }
}

/// A port number, which may be empty.
fn is_port(digits: &[u8]) -> bool {
    let mut port = 0_u32;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        // No more than ten times the largest port, so that the next digit does not overflow.
        if digit > 9 || port > u32::from(u16::MAX) {
            return false;
        }
        port = port * 10 + u32::from(digit);
    }
    port <= u32::from(u16::MAX)
}

/// Whether two hexadecimal digits follow each percent sign.
fn escapes_are_whole(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(percent) = rest.iter().position(|byte| *byte == b'%') {
        match rest.get(percent + 1..percent + 3) {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => rest = &rest[percent + 3..],
            _ => return false,
        }
    }
    true
}

/// RFC 3986's unreserved and sub-delims.
static NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let text = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=";
    let mut at = 0;
    while at < text.len() {
        table[text[at] as usize] = true;
        at += 1;
    }
    table
};

/// Chunked, once, and nothing else: other codings are not undone here, so the body would not be what it claims (RFC 9112, 6.1).
fn transfer_encoding(headers: &HeaderMap) -> Result<(), Refused> {
    let mut values = headers.get_all(TRANSFER_ENCODING).iter();
    match (values.next(), values.next()) {
        (Some(value), None) if value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(()),
        (None, _) => Ok(()),
        _ => Err(Refused(StatusCode::NOT_IMPLEMENTED, "unsupported transfer encoding")),
    }
}

/// Nothing but 100-continue can be expected of us (RFC 9110, 10.1.1).
fn expect(headers: &HeaderMap) -> Result<(), Refused> {
    match headers.get(EXPECT) {
        None => Ok(()),
        Some(_) => {
            let understood =
                |value: &HeaderValue| value.is_empty() || value.as_bytes().eq_ignore_ascii_case(b"100-continue");
            if headers.get_all(EXPECT).iter().all(understood) {
                return Ok(());
            }
            Err(Refused(StatusCode::EXPECTATION_FAILED, "only 100-continue can be expected"))
        }
    }
}

fn adopt_authority(head: &mut request::Parts) -> Result<(), Refused> {
    if let Some(authority) = head.uri.authority() {
        let value = HeaderValue::from_str(authority.as_str()).map_err(|_| bad("the target's host is invalid"))?;
        head.headers.insert(HOST, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_addresses_and_ports() {
        for good in [
            "",
            "a",
            "a.test:80",
            "a:",
            "[::1]",
            "[::1]:8080",
            "127.0.0.1",
            "a_b",
            "a%2eb",
            "a.",
            "%41",
            "a!$&'()*+;=b",
        ] {
            assert!(is_host(good.as_bytes()), "{good:?}");
        }
        for bad in [
            "a b", "a%zz", "a%4", "a/b", "u@a", "<a>", "a\"", "a\\b", "a#", "a?", "a:b", "a:99999", "[::1", "::1]",
            "[::1]x", "a[", "\u{e9}", "a\tb", "[[::1]]", "a:1:2",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad:?}");
        }
    }
}
