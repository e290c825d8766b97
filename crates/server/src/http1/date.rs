//! The `Date` of a response, made once a second.

use std::cell::Cell;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use roundtrip_types::HttpDate;
use tokio::time::Instant;

/// As long as every date is.
const LEN: usize = "Sun, 06 Nov 1994 08:49:37 GMT".len();

thread_local! {
    static LAST: Cell<Option<Written>> = const { Cell::new(None) };
}

/// A text, and from when and until when it holds.
#[derive(Clone, Copy)]
struct Written {
    text: [u8; LEN],
    from: Instant,
    until: Instant,
}

/// Writes the field, as it is at `now`.
///
/// The system's clock is asked once a second; in between the monotonic one does, which its caller has read anyway.
#[inline]
pub(super) fn write(out: &mut Vec<u8>, now: Instant) {
    // A clock that tests wind may be before it, too.
    let written = LAST.get().filter(|last| last.from <= now && now < last.until).unwrap_or_else(|| {
        let (text, left) = at(SystemTime::now());
        let written = Written { text, from: now, until: now.checked_add(left).unwrap_or(now) };
        LAST.set(Some(written));
        written
    });
    out.extend_from_slice(b"date: ");
    out.extend_from_slice(&written.text);
    out.extend_from_slice(b"\r\n");
}

/// The text of a time, and how long it holds.
#[cold]
fn at(time: SystemTime) -> ([u8; LEN], Duration) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut text = [b' '; LEN];
    let date = HttpDate::from_unix_seconds(i64::try_from(since.as_secs()).unwrap_or(0));
    // There is room for every year of four digits.
    let _ = write!(&mut text[..], "{date}");
    (text, Duration::from_nanos(1_000_000_000 - u64::from(since.subsec_nanos())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_holds_until_the_second_is_over() {
        let (text, left) = at(UNIX_EPOCH + Duration::from_millis(784_111_777_250));
        assert_eq!((&text, left), (b"Sun, 06 Nov 1994 08:49:37 GMT", Duration::from_millis(750)));
    }

    #[test]
    fn it_is_the_systems_time_whatever_the_other_clock_does() {
        let start = Instant::now();
        for now in [start, start + Duration::from_secs(3600), start, start + Duration::from_millis(1500)] {
            let mut out = Vec::new();
            write(&mut out, now);
            let text = String::from_utf8(out).unwrap();
            let date: HttpDate = text.strip_prefix("date: ").unwrap().trim_end().parse().unwrap();
            let real = HttpDate::from(SystemTime::now()).unix_seconds();
            assert!((0..=1).contains(&(real - date.unix_seconds())), "{text}");
        }
    }
}
