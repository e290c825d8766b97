//! The scenarios: how long, of what, and how many round trips.

use super::CARD;
use super::canvas::{Anchor, Canvas, Ink, Plot, draw, fitted, text_width};
use super::scale::Scale;
use crate::model::{Case, Pooling, Scenario};
use crate::report::page::PHASES;
use crate::report::reading::{self, Spread};
use crate::report::{case, figure, html};

/// The three treatments of connections as big bars, with the spread of the rounds. `width` in pixels; names stand before the bars
/// if there is room.
pub(in crate::report) fn hero(plot: Plot<'_>, group: &[&Scenario], width: f64) -> String {
    let wide = width > 600.0;
    let (left, row, bar) = if wide { (170.0, 64.0, 40.0) } else { (0.0, 62.0, 28.0) };
    let times: Vec<(&Scenario, Spread)> =
        group.iter().filter_map(|scenario| Some((*scenario, reading::request_time(scenario)?))).collect();
    let longest = times.iter().map(|(_, time)| time.greatest).fold(0.0, f64::max);
    let pool = reading::find(group, Pooling::Pool);
    draw(plot, width, row * times.len() as f64 + 4.0, |canvas| {
        // Room behind the bars for the figures, which differ in length.
        let room = if wide { 210.0 } else { 4.0 };
        let scale = Scale::linear((0.0, longest), left, width - room);
        for (at, (scenario, time)) in times.iter().enumerate() {
            let top = at as f64 * row;
            let ink = if scenario.case.pooling == Pooling::Pool { Ink::OURS[0] } else { Ink::PEERS[0] };
            let name = case::pooling(scenario.case.pooling);
            let shown = html::with_unit(&figure::time(time.median));
            let ratio =
                pool.filter(|pool| pool.case != scenario.case).and_then(|pool| reading::against(scenario, pool));
            let ratio = ratio.map(|ratio| format!("{} ×", figure::ratio(ratio.median)));
            let y = if wide { top + 10.0 } else { top + 24.0 };
            let end = scale.at(time.median);
            canvas.rect((left, y), (end - left).max(1.5), bar, ink);
            whisker(canvas, &scale, time, y + bar / 2.0);
            if wide {
                canvas.bold(name, (0.0, y + bar / 2.0 + 6.0), 18.0, Ink::TEXT, Anchor::Start);
                let x = scale.at(time.greatest) + 14.0;
                canvas.bold(&shown, (x, y + bar / 2.0 + 7.0), 20.0, Ink::TEXT, Anchor::Start);
                if let Some(ratio) = ratio {
                    canvas.text(
                        &ratio,
                        (x + text_width(&shown, 20.0) + 10.0, y + bar / 2.0 + 7.0),
                        17.0,
                        Ink::MUTED,
                        Anchor::Start,
                    );
                }
            } else {
                canvas.bold(name, (0.0, top + 17.0), 15.0, Ink::TEXT, Anchor::Start);
                canvas.bold(&shown, (width, top + 17.0), 16.0, Ink::TEXT, Anchor::End);
                if let Some(ratio) = ratio {
                    let x = width - text_width(&shown, 16.0) - 8.0;
                    canvas.text(&ratio, (x, top + 17.0), 14.0, Ink::MUTED, Anchor::End);
                }
            }
        }
    })
}

/// From the least to the greatest, with ends.
fn whisker(canvas: &mut Canvas<'_>, scale: &Scale, spread: &Spread, y: f64) {
    let (from, to) = (scale.at(spread.least), scale.at(spread.greatest));
    if to - from < 1.0 {
        return;
    }
    canvas.line((from, y), (to, y), 1.5, Ink::TEXT);
    for x in [from, to] {
        canvas.line((x, y - 5.0), (x, y + 5.0), 1.5, Ink::TEXT);
    }
}

/// Where the time of a request goes, a stacked bar for each treatment of connections.
pub(in crate::report) fn phases(plot: Plot<'_>, group: &[&Scenario]) -> String {
    const ROW: f64 = 50.0;
    const BAR: f64 = 22.0;
    let told: Vec<_> = group.iter().filter_map(|scenario| Some((*scenario, scenario.phases?))).collect();
    // The parts decide about the scale: with rounding they may come to more than the whole.
    let whole = |phases: &crate::model::Phases| PHASES.iter().map(|phase| part((phase.of)(phases))).sum::<f64>();
    let longest = told.iter().map(|(_, phases)| whole(phases)).fold(0.0, f64::max);
    draw(plot, CARD, ROW * told.len() as f64, |canvas| {
        let scale = Scale::linear((0.0, longest), 0.0, CARD);
        for (at, (scenario, phases)) in told.iter().enumerate() {
            let top = at as f64 * ROW;
            canvas.bold(case::pooling(scenario.case.pooling), (0.0, top + 15.0), 14.0, Ink::TEXT, Anchor::Start);
            let total = html::with_unit(&figure::time(phases.total * 1e3));
            canvas.text(&total, (CARD, top + 15.0), 14.0, Ink::TEXT, Anchor::End);
            let mut sum = 0.0;
            for phase in &PHASES {
                let part = part((phase.of)(phases));
                let (from, to) = (scale.at(sum), scale.at(sum + part));
                sum += part;
                // A hair of the ground between neighbours.
                let width = to - from - 1.0;
                if width < 0.3 {
                    continue;
                }
                canvas.rect((from, top + 21.0), width, BAR, phase.ink);
                if text_width(phase.name, 12.0) + 8.0 < width {
                    let ink = if phase.is_dark { Ink::ON_DARK } else { Ink::ON_LIGHT };
                    canvas.text(phase.name, (from + width / 2.0, top + 36.0), 12.0, ink, Anchor::Middle);
                }
            }
        }
    })
}

/// What can be drawn of a part.
fn part(micros: f64) -> f64 {
    if micros.is_finite() { micros.max(0.0) } else { 0.0 }
}

/// Round trips, predicted (a tick) and measured (a dot), of scenarios with the same simulated one.
pub(in crate::report) fn round_trips(plot: Plot<'_>, scenarios: &[&Scenario]) -> String {
    const ROW: f64 = 38.0;
    let told: Vec<(&Scenario, f64)> = scenarios
        .iter()
        .filter_map(|scenario| Some((*scenario, scenario.cost.measured.filter(|trips| trips.is_finite())?)))
        .collect();
    let most = told.iter().map(|(scenario, measured)| part(scenario.cost.predicted).max(*measured)).fold(1.0, f64::max);
    let bottom = ROW * told.len() as f64 + 6.0;
    draw(plot, CARD, bottom + 20.0, |canvas| {
        let scale = Scale::linear((0.0, most * 1.04), 6.0, CARD - 6.0);
        for mark in scale.marks(7) {
            for at in 0..told.len() {
                // Beneath each row's words, not through them.
                let top = at as f64 * ROW;
                canvas.line((scale.at(mark), top + 18.0), (scale.at(mark), top + 34.0), 1.0, Ink::GRID);
            }
            canvas.text(&figure::count(mark), (scale.at(mark), bottom + 15.0), 12.0, Ink::MUTED, Anchor::Middle);
        }
        for (at, (scenario, measured)) in told.iter().enumerate() {
            let top = at as f64 * ROW;
            let shown = format!("{} of {}", figure::ratio(*measured), figure::count(scenario.cost.predicted));
            let room = CARD - text_width(&shown, 13.0) - 12.0;
            canvas.text(
                &fitted(&case::short(Case { rtt_ms: 0, ..scenario.case }), 13.0, room),
                (0.0, top + 14.0),
                13.0,
                Ink::TEXT,
                Anchor::Start,
            );
            canvas.text(&shown, (CARD, top + 14.0), 13.0, Ink::TEXT, Anchor::End);
            let y = top + 26.0;
            let (predicted, measured) = (scale.at(scenario.cost.predicted), scale.at(*measured));
            canvas.line((scale.at(0.0), y), (measured, y), 2.0, Ink::RANGE_OURS);
            canvas.line((predicted, y - 7.0), (predicted, y + 7.0), 2.5, Ink::BASE);
            canvas.dot((measured, y), 4.5, Ink::OURS[0]);
        }
    })
}
