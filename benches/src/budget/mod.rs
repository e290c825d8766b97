//! Costs beside their budgets: what tells that a change made something slower.
//!
//! - [`limits`]: the budgets, as data.
//! - `measure`: the costs. Instructions and allocations do not depend on how busy the machine is; times are ratios to a peer in the same run.
//! - `table`: both as text, for the terminal and for `benches/BUDGET.md`.

pub mod limits;
mod measure;
mod table;

use std::path::PathBuf;

pub use self::limits::{Limit, TOLERANCE_PERCENT};
pub use self::measure::Lookups;
pub use self::table::{document, table};
use crate::model::{Absent, Budget, BudgetRow};
use crate::watch::Watch;

/// What is measured, and with how much care.
#[derive(Debug)]
pub struct Options {
    /// A program that does as it is told, in a process of its own: `--run CLIENT ADDR N` sends requests, `--serve WAY` is a server,
    /// `--serve-told WAY` one that answers questions, `--serve-idle` one for idle connections, `--look-up ROUTER ROUNDS` looks paths up. The program `budget` is one.
    pub program: PathBuf,
    /// The budgets.
    pub limits: Vec<Limit>,
    /// Requests of the shorter run under valgrind, for a client; a server gets four times as many.
    pub requests: u64,
    /// Idle connections.
    pub idle: u64,
    /// Rounds of what is measured in time.
    pub rounds: usize,
    /// The routers: ours first, then those that it is compared with.
    pub routers: Vec<Lookups>,
}

impl Options {
    /// All budgets, measured with care.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Options { program, limits: limits::ALL.to_vec(), requests: 500, idle: 2000, rounds: 15, routers: Vec::new() }
    }
}

/// Measures the cost of each budget.
///
/// # Errors
/// A server or a client did not do what it should. What cannot be measured here (no valgrind, peers not built) is no error: it is
/// among those absent.
pub fn run(options: &Options, watch: &dyn Watch) -> Result<Budget, String> {
    let mut budget = Budget { tolerance_percent: TOLERANCE_PERCENT, ..Budget::default() };
    let measured = measure::all(options, watch)?;
    for limit in &options.limits {
        match measured.iter().find(|cost| cost.id == limit.id).map(|cost| &cost.outcome) {
            Some(Ok((ours, peers))) => budget.rows.push(row(limit, *ours, peers.clone())),
            Some(Err(why)) => budget.absent.push(Absent { name: limit.what.into(), why: why.clone() }),
            None => budget.absent.push(Absent { name: limit.what.into(), why: "the run was stopped before".into() }),
        }
    }
    Ok(budget)
}

fn row(limit: &Limit, ours: f64, peers: Vec<(String, f64)>) -> BudgetRow {
    BudgetRow {
        id: limit.id.into(),
        what: limit.what.into(),
        unit: limit.unit.into(),
        budget: limit.kept,
        target: limit.target,
        source: limit.source.into(),
        told: limit.told,
        ours,
        peers,
    }
}

/// Whether all costs are within their budgets that are judged: those in time only where [`Limit::judge_times`] says so.
///
/// # Errors
/// Some are over by more than the tolerance, or nothing was measured; the error names each.
pub fn judge(budget: &Budget) -> Result<(), String> {
    if budget.rows.is_empty() {
        return Err("nothing was measured".into());
    }
    let over: Vec<String> = budget
        .rows
        .iter()
        .filter(|row| row.is_over(budget.tolerance_percent))
        .map(|row| {
            let percent = 100.0 * (row.ours / row.budget - 1.0);
            format!(
                "{}: {} {} where {} are allowed, {percent:.1} % over",
                row.id,
                number(row.ours),
                row.unit,
                number(row.budget)
            )
        })
        .collect();
    if over.is_empty() { Ok(()) } else { Err(format!("over budget: {}", over.join("; "))) }
}

/// A figure with as many digits as it is worth.
fn number(figure: f64) -> String {
    if figure.fract().abs() < 0.005 || figure.abs() >= 100.0 {
        let digits = format!("{figure:.0}");
        let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
        return groups.join(",");
    }
    format!("{figure:.2}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::Unwatched;

    fn limit(id: &'static str, kept: f64) -> Limit {
        Limit { kept, ..*limits::find(id).unwrap() }
    }

    /// Allocations need no other process and no valgrind.
    fn options(limits: Vec<Limit>) -> Options {
        Options { limits, ..Options::new(PathBuf::from("/no/such/program")) }
    }

    #[test]
    fn a_cost_over_its_budget_makes_the_run_fail() {
        let budget = run(&options(vec![limit("transport-allocations", 0.5)]), &Unwatched).unwrap();
        assert!(budget.rows[0].ours >= 1.0, "a response needs memory: {budget:?}");
        let said = judge(&budget).unwrap_err();
        assert!(said.starts_with("over budget: transport-allocations: "), "{said}");
    }

    #[test]
    fn a_cost_within_its_budget_does_not() {
        let budget = run(&options(vec![limit("transport-allocations", 1e6)]), &Unwatched).unwrap();
        assert_eq!(judge(&budget), Ok(()));
    }

    #[test]
    fn five_percent_are_tolerated() {
        let budget = |ours| Budget {
            tolerance_percent: TOLERANCE_PERCENT,
            rows: vec![row(&limit("transport-instructions", 10_000.0), ours, Vec::new())],
            absent: Vec::new(),
        };
        assert_eq!(judge(&budget(10_500.0)), Ok(()));
        let said = judge(&budget(10_600.0)).unwrap_err();
        assert_eq!(
            said,
            "over budget: transport-instructions: 10,600 instructions where 10,000 are allowed, 6.0 % over"
        );
    }

    #[test]
    fn times_are_told_and_judged_only_where_asked() {
        let slow = |limit: Limit| Budget {
            tolerance_percent: TOLERANCE_PERCENT,
            rows: vec![row(&limit, 2.0 * limit.kept, Vec::new())],
            absent: Vec::new(),
        };
        let timed: Vec<Limit> = limits::ALL.into_iter().filter(|limit| limit.told).collect();
        assert_eq!(
            timed.iter().map(|limit| limit.id).collect::<Vec<_>>(),
            ["router-time-ratio", "transport-time-32", "transport-time-main"]
        );
        for mut limit in timed {
            assert_eq!(judge(&slow(limit)), Ok(()), "{}", limit.id);
            limit.judge_times();
            assert!(judge(&slow(limit)).is_err(), "{}", limit.id);
        }
    }

    #[test]
    fn a_run_that_measured_nothing_is_no_success() {
        assert!(judge(&Budget::default()).is_err());
    }

    #[test]
    fn every_budget_is_named_once_and_no_target_is_hidden() {
        for (at, limit) in limits::ALL.iter().enumerate() {
            assert!(limits::ALL[..at].iter().all(|other| other.id != limit.id), "{}", limit.id);
            assert!(limit.kept > 0.0 && !limit.source.is_empty(), "{}", limit.id);
        }
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(number(2.0), "2");
        assert_eq!(number(0.617), "0.62");
        assert_eq!(number(656.4), "656");
        assert_eq!(number(9_300.0), "9,300");
        assert_eq!(number(1_234_567.0), "1,234,567");
    }
}
