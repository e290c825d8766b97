//! How much may be repeated.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What may be spent on repeating requests. Clones share it.
///
/// Every request pays in a part of a repetition, and time pays in some; every repetition takes one out. In normal times that is
/// plenty; when everything fails, the load on the server grows by that part and no more.
#[derive(Clone)]
pub struct RetryBudget {
    ratio: f64,
    per_second: f64,
    state: Arc<Mutex<State>>,
}

struct State {
    /// 0 <= left <= most.
    left: f64,
    /// When time paid in last; `None` before the first request.
    at: Option<Instant>,
}

/// No more than this many seconds of savings are kept.
const SAVED_SECONDS: f64 = 10.0;

impl RetryBudget {
    /// Allows `ratio` repetitions for each request, and `per_second` in any case. Negative numbers count as 0.
    #[must_use]
    pub fn new(ratio: f64, per_second: f64) -> Self {
        let (ratio, per_second) = (ratio.max(0.0), per_second.max(0.0));
        let left = per_second * SAVED_SECONDS;
        RetryBudget { ratio, per_second, state: Arc::new(Mutex::new(State { left, at: None })) }
    }

    /// Counts a request.
    pub(super) fn deposit(&self) {
        let mut state = self.state();
        state.left = (state.left + self.ratio).min(self.most());
    }

    /// Takes one repetition out, if there is one.
    pub(super) fn withdraw(&self) -> bool {
        let mut state = self.state();
        let may = state.left >= 1.0;
        if may {
            state.left -= 1.0;
        }
        may
    }

    /// The state as it is now.
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete or not begun.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let passed = state.at.replace(now).map_or(Duration::ZERO, |at| now - at);
        state.left = (state.left + passed.as_secs_f64() * self.per_second).min(self.most());
        state
    }

    /// Enough for a burst: what time pays in, or what 100 requests do.
    fn most(&self) -> f64 {
        (self.per_second * SAVED_SECONDS).max(self.ratio * 100.0)
    }
}

/// A fifth of the requests, and ten a second.
impl Default for RetryBudget {
    fn default() -> Self {
        RetryBudget::new(0.2, 10.0)
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudget")
            .field("ratio", &self.ratio)
            .field("per_second", &self.per_second)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(budget: &RetryBudget) -> usize {
        (0..10_000).take_while(|_| budget.withdraw()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn requests_and_time_pay_in() {
        let budget = RetryBudget::new(0.2, 1.0);
        assert_eq!(drained(&budget), 10);
        (0..51).for_each(|_| budget.clone().deposit());
        assert_eq!(drained(&budget), 10);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(drained(&budget), 3);
        tokio::time::advance(Duration::from_secs(3000)).await;
        assert_eq!(drained(&budget), 20, "savings are bounded");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_nothing() {
        let budget = RetryBudget::new(-1.0, 0.0);
        budget.deposit();
        assert!(!budget.withdraw());
    }
}
