//! Following redirects: whether, and how.

mod rules;

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode, Uri};
use roundtrip_types::Error;

pub(crate) use rules::{Hop, Origin, Step, is_sensitive};

/// Which redirects a client follows: Go's `Client.CheckRedirect`.
///
/// **Shape**: cheap to clone. The default follows up to nine, as Go's does: ten requests in all.
/// How they are followed is fixed:
///
/// - 301, 302 and 303 turn any method but HEAD into GET, without the body and its `Content-*` fields; 307 and 308 keep both, if
///   the body can be sent again ([`Body::try_clone`](roundtrip_types::Body::try_clone)), and are returned as they are if not.
/// - A response without `Location` is returned as it is.
/// - The fields of the first request go along. `Authorization`, `Cookie`, `Proxy-Authorization`, `WWW-Authenticate` and their
///   kin stay behind when the host is no longer the first one or below it, for the rest of the chain.
/// - `Referer` is the URL before, never from https to http. A custom `Host` stays for a `Location` without a scheme.
/// - The client's cookies are asked for and stored at each hop.
/// - Up to 2 KiB of a redirect's body are read, so that its connection can be used again.
///
/// **Source**: Go's `client.go`; RFC 9110, section 15.4.
#[derive(Clone)]
pub struct RedirectPolicy(Kind);

#[derive(Clone)]
enum Kind {
    None,
    Limit(usize),
    Custom(Arc<dyn Fn(&RedirectAttempt<'_>) -> RedirectAction + Send + Sync>),
}

/// What to do about a redirect.
#[derive(Debug)]
pub enum RedirectAction {
    /// Send the next request.
    Follow,
    /// Return the redirect itself, its body unread: Go's `ErrUseLastResponse`.
    UseResponse,
    /// Fail with this error.
    Refuse(Error),
}

/// A redirect that has not been followed yet.
#[derive(Debug)]
#[non_exhaustive]
pub struct RedirectAttempt<'a> {
    /// The status of the redirect.
    pub status: StatusCode,
    /// The next request's method.
    pub method: &'a Method,
    /// The next request's URL, without user information.
    pub url: &'a Uri,
    /// The next request's fields, without those that the client adds to every request.
    pub headers: &'a HeaderMap,
    /// The requests that were answered with redirects, oldest first; never empty.
    pub previous: &'a [Redirected],
}

/// A request that was answered with a redirect.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Redirected {
    /// Its method.
    pub method: Method,
    /// Its URL, without user information.
    pub url: Uri,
    /// The status of the redirect.
    pub status: StatusCode,
}

impl RedirectPolicy {
    /// Follows up to `limit` redirects; one more is an error.
    #[must_use]
    pub const fn limit(limit: usize) -> Self {
        RedirectPolicy(Kind::Limit(limit))
    }

    /// Follows none: each redirect is returned as it is.
    #[must_use]
    pub const fn none() -> Self {
        RedirectPolicy(Kind::None)
    }

    pub(crate) fn is_none(&self) -> bool {
        matches!(self.0, Kind::None)
    }

    /// Asks `check` before each redirect is followed. It has no limit of its own; `previous` tells how far the chain has come.
    ///
    /// ```
    /// use roundtrip_client::{RedirectAction, RedirectPolicy};
    ///
    /// let stay_here = RedirectPolicy::custom(|attempt| {
    ///     let same_host = attempt.url.host() == attempt.previous[0].url.host();
    ///     if same_host && attempt.previous.len() <= 5 { RedirectAction::Follow } else { RedirectAction::UseResponse }
    /// });
    /// ```
    #[must_use]
    pub fn custom(check: impl Fn(&RedirectAttempt<'_>) -> RedirectAction + Send + Sync + 'static) -> Self {
        RedirectPolicy(Kind::Custom(Arc::new(check)))
    }

    pub(crate) fn decide(&self, attempt: &RedirectAttempt<'_>) -> Result<RedirectAction, RedirectFault> {
        match &self.0 {
            Kind::None => Ok(RedirectAction::UseResponse),
            Kind::Limit(limit) if attempt.previous.len() > *limit => Err(RedirectFault::TooMany(*limit)),
            Kind::Limit(_) => Ok(RedirectAction::Follow),
            Kind::Custom(check) => Ok(check(attempt)),
        }
    }
}

impl Default for RedirectPolicy {
    fn default() -> Self {
        RedirectPolicy::limit(9)
    }
}

impl fmt::Debug for RedirectPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::None => f.write_str("RedirectPolicy(none)"),
            Kind::Limit(limit) => write!(f, "RedirectPolicy(limit {limit})"),
            Kind::Custom(_) => f.write_str("RedirectPolicy(custom)"),
        }
    }
}

/// Why a redirect cannot be followed: the [cause](Error::cause) of the error that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedirectFault {
    /// The chain is longer than this limit.
    TooMany(usize),
    /// `Location` is no URL.
    BadLocation(String),
    /// `Location` leads to a scheme that has no hosts, such as `mailto`.
    UnsupportedScheme(String),
    /// `Location` has no host.
    NoHost,
}

impl fmt::Display for RedirectFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RedirectFault::TooMany(limit) => write!(f, "stopped after {limit} redirects"),
            RedirectFault::BadLocation(reason) => f.write_str(reason),
            RedirectFault::UnsupportedScheme(scheme) => write!(f, "unsupported scheme {scheme:?}"),
            RedirectFault::NoHost => f.write_str("it has no host"),
        }
    }
}

impl std::error::Error for RedirectFault {}
