//! Dates as header fields carry them.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time as `Date`, `Last-Modified`, `Expires` and `Retry-After` write it, to the second: Go's `http.TimeFormat`
/// and `http.ParseTime`.
///
/// **Shape**: reads the three forms of RFC 9110, section 5.6.7 (IMF-fixdate, RFC 850, asctime) as leniently as Go does: names in
/// any case, more than one space, a fraction of a second, an hour of one digit. A time zone's abbreviation is read and taken for
/// UTC, since what it abbreviates is not known. `Display` writes the IMF-fixdate. Years 0 to 9999 are read; two digits mean 1969
/// to 2068.
///
/// ```
/// use roundtrip_types::HttpDate;
///
/// let date: HttpDate = "Sunday, 06-Nov-94 08:49:37 GMT".parse()?;
/// assert_eq!(date.unix_seconds(), 784_111_777);
/// assert_eq!(date.to_string(), "Sun, 06 Nov 1994 08:49:37 GMT");
/// # Ok::<(), roundtrip_types::HttpDateError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpDate {
    seconds: i64,
    nanos: u32,
}

/// Text that is not a date of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpDateError(());

impl fmt::Display for HttpDateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a date as HTTP writes them, for example \"Sun, 06 Nov 1994 08:49:37 GMT\"")
    }
}

impl std::error::Error for HttpDateError {}

impl HttpDate {
    /// The time that many seconds after 1970, UTC; before it if negative.
    #[must_use]
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        HttpDate { seconds, nanos: 0 }
    }

    /// Seconds since 1970, UTC, without the fraction.
    #[must_use]
    pub const fn unix_seconds(self) -> i64 {
        self.seconds
    }

    /// The fraction of a second, in nanoseconds, if the text had one. It is not written.
    #[must_use]
    pub const fn subsec_nanos(self) -> u32 {
        self.nanos
    }

    /// The year, in the proleptic Gregorian calendar.
    #[must_use]
    pub fn year(self) -> i64 {
        civil_from_days(self.seconds.div_euclid(DAY)).0
    }

    /// Reads a `Set-Cookie` field's `Expires`: the two forms that Go takes there.
    pub(crate) fn parse_cookie_expires(text: &str) -> Option<Self> {
        parse(text, COOKIE_SPACES).or_else(|| parse(text, COOKIE_DASHES))
    }
}

impl FromStr for HttpDate {
    type Err = HttpDateError;

    fn from_str(text: &str) -> Result<Self, HttpDateError> {
        [IMF_FIXDATE, RFC_850, ASCTIME].into_iter().find_map(|form| parse(text, form)).ok_or(HttpDateError(()))
    }
}

impl fmt::Display for HttpDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.seconds.div_euclid(DAY), self.seconds.rem_euclid(DAY));
        let (year, month, day) = civil_from_days(days);
        // 1 January 1970 was a Thursday.
        let weekday = usize::try_from((days + 4).rem_euclid(7)).unwrap_or(0);
        let month_name = &MONTHS[month as usize - 1][..3];
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{}, {day:02} {month_name} {year:04} {hour:02}:{minute:02}:{second:02} GMT", &WEEKDAYS[weekday][..3])
    }
}

impl From<SystemTime> for HttpDate {
    fn from(time: SystemTime) -> Self {
        let (seconds, nanos) = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => (i64::try_from(after.as_secs()).unwrap_or(i64::MAX), after.subsec_nanos()),
            Err(before) => {
                let before = before.duration();
                let seconds = -i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
                match before.subsec_nanos() {
                    0 => (seconds, 0),
                    nanos => (seconds - 1, 1_000_000_000 - nanos),
                }
            }
        };
        HttpDate { seconds, nanos }
    }
}

impl From<HttpDate> for SystemTime {
    fn from(date: HttpDate) -> Self {
        let whole = Duration::from_secs(date.seconds.unsigned_abs());
        let base = if date.seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
        base.unwrap_or(UNIX_EPOCH) + Duration::from_nanos(date.nanos.into())
    }
}

/// One piece of a form.
#[derive(Clone, Copy)]
enum Piece {
    /// `Sun`, in any case.
    Weekday,
    /// `Sunday`, in any case.
    LongWeekday,
    /// `Nov`, in any case.
    Month,
    /// Two digits.
    Day,
    /// A space or none, then one digit or two.
    SpacedDay,
    /// Four digits.
    Year,
    /// Two digits, 69 to 99 for the 1900s.
    ShortYear,
    /// `15:04:05`, the hour with one digit or two, and perhaps a fraction.
    Time,
    /// An abbreviation or a short offset.
    Zone,
    /// These characters; a space stands for one or more.
    Text(&'static str),
}

use Piece::{Day, LongWeekday, Month, ShortYear, SpacedDay, Text, Time, Weekday, Year, Zone};

const IMF_FIXDATE: &[Piece] =
    &[Weekday, Text(", "), Day, Text(" "), Month, Text(" "), Year, Text(" "), Time, Text(" GMT")];
const RFC_850: &[Piece] =
    &[LongWeekday, Text(", "), Day, Text("-"), Month, Text("-"), ShortYear, Text(" "), Time, Text(" "), Zone];
const ASCTIME: &[Piece] = &[Weekday, Text(" "), Month, Text(" "), SpacedDay, Text(" "), Time, Text(" "), Year];
const COOKIE_SPACES: &[Piece] =
    &[Weekday, Text(", "), Day, Text(" "), Month, Text(" "), Year, Text(" "), Time, Text(" "), Zone];
const COOKIE_DASHES: &[Piece] =
    &[Weekday, Text(", "), Day, Text("-"), Month, Text("-"), Year, Text(" "), Time, Text(" "), Zone];

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAY: i64 = 86_400;

fn parse(text: &str, form: &[Piece]) -> Option<HttpDate> {
    let mut rest = text.as_bytes();
    let (mut year, mut month, mut day, mut second, mut nanos) = (0, 1, 1, 0, 0);
    for piece in form {
        match piece {
            Weekday => drop(name(&mut rest, &WEEKDAYS, Some(3))?),
            LongWeekday => drop(name(&mut rest, &WEEKDAYS, None)?),
            Month => month = u32::try_from(name(&mut rest, &MONTHS, Some(3))?).ok()? + 1,
            Day => day = two_digits(&mut rest)?,
            SpacedDay => {
                rest = rest.strip_prefix(b" ").unwrap_or(rest);
                day = one_or_two_digits(&mut rest)?;
            }
            Year => year = two_digits(&mut rest)? * 100 + two_digits(&mut rest)?,
            ShortYear => {
                let short = two_digits(&mut rest)?;
                year = if short >= 69 { 1900 + short } else { 2000 + short };
            }
            Time => (second, nanos) = time(&mut rest)?,
            Zone => rest = &rest[zone(rest)?..],
            Text(literal) => skip(&mut rest, literal.as_bytes())?,
        }
    }
    if !rest.is_empty() || day < 1 || day > days_in(year, month) {
        return None;
    }
    let seconds = days_from_civil(year.into(), month, day) * DAY + i64::from(second);
    Some(HttpDate { seconds, nanos })
}

/// The index of the name that the text starts with, in any case.
fn name(rest: &mut &[u8], names: &[&str], length: Option<usize>) -> Option<usize> {
    let found = names.iter().position(|name| {
        let name = &name.as_bytes()[..length.unwrap_or(name.len())];
        rest.len() >= name.len() && rest[..name.len()].eq_ignore_ascii_case(name)
    })?;
    *rest = &rest[length.unwrap_or(names[found].len())..];
    Some(found)
}

fn digit(rest: &mut &[u8]) -> Option<u32> {
    let (first, after) = rest.split_first()?;
    let digit = char::from(*first).to_digit(10)?;
    *rest = after;
    Some(digit)
}

fn two_digits(rest: &mut &[u8]) -> Option<u32> {
    Some(digit(rest)? * 10 + digit(rest)?)
}

fn one_or_two_digits(rest: &mut &[u8]) -> Option<u32> {
    let first = digit(rest)?;
    Some(digit(rest).map_or(first, |second| first * 10 + second))
}

fn time(rest: &mut &[u8]) -> Option<(u32, u32)> {
    let hour = one_or_two_digits(rest)?;
    skip(rest, b":")?;
    let minute = two_digits(rest)?;
    skip(rest, b":")?;
    let second = two_digits(rest)?;
    let mut nanos = 0;
    if let [b'.' | b',', b'0'..=b'9', ..] = rest {
        *rest = &rest[1..];
        let mut unit = 100_000_000;
        while let Some(digit) = digit(rest) {
            // Digits past the nanosecond are read and dropped.
            nanos += digit * unit;
            unit /= 10;
        }
    }
    (hour < 24 && minute < 60 && second < 60).then_some((hour * 3600 + minute * 60 + second, nanos))
}

/// Skips these characters; a space skips any number of them, and none at the end of the text.
fn skip(rest: &mut &[u8], literal: &[u8]) -> Option<()> {
    for byte in literal {
        if *byte == b' ' {
            if rest.first().is_some_and(|first| *first != b' ') {
                return None;
            }
            while let [b' ', after @ ..] = rest {
                *rest = after;
            }
        } else {
            *rest = rest.strip_prefix(&[*byte])?;
        }
    }
    Some(())
}

/// How long the time zone is that the text starts with.
fn zone(text: &[u8]) -> Option<usize> {
    if text.len() < 3 {
        return None;
    }
    if text.starts_with(b"ChST") || text.starts_with(b"MeST") {
        return Some(4);
    }
    if text.starts_with(b"UTC") {
        return Some(3);
    }
    if text.starts_with(b"GMT") {
        return Some(3 + signed_offset(&text[3..]));
    }
    if matches!(text[0], b'+' | b'-') {
        return Some(signed_offset(text)).filter(|length| *length > 0);
    }
    // Abbreviations have three capitals, or four or five with a T (time) at the end; Indonesia's WITA is the exception.
    match text.iter().take(6).take_while(|byte| byte.is_ascii_uppercase()).count() {
        5 if text[4] == b'T' => Some(5),
        4 if text[3] == b'T' || text.starts_with(b"WITA") => Some(4),
        3 => Some(3),
        _ => None,
    }
}

/// The length of a sign and a number of hours up to 23; 0 if there is none.
fn signed_offset(text: &[u8]) -> usize {
    let [b'+' | b'-', digits @ ..] = text else { return 0 };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let hours =
        digits[..length].iter().fold(0u32, |sum, digit| sum.saturating_mul(10).saturating_add((digit - b'0').into()));
    if length == 0 || hours > 23 { 0 } else { length + 1 }
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1 January 1970, counting years from March so that the leap day is the last of its year.
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month = i64::from((month + 9) % 12);
    let day_of_year = (153 * month + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    // 1 <= month <= 12 and 1 <= day <= 31.
    (year, u32::try_from(month).unwrap_or(1), u32::try_from(day).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_twelve_centuries_comes_back() {
        for days in -250_000..190_000_i64 {
            let date = HttpDate::from_unix_seconds(days * DAY + 3_723);
            assert_eq!(date.to_string().parse(), Ok(date), "{days}");
        }
    }

    #[test]
    fn system_time_both_ways_around_the_epoch() {
        for millis in [0, 1, 999, 1_000, 1_500] {
            let offset = Duration::from_millis(millis);
            for time in [UNIX_EPOCH + offset, UNIX_EPOCH - offset] {
                assert_eq!(SystemTime::from(HttpDate::from(time)), time);
            }
        }
    }
}
