//! From the growing form to the frozen one.

use crate::arena::{Arena, Branch, Leaf, Marks, Node, slot};
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
                nodes: vec![Node::FREE],
                branches: vec![Branch::default()],
                leaves: vec![Leaf::default()],
                pool: Vec::new(),
                hosts: Vec::new(),
                any_host: 0,
                max_visits: 0,
            },
            places: Vec::new(),
        };
        let mut roots: Vec<_> = tree.roots().collect();
        roots.sort_unstable();
        let has_any_host = roots.iter().any(|(host, _)| host.is_empty());
        for (host, root) in roots {
            let passed = has_any_host && !host.is_empty();
            let id = freezer.place(root, 0, Way::Root, Node { marks: Marks { more: false, passed }, ..Node::FREE });
            match host {
                "" => freezer.arena.any_host = id,
                host => freezer.arena.hosts.push((host.into(), id)),
            }
        }
        let mut next = 0;
        while next < freezer.places.len() {
            freezer.lay_out(next);
            next += 1;
        }
        freezer.arena.max_visits = freezer.max_visits();
        freezer.arena
    }
}

struct Freezer<'t> {
    tree: &'t Tree,
    arena: Arena,
    /// Every node of the tree in the order in which they are laid out, parents before their children.
    places: Vec<Place>,
}

/// A node of the tree and where it stands.
#[derive(Clone, Copy)]
struct Place {
    from: NodeId,
    id: u32,
    parent: usize,
    way: Way,
}

/// How a node is reached from its parent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Root,
    Literal,
    Wild,
}

impl Freezer<'_> {
    /// Puts a node behind all others.
    fn place(&mut self, from: NodeId, parent: usize, way: Way, node: Node) -> u32 {
        let id = count(self.arena.nodes.len());
        self.arena.nodes.push(node);
        self.places.push(Place { from, id, parent, way });
        id
    }

    /// Fills a node in and places its children.
    fn lay_out(&mut self, place: usize) {
        let Place { from, id, .. } = self.places[place];
        let from = self.tree.node(from);
        let mut node = self.arena.nodes[id as usize];
        let passed = node.marks.passed;
        if !from.literals.is_empty() {
            let mut literals: Vec<_> = from.literals.iter().map(|(literal, child)| (&**literal, *child)).collect();
            literals.sort_unstable();
            let passed = passed || from.wild.is_some() || !from.rest.is_empty();
            let marks = Marks { more: false, passed };
            let table = Table::of(&literals.iter().map(|(literal, _)| Key::of(literal)).collect::<Vec<_>>());
            (node.window, node.multiplier, node.shift) = (table.window, table.multiplier, table.shift);
            node.children = count(self.arena.nodes.len());
            for (at, slot) in (node.children..).zip(&table.slots) {
                let child = slot.literal.map(|literal| {
                    let (literal, child) = literals[literal];
                    self.places.push(Place { from: child, id: at, parent: place, way: Way::Literal });
                    Node { marks: Marks { more: slot.more, ..marks }, ..self.literal(literal) }
                });
                self.arena.nodes.push(child.unwrap_or(Node::FREE));
            }
        }
        if let Some(child) = from.wild {
            let marks = Marks { more: false, passed: passed || !from.rest.is_empty() };
            let child_node = Node { marks, ..Node::FREE };
            node.wild = self.place(child, place, Way::Wild, child_node);
        }
        node.leaf = self.leaf(&from.leaf);
        let branch = Branch { end: self.leaf(&from.end), rest: self.leaf(&from.rest) };
        if branch != Branch::default() {
            node.branch = count(self.arena.branches.len());
            self.arena.branches.push(branch);
        }
        self.arena.nodes[id as usize] = node;
    }

    /// A node that a literal leads to.
    fn literal(&mut self, literal: &[u8]) -> Node {
        let Key { head, tail, len } = Key::of(literal);
        if !clean::is_plain_segment(literal) {
            // No plain path has it, so that no word fits.
            return Node { tail: self.pool(literal), len, ..Node::FREE };
        }
        let mask = if len < 8 { u64::MAX >> (56 - 8 * len) } else { u64::MAX };
        if len > Key::SHORT {
            return Node { head, mask, tail: self.pool(literal), len, ..Node::FREE };
        }
        Node { head, mask, tail, len, ..Node::FREE }
    }

    /// Where in the pool a text stands.
    fn pool(&mut self, text: &[u8]) -> u64 {
        let start = self.arena.pool.len();
        self.arena.pool.extend(text);
        start as u64
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
        for (method, _) in &from.by_method {
            leaf.allow |= MethodMask::of(*method);
            if *method == MethodId::GET {
                leaf.allow |= MethodMask::of(MethodId::HEAD);
            }
        }
        leaf.others = from.by_method.iter().filter(|(method, _)| method.index() >= KNOWN.len()).copied().collect();
        self.arena.leaves.push(leaf);
        count(self.arena.leaves.len() - 1)
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
                Way::Literal => of_parent.0 = of_parent.0.max(visits),
                Way::Wild => of_parent.1 = visits,
                Way::Root if place.id == self.arena.any_host => of_any_host = visits,
                Way::Root => of_hosts = of_hosts.max(visits),
            }
        }
        of_hosts + of_any_host
    }
}

fn count(len: usize) -> u32 {
    u32::try_from(len).expect("memory ends before the numbers do")
}

/// A hash table of literal children: as few slots as free it of collisions, or, when there are many children, short runs.
///
/// As long as the first word of hardly any two children looks alike, cut off behind the shortest child's end, that is all that
/// is taken of a segment, so that a lookup need not find the segment's end.
struct Table {
    window: u64,
    multiplier: u64,
    shift: u8,
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    /// Which child stands here.
    literal: Option<usize>,
    /// Whether one that belongs here stands behind.
    more: bool,
}

impl Table {
    fn of(children: &[Key]) -> Self {
        if children.len() == 1 {
            // The second slot is free, and where a multiplier of 0 leads is the first.
            let slots = vec![Slot { literal: Some(0), more: false }];
            return Table { window: u64::MAX, multiplier: 0, shift: 63, slots };
        }
        let shortest = children.iter().map(|key| key.len).min().unwrap_or(0);
        let window = u64::MAX >> (56 - 8 * shortest.min(7));
        let mut numbers: Vec<_> = children.iter().map(|key| key.head & window).collect();
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        // Sorted, equal ones are neighbours; three of a kind, or many pairs, would make lookups search.
        let pairs = sorted.windows(2).filter(|pair| pair[0] == pair[1]).count();
        let alike = sorted.windows(3).any(|three| three[0] == three[2]) || pairs > children.len() / 4;
        let (window, pairs) = if alike { (0, 0) } else { (window, pairs) };
        if alike {
            numbers = children.iter().map(Key::number).collect();
        }
        let fewest = children.len().next_power_of_two().max(2);
        if children.len() <= PERFECT_UP_TO {
            let mut size = fewest;
            while size <= fewest * GROWTH {
                let shift = shift_for(size);
                let mut tables =
                    multipliers().take(TRIES).map(|multiplier| Table::fill(&numbers, window, multiplier, shift));
                if let Some((table, _)) = tables.find(|(_, displaced)| *displaced <= pairs) {
                    return table;
                }
                size *= 2;
            }
        }
        Table::fill(&numbers, window, multipliers().next().unwrap_or(1), shift_for(fewest * 2)).0
    }

    /// The table that a multiplier makes, and by how many slots children are away from where they belong.
    fn fill(numbers: &[u64], window: u64, multiplier: u64, shift: u8) -> (Self, usize) {
        let mut slots = vec![Slot::default(); 1 << (64 - shift)];
        let mut displaced = 0;
        for (literal, number) in numbers.iter().enumerate() {
            let mut index = slot(*number, multiplier, shift);
            while slots.get(index).is_some_and(|slot| slot.literal.is_some()) {
                slots[index].more = true;
                index += 1;
                displaced += 1;
            }
            if index == slots.len() {
                slots.push(Slot::default());
            }
            slots[index].literal = Some(literal);
        }
        (Table { window, multiplier, shift, slots }, displaced)
    }
}

/// How far a product is shifted to number the slots of a table, of which the size is a power of two from 2 on.
fn shift_for(size: usize) -> u8 {
    u8::try_from(u64::BITS - size.trailing_zeros()).unwrap_or(63)
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

/// More children than this are left with collisions: a table without any would grow with their square.
const PERFECT_UP_TO: usize = 64;

/// How many multipliers are tried at each size of a table, and how far the size may grow for lack of one.
const TRIES: usize = 32;
const GROWTH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Pattern;
    use crate::words::{last_word, word};

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
        let close = arena.literal(root, segment);
        let last = last_word(segment);
        let quick = arena.step(root, segment, last, word(segment, last)).map(std::ptr::from_ref);
        assert_eq!(close.map(|id| std::ptr::from_ref(arena.node(id))), quick, "{}", String::from_utf8_lossy(segment));
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
