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

    /// Which slot of a table the key belongs in: the top bits of a product.
    #[inline]
    pub(crate) fn slot(&self, multiplier: u64, shift: u32) -> usize {
        let product = (self.head ^ self.tail.rotate_left(29)).wrapping_mul(multiplier);
        usize::try_from(product >> shift).unwrap_or(usize::MAX)
    }
}

/// A path, read segment by segment.
#[derive(Clone, Copy)]
pub(crate) struct Segments<'a> {
    path: &'a [u8],
    /// The last eight bytes, the very last one on top.
    last: u64,
}

impl<'a> Segments<'a> {
    #[inline]
    pub(crate) fn new(path: &'a [u8]) -> Self {
        let last = match path.last_chunk() {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None if path.is_empty() => 0,
            None => padded(path) << (8 * (8 - path.len())),
        };
        Segments { path, last }
    }

    /// The segment that begins at `start`, which lies inside the path, and where it ends.
    #[inline]
    pub(crate) fn at(&self, start: usize) -> (Key, usize) {
        let left = self.path.len() - start;
        let head = self.word(start);
        let slashes = slashes_in(head);
        if slashes != 0 {
            let len = slashes.trailing_zeros() / 8;
            return (Key { head: first_bytes(head, len), tail: 0, len }, start + len as usize);
        }
        if left <= 8 {
            return (Key { head, tail: 0, len: narrow(left) }, self.path.len());
        }
        let tail = self.word(start + 8);
        let slashes = slashes_in(tail);
        if slashes != 0 {
            let len = slashes.trailing_zeros() / 8;
            return (Key { head, tail: first_bytes(tail, len), len: 8 + len }, start + 8 + len as usize);
        }
        if left <= 16 {
            return (Key { head, tail, len: narrow(left) }, self.path.len());
        }
        self.long(start)
    }

    #[cold]
    fn long(&self, start: usize) -> (Key, usize) {
        let rest = &self.path[start..];
        let len = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
        (Key::of(&rest[..len]), start + len)
    }

    /// Eight bytes from `at`, zeros past the end. `at` lies inside the path.
    #[inline]
    fn word(&self, at: usize) -> u64 {
        match self.path.get(at..).and_then(<[u8]>::first_chunk) {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => self.last >> (8 * (8 - (self.path.len() - at))),
        }
    }
}

/// A length as keys have it. Paths of 4 GiB and more are refused before they are read.
#[inline]
fn narrow(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Has the top bit of a byte set where the lowest slash stands; bits above that one mean nothing.
#[inline]
fn slashes_in(word: u64) -> u64 {
    let zero_at_slash = word ^ (LOW_BITS * b'/' as u64);
    zero_at_slash.wrapping_sub(LOW_BITS) & !zero_at_slash & (LOW_BITS << 7)
}

/// A word with only its first `len` bytes, fewer than eight.
#[inline]
fn first_bytes(word: u64, len: u32) -> u64 {
    word & ((1 << (8 * len)) - 1)
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
        for lens in [[0, 1, 2], [7, 8, 9], [15, 16, 17], [40, 3, 0], [8, 8, 8], [16, 16, 1]] {
            let texts = lens.map(|len| "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"[..len].to_owned());
            let path = format!("/{}", texts.join("/"));
            let segments = Segments::new(path.as_bytes());
            let mut at = 0;
            for text in &texts {
                if at + 1 == path.len() {
                    break; // A final slash begins no segment.
                }
                let (key, end) = segments.at(at + 1);
                assert_eq!((key, end), (Key::of(text.as_bytes()), at + 1 + text.len()), "{path} at {at}");
                at = end;
            }
        }
    }

    #[test]
    fn paths_shorter_than_a_word_are_read() {
        for path in ["/", "/a", "/ab/c", "/\u{e9}/z"] {
            let first = path[1..].split('/').next().unwrap();
            if !first.is_empty() {
                assert_eq!(Segments::new(path.as_bytes()).at(1), (Key::of(first.as_bytes()), 1 + first.len()));
            }
        }
    }

    #[test]
    fn long_segments_that_differ_late_have_different_keys() {
        let one = Key::of(b"0123456789abcdef-one");
        assert_ne!(one, Key::of(b"0123456789abcdef-two"));
        assert_ne!(Key::of(b"a"), Key::of(b"a\0"));
    }
}
