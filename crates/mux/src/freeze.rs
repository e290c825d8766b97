//! From the growing form to the frozen one.

use crate::arena::{Arena, Leaf, Node, Slot};
use crate::clean;
use crate::key::Key;
use crate::methods::{KNOWN, MethodId, MethodMask};
use crate::tree::{self, NodeId, RouteId, Tree};

impl Arena {
    /// Lays out what a tree holds: nodes breadth first, so that the upper ones lie together.
    pub(crate) fn freeze(tree: &Tree) -> Self {
        let mut freezer = Freezer {
            tree,
            arena: Arena {
                nodes: vec![Node::default()],
                slots: vec![Slot::FREE; 2],
                leaves: vec![Leaf::default()],
                pool: Vec::new(),
                hosts: Vec::new(),
                any_host: 0,
                max_visits: 0,
            },
            order: vec![NONE],
            wilds: vec![0],
        };
        freezer.arena.nodes[0].shift = 63;
        let mut roots: Vec<_> = tree.roots().collect();
        roots.sort_unstable();
        for (host, root) in roots {
            let id = freezer.number(root, 0);
            match host {
                "" => freezer.arena.any_host = id,
                host => freezer.arena.hosts.push((host.into(), id)),
            }
        }
        freezer.lay_out();
        let mut arena = freezer.arena;
        arena.max_visits = max_visits(&arena);
        arena
    }
}

struct Freezer<'t> {
    tree: &'t Tree,
    arena: Arena,
    /// The tree's node for each node of the arena.
    order: Vec<NodeId>,
    /// For each of them, how many wildcards lead to it.
    wilds: Vec<u32>,
}

impl Freezer<'_> {
    /// The number that a tree's node will have.
    fn number(&mut self, id: NodeId, wilds: u32) -> u32 {
        self.order.push(id);
        self.wilds.push(wilds);
        u32::try_from(self.order.len() - 1).expect("memory ends before the node numbers do")
    }

    fn lay_out(&mut self) {
        let tree = self.tree;
        let mut next = 1;
        while let Some(id) = self.order.get(next) {
            let from = tree.node(*id);
            let wilds_above = self.wilds[next];
            let mut node = Node { shift: 63, wilds_above, ..Node::default() };
            if !from.literals.is_empty() {
                let mut literals: Vec<_> = from.literals.iter().map(|(literal, child)| (&**literal, *child)).collect();
                literals.sort_unstable();
                let passes = from.wild.is_some() || !from.rest.is_empty();
                let slots: Vec<_> = literals
                    .into_iter()
                    .map(|(literal, child)| self.slot(literal, child, wilds_above, passes))
                    .collect();
                let table = Table::of(&slots);
                (node.multiplier, node.shift) = (table.multiplier, table.shift);
                node.slots = u32::try_from(self.arena.slots.len()).expect("memory ends before the slot numbers do");
                self.arena.slots.extend(table.slots);
            }
            node.wild = from.wild.map_or(0, |child| self.number(child, wilds_above + 1));
            node.leaf = self.leaf(&from.leaf);
            node.end = self.leaf(&from.end);
            node.rest = self.leaf(&from.rest);
            self.arena.nodes.push(node);
            next += 1;
        }
    }

    fn slot(&mut self, literal: &[u8], child: NodeId, wilds_above: u32, passes: bool) -> Slot {
        let key = Key::of(literal);
        let pool = u32::try_from(self.arena.pool.len()).expect("memory ends before the pool's offsets do");
        if key.len > Key::SHORT {
            self.arena.pool.extend(literal);
        }
        let odd = !clean::is_plain_segment(literal);
        Slot { child: self.number(child, wilds_above), pool, odd, passes, ..Slot::of(&key) }
    }

    fn leaf(&mut self, from: &tree::Leaf) -> u32 {
        if from.is_empty() {
            return 0;
        }
        let stored = |route: Option<RouteId>| route.map_or(0, |route| route + 1);
        let mut leaf = Leaf { any: stored(from.any), ..Leaf::default() };
        for (place, method) in leaf.usual.iter_mut().zip(MethodId::usual()) {
            *place = stored(from.pick(method));
        }
        for (method, route) in &from.by_method {
            leaf.allow |= MethodMask::of(*method);
            if *method == MethodId::GET {
                leaf.allow |= MethodMask::of(MethodId::HEAD);
            }
            if method.index() >= KNOWN.len() {
                leaf.others.push((*method, *route));
            }
        }
        self.arena.leaves.push(leaf);
        u32::try_from(self.arena.leaves.len() - 1).expect("memory ends before the leaf numbers do")
    }
}

/// A hash table of literal children: as few slots as free it of collisions, or, when there are many children, short runs.
struct Table {
    multiplier: u64,
    shift: u32,
    slots: Vec<Slot>,
}

impl Table {
    fn of(children: &[Slot]) -> Self {
        if let [only] = children {
            // The second slot is free, and where a multiplier of 0 leads is the first.
            return Table { multiplier: 0, shift: 63, slots: vec![*only, Slot::FREE] };
        }
        let fewest = children.len().next_power_of_two().max(2);
        if children.len() <= PERFECT_UP_TO {
            let mut size = fewest;
            while size <= fewest * GROWTH {
                let shift = shift_for(size);
                if let Some(multiplier) = multipliers().take(TRIES).find(|m| is_perfect(children, *m, shift, size)) {
                    return Table::fill(children, multiplier, shift);
                }
                size *= 2;
            }
        }
        let multiplier = multipliers().next().unwrap_or(1);
        Table::fill(children, multiplier, shift_for(fewest * 2))
    }

    fn fill(children: &[Slot], multiplier: u64, shift: u32) -> Self {
        let mut slots = vec![Slot::FREE; 1 << (64 - shift)];
        for child in children {
            let mut index = child.key().slot(multiplier, shift);
            while slots.get(index).is_some_and(|slot| slot.child != 0) {
                slots[index].more = true;
                index += 1;
            }
            if index == slots.len() {
                slots.push(Slot::FREE);
            }
            // A slot keeps what was said about it while it was free: nothing, since marks stand only on slots that are taken.
            slots[index] = *child;
        }
        Table { multiplier, shift, slots }
    }
}

fn is_perfect(children: &[Slot], multiplier: u64, shift: u32, size: usize) -> bool {
    let mut taken = vec![false; size];
    children.iter().all(|child| !std::mem::replace(&mut taken[child.key().slot(multiplier, shift)], true))
}

/// How far a product is shifted to number the slots of a table, of which the size is a power of two from 2 on.
fn shift_for(size: usize) -> u32 {
    u64::BITS - size.trailing_zeros()
}

/// Odd numbers with no pattern to them (the SplitMix64 sequence), the same ones every time.
fn multipliers() -> impl Iterator<Item = u64> {
    (1u64..).map(|n| {
        let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) | 1
    })
}

/// At most how many nodes one lookup visits: below a node at most one literal child, and then the wildcard child.
fn max_visits(arena: &Arena) -> usize {
    // Children have larger numbers than their parents, so that going backwards meets them first.
    let mut visits = vec![0usize; arena.nodes.len()];
    let mut slots = arena.slots.len();
    for (id, node) in arena.nodes.iter().enumerate().skip(1).rev() {
        let own = if node.slots == 0 { 0..0 } else { node.slots as usize..slots };
        slots = if node.slots == 0 { slots } else { node.slots as usize };
        let literal = arena.slots[own].iter().map(|slot| visits[slot.child as usize]).max().unwrap_or(0);
        visits[id] = 1 + literal + visits[node.wild as usize];
    }
    let of_host = arena.hosts.iter().map(|(_, root)| visits[*root as usize]).max().unwrap_or(0);
    of_host + visits[arena.any_host as usize]
}

const NONE: NodeId = NodeId::MAX;

/// More children than this are left with collisions: a table without any would grow with their square.
const PERFECT_UP_TO: usize = 64;

/// How many multipliers are tried at each size of a table, and how far the size may grow for lack of one.
const TRIES: usize = 32;
const GROWTH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Pattern;
    use crate::words::{last_word, slashes_in, word};

    fn arena(patterns: &[String]) -> Arena {
        let mut tree = Tree::default();
        for (route, pattern) in (0..).zip(patterns) {
            tree.insert(&pattern.parse::<Pattern>().unwrap(), None, route);
        }
        Arena::freeze(&tree)
    }

    /// Which of the literals below the root a segment leads to, by both ways of reading it.
    fn child(arena: &Arena, segment: &[u8]) -> Option<u32> {
        let root = arena.node(arena.any_host);
        let close = arena.literal(root, &Key::of(segment), segment).map(|slot| slot.child);
        let last = last_word(segment);
        let head = word(segment, last);
        let key = Key::first(segment, last, head, slashes_in(head));
        let quick = arena.literal(root, &key, segment).map(|slot| slot.child);
        assert_eq!(close, quick, "{}", String::from_utf8_lossy(segment));
        close
    }

    #[test]
    fn every_literal_is_found_in_tables_of_every_size() {
        for count in [1, 2, 3, 27, 64, 65, 1000] {
            let literals: Vec<_> = (0..count).map(|n| format!("{n:x}").repeat(1 + n % 30)).collect();
            let arena = arena(&literals.iter().map(|literal| format!("/{literal}")).collect::<Vec<_>>());
            let mut found: Vec<_> = literals.iter().map(|literal| child(&arena, literal.as_bytes()).unwrap()).collect();
            found.sort_unstable();
            found.dedup();
            assert_eq!(found.len(), count);
            for other in ["", "x", "0x", "00000000000000000000000000000000000x"] {
                assert_eq!(child(&arena, other.as_bytes()), None);
            }
        }
    }

    #[test]
    fn a_segment_with_the_key_of_a_literal_is_not_taken_for_it() {
        // The fold of what lies past sixteen bytes can be undone, so that a client can make a segment with any key.
        let literal = *b"0123456789abcdefABCDEFGHIJKLMNOP";
        let state = Key::of(&literal[..24]).tail;
        let mut forged = literal;
        forged[16] = b'X';
        let differs = state ^ Key::of(&forged[..24]).tail;
        // A key does not tell its top bit, so that the forger has two guesses.
        let guesses = [differs, differs ^ 1 << 63].map(|differs| {
            let mut guess = forged;
            for (byte, mask) in guess[24..].iter_mut().zip(differs.rotate_left(5).to_le_bytes()) {
                *byte ^= mask;
            }
            guess
        });
        let forged = guesses.into_iter().find(|guess| Key::of(guess) == Key::of(&literal)).unwrap();
        let text = String::from_utf8(literal.to_vec()).unwrap();
        for others in [vec![], vec!["/other".to_owned()]] {
            let arena = arena(&[vec![format!("/{text}")], others].concat());
            assert!(child(&arena, &literal).is_some());
            assert_eq!(child(&arena, &forged), None);
        }
    }

    #[test]
    fn visits_are_bounded_by_the_overlap_of_patterns() {
        let visits =
            |patterns: &[&str]| arena(&patterns.iter().map(ToString::to_string).collect::<Vec<_>>()).max_visits;
        assert_eq!(visits(&["/a/{x}/b", "/c/d"]), 4);
        assert_eq!(visits(&["/a/{x}/b", "/{x}/c/d", "/"]), 7);
        assert_eq!(visits(&["h.test/a", "/b/c"]), 5);
    }
}
