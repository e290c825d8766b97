//! Segments as numbers: two words and a length, so that comparing one takes no loop.

/// A segment of up to sixteen bytes: the last eight, the first eight, and how many.
///
/// One of fewer than eight bytes is in the first of the words, its last byte on top, and the other word is zero. Of a longer
/// segment, and of one with a zero byte, the word is a mixture of all that it has, and the length is one that no other segment has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) last: u64,
    pub(crate) first: u64,
    pub(crate) len: u8,
}

impl Key {
    /// Up to this length equal keys mean equal segments; longer ones have to be compared.
    pub(crate) const LONGEST: usize = 16;

    pub(crate) fn of(segment: &[u8]) -> Self {
        let len = segment.len();
        if len > Self::LONGEST || segment.contains(&0) {
            return Key { last: fold(len as u64, segment) | TOP, first: 0, len: LONG };
        }
        match segment.first_chunk() {
            Some(first) => Key::of_words(u64::from_le_bytes(*first), segment, len),
            None if segment.is_empty() => Key::default(),
            None => Key::of_short(padded(segment), len),
        }
    }

    /// The key of a segment of at most seven bytes and at least one, given the word that begins with it.
    #[inline(always)]
    pub(crate) fn of_short(word: u64, len: usize) -> Self {
        Key { last: word << (64_usize.wrapping_sub(8 * len) & 63), first: 0, len: small(len) }
    }

    /// The key of a segment of eight bytes up to sixteen, given its first word and a text that begins with it.
    #[inline(always)]
    pub(crate) fn of_words(first: u64, rest: &[u8], len: usize) -> Self {
        let last = rest.get(len.wrapping_sub(8)..).and_then(|last| last.first_chunk());
        let last = last.map_or(0, |last| u64::from_le_bytes(*last));
        Key { last, first, len: small(len) }
    }

    pub(crate) fn is_long(self) -> bool {
        self.len == LONG
    }

    /// What is hashed. The length tells apart only what has many equal bytes, so it is left out.
    #[inline(always)]
    pub(crate) fn number(self) -> u64 {
        self.last ^ self.first.rotate_left(29)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "keys are made of lengths up to sixteen")]
fn small(len: usize) -> u8 {
    len as u8
}

/// Up to eight bytes as a word, the first one lowest.
fn padded(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Mixes further bytes into a word.
pub(crate) fn fold(word: u64, bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(word, |word, chunk| (word.rotate_left(5) ^ padded(chunk)).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Stands for the length of segments that are compared byte by byte.
const LONG: u8 = 17;

/// Set in the word of such a segment, and in none of a plain path, which is ASCII.
const TOP: u64 = 1 << 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_that_differ_anywhere_have_different_keys() {
        assert_ne!(Key::of(b"0123456789abcdef-one"), Key::of(b"0123456789abcdef-two"));
        let texts: [&[u8]; 11] = [
            b"",
            b"a",
            b"a\0",
            b"a/",
            b"a/\0",
            b"\0\0\0\0\0\0\0\0",
            b"aaaaaaa",
            b"aaaaaaaa",
            b"aaaaaaaaa",
            b"aaaaaaaaaaaaaaaa",
            b"aaaaaaaaaaaaaaaaa",
        ];
        for (at, text) in texts.iter().enumerate() {
            assert!(texts[..at].iter().all(|other| Key::of(other) != Key::of(text)));
        }
    }
}
