//! Reading the request target: which of the four forms it has, and whether it may have it.

use bytes::Bytes;
use http::{Method, Uri};

use crate::head::host::is_host;
use crate::leniency::Leniency;
use crate::syntax::{all, is_graphic};

/// Checks a target by form and byte (RFC 9112 section 3.2 and RFC 3986).
pub(super) fn is_valid(method: &Method, target: &[u8], leniency: Leniency) -> bool {
    // Section 3.2.3: the authority form is for CONNECT alone, and CONNECT has no other.
    if method == Method::CONNECT {
        return is_authority_with_port(target);
    }
    match target {
        // Section 3.2.4: the asterisk is for OPTIONS alone.
        b"*" => method == Method::OPTIONS,
        [b'/', ..] => is_path_and_query(target, leniency),
        _ => is_absolute(target, leniency),
    }
}

/// Whether this is a path, with or without a query, of no other bytes than the usual ones. Such a target suits every method but
/// CONNECT, and is refused by [`to_uri`] for its length alone.
#[inline(never)] // inlined, or with patterns, it becomes branches for each byte instead of a vector
pub(super) fn is_plain(target: &[u8]) -> bool {
    let is_usual = |b: u8| {
        // `-` to `9` has the dot, the slash and the digits.
        let (letter, digit) = ((b | 0x20).wrapping_sub(b'a') < 26, b.wrapping_sub(b'-') <= b'9' - b'-');
        letter | digit | (b == b'?') | (b == b'=') | (b == b'&') | (b == b'_')
    };
    target.first() == Some(&b'/') && all(target, is_usual)
}

/// The target as a [`Uri`] that shares its memory: a path, an authority, `*`, or a whole URL. `None` for the few things that
/// the `http` crate does not take, mainly more than 65,534 bytes.
pub(super) fn to_uri(target: Bytes) -> Option<Uri> {
    Uri::from_maybe_shared(target).ok()
}

fn is_authority_with_port(target: &[u8]) -> bool {
    let port_at = target.iter().rposition(|&b| b == b':').map(|colon| colon + 1);
    // Section 3.2.3: uri-host ":" port, where a client has to give both.
    is_host(target)
        && port_at.is_some_and(|at| (2..target.len()).contains(&at) && target[at..].iter().all(u8::is_ascii_digit))
}

/// `scheme "://" authority path [ "?" query ]`, for the two schemes that HTTP serves.
fn is_absolute(target: &[u8], leniency: Leniency) -> bool {
    let Some(scheme_len) = target.windows(3).position(|w| w == b"://") else { return false };
    let (scheme, rest) = (&target[..scheme_len], &target[scheme_len + 3..]);
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return false;
    }
    let authority_len = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_len);
    // RFC 9110 section 4.2.1: an empty host is invalid; section 4.2.4: so is user information from an untrusted source.
    !matches!(authority, [] | [b':', ..]) && is_host(authority) && is_path_and_query(path, leniency)
}

/// `pchar`, slash and question mark, with percent signs only before two hexadecimal digits; no fragment.
fn is_path_and_query(mut text: &[u8], leniency: Leniency) -> bool {
    if leniency.any_target {
        return is_any_path_and_query(text);
    }
    while let [first, rest @ ..] = text {
        text = match (first, rest) {
            (b'%', [a, b, rest @ ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => rest,
            (b'%' | b'#' | b'"' | b'<' | b'>', _) => return false,
            (b'[' | b'\\' | b']' | b'^' | b'`' | b'{' | b'|' | b'}', rest) if leniency.unencoded_target => rest,
            (b'[' | b'\\' | b']' | b'^' | b'`' | b'{' | b'|' | b'}', _) => return false,
            (b, rest) if is_graphic(*b) => rest,
            _ => return false,
        };
    }
    true
}

/// What [`Uri`] sorts out, but for what would not be read as it came: escapes in the path, and fragments.
fn is_any_path_and_query(text: &[u8]) -> bool {
    let mut in_query = false;
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        rest = match (first, behind) {
            (b'%', behind) if in_query => behind,
            (b'%', [a, b, behind @ ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => behind,
            (b'%' | b'#', _) => return false,
            (byte, behind) if is_graphic(*byte) || *byte >= 0x80 => {
                in_query |= *byte == b'?';
                behind
            }
            _ => return false,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_target_is_any_but_bad_escapes_in_paths_and_fragments() {
        let lenient = Leniency { any_target: true, ..Leniency::request() };
        for (target, strict, any) in [
            ("/a%2Fb?c=%2F", true, true),
            ("/?q=100%", false, true),
            ("/?q=%zz&r=%", false, true),
            ("/\u{fc}?\u{fc}", false, true),
            ("/\"a\"", false, true),
            ("/a%zz", false, false),
            ("/a%", false, false),
            ("/a%2", false, false),
            ("/a#b", false, false),
            ("/?a#b", false, false),
            ("/a b", false, false),
            ("/a\u{7f}", false, false),
            ("a", false, false),
            ("http://h/?q=%", false, true),
            ("http://u@h/", false, false),
        ] {
            assert_eq!(is_valid(&Method::GET, target.as_bytes(), Leniency::request()), strict, "{target}");
            assert_eq!(is_valid(&Method::GET, target.as_bytes(), lenient), any, "{target}");
        }
    }

    /// The claims of `is_plain`, for every byte at every place of a vector.
    #[test]
    fn a_plain_target_is_taken_by_all() {
        for before in [0, 1, 5, 6, 13, 14, 15, 30] {
            for b in 0..=255 {
                for target in [
                    [b"/".as_slice(), &vec![b'a'; before], &[b]].concat(),
                    [b"/?".as_slice(), &vec![b'a'; before], &[b, b'a']].concat(),
                ] {
                    let plain = is_plain(&target);
                    assert_eq!(plain, b.is_ascii_alphanumeric() || b"-./?=&_".contains(&b), "{b:#x}");
                    if plain {
                        assert!(is_valid(&Method::GET, &target, Leniency::STRICT), "{b:#x}");
                        let uri = to_uri(Bytes::from(target.clone())).unwrap();
                        assert_eq!(uri.to_string().as_bytes(), target, "{b:#x}");
                    }
                }
            }
        }
        assert!(!is_plain(b"") && !is_plain(b"a") && !is_plain(b"*") && is_plain(b"/"));
    }
}
