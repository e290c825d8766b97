//! Eight bytes of a path at a time, as numbers.
//!
//! A word has the path's next byte lowest. Past the path's end every byte reads as a slash, so that each segment ends in one.

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

/// The first eight bytes of the last part of a path, of which `last` is the [`last_word`].
#[inline(always)]
pub(crate) fn word(rest: &[u8], last: u64) -> u64 {
    match rest.first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => {
            // 0 <= bits < 64. The shift to the right is made in two, because of nothing all 64 bits are shifted out.
            let bits = 8 * rest.len();
            last >> 1 >> (63 - bits) | each(b'/') << bits
        }
    }
}

/// The places of the slashes in a path, but for the one that it begins with, and then the path's end.
///
/// They are found for up to 64 bytes at a time, before anybody asks for them.
#[derive(Clone, Debug)]
pub(crate) struct Slashes<'a> {
    path: &'a [u8],
    /// Where the bytes of the mask begin.
    from: usize,
    mask: u64,
}

impl<'a> Slashes<'a> {
    #[inline(always)]
    pub(crate) fn of(path: &'a [u8]) -> Self {
        Slashes::known(path, slash_mask(path) & !1)
    }

    /// The same, given the [`mask`](Slashes::mask) of another one for the path.
    #[inline(always)]
    pub(crate) fn known(path: &'a [u8], mask: u64) -> Self {
        Slashes { path, from: 0, mask }
    }

    /// What has been found before any has been asked for.
    #[inline(always)]
    pub(crate) fn mask(&self) -> u64 {
        self.mask
    }

    pub(crate) fn path_len(&self) -> usize {
        self.path.len()
    }

    /// Not to be asked again once it has told the end.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> usize {
        if self.mask == 0 {
            (self.mask, self.from) = further_slashes(self.path, self.from);
        }
        let at = self.from + self.mask.trailing_zeros() as usize;
        self.mask &= self.mask.wrapping_sub(1);
        at
    }
}

/// The next slashes, or the end, in the 64 bytes after those that begin at `from`, or further on; and where those begin.
#[inline(never)]
pub(crate) fn further_slashes(path: &[u8], mut from: usize) -> (u64, usize) {
    let mut mask = 0;
    while mask == 0 && from <= path.len() {
        from += 64;
        mask = slash_mask(path.get(from..).unwrap_or_default());
    }
    (mask, from)
}

/// A bit for each of the first 64 bytes that is a slash, and one behind the last byte.
#[inline(always)]
fn slash_mask(bytes: &[u8]) -> u64 {
    let mut mask = if bytes.len() < 64 { 1 << bytes.len() } else { 0 };
    let bytes = bytes.get(..64).unwrap_or(bytes);
    let Some(last) = bytes.last_chunk() else {
        return bytes.iter().rev().fold(1, |mask, byte| mask << 1 | u64::from(*byte == b'/'));
    };
    // The last eight bytes overlap those before them, which sets no bit that is not set.
    mask |= bits_of(*last) << (bytes.len() - 8);
    for (at, chunk) in (0..).step_by(8).zip(bytes.as_chunks().0) {
        mask |= bits_of(*chunk) << at;
    }
    mask
}

/// A bit for each byte that is a slash.
#[inline(always)]
fn bits_of(bytes: [u8; 8]) -> u64 {
    let tops = zeros_in(u64::from_le_bytes(bytes) ^ each(b'/'));
    // The product has the top bits of all bytes side by side in its own top byte.
    tops.wrapping_mul(0x0002_0408_1020_4081) >> 56
}

/// Has the top bit of each byte set that is zero.
#[inline(always)]
fn zeros_in(word: u64) -> u64 {
    !(((word & each(0x7f)) + each(0x7f)) | word) & each(0x80)
}

/// A word of eight equal bytes.
#[inline(always)]
const fn each(byte: u8) -> u64 {
    0x0101_0101_0101_0101 * byte as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_past_the_end_gives_slashes() {
        let path = b"/abcdefghijk";
        for start in 0..=path.len() {
            let padded: Vec<u8> = path[start..].iter().copied().chain([b'/'; 8]).take(8).collect();
            assert_eq!(word(&path[start..], last_word(path)).to_le_bytes(), *padded, "{start}");
        }
        assert_eq!(&word(b"/a", last_word(b"/a")).to_le_bytes(), b"/a//////");
        assert_eq!(&word(b"", last_word(b"")).to_le_bytes(), b"////////");
    }

    #[test]
    fn slashes_are_found_in_paths_of_every_length() {
        for len in 1..300 {
            for step in [1, 2, 3, 7, 8, 13, 64, 65, 200, 1000] {
                let path: Vec<_> = (0..len).map(|at| if at % step == 0 { b'/' } else { b'.' }).collect();
                let mut slashes = Slashes::of(&path);
                for want in (1..len).filter(|at| at % step == 0) {
                    assert_eq!(slashes.next(), want, "{step} of {len}");
                }
                assert_eq!(slashes.next(), len, "{step} of {len}");
            }
        }
    }
}
