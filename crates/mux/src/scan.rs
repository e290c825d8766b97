//! One look at a path, sixteen bytes at a time: whether it is certain to stand for itself, and where its slashes are.

use wide::{CmpEq, CmpGt, i8x16};

use crate::words::{last_word, word};

/// The slashes among the first 64 bytes of a path, and its end if it is there, as bits; the path begins with a slash, which is not
/// among them.
///
/// `None` if it is not certain that the path is clean, and that nothing in it is escaped or should be: some plain bytes are rare,
/// and a segment that begins with a dot is looked at closely.
#[inline(always)]
pub(crate) fn scan(path: &[u8]) -> Option<u64> {
    let Some(last) = path.last_chunk().filter(|_| path.len() < 64) else { return scan_unusual(path) };
    // The last chunk may overlap the one before it, which sets no bit that is not set.
    let mut found = Found::of(last).above(path.len() - 16);
    for (at, chunk) in (0..).step_by(16).zip(path.as_chunks().0) {
        found = found.and(Found::of(chunk).above(at));
    }
    found.is_plain().then_some((found.slashes | 1 << path.len()) & !1)
}

/// Paths of fewer than 16 bytes, or more than 63.
#[inline(never)]
fn scan_unusual(path: &[u8]) -> Option<u64> {
    let len = path.len();
    if len < 16 {
        // Two words, the second one with slashes behind the path's end, which are made letters.
        let last = last_word(path);
        let words = [word(path, last), word(path.get(8..).unwrap_or_default(), last)];
        let bytes =
            (u128::from(words[1]) << 64 | u128::from(words[0])) & !(u128::MAX << (8 * len)) | LETTERS << (8 * len);
        let found = Found::of(&bytes.to_le_bytes());
        return found.is_plain().then_some((found.slashes | 1 << len) & !1);
    }
    let mut slashes = 0;
    // The byte before the first one.
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
                let Found { slashes, separators, doubts } = Found::of(path.last_chunk()?);
                let known = 16 - bytes.len();
                Found { slashes: slashes >> known, separators: separators >> known, doubts }
            }
        };
        if !found.is_plain() || found.separators & after_slash != 0 {
            return None;
        }
        after_slash = found.slashes >> 63;
        if block == 0 {
            slashes = found.slashes & !1;
        }
    }
    Some(slashes)
}

/// What stands in some bytes of a path, a bit for each byte.
#[derive(Clone, Copy)]
struct Found {
    slashes: u64,
    /// Slashes and dots.
    separators: u64,
    /// Not zero, if there are bytes that are escaped or should be, or plain and rare.
    doubts: u64,
}

impl Found {
    #[inline(always)]
    fn of(chunk: &[u8; 16]) -> Self {
        let bytes = i8x16::new(chunk.map(u8::cast_signed));
        let each = |byte: u8| i8x16::new([byte.cast_signed(); 16]);
        // Comparison is signed. Letters are on top when 5 is added, `&` to `;` when 68 is.
        let letters = ((bytes | each(0x20)) + each(5)).cmp_gt(each(0x65));
        let low = (bytes + each(68)).cmp_gt(each(0x69));
        let plain = letters | low | bytes.cmp_eq(each(b'_'));
        Found {
            slashes: bits(bytes.cmp_eq(each(b'/'))),
            separators: bits((bytes | each(1)).cmp_eq(each(b'/'))),
            doubts: bits(plain) ^ 0xffff,
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
            doubts: self.doubts | other.doubts,
        }
    }

    /// Whether all bytes are plain, and none is a dot or slash behind a slash.
    #[inline(always)]
    fn is_plain(self) -> bool {
        self.doubts | (self.separators & self.slashes << 1) == 0
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
