//! The comparison: a connection pool, none, and a server that closes, in any combination with what is spoken, how it is protected, how
//! many ask at once, how far the server is and how much it answers. Every round checks that it did what its name says.

mod case;
mod check;
mod client;
mod cost;
mod phases;
mod plan;
mod round;

pub use self::plan::{Group, Matrix, Plan, Wishes};

use std::time::{Duration, Instant};

use crate::identity::Identity;
use crate::model::Scenario;
use crate::watch::Watch;

/// Runs a plan. Told to stop, it returns the scenarios of which at least one round was measured.
///
/// # Errors
/// A scenario failed, or did not do what its name says; the error names it.
pub fn run(plan: &Plan, watch: &dyn Watch) -> Result<Vec<Scenario>, String> {
    let identity = Identity::make()?;
    let begun = Instant::now();
    let mut scenarios = Vec::new();
    for (at, group) in plan.groups.iter().enumerate() {
        if watch.stopped() {
            break;
        }
        // Starting servers takes time too, more on a busy machine: what is left of the limit is shared anew.
        let rest: Duration = plan.groups[at..].iter().map(Group::planned).sum();
        let left = plan.limit.map_or(rest, |limit| limit.saturating_sub(begun.elapsed()));
        let time = group.time.mul_f64((left.as_secs_f64() / rest.as_secs_f64()).min(1.0));
        scenarios.extend(run_group(&Group { time, ..group.clone() }, &identity, watch)?);
    }
    Ok(scenarios)
}

fn run_group(group: &Group, identity: &Identity, watch: &dyn Watch) -> Result<Vec<Scenario>, String> {
    let mut rounds = vec![Vec::new(); group.cases.len()];
    for _ in 0..group.rounds {
        for (case, measured) in group.cases.iter().zip(&mut rounds) {
            if watch.stopped() {
                break;
            }
            watch.doing(&case.name());
            let outcome = round::run(case, client::transport(case, identity)?, identity, group.round(), watch)?;
            measured.extend(outcome.map(|outcome| outcome.round));
        }
    }
    let mut scenarios = Vec::new();
    for (case, rounds) in group.cases.iter().zip(rounds) {
        if rounds.is_empty() {
            continue;
        }
        let mut phases = None;
        if !watch.stopped() {
            watch.doing(&format!("{}: phases", case.name()));
            let mut config = client::transport(case, identity)?;
            config.timings = true;
            let outcome = round::run(case, config, identity, group.phases(), watch)?;
            phases = outcome.and_then(|outcome| outcome.sums.means());
        }
        let cost = cost::cost(case, &rounds);
        scenarios.push(Scenario { case: *case, rounds, phases, cost });
    }
    Ok(scenarios)
}

#[cfg(test)]
mod tests;
