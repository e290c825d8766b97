//! The `Date` of a response, made once a second.

use std::cell::Cell;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use roundtrip_types::HttpDate;

/// As long as every date is.
const LEN: usize = "Sun, 06 Nov 1994 08:49:37 GMT".len();

thread_local! {
    /// The second that was written last, and its text.
    static LAST: Cell<(u64, [u8; LEN])> = const { Cell::new((u64::MAX, [b' '; LEN])) };
}

/// Writes the field.
#[inline]
pub(super) fn write(out: &mut Vec<u8>) {
    let second = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut last = LAST.get();
    if last.0 != second {
        last = text(second);
        LAST.set(last);
    }
    out.extend_from_slice(b"date: ");
    out.extend_from_slice(&last.1);
    out.extend_from_slice(b"\r\n");
}

#[cold]
fn text(second: u64) -> (u64, [u8; LEN]) {
    let mut text = [b' '; LEN];
    let date = HttpDate::from_unix_seconds(i64::try_from(second).unwrap_or(0));
    // Room for every year that has four digits.
    let _ = write!(&mut text[..], "{date}");
    (second, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_that_of_its_second() {
        assert_eq!(&text(784_111_777).1, b"Sun, 06 Nov 1994 08:49:37 GMT");
        let mut out = Vec::new();
        write(&mut out);
        let text = String::from_utf8(out).unwrap();
        let date: HttpDate = text.strip_prefix("date: ").unwrap().trim_end().parse().unwrap();
        let now = HttpDate::from(SystemTime::now()).unix_seconds();
        assert!((now - date.unix_seconds()).abs() <= 1, "{text}");
    }
}
