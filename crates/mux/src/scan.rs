//! One look at a path, sixteen bytes at a time: whether it is certain to stand for itself, and where its slashes are.

use wide::{CmpEq, CmpGt, i8x16};

/// The slashes in a path of fewer than 64 bytes, and its end, as bits; the slash that it begins with is not among them.
///
/// 0 if it is not certain that the path begins with a slash and is clean, and that nothing in it is escaped or should be: some
/// plain bytes are rare, and a segment that begins with a dot is looked at closely.
#[inline(always)]
pub(crate) fn scan(path: &[u8]) -> u64 {
    let Some(last) = path.last_chunk() else { return scan_word_or_two(path) };
    // The last chunk may overlap the one before it, which sets no bit that is not set.
    let mut found = Found::of(last).above(path.len() - 16);
    for (at, chunk) in (0..).step_by(16).zip(path.as_chunks().0) {
        found = found.and(Found::of(chunk).above(at));
    }
    found.slashes_if_plain(path.len())
}

/// The same for paths of fewer than 16 bytes.
#[inline(always)]
fn scan_word_or_two(path: &[u8]) -> u64 {
    let (Some(first), Some(last)) = (path.first_chunk(), path.last_chunk()) else { return scan_short(path) };
    // The first eight bytes and the last, which may overlap.
    let bytes = u128::from(u64::from_le_bytes(*last)) << 64 | u128::from(u64::from_le_bytes(*first));
    let Found { slashes, separators, plain } = Found::of(&bytes.to_le_bytes());
    let joined = |bits: u64| bits & 0xff | bits >> 8 << (path.len() - 8);
    Found { slashes: joined(slashes), separators: joined(separators), plain }.slashes_if_plain(path.len())
}

/// The same for paths of fewer than eight bytes.
#[inline(never)]
fn scan_short(path: &[u8]) -> u64 {
    let bytes = path.iter().rev().fold(LETTERS, |bytes, byte| bytes << 8 | u128::from(*byte));
    Found::of(&bytes.to_le_bytes()).slashes_if_plain(path.len())
}

/// The same for paths of 64 bytes and more, of which only the first 64 are told; `None` if it is not certain.
pub(crate) fn scan_long(path: &[u8]) -> Option<u64> {
    let mut slashes = 0;
    // Whether the byte before the first one is a slash.
    let mut after_slash = 0;
    for (block, bytes) in path.chunks(64).enumerate() {
        let found = match bytes.last_chunk() {
            Some(last) => {
                let ends = Found::of(last).above(bytes.len() - 16);
                let chunks = (0..).step_by(16).zip(bytes.as_chunks().0);
                chunks.fold(ends, |found, (at, chunk)| found.and(Found::of(chunk).above(at)))
            }
            None => {
                // The path's last bytes, fewer than 16. Those before them are known.
                let Found { slashes, separators, plain } = Found::of(path.last_chunk()?);
                let known = 16 - bytes.len();
                Found { slashes: slashes >> known, separators: separators >> known, plain }
            }
        };
        if found.doubts() | (found.separators & after_slash) != 0 {
            return None;
        }
        after_slash = found.slashes >> 63;
        if block == 0 {
            slashes = found.slashes & !1;
        }
    }
    path.starts_with(b"/").then_some(slashes)
}

/// What stands in some bytes of a path, a bit for each byte.
#[derive(Clone, Copy)]
struct Found {
    slashes: u64,
    /// Slashes and dots.
    separators: u64,
    /// Set where the bytes are neither escaped, nor should be, nor plain and rare: in all chunks that have been put together.
    plain: i8x16,
}

impl Found {
    #[inline(always)]
    fn of(chunk: &[u8; 16]) -> Self {
        let bytes = i8x16::new(chunk.map(u8::cast_signed));
        let each = |byte: u8| i8x16::new([byte.cast_signed(); 16]);
        // Comparison is signed. Letters are on top when 5 is added, `&` to `;` when 68 is.
        let letters = ((bytes | each(0x20)) + each(5)).cmp_gt(each(0x65));
        let low = (bytes + each(68)).cmp_gt(each(0x69));
        Found {
            slashes: bits(bytes.cmp_eq(each(b'/'))),
            separators: bits((bytes | each(1)).cmp_eq(each(b'/'))),
            plain: letters | low | bytes.cmp_eq(each(b'_')),
        }
    }

    /// The same bytes, `at` bytes further on.
    #[inline(always)]
    fn above(self, at: usize) -> Self {
        Found { slashes: self.slashes << at, separators: self.separators << at, ..self }
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Found {
            slashes: self.slashes | other.slashes,
            separators: self.separators | other.separators,
            plain: self.plain & other.plain,
        }
    }

    /// Not zero if some byte is not plain, or is a dot or slash behind a slash.
    #[inline(always)]
    fn doubts(self) -> u64 {
        (bits(self.plain) ^ 0xffff) | (self.separators & self.slashes << 1)
    }

    /// The slashes of a whole path and its end, or 0.
    #[inline(always)]
    fn slashes_if_plain(self, len: usize) -> u64 {
        let first_is_none = !self.slashes & 1;
        if self.doubts() | first_is_none == 0 { (self.slashes ^ 1) | 1 << (len & 63) } else { 0 }
    }
}

#[inline(always)]
fn bits(mask: i8x16) -> u64 {
    u64::from(mask.move_mask().cast_unsigned())
}

const LETTERS: u128 = u128::from_le_bytes([b'a'; 16]);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clean::is_plain_path;
    use crate::words::Slashes;

    /// Of a path of any length.
    fn scan(path: &[u8]) -> Option<u64> {
        if path.len() < 64 { Some(super::scan(path)).filter(|slashes| *slashes != 0) } else { scan_long(path) }
    }

    #[test]
    fn no_byte_is_taken_for_plain_that_is_not() {
        for len in (1..40).chain([62, 63, 64, 79, 80, 81, 128, 140]) {
            for at in (1..=len).filter(|at| *at < 20 || len - at < 20 || at % 16 < 2) {
                for byte in 0..=u8::MAX {
                    let mut path = vec![b'a'; len + 1];
                    path[0] = b'/';
                    path[at] = byte;
                    let usual = byte.is_ascii_alphanumeric() || b"&'()*+,-./:;_".contains(&byte);
                    let clean = at > 1 || (byte != b'/' && byte != b'.');
                    let found = scan(&path);
                    assert_eq!(found.is_some(), usual && clean, "{byte} at {at} of {len}");
                    assert!(is_plain_path(&path) || found.is_none(), "{byte} at {at} of {len}");
                }
            }
        }
    }

    #[test]
    fn paths_that_are_not_clean_are_doubtful_wherever_it_shows() {
        for lead in 1..140 {
            for (tail, want) in [
                ("", true),
                ("/", true),
                ("//", false),
                ("/./b", false),
                ("/..", false),
                ("/a.b/c.", true),
                ("/a/b/cdefghi/", true),
                ("/a//cdefghij", false),
                ("/a/%2F", false),
            ] {
                let path = format!("/{}{tail}", "a".repeat(lead));
                let found = scan(path.as_bytes());
                assert_eq!(found.is_some(), want, "{path}");
                if let Some(slashes) = found {
                    assert_eq!(slashes, Slashes::of(path.as_bytes()).mask(), "{path}");
                }
            }
        }
        assert_eq!(scan(b"/"), Some(2));
        assert_eq!((scan(b"//"), scan(b"/."), scan(b"/a")), (None, None, Some(4)));
    }
}
