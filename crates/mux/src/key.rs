//! Segments as numbers: two words, so that comparing one takes no loop.

use crate::words::{bytes_below, slashes_in, up_to, word};

/// A segment's first sixteen bytes, with a slash behind its last byte and zeros behind that.
///
/// Of a longer segment the second word is a mixture of all that is not in the first, marked by a bit that a slash has not. Thus equal
/// keys mean equal segments if these are [`SHORT`](Key::SHORT), and long ones are never taken for short ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) head: u64,
    pub(crate) tail: u64,
    pub(crate) len: u32,
}

impl Key {
    /// Up to this length equal keys mean equal segments; longer ones are compared to the end.
    pub(crate) const SHORT: u32 = 15;

    pub(crate) fn of(segment: &[u8]) -> Self {
        let len = u32::try_from(segment.len()).unwrap_or(u32::MAX);
        let (head, beyond) = segment.split_at(segment.len().min(8));
        let (tail, beyond) = beyond.split_at(beyond.len().min(8));
        let (head, tail) = match segment.len() {
            0..8 => (padded(head) | u64::from(b'/') << (8 * len), 0),
            8..16 => (padded(head), padded(tail) | u64::from(b'/') << (8 * len - 64)),
            _ => (padded(head), fold(padded(tail), beyond) | LONG),
        };
        Key { head, tail, len }
    }

    /// The key of the segment that the last part of a path begins with. `last` is the path's
    /// [`last_word`](crate::words::last_word), `head` the part's first word and `slashes` the [`slashes_in`] it.
    #[inline(always)]
    pub(crate) fn first(rest: &[u8], last: u64, head: u64, slashes: u64) -> Self {
        if slashes != 0 {
            return Key { head: head & up_to(slashes), tail: 0, len: bytes_below(slashes) };
        }
        let tail = word(rest.get(8..).unwrap_or_default(), last);
        let slashes = slashes_in(tail);
        if slashes != 0 {
            return Key { head, tail: tail & up_to(slashes), len: 8 + bytes_below(slashes) };
        }
        Key::long(rest)
    }

    #[cold]
    #[inline(never)]
    fn long(rest: &[u8]) -> Self {
        let len = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
        Key::of(&rest[..len])
    }

    /// What numbers the slots of a table, as far as it is the whole segment that does.
    #[inline(always)]
    pub(crate) fn number(&self) -> u64 {
        self.head ^ self.tail.rotate_left(29)
    }
}

/// Up to eight bytes as a word, the first one lowest.
fn padded(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Mixes further bytes into a word.
fn fold(word: u64, bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(word, |word, chunk| (word.rotate_left(5) ^ padded(chunk)).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Marks the second word of a long segment. In a short one's the top byte is a slash or nothing.
const LONG: u64 = 1 << 63;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::last_word;

    #[test]
    fn segments_are_cut_at_slashes_wherever_they_stand() {
        for lens in [[0, 1, 2], [7, 8, 9], [15, 16, 17], [40, 3, 0], [8, 8, 8], [16, 16, 1], [0, 0, 1], [1, 1, 1]] {
            let texts = lens.map(|len| &"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"[..len]);
            let path = texts.join("/");
            let (mut rest, last) = (path.as_bytes(), last_word(path.as_bytes()));
            for text in texts {
                if rest.is_empty() {
                    break; // A final slash begins no segment.
                }
                let head = word(rest, last);
                assert_eq!(Key::first(rest, last, head, slashes_in(head)), Key::of(text.as_bytes()), "{path}");
                rest = rest.get(text.len() + 1..).unwrap_or_default();
            }
        }
    }

    #[test]
    fn segments_that_differ_late_or_in_length_have_different_keys() {
        assert_ne!(Key::of(b"0123456789abcdef-one"), Key::of(b"0123456789abcdef-two"));
        let texts: [&[u8]; 7] = [b"", b"a", b"a\0", b"a/", b"a/\0", b"\0\0\0\0\0\0\0\0", b"0123456789abcde"];
        for (at, text) in texts.iter().enumerate() {
            assert!(texts[..at].iter().all(|other| Key::of(other) != Key::of(text)));
        }
    }
}
