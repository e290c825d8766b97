//! How a cost grows: a line for each series, named at its end.

use super::CARD;
use super::canvas::{Anchor, Ink, Plot, draw, fitted, text_width};
use super::scale::Scale;
use crate::model::{Growth, Series};
use crate::report::figure;

const TOP: f64 = 10.0;
const HEIGHT: f64 = 250.0;
const BOTTOM: f64 = HEIGHT - 40.0;
const SMALL: f64 = 12.0;
/// How much wider bold letters are.
const BOLD: f64 = 1.12;
/// Between the base lines of names.
const LINE: f64 = 15.0;
/// Above this ratio of the greatest to the least, the y axis is logarithmic.
const FAR: f64 = 200.0;

/// The inks of all series: ours in ours, peers in theirs.
fn inks(series: &[Series]) -> Vec<Ink> {
    let (mut ours, mut peers) = (Ink::OURS.iter().cycle(), Ink::PEERS.iter().cycle());
    let next = |series: &Series| if series.ours { ours.next() } else { peers.next() };
    series.iter().map(next).map(|ink| ink.copied().unwrap_or(Ink::TEXT)).collect()
}

/// x and y.
type Points = Vec<(f64, f64)>;

/// The points that can be drawn, by x.
fn points(series: &Series) -> Points {
    let mut points: Points = series.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    points.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    points
}

/// Lines over what grows.
pub(in crate::report) fn growth(plot: Plot<'_>, growth: &Growth) -> String {
    let lines: Vec<(&Series, Ink, Points)> =
        growth.series.iter().zip(inks(&growth.series)).map(|(series, ink)| (series, ink, points(series))).collect();
    let all = || lines.iter().flat_map(|(_, _, points)| points);
    let ends = |of: fn(&(f64, f64)) -> f64| {
        all()
            .map(of)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), figure| (low.min(figure), high.max(figure)))
    };
    let (x_ends, (low, high)) = (ends(|point| point.0), ends(|point| point.1));

    draw(plot, CARD, HEIGHT, |canvas| {
        let is_far = low > 0.0 && high / low > FAR;
        let y_range = if is_far { (low / 1.2, high * 1.2) } else { (low.min(0.0), high * 1.06) };
        let scale_y = |range| if is_far { Scale::log(range, BOTTOM, TOP) } else { Scale::linear(range, BOTTOM, TOP) };
        let y = scale_y(y_range);
        let y_marks: Vec<(f64, String)> = y.marks(6).into_iter().map(|mark| (y.at(mark), brief(mark))).collect();
        let left = y_marks.iter().map(|(_, shown)| text_width(shown, SMALL)).fold(0.0, f64::max) + 8.0;
        let names =
            lines.iter().map(|(series, _, _)| text_width(&series.name, SMALL * BOLD)).fold(0.0, f64::max) + 12.0;
        let right = CARD - names.min(112.0);
        let x =
            if growth.log_x { Scale::log(x_ends, left + 6.0, right) } else { Scale::linear(x_ends, left + 6.0, right) };

        for (at, shown) in &y_marks {
            canvas.line((left, *at), (right, *at), 1.0, Ink::GRID);
            canvas.text(shown, (left - 6.0, at + 4.0), SMALL, Ink::MUTED, Anchor::End);
        }
        // Marks where something was measured, from the right, as far as their names have room.
        let mut places: Vec<f64> = all().map(|point| point.0).collect();
        places.sort_unstable_by(f64::total_cmp);
        places.dedup();
        let mut free = f64::INFINITY;
        for place in places.iter().rev() {
            let (shown, at) = (figure::count(*place), x.at(*place));
            let half = text_width(&shown, SMALL) / 2.0;
            canvas.line((at, BOTTOM), (at, BOTTOM + 4.0), 1.0, Ink::BASE);
            if at + half < free {
                canvas.text(&shown, (at, BOTTOM + 17.0), SMALL, Ink::MUTED, Anchor::Middle);
                free = at - half - 6.0;
            }
        }
        canvas.line((left, BOTTOM), (right, BOTTOM), 1.0, Ink::BASE);
        canvas.text(
            &fitted(&growth.x, SMALL, CARD),
            ((left + right) / 2.0, HEIGHT - 6.0),
            SMALL,
            Ink::MUTED,
            Anchor::Middle,
        );

        // Ours last, so that they lie on top.
        for (series, ink, points) in
            lines.iter().filter(|line| !line.0.ours).chain(lines.iter().filter(|line| line.0.ours))
        {
            let points: Vec<_> = points.iter().map(|point| (x.at(point.0), y.at(point.1))).collect();
            canvas.path(&points, if series.ours { 2.5 } else { 1.8 }, *ink);
            for point in points {
                canvas.dot(point, if series.ours { 3.5 } else { 2.8 }, *ink);
            }
        }
        let ends: Vec<f64> = lines.iter().map(|line| line.2.last().map_or(BOTTOM, |point| y.at(point.1))).collect();
        for ((series, ink, points), at) in lines.iter().zip(apart(&ends)) {
            if points.is_empty() {
                continue;
            }
            let name = fitted(&series.name, SMALL * if series.ours { BOLD } else { 1.0 }, CARD - right - 9.0);
            if series.ours {
                canvas.bold(&name, (right + 9.0, at + 4.0), SMALL, *ink, Anchor::Start);
            } else {
                canvas.text(&name, (right + 9.0, at + 4.0), SMALL, *ink, Anchor::Start);
            }
        }
    })
}

/// The same places, moved so far that names at them do not overlap.
fn apart(ends: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ends.len()).collect();
    order.sort_by(|&one, &other| ends[one].total_cmp(&ends[other]));
    let mut places = ends.to_vec();
    // Down from the top, then up from the bottom if that ran out.
    let mut free = TOP;
    for &at in &order {
        places[at] = places[at].max(free);
        free = places[at] + LINE;
    }
    let mut free = BOTTOM;
    for &at in order.iter().rev() {
        places[at] = places[at].min(free);
        free = places[at] - LINE;
    }
    places
}

/// A mark of an axis, in few characters.
fn brief(mark: f64) -> String {
    for (scale, letter) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if mark.abs() >= scale * 10.0 && mark.abs() < 1e15 {
            return format!("{}{letter}", figure::count(mark / scale));
        }
    }
    figure::count(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_overlap() {
        let places = apart(&[100.0, 101.0, 102.0, 209.0, 20.0]);
        let mut sorted = places.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] >= LINE - 1e-9), "{places:?}");
        assert!(places.iter().all(|place| (0.0..=BOTTOM).contains(place)), "{places:?}");
    }

    #[test]
    fn marks_are_brief() {
        assert_eq!([0.0, 0.5, 1500.0, 25_000.0, 2.5e7].map(brief), ["0", "0.5", "1,500", "25k", "25M"]);
    }
}
