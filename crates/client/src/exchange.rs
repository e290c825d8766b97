//! One call of a client: the request as it is sent, and what follows from the answer.

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, COOKIE, Entry, HOST, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Uri};
use http_body_util::BodyExt;
use roundtrip_types::{BasicAuth, Body, Cookie, Error, ErrorKind, Phase, Request, Response, Result, RoundTripper};
use tokio::time::{Instant, timeout};

use crate::client::{Client, Inner};
use crate::cookies::{Jar, JarUrl};
use crate::deadline::{left, pass_on};
use crate::redirect::{
    Hop, Origin, RedirectAction, RedirectAttempt, RedirectFault, RedirectPolicy, Redirected, Step, is_sensitive,
};
use crate::response::{RedirectHistory, StatusError};
use crate::url::{Target, host_without_zone, is_host_alone, mask, take_credentials};

/// What a call has of its own, in place of the client's settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    pub(crate) timeout: Option<Duration>,
    /// When the time is over.
    pub(crate) deadline: Option<Instant>,
    pub(crate) redirects: Option<RedirectPolicy>,
    pub(crate) max_body: Option<usize>,
    pub(crate) refuse_error_status: bool,
    /// Whether it is known that the URL has no user information, now or before.
    pub(crate) host_alone: bool,
}

/// User name and password of a request's URL, which no longer has them.
#[derive(Clone, Debug)]
pub(crate) struct UrlCredentials(pub(crate) BasicAuth);

/// Sends `req`, follows redirects, and applies what the call asks for.
#[expect(clippy::manual_async_fn, reason = "an `async fn` has room for the request twice: given, and used")]
pub(crate) fn run<T: RoundTripper>(
    client: Client<T>,
    mut req: Request,
    call: Call,
) -> impl Future<Output = Result<Response>> + Send {
    async move {
        let inner = client.inner();
        let credentials = match call.host_alone {
            true => None,
            false => credentials_of(&mut req),
        };
        let target = Target { uri: req.uri().clone(), credentials };
        // What the client adds is not part of the origin: it is added anew to each request of a chain.
        let origin = Origin::of(&req, target);
        if !call.host_alone {
            add_host_of_zone(req.headers_mut(), &origin.target.uri);
        }
        inner.add_own_fields(req.headers_mut(), &origin.target, false);
        pass_on(&mut req, call.timeout);
        let host = inner.host_for_jar(&req);
        let mut response = inner.transport.round_trip(req).await?;
        if let Some(jar) = &inner.config.jar {
            store_cookies(jar, &origin.target.uri, host, response.headers());
        }
        if response.status().is_redirection() {
            let policy = call.redirects.as_ref().unwrap_or(&inner.config.redirects);
            if !policy.is_none() {
                // Boxed, because it is rare and large: every request's future would have room for it.
                response = Box::pin(follow(inner, &origin, response, policy, call.deadline)).await?;
            }
        }
        finish(response, &origin, &call, inner)
    }
}

/// The credentials of the request's URL, which has none from now on.
#[cold]
fn credentials_of(req: &mut Request) -> Option<BasicAuth> {
    if let Some(UrlCredentials(credentials)) = req.extensions_mut().remove() {
        return Some(credentials);
    }
    take_credentials(req.uri_mut())
}

/// Adds the `Host` field of an address with a zone, which the URL alone would have wrong.
fn add_host_of_zone(fields: &mut HeaderMap, uri: &Uri) {
    if !is_host_alone(uri)
        && let Some(host) = host_without_zone(uri)
        && let Entry::Vacant(entry) = fields.entry(HOST)
    {
        entry.insert(host);
    }
}

/// Follows redirects as long as they come.
async fn follow<T: RoundTripper>(
    inner: &Inner<T>,
    origin: &Origin,
    mut response: Response,
    policy: &RedirectPolicy,
    deadline: Option<Instant>,
) -> Result<Response> {
    let mut hop = origin.first_hop(inner.config.jar.is_some());
    let mut previous = Vec::new();
    loop {
        let (next, headers) = match origin.next(&hop, &response) {
            Ok(Step::Next(next, headers)) => (next, headers),
            Ok(Step::Stay) => break,
            Err((location, fault)) => return Err(unfollowable(&hop, &response, &location, fault)),
        };
        previous.push(Redirected {
            method: hop.method.clone(),
            url: hop.target.uri.clone(),
            status: response.status(),
        });
        let attempt = RedirectAttempt {
            status: response.status(),
            method: &next.method,
            url: &next.target.uri,
            headers: &headers,
            previous: &previous,
        };
        match policy.decide(&attempt) {
            Ok(RedirectAction::Follow) => {}
            Ok(RedirectAction::UseResponse) => {
                previous.pop();
                break;
            }
            Ok(RedirectAction::Refuse(error)) => return Err(error.with_request(&hop.method, &hop.target.uri)),
            Err(fault) => return Err(too_many(&hop, &next.target.uri, fault)),
        }
        drain(response.into_body()).await;
        let mut req = origin.request(&next, headers);
        add_host_of_zone(req.headers_mut(), &next.target.uri);
        inner.add_own_fields(req.headers_mut(), &next.target, next.is_stripped());
        pass_on(&mut req, left(deadline));
        let host = inner.host_for_jar(&req);
        response = inner.transport.round_trip(req).await?;
        hop = *next;
        if let Some(jar) = &inner.config.jar {
            store_cookies(jar, &hop.target.uri, host, response.headers());
        }
    }
    if !previous.is_empty() {
        response.extensions_mut().insert(RedirectHistory { url: hop.target.uri, previous: previous.into() });
    }
    Ok(response)
}

fn finish<T>(mut response: Response, origin: &Origin, call: &Call, inner: &Inner<T>) -> Result<Response> {
    if let Some(max) = call.max_body.or(inner.config.max_body) {
        let body = std::mem::take(response.body_mut()).limited(max);
        *response.body_mut() = named(body, origin);
    }
    let status = response.status();
    if call.refuse_error_status && (status.is_client_error() || status.is_server_error()) {
        return Err(StatusError::error(&response).with_request(&origin.method, &origin.target.uri));
    }
    Ok(response)
}

/// A body whose errors name the request.
fn named(body: Body, origin: &Origin) -> Body {
    if body.as_bytes().is_some() {
        return body;
    }
    let (method, uri) = (origin.method.clone(), origin.target.uri.clone());
    Body::new(body.map_err(move |error: Error| error.with_request(&method, &uri)))
}

impl<T> Inner<T> {
    /// The `Host` field of `req`, which its cookies are for, if it has one and there is a jar. Boxed, as it is rare: every request's
    /// future would have room for it.
    fn host_for_jar(&self, req: &Request) -> Option<Box<HeaderValue>> {
        self.config.jar.as_ref()?;
        req.headers().get(HOST).cloned().map(Box::new)
    }

    /// Adds what the client has for every request: its fields, the credentials of the URL, cookies.
    fn add_own_fields(&self, fields: &mut HeaderMap, target: &Target, stripped: bool) {
        let mut added = None;
        for (name, value) in &self.config.headers {
            // Values of one name follow each other.
            if added == Some(name) {
                fields.append(name, value.clone());
            } else if !(stripped && is_sensitive(name))
                && let Entry::Vacant(entry) = fields.entry(name)
            {
                entry.insert(value.clone());
                added = Some(name);
            }
        }
        if let Some(credentials) = &target.credentials
            && !fields.contains_key(AUTHORIZATION)
        {
            fields.insert(AUTHORIZATION, credentials.to_header_value());
        }
        if let Some(jar) = &self.config.jar {
            add_cookies(fields, jar.cookies(JarUrl::of(&target.uri, fields)));
        }
    }
}

fn add_cookies(fields: &mut HeaderMap, cookies: Vec<Cookie>) {
    if cookies.is_empty() {
        return;
    }
    let own = fields.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).filter(|text| !text.is_empty());
    let pairs: Vec<_> = own.map(str::to_owned).chain(cookies.iter().map(Cookie::to_request_pair)).collect();
    // A jar's names come from fields, but a user's jar may have any.
    if let Ok(mut value) = HeaderValue::try_from(pairs.join("; ")) {
        value.set_sensitive(true);
        fields.insert(COOKIE, value);
    }
}

fn store_cookies(jar: &Arc<dyn Jar>, uri: &Uri, host: Option<Box<HeaderValue>>, response: &HeaderMap) {
    let cookies = Cookie::of_response(response);
    if cookies.is_empty() {
        return;
    }
    let mut fields = HeaderMap::new();
    if let Some(host) = host {
        fields.insert(HOST, *host);
    }
    jar.set_cookies(JarUrl::of(uri, &fields), cookies);
}

/// Reads what little there is of a redirect's body, so that its connection can be used again (Go: `maxBodySlurpSize`).
pub(crate) async fn drain(mut body: Body) {
    const MOST: usize = 2 << 10;
    if body.content_length().is_some_and(|length| length > MOST as u64) {
        return;
    }
    let read = async {
        let mut left = MOST;
        while let Some(Ok(data)) = body.chunk().await {
            match left.checked_sub(data.len()) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    // A connection is worth this much waiting, whatever the time limit of the call is.
    let _ = timeout(Duration::from_secs(1), read).await;
}

#[cold]
fn unfollowable(hop: &Hop, response: &Response, location: &HeaderValue, fault: RedirectFault) -> Error {
    let status = response.status();
    let shown: String = mask(&String::from_utf8_lossy(location.as_bytes())).chars().take(200).collect();
    redirect_error(hop, format!("{status} leads to {shown:?}")).with_cause(fault)
}

#[cold]
fn too_many(hop: &Hop, next: &Uri, fault: RedirectFault) -> Error {
    let next: String = next.to_string().chars().take(200).collect();
    redirect_error(hop, "").with_facts(format!("the next leads to {next}")).with_cause(fault)
}

fn redirect_error(hop: &Hop, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    let error = Error::new(ErrorKind::Redirect, message).with_phase(Phase::Wait).with_sent(true);
    error.with_request(&hop.method, &hop.target.uri)
}

/// Marks a value as one that `Debug` does not show, if it is a secret.
pub(crate) fn hide_secret(name: &http::HeaderName, value: &mut HeaderValue) {
    if is_sensitive(name) || *name == SET_COOKIE {
        value.set_sensitive(true);
    }
}
