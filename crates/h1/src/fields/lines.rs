//! Finding line ends in a growing buffer, looking at each byte once.

use std::ops::Range;

use memchr::memchr;

/// How far a buffer has been scanned: `start <= scanned <= buf.len()`, with no LF in `start..scanned`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lines {
    start: usize,
    scanned: usize,
    /// How many bytes were searched in all, for the tests that bound the work.
    #[cfg(test)]
    pub(crate) looked_at: usize,
}

/// What [`Lines::next`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line, without its end.
    Complete(Range<usize>),
    /// A line that ends with LF alone although it may not.
    BareLf(Range<usize>),
    /// More bytes are needed.
    Partial,
    /// The line does not end within the limit.
    TooLarge,
}

impl Lines {
    /// Where the next line begins, which is how many bytes the lines so far had.
    pub(crate) fn start(&self) -> usize {
        self.start
    }

    /// The next line.
    ///
    /// A line counts as too large when its end lies beyond `limit` bytes from the beginning of `buf`, or will: the answer is
    /// the same in whatever pieces the bytes arrive.
    #[inline]
    pub(crate) fn next(&mut self, buf: &[u8], limit: usize, bare_lf: bool) -> Line {
        let window = &buf[..buf.len().min(limit)];
        let Some(rest) = window.get(self.scanned..) else {
            return Line::Partial; // not the buffer of the last call; waiting for more is safe
        };
        #[cfg(test)]
        {
            self.looked_at += memchr(b'\n', rest).map_or(rest.len(), |found| found + 1);
        }
        let Some(found) = memchr(b'\n', rest) else {
            self.scanned = window.len();
            return if buf.len() >= limit { Line::TooLarge } else { Line::Partial };
        };
        let lf = self.scanned + found;
        let start = self.start;
        self.start = lf + 1;
        self.scanned = lf + 1;
        // RFC 9112 section 2.2: a line ends with CRLF; a CR anywhere else is left in the line and refused there.
        if lf > start && window[lf - 1] == b'\r' {
            Line::Complete(start..lf - 1)
        } else if bare_lf {
            Line::Complete(start..lf)
        } else {
            Line::BareLf(start..lf)
        }
    }
}

/// Where the first `BYTE` of a short text is.
///
/// Field names are so short that eight bytes at a time, inline, beat a call into a vectorised search (callgrind, 2026-11: 30
/// instructions against 50). For whole lines it is the other way round.
#[inline(always)] // 10 instructions a field less than a call (callgrind, 2026-11)
pub(crate) fn find<const BYTE: u8>(text: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut rest = text;
    let mut passed = 0;
    while let Some((word, behind)) = rest.split_first_chunk::<8>() {
        // A byte equal to BYTE becomes 0. The lowest byte that the borrow marks is always a real one.
        let diff = u64::from_le_bytes(*word) ^ (ONES * BYTE as u64);
        let marks = diff.wrapping_sub(ONES) & !diff & HIGH;
        if marks != 0 {
            return Some(passed + marks.trailing_zeros() as usize / 8);
        }
        passed += 8;
        rest = behind;
        if passed == 64 {
            return memchr(BYTE, rest).map(|i| passed + i);
        }
    }
    rest.iter().position(|&b| b == BYTE).map(|i| passed + i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_agrees_with_a_plain_search() {
        for len in 0..100 {
            for at in 0..len {
                for noise in [b'x', b'\n' ^ 1, b'\n' ^ 0x80, 0, 0xff] {
                    let mut text = vec![noise; len];
                    text[at] = b'\n';
                    assert_eq!(find::<b'\n'>(&text), Some(at), "{noise:#x}");
                    text[len - 1] = b'\n';
                    assert_eq!(find::<b'\n'>(&text), Some(at));
                    assert_eq!(find::<b'\n'>(&text[..at]), None);
                }
            }
        }
    }

    #[test]
    fn each_byte_is_looked_at_once() {
        let mut lines = Lines::default();
        assert_eq!(lines.next(b"ab", 100, false), Line::Partial);
        // The bytes already seen are not read again, so a change to them goes unnoticed.
        assert_eq!(lines.next(b"\n\nc\r\nd", 100, false), Line::Complete(0..3));
        assert_eq!(lines.next(b"\n\nc\r\nd", 100, false), Line::Partial);
    }
}
