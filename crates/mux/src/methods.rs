//! Methods as small numbers, and sets of them.

use std::ops::{BitAnd, BitOr, BitOrAssign};

/// The number of a method in one router. The nine of RFC 9110 and RFC 5789 have fixed ones; others get theirs when a pattern
/// first names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MethodId(u32);

impl MethodId {
    pub(crate) const GET: MethodId = MethodId(0);
    pub(crate) const HEAD: MethodId = MethodId(1);
    pub(crate) const CONNECT: MethodId = MethodId(5);
    /// A method that no pattern names: only patterns for every method take it.
    pub(crate) const UNNAMED: MethodId = MethodId(u32::MAX);

    /// The methods with fixed numbers, in their order.
    pub(crate) fn usual() -> impl Iterator<Item = MethodId> {
        (0..).take(KNOWN.len()).map(MethodId)
    }

    #[inline]
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
    #[inline]
    pub(crate) fn id(&self, method: &str) -> MethodId {
        match method {
            "GET" => MethodId::GET,
            "POST" => MethodId(2),
            _ => self.rarer_id(method),
        }
    }

    /// Spelled out, because comparing with a text that is known takes an instruction or two and no call.
    #[inline(never)]
    fn rarer_id(&self, method: &str) -> MethodId {
        MethodId(match method {
            "HEAD" => 1,
            "POST" => 2,
            "PUT" => 3,
            "DELETE" => 4,
            "CONNECT" => 5,
            "OPTIONS" => 6,
            "TRACE" => 7,
            "PATCH" => 8,
            _ => return self.other_id(method),
        })
    }

    #[cold]
    #[inline(never)]
    fn other_id(&self, method: &str) -> MethodId {
        let other = self.others.iter().position(|other| **other == *method);
        other.map_or(MethodId::UNNAMED, |other| number(KNOWN.len() + other))
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
}

fn number(index: usize) -> MethodId {
    u32::try_from(index).map_or(MethodId::UNNAMED, MethodId)
}

/// The methods with fixed numbers, in that order.
pub(crate) const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// A set of methods in a word: a bit for each of the first, and the top bit for all others together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MethodMask(u64);

impl MethodMask {
    pub(crate) const NONE: MethodMask = MethodMask(0);
    /// Every method, named or not.
    pub(crate) const ALL: MethodMask = MethodMask(u64::MAX);
    /// Some method that has no bit of its own.
    pub(crate) const OTHERS: MethodMask = MethodMask(1 << 63);

    pub(crate) fn of(method: MethodId) -> Self {
        MethodMask(1 << method.index().min(63))
    }

    #[inline]
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        MethodMask(bits)
    }

    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the set has a method that has no bit of its own.
    pub(crate) fn has_others(self) -> bool {
        self.0 & Self::OTHERS.0 != 0
    }

    /// The methods that have a bit of their own.
    pub(crate) fn iter(self) -> impl Iterator<Item = MethodId> {
        (0..63).filter(move |bit| self.0 & (1 << bit) != 0).map(MethodId)
    }
}

impl BitAnd for MethodMask {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        MethodMask(self.0 & other.0)
    }
}

impl BitOr for MethodMask {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        MethodMask(self.0 | other.0)
    }
}

impl BitOrAssign for MethodMask {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_of_any_name_and_number_are_told_apart() {
        let mut methods = Methods::default();
        let usual: Vec<_> = KNOWN.iter().map(|name| methods.id(name)).collect();
        assert_eq!(usual, MethodId::usual().collect::<Vec<_>>());
        let ids: Vec<_> = (0..100).map(|n| methods.intern(&format!("M{n}"))).collect();
        assert_eq!(methods.name(ids[99]), "M99");
        assert_eq!(methods.id("M99"), ids[99]);
        assert_eq!((methods.id("get"), methods.id("CONNECT")), (MethodId::UNNAMED, MethodId::CONNECT));
        let mask = MethodMask::of(ids[3]) | MethodMask::of(ids[99]);
        assert_eq!((mask.iter().collect::<Vec<_>>(), mask.has_others()), (vec![ids[3]], true));
    }
}
