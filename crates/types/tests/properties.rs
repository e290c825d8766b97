//! What must hold for any text: nothing panics, what is written is read back, and hostile text costs no more than its length.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

use proptest::prelude::*;
use roundtrip_types::{BasicAuth, Cookie, Form, FormValues, HttpDate, SameSite};

/// Bytes in which separators are more common than by chance.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), prop::sample::select(&b"=;, \"\\%&+:-\t\r\n"[..]), b'a'..=b'z', b'0'..=b'9'];
    prop::collection::vec(byte, 0..200)
}

/// A `Set-Cookie` of pieces that are attributes more often than by chance, and of hostile ones.
fn set_cookie() -> impl Strategy<Value = Vec<u8>> {
    let attribute = prop::sample::select(vec![
        "Path=/a b",
        "path= /",
        "Path=/\"",
        "Domain=.example.org",
        "domain=a..b",
        "Domain=127.0.0.1",
        "Max-Age=0",
        "max-age=-5",
        "Max-Age=05",
        "Expires=Sun, 06-Nov-1994 08:49:37 GMT",
        "expires=Mon, 01 Jan 0001 00:00:00 GMT",
        "Expires=soon",
        "SameSite=Lax",
        "samesite=x",
        "SECURE",
        "HttpOnly=1",
        "Partitioned",
        "",
        "=",
    ]);
    let piece = prop_oneof![3 => attribute.prop_map(|text| text.as_bytes().to_vec()), 1 => hostile()];
    let value = prop_oneof![hostile(), "\"?[ -~]{0,9}\"?".prop_map(String::into_bytes)];
    (name(), value, prop::collection::vec(piece, 0..6)).prop_map(|(name, value, pieces)| {
        let mut text = [name.as_bytes(), b"=", &value].concat();
        pieces.iter().for_each(|piece| text.extend([b"; ", piece.as_slice()].concat()));
        text
    })
}

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,20}"
}

prop_compose! {
    fn cookie()(
        name in name(),
        value in "[ -~&&[^\";\\\\]]{0,20}",
        path in "(/[a-z0-9/ ]{0,9}[a-z0-9])?",
        domain in "([a-z][a-z0-9]{0,8}(\\.[a-z]{1,5}){0,3})?",
        expires in prop::option::of(-11_644_473_600_i64..253_402_300_800),
        max_age in prop::option::of(prop_oneof![Just(-1), 1..i64::MAX]),
        (secure, http_only, partitioned) in any::<(bool, bool, bool)>(),
        same_site in prop::option::of(prop::sample::select(vec![SameSite::Lax, SameSite::Strict, SameSite::None])),
    ) -> Cookie {
        Cookie {
            path,
            domain,
            expires: expires.map(HttpDate::from_unix_seconds),
            max_age,
            secure,
            http_only,
            partitioned,
            same_site,
            ..Cookie::new(name, value)
        }
    }
}

proptest! {
    #[test]
    fn any_cookie_text_is_read_or_refused(text in hostile()) {
        let _ = Cookie::parse_set_cookie(&text);
        let lenient = Cookie::parse_request_lines(&[&text, &text]);
        if let Ok(strict) = Cookie::parse_request(&text) {
            prop_assert_eq!(lenient.len(), strict.len() * 2);
        }
    }

    #[test]
    fn a_cookie_that_is_written_is_read_back(cookie in cookie()) {
        let valid = cookie.validate();
        prop_assert!(valid.is_ok() || cookie.partitioned && !cookie.secure, "{:?}", valid);
        let read = Cookie::parse_set_cookie(cookie.to_set_cookie().unwrap().as_bytes()).unwrap();
        let raw_expires = cookie.expires.map_or(String::new(), |date| date.to_string());
        let quoted = cookie.value.contains([' ', ',']);
        prop_assert_eq!(&read, &Cookie { raw_expires, quoted, ..cookie.clone() });
        prop_assert_eq!(&read.value, &cookie.value);
        let back = Cookie::parse_request(cookie.to_request_pair().as_bytes()).unwrap();
        prop_assert_eq!((&back[0].name, &back[0].value), (&cookie.name, &cookie.value));
    }

    #[test]
    fn a_cookie_that_is_read_is_written_as_one_that_reads_the_same(text in set_cookie()) {
        if let Ok(read) = Cookie::parse_set_cookie(&text) {
            let written = read.to_set_cookie().unwrap();
            let again = Cookie::parse_set_cookie(written.as_bytes()).unwrap();
            prop_assert_eq!((&again.name, &again.value), (&read.name, &read.value), "{}", written);
            prop_assert_eq!((&again.path, again.max_age), (&read.path, read.max_age), "{}", written);
            let flags = |cookie: &Cookie| (cookie.secure, cookie.http_only, cookie.partitioned);
            prop_assert_eq!(flags(&again), flags(&read), "{}", written);
            prop_assert_eq!(again.same_site, read.same_site.filter(|same_site| *same_site != SameSite::Default));
            prop_assert!(again.unparsed.is_empty(), "{}", written);
            // What is invalid is left out, the dot before a domain too.
            prop_assert!(again.domain.is_empty() || again.domain == read.domain.trim_start_matches('.'), "{}", written);
            prop_assert!(again.expires.is_none() || again.expires == read.expires, "{}", written);
            // From here on it is a fixed point.
            prop_assert_eq!(again.to_set_cookie(), Some(written));
        }
        for read in Cookie::parse_request_lines(&[&text]) {
            let again = Cookie::parse_request(read.to_request_pair().as_bytes()).unwrap();
            prop_assert_eq!(again.len(), 1);
            prop_assert_eq!((&again[0].name, &again[0].value), (&read.name, &read.value));
        }
    }

    #[test]
    fn any_form_is_read_and_what_is_written_is_read_back(text in hostile(), content_type in hostile()) {
        let (values, _) = FormValues::parse_lenient(&text);
        let mut sorted: Vec<_> = values.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        let again = FormValues::parse(values.encode().as_bytes()).unwrap();
        prop_assert_eq!(again, sorted.into_iter().collect());
        let _ = Form::parse(&http::Method::POST, &text, Some(&content_type), Some(&text));
    }

    #[test]
    fn any_date_that_is_written_is_read_back(seconds in -62_167_219_200_i64..253_402_300_800, text in "\\PC{0,40}") {
        let date = HttpDate::from_unix_seconds(seconds);
        prop_assert_eq!(date.to_string().parse(), Ok(date));
        prop_assert_eq!(HttpDate::from(std::time::SystemTime::from(date)), date);
        let _ = text.parse::<HttpDate>();
        // Digits and words where a date has them.
        let _ = format!("Sun, 06 Nov 1994 08:49:37 {text}").parse::<HttpDate>();
        let _ = format!("Sunday, 06-Nov-94 08:49:37{text}").parse::<HttpDate>();
    }

    #[test]
    fn any_credentials_are_read_back(username in "[^:]*", password in ".*", text in hostile()) {
        let auth = BasicAuth::new(username, password);
        prop_assert_eq!(BasicAuth::parse(auth.to_header_value().as_bytes()), Some(auth));
        let _ = BasicAuth::parse(&text);
        let _ = BasicAuth::parse(&[b"Basic ", text.as_slice()].concat());
    }
}
