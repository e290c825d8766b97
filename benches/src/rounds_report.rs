//! The figures, for benchstat, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::args::Args;
use crate::machine;
use crate::measure::Round;
use crate::scenario::Scenario;
use roundtrip_bench::alloc::Side;

type Rounds = [(Scenario, Vec<Round>)];

/// A line for each round, as `go test -bench -benchmem -count` prints them.
pub(crate) fn go_format(rounds: &Rounds) -> String {
    let mut out = format!(
        "goos: {}\ngoarch: {}\npkg: roundtrip-bench\ncpu: {}\n",
        machine::goos(),
        machine::goarch(),
        machine::cpu()
    );
    for (scenario, measured) in rounds {
        for round in measured {
            let (bytes, allocs) = both(round);
            // Writing into a String cannot fail.
            let _ = writeln!(
                out,
                "Benchmark{}-{}\t{:8}\t{:10.0} ns/op\t{bytes:8.0} B/op\t{allocs:8.0} allocs/op",
                scenario.name(),
                machine::processors(),
                round.requests,
                round.ns_per_op(),
            );
        }
    }
    out
}

/// The medians of all rounds, side by side.
pub(crate) fn table(rounds: &Rounds, args: &Args) -> String {
    let pooled =
        rounds.iter().find(|(scenario, _)| *scenario == Scenario::WithConnectionPool).map(|(_, rounds)| rounds);
    let mut out = format!(
        "median of {} round(s), {} request(s) at a time\n\n{:24}{:>10}{:>13}{:>11}{:>10}{:>10}{:>17}{:>17}{:>15}\n",
        args.rounds,
        args.concurrency,
        "scenario",
        "requests",
        "connections",
        "us/op",
        "p50 us",
        "p99 us",
        "client allocs/B",
        "server allocs/B",
        "time : pooled"
    );
    for (scenario, measured) in rounds {
        let figure = |of: &dyn Fn(&Round) -> f64| median(measured.iter().map(of).collect());
        let allocated = |side| {
            let (count, bytes) = (figure(&|r| r.allocs_per_op(side)), figure(&|r| r.bytes_per_op(side)));
            format!("{count:.1} / {bytes:.0}")
        };
        let ratios = pooled.map_or_else(Vec::new, |pooled| {
            measured.iter().zip(pooled).map(|(round, base)| round.ns_per_op() / base.ns_per_op()).collect()
        });
        let _ = writeln!(
            out,
            "{:24}{:>10}{:>13}{:>11.1}{:>10.1}{:>10.1}{:>17}{:>17}{:>15}",
            scenario.name(),
            measured.iter().map(|round| round.all_requests).sum::<u64>(),
            measured.iter().map(|round| round.connections).sum::<u64>(),
            figure(&Round::ns_per_op) / 1e3,
            figure(&|r| r.percentile(0.5).as_secs_f64()) * 1e6,
            figure(&|r| r.percentile(0.99).as_secs_f64()) * 1e6,
            allocated(Side::Client),
            allocated(Side::Server),
            format!("{:.2}", median(ratios)),
        );
    }
    out.push_str("\nrequests and connections are sums over all rounds, warm-up included; each round has a server and a client of its own\n");
    out
}

/// Everything, one entry for each round.
pub(crate) fn json(rounds: &Rounds, args: &Args) -> Value {
    let scenarios: Vec<Value> = rounds
        .iter()
        .map(|(scenario, measured)| {
            let rounds: Vec<Value> = measured.iter().map(round_json).collect();
            json!({ "scenario": scenario.name(), "rounds": rounds })
        })
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "machine": { "os": machine::goos(), "arch": machine::goarch(), "cpu": machine::cpu(), "processors": machine::processors() },
        "concurrency": args.concurrency,
        "scenarios": scenarios,
    })
}

fn round_json(round: &Round) -> Value {
    let side = |side| json!({ "allocs_per_op": round.allocs_per_op(side), "bytes_per_op": round.bytes_per_op(side) });
    json!({
        "requests": round.requests,
        "requests_with_warm_up": round.all_requests,
        "connections": round.connections,
        "ns_per_op": round.ns_per_op(),
        "p50_ns": round.percentile(0.5).as_secs_f64() * 1e9,
        "p99_ns": round.percentile(0.99).as_secs_f64() * 1e9,
        "client": side(Side::Client),
        "server": side(Side::Server),
    })
}

/// Bytes and allocations per operation of client and server together.
fn both(round: &Round) -> (f64, f64) {
    let sum = |of: &dyn Fn(Side) -> f64| of(Side::Client) + of(Side::Server);
    (sum(&|side| round.bytes_per_op(side)), sum(&|side| round.allocs_per_op(side)))
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => figures[middle],
        _ => f64::midpoint(figures[middle - 1], figures[middle]),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use roundtrip_bench::alloc::Allocated;

    fn rounds() -> Vec<(Scenario, Vec<Round>)> {
        let round = |micros: u64| Round {
            requests: 10,
            all_requests: 12,
            connections: 1,
            elapsed: Duration::from_micros(10 * micros),
            latencies: vec![Duration::from_micros(micros); 10],
            client: Allocated { count: 50, bytes: 1000 },
            server: Allocated { count: 30, bytes: 600 },
        };
        let [pooled, closes, without] = Scenario::ALL;
        vec![
            (pooled, vec![round(50), round(52)]),
            (closes, vec![round(100), round(104)]),
            (without, vec![round(200), round(208)]),
        ]
    }

    #[test]
    fn lines_are_what_benchstat_reads() {
        let text = go_format(&rounds());
        let lines: Vec<Vec<&str>> = text.lines().skip(4).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines.len(), 6);
        let name = format!("BenchmarkWithConnectionPool-{}", machine::processors());
        assert_eq!(lines[0], [&name, "10", "50000", "ns/op", "160", "B/op", "8", "allocs/op"]);
    }

    #[test]
    fn the_table_has_sums_medians_and_ratios() {
        let text = table(&rounds(), &Args { rounds: 2, ..Args::default() });
        let row: Vec<&str> =
            text.lines().find(|line| line.starts_with("ServerCloses")).unwrap().split_whitespace().collect();
        let want = [
            "ServerClosesConnection",
            "24",
            "2",
            "102.0",
            "102.0",
            "102.0",
            "5.0",
            "/",
            "100",
            "3.0",
            "/",
            "60",
            "2.00",
        ];
        assert_eq!(row, want);
    }

    #[test]
    fn json_has_every_round() {
        let value = json(&rounds(), &Args::default());
        assert_eq!(value["scenarios"][2]["scenario"], "WithoutConnectionPool");
        let round = &value["scenarios"][2]["rounds"][1];
        assert_eq!((&round["requests"], &round["connections"]), (&json!(10), &json!(1)));
        assert!((round["ns_per_op"].as_f64().unwrap() - 208_000.0).abs() < 1.0, "{round}");
    }

    #[test]
    fn medians() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(Vec::new()).is_nan());
    }
}
