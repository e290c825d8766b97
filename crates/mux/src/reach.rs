//! What lies below a node of the growing trie, in short: enough to see that a pattern meets none of it.

use crate::methods::{MethodId, MethodMask};

/// The lengths and methods of the patterns below a node. Never says no where there is something to meet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// A bit for each number of segments after which a pattern ends; the top bit stands for 63 and more.
    lengths: u64,
    /// The fewest segments after which a rest begins.
    rest_after: usize,
    methods: MethodMask,
}

impl Reach {
    pub(crate) const NOTHING: Reach = Reach { lengths: 0, rest_after: usize::MAX, methods: MethodMask::NONE };

    /// Whether one of the patterns below may meet one that goes on for `segments` more, and then ends or has a rest.
    pub(crate) fn may_meet(&self, other: &Remainder) -> bool {
        if (self.methods & other.methods).is_empty() {
            return false;
        }
        let bit = other.segments.min(63);
        let ends = if other.rest { self.lengths >> bit != 0 } else { self.lengths >> bit & 1 != 0 };
        // Two rests always meet; else the rest must begin before the other pattern has ended.
        ends || (self.rest_after != usize::MAX && (other.rest || self.rest_after <= other.segments))
    }

    pub(crate) fn add(&mut self, below: &Remainder) {
        if below.rest {
            self.rest_after = self.rest_after.min(below.segments);
        } else {
            self.lengths |= 1 << below.segments.min(63);
        }
        self.methods |= below.methods;
    }
}

/// What is left of a pattern behind some of its segments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remainder {
    /// How many literals and wildcards.
    pub(crate) segments: usize,
    /// Whether it ends in a rest.
    pub(crate) rest: bool,
    /// The methods it takes.
    pub(crate) methods: MethodMask,
}

/// The methods that a pattern with this method takes, as far as other patterns name them.
pub(crate) fn taken_by(method: Option<MethodId>) -> MethodMask {
    match method {
        None => MethodMask::ALL,
        Some(MethodId::GET) => MethodMask::of(MethodId::GET) | MethodMask::of(MethodId::HEAD),
        Some(method) => MethodMask::of(method),
    }
}
