//! Remembering cookies.

mod entry;
mod memory;
#[cfg(feature = "json")]
mod saved;
mod suffix;

use std::fmt;

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, Uri};
use roundtrip_types::Cookie;

pub use memory::{JarConfig, MemoryJar};
pub use suffix::{ListedSuffixes, PublicSuffixes};

/// Where a client keeps cookies: Go's `http.CookieJar`.
///
/// # Contract
/// - [`cookies`](Jar::cookies) returns what a request to that URL shall carry, in the order in which it is sent.
/// - [`set_cookies`](Jar::set_cookies) is told what the response to that URL has set, redirects included.
/// - Both may be called from many requests at once, and neither may block for long.
///
/// [`MemoryJar`] is the usual one.
pub trait Jar: Send + Sync + 'static {
    /// The cookies of a request to `url`.
    fn cookies(&self, url: JarUrl<'_>) -> Vec<Cookie>;

    /// Takes the cookies that a response from `url` has set.
    fn set_cookies(&self, url: JarUrl<'_>, cookies: Vec<Cookie>);
}

/// As much of a URL as cookies depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JarUrl<'a> {
    /// In lower case. Cookies are for `http` and `https`.
    pub scheme: &'a str,
    /// With the port, if there is one, and with the brackets of an IPv6 address; not with user information. The request's
    /// `Host` field, if it has one.
    pub host: &'a str,
    /// As it is sent, without the query.
    pub path: &'a str,
}

impl<'a> JarUrl<'a> {
    /// That of a request with this URL and these fields.
    #[must_use]
    pub fn of(uri: &'a Uri, fields: &'a HeaderMap) -> Self {
        let authority = uri.authority().map_or("", Authority::as_str);
        let named = fields.get(HOST).and_then(|host| host.to_str().ok());
        let host = named.unwrap_or(authority.rsplit_once('@').map_or(authority, |(_, host)| host));
        JarUrl { scheme: uri.scheme_str().unwrap_or(""), host, path: uri.path() }
    }
}

impl fmt::Debug for dyn Jar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jar(..)")
    }
}
