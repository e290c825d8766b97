//! From figures to pixels, and the marks of an axis.

use plotters::coord::combinators::{IntoLogRange as _, LogCoord};
use plotters::coord::ranged1d::Ranged;
use plotters::coord::types::RangedCoordf64;

/// An axis: figures from `low` to `high` on pixels from `from` to `to`.
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    kind: Kind,
}

enum Kind {
    Linear(RangedCoordf64),
    Log(LogCoord<f64>),
}

/// plotters maps to whole numbers: so many on the whole axis.
const STEPS: i32 = 100_000;

impl Scale {
    /// Both ends are made to differ, and finite.
    pub(super) fn linear((low, high): (f64, f64), from: f64, to: f64) -> Self {
        let (low, high) = ends(low, high);
        Scale { low, high, from, to, kind: Kind::Linear((low..high).into()) }
    }

    /// Logarithmic, if both ends are above zero; else linear.
    pub(super) fn log((low, high): (f64, f64), from: f64, to: f64) -> Self {
        let (low, high) = ends(low, high);
        if low <= 0.0 {
            return Self::linear((low, high), from, to);
        }
        Scale { low, high, from, to, kind: Kind::Log((low..high).log_scale().into()) }
    }

    /// Where a figure is; figures beyond an end are at that end.
    pub(super) fn at(&self, figure: f64) -> f64 {
        let figure = if figure.is_finite() { figure.clamp(self.low, self.high) } else { self.low };
        let step = match &self.kind {
            Kind::Linear(axis) => axis.map(&figure, (0, STEPS)),
            Kind::Log(axis) => axis.map(&figure, (0, STEPS)),
        };
        self.from + (self.to - self.from) * f64::from(step) / f64::from(STEPS)
    }

    /// At most `count` round figures.
    pub(super) fn marks(&self, count: usize) -> Vec<f64> {
        match &self.kind {
            Kind::Linear(axis) => axis.key_points(count),
            Kind::Log(_) => {
                for steps in [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]] {
                    let marks = decades(self.low, self.high, steps);
                    if marks.len() <= count {
                        return marks;
                    }
                }
                let marks = decades(self.low, self.high, &[1.0]);
                let every = marks.len().div_ceil(count.max(1));
                marks.into_iter().step_by(every).collect()
            }
        }
    }
}

/// A finite range that is not empty.
fn ends(low: f64, high: f64) -> (f64, f64) {
    let low = if low.is_finite() { low } else { 0.0 };
    let high = if high.is_finite() { high } else { low };
    // Differences far below the figures themselves are nothing that could be drawn.
    if high - low > low.abs().max(high.abs()) * 1e-9 { (low, high) } else { (low, low + low.abs().max(1.0)) }
}

/// Multiples of powers of ten from `low` to `high`.
fn decades(low: f64, high: f64, steps: &[f64]) -> Vec<f64> {
    #[expect(clippy::cast_possible_truncation, reason = "the exponents of floats are small")]
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let all = (first..=last).flat_map(|exponent| steps.iter().map(move |step| step * 10_f64.powi(exponent)));
    all.filter(|mark| (low..=high).contains(mark)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_become_pixels() {
        let scale = Scale::linear((0.0, 10.0), 100.0, 200.0);
        assert!((scale.at(5.0) - 150.0).abs() < 0.01);
        assert!((scale.at(1e300) - 200.0).abs() < 0.01 && (scale.at(f64::NAN) - 100.0).abs() < 0.01);
        let scale = Scale::log((0.1, 10.0), 0.0, 100.0);
        assert!((scale.at(1.0) - 50.0).abs() < 0.01);
        assert_eq!(scale.marks(7), [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]);
    }

    #[test]
    fn odd_ends_have_marks_all_the_same() {
        for (low, high) in [
            (0.0, 0.0),
            (5.0, 5.0),
            (f64::NAN, f64::INFINITY),
            (-3.0, 2.0),
            (1e-300, 1e300),
            (1e300, 1e-300),
            (0.0, 1e-12),
            (1e15, 1e15 + 1.0),
        ] {
            for scale in [Scale::linear((low, high), 0.0, 100.0), Scale::log((low, high), 0.0, 100.0)] {
                let marks = scale.marks(6);
                assert!(marks.len() <= 7, "{low} {high}: {marks:?}");
                assert!((0.0..=100.0).contains(&scale.at(low)), "{low} {high}");
            }
        }
    }
}
