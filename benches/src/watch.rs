//! What the parts of a run tell while they measure, and how they learn that they shall stop.

/// Whoever watches a run.
pub trait Watch {
    /// Told before each piece of work: what it is, in a few words.
    fn doing(&self, what: &str);

    /// Whether to return soon, with what has been measured so far.
    fn stopped(&self) -> bool;
}

/// Watches nothing and never stops a run: for tests and for programs that print only at their end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn doing(&self, _what: &str) {}

    fn stopped(&self) -> bool {
        false
    }
}
