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

use std::time::Duration;

use crate::identity::Identity;
use crate::model::Scenario;
use crate::watch::{Watch, Within, tell_no_time};

/// Runs a plan. Told to stop, or out of time, it returns the scenarios of which at least one round was measured; `watch` is told which
/// others did not fit into the plan's limit.
///
/// # Errors
/// A scenario failed, or did not do what its name says; the error names it.
pub fn run(plan: &Plan, watch: &dyn Watch) -> Result<Vec<Scenario>, String> {
    let identity = Identity::make()?;
    let watch = Within::new(watch, plan.limit.unwrap_or(Duration::MAX));
    let mut scenarios = Vec::new();
    for at in 0..plan.groups.len() {
        // Starting servers takes time too, more on a busy machine: what is left of the limit is shared anew.
        scenarios.extend(run_group(&plan.shortened(at, watch.left()), &identity, &watch)?);
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
            tell_no_time(watch, &case.name());
            continue;
        }
        let mut outcome = None;
        if !watch.stopped() {
            watch.doing(&format!("{}: phases", case.name()));
            let mut config = client::transport(case, identity)?;
            config.timings = true;
            outcome = round::run(case, config, identity, group.phases(), watch)?;
        }
        if outcome.is_none() {
            tell_no_time(watch, &format!("{}: phases", case.name()));
        }
        let phases = outcome.and_then(|outcome| outcome.sums.means());
        let cost = cost::cost(case, &rounds);
        scenarios.push(Scenario { case: *case, rounds, phases, cost });
    }
    Ok(scenarios)
}

#[cfg(test)]
mod tests;
