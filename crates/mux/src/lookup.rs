//! The full walk: one pass over the path that finds the match, the allowed methods and the slash redirect.
//!
//! The path goes first and the method last. That is right because of the conflict rule: of two patterns that match one request
//! one is narrower in both, so the narrowest path that takes the method is the narrowest pattern. A walk that finds nothing has
//! seen every pattern that the path matches, and so all methods that are allowed.
//!
//! At each node the literal child is tried before the wildcard child, and that before the rest. Where one leads nowhere the walk
//! comes back for the next. A node has one way in, so no walk visits one twice, whatever the path: `Arena::max_visits` is the
//! bound.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::arena::{Arena, Ends};
use crate::inline::InlineVec;
use crate::methods::{MethodId, MethodMask};
use crate::tree::RouteId;

/// What a lookup has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A pattern takes the request.
    Found(RouteId),
    /// None does so better than this one, to which a final slash leads.
    Slash(RouteId),
    /// None takes the method; these methods would be taken, perhaps none.
    Miss(MethodMask),
}

/// A request as a lookup takes it: `path` begins with a slash or is empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<'a> {
    pub(crate) method: MethodId,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    /// Whether a redirect to the path with a final slash is wanted.
    pub(crate) slash: bool,
}

/// Looks a request up: among the host's patterns first, then among those of every host.
///
/// Segments are decoded. Empty and dot segments are taken for what they are.
pub(crate) fn lookup(arena: &Arena, query: Query<'_>) -> Outcome {
    let path = query.path.as_bytes();
    let walk = Walk { arena, query, path, resume: InlineVec::new(), slash: None, allowed: MethodMask::NONE };
    walk.run()
}

struct Walk<'a> {
    arena: &'a Arena,
    query: Query<'a>,
    path: &'a [u8],
    /// Where to go on when the way taken leads nowhere.
    resume: InlineVec<Resume, 8>,
    slash: Option<RouteId>,
    allowed: MethodMask,
}

/// A node with ways not tried yet.
#[derive(Clone, Copy, Debug, Default)]
struct Resume {
    node: u32,
    /// The segment after the node.
    start: usize,
    end: usize,
    /// Whether the wildcard has been tried too.
    only_rest: bool,
}

/// What became of one way.
enum Way {
    Exact(RouteId),
    Rest(RouteId),
    Nothing,
}

impl Walk<'_> {
    fn run(mut self) -> Outcome {
        let own = self.arena.host_root(self.query.host);
        let roots = [own, 0];
        for root in &roots[usize::from(own == 0)..] {
            match self.search(*root) {
                Way::Exact(route) => return Outcome::Found(route),
                Way::Rest(route) => return self.slash.map_or(Outcome::Found(route), Outcome::Slash),
                Way::Nothing => {}
            }
        }
        self.slash.map_or(Outcome::Miss(self.allowed), Outcome::Slash)
    }

    /// Goes down from a root, and back where a way leads nowhere.
    fn search(&mut self, root: u32) -> Way {
        let mut way = self.descend(root, 0);
        while let Way::Nothing = way {
            let Some(resume) = self.resume.pop() else { break };
            way = self.go_on(resume);
        }
        way
    }

    /// Goes down from a node; `at` is where in the path the slash after it stands, or the path's end.
    fn descend(&mut self, mut id: u32, mut at: usize) -> Way {
        loop {
            count_visit();
            let node = self.arena.node(id);
            let start = at + 1;
            if start >= self.path.len() {
                return if at == self.path.len() { self.at_end(id) } else { self.at_final_slash(id) };
            }
            let end = self.segment_end(start);
            if let Some(child) = self.literal(id, start, end) {
                if node.wild | self.arena.ends(id).rest != 0 {
                    self.resume.push(Resume { node: id, start, end, only_rest: false });
                }
                (id, at) = (child, end);
                continue;
            }
            match self.wild(id, start, end) {
                Some(child) => (id, at) = (child, end),
                None => return self.rest(id),
            }
        }
    }

    /// Tries the next way of a node of which the literal child, at least, led nowhere.
    fn go_on(&mut self, resume: Resume) -> Way {
        let Resume { node: id, start, end, only_rest } = resume;
        let wild = if only_rest { None } else { self.wild(id, start, end) };
        match wild {
            Some(child) => self.descend(child, end),
            None => self.rest(id),
        }
    }

    fn segment_end(&self, start: usize) -> usize {
        let rest = self.path.get(start..).unwrap_or_default();
        start + rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len())
    }

    /// The literal child for a segment. One with escapes is decoded, in place if it has a usual length.
    fn literal(&self, id: u32, start: usize, end: usize) -> Option<u32> {
        if !self.arena.node(id).literals {
            return None;
        }
        let segment = self.path.get(start..end).unwrap_or_default();
        if !segment.contains(&b'%') {
            return self.arena.literal(id, segment);
        }
        let mut room = [0; 256];
        if segment.len() > room.len() {
            return self.arena.literal(id, &Cow::from(percent_decode(segment)));
        }
        let mut len = 0;
        for (place, byte) in room.iter_mut().zip(percent_decode(segment)) {
            *place = byte;
            len += 1;
        }
        self.arena.literal(id, &room[..len])
    }

    /// The wildcard child, if there is one and it takes the segment.
    fn wild(&mut self, id: u32, start: usize, end: usize) -> Option<u32> {
        let node = self.arena.node(id);
        if node.wild == 0 || start == end {
            return None;
        }
        if self.arena.ends(id).rest != 0 {
            self.resume.push(Resume { node: id, start, end, only_rest: true });
        }
        Some(node.wild)
    }

    /// The rest of a node, which takes all that follows.
    fn rest(&mut self, id: u32) -> Way {
        match self.pick(self.arena.ends(id).rest) {
            Some(route) => Way::Rest(route),
            None => Way::Nothing,
        }
    }

    /// The path ends without a slash.
    fn at_end(&mut self, id: u32) -> Way {
        let Ends { leaf, end, rest } = self.arena.ends(id);
        if let Some(route) = self.pick(leaf) {
            return Way::Exact(route);
        }
        if self.query.slash {
            let slash = self.pick(end).or_else(|| self.pick(rest));
            self.slash = self.slash.or(slash);
        } else {
            self.allowed |= self.arena.allow(end) | self.arena.allow(rest);
        }
        Way::Nothing
    }

    /// The path ends in a slash.
    fn at_final_slash(&mut self, id: u32) -> Way {
        if let Some(route) = self.pick(self.arena.ends(id).end) {
            return Way::Exact(route);
        }
        match self.pick(self.arena.ends(id).rest) {
            Some(route) => Way::Exact(route),
            None => Way::Nothing,
        }
    }

    /// The pattern of a leaf that takes the method. If none does, the leaf's methods are allowed.
    fn pick(&mut self, leaf: u32) -> Option<RouteId> {
        let found = self.arena.pick(leaf, self.query.method);
        if found.is_none() {
            self.allowed |= self.arena.allow(leaf);
        }
        found
    }
}

#[cfg(not(test))]
#[inline(always)]
fn count_visit() {}

#[cfg(test)]
fn count_visit() {
    tests::VISITS.with(|visits| visits.set(visits.get() + 1));
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::builder::Builder;

    thread_local! {
        /// How many nodes this thread has visited, so that tests can count work rather than time it.
        pub(super) static VISITS: Cell<usize> = const { Cell::new(0) };
    }

    #[test]
    fn no_walk_visits_more_than_the_bound_and_the_worst_one_reaches_it() {
        // Eight segments, each a literal or a wildcard, in every combination.
        let mut builder = Builder::new();
        for mask in 0..1 << 8 {
            let segments = (0..8).map(|at| if mask >> at & 1 == 0 { "/a".to_owned() } else { format!("/{{x{at}}}") });
            let pattern: String = segments.chain([format!("/end{mask}")]).collect();
            builder.insert(pattern.parse().unwrap(), (), std::panic::Location::caller());
        }
        let table = builder.table();
        let bound = table.arena().max_visits;
        let visits = |path: &str| {
            VISITS.set(0);
            let query = Query { method: MethodId::GET, host: "", path, slash: true };
            let outcome = lookup(table.arena(), query);
            (VISITS.get(), matches!(outcome, Outcome::Found(_)))
        };
        let worst = "/a".repeat(8);
        assert_eq!(
            visits(&format!("{worst}/end255")),
            ((1 << 9) - 1 + 1, true),
            "all nodes, and the end of the last one"
        );
        assert_eq!(visits(&format!("{worst}/none")), ((1 << 9) - 1, false));
        assert_eq!(visits(&"/b".repeat(8)), (9, false));
        assert_eq!(visits(&"/a".repeat(100_000)), ((1 << 9) - 1, false), "the path's length does not count");
        assert_eq!(bound, (1 << 9) - 1 + (1 << 8));
    }
}
