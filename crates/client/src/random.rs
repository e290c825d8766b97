//! Numbers that nobody outside can guess.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A random number, from the keys that the standard library makes for its maps: each state has its own.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
