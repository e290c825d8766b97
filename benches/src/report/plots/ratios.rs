//! Contestants beside each other: a dot for the middle ratio, a line for the spread, against the base at 1.

use super::CARD;
use super::canvas::{Anchor, Canvas, Ink, Plot, draw, fitted, text_width};
use super::scale::Scale;
use crate::model::{Comparison, Contestant};
use crate::report::figure;
use crate::report::reading::Spread;

/// Above this ratio of the greatest to the least, the axis is logarithmic.
const FAR: f64 = 5.0;

/// Those contestants that have ratios.
pub(in crate::report) fn ratios(plot: Plot<'_>, comparison: &Comparison) -> String {
    const ROW: f64 = 42.0;
    let told: Vec<(&Contestant, Spread)> = comparison
        .contestants
        .iter()
        .filter_map(|contestant| Some((contestant, Spread::of(contestant.ratios.iter().copied())?)))
        .collect();
    let least = told.iter().map(|(_, ratio)| ratio.least).fold(1.0, f64::min);
    let greatest = told.iter().map(|(_, ratio)| ratio.greatest).fold(1.0, f64::max);
    let bottom = ROW * told.len() as f64 + 8.0;
    draw(plot, CARD, bottom + 40.0, |canvas| {
        let (from, to) = (8.0, CARD - 8.0);
        let scale = if least > 0.0 && greatest / least > FAR {
            Scale::log((least / 1.1, greatest * 1.1), from, to)
        } else {
            let margin = (greatest - least).max(0.1) * 0.06;
            Scale::linear(((least - margin).max(0.0).min(least), greatest + margin), from, to)
        };
        let one = scale.at(1.0);
        // Beneath each row's words, not through them.
        let behind = |canvas: &mut Canvas<'_>, x, width, ink| {
            for at in 0..told.len() {
                let top = at as f64 * ROW;
                canvas.line((x, top + 22.0), (x, top + 38.0), width, ink);
            }
        };
        for mark in scale.marks(6) {
            let x = scale.at(mark);
            behind(canvas, x, 1.0, Ink::GRID);
            // Leaves room for the base's own mark.
            if (x - one).abs() > 24.0 || (mark - 1.0).abs() < 1e-9 {
                canvas.text(&figure::count(mark), (x, bottom + 15.0), 12.0, Ink::MUTED, Anchor::Middle);
            }
        }
        behind(canvas, one, 1.5, Ink::BASE);
        if !scale.marks(6).iter().any(|mark| (mark - 1.0).abs() < 1e-9) {
            canvas.text("1", (one, bottom + 15.0), 12.0, Ink::MUTED, Anchor::Middle);
        }
        let better = if comparison.more_is_better {
            ("better →", CARD, Anchor::End)
        } else {
            ("← better", 0.0, Anchor::Start)
        };
        canvas.text(better.0, (better.1, bottom + 34.0), 12.0, Ink::MUTED, better.2);
        for (at, (contestant, ratio)) in told.iter().enumerate() {
            let top = at as f64 * ROW;
            let shown = ratio.ratio();
            let room = CARD - text_width(&shown, 13.0) - 12.0;
            let name = fitted(&contestant.name, 14.0, room);
            let (range, ink) =
                if contestant.ours { (Ink::RANGE_OURS, Ink::OURS[0]) } else { (Ink::RANGE_PEER, Ink::PEERS[0]) };
            if contestant.ours {
                canvas.bold(&name, (0.0, top + 16.0), 14.0, Ink::TEXT, Anchor::Start);
            } else {
                canvas.text(&name, (0.0, top + 16.0), 14.0, Ink::TEXT, Anchor::Start);
            }
            canvas.text(&shown, (CARD, top + 16.0), 13.0, Ink::TEXT, Anchor::End);
            let y = top + 30.0;
            canvas.line((scale.at(ratio.least), y), (scale.at(ratio.greatest), y), 6.0, range);
            canvas.dot((scale.at(ratio.median), y), 5.5, ink);
        }
    })
}
