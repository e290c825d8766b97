//! The straight walk: down the table without ever coming back, for paths that are read as they stand.
//!
//! It answers most requests, and those that it cannot answer for certain it leaves to [`crate::lookup`]: when a way that it took
//! leads nowhere and it has passed by others, and when the path may mean something else than it says (escapes, dots, `//`).
//! It keeps no state but a few numbers. It is inlined in its callers, since handing its answer on would cost more than the call; its
//! rare parts are functions whose answers fit into two registers. What was tried on the way here, with figures, is in the
//! repository's `docs/architecture.md`.

use std::cmp::Ordering;

use crate::arena::{Arena, Ends, Node};
use crate::methods::{MethodId, MethodMask};
use crate::scan::{scan, scan_long};
use crate::tree::RouteId;
use crate::words::{further_slashes, last_word};

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
/// `root` is that of the host's own patterns, or 0. A redirect to a final slash is wanted.
#[inline(always)]
pub(crate) fn quick(arena: &Arena, root: u32, method: MethodId, path: &[u8]) -> Said {
    if path.len() >= 64 {
        return quick_long(arena, root, method, path).into();
    }
    match scan(path) {
        0 => Said::Unclear,
        slashes => quick_with::<false>(arena, root, method, path, slashes),
    }
}

/// The same for paths of which the slashes do not fit into a word.
#[inline(never)]
fn quick_long(arena: &Arena, root: u32, method: MethodId, path: &[u8]) -> InRegisters {
    if u32::try_from(path.len()).is_err() {
        return Said::Unclear.into();
    }
    match scan_long(path) {
        Some(slashes) => quick_with::<true>(arena, root, method, path, slashes).into(),
        None => Said::Unclear.into(),
    }
}

#[inline(always)]
fn quick_with<const LONG: bool>(arena: &Arena, root: u32, method: MethodId, path: &[u8], slashes: u64) -> Said {
    let (id, node, at) = walk::<LONG>(arena, root, path, slashes);
    if at > path.len() {
        let Ends { leaf, end, rest } = arena.ends(id);
        let route = match method {
            MethodId::GET => node.get.checked_sub(1),
            _ => arena.pick(leaf, method),
        };
        if let Some(route) = route {
            return Said::Found { route, slashes };
        }
        if end | rest == 0 && !node.passed {
            return Said::Miss(arena.allow(leaf));
        }
    }
    otherwise(arena, id, at, method, path.len(), slashes).into()
}

/// Goes down from a root, to the last node that there is on the straight way.
///
/// Also says where the segment begins for which there is no further node: where the path ends if that is a slash, and one past
/// it if the path was used up.
#[inline(always)]
fn walk<'a, const LONG: bool>(arena: &'a Arena, root: u32, path: &[u8], mut slashes: u64) -> (u32, &'a Node, usize) {
    let last = last_word(path);
    // Where the bits of `slashes` begin, and where the segment does.
    let (mut from, mut start) = (0, 1);
    let (mut id, mut node) = (root, arena.node(root));
    while start < path.len() {
        if LONG && slashes == 0 {
            (slashes, from) = further_slashes(path, from);
        }
        let end = from + slashes.trailing_zeros() as usize;
        slashes &= slashes.wrapping_sub(1);
        let literal = match path.get(start..) {
            Some(rest) if node.literals => arena.step(id, rest, last, end.wrapping_sub(start)),
            _ => None,
        };
        (id, node) = match literal {
            Some(child) => child,
            None if node.wild != 0 => (node.wild, arena.node(node.wild)),
            None => break,
        };
        start = end + 1;
    }
    (id, node, start)
}

/// What can be said when no pattern without a final slash takes the request.
#[inline(never)]
fn otherwise(arena: &Arena, id: u32, at: usize, method: MethodId, path_len: usize, slashes: u64) -> InRegisters {
    let passed = arena.node(id).passed;
    let Ends { leaf, end, rest } = arena.ends(id);
    if end | rest == 0 && !passed {
        let leaf = if at > path_len { leaf } else { 0 };
        return Said::Miss(arena.allow(leaf)).into();
    }
    let said = match at.cmp(&path_len) {
        Ordering::Greater if passed => Said::Unclear,
        Ordering::Greater => match arena.pick(end, method).or_else(|| arena.pick(rest, method)) {
            Some(route) => Said::Slash(route),
            None => Said::Miss(arena.allow(leaf) | arena.allow(end) | arena.allow(rest)),
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
