//! The figures, for benchstat and for people.

use std::fmt::Write as _;

use roundtrip_bench::model::{Results, Round, median};

/// A line for each round, as `go test -bench -benchmem -count` prints them.
pub(crate) fn go_format(results: &Results) -> String {
    let place = &results.environment;
    let mut out = format!("goos: {}\ngoarch: {}\npkg: roundtrip-bench\ncpu: {}\n", place.os, place.arch, place.cpu);
    for scenario in &results.scenarios {
        for round in &scenario.rounds {
            // Writing into a String cannot fail.
            let _ = writeln!(
                out,
                "Benchmark{}-{}\t{:8}\t{:10.0} ns/op\t{:8.0} B/op\t{:8.0} allocs/op",
                scenario.case.name(),
                place.processors,
                round.requests,
                round.ns_per_op,
                round.client.bytes + round.server.bytes,
                round.client.count + round.server.count,
            );
        }
    }
    out
}

/// The medians of all rounds.
pub(crate) fn table(results: &Results) -> String {
    let mut out = format!(
        "{:58}{:>10}{:>10}{:>11}{:>11}{:>8}{:>10}\n",
        "scenario", "requests", "conns", "us/op", "p50 us", "trips", "predicted"
    );
    for scenario in &results.scenarios {
        let figure = |of: &dyn Fn(&Round) -> f64| {
            let figures: Vec<f64> = scenario.rounds.iter().map(of).collect();
            median(&figures).unwrap_or(f64::NAN)
        };
        let _ = writeln!(
            out,
            "{:58}{:>10}{:>10}{:>11.1}{:>11.1}{:>8}{:>10}",
            scenario.case.name(),
            scenario.rounds.iter().map(|round| round.all_requests).sum::<u64>(),
            scenario.rounds.iter().map(|round| round.connections).sum::<u64>(),
            figure(&|round| round.ns_per_op) / 1e3,
            figure(&|round| round.p50_ns) / 1e3,
            scenario.cost.measured.map_or_else(String::new, |trips| format!("{trips:.2}")),
            scenario.cost.predicted,
        );
    }
    out
}
