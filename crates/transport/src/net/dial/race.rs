//! Happy Eyeballs, version 2 (RFC 8305): which address to try when, and which one wins.
//!
//! The rules only: what an attempt is, the caller says; time is tokio's, which tests pause.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// The addresses in the order in which to try them: families alternate, each in the order of the resolver, starting with the
/// family that the resolver put first (RFC 8305, section 4, with a first address family count of 1).
pub(super) fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().map(SocketAddr::is_ipv6) else { return addresses };
    let total = addresses.len();
    let (preferred, other): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == first);
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut order = Vec::with_capacity(total);
    while order.len() < total {
        order.extend(preferred.next());
        order.extend(other.next());
    }
    order
}

/// Tries `addresses` one after the other until one answers.
///
/// The next one starts when `stagger` has passed since the last start, or at once when an attempt fails; earlier attempts go on
/// beside it. The first to succeed wins, and the others are dropped. With `None` the next waits for the failure of the last.
///
/// # Errors
/// Every address with the reason for which it failed, in the order of the failures.
///
/// # Cancel safety
/// Dropping the future drops all attempts.
pub(super) async fn race<T, E, Fut>(
    addresses: Vec<SocketAddr>,
    stagger: Option<Duration>,
    mut attempt: impl FnMut(SocketAddr) -> Fut,
) -> Result<(SocketAddr, T), Vec<(SocketAddr, E)>>
where
    Fut: Future<Output = Result<T, E>>,
{
    let mut waiting = addresses.into_iter();
    let mut running: Vec<(SocketAddr, Pin<Box<Fut>>)> = Vec::new();
    let mut failures = Vec::new();
    let mut timer = pin!(sleep_until(Instant::now()));
    poll_fn(|cx| {
        loop {
            let failed_before = failures.len();
            if let Some(winner) = poll_running(&mut running, &mut failures, cx) {
                return Poll::Ready(Ok(winner));
            }
            let due = running.is_empty()
                || failures.len() > failed_before
                || (stagger.is_some() && timer_is_done(timer.as_mut(), cx, waiting.len()));
            if !due {
                return Poll::Pending;
            }
            let Some(address) = waiting.next() else {
                return if running.is_empty() {
                    Poll::Ready(Err(std::mem::take(&mut failures)))
                } else {
                    Poll::Pending
                };
            };
            running.push((address, Box::pin(attempt(address))));
            if let Some(stagger) = stagger {
                timer.as_mut().reset(Instant::now() + stagger);
            }
        }
    })
    .await
}

/// Polls all attempts. Those that failed move to `failures`.
fn poll_running<T, E, Fut>(
    running: &mut Vec<(SocketAddr, Pin<Box<Fut>>)>,
    failures: &mut Vec<(SocketAddr, E)>,
    cx: &mut Context<'_>,
) -> Option<(SocketAddr, T)>
where
    Fut: Future<Output = Result<T, E>>,
{
    let mut at = 0;
    while let Some((address, future)) = running.get_mut(at) {
        match future.as_mut().poll(cx) {
            Poll::Pending => at += 1,
            Poll::Ready(Ok(won)) => return Some((*address, won)),
            Poll::Ready(Err(error)) => {
                failures.push((*address, error));
                // Kept in order: of two that succeed in one poll, the one that started first wins.
                drop(running.remove(at));
            }
        }
    }
    None
}

/// Whether the time for the next start has come. With nothing left to start there is nothing to wait for.
fn timer_is_done(timer: Pin<&mut Sleep>, cx: &mut Context<'_>, left: usize) -> bool {
    left > 0 && timer.poll(cx).is_ready()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use tokio::time::sleep;

    use super::*;

    fn v4(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 80))
    }

    fn v6(last: u16) -> SocketAddr {
        SocketAddr::from(([0xfd00, 0, 0, 0, 0, 0, 0, last], 80))
    }

    #[test]
    fn families_alternate_from_the_one_that_the_resolver_prefers() {
        for (given, want) in [
            (vec![v6(1), v6(2), v4(1), v4(2)], vec![v6(1), v4(1), v6(2), v4(2)]),
            (vec![v4(1), v6(1), v6(2), v6(3)], vec![v4(1), v6(1), v6(2), v6(3)]),
            (vec![v4(1), v4(2), v4(3), v6(1)], vec![v4(1), v6(1), v4(2), v4(3)]),
            (vec![v4(2), v4(1)], vec![v4(2), v4(1)]),
            (vec![], vec![]),
        ] {
            assert_eq!(interleaved(given), want);
        }
    }

    /// How an attempt goes: after so many milliseconds, so.
    type Plan = (SocketAddr, u64, Result<&'static str, &'static str>);

    /// Runs the plans in order. Returns the outcome, when each attempt started, how long all took, and who was dropped.
    struct Run {
        outcome: Result<(SocketAddr, &'static str), Vec<(SocketAddr, &'static str)>>,
        starts: Vec<(SocketAddr, u128)>,
        took: u128,
        dropped: Vec<SocketAddr>,
    }

    struct OnDrop(Option<SocketAddr>, Rc<RefCell<Vec<SocketAddr>>>);

    impl OnDrop {
        fn finished(&mut self) {
            self.0 = None;
        }
    }

    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.1.borrow_mut().extend(self.0);
        }
    }

    async fn run(stagger: Option<u64>, plans: &[Plan]) -> Run {
        let began = Instant::now();
        let starts = RefCell::new(Vec::new());
        let dropped = Rc::new(RefCell::new(Vec::new()));
        let addresses = plans.iter().map(|plan| plan.0).collect();
        let attempt = |address| {
            starts.borrow_mut().push((address, began.elapsed().as_millis()));
            let plan = *plans.iter().find(|plan| plan.0 == address).unwrap();
            let mut guard = OnDrop(Some(address), Rc::clone(&dropped));
            async move {
                sleep(Duration::from_millis(plan.1)).await;
                guard.finished();
                plan.2
            }
        };
        let outcome = race(addresses, stagger.map(Duration::from_millis), attempt).await;
        let took = began.elapsed().as_millis();
        let dropped = dropped.borrow().clone();
        Run { outcome, starts: starts.into_inner(), took, dropped }
    }

    #[tokio::test(start_paused = true)]
    async fn a_black_hole_is_passed_by_after_the_stagger() {
        let run = run(Some(250), &[(v6(1), 1_000_000, Ok("late")), (v4(1), 10, Ok("won"))]).await;
        assert_eq!(run.outcome, Ok((v4(1), "won")));
        assert_eq!(run.starts, [(v6(1), 0), (v4(1), 250)]);
        assert_eq!(run.took, 260);
        assert_eq!(run.dropped, [v6(1)], "the loser is given up");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_starts_the_next_at_once() {
        let plans = [(v6(1), 5, Err("refused")), (v4(1), 5, Err("refused")), (v6(2), 5, Ok("won"))];
        let run = run(Some(250), &plans).await;
        assert_eq!(run.outcome, Ok((v6(2), "won")));
        assert_eq!(run.starts, [(v6(1), 0), (v4(1), 5), (v6(2), 10)]);
        assert_eq!(run.took, 15);
    }

    #[tokio::test(start_paused = true)]
    async fn every_address_is_staggered_and_the_slow_first_may_still_win() {
        let plans =
            [(v6(1), 600, Ok("won")), (v4(1), 900, Ok("late")), (v6(2), 900, Ok("late")), (v4(2), 1, Ok("never"))];
        let run = run(Some(250), &plans).await;
        assert_eq!(run.outcome, Ok((v6(1), "won")));
        assert_eq!(run.starts, [(v6(1), 0), (v4(1), 250), (v6(2), 500)]);
        assert_eq!((run.took, run.dropped), (600, vec![v4(1), v6(2)]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_moves_the_next_stagger() {
        let plans = [(v6(1), 100, Err("refused")), (v4(1), 9_000, Ok("late")), (v6(2), 1, Ok("won"))];
        let run = run(Some(250), &plans).await;
        assert_eq!(run.starts, [(v6(1), 0), (v4(1), 100), (v6(2), 350)]);
        assert_eq!(run.outcome, Ok((v6(2), "won")));
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_each_is_told() {
        let plans = [(v6(1), 700, Err("timed out")), (v4(1), 5, Err("refused")), (v4(2), 5, Err("unreachable"))];
        let run = run(Some(250), &plans).await;
        let want = vec![(v4(1), "refused"), (v4(2), "unreachable"), (v6(1), "timed out")];
        assert_eq!(run.outcome, Err(want));
        assert_eq!(run.took, 700);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_stagger_one_follows_the_other() {
        let run = run(None, &[(v6(1), 5_000, Err("timed out")), (v4(1), 5, Ok("won"))]).await;
        assert_eq!(run.starts, [(v6(1), 0), (v4(1), 5_000)]);
        assert_eq!(run.outcome, Ok((v4(1), "won")));
    }

    #[tokio::test(start_paused = true)]
    async fn no_address_is_no_success() {
        assert_eq!(run(Some(250), &[]).await.outcome, Err(vec![]));
    }
}
