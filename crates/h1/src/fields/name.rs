//! The names that are recognised without allocating.

use http::{HeaderName, header};

/// Keeps the two tables in step: names as values, and the spelling that most peers use, which is compared first.
macro_rules! known {
    ($($(#[$note:meta])* $name:expr, $spelling:literal;)*) => {
        static NAMES: [HeaderName; COUNT] = [$($name),*];
        const SPELLINGS: [&str; COUNT] = [$($spelling),*];
        const COUNT: usize = [$($spelling),*].len();
    };
}

known! {
    header::ACCEPT, "Accept";
    header::ACCEPT_CHARSET, "Accept-Charset";
    header::ACCEPT_ENCODING, "Accept-Encoding";
    header::ACCEPT_LANGUAGE, "Accept-Language";
    header::ACCEPT_RANGES, "Accept-Ranges";
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "Access-Control-Allow-Credentials";
    header::ACCESS_CONTROL_ALLOW_HEADERS, "Access-Control-Allow-Headers";
    header::ACCESS_CONTROL_ALLOW_METHODS, "Access-Control-Allow-Methods";
    header::ACCESS_CONTROL_ALLOW_ORIGIN, "Access-Control-Allow-Origin";
    header::ACCESS_CONTROL_EXPOSE_HEADERS, "Access-Control-Expose-Headers";
    header::ACCESS_CONTROL_MAX_AGE, "Access-Control-Max-Age";
    header::ACCESS_CONTROL_REQUEST_HEADERS, "Access-Control-Request-Headers";
    header::ACCESS_CONTROL_REQUEST_METHOD, "Access-Control-Request-Method";
    header::AGE, "Age";
    header::ALLOW, "Allow";
    header::ALT_SVC, "Alt-Svc";
    header::AUTHORIZATION, "Authorization";
    header::CACHE_CONTROL, "Cache-Control";
    header::CACHE_STATUS, "Cache-Status";
    header::CDN_CACHE_CONTROL, "CDN-Cache-Control";
    header::CONNECTION, "Connection";
    header::CONTENT_DISPOSITION, "Content-Disposition";
    header::CONTENT_ENCODING, "Content-Encoding";
    header::CONTENT_LANGUAGE, "Content-Language";
    header::CONTENT_LENGTH, "Content-Length";
    header::CONTENT_LOCATION, "Content-Location";
    header::CONTENT_RANGE, "Content-Range";
    header::CONTENT_SECURITY_POLICY, "Content-Security-Policy";
    header::CONTENT_SECURITY_POLICY_REPORT_ONLY, "Content-Security-Policy-Report-Only";
    header::CONTENT_TYPE, "Content-Type";
    header::COOKIE, "Cookie";
    header::DNT, "DNT";
    header::DATE, "Date";
    header::ETAG, "ETag";
    header::EXPECT, "Expect";
    header::EXPIRES, "Expires";
    header::FORWARDED, "Forwarded";
    header::FROM, "From";
    header::HOST, "Host";
    header::IF_MATCH, "If-Match";
    header::IF_MODIFIED_SINCE, "If-Modified-Since";
    header::IF_NONE_MATCH, "If-None-Match";
    header::IF_RANGE, "If-Range";
    header::IF_UNMODIFIED_SINCE, "If-Unmodified-Since";
    header::LAST_MODIFIED, "Last-Modified";
    header::LINK, "Link";
    header::LOCATION, "Location";
    header::MAX_FORWARDS, "Max-Forwards";
    header::ORIGIN, "Origin";
    header::PRAGMA, "Pragma";
    header::PROXY_AUTHENTICATE, "Proxy-Authenticate";
    header::PROXY_AUTHORIZATION, "Proxy-Authorization";
    header::PUBLIC_KEY_PINS, "Public-Key-Pins";
    header::PUBLIC_KEY_PINS_REPORT_ONLY, "Public-Key-Pins-Report-Only";
    header::RANGE, "Range";
    header::REFERER, "Referer";
    header::REFERRER_POLICY, "Referrer-Policy";
    header::REFRESH, "Refresh";
    header::RETRY_AFTER, "Retry-After";
    header::SEC_WEBSOCKET_ACCEPT, "Sec-WebSocket-Accept";
    header::SEC_WEBSOCKET_EXTENSIONS, "Sec-WebSocket-Extensions";
    header::SEC_WEBSOCKET_KEY, "Sec-WebSocket-Key";
    header::SEC_WEBSOCKET_PROTOCOL, "Sec-WebSocket-Protocol";
    header::SEC_WEBSOCKET_VERSION, "Sec-WebSocket-Version";
    header::SERVER, "Server";
    header::SET_COOKIE, "Set-Cookie";
    header::STRICT_TRANSPORT_SECURITY, "Strict-Transport-Security";
    header::TE, "TE";
    header::TRAILER, "Trailer";
    header::TRANSFER_ENCODING, "Transfer-Encoding";
    header::USER_AGENT, "User-Agent";
    header::UPGRADE, "Upgrade";
    header::UPGRADE_INSECURE_REQUESTS, "Upgrade-Insecure-Requests";
    header::VARY, "Vary";
    header::VIA, "Via";
    header::WARNING, "Warning";
    header::WWW_AUTHENTICATE, "WWW-Authenticate";
    header::X_CONTENT_TYPE_OPTIONS, "X-Content-Type-Options";
    header::X_DNS_PREFETCH_CONTROL, "X-DNS-Prefetch-Control";
    header::X_FRAME_OPTIONS, "X-Frame-Options";
    header::X_XSS_PROTECTION, "X-XSS-Protection";
    // These have no constants in the http crate, which would allocate for them; static text does not.
    HeaderName::from_static("accept-ch"), "Accept-Ch";
    HeaderName::from_static("alt-used"), "Alt-Used";
    HeaderName::from_static("cf-cache-status"), "CF-Cache-Status";
    HeaderName::from_static("cf-ray"), "CF-RAY";
    HeaderName::from_static("content-digest"), "Content-Digest";
    HeaderName::from_static("cross-origin-embedder-policy"), "Cross-Origin-Embedder-Policy";
    HeaderName::from_static("cross-origin-opener-policy"), "Cross-Origin-Opener-Policy";
    HeaderName::from_static("cross-origin-resource-policy"), "Cross-Origin-Resource-Policy";
    HeaderName::from_static("early-data"), "Early-Data";
    HeaderName::from_static("idempotency-key"), "Idempotency-Key";
    HeaderName::from_static("keep-alive"), "Keep-Alive";
    HeaderName::from_static("nel"), "NEL";
    HeaderName::from_static("permissions-policy"), "Permissions-Policy";
    HeaderName::from_static("priority"), "Priority";
    HeaderName::from_static("proxy-connection"), "Proxy-Connection";
    HeaderName::from_static("report-to"), "Report-To";
    HeaderName::from_static("reporting-endpoints"), "Reporting-Endpoints";
    HeaderName::from_static("sec-ch-ua"), "sec-ch-ua";
    HeaderName::from_static("sec-ch-ua-mobile"), "sec-ch-ua-mobile";
    HeaderName::from_static("sec-ch-ua-platform"), "sec-ch-ua-platform";
    HeaderName::from_static("sec-fetch-dest"), "Sec-Fetch-Dest";
    HeaderName::from_static("sec-fetch-mode"), "Sec-Fetch-Mode";
    HeaderName::from_static("sec-fetch-site"), "Sec-Fetch-Site";
    HeaderName::from_static("sec-fetch-user"), "Sec-Fetch-User";
    HeaderName::from_static("sec-gpc"), "Sec-Gpc";
    HeaderName::from_static("server-timing"), "Server-Timing";
    HeaderName::from_static("timing-allow-origin"), "Timing-Allow-Origin";
    HeaderName::from_static("traceparent"), "Traceparent";
    HeaderName::from_static("tracestate"), "Tracestate";
    HeaderName::from_static("x-cache"), "X-Cache";
    HeaderName::from_static("x-cache-hits"), "X-Cache-Hits";
    HeaderName::from_static("x-correlation-id"), "X-Correlation-Id";
    HeaderName::from_static("x-forwarded-for"), "X-Forwarded-For";
    HeaderName::from_static("x-forwarded-host"), "X-Forwarded-Host";
    HeaderName::from_static("x-forwarded-proto"), "X-Forwarded-Proto";
    HeaderName::from_static("x-powered-by"), "X-Powered-By";
    HeaderName::from_static("x-ratelimit-limit"), "X-Ratelimit-Limit";
    HeaderName::from_static("x-ratelimit-remaining"), "X-Ratelimit-Remaining";
    HeaderName::from_static("x-ratelimit-reset"), "X-Ratelimit-Reset";
    HeaderName::from_static("x-real-ip"), "X-Real-IP";
    HeaderName::from_static("x-request-id"), "X-Request-ID";
    HeaderName::from_static("x-requested-with"), "X-Requested-With";
    HeaderName::from_static("x-runtime"), "X-Runtime";
    HeaderName::from_static("x-served-by"), "X-Served-By";
    HeaderName::from_static("x-timer"), "X-Timer";
}

// An index, and one more than an index, must fit a byte.
const _: () = assert!(COUNT < 255);

/// Slots of the hash table: an index into the names plus one, or 0 when empty. At most a quarter is used.
static SLOTS: [u8; SLOT_COUNT] = {
    let mut slots = [0; SLOT_COUNT];
    let mut i = 0;
    while i < COUNT {
        let mut slot = hash(SPELLINGS[i].as_bytes());
        while slots[slot] != 0 {
            slot = (slot + 1) % SLOT_COUNT;
        }
        #[allow(clippy::cast_possible_truncation, reason = "i < COUNT < 255")]
        let entry = i as u8 + 1;
        slots[slot] = entry;
        i += 1;
    }
    slots
};

const SLOT_COUNT: usize = 512;

/// A weighted sum of the length and three letters of a name that is not empty. The weights were picked by trial, so that few
/// of the names above share a slot; a test keeps the number of shared slots in view.
const fn hash(name: &[u8]) -> usize {
    let (first, middle, last) = (name[0] | 0x20, name[name.len() / 2] | 0x20, name[name.len() - 1] | 0x20);
    (name.len() * 5 + first as usize * 207 + last as usize * 101 + middle as usize * 107) % SLOT_COUNT
}

/// One more than the index of a known name, in whatever case it is written, or 0.
#[inline(always)]
pub(crate) fn index(name: &[u8]) -> u8 {
    if name.is_empty() {
        return 0;
    }
    let mut slot = hash(name);
    while SLOTS[slot] != 0 {
        let spelling = SPELLINGS[usize::from(SLOTS[slot]) - 1].as_bytes();
        if is_same_name(spelling, name) {
            return SLOTS[slot];
        }
        slot = (slot + 1) % SLOT_COUNT;
    }
    0
}

/// The length of the known name with this index, if `text` begins with it, in whatever case, and with a colon behind it.
#[inline(always)]
pub(crate) fn len_before_colon(index: u8, text: &[u8]) -> Option<usize> {
    let spelling = SPELLINGS.get(usize::from(index).checked_sub(1)?)?.as_bytes();
    let is_name = *text.get(spelling.len())? == b':' && is_same_name(spelling, &text[..spelling.len()]);
    is_name.then_some(spelling.len())
}

/// Whether a name is this spelling but for the case of letters.
///
/// Eight bytes at a time, where the last eight may overlap those before: byte by byte it is 190 instructions a name instead of
/// 30 (callgrind, 2026-11).
#[inline(always)]
fn is_same_name(spelling: &[u8], name: &[u8]) -> bool {
    if spelling.len() != name.len() {
        return false;
    }
    if let (Some(end), Some(name_end)) = (spelling.last_chunk(), name.last_chunk())
        && let (Some(start), Some(name_start)) = (spelling.first_chunk(), name.first_chunk())
    {
        let mut words = spelling.as_chunks().0.iter().zip(name.as_chunks().0).skip(1);
        is_same_word(end, name_end)
            && is_same_word(start, name_start)
            && (spelling.len() <= 16 || words.all(|(word, name_word)| is_same_word(word, name_word)))
    } else if let (Some(end), Some(name_end)) = (spelling.last_chunk::<4>(), name.last_chunk::<4>())
        && let (Some(start), Some(name_start)) = (spelling.first_chunk::<4>(), name.first_chunk::<4>())
    {
        let join = |a: &[u8; 4], b: &[u8; 4]| [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]];
        is_same_word(&join(start, end), &join(name_start, name_end))
    } else {
        spelling.eq_ignore_ascii_case(name)
    }
}

/// A byte of a spelling from 0x40 on is a letter, and may come with its bit 0x20 turned over; all others have to be as they are.
fn is_same_word(spelling: &[u8; 8], name: &[u8; 8]) -> bool {
    const LETTER: u64 = 0x4040_4040_4040_4040;
    let (spelling, name) = (u64::from_le_bytes(*spelling), u64::from_le_bytes(*name));
    let case = (spelling & LETTER) >> 1;
    (spelling ^ name) & !case == 0
}

// What `is_same_word` needs to be exact.
const _: () = {
    let mut i = 0;
    while i < COUNT {
        let mut rest = SPELLINGS[i].as_bytes();
        while let [b, behind @ ..] = rest {
            assert!(b.is_ascii_alphanumeric() || *b == b'-');
            rest = behind;
        }
        i += 1;
    }
};

/// [`index`] of a name known at compile time, in the spelling above.
pub(crate) const fn known_index(spelling: &str) -> u8 {
    let mut i = 0;
    // The build fails here when the name is not in the table.
    while !same_bytes(SPELLINGS[i].as_bytes(), spelling.as_bytes()) {
        i += 1;
    }
    #[allow(clippy::cast_possible_truncation, reason = "i < COUNT < 255")]
    let index = i as u8 + 1;
    index
}

const fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

/// The name that [`index`] found.
#[inline]
pub(crate) fn by_index(index: u8) -> Option<&'static HeaderName> {
    NAMES.get(usize::from(index).checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_in_any_case() {
        for (name, spelling) in NAMES.iter().zip(SPELLINGS) {
            for text in [spelling.to_owned(), spelling.to_lowercase(), spelling.to_uppercase()] {
                assert_eq!(by_index(index(text.as_bytes())), Some(name), "{text}");
                assert_eq!(name, &HeaderName::from_bytes(text.as_bytes()).unwrap());
            }
        }
    }

    #[test]
    fn other_names_are_not_found() {
        for text in ["", "x", "x-unknown", "content-lengthy", "contentXlength", "hosT ", "\u{212a}eep-alive"] {
            assert_eq!(by_index(index(text.as_bytes())), None, "{text}");
        }
    }

    #[test]
    fn a_name_with_any_other_byte_in_it_is_another_name() {
        for spelling in SPELLINGS {
            for at in 0..spelling.len() {
                for b in 0..=255 {
                    let mut name = spelling.as_bytes().to_owned();
                    name[at] = b;
                    let want = spelling.as_bytes().eq_ignore_ascii_case(&name);
                    assert_eq!(is_same_name(spelling.as_bytes(), &name), want, "{}", name.escape_ascii());
                }
            }
        }
    }

    #[test]
    fn few_names_share_a_slot() {
        let mut homes: Vec<usize> = SPELLINGS.iter().map(|s| hash(s.as_bytes())).collect();
        homes.sort_unstable();
        homes.dedup();
        assert!(COUNT - homes.len() <= 5, "{} names have a home of their own", homes.len());
    }
}
