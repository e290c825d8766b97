//! The frozen form of a router: flat arrays that lookups read and nothing changes.
//!
//! - [`Node`]: a place in the path after some segments: the literal that leads to it, where its children are, and its leaves.
//!   The literal children of a node are a hash table that lies in the list of nodes itself, so that the slot that a segment leads
//!   to is the next node already.
//! - [`Leaf`]: the patterns of one path, found by the number of the method.
//!
//! All references are numbers, and number 0 stands for none: there is a node without children, a leaf without patterns, and
//! nodes that no segment fits.

use crate::key::Key;
use crate::methods::{KNOWN, MethodId, MethodMask};
use crate::tree::RouteId;
use crate::words::{slashes_in, word};

#[derive(Debug)]
pub(crate) struct Arena {
    pub(crate) nodes: Vec<Node>,
    pub(crate) branches: Vec<Branch>,
    pub(crate) leaves: Vec<Leaf>,
    /// The text of literals that do not fit into their nodes.
    pub(crate) pool: Vec<u8>,
    /// The roots of named hosts, sorted by name.
    pub(crate) hosts: Vec<(Box<str>, u32)>,
    /// The root of the patterns without a host.
    pub(crate) any_host: u32,
    pub(crate) max_visits: usize,
}

/// A place in the path. As long as a cache line, so that a step of a walk touches one.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Node {
    /// The first eight bytes of the literal that leads here, with a slash behind it if it is shorter.
    pub(crate) head: u64,
    /// Which bits of a word must be those of `head`.
    pub(crate) mask: u64,
    /// The next eight bytes, with a slash behind the last one; of a literal in the pool where it begins there.
    pub(crate) tail: u64,
    /// Which bits of a segment's first word number the slots of the children's table; none, if that takes the whole segment.
    pub(crate) window: u64,
    pub(crate) multiplier: u64,
    /// The first slot of the literal children's table; 0 if there are none.
    pub(crate) children: u32,
    pub(crate) wild: u32,
    pub(crate) leaf: u32,
    /// What there is at a slash behind the place.
    pub(crate) branch: u32,
    /// The literal's length.
    pub(crate) len: u32,
    pub(crate) shift: u8,
    pub(crate) marks: Marks,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks {
    /// Whether the search goes on in the next slot when a segment differs from this one.
    pub(crate) more: bool,
    /// Whether a walk to here has passed by other ways that the path fits.
    pub(crate) passed: bool,
}

/// The patterns that end in a slash, in `{$}` and in a rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Branch {
    pub(crate) end: u32,
    pub(crate) rest: u32,
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
    /// A slot without a child.
    pub(crate) const FREE: Node = Node {
        head: 1,
        mask: 0,
        tail: 0,
        window: u64::MAX,
        multiplier: 0,
        children: 0,
        wild: 0,
        leaf: 0,
        branch: 0,
        len: u32::MAX,
        shift: 63,
        marks: Marks { more: false, passed: false },
    };

    /// Whether the literal is compared by the pool. Else words tell all: it is text that stands for itself, and at most
    /// [`Key::SHORT`] bytes long.
    fn is_pooled(&self) -> bool {
        self.len > Key::SHORT || self.mask == 0
    }
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
    pub(crate) fn branch(&self, node: &Node) -> Branch {
        self.branches[node.branch as usize]
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

    /// The literal child of a node for the segment that a plain path's last part begins with: `last` is the path's
    /// [`last_word`](crate::words::last_word), `head` the part's first word.
    ///
    /// The segment's end is not looked for. A literal that is shorter than a word has the slash behind it as part of its word.
    #[inline(always)]
    pub(crate) fn step(&self, node: &Node, rest: &[u8], last: u64, head: u64) -> Option<&Node> {
        let number = if node.window == 0 { number(rest, last, head) } else { head & node.window };
        let index = node.children as usize + slot(number, node.multiplier, node.shift);
        let child = self.nodes.get(index)?;
        if head & child.mask == child.head && (child.len < 8 || self.ends_alike(child, rest, last)) {
            Some(child)
        } else if child.marks.more {
            self.step_on(index + 1, rest, last, head)
        } else {
            None
        }
    }

    /// The same, from another slot than the first that the segment may be in. Not part of its caller, because in a loop the
    /// compiler would do the work that rare literals need for all.
    #[inline(never)]
    fn step_on(&self, from: usize, rest: &[u8], last: u64, head: u64) -> Option<&Node> {
        for child in self.nodes.get(from..)? {
            if head & child.mask == child.head && (child.len < 8 || self.ends_alike(child, rest, last)) {
                return Some(child);
            }
            if !child.marks.more {
                break;
            }
        }
        None
    }

    /// Whether a segment of more than seven bytes, of which the first eight are a literal's, is that literal.
    #[inline(always)]
    fn ends_alike(&self, child: &Node, rest: &[u8], last: u64) -> bool {
        if child.len > Key::SHORT {
            return self.is_pooled_literal(child, rest);
        }
        let tail = word(rest.get(8..).unwrap_or_default(), last);
        // What stands behind the slash is shifted out. The slash itself is at most the eighth byte of the tail.
        (tail ^ child.tail) << (8 * (Key::SHORT - child.len)) == 0
    }

    #[inline(never)]
    fn is_pooled_literal(&self, child: &Node, rest: &[u8]) -> bool {
        let len = child.len as usize;
        matches!(rest.get(len), None | Some(b'/')) && rest.get(..len).is_some_and(|own| Some(own) == self.pooled(child))
    }

    /// The literal child of a node for a segment, as it is when it is decoded, and its number.
    pub(crate) fn literal(&self, node: &Node, segment: &[u8]) -> Option<u32> {
        if node.children == 0 {
            return None;
        }
        let key = Key::of(segment);
        let number = if node.window == 0 { key.number() } else { key.head & node.window };
        let mut index = node.children as usize + slot(number, node.multiplier, node.shift);
        loop {
            let child = self.nodes.get(index)?;
            let same = match child.is_pooled() {
                true => self.pooled(child) == Some(segment),
                false => (child.head, child.tail, child.len) == (key.head, key.tail, key.len),
            };
            if same {
                return u32::try_from(index).ok();
            }
            if !child.marks.more {
                return None;
            }
            index += 1;
        }
    }

    fn pooled(&self, child: &Node) -> Option<&[u8]> {
        let start = usize::try_from(child.tail).ok()?;
        self.pool.get(start..)?.get(..child.len as usize)
    }

    /// The bytes that the arrays take.
    pub(crate) fn size(&self) -> usize {
        let (nodes, branches) = (size_of_val(&*self.nodes), size_of_val(&*self.branches));
        nodes + branches + size_of_val(&*self.leaves) + self.pool.len()
    }
}

/// What numbers the slots of a table of which the literals begin alike.
#[inline(never)]
fn number(rest: &[u8], last: u64, head: u64) -> u64 {
    Key::first(rest, last, head, slashes_in(head)).number()
}

/// Which slot of a table a number leads to: the top bits of a product.
#[inline(always)]
pub(crate) fn slot(number: u64, multiplier: u64, shift: u8) -> usize {
    usize::try_from(number.wrapping_mul(multiplier) >> (shift & 63)).unwrap_or(usize::MAX)
}

impl Leaf {
    #[cold]
    #[inline(never)]
    fn unusual(&self, method: MethodId) -> u32 {
        self.others.iter().find(|(own, _)| *own == method).map_or(self.any, |(_, route)| route + 1)
    }
}
