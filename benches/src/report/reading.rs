//! What can be said about all figures: medians with their spread, ratios round by round, and the sentences at the top.

use crate::model::{Comparison, Contestant, Pooling, Results, Round, Scenario, median, spread};
use crate::report::case::{self, Setting};
use crate::report::figure;

/// The middle of some figures, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) greatest: f64,
}

impl Spread {
    /// Of those figures that are numbers; `None` if none is.
    pub(super) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let figures: Vec<f64> = figures.into_iter().filter(|figure| figure.is_finite()).collect();
        let (least, greatest) = spread(&figures)?;
        Some(Spread { median: median(&figures)?, least, greatest })
    }

    /// `0.42 (0.40 to 0.45)`; only the first if they are shown the same.
    pub(super) fn ratio(&self) -> String {
        let (median, least, greatest) =
            (figure::ratio(self.median), figure::ratio(self.least), figure::ratio(self.greatest));
        if least == greatest { median } else { format!("{median} ({least} to {greatest})") }
    }
}

/// The spread of one figure over all rounds.
pub(super) fn over_rounds(scenario: &Scenario, of: impl Fn(&Round) -> f64) -> Option<Spread> {
    Spread::of(scenario.rounds.iter().map(of))
}

/// What a request takes: its share of the round if they go one after the other, else the median.
pub(super) fn request_time(scenario: &Scenario) -> Option<Spread> {
    match scenario.case.concurrency {
        1 => over_rounds(scenario, |round| round.ns_per_op),
        _ => over_rounds(scenario, |round| round.p50_ns),
    }
}

/// What a request takes, against another scenario's in the same rounds.
pub(super) fn against(scenario: &Scenario, base: &Scenario) -> Option<Spread> {
    Spread::of(scenario.rounds.iter().zip(&base.rounds).map(|(round, base)| round.ns_per_op / base.ns_per_op))
}

/// The scenario of a group that treats connections so.
pub(super) fn find<'r>(group: &[&'r Scenario], pooling: Pooling) -> Option<&'r Scenario> {
    group.iter().find(|scenario| scenario.case.pooling == pooling).copied()
}

/// The classic three: the first setting of plain HTTP/1.1, one at a time, over loopback; or else the first of all.
pub(super) fn classic(results: &Results) -> Option<(Setting, Vec<&Scenario>)> {
    let mut groups = case::by_setting(&results.scenarios);
    let at = groups.iter().position(|(setting, _)| setting.is_classic()).unwrap_or(0);
    (at < groups.len()).then(|| groups.swap_remove(at))
}

/// The middle ratio of our contestant against the base, if the base is somebody else.
pub(super) fn ours(comparison: &Comparison) -> Option<(&Contestant, Spread)> {
    let ours =
        comparison.contestants.iter().find(|contestant| contestant.ours && contestant.name != comparison.base)?;
    Some((ours, Spread::of(ours.ratios.iter().copied())?))
}

/// The sentences at the top.
pub(super) struct Headline {
    /// What it comes to.
    pub(super) main: String,
    /// The figures behind it, a sentence each.
    pub(super) details: Vec<String>,
}

/// Made from what was measured: the classic comparison if there is one, else the first comparison with peers, else what there is.
pub(super) fn headline(results: &Results) -> Headline {
    let mut main = None;
    let mut details = Vec::new();
    if let Some((setting, group)) = classic(results) {
        main = difference(&group);
        details.extend(times(setting, &group));
    }
    details.extend(far_away(results));
    for comparison in &results.comparisons {
        let Some((ours, ratio)) = ours(comparison) else { continue };
        let sentence =
            format!("{}: {} has {} times {}'s figure", comparison.title, ours.name, ratio.ratio(), comparison.base);
        if main.is_none() {
            main = Some(sentence);
        }
    }
    let main = main.unwrap_or_else(|| {
        let measured = !results.scenarios.is_empty()
            || !results.comparisons.is_empty()
            || !results.growths.is_empty()
            || results.budget.is_some();
        if measured { "What was measured".into() } else { "Nothing was measured".into() }
    });
    Headline { main, details }
}

/// How much longer a request takes without a pool.
fn difference(group: &[&Scenario]) -> Option<String> {
    let ratio = against(find(group, Pooling::NoPool)?, find(group, Pooling::Pool)?)?;
    Some(if ratio.least > 1.0 {
        format!("Without a pool, a request takes {} times as long", figure::ratio(ratio.median))
    } else if ratio.greatest < 1.0 {
        format!("Without a pool, a request took only {} times as long: something is odd", figure::ratio(ratio.median))
    } else {
        format!("A pool made no difference that this run could show: {} times", ratio.ratio())
    })
}

/// What a request takes in each of a setting's scenarios.
fn times(setting: Setting, group: &[&Scenario]) -> Option<String> {
    let time = |scenario: &Scenario| Some(figure::time(request_time(scenario)?.median));
    let parts: Vec<String> = group
        .iter()
        .filter_map(|scenario| {
            let words = match scenario.case.pooling {
                Pooling::Pool => "with a pool",
                Pooling::ServerCloses => "when the server closes each connection",
                Pooling::NoPool => "with a connection for each request",
            };
            Some(format!("{} {words}", time(scenario)?))
        })
        .collect();
    (!parts.is_empty()).then(|| format!("{}: {}.", setting.words(), join(&parts)))
}

/// The same with the longest simulated round trip, where it matters most.
fn far_away(results: &Results) -> Option<String> {
    let groups = case::by_setting(&results.scenarios);
    let comparable = groups.iter().filter(|(setting, group)| {
        setting.rtt_ms > 0 && find(group, Pooling::Pool).is_some() && find(group, Pooling::NoPool).is_some()
    });
    // The first of those with the longest round trip.
    let (setting, group) = comparable.rev().max_by_key(|(setting, _)| setting.rtt_ms)?;
    times(*setting, group)
}

fn join(parts: &[String]) -> String {
    match parts {
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
        [] => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Case, Cost, Protocol, Security};

    fn scenario(pooling: Pooling, rtt_ms: u32, micros: &[f64]) -> Scenario {
        Scenario {
            case: Case {
                pooling,
                security: Security::Plain,
                protocol: Protocol::Http1,
                concurrency: 1,
                rtt_ms,
                body: 19,
            },
            rounds: micros.iter().map(|micros| Round { ns_per_op: micros * 1e3, ..Round::default() }).collect(),
            phases: None,
            cost: Cost::default(),
        }
    }

    fn results(scenarios: Vec<Scenario>) -> Results {
        Results { scenarios, ..Results::default() }
    }

    #[test]
    fn the_headline_follows_the_figures() {
        let pool = scenario(Pooling::Pool, 0, &[40.0, 50.0]);
        let slower = scenario(Pooling::NoPool, 0, &[120.0, 100.0]);
        let headline = headline(&results(vec![pool.clone(), slower]));
        assert_eq!(headline.main, "Without a pool, a request takes 2.50 times as long");
        let want = "Plain, HTTP/1.1, one at a time, loopback: 45.0 us with a pool and 110 us with a connection for each request.";
        assert_eq!(headline.details, [want]);

        let same = scenario(Pooling::NoPool, 0, &[36.0, 55.0]);
        let words = super::headline(&results(vec![pool.clone(), same])).main;
        assert_eq!(
            words,
            "A pool made no difference that this run could show: 1.00 times (0.90 to 1.10)"
                .replace(" times (0.90 to 1.10)", " (0.90 to 1.10) times")
        );
        let odd = scenario(Pooling::NoPool, 0, &[20.0, 25.0]);
        assert!(super::headline(&results(vec![pool, odd])).main.contains("0.50"));
        assert_eq!(super::headline(&Results::default()).main, "Nothing was measured");
    }

    #[test]
    fn the_longest_round_trip_is_told() {
        let of = |rtt| {
            [
                scenario(Pooling::Pool, rtt, &[1e3 * f64::from(rtt)]),
                scenario(Pooling::NoPool, rtt, &[2e3 * f64::from(rtt)]),
            ]
        };
        let details = headline(&results([of(1), of(20), of(5)].concat())).details;
        assert_eq!(details.len(), 2, "{details:?}");
        assert!(details[1].contains("20 ms round trip: 20.0 ms with a pool and 40.0 ms"), "{details:?}");
    }

    #[test]
    fn spreads_pass_over_what_is_no_number() {
        assert_eq!(Spread::of([f64::NAN, 2.0, f64::INFINITY]), Some(Spread { median: 2.0, least: 2.0, greatest: 2.0 }));
        assert_eq!(Spread::of([f64::NAN]), None);
        assert_eq!(Spread { median: 1.0, least: 0.9, greatest: 1.1 }.ratio(), "1.00 (0.90 to 1.10)");
        assert_eq!(Spread { median: 1.0, least: 1.0, greatest: 1.0 }.ratio(), "1.00");
    }
}
