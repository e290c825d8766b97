//! The frozen form of a router: flat arrays that lookups read and nothing changes.
//!
//! - [`Node`]: a place in the path after some segments. All nodes are the slots of one hash table, and a node's number is its
//!   slot. Where the child for a segment stands is computed from the node's own number and the segment, and nothing that the
//!   node holds: so a processor that guesses right need not wait for one node to find the next.
//! - [`Ends`]: what ends at a node, in a list beside the nodes, because only the last node of a walk is asked for it.
//! - [`Leaf`]: the patterns of one path, found by the number of the method.
//!
//! All references are numbers. Leaf 0 has no patterns, and node 0 is the root of the patterns without a host, to which nothing
//! refers; so 0 stands for none.

use crate::key::Key;
use crate::methods::{KNOWN, MethodId, MethodMask};
use crate::tree::RouteId;
use crate::words::word;

#[derive(Debug)]
pub(crate) struct Arena {
    /// As many as a power of two.
    pub(crate) nodes: Vec<Node>,
    pub(crate) ends: Vec<Ends>,
    pub(crate) leaves: Vec<Leaf>,
    /// Literals that do not fit into their nodes.
    pub(crate) pool: Vec<Box<[u8]>>,
    pub(crate) hash: Hash,
    /// The roots of named hosts, sorted by name.
    pub(crate) hosts: Vec<(Box<str>, u32)>,
    pub(crate) max_visits: usize,
}

/// A place in the path, half a cache line long.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(crate) struct Node {
    /// The [`Key`] of the literal that leads here.
    pub(crate) last: u64,
    /// Of a long literal, where in the pool it is.
    pub(crate) first: u64,
    /// The node of which this is a literal child; [`Node::NOWHERE`] if it is none.
    pub(crate) parent: u32,
    pub(crate) wild: u32,
    /// The pattern that ends here and takes `GET`, plus one.
    pub(crate) get: u32,
    pub(crate) len: u8,
    /// Whether a literal that belongs here, or before, stands behind.
    pub(crate) more: bool,
    /// Whether a walk to here has passed by other ways that the path fits.
    pub(crate) passed: bool,
    /// Whether there are literal children.
    pub(crate) literals: bool,
}

/// What ends at a node: the leaves of the paths that end there, in a slash and `{$}`, and in a rest.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ends {
    pub(crate) leaf: u32,
    pub(crate) end: u32,
    pub(crate) rest: u32,
}

/// Where children stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hash {
    pub(crate) multiplier: u64,
}

impl Hash {
    /// The slot at which the search for a literal child begins, before what is above the size of the table is cut off.
    ///
    /// The upper half of the product has bits of the whole number mixed in its lowest. The factor keeps chains of equal segments
    /// apart: with most keys the step from parent to child comes by nearly all slots before it comes by one again.
    #[inline(always)]
    pub(crate) fn home(self, parent: u32, number: u64) -> usize {
        let product = u128::from(number) * u128::from(self.multiplier);
        (parent as usize).wrapping_mul(5).wrapping_add(low((product >> 64) as u64))
    }
}

#[derive(Debug, Default)]
pub(crate) struct Leaf {
    /// For each of the usual methods the pattern that takes it, plus one, with `HEAD` by `GET` and all by any filled in.
    pub(crate) usual: [u32; KNOWN.len()],
    /// The pattern for every method, plus one.
    pub(crate) any: u32,
    pub(crate) others: Box<[(MethodId, RouteId)]>,
    pub(crate) allow: MethodMask,
}

impl Node {
    pub(crate) const NOWHERE: u32 = u32::MAX;

    /// A slot without a node.
    pub(crate) const FREE: Node = Node {
        last: 0,
        first: 0,
        parent: Node::NOWHERE,
        wild: 0,
        get: 0,
        len: 0,
        more: false,
        passed: false,
        literals: false,
    };
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

    #[inline(always)]
    pub(crate) fn node(&self, id: u32) -> &Node {
        &self.nodes[id as usize]
    }

    #[inline]
    pub(crate) fn ends(&self, id: u32) -> Ends {
        self.ends[id as usize]
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

    /// The literal child of a node for the first segment, `len` bytes long, of the last part of a plain path; `last` is the path's
    /// [`last_word`](crate::words::last_word).
    #[inline(always)]
    pub(crate) fn step(&self, id: u32, rest: &[u8], last: u64, len: usize) -> Option<(u32, &Node)> {
        let first = word(rest, last);
        let mask = self.nodes.len().wrapping_sub(1);
        if len < 8 {
            let key = Key::of_short(first, len);
            let index = self.hash.home(id, key.number()) & mask;
            let child = self.nodes.get(index)?;
            // The word tells a short segment from all others.
            return if child.last == key.last && child.parent == id {
                Some((number(index), child))
            } else if child.more {
                self.search(id, index, rest, len)
            } else {
                None
            };
        }
        if len > Key::LONGEST {
            return self.step_long(id, rest, len);
        }
        let key = Key::of_words(first, rest, len);
        let index = self.hash.home(id, key.number()) & mask;
        let child = self.nodes.get(index)?;
        if child.last == key.last && child.parent == id && child.first == first && usize::from(child.len) == len {
            Some((number(index), child))
        } else if child.more {
            self.search(id, index, rest, len)
        } else {
            None
        }
    }

    #[inline(never)]
    fn step_long(&self, id: u32, rest: &[u8], len: usize) -> Option<(u32, &Node)> {
        self.with_node(self.literal(id, rest.get(..len)?))
    }

    /// The same for a segment that is not where it belongs.
    #[inline(never)]
    fn search(&self, id: u32, index: usize, rest: &[u8], len: usize) -> Option<(u32, &Node)> {
        let segment = rest.get(..len)?;
        self.with_node(self.search_from(id, segment, Key::of(segment), index))
    }

    fn with_node(&self, id: Option<u32>) -> Option<(u32, &Node)> {
        id.map(|id| (id, self.node(id)))
    }

    /// The literal child of a node for a segment, as it is when it is decoded.
    pub(crate) fn literal(&self, id: u32, segment: &[u8]) -> Option<u32> {
        let key = Key::of(segment);
        self.search_from(id, segment, key, self.hash.home(id, key.number()))
    }

    #[inline]
    fn search_from(&self, id: u32, segment: &[u8], key: Key, mut index: usize) -> Option<u32> {
        loop {
            index &= self.nodes.len() - 1;
            let child = self.nodes.get(index)?;
            let alike = child.parent == id && child.last == key.last && child.len == key.len;
            let same = match key.is_long() {
                true => alike && self.pooled(child) == Some(segment),
                false => alike && child.first == key.first,
            };
            if same {
                return Some(number(index));
            }
            if !child.more {
                return None;
            }
            index += 1;
        }
    }

    fn pooled(&self, child: &Node) -> Option<&[u8]> {
        self.pool.get(usize::try_from(child.first).ok()?).map(|literal| &**literal)
    }

    /// The bytes that the arrays take.
    pub(crate) fn size(&self) -> usize {
        let (nodes, ends) = (size_of_val(&*self.nodes), size_of_val(&*self.ends));
        let pool: usize = self.pool.iter().map(|literal| size_of_val(literal) + literal.len()).sum();
        nodes + ends + size_of_val(&*self.leaves) + pool
    }
}

/// As many of the bits as an address has.
#[expect(clippy::cast_possible_truncation, reason = "the upper bits are not needed")]
#[inline(always)]
fn low(bits: u64) -> usize {
    bits as usize
}

/// The number of the node in a slot.
#[expect(clippy::cast_possible_truncation, reason = "nodes are numbered with 32 bits")]
#[inline(always)]
fn number(index: usize) -> u32 {
    index as u32
}

impl Leaf {
    #[cold]
    #[inline(never)]
    fn unusual(&self, method: MethodId) -> u32 {
        self.others.iter().find(|(own, _)| *own == method).map_or(self.any, |(_, route)| route + 1)
    }
}
