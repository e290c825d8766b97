//! How a redirect is followed, as values: no request is sent here, no clock is read.

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, COOKIE, HOST,
    LOCATION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, REFERER, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, Version};
use roundtrip_types::{Cookie, Replayer, Request};

use super::RedirectFault;
use crate::url::{Reference, Target, UrlFault};

/// What is kept of the first request, from which all later ones are made.
pub(crate) struct Origin {
    pub(crate) method: Method,
    pub(crate) target: Target,
    version: Version,
    /// As the caller gave them, without what the client adds.
    /// `None` if there were none, as mostly: an empty map has 96 bytes of the future and is dropped field by field.
    headers: Option<Box<HeaderMap>>,
    extensions: Extensions,
    /// `None` if the body cannot be sent again.
    body: Option<Replayer>,
}

/// Where a chain of redirects stands: the last request that was sent.
pub(crate) struct Hop {
    pub(crate) method: Method,
    pub(crate) target: Target,
    /// The `Host` field, if it is not the one of the URL.
    custom_host: Option<HeaderValue>,
    /// Whether the chain has left the first host. It never comes back.
    stripped: bool,
    /// Whether the body still goes along. Once left behind, it stays so.
    with_body: bool,
    /// The first request's `Cookie` field, as hops have left it.
    cookie: Option<Cookies>,
}

/// The caller's own cookies, while a jar may set others of their names.
struct Cookies {
    left: Vec<Cookie>,
    field: HeaderValue,
}

/// What comes next.
pub(crate) enum Step {
    /// The response is no redirect, or one that cannot be followed.
    Stay,
    /// This request, and where it leaves the chain.
    Next(Box<Hop>, HeaderMap),
}

impl Origin {
    pub(crate) fn of(req: &Request, target: Target) -> Self {
        Origin {
            method: req.method().clone(),
            target,
            version: req.version(),
            headers: (!req.headers().is_empty()).then(|| Box::new(req.headers().clone())),
            extensions: req.extensions().clone(),
            body: req.body().replayer(),
        }
    }

    fn headers(&self) -> HeaderMap {
        self.headers.as_deref().cloned().unwrap_or_default()
    }

    /// The chain's begin. `has_jar` tells whether cookies may change on the way.
    pub(crate) fn first_hop(&self, has_jar: bool) -> Hop {
        let headers = self.headers();
        let field = headers.get(COOKIE).filter(|_| has_jar);
        Hop {
            method: self.method.clone(),
            target: self.target.clone(),
            custom_host: custom_host(&headers, &self.target.uri),
            stripped: false,
            with_body: true,
            cookie: field.map(|field| Cookies { left: Cookie::of_request(&headers), field: field.clone() }),
        }
    }

    /// What follows `response` to the request of `hop`.
    pub(crate) fn next<B>(&self, hop: &Hop, response: &Response<B>) -> Result<Step, (HeaderValue, RedirectFault)> {
        let Some(keeps_body) = keeps_body(response.status()) else { return Ok(Step::Stay) };
        if keeps_body && self.body.is_none() {
            return Ok(Step::Stay);
        }
        let Some(location) = response.headers().get(LOCATION).filter(|value| !value.is_empty()) else {
            return Ok(Step::Stay);
        };
        let reference = Reference::parse(location.as_bytes()).map_err(|fault| (location.clone(), fault.into()))?;
        let relative = !reference.is_absolute();
        let target = reference.resolve(&hop.target).map_err(|fault| (location.clone(), fault.into()))?;
        let (host, first) = (target.uri.host().unwrap_or(""), self.target.uri.host().unwrap_or(""));
        let next = Hop {
            method: next_method(&hop.method, keeps_body),
            custom_host: hop.custom_host.clone().filter(|_| relative),
            stripped: hop.stripped || !is_same_or_below(host, first),
            with_body: hop.with_body && keeps_body,
            cookie: hop.cookie.as_ref().map(|cookies| cookies.without_those_of(response.headers())),
            target,
        };
        let headers = self.headers_of(&next, &hop.target.uri);
        Ok(Step::Next(Box::new(next), headers))
    }

    /// The fields of the request of `hop`, which follows one to `previous`.
    fn headers_of(&self, hop: &Hop, previous: &Uri) -> HeaderMap {
        let mut headers = self.headers();
        headers.remove(HOST);
        if let Some(host) = &hop.custom_host {
            headers.insert(HOST, host.clone());
        }
        if let Some(cookies) = &hop.cookie {
            headers.insert(COOKIE, cookies.field.clone());
        }
        if hop.stripped {
            SENSITIVE.iter().for_each(|name| drop(headers.remove(name)));
        }
        if !hop.with_body {
            OF_THE_BODY.iter().for_each(|name| drop(headers.remove(name)));
        }
        if let Some(referer) = referer(previous, &hop.target.uri, headers.get(REFERER)) {
            headers.insert(REFERER, referer);
        }
        headers
    }

    /// The request of `hop`, with these fields.
    pub(crate) fn request(&self, hop: &Hop, headers: HeaderMap) -> Request {
        let body = self.body.as_ref().filter(|_| hop.with_body).cloned().map(Replayer::body);
        let mut req = Request::new(body.unwrap_or_default());
        *req.method_mut() = hop.method.clone();
        *req.uri_mut() = hop.target.uri.clone();
        *req.version_mut() = self.version;
        *req.headers_mut() = headers;
        *req.extensions_mut() = self.extensions.clone();
        req
    }
}

impl Hop {
    /// Whether fields that the client adds by itself have to be left out if they are secrets.
    pub(crate) fn is_stripped(&self) -> bool {
        self.stripped
    }
}

impl Cookies {
    /// A cookie that a response has set is the jar's now.
    fn without_those_of(&self, response: &HeaderMap) -> Self {
        let set = Cookie::of_response(response);
        let left = self.left.iter().filter(|cookie| set.iter().all(|other| other.name != cookie.name));
        let left: Vec<_> = left.cloned().collect();
        if left.len() == self.left.len() {
            return Cookies { left, field: self.field.clone() };
        }
        // Without a change the caller's own text stays; with one, Go sorts what it puts together.
        let mut pairs: Vec<_> = left.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        pairs.sort_unstable();
        // Names and values come from a field, so they are fit for one.
        let mut field = HeaderValue::try_from(pairs.join("; ")).unwrap_or_else(|_| HeaderValue::from_static(""));
        field.set_sensitive(true);
        Cookies { left, field }
    }
}

impl From<UrlFault> for RedirectFault {
    fn from(fault: UrlFault) -> Self {
        match fault {
            UrlFault::NoHost => RedirectFault::NoHost,
            UrlFault::Scheme(scheme) => RedirectFault::UnsupportedScheme(scheme),
            other => RedirectFault::BadLocation(other.to_string()),
        }
    }
}

/// Secrets, and what is asked for with them.
static SENSITIVE: [HeaderName; 6] = [
    AUTHORIZATION,
    COOKIE,
    HeaderName::from_static("cookie2"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    WWW_AUTHENTICATE,
];

/// Fields that say something about a body.
static OF_THE_BODY: [HeaderName; 6] =
    [CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, TRANSFER_ENCODING];

pub(crate) fn is_sensitive(name: &HeaderName) -> bool {
    SENSITIVE.contains(name)
}

/// Whether a response of this status is followed, and if so, whether method and body stay the same.
fn keeps_body(status: StatusCode) -> Option<bool> {
    match status.as_u16() {
        301..=303 => Some(false),
        307 | 308 => Some(true),
        _ => None,
    }
}

fn next_method(method: &Method, keeps_body: bool) -> Method {
    if keeps_body || *method == Method::HEAD { method.clone() } else { Method::GET }
}

/// Whether secrets meant for `parent` may go to `host`. Addresses have nothing below them.
fn is_same_or_below(host: &str, parent: &str) -> bool {
    if host.eq_ignore_ascii_case(parent) {
        return true;
    }
    let Some(at) = host.len().checked_sub(parent.len() + 1) else { return false };
    !host.contains([':', '%'])
        && host.as_bytes()[at] == b'.'
        && host.as_bytes()[at + 1..].eq_ignore_ascii_case(parent.as_bytes())
}

/// The `Referer` of a request that follows one to `previous`; `None` leaves the field as it is.
fn referer(previous: &Uri, next: &Uri, explicit: Option<&HeaderValue>) -> Option<HeaderValue> {
    // What was read over TLS is not told in the clear (RFC 9110, section 10.1.3).
    let is_downgrade = previous.scheme_str() == Some("https") && next.scheme_str() == Some("http");
    if is_downgrade || explicit.is_some_and(|value| !value.is_empty()) {
        return None;
    }
    HeaderValue::try_from(previous.to_string()).ok()
}

fn custom_host(headers: &HeaderMap, uri: &Uri) -> Option<HeaderValue> {
    let host = headers.get(HOST)?;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    (host.as_bytes() != authority.as_bytes()).then(|| host.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_to_the_same_host_and_below() {
        for (host, parent, want) in [
            ("shop.test", "SHOP.test", true),
            ("www.shop.test", "shop.test", true),
            ("shop.test", "www.shop.test", false),
            ("evilshop.test", "shop.test", false),
            ("shop.test.", "shop.test", false),
            ("[::1]", "[::1]", true),
            ("[::1%.shop.test]", "shop.test", false),
            ("10.0.0.1", "0.0.1", true),
            ("a", "ab", false),
            ("a", "", false),
        ] {
            assert_eq!(is_same_or_below(host, parent), want, "{host} {parent}");
        }
    }
}
