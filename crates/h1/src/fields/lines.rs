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
        self.next_of(&buf[..buf.len().min(limit)], buf.len() >= limit, bare_lf)
    }

    /// The next line of a buffer that is cut at a limit: a line that does not end in it is too large if the buffer is full.
    #[inline(always)]
    pub(crate) fn next_of(&mut self, window: &[u8], is_full: bool, bare_lf: bool) -> Line {
        let Some(rest) = window.get(self.scanned..) else {
            return Line::Partial; // not the buffer of the last call; waiting for more is safe
        };
        #[cfg(test)]
        {
            self.looked_at += memchr(b'\n', rest).map_or(rest.len(), |found| found + 1);
        }
        let Some(found) = find::<b'\n'>(rest) else {
            self.scanned = window.len();
            return if is_full { Line::TooLarge } else { Line::Partial };
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

/// Where the first `BYTE` is, which is expected to be near: lines and names are short.
///
/// Sixteen bytes at a time, which the compiler makes one comparison of, are 40 instructions a line where a call of `memchr`
/// is 55 (callgrind, 2026-11); from 64 bytes on it is the other way round.
#[inline(never)] // inlined, it takes the registers of the loop around it
pub(crate) fn find<const BYTE: u8>(text: &[u8]) -> Option<usize> {
    let mut rest = text;
    while let Some((block, behind)) = rest.split_first_chunk::<16>() {
        if let Some(at) = find_in_block::<BYTE>(block) {
            return Some(text.len() - rest.len() + at);
        }
        rest = behind;
        if text.len() - rest.len() == 64 {
            return memchr(BYTE, rest).map(|at| 64 + at);
        }
    }
    // What is left is less than a block. The last of all that is read, or will ever be, is most often such a piece.
    if let Some(block) = text.last_chunk::<16>() {
        return find_in_block::<BYTE>(block).map(|at| text.len() - 16 + at);
    }
    if let (Some(start), Some(end)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        return match (marks::<BYTE>(start), marks::<BYTE>(end)) {
            (0, 0) => None,
            (0, marks) => Some(text.len() - 8 + marks.trailing_zeros() as usize / 8),
            (marks, _) => Some(marks.trailing_zeros() as usize / 8),
        };
    }
    text.iter().position(|&b| b == BYTE)
}

/// Where the first `BYTE` of a block is.
#[inline(always)]
fn find_in_block<const BYTE: u8>(block: &[u8; 16]) -> Option<usize> {
    // Without an early exit, so that it becomes one comparison of sixteen bytes.
    if !block.iter().fold(false, |any, &b| any | (b == BYTE)) {
        return None;
    }
    let words = block.as_chunks().0;
    let bit = match marks::<BYTE>(&words[0]) {
        0 => 64 + marks::<BYTE>(&words[1]).trailing_zeros(),
        marks => marks.trailing_zeros(),
    };
    Some(bit as usize / 8)
}

/// The high bit of each `BYTE` in a word; behind the first one, others may be marked too.
#[inline(always)]
fn marks<const BYTE: u8>(word: &[u8; 8]) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // A byte equal to BYTE becomes 0. The lowest byte that the borrow marks is always a real one.
    let diff = u64::from_le_bytes(*word) ^ (ONES * BYTE as u64);
    diff.wrapping_sub(ONES) & !diff & HIGH
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
