//! From the growing form to the frozen one.

use crate::arena::{Arena, Ends, Hash, Leaf, Node};
use crate::key::Key;
use crate::methods::{KNOWN, MethodId, MethodMask};
use crate::tree::{self, RouteId, Tree};

impl Arena {
    /// Lays out what a tree holds.
    pub(crate) fn freeze(tree: &Tree) -> Self {
        let plan = Plan::of(tree);
        let Layout { hash, slots, more, .. } = plan.layout();
        let mut arena = Arena {
            nodes: more.iter().map(|more| Node { more: *more, ..Node::FREE }).collect(),
            ends: vec![Ends::default(); more.len()],
            leaves: vec![Leaf::default()],
            pool: Vec::new(),
            hash,
            hosts: Vec::new(),
            max_visits: plan.max_visits(),
        };
        for (place, &slot) in plan.places.iter().zip(&slots) {
            arena.fill(place, slot, &slots);
        }
        arena.hosts.sort_unstable();
        arena
    }

    /// Fills a node in that comes after its parent.
    fn fill(&mut self, place: &Place<'_>, slot: u32, slots: &[u32]) {
        let index = slot as usize;
        let parent = slots[place.parent];
        let mut node = Node { passed: place.passed, more: self.nodes[index].more, ..Node::FREE };
        match place.way {
            Way::Root("") => {}
            Way::Root(host) => self.hosts.push((host.into(), slot)),
            Way::Wild => self.nodes[parent as usize].wild = slot,
            Way::Literal(literal) => {
                let Key { last, first, len } = Key::of(literal);
                (node.last, node.first, node.len, node.parent) = (last, first, len, parent);
                if Key::of(literal).is_long() {
                    node.first = self.pool.len() as u64;
                    self.pool.push(literal.into());
                }
            }
        }
        if let Some(from) = place.from {
            node.literals = !from.literals.is_empty();
            let (leaf, end, rest) = (self.leaf(&from.leaf), self.leaf(&from.end), self.leaf(&from.rest));
            self.ends[index] = Ends { leaf, end, rest };
            node.get = stored(from.leaf.pick(MethodId::GET));
        }
        self.nodes[index] = node;
    }

    fn leaf(&mut self, from: &tree::Leaf) -> u32 {
        if from.is_empty() {
            return 0;
        }
        let mut leaf = Leaf { any: stored(from.any), ..Leaf::default() };
        for (place, method) in leaf.usual.iter_mut().zip(MethodId::usual()) {
            *place = stored(from.pick(method));
        }
        for (method, _) in &from.by_method {
            leaf.allow |= MethodMask::of(*method);
            if *method == MethodId::GET {
                leaf.allow |= MethodMask::of(MethodId::HEAD);
            }
        }
        leaf.others = from.by_method.iter().filter(|(method, _)| method.index() >= KNOWN.len()).copied().collect();
        self.leaves.push(leaf);
        count(self.leaves.len() - 1)
    }
}

fn stored(route: Option<RouteId>) -> u32 {
    route.map_or(0, |route| route + 1)
}

fn count(len: usize) -> u32 {
    u32::try_from(len).expect("memory ends before the numbers do")
}

/// Every node of the tree, parents before their children, the root of the patterns without a host first, and the upper ones before
/// the lower ones.
struct Plan<'t> {
    places: Vec<Place<'t>>,
}

/// A node of the tree.
struct Place<'t> {
    /// `None` for the root of the patterns without a host, if there are none.
    from: Option<&'t tree::Node>,
    parent: usize,
    way: Way<'t>,
    passed: bool,
    /// What is hashed, for a literal.
    number: u64,
    /// How many nodes there are from this one on.
    weight: u64,
}

/// How a node is reached from its parent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way<'t> {
    Root(&'t str),
    Literal(&'t [u8]),
    Wild,
}

impl<'t> Plan<'t> {
    fn of(tree: &'t Tree) -> Self {
        let mut roots: Vec<_> = tree.roots().collect();
        roots.sort_unstable();
        let any_host = tree.root("");
        let mut plan = Plan { places: Vec::new() };
        plan.add(any_host.map(|root| tree.node(root)), 0, Way::Root(""), false);
        for (host, root) in roots.into_iter().filter(|(host, _)| !host.is_empty()) {
            plan.add(Some(tree.node(root)), 0, Way::Root(host), any_host.is_some());
        }
        let mut next = 0;
        while let Some(place) = plan.places.get(next) {
            let passed = place.passed;
            if let Some(from) = place.from {
                let mut literals: Vec<_> = from.literals.iter().map(|(literal, child)| (&**literal, *child)).collect();
                literals.sort_unstable();
                let passed = passed || !from.rest.is_empty();
                for (literal, child) in literals {
                    let passed = passed || from.wild.is_some();
                    plan.add(Some(tree.node(child)), next, Way::Literal(literal), passed);
                }
                if let Some(child) = from.wild {
                    plan.add(Some(tree.node(child)), next, Way::Wild, passed);
                }
            }
            next += 1;
        }
        for at in (0..plan.places.len()).rev() {
            let Place { parent, weight, .. } = plan.places[at];
            if parent != at {
                plan.places[parent].weight += weight;
            }
        }
        plan
    }

    fn add(&mut self, from: Option<&'t tree::Node>, parent: usize, way: Way<'t>, passed: bool) {
        let number = match way {
            Way::Literal(literal) => Key::of(literal).number(),
            _ => 0,
        };
        self.places.push(Place { from, parent, way, passed, number, weight: 1 });
    }

    /// The best of some layouts: of a small table, many are tried.
    fn layout(&self) -> Layout {
        let tries = (TRIED_PLACES / self.places.len()).clamp(1, MOST_TRIES);
        let mut best: Option<Layout> = None;
        for multiplier in multipliers().take(tries) {
            let bound = best.as_ref().map_or(u64::MAX, |best| best.cost);
            best = self.layout_with(multiplier, bound).or(best);
            if best.as_ref().is_some_and(|best| best.cost == 0) {
                break;
            }
        }
        best.expect("the first one is bounded by nothing")
    }

    /// The layout that a multiplier makes, if it costs less than `bound`.
    fn layout_with(&self, multiplier: u64, bound: u64) -> Option<Layout> {
        let size = (self.places.len() * SPACE).next_power_of_two();
        let hash = Hash { multiplier };
        let mut taken = vec![false; size];
        let mut layout =
            Layout { hash, slots: Vec::with_capacity(self.places.len()), more: vec![false; size], cost: 0 };
        for (at, place) in self.places.iter().enumerate() {
            let parent = layout.slots.get(place.parent).copied().unwrap_or(0);
            let mut slot = match place.way {
                Way::Root(_) => hash.home(count(at), 0),
                Way::Literal(_) => hash.home(parent, place.number),
                // The other half of the cache line, if it is free.
                Way::Wild => parent as usize ^ 1,
            } & (size - 1);
            while taken[slot] {
                if let Way::Literal(_) = place.way {
                    layout.more[slot] = true;
                    layout.cost += place.weight;
                }
                slot = (slot + 1) & (size - 1);
            }
            taken[slot] = true;
            layout.slots.push(count(slot));
            if layout.cost >= bound {
                return None;
            }
        }
        Some(layout)
    }

    /// At most how many nodes one lookup visits: below a node at most one literal child, and then the wildcard child.
    fn max_visits(&self) -> usize {
        // Of each node the most visits below its literal children, and those below its wildcard child.
        let mut below = vec![(0, 0); self.places.len()];
        let mut of_hosts = 0;
        let mut of_any_host = 0;
        for (at, place) in self.places.iter().enumerate().rev() {
            let (literal, wild) = below[at];
            let visits: usize = 1 + literal + wild;
            let of_parent: &mut (usize, usize) = &mut below[place.parent];
            match place.way {
                Way::Literal(_) => of_parent.0 = of_parent.0.max(visits),
                Way::Wild => of_parent.1 = visits,
                Way::Root("") => of_any_host = visits,
                Way::Root(_) => of_hosts = of_hosts.max(visits),
            }
        }
        of_hosts + of_any_host
    }
}

/// Where all nodes stand.
struct Layout {
    hash: Hash,
    /// For each place of the plan.
    slots: Vec<u32>,
    /// For each slot whether a literal that belongs here, or before, stands behind.
    more: Vec<bool>,
    /// Over all slots that literals are away from where they belong, how many nodes walks reach through them.
    cost: u64,
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

/// At least how many slots there are for each node; at most twice as many.
const SPACE: usize = 2;

/// At most how many layouts are tried, and about how many nodes may be placed in trying.
const MOST_TRIES: usize = 64;
const TRIED_PLACES: usize = 1 << 14;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::fold;
    use crate::pattern::Pattern;
    use crate::words::last_word;

    fn arena(patterns: &[String]) -> Arena {
        let mut tree = Tree::default();
        for (route, pattern) in (0..).zip(patterns) {
            tree.insert(&pattern.parse::<Pattern>().unwrap(), None, route);
        }
        Arena::freeze(&tree)
    }

    /// Which of the literals below the root a segment leads to, by both ways of reading it.
    fn child(arena: &Arena, segment: &[u8]) -> Option<u32> {
        let close = if arena.node(0).literals { arena.literal(0, segment) } else { None };
        let path = [b"/", segment].concat();
        let quick = arena.step(0, segment, last_word(&path), segment.len()).map(|(id, _)| id);
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
        // The mixture of what a long segment has can be undone, so that a client can make a segment with any key.
        let literal = *b"0123456789abcdefABCDEFGHIJKLMNOP";
        let mut forged = literal;
        forged[16] = b'X';
        let differs = fold(32, &literal[..24]) ^ fold(32, &forged[..24]);
        for (byte, mask) in forged[24..].iter_mut().zip(differs.rotate_left(5).to_le_bytes()) {
            *byte ^= mask;
        }
        assert_eq!(Key::of(&forged), Key::of(&literal));
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
