//! The straight walk: down the table without ever coming back, for paths that are read as they stand.
//!
//! It answers most requests, and those that it cannot answer for certain it leaves to [`crate::lookup`]: when a way that it took
//! leads nowhere and it has passed by others, and when the path may mean something else than it says (escapes, dots, `//`).
//! It keeps no state but a few numbers. When the full walk answered everything, a lookup took 667 instructions, now it takes 480
//! (callgrind, 130 routes of the GitHub API, the loop around the lookup and the drop of the match counted in; x86-64, November
//! 2026).

use crate::arena::{Arena, Node};
use crate::clean::is_plain_path;
use crate::key::Key;
use crate::lookup::Outcome;
use crate::methods::{MethodId, MethodMask};
use crate::spans::Spans;
use crate::tree::RouteId;
use crate::words::{bytes_below, doubtful_in, last_word, slashes_in, surely_plain, up_to, word};

/// Looks a request up, if that can be done on the straight way: the pattern that takes it, or what else is certain.
///
/// `own_root` is the root of the host's own patterns, or 0. `path` begins with a slash and is at most
/// [`Spans::NEAR_PATH`] long. A redirect to a final slash is wanted.
#[inline(always)]
pub(crate) fn quick(
    arena: &Arena,
    own_root: u32,
    method: MethodId,
    path: &[u8],
    spans: &mut Spans,
) -> Result<RouteId, Option<Outcome>> {
    let root = if own_root != 0 { own_root } else { arena.any_host };
    let way = walk(arena, arena.node(root), path, spans);
    if let End::Path = way.end
        && let Some(route) = arena.pick(way.node.leaf, method)
    {
        return Ok(route);
    }
    // What the way has passed by: other children, other leaves, the patterns without a host.
    let passed = way.passed || (own_root != 0 && arena.any_host != 0);
    otherwise(arena, &way, method, path.len(), passed, spans)
}

/// How far the straight way leads.
struct Way<'a> {
    /// The last node that it reaches.
    node: &'a Node,
    end: End,
    /// Whether it has passed by other ways.
    passed: bool,
}

/// Why the way ends.
enum End {
    /// The path ends, without a slash.
    Path,
    /// The path ends in a slash.
    Slash,
    /// The node has no child for the segment that begins here.
    Child(u16),
    /// The path may mean something else than it says, or has too many values.
    Unclear,
}

/// Goes down from a root. Not part of its caller, so that the loop has all registers to itself.
#[inline(never)]
fn walk<'a>(arena: &'a Arena, root: &'a Node, path: &[u8], spans: &mut Spans) -> Way<'a> {
    let mut node = root;
    let mut passed = false;
    // Whether something on the way may be more than plain text. That is looked into at the end.
    let mut doubt = 0;
    let last = last_word(path);
    // From the segment after the node to the end.
    let mut rest = path.get(1..).unwrap_or_default();
    let end = loop {
        if rest.is_empty() {
            break End::Slash;
        }
        let head = word(rest, last);
        let slashes = slashes_in(head);
        let mut literal = None;
        if node.slots != 0 {
            let key = Key::first(rest, last, head, slashes);
            literal = arena.literal(node, &key, rest).map(|slot| (slot, key.len as usize));
        }
        let len = if let Some((slot, len)) = literal {
            doubt |= u64::from(slot.odd);
            passed |= slot.passes;
            node = arena.node(slot.child);
            len
        } else if node.wild != 0 {
            doubt |= doubtful_in(head) & up_to(slashes);
            // A segment that is empty or begins with a dot; the two bytes differ in the lowest bit.
            doubt |= u64::from(head & 0xfe == u64::from(b'.'));
            let mut len = bytes_below(slashes) as usize;
            if slashes == 0 {
                let (all, doubt_there) = long_value(rest, last);
                (len, doubt) = (all, doubt | doubt_there);
            }
            let start = path.len() - rest.len();
            if !spans.push_near(start, start + len) {
                break End::Unclear;
            }
            passed |= node.rest != 0;
            node = arena.node(node.wild);
            len
        } else {
            doubt |= u64::from(!surely_plain(rest));
            break u16::try_from(path.len() - rest.len()).map_or(End::Unclear, End::Child);
        };
        match rest.get(len + 1..) {
            Some(after) => rest = after,
            None => break End::Path,
        }
    };
    let end = if doubt != 0 && !is_plain_path(path) { End::Unclear } else { end };
    Way { node, end, passed }
}

/// The length of a value that is longer than a word, and whether there is a doubt that it is plain text.
#[inline(always)]
fn long_value(value: &[u8], last: u64) -> (usize, u64) {
    let (mut at, mut doubt) = (8, 0);
    loop {
        let word = word(value.get(at..).unwrap_or_default(), last);
        let slashes = slashes_in(word);
        doubt |= doubtful_in(word) & up_to(slashes);
        if slashes != 0 {
            return (at + bytes_below(slashes) as usize, doubt);
        }
        at += 8;
    }
}

/// What can be said when no pattern without a final slash takes the request.
#[inline(never)]
fn otherwise(
    arena: &Arena,
    way: &Way<'_>,
    method: MethodId,
    path_len: usize,
    passed: bool,
    spans: &mut Spans,
) -> Result<RouteId, Option<Outcome>> {
    let node = way.node;
    // Where the value of a rest begins, and what else than that could take the method.
    let (start, others) = match way.end {
        End::Unclear => return Err(None),
        End::Path if passed => return Err(None),
        End::Path => {
            let slash = arena.pick(node.end, method).or_else(|| arena.pick(node.rest, method));
            let miss = || Outcome::Miss(arena.allow(node.leaf) | arena.allow(node.end) | arena.allow(node.rest));
            return Err(Some(slash.map_or_else(miss, Outcome::Slash)));
        }
        End::Slash => match arena.pick(node.end, method) {
            Some(route) => return Ok(route),
            None => (path_len, arena.allow(node.end)),
        },
        End::Child(start) => (usize::from(start), MethodMask::NONE),
    };
    match arena.pick(node.rest, method) {
        Some(route) if spans.push_near(start, path_len) => Ok(route),
        Some(_) => Err(None),
        None => Err((!passed).then(|| Outcome::Miss(others | arena.allow(node.rest)))),
    }
}
