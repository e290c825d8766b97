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

/// Has the top bit of a byte set where the lowest slash stands; bits above that one mean nothing.
#[inline(always)]
pub(crate) fn slashes_in(word: u64) -> u64 {
    let zero_at_slash = word ^ each(b'/');
    zero_at_slash.wrapping_sub(each(1)) & !zero_at_slash & each(0x80)
}

/// Which bytes a word has up to and with the lowest slash, given [`slashes_in`] it: all, if there is none.
#[inline(always)]
pub(crate) fn up_to(slashes: u64) -> u64 {
    slashes ^ slashes.wrapping_sub(1)
}

/// How many bytes stand below the lowest slash, which is there.
#[inline(always)]
pub(crate) fn bytes_below(slashes: u64) -> u32 {
    slashes.trailing_zeros() / 8
}

/// Has top bits set at bytes that may have to be escaped. Slashes, letters, digits and `-._:` are none of them; some plain bytes that
/// are rare are, because exactness would cost more than it saves.
#[inline(always)]
pub(crate) fn doubtful_in(word: u64) -> u64 {
    // The additions set a byte's top bit if the byte is not less than a bound; no sum is larger than a byte.
    let (low, upper) = (word & each(0x7f), word & each(0x5f));
    let letters = (upper + each(0x80 - b'A')) ^ (upper + each(0x80 - b'['));
    let digits = (low + each(0x80 - b'-')) ^ (low + each(0x80 - b';'));
    let not_underscore = (low ^ each(b'_')) + each(0x7f);
    // A letter is one only in the upper half, where the bit of 64 is set; without that, `upper` is less than `A`.
    (word | !(letters | digits) & not_underscore) & each(0x80)
}

/// Whether a path's rest, which follows a slash, is certain to be clean and to have nothing in it that should be escaped. `false` means
/// that it is not certain.
#[inline]
pub(crate) fn surely_plain(rest: &[u8]) -> bool {
    let mut doubt = 0;
    let mut after_slash = 0x80;
    let mut chunks = rest.chunks_exact(8);
    for chunk in &mut chunks {
        let word = chunk.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        doubt |= doubtful_in(word) | (slashes_or_dots_in(word) & (exactly_slashes_in(word) << 8 | after_slash));
        after_slash = exactly_slashes_in(word) >> 56;
    }
    // Letters past the end say nothing.
    let word = chunks.remainder().iter().rev().fold(each(b'a'), |word, byte| word << 8 | u64::from(*byte));
    doubt |= doubtful_in(word) | (slashes_or_dots_in(word) & (exactly_slashes_in(word) << 8 | after_slash));
    doubt == 0
}

/// Has the top bit of each byte set that is a slash.
#[inline(always)]
fn exactly_slashes_in(word: u64) -> u64 {
    zeros_in(word ^ each(b'/'))
}

/// Has the top bit of each byte set that is a slash or a dot, which differ in the lowest bit.
#[inline(always)]
fn slashes_or_dots_in(word: u64) -> u64 {
    zeros_in((word ^ each(b'.')) & each(0xfe))
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
    use crate::clean::is_plain_path;

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
    fn no_byte_is_taken_for_plain_that_is_not() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                let mut bytes = *b"abcdefgh";
                bytes[at] = byte;
                let doubt = doubtful_in(u64::from_le_bytes(bytes));
                let usual = byte.is_ascii_alphanumeric() || b"-._/:".contains(&byte);
                assert_eq!(doubt, if usual { 0 } else { 0x80 << (8 * at) }, "{byte}");
                let path = [b"/", &bytes[..], b"/xyz"].concat();
                assert!(is_plain_path(&path) || !surely_plain(&path[1..]), "{byte} at {at}");
            }
        }
    }

    #[test]
    fn paths_that_are_not_clean_are_doubtful_wherever_it_shows() {
        for lead in 0..20 {
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
                let rest = format!("{}{tail}", "a".repeat(lead));
                let want = want && !rest.starts_with('/');
                assert_eq!(surely_plain(rest.as_bytes()), want, "{rest}");
            }
        }
    }
}
