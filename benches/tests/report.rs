//! The report: well-formed, complete, and made of nothing but what was measured.

// clippy.toml lets tests unwrap; here their helpers do.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use roundtrip_bench::model::{
    Absent, Budget, BudgetRow, Case, Comparison, Contestant, Cost, Growth, Phases, Pooling, Protocol, Results, Round,
    Scenario, Security, Series, median, spread,
};
use roundtrip_bench::report;
use roundtrip_bench::report::figure;
use roxmltree::{Document, Node};
use serde_json::Value;

/// Figures that somebody made up, in the shape of a full run.
fn fixture() -> Results {
    serde_json::from_str(include_str!("data/report_fixture.json")).unwrap()
}

const NASTY: &str = "<b onload=\"x\"> & 'co' ]]> \u{1b}[2J\u{0}";

/// Unusual throughout: names that would break out, figures that are none, empty and lonely lists.
fn nasty() -> Results {
    let mut results = fixture();
    results.interrupted = true;
    results.seconds = f64::NAN;
    results.environment.cpu = NASTY.into();
    results.environment.commit = None;
    results.environment.versions.push((NASTY.into(), NASTY.into()));
    results.scenarios.truncate(7);
    results.scenarios[0].rounds.truncate(1);
    results.scenarios[1].rounds.clear();
    results.scenarios[2].rounds[0].ns_per_op = f64::INFINITY;
    results.scenarios[3].rounds[0] = Round {
        requests: u64::MAX,
        all_requests: u64::MAX,
        connections: u64::MAX,
        ns_per_op: 1e300,
        ..Round::default()
    };
    results.scenarios[4].phases = Some(Phases { wait: f64::NAN, tls: -3.0, total: f64::INFINITY, ..Phases::default() });
    results.scenarios[5].phases = None;
    results.scenarios[6].cost = Cost { predicted: f64::NAN, measured: Some(f64::INFINITY), explained: NASTY.into() };
    results.left_out = vec![Absent { name: NASTY.into(), why: NASTY.into() }];
    if let Some(closing) = &mut results.closing {
        closing.ways[0] = NASTY.into();
        closing.findings.push(NASTY.into());
        closing.counts[0].figures = vec![f64::NAN, 1.0];
        closing.times[0].milliseconds = vec![f64::INFINITY];
        closing.times[1].ratios.clear();
        closing.times[2].name = NASTY.into();
    }
    let contestant = |name: &str, figures: &[f64]| Contestant {
        name: name.into(),
        ours: true,
        figures: figures.into(),
        ratios: figures.into(),
        note: Some(NASTY.into()),
    };
    results.comparisons = vec![
        Comparison::default(),
        Comparison {
            id: NASTY.into(),
            title: NASTY.into(),
            explained: NASTY.into(),
            unit: NASTY.into(),
            base: NASTY.into(),
            contestants: vec![
                contestant(NASTY, &[0.0]),
                contestant(&"a long name ".repeat(40), &[f64::NAN, 1e-12, 1e12]),
                contestant("", &[]),
            ],
            absent: vec![Absent { name: NASTY.into(), why: NASTY.into() }],
            ..Comparison::default()
        },
    ];
    let series = |name: &str, points: &[(f64, f64)]| Series { name: name.into(), ours: false, points: points.into() };
    results.growths = vec![
        Growth::default(),
        Growth {
            title: NASTY.into(),
            x: NASTY.into(),
            y: NASTY.into(),
            log_x: true,
            series: vec![
                series(NASTY, &[(0.0, 0.0)]),
                series("none", &[]),
                series("odd", &[(f64::NAN, 1.0), (1e300, f64::INFINITY), (1e300, 1e300), (-5.0, -1e300)]),
            ],
            ..Growth::default()
        },
    ];
    let row = |budget, ours| BudgetRow {
        what: NASTY.into(),
        unit: NASTY.into(),
        budget,
        ours,
        peers: vec![(NASTY.into(), f64::NAN)],
        ..BudgetRow::default()
    };
    results.budget = Some(Budget {
        tolerance_percent: 5.0,
        rows: vec![row(0.0, 0.0), row(1.0, f64::NAN), row(1e-9, 1e18)],
        absent: Vec::new(),
    });
    results
}

/// One of each and no more, with figures that do not occur by chance.
fn lonely() -> Results {
    let mut results = Results::default();
    let case = Case {
        pooling: Pooling::ServerCloses,
        security: Security::TlsResumed,
        protocol: Protocol::Http2,
        concurrency: 16,
        rtt_ms: 1,
        body: 65_536,
    };
    results.scenarios.push(Scenario {
        case,
        rounds: vec![Round {
            requests: 7_919,
            all_requests: 8_017,
            connections: 8_011,
            ns_per_op: 73_453.0,
            ..Round::default()
        }],
        phases: None,
        cost: Cost::default(),
    });
    results
}

fn all() -> Vec<(&'static str, Results)> {
    vec![("fixture", fixture()), ("nasty", nasty()), ("lonely", lonely()), ("empty", Results::default())]
}

fn text_of(node: Node<'_, '_>) -> String {
    node.descendants().filter(Node::is_text).filter_map(|text| text.text()).collect::<Vec<_>>().join(" ")
}

/// What the page shows, its style sheet apart.
fn shown(page: &str) -> String {
    let document = Document::parse_with_options(page, options()).unwrap();
    text_of(document.descendants().find(|node| node.has_tag_name("body")).unwrap())
}

fn options<'p>() -> roxmltree::ParsingOptions<'p> {
    roxmltree::ParsingOptions { allow_dtd: true, ..roxmltree::ParsingOptions::default() }
}

#[test]
fn the_page_is_well_formed_and_needs_nothing_else() {
    for (name, results) in all() {
        let page = report::page(&results);
        let document = Document::parse_with_options(&page, options()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut ids = HashSet::new();
        for node in document.descendants().filter(Node::is_element) {
            let tag = node.tag_name().name();
            assert!(!["script", "link", "iframe", "object", "img", "b onload"].contains(&tag), "{name}: <{tag}>");
            for attribute in node.attributes() {
                assert!(!attribute.name().starts_with("on"), "{name}: <{tag} {}>", attribute.name());
                let loads = ["src", "href"].contains(&attribute.name())
                    && !["results.json", "#absent"].contains(&attribute.value());
                assert!(!loads, "{name}: <{tag} {}={:?}>", attribute.name(), attribute.value());
            }
            if let Some(id) = node.attribute("id") {
                assert!(ids.insert(id), "{name}: two elements are {id}");
            }
        }
        let style = text_of(document.descendants().find(|node| node.has_tag_name("style")).unwrap());
        assert!(!style.contains("url(") && !style.contains("@import"), "{name}");
        assert!(style.contains("prefers-color-scheme: dark"));
        assert_eq!(page.contains("Interrupted."), results.interrupted, "{name}");
    }
}

#[test]
fn plots_say_what_they_show_and_take_colours_from_the_style() {
    let page = report::page(&fixture());
    let document = Document::parse_with_options(&page, options()).unwrap();
    let svg = "http://www.w3.org/2000/svg";
    let plots: Vec<_> = document.descendants().filter(|node| node.has_tag_name((svg, "svg"))).collect();
    assert!(plots.len() > 15, "{}", plots.len());
    let style = text_of(document.descendants().find(|node| node.has_tag_name("style")).unwrap());
    for plot in plots {
        let names: Vec<&str> = plot.attribute("aria-labelledby").unwrap().split(' ').collect();
        let labels: Vec<_> =
            plot.children().filter(|node| names.contains(&node.attribute("id").unwrap_or(""))).collect();
        assert_eq!(labels.len(), 2);
        assert!(labels.iter().all(|label| !text_of(*label).trim().is_empty()));
        for node in plot.descendants().filter(Node::is_element) {
            assert!(node.attribute("fill").is_none() && node.attribute("stroke").is_none(), "{node:?}");
            if !["svg", "title", "desc"].contains(&node.tag_name().name()) {
                let class = node.attribute("class").unwrap().split(' ').next().unwrap();
                assert!(style.contains(&format!(".{class} {{")), "no colour for {class}");
            }
            // A figure that is none would end up here first.
            assert!(node.attributes().all(|attribute| !attribute.value().contains("NaN")), "{node:?}");
        }
        // Each plot has its figures beside it, for those who cannot see it.
        let card = plot.ancestors().find(|node| node.has_tag_name("article") || node.has_tag_name("section")).unwrap();
        assert!(card.descendants().any(|node| node.has_tag_name("details")));
    }
}

#[test]
fn no_figure_is_printed_that_is_none() {
    for (name, results) in all() {
        for text in [shown(&report::page(&results)), report::terminal(&results), report::go_format(&results)] {
            for none in ["NaN", "inf", "null", "undefined"] {
                let found = text.split(|char: char| !char.is_ascii_alphabetic()).any(|word| word == none);
                assert!(!found, "{name}: {none} in {text}");
            }
        }
    }
}

/// All ways in which a figure may be shown.
fn forms(figure: f64, into: &mut HashSet<String>) {
    for shown in [figure::significant(figure), figure::ratio(figure), figure::count(figure)] {
        into.insert(shown);
    }
    for scale in [1e3, 1.0] {
        into.insert(figure::time(figure * scale).number);
        into.insert(figure::significant(figure / scale));
    }
}

/// Everything that a report of these results may show as a number: figures, their medians and ends, ratios, counts of rounds.
fn allowed(results: &Results) -> HashSet<String> {
    let mut figures: Vec<f64> = vec![results.seconds, results.environment.processors as f64];
    let list = |figures: &mut Vec<f64>, of: Vec<f64>| {
        figures.extend(median(&of));
        figures.extend(spread(&of).map(|(least, greatest)| [least, greatest]).into_iter().flatten());
        figures.push(of.len() as f64);
    };
    for scenario in &results.scenarios {
        let rounds = &scenario.rounds;
        let of = |figure: fn(&Round) -> f64| rounds.iter().map(figure).collect::<Vec<f64>>();
        for figure in [
            (|round| round.ns_per_op) as fn(&Round) -> f64,
            |round| round.p50_ns,
            |round| round.p99_ns,
            |round| round.client.count,
            |round| round.client.bytes,
            |round| round.server.count,
            |round| round.server.bytes,
            |round| round.client.count + round.server.count,
        ] {
            list(&mut figures, of(figure));
        }
        for sum in [
            of(|round| round.all_requests as f64),
            of(|round| round.connections as f64),
            of(|round| round.resumed as f64),
        ] {
            figures.push(sum.iter().sum());
        }
        for base in results.scenarios.iter().filter(|base| base.case.pooling == Pooling::Pool) {
            list(
                &mut figures,
                rounds.iter().zip(&base.rounds).map(|(round, base)| round.ns_per_op / base.ns_per_op).collect(),
            );
        }
        if let Some(phases) = scenario.phases {
            let Phases { queue, dns, connect, tls, write, wait, body, other, total } = phases;
            figures.extend([queue, dns, connect, tls, write, wait, body, other, total]);
        }
        figures.push(scenario.cost.predicted);
        figures.extend(scenario.cost.measured);
        figures.extend([scenario.case.concurrency as f64, f64::from(scenario.case.rtt_ms)]);
    }
    if let Some(closing) = &results.closing {
        figures.extend(closing.counts.iter().flat_map(|count| &count.figures));
        figures.extend(closing.times.iter().flat_map(|row| row.milliseconds.iter().chain(&row.ratios)));
        for millis in closing.times.iter().flat_map(|row| &row.milliseconds) {
            figures.push(millis * 1e6);
        }
    }
    for contestant in results.comparisons.iter().flat_map(|comparison| &comparison.contestants) {
        list(&mut figures, contestant.figures.clone());
        list(&mut figures, contestant.ratios.clone());
    }
    for point in results.growths.iter().flat_map(|growth| &growth.series).flat_map(|series| &series.points) {
        figures.extend([point.0, point.1]);
    }
    if let Some(budget) = &results.budget {
        figures.push(budget.tolerance_percent);
        figures.push(budget.rows.len() as f64);
        figures.push(budget.rows.iter().filter(|row| !row.is_over(budget.tolerance_percent)).count() as f64);
        for row in &budget.rows {
            figures.extend([row.ours, row.budget, row.ours / row.budget, (row.ours / row.budget * 100.0).round()]);
            figures.extend(row.peers.iter().map(|peer| peer.1));
        }
    }
    let mut allowed = HashSet::new();
    for figure in figures {
        forms(figure, &mut allowed);
    }
    allowed
}

/// Texts of the results themselves, and what has digits and is a word.
fn without_words(text: &str, results: &Results) -> String {
    let mut words: Vec<String> = Vec::new();
    fn strings(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::String(text) => into.push(text.clone()),
            Value::Array(values) => values.iter().for_each(|value| strings(value, into)),
            Value::Object(values) => values.values().for_each(|value| strings(value, into)),
            _ => {}
        }
    }
    strings(&serde_json::to_value(results).unwrap(), &mut words);
    words.extend(results.environment.commit.iter().map(|commit| commit.trim_end_matches('+').to_owned()));
    words.extend(
        ["HTTP/1.1", "HTTP/2", "http2", "64KiB", "body64", "99th", "p50", "p99", "the line at 1"].map(String::from),
    );
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    // As they come out of the terminal's lines, which break anywhere.
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in words.iter().filter(|word| word.chars().any(|char| char.is_ascii_digit())) {
        text = text.replace(&word.split_whitespace().collect::<Vec<_>>().join(" "), " ");
    }
    text
}

fn numbers(text: &str) -> Vec<String> {
    let is_part = |char: char| char.is_ascii_digit() || ".,".contains(char);
    let tokens = text.split(|char: char| !is_part(char)).map(|token| token.trim_matches(['.', ',']).to_owned());
    tokens.filter(|token| token.chars().any(|char| char.is_ascii_digit())).collect()
}

#[test]
fn every_number_in_the_tables_and_on_the_page_was_measured() {
    for (name, results) in [("fixture", fixture()), ("lonely", lonely()), ("empty", Results::default())] {
        let allowed = allowed(&results);
        let page = report::page(&results);
        let document = Document::parse_with_options(&page, options()).unwrap();
        let svg = "http://www.w3.org/2000/svg";
        let mut texts = vec![("terminal", report::terminal(&results))];
        for node in document.descendants().filter(Node::is_text) {
            let within = |tag: &str| node.ancestors().any(|node| node.tag_name().name() == tag);
            // The marks of an axis are round numbers, not figures; they are muted, and figures in plots never are but for ratios.
            let is_mark = node
                .ancestors()
                .any(|node| node.has_tag_name((svg, "text")) && node.attribute("class") == Some("f-muted"));
            let text = node.text().unwrap();
            if !within("style") && (!is_mark || text.ends_with('×')) && text != "12 more" && !text.ends_with(" more") {
                texts.push(("page", text.to_owned()));
            }
        }
        for (place, text) in texts {
            for number in numbers(&without_words(&text, &results)) {
                assert!(allowed.contains(&number), "{name}: {number} on the {place} is no figure of this run: {text}");
            }
        }
    }
}

#[test]
fn what_is_in_the_results_is_on_the_page_and_in_the_tables() {
    let results = fixture();
    for text in [shown(&report::page(&results)), report::terminal(&results)] {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let names = results.comparisons.iter().flat_map(|comparison| {
            comparison.contestants.iter().map(|contestant| &contestant.name).chain([&comparison.title])
        });
        let growths = results
            .growths
            .iter()
            .flat_map(|growth| growth.series.iter().map(|series| &series.name).chain([&growth.title]));
        let absents = results.comparisons.iter().flat_map(|comparison| &comparison.absent).map(|absent| &absent.why);
        let rows = results.budget.iter().flat_map(|budget| &budget.rows).map(|row| &row.what);
        let closing = results.closing.iter().flat_map(|closing| {
            closing.ways.iter().chain(&closing.findings).chain(closing.counts.iter().map(|count| &count.what))
        });
        let facts = [&results.environment.cpu, &results.environment.date];
        for word in names.chain(growths).chain(absents).chain(rows).chain(facts).chain(closing) {
            assert!(text.contains(word.as_str()), "{word}");
        }
    }
}

#[test]
fn the_terminal_is_narrow_and_has_no_control_characters() {
    for (name, results) in all() {
        for line in report::terminal(&results).lines() {
            assert!(line.chars().count() <= 120, "{name}: {line}");
            assert!(!line.chars().any(char::is_control), "{name}: {line:?}");
        }
    }
}

#[test]
fn lines_are_what_benchstat_reads() {
    let results = fixture();
    let text = report::go_format(&results);
    let lines: Vec<Vec<&str>> = text.lines().skip(4).map(|line| line.split_whitespace().collect()).collect();
    let rounds: usize = results.scenarios.iter().map(|scenario| scenario.rounds.len()).sum();
    assert_eq!(lines.len(), rounds);
    assert_eq!(
        text.lines().take(4).map(|line| line.split(": ").next().unwrap()).collect::<Vec<_>>(),
        ["goos", "goarch", "pkg", "cpu"]
    );
    let round = &results.scenarios[0].rounds[0];
    let figures = [round.ns_per_op, round.client.bytes + round.server.bytes, round.client.count + round.server.count];
    let [time, bytes, allocations] = figures.map(|figure| format!("{figure:.0}"));
    let requests = round.requests.to_string();
    let want = ["BenchmarkWithConnectionPool-2", &requests, &time, "ns/op", &bytes, "B/op", &allocations, "allocs/op"];
    assert_eq!(lines[0], want);
    let names: HashSet<&str> = lines.iter().map(|line| line[0]).collect();
    assert_eq!(names.len(), results.scenarios.len(), "each scenario has a name of its own");
    assert!(names.contains("BenchmarkServerClosesConnection/tls/http2/c16/rtt20ms-2"));
    // Names and processors come from outside: each stays in its line.
    let lines = report::go_format(&nasty());
    assert!(
        lines.lines().skip(4).all(|line| line.starts_with("Benchmark") && line.split_whitespace().count() == 8),
        "{lines}"
    );
}

#[test]
fn files_are_written_and_errors_name_them() {
    let dir = std::env::temp_dir().join(format!("roundtrip-report-{}", std::process::id()));
    let results = fixture();
    report::write(&results, &dir.join("deep")).unwrap();
    let json = std::fs::read_to_string(dir.join("deep/results.json")).unwrap();
    let again: Results = serde_json::from_str(&json).unwrap();
    // To the last digit but for what serde_json's quick reading of floats loses.
    assert_eq!(report::page(&again), report::page(&results));
    assert_eq!(std::fs::read_to_string(dir.join("deep/index.html")).unwrap(), report::page(&results));

    std::fs::write(dir.join("file"), "").unwrap();
    let error = report::write(&results, &dir.join("file")).unwrap_err();
    assert!(error.contains(&dir.join("file").display().to_string()), "{error}");
    std::fs::create_dir_all(dir.join("taken/index.html")).unwrap();
    let error = report::write(&results, &dir.join("taken")).unwrap_err();
    assert!(error.starts_with("cannot write ") && error.contains("index.html"), "{error}");
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn odd_figures_are_written_as_json_and_read_back() {
    let text = serde_json::to_string(&nasty()).unwrap();
    let again: Results = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), text);
    assert!(again.seconds.is_nan() && again.scenarios[2].rounds[0].ns_per_op.is_nan());
}

/// Takes away every figure that is no count.
fn take_figures(value: &mut Value) -> usize {
    match value {
        Value::Number(number) if number.is_f64() => {
            *value = Value::Null;
            1
        }
        Value::Array(values) => values.iter_mut().map(take_figures).sum(),
        Value::Object(fields) => fields.values_mut().map(take_figures).sum(),
        _ => 0,
    }
}

#[test]
fn a_run_in_which_every_figure_is_absent_is_read_and_shown() {
    let mut value = serde_json::to_value(fixture()).unwrap();
    assert!(take_figures(&mut value) > 100);
    let results: Results = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(&results).unwrap(), value);
    let page = report::page(&results);
    assert!(!page.contains("NaN"), "{page}");
    assert!(!report::terminal(&results).contains("NaN"));
    assert!(!report::go_format(&results).contains("\nBenchmark"), "no line without figures");
}
