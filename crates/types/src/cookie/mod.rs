//! Cookies as values, and their text.

mod parse;
mod write;

use std::fmt;

use http::HeaderMap;
use http::header::{COOKIE, SET_COOKIE};

use crate::HttpDate;

/// A cookie, as `Set-Cookie` gives it and `Cookie` returns it: Go's `http.Cookie`.
///
/// **Shape**: a plain struct to fill in; end a literal with `..Cookie::new(name, value)`, later versions may add fields. Nothing is checked before
/// [`validate`](Cookie::validate) or [`to_set_cookie`](Cookie::to_set_cookie).
///
/// ```
/// use roundtrip_types::{Cookie, SameSite};
///
/// let cookie = Cookie { path: "/".into(), http_only: true, same_site: Some(SameSite::Lax), ..Cookie::new("sid", "31d4") };
/// assert_eq!(cookie.to_set_cookie().as_deref(), Some("sid=31d4; Path=/; HttpOnly; SameSite=Lax"));
/// assert_eq!(Cookie::parse_set_cookie(b"sid=31d4; Path=/; HttpOnly; SameSite=Lax")?, cookie);
/// # Ok::<(), roundtrip_types::CookieError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Cookie {
    /// The name: a token (RFC 9110, section 5.6.2).
    pub name: String,
    /// The value, without the double quotes around it.
    pub value: String,
    /// Whether double quotes stood, or are to be written, around the value.
    pub quoted: bool,
    /// `Path`; empty if there is none.
    pub path: String,
    /// `Domain`; empty if there is none.
    pub domain: String,
    /// `Expires`.
    pub expires: Option<HttpDate>,
    /// The text of `Expires`, also if it was no date.
    pub raw_expires: String,
    /// `Max-Age` in seconds; anything not positive deletes the cookie. When read, those are -1.
    pub max_age: Option<i64>,
    /// `Secure`: only for https.
    pub secure: bool,
    /// `HttpOnly`: not for scripts.
    pub http_only: bool,
    /// `SameSite`.
    pub same_site: Option<SameSite>,
    /// `Partitioned`: kept apart for each site that embeds.
    pub partitioned: bool,
    /// Attributes that were not understood, in order.
    pub unparsed: Vec<Vec<u8>>,
}

/// When a browser sends a cookie with requests that other sites cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SameSite {
    /// The attribute had another value; it is not written.
    Default,
    /// With navigation only.
    Lax,
    /// Never.
    Strict,
    /// Always.
    None,
}

/// What is wrong with a cookie or its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieError {
    /// There is no text.
    Blank,
    /// There is no `=` after the name.
    MissingEquals,
    /// The name is empty or has a character that is not allowed in a token.
    InvalidName,
    /// The value has a control character, a double quote, a semicolon, a backslash, or is not ASCII.
    InvalidValue,
    /// The path has a control character, a semicolon, or is not ASCII.
    InvalidPath,
    /// The domain is neither a name nor an IPv4 address.
    InvalidDomain,
    /// The expiry lies before the year 1601.
    InvalidExpires,
    /// `Partitioned` needs `Secure`.
    PartitionedWithoutSecure,
    /// There are more than 3,000 cookies. The limit stops a request from costing much more than its length.
    TooMany,
}

impl fmt::Display for CookieError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CookieError::Blank => "the cookie is blank",
            CookieError::MissingEquals => "the cookie has no '=' after its name",
            CookieError::InvalidName => "the cookie's name is no token",
            CookieError::InvalidValue => "the cookie's value has a character that is not allowed",
            CookieError::InvalidPath => "the cookie's path has a character that is not allowed",
            CookieError::InvalidDomain => "the cookie's domain is neither a name nor an IPv4 address",
            CookieError::InvalidExpires => "the cookie expires before the year 1601",
            CookieError::PartitionedWithoutSecure => "the cookie is partitioned but not secure",
            CookieError::TooMany => "there are more than 3000 cookies",
        })
    }
}

impl std::error::Error for CookieError {}

/// As many cookies as one message may have; Go's limit (CVE-2025-58186).
const MAX_COOKIES: usize = 3000;

impl Cookie {
    /// A cookie with a name, a value and nothing else.
    #[must_use]
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Cookie { name: name.into(), value: value.into(), ..Cookie::default() }
    }

    /// The cookies of a request, leaving out what is not understood: Go's `Request.Cookies`. None at all if there are more than
    /// 3,000.
    #[must_use]
    pub fn of_request(fields: &HeaderMap) -> Vec<Self> {
        let lines: Vec<_> = fields.get_all(COOKIE).iter().map(http::HeaderValue::as_bytes).collect();
        Cookie::parse_request_lines(&lines)
    }

    /// The cookies that a response sets, leaving out what is not understood: Go's `Response.Cookies`. None at all if there are
    /// more than 3,000.
    #[must_use]
    pub fn of_response(fields: &HeaderMap) -> Vec<Self> {
        let lines = fields.get_all(SET_COOKIE);
        if lines.iter().count() > MAX_COOKIES {
            return Vec::new();
        }
        lines.iter().filter_map(|line| Cookie::parse_set_cookie(line.as_bytes()).ok()).collect()
    }
}

/// Hides the value, which may be a session.
impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cookie { name, path, domain, expires, max_age, secure, http_only, same_site, partitioned, .. } = self;
        f.debug_struct("Cookie")
            .field("name", name)
            .field("path", path)
            .field("domain", domain)
            .field("expires", expires)
            .field("max_age", max_age)
            .field("secure", secure)
            .field("http_only", http_only)
            .field("same_site", same_site)
            .field("partitioned", partitioned)
            .finish_non_exhaustive()
    }
}

/// A byte that a value may have, quotes aside. RFC 6265 leaves out spaces and commas too, but servers send them.
fn is_value_byte(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte) && !matches!(byte, b'"' | b';' | b'\\')
}

fn is_path_byte(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte) && byte != b';'
}

/// A token, as RFC 9110, section 5.6.2, has it.
fn is_token(text: &[u8]) -> bool {
    let special = br#"()<>@,;:\"/[]?={}"#;
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_graphic() && !special.contains(byte))
}
