//! A stack that keeps its first few items in place, so that a short one needs no memory of its own.

/// Items, the last one on top: the first `N` in place, further ones on the heap.
#[derive(Clone, Debug)]
pub(crate) struct InlineVec<T, const N: usize> {
    len: usize,
    first: [T; N],
    more: Vec<T>,
}

impl<T: Copy + Default, const N: usize> InlineVec<T, N> {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        InlineVec { len: 0, first: [T::default(); N], more: Vec::new() }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_past_the_first_few_are_kept() {
        let mut list = InlineVec::<u32, 2>::new();
        (0..5).for_each(|n| list.push(n));
        assert_eq!(list.pop(), Some(4));
        list.push(9);
        let all: Vec<_> = std::iter::from_fn(|| list.pop()).collect();
        assert_eq!(all, [9, 3, 2, 1, 0]);
    }
}
