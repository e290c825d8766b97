//! How numbers are shown: three significant digits, a unit that fits, and a dash for what is no number.

use std::fmt;

/// What stands where nothing was measured.
pub const NOTHING: &str = "-";

/// A number as it is shown, and its unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// The number, rounded.
    pub number: String,
    /// Its unit; empty if it has none.
    pub unit: &'static str,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit {
            "" => f.write_str(&self.number),
            unit => write!(f, "{} {unit}", self.number),
        }
    }
}

/// A time, in the unit that keeps it between 1 and 1,000.
#[must_use]
pub fn time(nanoseconds: f64) -> Figure {
    if !nanoseconds.is_finite() {
        return Figure { number: NOTHING.into(), unit: "" };
    }
    // By the rounded figure, so that 999.9 us is 1.00 ms.
    let (exponent, _) = rounded(nanoseconds);
    let (unit, scale) = match exponent {
        ..3 => ("ns", 1.0),
        3..6 => ("us", 1e3),
        6..9 => ("ms", 1e6),
        _ => ("s", 1e9),
    };
    Figure { number: significant(nanoseconds / scale), unit }
}

/// Three significant digits; all digits of what is larger, with commas; powers of ten of what is too large or small for that.
#[must_use]
pub fn significant(value: f64) -> String {
    if !value.is_finite() {
        return NOTHING.into();
    }
    if value == 0.0 {
        return "0".into();
    }
    match rounded(value) {
        (15.., scientific) | (..-4, scientific) => scientific,
        (2.., _) => grouped(&format!("{value:.0}")),
        (exponent, _) => format!("{value:.0$}", usize::try_from(2 - exponent).unwrap_or(0)),
    }
}

/// A ratio: two decimals, but three significant digits of what is small or large.
#[must_use]
pub fn ratio(value: f64) -> String {
    match rounded(value).0 {
        -1 if value.is_finite() => format!("{value:.2}"),
        _ => significant(value),
    }
}

/// A count, or a mark of an axis: no decimals that say nothing.
#[must_use]
pub fn count(value: f64) -> String {
    if value.is_finite() && value.fract() == 0.0 && value.abs() < 1e15 {
        return grouped(&format!("{value:.0}"));
    }
    let shown = significant(value);
    if shown.contains('.') && !shown.contains('e') {
        shown.trim_end_matches('0').trim_end_matches('.').into()
    } else {
        shown
    }
}

/// A count of whole things.
#[must_use]
pub fn whole(value: u64) -> String {
    grouped(&value.to_string())
}

/// A size as Go's benchmarks name it: `19B`, `64KiB`, `1MiB`.
#[must_use]
pub fn size(bytes: usize) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let (mut number, mut unit) = (bytes, 0);
    while number > 0 && number % 1024 == 0 && unit + 1 < UNITS.len() {
        number /= 1024;
        unit += 1;
    }
    format!("{number}{}", UNITS[unit])
}

/// The power of ten of a finite value once it is rounded to three digits, and it written that way; of others 0 and nothing.
fn rounded(value: f64) -> (i32, String) {
    if !value.is_finite() {
        return (0, NOTHING.into());
    }
    let scientific = format!("{value:.2e}");
    let exponent = scientific.rsplit('e').next().and_then(|exponent| exponent.parse().ok()).unwrap_or(0);
    (exponent, scientific)
}

/// Commas between groups of three digits.
fn grouped(integer: &str) -> String {
    let (sign, digits) = integer.strip_prefix('-').map_or(("", integer), |digits| ("-", digits));
    let mut out = String::from(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_unit_that_fits() {
        for (nanoseconds, want) in [
            (0.0, "0 ns"),
            (3.14259, "3.14 ns"),
            (999.4, "999 ns"),
            (999.6, "1.00 us"),
            (41_349.0, "41.3 us"),
            (999_999.0, "1.00 ms"),
            (20_500_000.0, "20.5 ms"),
            (3.2e12, "3,200 s"),
            (f64::NAN, "-"),
            (f64::INFINITY, "-"),
        ] {
            assert_eq!(time(nanoseconds).to_string(), want, "{nanoseconds}");
        }
    }

    #[test]
    fn large_small_and_odd_numbers() {
        for (value, want) in [
            (9.996, "10.0"),
            (99.96, "100"),
            (1234.5, "1,234"),
            (-1_234_567.0, "-1,234,567"),
            (0.012_34, "0.0123"),
            (0.000_012_3, "1.23e-5"),
            (2.0e18, "2.00e18"),
            (f64::NEG_INFINITY, "-"),
        ] {
            assert_eq!(significant(value), want, "{value}");
        }
        assert_eq!([7.0, 7.25, 0.01, f64::NAN].map(count), ["7", "7.25", "0.01", "-"]);
        assert_eq!((ratio(0.417), ratio(0.04178), ratio(3.123), ratio(12.34), ratio(f64::NAN)), {
            ("0.42".into(), "0.0418".into(), "3.12".into(), "12.3".into(), "-".into())
        });
        assert_eq!(whole(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn sizes_are_exact() {
        let sizes = [(0, "0B"), (19, "19B"), (1024, "1KiB"), (65_536, "64KiB"), (1 << 20, "1MiB"), (1025, "1025B")];
        for (bytes, want) in sizes {
            assert_eq!(size(bytes), want);
        }
    }
}
