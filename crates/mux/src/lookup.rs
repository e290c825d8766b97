//! The walk: one pass over the path that finds the match, the allowed methods and the slash redirect.
//!
//! The path goes first and the method last. That is right because of the conflict rule: of two patterns that match one request
//! one is narrower in both, so the narrowest path that takes the method is the narrowest pattern. A walk that finds nothing has
//! seen every pattern that the path matches, and so all methods that are allowed.
//!
//! At each node the literal child is tried before the wildcard child, and that before the rest. Where one leads nowhere the walk
//! comes back for the next. A node has one way in, so no walk visits one twice, whatever the path: `Arena::max_visits` bounds
//! it.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::arena::{Arena, Node};
use crate::clean::is_plain_segment;
use crate::inline::InlineVec;
use crate::key::{Key, Segments};
use crate::methods::{MethodId, MethodSet};
use crate::tree::RouteId;

/// Where in the path the values of wildcards lie, in the pattern's order.
pub(crate) type Spans = InlineVec<(u32, u32), 8>;

/// What a walk has found.
pub(crate) enum Outcome {
    /// A pattern takes the request.
    Found(RouteId, Spans),
    /// None does so better than this one, to which a final slash leads.
    Slash(RouteId),
    /// None takes the method; these methods would be taken, perhaps none.
    Miss(MethodSet),
    /// The path must be read closely: it is not clean, or holds escapes or bytes that should be escaped.
    Odd,
}

/// A request as the walk takes it: `path` begins with a slash or is empty.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a> {
    pub(crate) method: MethodId,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    /// Whether a redirect to the path with a final slash is wanted.
    pub(crate) slash: bool,
}

/// Looks a request up: among the host's patterns first, then among those of every host.
///
/// A `CLOSE` reading decodes segments, takes empty and dot segments for what they are, and never says [`Outcome::Odd`].
/// Otherwise segments are compared as they stand.
pub(crate) fn lookup<const CLOSE: bool>(arena: &Arena, query: Query<'_>) -> Outcome {
    Walk::<CLOSE>::new(arena, query).run()
}

struct Walk<'a, const CLOSE: bool> {
    arena: &'a Arena,
    query: Query<'a>,
    path: &'a [u8],
    segments: Segments<'a>,
    spans: Spans,
    /// Where to go on when the way taken leads nowhere.
    resume: InlineVec<Resume, 8>,
    slash: Option<RouteId>,
    allowed: MethodSet,
    visits: usize,
}

/// A node with ways not tried yet.
#[derive(Clone, Copy, Debug, Default)]
struct Resume {
    node: u32,
    /// Where the segment after the node begins, and ends.
    start: u32,
    end: u32,
    spans: u32,
    /// Whether the wildcard has been tried too, so that only the rest is left.
    only_rest: bool,
}

/// What became of one way.
enum Way {
    Found { route: RouteId, exact: bool },
    Nothing,
    Odd,
}

impl<'a, const CLOSE: bool> Walk<'a, CLOSE> {
    #[inline]
    fn new(arena: &'a Arena, query: Query<'a>) -> Self {
        let path = query.path.as_bytes();
        Walk {
            arena,
            query,
            path,
            segments: Segments::new(path),
            spans: Spans::new(),
            resume: InlineVec::new(),
            slash: None,
            allowed: MethodSet::default(),
            visits: 0,
        }
    }

    #[inline]
    fn run(mut self) -> Outcome {
        let own = if self.query.host.is_empty() { 0 } else { self.arena.host_root(self.query.host) };
        for root in [own, self.arena.any_host] {
            if root == 0 {
                continue;
            }
            match self.search(root) {
                Way::Found { route, exact } => {
                    return match self.slash {
                        Some(better) if !exact => Outcome::Slash(better),
                        _ => Outcome::Found(route, self.spans),
                    };
                }
                Way::Odd => return Outcome::Odd,
                Way::Nothing => {}
            }
        }
        match self.slash {
            Some(route) => Outcome::Slash(route),
            None => Outcome::Miss(self.allowed),
        }
    }

    /// Goes down from a root, and back where a way leads nowhere.
    #[inline]
    fn search(&mut self, root: u32) -> Way {
        self.spans.truncate(0);
        let mut way = self.descend(root, 0);
        while let Way::Nothing = way {
            let Some(resume) = self.resume.pop() else { break };
            self.spans.truncate(resume.spans as usize);
            way = self.go_on(resume);
        }
        way
    }

    /// Goes down from a node; `at` is where in the path the slash after it stands, or the path's end.
    #[inline]
    fn descend(&mut self, mut id: u32, mut at: usize) -> Way {
        loop {
            self.visits += 1;
            let node = self.arena.node(id);
            if at + 1 >= self.path.len() {
                return if at == self.path.len() { self.at_end(node) } else { self.at_final_slash(node) };
            }
            let start = at + 1;
            let (key, end) = self.segments.at(start);
            match self.literal(node, &key, &self.path[start..end]) {
                Literal::Child(child) => {
                    if node.wild | node.rest != 0 {
                        self.resume_at(id, start, end, false);
                    }
                    (id, at) = (child, end);
                    continue;
                }
                Literal::Odd => return Way::Odd,
                Literal::None => {}
            }
            match self.wild(id, node, start, end) {
                Ok(Some(child)) => (id, at) = (child, end),
                Ok(None) => return self.rest(node, start),
                Err(odd) => return odd,
            }
        }
    }

    /// Tries the next way of a node of which the literal child, at least, led nowhere.
    #[cold]
    fn go_on(&mut self, resume: Resume) -> Way {
        let Resume { node: id, start, end, only_rest, .. } = resume;
        let node = self.arena.node(id);
        if !only_rest {
            match self.wild(id, node, start as usize, end as usize) {
                Ok(Some(child)) => return self.descend(child, end as usize),
                Ok(None) => {}
                Err(odd) => return odd,
            }
        }
        self.rest(node, start as usize)
    }

    #[inline]
    fn literal(&self, node: &Node, key: &Key, segment: &[u8]) -> Literal {
        if CLOSE && segment.contains(&b'%') {
            return self.escaped_literal(node, segment);
        }
        match self.arena.literal(node, key, segment) {
            Some(slot) if !CLOSE && slot.odd => Literal::Odd,
            Some(slot) => Literal::Child(slot.child),
            None => Literal::None,
        }
    }

    /// The literal child for a segment with escapes. A segment of usual length is decoded in place.
    fn escaped_literal(&self, node: &Node, segment: &[u8]) -> Literal {
        let mut room = [0; 256];
        let decoded: Cow<'_, [u8]> = if segment.len() <= room.len() {
            let mut len = 0;
            for (place, byte) in room.iter_mut().zip(percent_decode(segment)) {
                *place = byte;
                len += 1;
            }
            Cow::Borrowed(&room[..len])
        } else {
            percent_decode(segment).into()
        };
        let slot = self.arena.literal(node, &Key::of(&decoded), &decoded);
        slot.map_or(Literal::None, |slot| Literal::Child(slot.child))
    }

    /// The wildcard child, if there is one and it takes the segment, which is then a value.
    #[inline]
    fn wild(&mut self, id: u32, node: &Node, start: usize, end: usize) -> Result<Option<u32>, Way> {
        if node.wild == 0 || (CLOSE && start == end) {
            return Ok(None);
        }
        if !CLOSE && !is_plain_segment(&self.path[start..end]) {
            return Err(Way::Odd);
        }
        if node.rest != 0 {
            self.resume_at(id, start, end, true);
        }
        self.spans.push((narrow(start), narrow(end)));
        Ok(Some(node.wild))
    }

    /// The rest of a node, which takes all from `start`. Whether that is plain is found out when all else has failed.
    #[inline]
    fn rest(&mut self, node: &Node, start: usize) -> Way {
        if node.rest == 0 {
            return Way::Nothing;
        }
        if !CLOSE && !crate::clean::is_plain_path(&self.path[start - 1..]) {
            return Way::Odd;
        }
        match self.pick(node.rest) {
            Some(route) => {
                self.spans.push((narrow(start), narrow(self.path.len())));
                Way::Found { route, exact: false }
            }
            None => Way::Nothing,
        }
    }

    /// The path ends without a slash.
    #[inline]
    fn at_end(&mut self, node: &Node) -> Way {
        if let Some(route) = self.pick(node.leaf) {
            return Way::Found { route, exact: true };
        }
        if self.query.slash {
            let slash = self.pick(node.end).or_else(|| self.pick(node.rest));
            self.slash = self.slash.or(slash);
        } else {
            self.allow(node.end);
            self.allow(node.rest);
        }
        Way::Nothing
    }

    /// The path ends in a slash.
    fn at_final_slash(&mut self, node: &Node) -> Way {
        if let Some(route) = self.pick(node.end) {
            return Way::Found { route, exact: true };
        }
        match self.pick(node.rest) {
            Some(route) => {
                self.spans.push((narrow(self.path.len()), narrow(self.path.len())));
                Way::Found { route, exact: true }
            }
            None => Way::Nothing,
        }
    }

    /// The pattern of a leaf that takes the method. If none does, the leaf's methods are allowed.
    #[inline]
    fn pick(&mut self, leaf: u32) -> Option<RouteId> {
        let found = self.arena.pick(leaf, self.query.method);
        if found.is_none() {
            self.allow(leaf);
        }
        found
    }

    #[inline]
    fn allow(&mut self, leaf: u32) {
        self.allowed.extend(&self.arena.leaves[leaf as usize].allow);
    }

    fn resume_at(&mut self, node: u32, start: usize, end: usize, only_rest: bool) {
        let spans = narrow(self.spans.len());
        self.resume.push(Resume { node, start: narrow(start), end: narrow(end), spans, only_rest });
    }
}

/// What a node has for a segment among its literal children.
enum Literal {
    Child(u32),
    None,
    Odd,
}

/// An offset in a path. Paths of 4 GiB and more are refused before the walk.
#[inline]
fn narrow(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}
