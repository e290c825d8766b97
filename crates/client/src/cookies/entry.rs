//! One remembered cookie: whether it is accepted, and which requests it goes with.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

use percent_encoding::percent_decode_str;
use roundtrip_types::{Cookie, SameSite};

use super::{JarUrl, PublicSuffixes};

/// A cookie that a jar holds (RFC 6265, section 5.3).
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) quoted: bool,
    pub(super) domain: String,
    /// Whether hosts below the domain do not get it.
    pub(super) host_only: bool,
    pub(super) path: String,
    /// `None` for one that lasts as long as the jar.
    pub(super) expires: Option<SystemTime>,
    pub(super) secure: bool,
    pub(super) http_only: bool,
    pub(super) same_site: Option<SameSite>,
    /// Larger than that of every entry made before; kept when the cookie is set again.
    pub(super) created: u64,
    /// Larger than that of every entry used before.
    pub(super) used: u64,
}

/// What a `Set-Cookie` asks for.
pub(super) enum Change {
    /// To remember this.
    Set(Entry),
    /// To forget what has the same name, domain and path.
    Delete(Entry),
}

/// A request's URL, understood.
pub(super) struct Place<'a> {
    is_https: bool,
    /// In lower case and ASCII, without port, brackets and a dot at the end.
    pub(super) host: String,
    is_address: bool,
    /// Without escapes; never empty.
    path: Cow<'a, str>,
}

impl<'a> Place<'a> {
    /// `None` if cookies do not concern it.
    pub(super) fn of(url: JarUrl<'a>) -> Option<Self> {
        let is_https = match url.scheme {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = without_port(url.host);
        let host = host.strip_suffix('.').unwrap_or(host);
        let host = match host.is_ascii() {
            true => host.to_ascii_lowercase(),
            false => idna::domain_to_ascii_cow(host.as_bytes(), idna::AsciiDenyList::EMPTY).ok()?.into_owned(),
        };
        let path = match percent_decode_str(url.path).decode_utf8_lossy() {
            path if path.is_empty() => Cow::Borrowed("/"),
            path => path,
        };
        Some(Place { is_https, is_address: is_address(&host), host, path })
    }

    /// What its cookies are kept under: the registrable domain, or all of the host if it is none.
    pub(super) fn key(&self, suffixes: Option<&dyn PublicSuffixes>) -> &str {
        let host = self.host.as_str();
        if self.is_address {
            return host;
        }
        let suffix_length = match suffixes {
            Some(suffixes) => suffixes.public_suffix(host).len(),
            None => host.rsplit_once('.').map_or(host.len(), |(_, last)| last.len()),
        };
        // A list that does not keep its word must not lead outside the host.
        match host.len().checked_sub(suffix_length + 1) {
            Some(dot) if host.as_bytes()[dot] == b'.' && dot > 0 => {
                &host[host[..dot].rfind('.').map_or(0, |at| at + 1)..]
            }
            _ => host,
        }
    }

    /// Where a cookie without `Path` goes (RFC 6265, section 5.1.4).
    fn default_path(&self) -> &str {
        match self.path.rfind('/') {
            Some(last) if last > 0 && self.path.starts_with('/') => &self.path[..last],
            _ => "/",
        }
    }

    /// Whether what is sent in the clear cannot be overheard.
    fn is_local(&self) -> bool {
        self.host == "localhost"
            || self.host.ends_with(".localhost")
            || self.host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
    }
}

impl Entry {
    /// What a response from `place` asks for with `cookie`; `None` if it has no right to.
    pub(super) fn change(
        cookie: Cookie,
        place: &Place<'_>,
        suffixes: Option<&dyn PublicSuffixes>,
        now: SystemTime,
    ) -> Option<Change> {
        let (domain, host_only) = domain(place, &cookie.domain, suffixes)?;
        let path = if cookie.path.starts_with('/') { cookie.path } else { place.default_path().to_owned() };
        if !keeps_prefix(&cookie.name, cookie.secure && place.is_https, host_only, &path) {
            return None;
        }
        // Max-Age counts if there are both. One that is too far to be a time lasts as long as the jar.
        let expires = match cookie.max_age.map(u64::try_from) {
            Some(Ok(seconds)) if seconds > 0 => now.checked_add(Duration::from_secs(seconds)),
            Some(_) => Some(SystemTime::UNIX_EPOCH),
            None => cookie.expires.map(SystemTime::from),
        };
        let is_over = expires.is_some_and(|time| time <= now);
        let entry = Entry {
            name: cookie.name,
            value: cookie.value,
            quoted: cookie.quoted,
            domain,
            host_only,
            path,
            expires,
            secure: cookie.secure,
            http_only: cookie.http_only,
            same_site: cookie.same_site,
            created: 0,
            used: 0,
        };
        Some(if is_over { Change::Delete(entry) } else { Change::Set(entry) })
    }

    /// Whether both cannot be remembered at once.
    pub(super) fn replaces(&self, other: &Entry) -> bool {
        (&self.name, &self.domain, &self.path) == (&other.name, &other.domain, &other.path)
    }

    pub(super) fn goes_to(&self, place: &Place<'_>) -> bool {
        let domain = place.host == self.domain || !self.host_only && is_below(&place.host, &self.domain);
        let path = match place.path.strip_prefix(self.path.as_str()) {
            Some(rest) => rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/'),
            None => false,
        };
        domain && path && (!self.secure || place.is_https || place.is_local())
    }

    pub(super) fn is_over(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|time| time <= now)
    }

    pub(super) fn to_cookie(&self) -> Cookie {
        Cookie { quoted: self.quoted, ..Cookie::new(self.name.clone(), self.value.clone()) }
    }
}

/// The domain that a cookie is for, and whether it is for that host alone (RFC 6265, section 5.3, steps 5 and 6).
fn domain(place: &Place<'_>, attribute: &str, suffixes: Option<&dyn PublicSuffixes>) -> Option<(String, bool)> {
    let host = &place.host;
    if attribute.is_empty() {
        return Some((host.clone(), true));
    }
    if place.is_address {
        // Addresses have no domains. Naming oneself is harmless.
        return (attribute == host || attribute == format!("[{host}]")).then(|| (host.clone(), true));
    }
    let domain = attribute.strip_prefix('.').unwrap_or(attribute);
    if domain.is_empty() || domain.starts_with('.') || domain.ends_with('.') || !domain.is_ascii() {
        return None;
    }
    let domain = domain.to_ascii_lowercase();
    let is_public = suffixes.is_some_and(|suffixes| !is_below(&domain, suffixes.public_suffix(&domain)));
    if is_public {
        // A site that is a public suffix itself can have cookies of its own, but not for those below.
        return (*host == domain).then_some((domain, true));
    }
    (*host == domain || is_below(host, &domain)).then_some((domain, false))
}

/// The promises that a name makes by its begin (RFC 6265bis, section 4.1.3). Go does not look at them.
fn keeps_prefix(name: &str, is_secure: bool, host_only: bool, path: &str) -> bool {
    let starts_with = |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    match () {
        () if starts_with("__Host-") => is_secure && host_only && path == "/",
        () if starts_with("__Secure-") => is_secure,
        () => true,
    }
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

fn is_address(host: &str) -> bool {
    // A colon or a zone makes it an IPv6 address, or nothing that could be below a domain.
    host.contains([':', '%']) || host.parse::<Ipv4Addr>().is_ok()
}

fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or(host, |(address, _)| address);
    }
    match host.rsplit_once(':') {
        Some((name, _)) if !name.contains(':') => name,
        _ => host,
    }
}
