//! All figures as aligned tables.

use crate::model::{Absent, Budget, BudgetRow, Closing, Comparison, Growth, Pooling, Results, Round, Scenario};
use crate::report::case;
use crate::report::figure;
use crate::report::reading::{self, Spread};
use crate::report::table::{Table, wrapped};

/// The run as aligned tables: the headline, what each scenario took and where its time went, peers, growth, budgets, and what was
/// absent. Plain ASCII but for the names in it, at most 120 columns.
#[must_use]
pub fn terminal(results: &Results) -> String {
    let headline = reading::headline(results);
    let mut out = String::new();
    if results.interrupted {
        out.push_str("INTERRUPTED: these are the figures up to then.\n\n");
    }
    out.push_str(&wrapped(&headline.main, ""));
    for detail in &headline.details {
        out.push_str(&wrapped(detail, "  "));
    }
    out.push('\n');
    out.push_str(&environment(results));
    if !results.scenarios.is_empty() {
        let scenarios = &results.scenarios;
        let title = "Connections (medians of the rounds; requests and connections are sums, warm-up included)";
        section(&mut out, title, &self::scenarios(scenarios));
        section(&mut out, "What a request allocates (medians of the rounds)", &allocations(scenarios));
        section(&mut out, "Where the time of a request goes (us, means), and its round trips", &phases(scenarios));
    }
    let left_out = &results.left_out;
    if !left_out.is_empty() {
        section(&mut out, "What was left out", &absent(left_out));
    }
    if let Some(closing) = &results.closing {
        section(&mut out, "What is used again when the server closes", &self::closing(closing));
    }
    for comparison in &results.comparisons {
        section(&mut out, &comparison.title, &self::comparison(comparison));
    }
    for growth in &results.growths {
        section(&mut out, &growth.title, &self::growth(growth));
    }
    if let Some(budget) = &results.budget {
        section(&mut out, "Budgets", &self::budget(budget));
    }
    out
}

fn section(out: &mut String, title: &str, text: &str) {
    if !text.is_empty() {
        out.push('\n');
        out.push_str(&wrapped(title, ""));
        out.push_str(text);
    }
}

fn environment(results: &Results) -> String {
    let environment = &results.environment;
    let mut words = vec![environment.cpu.clone()];
    if environment.processors > 0 {
        words.push(format!("{} processor(s)", environment.processors));
    }
    words.extend([format!("{}/{}", environment.os, environment.arch), environment.kernel.clone()]);
    words.push(environment.date.clone());
    words.extend(environment.commit.iter().map(|commit| format!("commit {commit}")));
    if results.seconds.is_finite() && results.seconds > 0.0 {
        words.push(format!("took {} s", figure::significant(results.seconds)));
    }
    words.retain(|word| !word.trim().is_empty() && word != "/");
    let words = words.join(", ");
    let mut out = wrapped(&words, "");
    for pairs in [&environment.versions, &environment.settings] {
        let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name} {value}")).collect();
        out.push_str(&wrapped(&pairs.join("; "), ""));
    }
    out
}

/// Microseconds, so that a column can be compared.
fn micros(of: Option<Spread>) -> String {
    of.map_or_else(|| figure::NOTHING.into(), |spread| figure::significant(spread.median / 1e3))
}

fn scenarios(scenarios: &[Scenario]) -> String {
    let heads = ["scenario", "requests", "connections", "resumed", "us/op", "p50 us", "p99 us", "time : pool"];
    let mut table = Table::new(heads);
    for (_, group) in case::by_setting(scenarios) {
        let pool = reading::find(&group, Pooling::Pool);
        for scenario in group {
            let sum =
                |of: fn(&Round) -> u64| figure::whole(scenario.rounds.iter().map(of).fold(0, u64::saturating_add));
            let time = |of: fn(&Round) -> f64| micros(reading::over_rounds(scenario, of));
            let ratio = pool.and_then(|pool| reading::against(scenario, pool));
            table.row([
                case::short(scenario.case),
                sum(|round| round.all_requests),
                sum(|round| round.connections),
                sum(|round| round.resumed),
                time(|round| round.ns_per_op),
                time(|round| round.p50_ns),
                time(|round| round.p99_ns),
                ratio.map_or_else(|| figure::NOTHING.into(), |ratio| figure::ratio(ratio.median)),
            ]);
        }
    }
    table.render()
}

fn allocations(scenarios: &[Scenario]) -> String {
    let mut table = Table::new(["scenario", "client allocs", "client B", "server allocs", "server B"]);
    for (_, group) in case::by_setting(scenarios) {
        for scenario in group {
            let allocated = |of: fn(&Round) -> f64| {
                reading::over_rounds(scenario, of)
                    .map_or_else(|| figure::NOTHING.into(), |spread| figure::significant(spread.median))
            };
            table.row([
                case::short(scenario.case),
                allocated(|round| round.client.count),
                allocated(|round| round.client.bytes),
                allocated(|round| round.server.count),
                allocated(|round| round.server.bytes),
            ]);
        }
    }
    table.render()
}

fn phases(scenarios: &[Scenario]) -> String {
    let heads = [
        "scenario",
        "queue",
        "dns",
        "connect",
        "tls",
        "write",
        "wait",
        "body",
        "other",
        "total",
        "predicted",
        "measured",
    ];
    let mut table = Table::new(heads);
    for (_, group) in case::by_setting(scenarios) {
        for scenario in group {
            let phases = scenario.phases.map(|phases| {
                let parts = super::page::PHASES.iter().map(|phase| (phase.of)(&phases));
                parts.chain([phases.total]).map(figure::significant).collect()
            });
            let mut cells = vec![case::short(scenario.case)];
            cells.extend(phases.unwrap_or_else(|| vec![figure::NOTHING.into(); 9]));
            cells.push(figure::ratio(scenario.cost.predicted));
            cells.push(scenario.cost.measured.map_or_else(|| figure::NOTHING.into(), figure::ratio));
            table.row(cells);
        }
    }
    table.render()
}

fn closing(closing: &Closing) -> String {
    let heads = |first: &str| Table::new(std::iter::once(first.to_owned()).chain(closing.ways.iter().cloned()));
    let mut out: String = closing.findings.iter().map(|finding| wrapped(finding, "  ")).collect();
    let mut counts = heads("counted, for one request");
    for count in &closing.counts {
        counts
            .row(std::iter::once(count.what.clone()).chain(count.figures.iter().map(|figure| figure::count(*figure))));
    }
    let mut times = heads("median in ms (by the first)");
    for row in &closing.times {
        let name = if row.measured { row.name.clone() } else { format!("not measured: {}", row.name) };
        let cells = row.milliseconds.iter().enumerate().map(|(at, millis)| match row.ratios.get(at) {
            Some(ratio) if at > 0 => format!("{} ({})", figure::significant(*millis), figure::ratio(*ratio)),
            _ => figure::significant(*millis),
        });
        times.row(std::iter::once(name).chain(cells));
    }
    for table in [counts, times] {
        if !table.is_empty() {
            out.push_str(&table.render());
        }
    }
    out
}

fn comparison(comparison: &Comparison) -> String {
    let better = if comparison.more_is_better { "more is better" } else { "less is better" };
    let mut out = wrapped(&format!("{} ({better})", comparison.explained), "  ");
    let mut table =
        Table::new(["contestant", &comparison.unit, "least", "greatest", "ratio", "least", "greatest", "rounds"]);
    for contestant in &comparison.contestants {
        let figures = Spread::of(contestant.figures.iter().copied());
        let ratios = Spread::of(contestant.ratios.iter().copied());
        let cells = |spread: Option<Spread>, shown: fn(f64) -> String| match spread {
            Some(Spread { median, least, greatest }) => [median, least, greatest].map(shown),
            None => [(); 3].map(|()| figure::NOTHING.into()),
        };
        let marked = if contestant.ours { format!("* {}", contestant.name) } else { format!("  {}", contestant.name) };
        let mut row = vec![marked];
        row.extend(cells(figures, figure::significant));
        row.extend(cells(ratios, figure::ratio));
        row.push(contestant.figures.len().to_string());
        table.row(row);
    }
    if !table.is_empty() {
        out.push_str(&table.render());
        out.push_str(&wrapped(&format!("* ours; ratios are against {} in the same round", comparison.base), "  "));
    }
    for contestant in &comparison.contestants {
        if let Some(note) = &contestant.note {
            out.push_str(&wrapped(&format!("{}: {note}", contestant.name), "  "));
        }
    }
    out + &absent(&comparison.absent)
}

fn absent(absent: &[Absent]) -> String {
    absent.iter().map(|absent| wrapped(&format!("not measured: {}: {}", absent.name, absent.why), "  ")).collect()
}

/// Series side by side, as many as fit in a line.
fn growth(growth: &Growth) -> String {
    const AT_ONCE: usize = 5;
    let mut out = wrapped(&format!("{} ({})", growth.explained, growth.y), "  ");
    let mut places: Vec<f64> = growth.series.iter().flat_map(|series| &series.points).map(|point| point.0).collect();
    places.sort_unstable_by(f64::total_cmp);
    places.dedup_by(|one, other| one.total_cmp(other).is_eq());
    for chunk in growth.series.chunks(AT_ONCE) {
        let names =
            chunk.iter().map(|series| if series.ours { format!("* {}", series.name) } else { series.name.clone() });
        let mut table = Table::new(std::iter::once(growth.x.clone()).chain(names));
        for place in &places {
            let at = |series: &crate::model::Series| {
                series.points.iter().find(|(x, _)| x.total_cmp(place).is_eq()).map(|point| point.1)
            };
            let cells =
                chunk.iter().map(|series| at(series).map_or_else(|| figure::NOTHING.into(), figure::significant));
            table.row(std::iter::once(figure::count(*place)).chain(cells));
        }
        out.push_str(&table.render());
    }
    out
}

fn budget(budget: &Budget) -> String {
    let mut table = Table::new(["what", "unit", "budget", "ours", "ours : budget", ""]);
    for row in &budget.rows {
        table.row([
            row.what.clone(),
            row.unit.clone(),
            figure::significant(row.budget),
            figure::significant(row.ours),
            figure::ratio(row.ours / row.budget),
            verdict(row, budget.tolerance_percent).into(),
        ]);
    }
    let mut out =
        wrapped(&format!("over is more than {} % above the budget", figure::count(budget.tolerance_percent)), "  ");
    if !table.is_empty() {
        out.push_str(&table.render());
    }
    for row in &budget.rows {
        if !row.peers.is_empty() {
            let peers: Vec<String> =
                row.peers.iter().map(|(name, figure)| format!("{name} {}", figure::significant(*figure))).collect();
            out.push_str(&wrapped(&format!("peers, {} ({}): {}", row.what, row.unit, peers.join(", ")), "  "));
        }
    }
    out + &absent(&budget.absent)
}

/// What is said of a cost beside its budget.
pub(super) fn verdict(row: &BudgetRow, tolerance_percent: f64) -> &'static str {
    match (row.ours.is_finite(), row.is_over(tolerance_percent)) {
        (false, _) => "not measured",
        (true, true) => "OVER",
        (true, false) if row.told => "told",
        (true, false) => "within",
    }
}
