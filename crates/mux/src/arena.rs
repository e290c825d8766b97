//! The frozen form of a router: flat arrays that lookups read and nothing changes.
//!
//! - [`Node`]: a place in the path after some segments: where its literal children, its wildcard child and its leaves are.
//! - [`Slot`]: one literal child in its parent's hash table. Small tables have no collisions, so one look decides.
//! - [`Leaf`]: the patterns of one path, found by the number of the method.
//!
//! All references are numbers, and number 0 stands for none: there is a node without children, a leaf without patterns, and
//! slots that no segment fits.

use crate::key::Key;
use crate::methods::{KNOWN, MethodId, MethodMask};
use crate::tree::RouteId;

#[derive(Debug)]
pub(crate) struct Arena {
    pub(crate) nodes: Vec<Node>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) leaves: Vec<Leaf>,
    /// The text of literals that are too long for their slots.
    pub(crate) pool: Vec<u8>,
    /// The roots of named hosts, sorted by name.
    pub(crate) hosts: Vec<(Box<str>, u32)>,
    /// The root of the patterns without a host.
    pub(crate) any_host: u32,
    pub(crate) max_visits: usize,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Node {
    pub(crate) multiplier: u64,
    /// The first slot of the literal children's table; 0 if there are none.
    pub(crate) slots: u32,
    pub(crate) shift: u32,
    pub(crate) wild: u32,
    pub(crate) leaf: u32,
    pub(crate) end: u32,
    pub(crate) rest: u32,
    /// How many wildcards lead here from the root: as many values has a walk that is here.
    pub(crate) wilds_above: u32,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) head: u64,
    pub(crate) tail: u64,
    pub(crate) len: u32,
    /// 0 in a slot that is free.
    pub(crate) child: u32,
    pub(crate) pool: u32,
    /// Whether a segment spelled like this literal must be looked at closely: it is not plain text, or no path with it is clean.
    pub(crate) odd: bool,
    /// Whether the parent has other ways that the segment fits.
    pub(crate) passes: bool,
    /// Whether the search goes on in the next slot when this one differs.
    pub(crate) more: bool,
}

impl Slot {
    pub(crate) const FREE: Slot = Slot::of(&Key::NONE);

    pub(crate) const fn of(key: &Key) -> Slot {
        let Key { head, tail, len } = *key;
        Slot { head, tail, len, child: 0, pool: 0, odd: false, passes: false, more: false }
    }

    pub(crate) fn key(&self) -> Key {
        Key { head: self.head, tail: self.tail, len: self.len }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Leaf {
    /// For each of the usual methods the pattern that takes it, plus one, with `HEAD` by `GET` and all by any filled in.
    pub(crate) usual: [u32; KNOWN.len()],
    /// The pattern for every method, plus one.
    pub(crate) any: u32,
    pub(crate) others: Vec<(MethodId, RouteId)>,
    pub(crate) allow: MethodMask,
}

impl Arena {
    /// The root of a host's own patterns, or 0.
    pub(crate) fn host_root(&self, host: &str) -> u32 {
        if self.hosts.is_empty() || host.is_empty() {
            return 0;
        }
        let found = self.hosts.binary_search_by(|(name, _)| (**name).cmp(host));
        found.map_or(0, |index| self.hosts[index].1)
    }

    #[inline]
    pub(crate) fn node(&self, id: u32) -> &Node {
        &self.nodes[id as usize]
    }

    /// The pattern of a leaf that takes a method.
    #[inline(always)]
    pub(crate) fn pick(&self, leaf: u32, method: MethodId) -> Option<RouteId> {
        let leaf = &self.leaves[leaf as usize];
        let stored = match leaf.usual.get(method.index()) {
            Some(stored) => *stored,
            None => leaf.unusual(method),
        };
        stored.checked_sub(1)
    }

    /// The methods that a leaf names.
    #[inline]
    pub(crate) fn allow(&self, leaf: u32) -> MethodMask {
        self.leaves[leaf as usize].allow
    }

    /// The literal child of a node for a segment, of which `key` was made; `text` begins with the segment.
    #[inline(always)]
    pub(crate) fn literal(&self, node: &Node, key: &Key, text: &[u8]) -> Option<&Slot> {
        let mut index = node.slots as usize + key.slot(node.multiplier, node.shift);
        loop {
            let slot = self.slots.get(index)?;
            if slot.head == key.head
                && slot.tail == key.tail
                && (key.len <= Key::SHORT || self.same(slot, key.len, text))
            {
                return Some(slot);
            }
            if !slot.more {
                return None;
            }
            index += 1;
        }
    }

    /// The bytes that the arrays take.
    pub(crate) fn size(&self) -> usize {
        let (nodes, slots) = (size_of_val(&*self.nodes), size_of_val(&*self.slots));
        nodes + slots + size_of_val(&*self.leaves) + self.pool.len()
    }

    /// Whether the literal of a slot is the long segment that `text` begins with.
    #[cold]
    #[inline(never)]
    fn same(&self, slot: &Slot, len: u32, text: &[u8]) -> bool {
        let (own_len, pool) = (slot.len as usize, slot.pool as usize);
        let own = self.pool.get(pool..pool + own_len);
        slot.len == len && own.is_some() && own == text.get(..own_len)
    }
}

impl Leaf {
    #[cold]
    #[inline(never)]
    fn unusual(&self, method: MethodId) -> u32 {
        self.others.iter().find(|(own, _)| *own == method).map_or(self.any, |(_, route)| route + 1)
    }
}
