//! Spelling of paths: which are clean, how an unclean one is cleaned, and how a byte is written in a `Location`.

use std::borrow::Cow;

/// The clean form of a path: it begins with a slash and has no empty, `.` or `..` segment; a final slash is kept.
///
/// Works on the escaped form, so `%2F` never separates and `%2E` is no dot: Go's `cleanPath`, as `ServeMux` applies it to
/// `URL.EscapedPath`. The empty path becomes `/`. `..` at the root is dropped.
pub(crate) fn clean_path(path: &str) -> Cow<'_, str> {
    if is_clean(path) {
        return Cow::Borrowed(path);
    }
    let mut clean = String::with_capacity(path.len() + 1);
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "" | "." => {}
            // The parent ends where its last slash stands.
            ".." => clean.truncate(clean.rfind('/').unwrap_or(0)),
            _ => {
                clean.push('/');
                clean.push_str(segment);
            }
        }
        if segments.peek().is_none() && (segment.is_empty() || clean.is_empty()) {
            clean.push('/');
        }
    }
    Cow::Owned(clean)
}

/// Whether [`clean_path`] would change nothing.
pub(crate) fn is_clean(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." | ".." => return false,
            "" if segments.peek().is_some() => return false,
            _ => {}
        }
    }
    true
}

/// Whether every `%` begins an escape: two hexadecimal digits follow (RFC 3986, section 2.1).
pub(crate) fn escapes_are_valid(path: &[u8]) -> bool {
    let mut rest = path;
    while let Some(at) = rest.iter().position(|&byte| byte == b'%') {
        match rest.get(at + 1..at + 3) {
            Some([high, low]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest = &rest[at + 3..],
            _ => return false,
        }
    }
    true
}

/// The path as it takes part in matching: itself if every byte may stand in a path, else spelled anew.
///
/// `None` if it is no path: it does not begin with a slash, an escape is bad, or it holds a control character. Go answers such
/// requests with 400 before its mux sees them; the empty path is left to the caller.
pub(crate) fn spelled(path: &str) -> Option<Cow<'_, str>> {
    let bytes = path.as_bytes();
    let sound = (path.is_empty() || path.starts_with('/'))
        && escapes_are_valid(bytes)
        && !bytes.iter().any(u8::is_ascii_control);
    if !sound {
        return None;
    }
    let plain = bytes.iter().all(|&byte| matches!(byte, b'%' | b'/') || PLAIN[usize::from(byte)]);
    Some(if plain { Cow::Borrowed(path) } else { Cow::Owned(respell(path)) })
}

/// Spells a path anew because it holds bytes that have to be escaped: each byte plain where that is allowed, else escaped.
///
/// An escaped slash stays escaped. `Differs from Go:` Go writes it as a slash here and so makes two segments out of one.
fn respell(path: &str) -> String {
    let mut spelled = String::with_capacity(path.len() * 2);
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let (byte, slash_separates) = match byte {
            b'%' => (decode_pair(bytes.next(), bytes.next()), false),
            plain => (plain, true),
        };
        if kept_when_escaping(byte) || (byte == b'/' && slash_separates) {
            spelled.push(char::from(byte));
        } else {
            push_escaped(&mut spelled, byte);
        }
    }
    spelled
}

/// Spells decoded bytes as one path segment.
pub(crate) fn escape_segment(bytes: &[u8]) -> String {
    let mut spelled = String::with_capacity(bytes.len());
    for &byte in bytes {
        if kept_when_escaping(byte) { spelled.push(char::from(byte)) } else { push_escaped(&mut spelled, byte) }
    }
    spelled
}

/// Whether no path with this segment before its end is clean.
fn makes_unclean(segment: &[u8]) -> bool {
    matches!(segment, [] | [b'.'] | [b'.', b'.'])
}

/// Whether all of a path from its first slash is clean, unescaped text, a final slash included.
pub(crate) fn is_plain_path(path: &[u8]) -> bool {
    let Some((b'/', rest)) = path.split_first() else { return false };
    let mut start = 0;
    for (at, &byte) in rest.iter().enumerate() {
        if !PLAIN[usize::from(byte)] {
            if byte != b'/' || makes_unclean(&rest[start..at]) {
                return false;
            }
            start = at + 1;
        }
    }
    !matches!(rest[start..], [b'.'] | [b'.', b'.'])
}

fn push_escaped(spelled: &mut String, byte: u8) {
    spelled.push('%');
    spelled.push(char::from(HEX[usize::from(byte >> 4)]));
    spelled.push(char::from(HEX[usize::from(byte & 15)]));
}

/// The bytes that Go leaves alone when it escapes a path, apart from the slash.
const fn kept_when_escaping(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'$' | b'&' | b'+' | b',' | b':' | b';' | b'=' | b'@')
}

/// The bytes that may stand in a segment as they are.
const fn may_stand(byte: u8) -> bool {
    kept_when_escaping(byte) || matches!(byte, b'!' | b'\'' | b'(' | b')' | b'*' | b'[' | b']')
}

/// [`may_stand`] as a table.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0u8;
    loop {
        plain[byte as usize] = may_stand(byte);
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    plain
};

/// The byte of an escape's two digits, which the caller has checked.
fn decode_pair(high: Option<u8>, low: Option<u8>) -> u8 {
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).unwrap_or(0);
    u8::try_from(digit(high) * 16 + digit(low)).unwrap_or(0)
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning_drops_dots_and_empty_segments_and_keeps_a_final_slash() {
        for (path, want) in [
            ("", "/"),
            ("/", "/"),
            ("a", "/a"),
            ("//", "/"),
            ("/a//b", "/a/b"),
            ("/a/./b/", "/a/b/"),
            ("/a/.", "/a"),
            ("/a/./", "/a/"),
            ("/a/b/..", "/a"),
            ("/a/b/../", "/a/"),
            ("/..", "/"),
            ("/a/..", "/"),
            ("/a/../", "/"),
            ("/../a", "/a"),
            ("/a//", "/a/"),
            ("/...", "/..."),
            ("/a%2f../b", "/a%2f../b"),
            ("/b%2fc/..", "/"),
            ("/%2e%2e/a", "/%2e%2e/a"),
            ("/a/../../b//./c/", "/b/c/"),
        ] {
            assert_eq!(clean_path(path), want, "{path:?}");
            assert_eq!(is_clean(path), path == want, "{path:?}");
        }
    }

    #[test]
    fn respelling_escapes_what_it_must_and_no_more() {
        assert_eq!(respell("/%61/\u{e9}/{x}/a%20b/%2fc"), "/a/%C3%A9/%7Bx%7D/a%20b/%2Fc");
    }

    #[test]
    fn bad_escapes_are_seen() {
        for (path, want) in [("/a%20", true), ("/%", false), ("/%2", false), ("/%zz", false), ("/%2%20", false)] {
            assert_eq!(escapes_are_valid(path.as_bytes()), want, "{path}");
        }
    }
}
