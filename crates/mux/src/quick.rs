//! The straight walk: down the table without ever coming back, for paths that are read as they stand.
//!
//! It answers most requests, and those that it cannot answer for certain it leaves to [`crate::lookup`]: when a way that it took
//! leads nowhere and it has passed by others, and when the path may mean something else than it says (escapes, dots, `//`).
//! It keeps no state but a few numbers, and its answer fits into two registers. What was tried on the way here, with figures, is in
//! the repository's `docs/architecture.md`.

use std::cmp::Ordering;

use crate::arena::{Arena, Branch, Node};
use crate::methods::{MethodId, MethodMask};
use crate::scan::scan;
use crate::tree::RouteId;
use crate::words::{Slashes, last_word, word};

/// What the straight walk says about a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Said {
    /// A pattern takes it, and the path has these slashes among its first 64 bytes.
    Found { route: RouteId, slashes: u64 },
    /// None does so better than this one, to which a final slash leads.
    Slash(RouteId),
    /// None takes the method; these methods would be taken, perhaps none.
    Miss(MethodMask),
    /// The full walk has to say.
    Unclear,
}

/// [`Said`] as two numbers. Only those are returned in registers, and what goes through memory costs a lookup some cycles.
#[derive(Clone, Copy)]
pub(crate) struct InRegisters(u64, u64);

impl From<Said> for InRegisters {
    #[inline(always)]
    fn from(said: Said) -> Self {
        match said {
            Said::Found { route, slashes } => InRegisters(u64::from(route) << 2, slashes),
            Said::Slash(route) => InRegisters(u64::from(route) << 2 | 1, 0),
            Said::Miss(methods) => InRegisters(2, methods.bits()),
            Said::Unclear => InRegisters(3, 0),
        }
    }
}

impl From<InRegisters> for Said {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "a route of 32 bits was put in above the lowest two")]
    fn from(InRegisters(first, second): InRegisters) -> Self {
        let route = (first >> 2) as RouteId;
        match first & 3 {
            0 => Said::Found { route, slashes: second },
            1 => Said::Slash(route),
            2 => Said::Miss(MethodMask::from_bits(second)),
            _ => Said::Unclear,
        }
    }
}

/// Looks a request up, if that can be done on the straight way.
///
/// `own_root` is the root of the host's own patterns, or 0. `path` begins with a slash. A redirect to a final slash is wanted.
#[inline(always)]
pub(crate) fn quick(arena: &Arena, own_root: u32, method: MethodId, path: &[u8]) -> Said {
    let Some(mask) = scan(path) else { return Said::Unclear };
    let root = if own_root != 0 { own_root } else { arena.any_host };
    let (node, at) = walk(arena, arena.node(root), path, Slashes::known(path, mask));
    if at > path.len()
        && let Some(route) = arena.pick(node.leaf, method)
    {
        return Said::Found { route, slashes: mask };
    }
    otherwise(arena, node, at, method, path.len(), mask).into()
}

/// Goes down from a root, to the last node that there is on the straight way.
///
/// Also says where the segment begins for which there is no further node: where the path ends if that is a slash, and one past
/// it if the path was used up.
#[inline(always)]
fn walk<'a>(arena: &'a Arena, root: &'a Node, path: &[u8], mut slashes: Slashes<'_>) -> (&'a Node, usize) {
    let mut node = root;
    let last = last_word(path);
    let mut start = 1;
    loop {
        // From the segment after the node to the end.
        let rest = match path.get(start..) {
            Some(rest) if !rest.is_empty() => rest,
            _ => return (node, path.len()),
        };
        // Where the segment ends is not learned from the literal that it is, so that the processor need not wait for the one
        // node to find the next segment.
        let end = slashes.next();
        let head = word(rest, last);
        if node.children != 0
            && let Some(child) = arena.step(node, rest, last, head)
        {
            node = child;
        } else if node.wild != 0 {
            node = arena.node(node.wild);
        } else {
            return (node, start);
        }
        start = end + 1;
        if end == path.len() {
            return (node, start);
        }
    }
}

/// What can be said when no pattern without a final slash takes the request.
#[inline(never)]
fn otherwise(arena: &Arena, node: &Node, at: usize, method: MethodId, path_len: usize, slashes: u64) -> InRegisters {
    let passed = node.marks.passed;
    if node.branch == 0 && !passed {
        let leaf = if at > path_len { node.leaf } else { 0 };
        return Said::Miss(arena.allow(leaf)).into();
    }
    let Branch { end, rest } = arena.branch(node);
    let said = match at.cmp(&path_len) {
        Ordering::Greater if passed => Said::Unclear,
        Ordering::Greater => match arena.pick(end, method).or_else(|| arena.pick(rest, method)) {
            Some(route) => Said::Slash(route),
            None => Said::Miss(arena.allow(node.leaf) | arena.allow(end) | arena.allow(rest)),
        },
        ends_or_goes_on => {
            let end = if ends_or_goes_on.is_eq() { end } else { 0 };
            match arena.pick(end, method).or_else(|| arena.pick(rest, method)) {
                Some(route) => Said::Found { route, slashes },
                None if passed => Said::Unclear,
                None => Said::Miss(arena.allow(end) | arena.allow(rest)),
            }
        }
    };
    said.into()
}
