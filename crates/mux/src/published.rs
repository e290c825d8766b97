//! The tables that lookups have been given: how a lookup finds the newest without a lock, a guard or a count of who reads.

use std::array;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, Guard};

use crate::matched::Held;
use crate::table::Table;

/// So many tables are kept for good. What they cost together is bounded by this number, and only programs that register while
/// they serve have more than one.
pub(crate) const KEPT: usize = 64;

/// Tables in the order of their publication.
///
/// The first [`KEPT`] stay where they are as long as the router lives, so a lookup borrows one and neither it nor the match
/// has to say when it is done: one load is all that a lookup pays. Later tables come and go through arc-swap, which costs a
/// lookup two atomic read-modify-writes.
pub(crate) struct Published<T> {
    /// How many there are, up to `KEPT`; one more than that if the newest is in `swapped`. Where it points to is written before.
    count: AtomicUsize,
    kept: [OnceLock<Arc<Table<T>>>; KEPT],
    swapped: OnceLock<ArcSwap<Table<T>>>,
}

impl<T> Published<T> {
    pub(crate) fn new() -> Self {
        let kept = array::from_fn(|_| OnceLock::new());
        Published { count: AtomicUsize::new(0), kept, swapped: OnceLock::new() }
    }

    /// The newest table if it is one that is kept: the way of nearly all lookups.
    #[inline(always)]
    pub(crate) fn kept(&self) -> Option<&Arc<Table<T>>> {
        let newest = self.count.load(Ordering::Acquire).wrapping_sub(1);
        self.kept.get(newest)?.get()
    }

    /// The newest table if it is not one that is kept.
    #[inline]
    pub(crate) fn swapped(&self) -> Option<Guard<Arc<Table<T>>>> {
        self.swapped.get().map(ArcSwap::load)
    }

    /// The newest table; `None` if there has not been one.
    pub(crate) fn newest(&self) -> Option<Held<'_, T>> {
        self.kept().map(|table| Held::Borrowed(table)).or_else(|| self.swapped().map(Held::Loaded))
    }

    /// The newest table, to keep.
    pub(crate) fn newest_shared(&self) -> Option<Arc<Table<T>>> {
        self.kept().cloned().or_else(|| self.swapped.get().map(ArcSwap::load_full))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Makes a table the newest. The caller lets nobody else publish meanwhile.
    pub(crate) fn publish(&self, table: Arc<Table<T>>) {
        let count = self.count.load(Ordering::Acquire);
        match self.kept.get(count) {
            Some(free) => {
                let taken = free.set(table).is_err();
                debug_assert!(!taken, "two threads publish at once");
            }
            None => match self.swapped.get() {
                Some(swapped) => return swapped.store(table),
                None => drop(self.swapped.get_or_init(|| ArcSwap::new(table))),
            },
        }
        self.count.store(count + 1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Match, Router};

    fn value(router: &Router<usize>, path: &str) -> Option<usize> {
        router.at("GET", "", path).found().map(|found| *found.value())
    }

    #[test]
    fn what_is_registered_before_the_first_lookup_makes_one_table() {
        let router = Router::new();
        for n in 0..200 {
            router.insert(&format!("/{n}"), n).unwrap();
            assert_eq!((router.patterns().len(), router.freeze().patterns().len()), (n + 1, n + 1));
        }
        assert!(router.insert("/0", 0).is_err());
        assert!(router.published().is_empty());
        let frozen = router.freeze();
        assert_eq!((value(&router, "/0"), value(&router, "/199")), (Some(0), Some(199)));
        assert_eq!(router.published().count.load(Ordering::Acquire), 1);
        assert!(frozen.shares(&router.freeze()), "the first lookup makes no second table");
    }

    #[test]
    fn what_is_registered_later_is_found_at_once_and_only_so_many_tables_are_kept() {
        let router = Router::new();
        assert_eq!(value(&router, "/0"), None);
        for n in 0..3 * KEPT {
            let before = router.at("GET", "", "/");
            router.insert(&format!("/{n}"), n).unwrap();
            assert_eq!((value(&router, &format!("/{n}")), value(&router, "/0")), (Some(n), Some(0)));
            assert!(matches!(before, Match::NotFound));
            assert_eq!(router.published().count.load(Ordering::Acquire), (n + 2).min(KEPT + 1));
            assert_eq!(router.patterns().len(), n + 1);
        }
    }

    /// A value that is replaced goes with the last table that has it: with the router, or with the last match.
    #[test]
    fn tables_beyond_those_that_are_kept_are_dropped() {
        let router = Router::new();
        router.insert("/", Arc::new(0)).unwrap();
        let weak = |router: &Router<Arc<usize>>| Arc::downgrade(router.at("GET", "", "/").found().unwrap().value());
        let mut values = vec![weak(&router)];
        for n in 1..2 * KEPT {
            router.map_values(|_| Arc::new(n));
            values.push(weak(&router));
        }
        let live = |values: &[std::sync::Weak<usize>]| values.iter().filter(|value| value.upgrade().is_some()).count();
        assert_eq!(live(&values), KEPT + 1, "those that are kept, and the newest");
        let held = router.at("GET", "", "/").found().unwrap();
        router.map_values(|_| Arc::new(0));
        assert_eq!((live(&values), **held.value()), (KEPT + 1, 2 * KEPT - 1), "a match holds its table");
        drop(held);
        assert_eq!(live(&values), KEPT);
        drop(router);
        assert_eq!(live(&values), 0);
    }
}
