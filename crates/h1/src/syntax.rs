//! The byte classes and small grammar pieces of RFC 9110 section 5 that several parsers share.

/// One bit per class, so that a test is one load and one mask.
const TCHAR: u8 = 1;
const TARGET: u8 = 2;
const TEXT: u8 = 4;

static CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut b = 0;
    while b < 256 {
        // The loop keeps 0 <= b < 256.
        #[allow(clippy::cast_possible_truncation, reason = "b < 256")]
        let c = b as u8;
        if c.is_ascii_alphanumeric() || is_token_punctuation(c) {
            class[b] |= TCHAR;
        }
        if c.is_ascii_graphic() {
            class[b] |= TARGET;
        }
        if (c >= b' ' && c != 0x7f) || c == b'\t' {
            class[b] |= TEXT;
        }
        b += 1;
    }
    class
};

const fn is_token_punctuation(b: u8) -> bool {
    matches!(b, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

/// `tchar` of RFC 9110 section 5.6.2: what methods and field names are made of.
pub(crate) fn is_tchar(b: u8) -> bool {
    CLASS[usize::from(b)] & TCHAR != 0
}

/// `token` of RFC 9110 section 5.6.2.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&b| is_tchar(b))
}

/// A visible ASCII byte: all that may stand in a request target or a host (RFC 3986 section 2 allows less, never more).
pub(crate) fn is_graphic(b: u8) -> bool {
    CLASS[usize::from(b)] & TARGET != 0
}

/// What stands in a text besides visible ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kinds {
    /// White space or a control byte.
    pub(crate) space_or_control: bool,
    /// Bytes above ASCII.
    pub(crate) above_ascii: bool,
}

/// Looks for bytes other than visible ASCII.
#[inline]
pub(crate) fn kinds(text: &[u8]) -> Kinds {
    let Some(last) = text.last_chunk::<8>() else {
        return Kinds { space_or_control: text.iter().any(|&b| b <= b' ' || b == 0x7f), above_ascii: !text.is_ascii() };
    };
    // Eight bytes at a time; the last eight may overlap those before. Byte by byte it is three times the instructions
    // (callgrind, 2026-11).
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (mut bad, mut any) = (0, 0);
    let mut look = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        // The high bit of a byte whose own is not set: a borrow means below 0x21, a carry means equal to 0x7f.
        let below = word.wrapping_sub(ONES * 0x21);
        let delete = (word & !HIGH) + ONES;
        bad |= (below | delete) & !word;
        any |= word;
    };
    look(last);
    text.as_chunks().0.iter().for_each(look);
    Kinds { space_or_control: bad & HIGH != 0, above_ascii: any & HIGH != 0 }
}

/// Whether every byte passes, for a test of a few comparisons: sixteen or eight bytes at a time, which the compiler makes one
/// vector of. The last of them may overlap those before.
#[inline(always)]
pub(crate) fn all(text: &[u8], test: impl Fn(u8) -> bool) -> bool {
    // Without an early exit inside of a block, so that it becomes a vector.
    let of_16 = |block: &[u8; 16]| block.iter().fold(true, |all, &b| all & test(b));
    let of_8 = |block: &[u8; 8]| block.iter().fold(true, |all, &b| all & test(b));
    if let Some(end) = text.last_chunk() {
        of_16(end) && text.as_chunks().0.iter().all(of_16)
    } else if let (Some(start), Some(end)) = (text.first_chunk(), text.last_chunk()) {
        of_8(start) && of_8(end)
    } else {
        text.iter().all(|&b| test(b))
    }
}

/// `field-vchar / SP / HTAB` of RFC 9110 section 5.5, obs-text included; also the bytes of a reason phrase (RFC 9112 section 4).
pub(crate) fn is_text(b: u8) -> bool {
    CLASS[usize::from(b)] & TEXT != 0
}

/// `OWS` of RFC 9110 section 5.6.3.
pub(crate) fn is_ows(b: u8) -> bool {
    b == b' ' || b == b'\t'
}

/// `text` without the optional white space at both ends.
pub(crate) fn trim_ows(text: &[u8]) -> &[u8] {
    trim_ows_end(trim_ows_start(text))
}

/// `text` without the optional white space at its beginning.
pub(crate) fn trim_ows_start(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

/// `text` without the optional white space at its end.
pub(crate) fn trim_ows_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// The elements of a comma list, trimmed; empty ones are left out (RFC 9110 section 5.6.1.2 has recipients ignore them).
///
/// Only for lists of tokens: a comma inside a quoted string would split it.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(trim_ows).filter(|element| !element.is_empty())
}

/// `1*DIGIT` as a number: no sign, no space, nothing but digits, no overflow.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |n, &b| {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 { None } else { n.checked_mul(10)?.checked_add(u64::from(digit)) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_takes_digits_only() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"0005"), Some(5));
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        for bad in ["", "+5", "-5", "5 ", "0x5", "5.0", "18446744073709551616", "5,5"] {
            assert_eq!(decimal(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn kinds_of_bytes_are_found_anywhere() {
        for b in 0..=255u8 {
            let bad = b <= b' ' || b == 0x7f;
            for len in 1..20 {
                for at in 0..len {
                    for around in [b'!', b'~', 0x80, 0xff] {
                        let mut text = vec![around; len];
                        text[at] = b;
                        let want = Kinds { space_or_control: bad, above_ascii: !text.is_ascii() };
                        assert_eq!(kinds(&text), want, "{b:#x} at {at} of {len}, around {around:#x}");
                    }
                }
            }
        }
        assert_eq!(kinds(b""), Kinds { space_or_control: false, above_ascii: false });
    }

    #[test]
    fn all_looks_at_every_byte() {
        for len in 0..70 {
            assert!(all(&vec![b'x'; len], |b| b == b'x'), "{len}");
            for at in 0..len {
                let mut text = vec![b'x'; len];
                text[at] = b'y';
                assert!(!all(&text, |b| b == b'x'), "{at} of {len}");
            }
        }
    }

    #[test]
    fn list_ignores_empty_elements() {
        let elements: Vec<&[u8]> = list(b",a ,, \tb,").collect();
        assert_eq!(elements, [b"a".as_slice(), b"b"]);
    }
}
