//! A list that keeps its first few items in place, so that a short one needs no memory of its own.

/// Items in order: the first `N` in place, further ones on the heap.
#[derive(Clone, Debug)]
pub(crate) struct InlineVec<T, const N: usize> {
    len: usize,
    first: [T; N],
    more: Vec<T>,
}

impl<T: Copy + Default, const N: usize> InlineVec<T, N> {
    #[inline]
    pub(crate) fn new() -> Self {
        InlineVec { len: 0, first: [T::default(); N], more: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn push(&mut self, item: T) {
        match self.first.get_mut(self.len) {
            Some(place) => *place = item,
            None => self.push_more(item),
        }
        self.len += 1;
    }

    #[cold]
    fn push_more(&mut self, item: T) {
        self.more.push(item);
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        let last = self.len.checked_sub(1)?;
        self.len = last;
        match self.first.get(last) {
            Some(item) => Some(*item),
            None => self.more.pop(),
        }
    }

    /// Forgets all but the first `len` items.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.more.truncate(len.saturating_sub(N));
        self.len = self.len.min(len);
    }

    pub(crate) fn get(&self, index: usize) -> Option<T> {
        if index >= self.len {
            return None;
        }
        self.first.get(index).or_else(|| self.more.get(index - N)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_past_the_first_few_are_kept() {
        let mut list = InlineVec::<u32, 2>::new();
        (0..5).for_each(|n| list.push(n));
        assert_eq!((list.get(1), list.get(4), list.get(5)), (Some(1), Some(4), None));
        assert_eq!(list.pop(), Some(4));
        list.truncate(3);
        assert_eq!((list.get(2), list.get(3), list.len()), (Some(2), None, 3));
        list.push(9);
        assert_eq!((list.get(3), list.pop(), list.pop(), list.pop()), (Some(9), Some(9), Some(2), Some(1)));
    }
}
