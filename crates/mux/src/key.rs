//! Segments as numbers: two words and a length, so that comparing one takes no loop.

/// A segment's first sixteen bytes and its length; what lies beyond is folded into the second word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) head: u64,
    pub(crate) tail: u64,
    pub(crate) len: u32,
}

impl Key {
    /// Up to this length equal keys mean equal segments; longer ones are compared to the end.
    pub(crate) const SHORT: u32 = 16;

    pub(crate) fn of(segment: &[u8]) -> Self {
        let (first, beyond) = segment.split_at(segment.len().min(16));
        let (head, tail) = first.split_at(first.len().min(8));
        Key { head: padded(head), tail: fold(padded(tail), beyond), len: narrow(segment.len()) }
    }

    /// The key of the segment that a path's last part begins with, and the segment's length. `last` is the path's
    /// [`last_word`].
    #[inline(always)]
    pub(crate) fn first(path: &[u8], last: u64) -> (Self, usize) {
        let head = word(path, last);
        let slashes = slashes_in(head);
        if slashes != 0 {
            let bits = slashes.trailing_zeros() & !7;
            return Key::cut(head & ((1 << bits) - 1), 0, bits / 8);
        }
        if path.len() <= 8 {
            return Key::cut(head, 0, narrow(path.len()));
        }
        let beyond = path.get(8..).unwrap_or_default();
        let tail = word(beyond, last);
        let slashes = slashes_in(tail);
        if slashes != 0 {
            let bits = slashes.trailing_zeros() & !7;
            return Key::cut(head, tail & ((1 << bits) - 1), 8 + bits / 8);
        }
        if beyond.len() <= 8 {
            return Key::cut(head, tail, 8 + narrow(beyond.len()));
        }
        Key::long(path)
    }

    /// Whether a path's last part begins with this key's segment, as far as the key says, or with more. A segment of more than
    /// [`SHORT`](Self::SHORT) bytes is compared in its first eight.
    #[inline(always)]
    pub(crate) fn begins(&self, path: &[u8], last: u64) -> bool {
        if path.len() < self.len as usize || path.is_empty() {
            return false;
        }
        let differs = word(path, last) ^ self.head;
        match self.len {
            0..8 => differs & ((1 << (8 * self.len)) - 1) == 0,
            8 => differs == 0,
            9..=16 => {
                let beyond = path.get(8..).unwrap_or_default();
                // 1 <= len - 8 <= 8, so that the shift is less than a word.
                differs == 0 && (word(beyond, last) ^ self.tail) << (64 - 8 * (self.len - 8)) == 0
            }
            _ => differs == 0,
        }
    }

    #[inline(always)]
    fn cut(head: u64, tail: u64, len: u32) -> (Self, usize) {
        (Key { head, tail, len }, len as usize)
    }

    #[cold]
    #[inline(never)]
    fn long(path: &[u8]) -> (Self, usize) {
        let len = path.iter().position(|&byte| byte == b'/').unwrap_or(path.len());
        (Key::of(&path[..len]), len)
    }

    /// Which slot of a table the key belongs in: the top bits of a product.
    #[inline(always)]
    pub(crate) fn slot(&self, multiplier: u64, shift: u32) -> usize {
        let product = (self.head ^ self.tail.rotate_left(29)).wrapping_mul(multiplier);
        usize::try_from(product >> shift).unwrap_or(usize::MAX)
    }
}

/// The last eight bytes of a path, the very last one on top. What reads the path's end shifts it, because a load would go past.
#[inline(always)]
pub(crate) fn last_word(path: &[u8]) -> u64 {
    match path.last_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => short_path(path),
    }
}

#[cold]
#[inline(never)]
fn short_path(path: &[u8]) -> u64 {
    path.iter().fold(0, |word, byte| word >> 8 | u64::from(*byte) << 56)
}

/// The first eight bytes of a path's last part, which is not empty; zeros past its end.
#[inline(always)]
fn word(path: &[u8], last: u64) -> u64 {
    match path.first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => last >> ((64 - 8 * path.len()) & 63),
    }
}

/// Has the top bit of a byte set where the lowest slash stands; bits above that one mean nothing.
#[inline(always)]
fn slashes_in(word: u64) -> u64 {
    let zero_at_slash = word ^ (LOW_BITS * b'/' as u64);
    zero_at_slash.wrapping_sub(LOW_BITS) & !zero_at_slash & (LOW_BITS << 7)
}

/// A length as keys have it. Paths of 4 GiB and more are refused before they are read.
#[inline(always)]
fn narrow(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Up to eight bytes as a word, the first one lowest.
fn padded(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Mixes further bytes into a word.
fn fold(word: u64, bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(word, |word, chunk| (word.rotate_left(5) ^ padded(chunk)).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

const LOW_BITS: u64 = 0x0101_0101_0101_0101;

#[cfg(test)]
mod tests {
    use super::*;

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
                assert_eq!(Key::first(rest, last), (Key::of(text.as_bytes()), text.len()), "{path}");
                rest = rest.get(text.len() + 1..).unwrap_or_default();
            }
        }
    }

    #[test]
    fn segments_that_differ_late_or_in_length_have_different_keys() {
        assert_ne!(Key::of(b"0123456789abcdef-one"), Key::of(b"0123456789abcdef-two"));
        assert_ne!(Key::of(b"a"), Key::of(b"a\0"));
    }
}
