//! Methods as small numbers, and sets of them.

use std::fmt;

/// The number of a method in one router. The nine of RFC 9110 and RFC 5789 have fixed ones; others get theirs when a pattern
/// first names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MethodId(u32);

impl MethodId {
    pub(crate) const GET: MethodId = MethodId(0);
    pub(crate) const HEAD: MethodId = MethodId(1);
    /// A method that no pattern names: only patterns for every method take it.
    pub(crate) const UNNAMED: MethodId = MethodId(u32::MAX);

    /// The methods with fixed numbers, in their order.
    pub(crate) fn usual() -> impl Iterator<Item = MethodId> {
        (0..).take(KNOWN.len()).map(MethodId)
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// All methods that a router's patterns name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Methods {
    others: Vec<Box<str>>,
}

impl Methods {
    pub(crate) fn id(&self, method: &str) -> MethodId {
        match method {
            "GET" => MethodId::GET,
            "HEAD" => MethodId::HEAD,
            _ => self.rarer_id(method),
        }
    }

    fn rarer_id(&self, method: &str) -> MethodId {
        let known = KNOWN.iter().position(|known| *known == method);
        let other = || Some(KNOWN.len() + self.others.iter().position(|other| **other == *method)?);
        known.or_else(other).map_or(MethodId::UNNAMED, number)
    }

    /// The number of a method that may be new.
    pub(crate) fn intern(&mut self, method: &str) -> MethodId {
        match self.id(method) {
            MethodId::UNNAMED => {
                self.others.push(method.into());
                number(KNOWN.len() + self.others.len() - 1)
            }
            id => id,
        }
    }

    pub(crate) fn name(&self, id: MethodId) -> &str {
        match KNOWN.get(id.index()) {
            Some(known) => known,
            None => self.others.get(id.index() - KNOWN.len()).map_or("", |name| name),
        }
    }

    /// The names of a set, sorted.
    pub(crate) fn names(&self, set: &MethodSet) -> Vec<&str> {
        let mut names: Vec<_> = set.iter().map(|id| self.name(id)).collect();
        names.sort_unstable();
        names
    }
}

fn number(index: usize) -> MethodId {
    u32::try_from(index).map_or(MethodId::UNNAMED, MethodId)
}

/// The methods with fixed numbers, in that order.
pub(crate) const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// A set of methods: a word for the first 64, so that an ordinary set needs no memory of its own.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct MethodSet {
    word: u64,
    more: Vec<MethodId>,
}

impl MethodSet {
    pub(crate) fn insert(&mut self, id: MethodId) {
        if id.index() < 64 {
            self.word |= 1 << id.index();
        } else if !self.more.contains(&id) {
            self.more.push(id);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.word == 0 && self.more.is_empty()
    }

    #[inline]
    pub(crate) fn extend(&mut self, other: &MethodSet) {
        self.word |= other.word;
        other.more.iter().for_each(|id| self.insert(*id));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = MethodId> {
        let word = self.word;
        (0..64).filter(move |bit| word & (1 << bit) != 0).map(MethodId).chain(self.more.iter().copied())
    }
}

impl fmt::Debug for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_of_any_name_and_number_are_told_apart() {
        let mut methods = Methods::default();
        let ids: Vec<_> = (0..100).map(|n| methods.intern(&format!("M{n}"))).collect();
        let mut set = MethodSet::default();
        ids.iter().rev().step_by(2).for_each(|id| set.insert(*id));

        assert_eq!(methods.name(ids[99]), "M99");
        assert_eq!(methods.id("M99"), ids[99]);
        assert_eq!(methods.id("get"), MethodId::UNNAMED);
        assert_eq!(methods.names(&set).len(), 50);
    }
}
