//! From the growing form to the frozen one.

use crate::arena::{Arena, Leaf, Node, Slot};
use crate::clean;
use crate::key::Key;
use crate::methods::{KNOWN, MethodId};
use crate::tree::{self, NodeId, RouteId, Tree};

impl Arena {
    /// Lays out what a tree holds: nodes breadth first, so that the upper ones lie together.
    pub(crate) fn freeze(tree: &Tree) -> Self {
        let mut freezer = Freezer {
            tree,
            arena: Arena {
                nodes: vec![Node::default()],
                slots: vec![Slot::default(); 2],
                leaves: vec![Leaf::default()],
                pool: Vec::new(),
                hosts: Vec::new(),
                any_host: 0,
                max_visits: 0,
            },
            order: vec![NONE],
        };
        freezer.arena.nodes[0].shift = 63;
        let mut roots: Vec<_> = tree.roots().collect();
        roots.sort_unstable();
        for (host, root) in roots {
            let id = freezer.number(root);
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
}

impl Freezer<'_> {
    /// The number that a tree's node will have.
    fn number(&mut self, id: NodeId) -> u32 {
        self.order.push(id);
        u32::try_from(self.order.len() - 1).expect("memory ends before the node numbers do")
    }

    fn lay_out(&mut self) {
        let tree = self.tree;
        let mut next = 1;
        while let Some(id) = self.order.get(next) {
            let from = tree.node(*id);
            let mut node = Node { shift: 63, ..Node::default() };
            if !from.literals.is_empty() {
                let mut literals: Vec<_> = from.literals.iter().map(|(literal, child)| (&**literal, *child)).collect();
                literals.sort_unstable();
                let slots: Vec<_> = literals.into_iter().map(|(literal, child)| self.slot(literal, child)).collect();
                let table = Table::of(&slots);
                (node.multiplier, node.shift) = (table.multiplier, table.shift);
                node.slots = u32::try_from(self.arena.slots.len()).expect("memory ends before the slot numbers do");
                self.arena.slots.extend(table.slots);
            }
            node.wild = from.wild.map_or(0, |child| self.number(child));
            node.leaf = self.leaf(&from.leaf);
            node.end = self.leaf(&from.end);
            node.rest = self.leaf(&from.rest);
            self.arena.nodes.push(node);
            next += 1;
        }
    }

    fn slot(&mut self, literal: &[u8], child: NodeId) -> Slot {
        let pool = u32::try_from(self.arena.pool.len()).expect("memory ends before the pool's offsets do");
        self.arena.pool.extend(literal.iter().skip(Key::SHORT as usize));
        let odd = !clean::is_plain_segment(literal);
        Slot { key: Key::of(literal), child: self.number(child), pool, odd, more: false }
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
            leaf.allow.insert(*method);
            if *method == MethodId::GET {
                leaf.allow.insert(MethodId::HEAD);
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
        let fewest = children.len().next_power_of_two().max(2);
        if children.len() <= PERFECT_UP_TO {
            let mut size = fewest;
            while size <= fewest * GROWTH {
                let shift = 64 - size.trailing_zeros();
                if let Some(multiplier) = multipliers().take(TRIES).find(|m| is_perfect(children, *m, shift, size)) {
                    return Table::fill(children, multiplier, shift);
                }
                size *= 2;
            }
        }
        let multiplier = multipliers().next().unwrap_or(1);
        Table::fill(children, multiplier, 64 - (fewest * 2).trailing_zeros())
    }

    fn fill(children: &[Slot], multiplier: u64, shift: u32) -> Self {
        let mut slots = vec![Slot::default(); 1 << (64 - shift)];
        for child in children {
            let mut index = child.key.slot(multiplier, shift);
            while slots.get(index).is_some_and(|slot| slot.child != 0) {
                slots[index].more = true;
                index += 1;
            }
            if index == slots.len() {
                slots.push(Slot::default());
            }
            // A slot keeps what was said about it while it was free: nothing, since marks stand only on slots that are taken.
            slots[index] = *child;
        }
        Table { multiplier, shift, slots }
    }
}

fn is_perfect(children: &[Slot], multiplier: u64, shift: u32, size: usize) -> bool {
    let mut taken = vec![false; size];
    children.iter().all(|child| !std::mem::replace(&mut taken[child.key.slot(multiplier, shift)], true))
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
