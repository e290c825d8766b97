//! The parts of the page, each of which is empty if there is nothing to say.

use std::fmt::Write as _;

use super::PHASES;
use crate::model::{Absent, BudgetRow, Comparison, Pooling, Results, Round, Scenario};
use crate::report::figure::{self, NOTHING};
use crate::report::html::{self, details, escaped, number, with_unit};
use crate::report::plots::{self, Plot};
use crate::report::reading::{self, Spread};
use crate::report::{case, terminal};

/// The widest plot, for pages that have the room.
const WIDE: f64 = 1000.0;

/// When, where and how long, in a line.
pub(super) fn context(results: &Results) -> String {
    let environment = &results.environment;
    let mut parts = vec![environment.cpu.clone()];
    if environment.processors > 0 {
        parts.push(format!("{} processors", environment.processors));
    }
    parts.push(environment.date.clone());
    parts.extend(environment.commit.iter().map(|commit| format!("commit {commit}")));
    if results.seconds.is_finite() && results.seconds > 0.0 {
        parts.push(format!("measured in {} s", figure::significant(results.seconds)));
    }
    parts.retain(|part| !part.trim().is_empty());
    let parts: Vec<String> = parts.iter().map(|part| format!("<span>{}</span>", escaped(part))).collect();
    format!("<p class=\"context\">{}</p>\n", parts.join(" "))
}

/// A few figures in large type.
pub(super) fn tiles(results: &Results) -> String {
    let mut tiles = Vec::new();
    if let Some((_, group)) = reading::classic(results)
        && let Some(pool) = reading::find(&group, Pooling::Pool)
    {
        let allocations = reading::over_rounds(pool, |round| round.client.count + round.server.count);
        let time = reading::request_time(pool);
        tiles.extend(time.map(|time| (with_unit(&figure::time(time.median)), "a request with a pool".to_owned())));
        tiles.extend(allocations.map(|allocations| {
            (number(&figure::significant(allocations.median)), "allocations a request, client and server".to_owned())
        }));
    }
    // One each of clients, servers, routers: what an id begins with.
    let mut kinds: Vec<&str> = Vec::new();
    for comparison in &results.comparisons {
        let kind = comparison.id.split('-').next().unwrap_or_default();
        if let Some((_, ratio)) = reading::ours(comparison).filter(|_| !kinds.contains(&kind)) {
            kinds.push(kind);
            let better = if comparison.more_is_better { "more" } else { "less" };
            let words = format!("{}’s figure, {better} is better: {}", comparison.base, comparison.title);
            tiles.push((format!("{} ×", number(&figure::ratio(ratio.median))), words));
        }
    }
    tiles.truncate(5);
    if let Some(budget) = &results.budget {
        let judged = || budget.rows.iter().filter(|row| row.ours.is_finite() && !row.told);
        let measured = judged().count();
        let within = judged().filter(|row| !row.is_over(budget.tolerance_percent)).count();
        if measured > 0 {
            tiles.push((format!("{within} of {measured}"), "costs within their budgets".to_owned()));
        }
    }
    if tiles.is_empty() {
        return String::new();
    }
    let tiles: String = tiles
        .iter()
        .map(|(figure, words)| format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escaped(words), escaped(figure)))
        .collect();
    format!("<dl class=\"tiles\">\n{tiles}</dl>\n")
}

fn section(id: &str, title: &str, intro: &str, inside: &str) -> String {
    let intro = if intro.is_empty() { String::new() } else { format!("<p>{intro}</p>\n") };
    format!("<section id=\"{id}\">\n<h2>{}</h2>\n{intro}{inside}</section>\n", escaped(title))
}

fn card(title: &str, inside: &str) -> String {
    format!("<article class=\"card\">\n<h3>{}</h3>\n{inside}</article>\n", escaped(title))
}

/// A median with its spread, in a table.
fn spread_cells(spread: Option<Spread>, shown: impl Fn(f64) -> String) -> Vec<String> {
    match spread {
        Some(Spread { median, least, greatest }) => [median, least, greatest].map(shown).into(),
        None => vec![number(NOTHING); 3],
    }
}

fn time(nanoseconds: f64) -> String {
    escaped(&with_unit(&figure::time(nanoseconds)))
}

fn plain(figure: f64) -> String {
    number(&figure::significant(figure))
}

/// The classic three as big bars.
pub(super) fn hero(results: &Results) -> String {
    let Some((setting, group)) = reading::classic(results) else { return String::new() };
    let rows: Vec<Vec<String>> = group
        .iter()
        .map(|scenario| {
            let mut row = vec![case::pooling(scenario.case.pooling).to_owned()];
            row.extend(spread_cells(reading::request_time(scenario), time));
            row.push(scenario.rounds.len().to_string());
            row
        })
        .collect();
    if group.iter().all(|scenario| reading::request_time(scenario).is_none()) {
        return String::new();
    }
    let desc = rows
        .iter()
        .map(|row| format!("{}: {} ({} to {})", row[0], row[1], row[2], row[3]))
        .collect::<Vec<_>>()
        .join("; ");
    let title = format!("What a request takes: {}", setting.words());
    let wide = plots::hero(Plot { id: "hero-wide", title: &title, desc: &desc }, &group, WIDE);
    let narrow = plots::hero(Plot { id: "hero-narrow", title: &title, desc: &desc }, &group, plots::CARD);
    let table = html::table(&["connections", "a request", "least", "greatest", "rounds"], &rows);
    let inside = format!(
        "<figure class=\"wide\">{wide}</figure>\n<figure class=\"narrow\">{narrow}</figure>\n{}",
        details("The figures", &table)
    );
    let intro = format!(
        "{}. Bars are medians, lines reach from the fastest round to the slowest; × is by the pool, round by round.",
        escaped(&setting.words())
    );
    section("connections", "What a connection costs", &intro, &inside)
}

/// Where the time goes, a card for each setting.
pub(super) fn phases(results: &Results) -> String {
    let mut cards = Vec::new();
    for (at, (setting, group)) in case::by_setting(&results.scenarios).into_iter().enumerate() {
        let told: Vec<&Scenario> = group.into_iter().filter(|scenario| scenario.phases.is_some()).collect();
        if told.is_empty() {
            continue;
        }
        let rows: Vec<Vec<String>> = PHASES
            .iter()
            .map(|phase| (phase.name, phase.of))
            .chain([("total", (|phases| phases.total) as fn(&crate::model::Phases) -> f64)])
            .map(|(name, of)| {
                let times = told.iter().filter_map(|scenario| scenario.phases).map(|phases| time(of(&phases) * 1e3));
                std::iter::once(name.to_owned()).chain(times).collect()
            })
            .collect();
        let heads: Vec<&str> =
            std::iter::once("phase").chain(told.iter().map(|scenario| case::pooling(scenario.case.pooling))).collect();
        let words = setting.words();
        let totals: Vec<String> = told
            .iter()
            .filter_map(|scenario| Some((scenario.case.pooling, scenario.phases?)))
            .map(|(pooling, phases)| {
                format!("{}: {} in all", case::pooling(pooling), with_unit(&figure::time(phases.total * 1e3)))
            })
            .collect();
        let title = format!("Where the time goes: {words}");
        let plot = plots::phases(Plot { id: &format!("phases-{at}"), title: &title, desc: &totals.join("; ") }, &told);
        let inside = format!("<figure>{plot}</figure>\n{}", details("The figures", &html::table(&heads, &rows)));
        cards.push(card(&words, &inside));
    }
    if cards.is_empty() {
        return String::new();
    }
    let legend: String = PHASES
        .iter()
        .map(|phase| {
            format!("<li><i class=\"b-{}\"></i><b>{}</b> {}</li>\n", phase.ink.name(), phase.name, phase.explained)
        })
        .collect();
    let intro = "Means over all requests, told by the client’s own timings. Orange opens a connection, blue uses it. Each card has its own scale.";
    let inside = format!("<ul class=\"legend\">\n{legend}</ul>\n{}", folded(&cards));
    section("phases", "What each case pays for", intro, &inside)
}

/// Cards; the many that a large matrix has are folded away.
fn folded(cards: &[String]) -> String {
    const SHOWN: usize = 12;
    let (shown, rest) = cards.split_at(cards.len().min(SHOWN));
    let mut out = format!("<div class=\"cards\">\n{}</div>\n", shown.concat());
    if !rest.is_empty() {
        out.push_str(&details(
            &format!("{} more", rest.len()),
            &format!("<div class=\"cards\">\n{}</div>\n", rest.concat()),
        ));
    }
    out
}

/// Predicted and measured round trips, a card for each simulated round trip.
pub(super) fn round_trips(results: &Results) -> String {
    let measured: Vec<&Scenario> =
        results.scenarios.iter().filter(|scenario| scenario.cost.measured.is_some()).collect();
    let mut trips: Vec<u32> = measured.iter().map(|scenario| scenario.case.rtt_ms).collect();
    trips.sort_unstable();
    trips.dedup();
    let cards: Vec<String> = trips
        .into_iter()
        .map(|rtt| {
            let group: Vec<&Scenario> =
                measured.iter().filter(|scenario| scenario.case.rtt_ms == rtt).copied().collect();
            let rows: Vec<Vec<String>> = group
                .iter()
                .map(|scenario| {
                    let measured = scenario.cost.measured.unwrap_or(f64::NAN);
                    let cells = [scenario.cost.predicted, measured].map(|trips| number(&figure::ratio(trips)));
                    let [predicted, measured] = cells;
                    vec![escaped(&case::short(scenario.case)), predicted, measured, escaped(&scenario.cost.explained)]
                })
                .collect();
            let title = format!("{rtt} ms a round trip");
            let desc = group
                .iter()
                .map(|scenario| {
                    let measured = scenario.cost.measured.map_or_else(|| NOTHING.into(), figure::ratio);
                    format!(
                        "{}: {measured} measured, {} predicted",
                        case::short(scenario.case),
                        figure::ratio(scenario.cost.predicted)
                    )
                })
                .collect::<Vec<_>>()
                .join("; ");
            let plot = plots::round_trips(Plot { id: &format!("trips-{rtt}"), title: &title, desc: &desc }, &group);
            let table = html::table(&["scenario", "predicted", "measured", "the model"], &rows);
            card(&title, &format!("<figure>{plot}</figure>\n{}", details("The figures and the model", &table)))
        })
        .collect();
    if cards.is_empty() {
        return String::new();
    }
    let intro = "Far from the server, round trips are the price. The mark is what the model predicts, the dot is the median time divided by the simulated round trip.";
    section("round-trips", "Round trips: predicted and measured", intro, &folded(&cards))
}

/// A card for each comparison.
pub(super) fn side_by_side(results: &Results) -> String {
    let cards: Vec<String> =
        results.comparisons.iter().enumerate().map(|(at, comparison)| self::comparison(at, comparison)).collect();
    if cards.is_empty() {
        return String::new();
    }
    let intro = "In turns in one run, so that a machine that slows down does so for all. Dots are middle ratios, bars reach over all rounds; the line at 1 is the base.";
    section("side-by-side", "Side by side", intro, &folded(&cards))
}

fn comparison(at: usize, comparison: &Comparison) -> String {
    let unit = html::unit(&comparison.unit);
    let rows: Vec<Vec<String>> = comparison
        .contestants
        .iter()
        .map(|contestant| {
            let mut row = vec![escaped(&contestant.name)];
            row.extend(spread_cells(Spread::of(contestant.figures.iter().copied()), plain));
            row.extend(spread_cells(Spread::of(contestant.ratios.iter().copied()), |ratio| {
                number(&figure::ratio(ratio))
            }));
            row.push(contestant.figures.len().to_string());
            row
        })
        .collect();
    let told: Vec<String> = comparison
        .contestants
        .iter()
        .filter_map(|contestant| {
            Some(format!("{}: {}", contestant.name, Spread::of(contestant.ratios.iter().copied())?.ratio()))
        })
        .collect();
    let better = if comparison.more_is_better { "more is better" } else { "less is better" };
    let mut inside = format!("<p>{}</p>\n", escaped(&comparison.explained));
    if !told.is_empty() {
        let title = format!("{}: ratios against {}", comparison.title, comparison.base);
        let plot =
            plots::ratios(Plot { id: &format!("ratios-{at}"), title: &title, desc: &told.join("; ") }, comparison);
        let _ = writeln!(
            inside,
            "<figure>{plot}<figcaption>{} by {}’s; {better}</figcaption></figure>",
            escaped(&unit),
            escaped(&comparison.base)
        );
    }
    let heads = ["contestant", &unit, "least", "greatest", "ratio", "least", "greatest", "rounds"];
    if !rows.is_empty() {
        inside.push_str(&details("The figures", &html::table(&heads, &rows)));
    }
    let notes: String = comparison
        .contestants
        .iter()
        .filter_map(|contestant| Some((&contestant.name, contestant.note.as_ref()?)))
        .map(|(name, note)| format!("<li><b>{}</b>: {}</li>\n", escaped(name), escaped(note)))
        .chain(names_of(&comparison.absent))
        .collect();
    if !notes.is_empty() {
        let _ = write!(inside, "<ul class=\"notes\">\n{notes}</ul>\n");
    }
    card(&comparison.title, &inside)
}

/// Who did not take part, in a line; the reasons stand in a section of their own.
fn names_of(absent: &[Absent]) -> Option<String> {
    let names: Vec<String> = absent.iter().map(|absent| escaped(&absent.name)).collect();
    (!names.is_empty()).then(|| format!("<li>not measured: {} (<a href=\"#absent\">why</a>)</li>\n", names.join(", ")))
}

fn not_measured(absent: &Absent) -> String {
    format!("<b>{}</b> not measured: {}", escaped(&absent.name), escaped(&absent.why))
}

/// A card for each growth.
pub(super) fn growths(results: &Results) -> String {
    let cards: Vec<String> = results
        .growths
        .iter()
        .enumerate()
        .map(|(at, growth)| {
            let mut places: Vec<f64> =
                growth.series.iter().flat_map(|series| &series.points).map(|point| point.0).collect();
            places.sort_unstable_by(f64::total_cmp);
            places.dedup_by(|one, other| one.total_cmp(other).is_eq());
            let heads: Vec<&str> = std::iter::once(growth.x.as_str())
                .chain(growth.series.iter().map(|series| series.name.as_str()))
                .collect();
            let rows: Vec<Vec<String>> = places
                .iter()
                .map(|place| {
                    let at = |series: &crate::model::Series| {
                        let point = series.points.iter().find(|(x, _)| x.total_cmp(place).is_eq());
                        point.map_or_else(|| number(NOTHING), |point| plain(point.1))
                    };
                    std::iter::once(number(&figure::count(*place))).chain(growth.series.iter().map(at)).collect()
                })
                .collect();
            let mut inside = format!("<p>{}</p>\n", escaped(&growth.explained));
            if !rows.is_empty() {
                let ends: Vec<String> = growth
                    .series
                    .iter()
                    .filter_map(|series| Some((series, series.points.first()?, series.points.last()?)))
                    .map(|(series, first, last)| {
                        let [x1, x2] = [first.0, last.0].map(figure::count);
                        let [y1, y2] = [first.1, last.1].map(figure::significant);
                        format!("{}: {y1} at {x1}, {y2} at {x2}", series.name)
                    })
                    .collect();
                let title = format!("{}: {} over {}", growth.title, html::unit(&growth.y), growth.x);
                let plot =
                    plots::growth(Plot { id: &format!("growth-{at}"), title: &title, desc: &ends.join("; ") }, growth);
                let _ = writeln!(
                    inside,
                    "<figure><figcaption>{}</figcaption>{plot}</figure>",
                    escaped(&html::unit(&growth.y))
                );
                inside.push_str(&details("The figures", &html::table(&heads, &rows)));
            }
            card(&growth.title, &inside)
        })
        .collect();
    if cards.is_empty() {
        return String::new();
    }
    section("growth", "How cost grows", "A flat line is the best that a cost can do.", &folded(&cards))
}

/// Costs beside budgets.
pub(super) fn budget(results: &Results) -> String {
    let Some(budget) = &results.budget else { return String::new() };
    let rows: String = budget.rows.iter().map(|row| budget_row(row, budget.tolerance_percent)).collect();
    let mut inside = String::new();
    if !rows.is_empty() {
        let _ = write!(
            inside,
            "<div class=\"scroll\"><table class=\"budget\"><thead><tr><th scope=\"col\">what</th><th scope=\"col\">ours</th>\
             <th scope=\"col\">budget</th><th scope=\"col\">used</th><th scope=\"col\"></th><th scope=\"col\">peers</th></tr></thead>\
             <tbody>\n{rows}</tbody></table></div>\n"
        );
    }
    if !budget.absent.is_empty() {
        let absent: String =
            budget.absent.iter().map(|absent| format!("<li>{}</li>\n", not_measured(absent))).collect();
        let _ = write!(inside, "<ul class=\"notes\">\n{absent}</ul>\n");
    }
    let intro = format!(
        "What may not grow. Over is more than {} % above the budget.",
        number(&figure::count(budget.tolerance_percent))
    );
    section("budgets", "Budgets", &intro, &inside)
}

fn budget_row(row: &BudgetRow, tolerance_percent: f64) -> String {
    let verdict = terminal::verdict(row, tolerance_percent);
    let (class, mark) = match verdict {
        "within" => ("within", "✓ within"),
        "OVER" => ("over", "✗ over"),
        "told" => ("within", "told"),
        _ => ("missing", "not measured"),
    };
    let share = row.ours / row.budget * 100.0;
    let meter = if share.is_finite() {
        format!(
            "<span class=\"meter {class}\"><i style=\"width:{:.1}%\"></i></span> <span>{} %</span>",
            share.clamp(0.0, 100.0),
            number(&figure::count(share.round()))
        )
    } else {
        number(NOTHING)
    };
    let peers: Vec<String> =
        row.peers.iter().map(|(name, figure)| format!("{}\u{a0}{}", escaped(name), plain(*figure))).collect();
    format!(
        "<tr><th scope=\"row\">{} <small>{}</small></th><td data-label=\"ours\">{}</td><td data-label=\"budget\">{}</td><td class=\"used\">{meter}</td><td class=\"{class}\">{mark}</td><td class=\"peers\" data-label=\"peers\">{}</td></tr>\n",
        escaped(&row.what),
        escaped(&html::unit(&row.unit)),
        plain(row.ours),
        plain(row.budget),
        peers.join(", ")
    )
}

/// What a connection that the server closes leaves to the next.
pub(super) fn closing(results: &Results) -> String {
    let Some(closing) = &results.closing else { return String::new() };
    let heads = |first| std::iter::once(first).chain(closing.ways.iter().map(String::as_str)).collect::<Vec<&str>>();
    let counts: Vec<Vec<String>> = closing
        .counts
        .iter()
        .map(|count| {
            let figures = count.figures.iter().map(|figure| number(&figure::count(*figure)));
            std::iter::once(escaped(&count.what)).chain(figures).collect()
        })
        .collect();
    let times: Vec<Vec<String>> = closing
        .times
        .iter()
        .map(|row| {
            let name = if row.measured { escaped(&row.name) } else { format!("<i>{}</i>", escaped(&row.name)) };
            let cells = row.milliseconds.iter().enumerate().map(|(at, millis)| match row.ratios.get(at) {
                Some(ratio) if at > 0 => {
                    format!("{} <small>{} ×</small>", time(millis * 1e6), number(&figure::ratio(*ratio)))
                }
                _ => time(millis * 1e6),
            });
            std::iter::once(name).chain(cells).collect()
        })
        .collect();
    let mut inside = String::new();
    if !closing.findings.is_empty() {
        let findings: String =
            closing.findings.iter().map(|finding| format!("<li>{}</li>\n", html::sentence(finding))).collect();
        let _ = write!(inside, "<ul class=\"findings\">\n{findings}</ul>\n");
    }
    if !counts.is_empty() {
        let _ = write!(inside, "<h3>Counted, for one request</h3>\n{}", html::table(&heads("what"), &counts));
    }
    if !times.is_empty() {
        let _ = write!(
            inside,
            "<h3>Medians, and each by the first</h3>\n{}<p class=\"hint\">Lines in italics were not measured in this run.</p>\n",
            html::table(&heads("where"), &times)
        );
    }
    section("closing", "What is used again when the server closes", "", &inside)
}

/// All scenarios in one table.
pub(super) fn scenarios(results: &Results) -> String {
    if results.scenarios.is_empty() {
        return String::new();
    }
    let mut rows = Vec::new();
    for (_, group) in case::by_setting(&results.scenarios) {
        let pool = reading::find(&group, Pooling::Pool);
        for scenario in group {
            let median =
                |of: fn(&Round) -> f64| reading::over_rounds(scenario, of).map_or(f64::NAN, |spread| spread.median);
            let sum =
                |of: fn(&Round) -> u64| figure::whole(scenario.rounds.iter().map(of).fold(0, u64::saturating_add));
            let ratio = pool.and_then(|pool| reading::against(scenario, pool));
            rows.push(vec![
                escaped(&case::short(scenario.case)),
                sum(|round| round.all_requests),
                sum(|round| round.connections),
                sum(|round| round.resumed),
                time(median(|round| round.ns_per_op)),
                time(median(|round| round.p50_ns)),
                time(median(|round| round.p99_ns)),
                format!(
                    "{} / {}",
                    plain(median(|round| round.client.count)),
                    plain(median(|round| round.client.bytes))
                ),
                format!(
                    "{} / {}",
                    plain(median(|round| round.server.count)),
                    plain(median(|round| round.server.bytes))
                ),
                ratio.map_or_else(|| number(NOTHING), |ratio| number(&figure::ratio(ratio.median))),
            ]);
        }
    }
    let heads = [
        "scenario",
        "requests",
        "connections",
        "resumed",
        "time : requests",
        "median",
        "99th percentile",
        "client allocations / bytes",
        "server allocations / bytes",
        "by pool",
    ];
    let intro = "Requests and connections are sums over all rounds, warm-up included, and the connections are counted by the server; the rest are medians of the rounds.";
    section("scenarios", "Every scenario", intro, &details("The table", &html::table(&heads, &rows)))
}

/// All that was not measured, in one place.
pub(super) fn absent(results: &Results) -> String {
    let scenarios = std::iter::once(("The plan", &results.left_out));
    let comparisons = results.comparisons.iter().map(|comparison| (comparison.title.as_str(), &comparison.absent));
    let all = scenarios.chain(comparisons).chain(results.budget.iter().map(|budget| ("Budgets", &budget.absent)));
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for (title, absents) in all {
        for absent in absents {
            let line = not_measured(absent);
            match lines.iter_mut().find(|(known, _)| *known == line) {
                Some((_, titles)) => titles.push(title),
                None => lines.push((line, vec![title])),
            }
        }
    }
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines
        .iter()
        .map(|(line, titles)| format!("<li>{line} <small>({})</small></li>\n", escaped(&places(titles))))
        .collect();
    section("absent", "What was absent", "", &format!("<ul>\n{lines}</ul>\n"))
}

/// The first of many places.
fn places(titles: &[&str]) -> String {
    match titles {
        [first, _, _, ..] => format!("{first}, and others"),
        few => few.join("; "),
    }
}

/// Where, with what, and how to do the same.
pub(super) fn reproduce(results: &Results) -> String {
    let environment = &results.environment;
    let mut rows = vec![("processor", environment.cpu.clone())];
    rows.push(("processors", environment.processors.to_string()));
    rows.push(("system", format!("{}/{}, {}", environment.os, environment.arch, environment.kernel)));
    rows.push(("date", environment.date.clone()));
    rows.push(("commit", environment.commit.clone().unwrap_or_else(|| "not a checkout".into())));
    let of = |pairs: &[(String, String)]| {
        pairs.iter().map(|(name, value)| vec![escaped(name), escaped(value)]).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), escaped(&value)]).collect();
    let mut inside = String::from("<div class=\"facts\">\n");
    for (head, rows) in
        [("machine", rows), ("versions", of(&environment.versions)), ("settings", of(&environment.settings))]
    {
        if !rows.is_empty() {
            inside.push_str(&html::table(&[head, ""], &rows));
        }
    }
    inside.push_str("</div>\n");
    let commit = environment.commit.as_deref().map(|commit| commit.trim_end_matches('+'));
    let features = if environment.versions.iter().any(|(name, _)| name == "axum") { " --features peers" } else { "" };
    let checkout = commit.map(|commit| format!("git checkout {}\n", escaped(commit))).unwrap_or_default();
    let _ = write!(
        inside,
        "<h3>To do the same</h3>\n<pre>{checkout}cargo run --release -p roundtrip-bench{features}</pre>\n\
         <p>All figures of this page are in <a href=\"results.json\">results.json</a>. How to read and trust them is in \
         <code>docs/guide/benchmark.md</code>.</p>\n"
    );
    section("reproduce", "Where and with what", "", &inside)
}
