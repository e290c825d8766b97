//! What we print is read by the published grammar of Go's benchmark format (https://go.dev/design/14313-benchmark-format), which is
//! benchstat's: every line, the tables behind the results too.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::collections::BTreeMap;

use roundtrip_bench::model::Results;
use roundtrip_bench::report;

/// What a line is.
#[derive(Debug, PartialEq)]
enum Line<'a> {
    /// A lower-case letter, no space and no capital before the first colon, then nothing or a blank and a value.
    Configuration(&'a str, &'a str),
    /// `Benchmark`, a name that begins with a capital, a count, and pairs of a value and its unit.
    Measured(&'a str, i64, Vec<(f64, &'a str)>),
    /// Begins like one and is none, which benchstat complains about.
    Broken(&'a str),
    /// What benchstat keeps for units: none of ours.
    Unit,
    Ignored,
}

fn read(line: &str) -> Line<'_> {
    if let Some(result) = line.strip_prefix("Benchmark") {
        return measured(result).unwrap_or(Line::Broken(line));
    }
    if line.split_whitespace().next() == Some("Unit") && !line.starts_with(char::is_whitespace) {
        return Line::Unit;
    }
    if let Some((key, value)) = line.split_once(':')
        && key.starts_with(char::is_lowercase)
        && !key.contains(|letter: char| letter.is_whitespace() || letter.is_uppercase())
        && (value.is_empty() || value.starts_with([' ', '\t']))
    {
        return Line::Configuration(key, value.trim_start_matches([' ', '\t']));
    }
    Line::Ignored
}

fn measured(result: &str) -> Option<Line<'_>> {
    let mut fields = result.split_whitespace();
    let name = fields.next().filter(|name| name.starts_with(char::is_uppercase) && result.starts_with(name))?;
    let count = fields.next()?.parse().ok()?;
    let mut values = Vec::new();
    while let Some(value) = fields.next() {
        values.push((value.parse().ok()?, fields.next()?));
    }
    (!values.is_empty()).then_some(Line::Measured(name, count, values))
}

fn fixture() -> Results {
    serde_json::from_str(include_str!("data/report_fixture.json")).unwrap()
}

/// All that a run prints.
fn printed(results: &Results) -> String {
    format!("{}\n{}\nThe page: target/bench-report/index.html\n", report::go_format(results), report::terminal(results))
}

#[test]
fn the_grammar_is_read_as_it_is_published() {
    let values = vec![(154_125_861.0, "ns/op"), (3.8, "MB/s")];
    assert_eq!(
        read("BenchmarkUnmarshal-8 \t  100\t154125861 ns/op\t 3.8 MB/s"),
        Line::Measured("Unmarshal-8", 100, values)
    );
    for broken in [
        "BenchmarkX",
        "BenchmarkX 1",
        "BenchmarkX 1 2",
        "BenchmarkX one 2 ns/op",
        "Benchmarkx 1 2 ns/op",
        "BenchmarkX 1 2 a 3",
    ] {
        assert_eq!(read(broken), Line::Broken(broken));
    }
    assert_eq!(read("cpu: AMD EPYC"), Line::Configuration("cpu", "AMD EPYC"));
    assert_eq!(read("cpu-speed:"), Line::Configuration("cpu-speed", ""));
    for ignored in
        ["", "PASS", "Key: value", "two words: value", "a:b", "  indented: value", "# goos: linux", "ok  \tpackage\t1s"]
    {
        assert_eq!(read(ignored), Line::Ignored, "{ignored}");
    }
    assert_eq!(read("Unit ns/op better=lower"), Line::Unit);
}

#[test]
fn all_that_is_printed_is_read_and_nothing_else_is_taken_for_a_figure() {
    let results = fixture();
    let printed = printed(&results);
    let (mut configuration, mut measured) = (BTreeMap::new(), Vec::new());
    for line in printed.lines() {
        match read(line) {
            Line::Configuration(key, value) => {
                assert!(measured.is_empty(), "a setting behind the results: {line:?}");
                assert_eq!(configuration.insert(key, value), None, "{key} twice");
            }
            Line::Measured(name, count, values) => measured.push((name, count, values)),
            Line::Broken(line) => panic!("benchstat does not understand {line:?}"),
            Line::Unit => panic!("benchstat takes this for what it keeps for units: {line:?}"),
            Line::Ignored => {}
        }
    }
    let environment = &results.environment;
    let want = [
        ("cpu", &*environment.cpu),
        ("goarch", &environment.arch),
        ("goos", &environment.os),
        ("pkg", "roundtrip-bench"),
    ];
    assert_eq!(configuration, BTreeMap::from(want));

    let rounds = results.scenarios.iter().flat_map(|scenario| &scenario.rounds);
    assert_eq!(measured.len(), rounds.clone().count());
    for ((name, count, values), round) in measured.into_iter().zip(rounds) {
        assert!(name.ends_with(&format!("-{}", environment.processors)), "{name}");
        assert_eq!(count.unsigned_abs(), round.requests);
        let both = |of: fn(roundtrip_bench::model::Allocations) -> f64| of(round.client) + of(round.server);
        let want = [
            (round.ns_per_op, "ns/op"),
            (both(|allocated| allocated.bytes), "B/op"),
            (both(|allocated| allocated.count), "allocs/op"),
        ];
        assert_eq!(values.len(), want.len());
        for ((value, unit), (figure, of)) in values.into_iter().zip(want) {
            assert_eq!(unit, of);
            assert!((value - figure).abs() <= 0.5, "{value} is not {figure} {unit}");
        }
    }
}

#[test]
fn names_of_processors_do_not_break_the_lines() {
    let mut results = fixture();
    results.environment.cpu = "one\nBenchmarkTwo 1 2 ns/op\r\nkey: value".into();
    let printed = printed(&results);
    let configuration = printed.lines().filter(|line| matches!(read(line), Line::Configuration(..))).count();
    assert_eq!(configuration, 4, "{printed}");
    assert!(!printed.lines().any(|line| matches!(read(line), Line::Broken(_) | Line::Unit)), "{printed}");
    let rounds: usize = results.scenarios.iter().map(|scenario| scenario.rounds.len()).sum();
    assert_eq!(printed.lines().filter(|line| matches!(read(line), Line::Measured(..))).count(), rounds);
}
