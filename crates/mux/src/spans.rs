//! Where in a path the values of wildcards lie.

use std::ops::Range;

/// Byte ranges, in the order of the pattern's wildcards, and the path that they lie in, if it is not the one that was asked for.
///
/// The first eight ranges are kept in place as long as the path is shorter than 64 KiB, so that an ordinary match allocates
/// nothing; otherwise all of them move to the heap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spans {
    near: [(u16, u16); NEAR],
    len: usize,
    /// One word, because it is hardly ever there and every match has it.
    far: Option<Box<Far>>,
}

#[derive(Clone, Debug, Default)]
struct Far {
    spans: Option<Vec<(usize, usize)>>,
    path: Option<Box<str>>,
}

const NEAR: usize = 8;

impl Spans {
    /// The ranges of paths up to this length can be kept in place.
    pub(crate) const NEAR_PATH: usize = u16::MAX as usize;

    pub(crate) fn push(&mut self, start: usize, end: usize) {
        let far = self.far.as_ref().is_some_and(|far| far.spans.is_some());
        if far || end > Self::NEAR_PATH || !self.push_near(start, end) {
            self.push_far(start, end);
        }
    }

    /// Adds a range of a path no longer than [`NEAR_PATH`](Self::NEAR_PATH) to a list of which all are near, if there is room.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "offsets in a path of at most 65535 bytes fit")]
    pub(crate) fn push_near(&mut self, start: usize, end: usize) -> bool {
        debug_assert!(start <= end && end <= Self::NEAR_PATH);
        let Some(place) = self.near.get_mut(self.len) else { return false };
        *place = (start as u16, end as u16);
        self.len += 1;
        true
    }

    fn push_far(&mut self, start: usize, end: usize) {
        let near = &self.near[..self.len.min(NEAR)];
        let moved = || near.iter().map(|(start, end)| (usize::from(*start), usize::from(*end))).collect();
        let far = self.far.get_or_insert_default().spans.get_or_insert_with(moved);
        far.truncate(self.len);
        far.push((start, end));
        self.len += 1;
    }

    /// Forgets all but the first `len` ranges.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    pub(crate) fn get(&self, index: usize) -> Option<Range<usize>> {
        if index >= self.len {
            return None;
        }
        let (start, end) = match self.far.as_ref().and_then(|far| far.spans.as_ref()) {
            None => self.near.get(index).map(|(start, end)| (usize::from(*start), usize::from(*end)))?,
            Some(far) => *far.get(index)?,
        };
        Some(start..end)
    }

    /// Says that the ranges lie in this path.
    pub(crate) fn set_path(&mut self, path: String) {
        self.far.get_or_insert_default().path = Some(path.into());
    }

    /// The path that the ranges lie in, if it is not the one that was asked for.
    pub(crate) fn path(&self) -> Option<&str> {
        self.far.as_ref()?.path.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_kept_whether_near_or_far() {
        let mut spans = Spans::default();
        (0..12).for_each(|n| spans.push(n, n + 1));
        assert_eq!(
            (spans.get(0), spans.get(7), spans.get(11), spans.get(12)),
            (Some(0..1), Some(7..8), Some(11..12), None)
        );
        spans.truncate(3);
        spans.push(70_000, 70_001);
        assert_eq!((spans.get(2), spans.get(3), spans.get(4)), (Some(2..3), Some(70_000..70_001), None));
        let mut far = Spans::default();
        far.set_path("/x".into());
        far.push(1, 2);
        far.push(1, 70_000);
        assert_eq!((far.get(0), far.get(1), far.path()), (Some(1..2), Some(1..70_000), Some("/x")));
    }
}
