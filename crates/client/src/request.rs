//! Building a request, and awaiting it.

use std::fmt;
use std::future::{Future, IntoFuture, ready};
use std::pin::Pin;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use roundtrip_types::{Body, Error, ErrorKind, Phase, Request, Response, Result, RoundTripper, append_query};

use crate::client::Client;

/// A request in the making; await it to send it.
///
/// **Shape**: whatever is invalid (a URL, a field's name or value) is remembered, and reported when the builder is awaited;
/// then nothing is sent. The first fault counts. Made by [`Client::get`] and its siblings.
#[must_use = "a request is sent when it is awaited"]
pub struct RequestBuilder<T> {
    client: Client<T>,
    request: Result<Request>,
    timeout: Option<Duration>,
}

/// The future of a [`RequestBuilder`]. It borrows nothing, so it can be spawned.
pub type RequestFuture = Pin<Box<dyn Future<Output = Result<Response>> + Send>>;

/// What can be a request's URL: `&str`, `String` or [`Uri`].
///
/// **Shape**: absolute, as in `http://host:port/path?query`. Characters that a URL cannot have must be percent-encoded. A
/// fragment is dropped: it is not sent (RFC 9110, section 4.2.5).
pub trait IntoUrl {
    /// Parses it.
    ///
    /// # Errors
    /// Kind `Request`, naming what was given.
    fn into_url(self) -> Result<Uri>;
}

impl IntoUrl for Uri {
    fn into_url(self) -> Result<Uri> {
        Ok(self)
    }
}

impl IntoUrl for &Uri {
    fn into_url(self) -> Result<Uri> {
        Ok(self.clone())
    }
}

impl IntoUrl for &str {
    fn into_url(self) -> Result<Uri> {
        self.parse().map_err(|cause: http::uri::InvalidUri| unusable_url(self).with_cause(cause))
    }
}

impl IntoUrl for String {
    fn into_url(self) -> Result<Uri> {
        self.as_str().into_url()
    }
}

impl IntoUrl for &String {
    fn into_url(self) -> Result<Uri> {
        self.as_str().into_url()
    }
}

impl<T: RoundTripper> RequestBuilder<T> {
    pub(crate) fn new(client: Client<T>, method: Method, url: Result<Uri>) -> Self {
        let request = url.map(|url| {
            let mut request = Request::new(Body::empty());
            *request.method_mut() = method;
            *request.uri_mut() = url;
            request
        });
        RequestBuilder { client, request, timeout: None }
    }

    /// Adds a field. A name that is there already gets one more value.
    pub fn header<N, V>(self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: Into<http::Error>> + fmt::Debug + Clone,
        V: TryInto<HeaderValue, Error: Into<http::Error>>,
    {
        self.change(|request| {
            let shown = name.clone();
            let name = name
                .try_into()
                .map_err(|cause| invalid(format!("invalid field name {shown:.100?}")).with_cause(cause.into()))?;
            // The value is not repeated: it may be a secret.
            let value = value
                .try_into()
                .map_err(|cause| invalid(format!("invalid value for the field {name}")).with_cause(cause.into()))?;
            request.headers_mut().append(name, value);
            Ok(())
        })
    }

    /// Sets fields; each replaces those of its name.
    pub fn headers(self, fields: HeaderMap) -> Self {
        self.change(|request| {
            let headers = request.headers_mut();
            for name in fields.keys() {
                headers.remove(name);
            }
            let mut last = None;
            for (name, value) in fields {
                // A repeated field comes without its name from the second value on.
                last = name.or(last);
                if let Some(name) = &last {
                    headers.append(name.clone(), value);
                }
            }
            Ok(())
        })
    }

    /// Adds `name=value` to the URL's query, percent-encoded as a form does.
    pub fn query(self, name: &str, value: impl fmt::Display) -> Self {
        self.change(|request| {
            let mut target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str).to_owned();
            if request.uri().query().is_none() {
                target.push('?');
            }
            append_query(&mut target, name.as_bytes(), value.to_string().as_bytes());
            let mut parts = std::mem::take(request.uri_mut()).into_parts();
            parts.path_and_query =
                Some(target.parse().map_err(|cause: http::uri::InvalidUri| unusable_url(&target).with_cause(cause))?);
            *request.uri_mut() = Uri::from_parts(parts).map_err(|cause| unusable_url(&target).with_cause(cause))?;
            Ok(())
        })
    }

    /// Sets the body: text, bytes or a stream. It gives a `Content-Length` if it knows its length, and is sent in chunks if not.
    pub fn body(self, body: impl Into<Body>) -> Self {
        self.change(|request| {
            *request.body_mut() = body.into();
            Ok(())
        })
    }

    /// Sets the body to `value` as JSON, and `Content-Type: application/json` unless there is one.
    #[cfg(feature = "json")]
    pub fn json<V: serde::Serialize + ?Sized>(self, value: &V) -> Self {
        self.change(|request| {
            let text = serde_json::to_vec(value)
                .map_err(|cause| invalid("the body cannot be written as JSON").with_cause(cause))?;
            *request.body_mut() = Body::from(text);
            let fields = request.headers_mut().entry(http::header::CONTENT_TYPE);
            fields.or_insert(HeaderValue::from_static("application/json"));
            Ok(())
        })
    }

    /// How long this exchange may take, body included, in place of the client's
    /// [`timeout`](crate::ClientConfig::timeout).
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// The request, unsent.
    ///
    /// # Errors
    /// The first invalid thing that was put in.
    pub fn build(self) -> Result<Request> {
        self.request
    }

    /// Sends the request; `.await` on the builder does the same.
    ///
    /// # Errors
    /// The first invalid thing that was put in, and those of [`Client::execute`].
    ///
    /// # Cancel safety
    /// As [`Client::execute`].
    pub fn send(self) -> RequestFuture {
        let timeout = self.timeout.or(self.client.config().timeout);
        match self.request {
            Ok(request) => self.client.send(request, timeout),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn change(mut self, change: impl FnOnce(&mut Request) -> Result<()>) -> Self {
        if let Ok(request) = &mut self.request
            && let Err(error) = change(request)
        {
            self.request = Err(error.with_request(request.method(), request.uri()));
        }
        self
    }
}

impl<T: RoundTripper> IntoFuture for RequestBuilder<T> {
    type Output = Result<Response>;
    type IntoFuture = RequestFuture;

    fn into_future(self) -> RequestFuture {
        self.send()
    }
}

impl<T> fmt::Debug for RequestBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RequestBuilder");
        match &self.request {
            // Fields are named, not shown: some are secrets.
            Ok(request) => {
                let fields: Vec<_> = request.headers().keys().collect();
                shown.field("method", request.method()).field("fields", &fields).field("body", request.body())
            }
            Err(error) => shown.field("error", error),
        };
        shown.field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

fn unusable_url(url: &str) -> Error {
    // Cut, and without what may be a password before an '@'.
    let shown: String = match url.split_once('@') {
        Some((_, rest)) => format!("***@{rest}"),
        None => url.to_owned(),
    };
    let shown: String = shown.chars().take(200).collect();
    invalid(format!("unusable URL {shown:?}"))
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Request, message).with_phase(Phase::Prepare)
}
