//! Where in a path the values of wildcards lie.
//!
//! A lookup does not say: a pattern's segments stand for a path's one by one, so that the values can be found when they are asked
//! for. That keeps matches small. They are returned in registers, and copying one never waits for memory just written.

use std::iter::FusedIterator;
use std::ops::Range;
use std::slice;

use crate::pattern::{Pattern, Segment};
use crate::words::Slashes;

/// Which segments of a pattern are wildcards with names.
#[derive(Debug)]
pub(crate) struct Wilds {
    segments: Box<[usize]>,
    /// Whether the last of them is a rest.
    rest: bool,
}

impl Wilds {
    pub(crate) fn of(pattern: &Pattern) -> Self {
        let segments = pattern.segments().iter().enumerate();
        let named = segments.filter(|(_, segment)| matches!(segment, Segment::Wild(_) | Segment::Rest(Some(_))));
        Wilds {
            segments: named.map(|(at, _)| at).collect(),
            rest: matches!(pattern.segments().last(), Some(Segment::Rest(Some(_)))),
        }
    }

    /// The byte ranges of the values in a path that the pattern matches, in the pattern's order.
    pub(crate) fn ranges<'a>(&'a self, slashes: Slashes<'a>) -> Ranges<'a> {
        Ranges { slashes, wanted: self.segments.iter(), rest: self.rest, segment: 0, start: 1 }
    }
}

/// The ranges of values.
#[derive(Clone, Debug)]
pub(crate) struct Ranges<'a> {
    slashes: Slashes<'a>,
    wanted: slice::Iter<'a, usize>,
    rest: bool,
    /// The number of the segment that begins at `start`.
    segment: usize,
    start: usize,
}

impl Iterator for Ranges<'_> {
    type Item = Range<usize>;

    #[inline]
    fn next(&mut self) -> Option<Range<usize>> {
        let wanted = *self.wanted.next()?;
        while self.segment < wanted {
            self.start = self.slashes.next() + 1;
            self.segment += 1;
        }
        if self.rest && self.wanted.len() == 0 {
            return Some(self.start..self.slashes.path_len());
        }
        let start = self.start;
        let end = self.slashes.next();
        (self.start, self.segment) = (end + 1, self.segment + 1);
        Some(start..end)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.wanted.size_hint()
    }
}

impl ExactSizeIterator for Ranges<'_> {}

impl FusedIterator for Ranges<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_wherever_they_lie() {
        let long = format!("/a/{}/b/{}/c", "x".repeat(100), "y".repeat(100));
        for (pattern, path, want) in [
            ("/a/b", "/a/b", vec![]),
            ("/{x}", "/7", vec!["7"]),
            ("/a/{x}/b/{y}", "/a/1/b/23", vec!["1", "23"]),
            ("/{x}/{y}/{$}", "/1/2/", vec!["1", "2"]),
            ("/a/{x}/", "/a/1/2/3", vec!["1"]),
            ("/a/{rest...}", "/a/", vec![""]),
            ("/{x}/b/{rest...}", "/1/b/2/3/", vec!["1", "2/3/"]),
            ("/{rest...}", "/1/2", vec!["1/2"]),
            ("/a/{x}/b/{y}/{z}", &long, vec![&long[3..103], &long[106..206], "c"]),
        ] {
            let wilds = Wilds::of(&pattern.parse().unwrap());
            let values: Vec<_> = wilds.ranges(Slashes::of(path.as_bytes())).map(|range| &path[range]).collect();
            assert_eq!(values, want, "{pattern}");
            assert_eq!(wilds.ranges(Slashes::of(path.as_bytes())).len(), want.len());
        }
    }
}
