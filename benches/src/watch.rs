//! What the parts of a run tell while they measure, and how they learn that they shall stop.

use std::time::{Duration, Instant};

/// Whoever watches a run.
pub trait Watch {
    /// Told before each piece of work: what it is, in a few words.
    fn doing(&self, what: &str);

    /// Whether to return soon, with what has been measured so far: somebody said so, or no time is left.
    fn stopped(&self) -> bool;

    /// How much time is left; without a limit, more than anybody can use.
    fn left(&self) -> Duration {
        Duration::MAX
    }

    /// Told of what is not measured though it was planned, and why. What nobody measures because somebody stopped the run is not told.
    fn left_out(&self, _what: &str, _why: &str) {}
}

/// Why something was left out that did not fit into its time any more.
pub const NO_TIME: &str = "there was no time for it";

/// Tells one who watches what was left out, unless it was because the run was stopped from outside.
pub fn tell_no_time(watch: &dyn Watch, what: &str) {
    if watch.left().is_zero() || !watch.stopped() {
        watch.left_out(what, NO_TIME);
    }
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

/// A part of a run that has a limit of its own: it stops when its time is over, and when the whole does.
pub struct Within<'a> {
    whole: &'a dyn Watch,
    until: Option<Instant>,
}

impl<'a> Within<'a> {
    /// From now on, for so long.
    #[must_use]
    pub fn new(whole: &'a dyn Watch, time: Duration) -> Self {
        Within { whole, until: Instant::now().checked_add(time) }
    }
}

impl Watch for Within<'_> {
    fn doing(&self, what: &str) {
        self.whole.doing(what);
    }

    fn stopped(&self) -> bool {
        self.whole.stopped() || self.left().is_zero()
    }

    fn left(&self) -> Duration {
        let own = self.until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
        own.min(self.whole.left())
    }

    fn left_out(&self, what: &str, why: &str) {
        self.whole.left_out(what, why);
    }
}

#[cfg(test)]
pub(crate) mod fake {
    use std::cell::{Cell, RefCell};
    use std::time::Duration;

    use super::Watch;

    /// Whose time is over, by its word, when the piece of work behind so many is begun.
    #[derive(Debug, Default)]
    pub(crate) struct Hourglass {
        pub(crate) pieces: Cell<u32>,
        pub(crate) left_out: RefCell<Vec<String>>,
    }

    impl Hourglass {
        pub(crate) fn after(pieces: u32) -> Self {
            Hourglass { pieces: pieces.into(), ..Hourglass::default() }
        }

        pub(crate) fn said(&self) -> Vec<String> {
            self.left_out.borrow().clone()
        }
    }

    impl Watch for Hourglass {
        fn doing(&self, _what: &str) {
            self.pieces.set(self.pieces.get().saturating_sub(1));
        }

        fn stopped(&self) -> bool {
            self.left().is_zero()
        }

        fn left(&self) -> Duration {
            if self.pieces.get() == 0 { Duration::ZERO } else { Duration::from_secs(3600) }
        }

        fn left_out(&self, what: &str, why: &str) {
            self.left_out.borrow_mut().push(format!("{what}: {why}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fake::Hourglass;
    use super::*;

    #[test]
    fn a_part_ends_with_its_own_time_and_with_the_whole() {
        let never = Hourglass::after(1);
        assert!(Within::new(&never, Duration::ZERO).stopped());
        let part = Within::new(&never, Duration::MAX);
        assert!(!part.stopped() && part.left() == Duration::from_secs(3600));
        part.doing("the last piece");
        assert!(part.stopped() && part.left().is_zero());
        tell_no_time(&part, "the rest");
        assert_eq!(never.said(), ["the rest: there was no time for it"]);
    }

    #[test]
    fn what_somebody_stopped_is_not_told_as_left_out() {
        struct Stopped(Hourglass);
        impl Watch for Stopped {
            fn doing(&self, _what: &str) {}
            fn stopped(&self) -> bool {
                true
            }
            fn left_out(&self, what: &str, why: &str) {
                self.0.left_out(what, why);
            }
        }
        let stopped = Stopped(Hourglass::default());
        tell_no_time(&stopped, "the rest");
        assert!(stopped.0.said().is_empty());
    }
}
