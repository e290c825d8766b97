//! Lines that benchstat reads.

use std::fmt::Write as _;

use crate::model::{Results, Round};
use crate::report::case;

/// A line for each round, as `go test -bench -benchmem -count` prints them: name and processors, requests, time, bytes and
/// allocations of client and server together for each. The classic three (plain HTTP/1.1, one at a time, loopback) have the names
/// of the well-known comparison, others say behind it what is different: `/tls/http2/c16/rtt1ms/body64KiB`.
///
/// A round whose figures are not numbers has no line.
#[must_use]
pub fn go_format(results: &Results) -> String {
    let environment = &results.environment;
    let mut out = format!(
        "goos: {}\ngoarch: {}\npkg: roundtrip-bench\ncpu: {}\n",
        one_line(&environment.os),
        one_line(&environment.arch),
        one_line(&environment.cpu)
    );
    for scenario in &results.scenarios {
        let name = case::go_name(scenario.case);
        for round in &scenario.rounds {
            let (bytes, allocations) = both(round);
            if [round.ns_per_op, bytes, allocations].iter().all(|figure| figure.is_finite()) {
                // Writing into a String cannot fail.
                let _ = writeln!(
                    out,
                    "Benchmark{name}-{}\t{:8}\t{:10.0} ns/op\t{bytes:8.0} B/op\t{allocations:8.0} allocs/op",
                    environment.processors, round.requests, round.ns_per_op,
                );
            }
        }
    }
    out
}

/// Bytes and allocations of client and server together.
fn both(round: &Round) -> (f64, f64) {
    (round.client.bytes + round.server.bytes, round.client.count + round.server.count)
}

/// A header's value ends with its line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
