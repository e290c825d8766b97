//! Costs and budgets as text.

use std::fmt::Write as _;

use super::number;
use crate::model::{Budget, BudgetRow, Environment};

/// The aligned table for a terminal, with what is over, what is above its target, and what is absent.
#[must_use]
pub fn table(budget: &Budget) -> String {
    let mut lines = vec![["cost", "unit", "ours", "budget", "target", "", "peers"].map(String::from)];
    lines.extend(budget.rows.iter().map(|row| cells(row, budget.tolerance_percent)));
    let widths: Vec<usize> =
        (0..lines[0].len()).map(|at| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        let mut row = String::new();
        for (at, cell) in line.iter().enumerate() {
            let pad = " ".repeat(widths[at] - cell.chars().count());
            let gap = if at > 0 { "  " } else { "" };
            // Figures stand at the right of their columns.
            let (before, after) = if (2..5).contains(&at) { (pad, String::new()) } else { (String::new(), pad) };
            row.extend([gap, &before, cell, &after]);
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text.push_str(&remarks(budget, ""));
    text
}

/// `BUDGET.md`: the same, with where and when it was measured.
#[must_use]
pub fn document(budget: &Budget, environment: &Environment) -> String {
    let mut text = String::from(
        "# Budgets\n\nWhat a request costs, beside what it may cost. `just budget --write` makes this file; `just budget` fails when a \
         cost is over its\nbudget by more than the tolerance; times are told beside theirs and fail only with `--judge-times`. The budget is what is held now, and is there to be lowered; the target is \
         the design's.\n\n",
    );
    let commit = environment.commit.as_deref().unwrap_or("outside a checkout");
    let _ = writeln!(
        text,
        "- Measured {} at commit {commit} on {}, {} processors, {} {}.",
        environment.date, environment.cpu, environment.processors, environment.os, environment.arch
    );
    let versions: Vec<String> =
        environment.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let _ = writeln!(text, "- With {}.", versions.join(", "));
    let _ = writeln!(text, "- Tolerance: {} %.\n", number(budget.tolerance_percent));
    text.push_str("| what | unit | ours | budget | target | | peers |\n|---|---|--:|--:|--:|---|---|\n");
    for row in &budget.rows {
        let _ = writeln!(text, "| {} |", cells(row, budget.tolerance_percent).join(" | "));
    }
    text.push_str(&remarks(budget, "- "));
    text.push_str("\nWhere budgets and targets come from:\n\n");
    for row in &budget.rows {
        let _ = writeln!(text, "- {}: {}.", row.what, row.source);
    }
    text
}

fn cells(row: &BudgetRow, tolerance: f64) -> [String; 7] {
    let verdict = match (row.told, row.is_over(tolerance)) {
        (true, _) => "told, not judged",
        (false, true) => "OVER",
        (false, false) => "",
    };
    let peers: Vec<String> = row.peers.iter().map(|(name, figure)| format!("{name} {}", number(*figure))).collect();
    [
        row.what.clone(),
        row.unit.clone(),
        number(row.ours),
        number(row.budget),
        row.target.map_or_else(|| "-".into(), number),
        verdict.into(),
        peers.join(", "),
    ]
}

fn remarks(budget: &Budget, bullet: &str) -> String {
    let mut text = String::new();
    for row in &budget.rows {
        if let (Some(gap), Some(target)) = (row.gap(), row.target) {
            let (ours, target) = (number(row.ours), number(target));
            let _ = writeln!(
                text,
                "{bullet}above its target by {:.1} %: {}, {ours} for {target} {}",
                100.0 * gap,
                row.what,
                row.unit
            );
        }
    }
    if budget.rows.iter().any(|row| row.told) {
        let _ = writeln!(
            text,
            "{bullet}told, not judged: a time, even as a ratio within one run, depends on what else the machine does; --judge-times judges it"
        );
    }
    for absent in &budget.absent {
        let _ = writeln!(text, "{bullet}not measured: {}: {}", absent.name, absent.why);
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Absent;

    fn budget() -> Budget {
        let row = |what: &str, ours, budget, target| BudgetRow {
            what: what.into(),
            unit: "instructions".into(),
            ours,
            budget,
            target,
            source: "design".into(),
            peers: vec![("hyper".into(), 15_200.0)],
            ..BudgetRow::default()
        };
        Budget {
            tolerance_percent: 5.0,
            rows: vec![row("transport", 9_300.0, 9_300.0, Some(7_500.0)), row("client", 13_000.0, 12_000.0, None)],
            absent: vec![Absent { name: "server".into(), why: "valgrind is not installed".into() }],
        }
    }

    #[test]
    fn a_table_is_aligned_and_plain_about_what_is_missing() {
        assert_eq!(
            table(&budget()),
            "\
cost       unit            ours  budget  target        peers
transport  instructions   9,300   9,300   7,500        hyper 15,200
client     instructions  13,000  12,000       -  OVER  hyper 15,200

above its target by 24.0 %: transport, 9,300 for 7,500 instructions
not measured: server: valgrind is not installed
"
        );
    }

    #[test]
    fn what_is_only_told_says_so_and_why() {
        let mut budget = budget();
        budget.rows[1].told = true;
        let text = table(&budget);
        assert!(text.contains("12,000       -  told, not judged  hyper 15,200"), "{text}");
        assert!(!text.contains("OVER") && text.contains("depends on what else the machine does"), "{text}");
    }

    #[test]
    fn the_document_says_when_and_with_what() {
        let environment = Environment {
            date: "2026-11-24T15:00:00Z".into(),
            commit: Some("abc1234".into()),
            versions: vec![("rustc".into(), "1.95.0".into())],
            ..Environment::default()
        };
        let text = document(&budget(), &environment);
        assert!(text.contains("Measured 2026-11-24T15:00:00Z at commit abc1234"), "{text}");
        assert!(text.contains("rustc 1.95.0"), "{text}");
        assert!(text.contains("| client | instructions | 13,000 | 12,000 | - | OVER | hyper 15,200 |"), "{text}");
    }
}
