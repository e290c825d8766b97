//! Protection against requests that another site makes a browser send.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use roundtrip_types::{BoxHandler, Handler, Request, Response, UriReference, UriReferenceError, error};

use crate::conflict::InsertError;
use crate::matched::Match;
use crate::router::Router;
use crate::serve_mux::host_and_port;

/// Refuses requests that change something and that a page of another site made a browser send: Go's `CrossOriginProtection`.
///
/// A browser sends cookies along with such requests, so without protection any page can act in its reader's name (cross-site
/// request forgery). There is no token to keep: browsers say themselves where a request comes from.
///
/// | request | decision |
/// |---|---|
/// | `GET`, `HEAD`, `OPTIONS` | passes: handlers of these must change nothing |
/// | `Sec-Fetch-Site: same-origin` or `none` | passes |
/// | any other `Sec-Fetch-Site` | refused |
/// | no `Sec-Fetch-Site`, no `Origin` | passes: an old browser's same-origin request, or no browser at all |
/// | no `Sec-Fetch-Site`, an `Origin` with the request's host | passes |
/// | no `Sec-Fetch-Site`, any other `Origin` | refused |
///
/// What would be refused passes all the same if its `Origin` is a [trusted](Self::add_trusted_origin) one, or if a
/// [bypass pattern](Self::add_insecure_bypass_pattern) takes the request. A refused request gets 403, or what the
/// [deny handler](Self::set_deny_handler) says.
///
/// **Shape**: cheap to clone; clones share their settings, which may be changed while requests are served. Of repeated fields the
/// first counts, and methods are compared as they are written. An origin's scheme is not compared with the request's, which a
/// server behind a proxy does not know; `Strict-Transport-Security` closes that gap.
///
/// # Examples
/// ```
/// use roundtrip_mux::{CrossOriginProtection, ServeMux};
///
/// let mux = ServeMux::new();
/// mux.handle("POST /transfer", |_req| async { "done" });
/// let protection = CrossOriginProtection::new();
/// protection.add_trusted_origin("https://accounts.example.com")?;
/// let handler = protection.handler(mux);
/// # fn is_a_handler(_: impl roundtrip_types::Handler) {}
/// # is_a_handler(handler);
/// # Ok::<_, roundtrip_mux::OriginError>(())
/// ```
#[derive(Clone, Default)]
pub struct CrossOriginProtection(Arc<Inner>);

#[derive(Default)]
struct Inner {
    trusted: ArcSwap<Vec<Box<str>>>,
    bypass: Router<()>,
    deny: ArcSwapOption<BoxHandler>,
}

impl CrossOriginProtection {
    /// Protection without exceptions.
    #[must_use]
    pub fn new() -> Self {
        CrossOriginProtection::default()
    }

    /// Lets requests pass whose `Origin` is exactly this one: Go's `AddTrustedOrigin`.
    ///
    /// `origin` is `scheme://host` or `scheme://host:port`, as browsers write it: in small letters, without the scheme's own port.
    ///
    /// # Errors
    /// It is no origin, so that no request could have it; the error says what is wrong.
    pub fn add_trusted_origin(&self, origin: &str) -> Result<(), OriginError> {
        let fault = |fault| OriginError { origin: origin.chars().take(MAX_SHOWN).collect(), fault };
        let parts = UriReference::parse(origin).map_err(|error| fault(OriginFault::Unparsable(error)))?;
        if parts.scheme().is_empty() {
            return Err(fault(OriginFault::MissingScheme));
        }
        if parts.host().is_empty() {
            return Err(fault(OriginFault::MissingHost));
        }
        let nothing = |part: Option<&str>| part.is_none_or(str::is_empty);
        if !parts.path().is_empty() || !nothing(parts.query()) || !nothing(parts.fragment()) {
            return Err(fault(OriginFault::ExtraParts));
        }
        self.0.trusted.rcu(|known| {
            let mut all = Vec::clone(known);
            all.push(origin.into());
            all
        });
        Ok(())
    }

    /// Lets requests pass that the pattern takes, unprotected: Go's `AddInsecureBypassPattern`.
    ///
    /// Patterns are those of a [`ServeMux`](crate::ServeMux). A request that a mux would only redirect to the pattern does not pass.
    ///
    /// # Panics
    /// At the caller's line, if the pattern is none or conflicts with one that was added before.
    /// [`try_add_insecure_bypass_pattern`](Self::try_add_insecure_bypass_pattern) returns that instead.
    #[track_caller]
    pub fn add_insecure_bypass_pattern(&self, pattern: &str) {
        if let Err(error) = self.try_add_insecure_bypass_pattern(pattern) {
            panic!("{error}");
        }
    }

    /// As [`add_insecure_bypass_pattern`](Self::add_insecure_bypass_pattern), for patterns that may be wrong.
    ///
    /// # Errors
    /// The pattern is none, or it conflicts with one that was added before.
    #[track_caller]
    pub fn try_add_insecure_bypass_pattern(&self, pattern: &str) -> Result<(), InsertError> {
        self.0.bypass.insert_at(pattern, (), Location::caller())
    }

    /// Lets a handler answer refused requests, in place of the plain 403: Go's `SetDenyHandler`. It chooses the status itself.
    pub fn set_deny_handler(&self, handler: impl Handler) {
        self.0.deny.store(Some(Arc::new(handler.boxed())));
    }

    /// Whether a request passes: Go's `Check`.
    ///
    /// # Errors
    /// The request may come from another site; the error says which field told.
    pub fn check(&self, req: &Request) -> Result<(), CrossOriginError> {
        if matches!(*req.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
            return Ok(());
        }
        let (site, origin) = (first(req.headers(), &SEC_FETCH_SITE), first(req.headers(), &ORIGIN));
        let refusal = match site {
            b"same-origin" | b"none" => return Ok(()),
            b"" => match origin {
                b"" => return Ok(()),
                origin if is_host(origin, host(req)) => return Ok(()),
                _ => CrossOriginError::Origin,
            },
            _ => CrossOriginError::SecFetchSite,
        };
        if self.is_exempt(req, origin) { Ok(()) } else { Err(refusal) }
    }

    /// Protects a handler: Go's `Handler`. It sees only requests that pass.
    #[must_use]
    pub fn handler<H: Handler>(&self, handler: H) -> Protected<H> {
        Protected { protection: self.clone(), handler }
    }

    fn is_exempt(&self, req: &Request, origin: &[u8]) -> bool {
        self.0.trusted.load().iter().any(|trusted| trusted.as_bytes() == origin)
            || matches!(self.0.bypass.at(req.method().as_str(), host(req), req.uri().path()), Match::Found(_))
    }
}

impl fmt::Debug for CrossOriginProtection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns = self.0.bypass.patterns();
        f.debug_struct("CrossOriginProtection")
            .field("trusted", &self.0.trusted.load())
            .field("bypass", &patterns)
            .finish_non_exhaustive()
    }
}

/// A handler behind [`CrossOriginProtection`].
#[derive(Clone, Debug)]
pub struct Protected<H> {
    protection: CrossOriginProtection,
    handler: H,
}

impl<H: Handler> Handler for Protected<H> {
    async fn serve_http(&self, req: Request) -> Response {
        let Err(refusal) = self.protection.check(&req) else { return self.handler.serve_http(req).await };
        match self.protection.0.deny.load_full() {
            Some(deny) => deny.serve_http(req).await,
            None => error(StatusCode::FORBIDDEN, refusal.to_string()),
        }
    }
}

/// Which field told that a request may come from another site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CrossOriginError {
    /// `Sec-Fetch-Site` is neither `same-origin` nor `none`.
    SecFetchSite,
    /// There is no `Sec-Fetch-Site`, and `Origin` names another host.
    Origin,
}

impl fmt::Display for CrossOriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CrossOriginError::SecFetchSite => "cross-origin request refused: see Sec-Fetch-Site",
            CrossOriginError::Origin => "cross-origin request refused: Origin names another host than Host",
        })
    }
}

impl std::error::Error for CrossOriginError {}

/// Why a text is no origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginError {
    origin: String,
    fault: OriginFault,
}

/// What is wrong with an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OriginFault {
    /// It cannot be read at all.
    Unparsable(UriReferenceError),
    /// There is no `scheme://`.
    MissingScheme,
    /// There is no host.
    MissingHost,
    /// There is a path, a query or a fragment; a final slash is a path.
    ExtraParts,
}

impl OriginError {
    /// What is wrong.
    #[must_use]
    pub fn fault(&self) -> OriginFault {
        self.fault
    }
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "origin {:?}: ", self.origin)?;
        match self.fault {
            OriginFault::Unparsable(reason) => reason.fmt(f),
            OriginFault::MissingScheme => f.write_str("no scheme; write https://host"),
            OriginFault::MissingHost => f.write_str("no host; write https://host"),
            OriginFault::ExtraParts => f.write_str("an origin has no path, query or fragment, not even a final slash"),
        }
    }
}

impl std::error::Error for OriginError {}

/// As many characters of a bad origin as an error repeats.
const MAX_SHOWN: usize = 128;

/// W3C Fetch Metadata, section 2.2.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The first value of a field; empty if there is none.
fn first<'a>(fields: &'a HeaderMap, name: &HeaderName) -> &'a [u8] {
    fields.get(name).map_or(b"", |value| value.as_bytes())
}

/// The host that a request is for: that of its URI, or else its `Host` field.
fn host(req: &Request) -> &str {
    match req.uri().authority() {
        Some(authority) => host_and_port(authority),
        None => req.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or(""),
    }
}

fn is_host(origin: &[u8], host: &str) -> bool {
    let origin = std::str::from_utf8(origin).ok().and_then(|origin| UriReference::parse(origin).ok());
    origin.is_some_and(|origin| origin.host() == host)
}

#[cfg(test)]
mod tests {
    use roundtrip_types::{Body, MessageExt};

    use super::*;

    fn post(fields: &[(&str, &str)]) -> Request {
        let mut req = http::Request::post("/pay").header(HOST, "app.test");
        for (name, value) in fields {
            req = req.header(*name, *value);
        }
        req.body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn a_refused_request_never_reaches_the_handler() {
        let protection = CrossOriginProtection::new();
        let handler = protection.handler(|_req| async { "done" });
        let foreign = || post(&[("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")]);
        let refused = handler.serve_http(foreign()).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        assert_eq!(refused.text().await.unwrap(), "cross-origin request refused: see Sec-Fetch-Site\n");
        assert_eq!(handler.serve_http(post(&[])).await.text().await.unwrap(), "done");

        protection.set_deny_handler(|_req| async { (StatusCode::IM_A_TEAPOT, "no") });
        assert_eq!(handler.serve_http(foreign()).await.status(), StatusCode::IM_A_TEAPOT);
        protection.add_trusted_origin("https://evil.test").unwrap();
        assert_eq!(handler.serve_http(foreign()).await.text().await.unwrap(), "done");
    }

    #[test]
    #[should_panic(expected = "both match the same requests")]
    fn conflicting_bypass_patterns_panic() {
        let protection = CrossOriginProtection::new();
        protection.add_insecure_bypass_pattern("/hook/{a}");
        protection.add_insecure_bypass_pattern("/hook/{b}");
    }

    #[test]
    fn a_bad_origin_is_named() {
        let error = CrossOriginProtection::new().add_trusted_origin("https://a.test/").unwrap_err();
        let line = "origin \"https://a.test/\": an origin has no path, query or fragment, not even a final slash";
        assert_eq!((error.fault(), error.to_string().as_str()), (OriginFault::ExtraParts, line));
    }
}
