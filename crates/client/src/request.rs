//! Building a request, and awaiting it.

use std::fmt;
use std::future::{Future, IntoFuture, ready};
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use roundtrip_transport::RequestOptions;
use roundtrip_types::{
    BasicAuth, Body, Error, ErrorKind, Phase, Request, Response, Result, RoundTripper, append_query,
};

use crate::client::Client;
use crate::exchange::{Call, UrlCredentials, hide_secret};
use crate::redirect::RedirectPolicy;
use crate::response::Progress;
use crate::upload;
use crate::url::{is_host_alone, mask, needs_no_escape, parse_leniently, take_credentials};

/// A request in the making; await it to send it.
///
/// **Shape**: whatever is invalid (a URL, a field's name or value) is remembered, and reported when the builder is awaited;
/// then nothing is sent. The first fault counts. Made by [`Client::get`] and its siblings.
#[must_use = "a request is sent when it is awaited"]
pub struct RequestBuilder<T> {
    client: Client<T>,
    request: Result<Request>,
    call: Call,
}

/// The future of a [`RequestBuilder`]. It borrows nothing, so it can be spawned.
pub type RequestFuture = Pin<Box<dyn Future<Output = Result<Response>> + Send>>;

/// What can be a request's URL: `&str`, `String` or [`Uri`].
///
/// **Shape**: absolute, as in `http://host:port/path?query`. Characters that a path or a query cannot have are percent-encoded,
/// and a host in another script is mapped and encoded (UTS 46), as browsers do. A fragment is dropped: it is not sent (RFC 9110,
/// section 4.2.5). User name and password become an `Authorization` field when the request is sent.
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
        match self.parse::<Uri>() {
            Ok(uri) if is_complete(&uri) => return Ok(uri),
            _ => {}
        }
        let target = parse_leniently(self).map_err(|fault| unusable_url(self).with_cause(fault.to_string()))?;
        match target.credentials {
            None => Ok(target.uri),
            // Put back for whoever asks for the URI alone. What was decoded is encoded again.
            Some(credentials) => with_credentials(target.uri, &credentials),
        }
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
        let mut call = Call::default();
        let request = url.map(|mut url| {
            let mut request = Request::new(Body::empty());
            *request.method_mut() = method;
            call.host_alone = is_host_alone(&url);
            if !call.host_alone
                && let Some(credentials) = take_credentials(&mut url)
            {
                request.extensions_mut().insert(UrlCredentials(credentials));
            }
            *request.uri_mut() = url;
            request
        });
        RequestBuilder { client, request, call }
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
            let Ok(mut value) = value.try_into() else {
                return Err(invalid(format!(
                    "the value of the field {name} has a line break or another character that no field can have"
                )));
            };
            hide_secret(&name, &mut value);
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
            for (name, mut value) in fields {
                // A repeated field comes without its name from the second value on.
                last = name.or(last);
                if let Some(name) = &last {
                    hide_secret(name, &mut value);
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

    /// Sets the body to the content of a file, of the length that the file has now.
    ///
    /// Opening the file is done at once, and may block for as long as the file system takes; it is read while the request is
    /// sent, 64 KiB at a time, and opened again if it has to be sent again. Kind `Request` if it cannot be opened, kind `Body` if it
    /// shrinks on the way.
    pub fn file(self, path: impl AsRef<Path>) -> Self {
        self.change(|request| {
            *request.body_mut() = upload::file(path.as_ref())?;
            Ok(())
        })
    }

    /// Tells `tell` how much of the body has been handed to the transport, after each piece. Call it after setting the body.
    ///
    /// If the body is sent again (for a redirect or a retry), it tells from the beginning.
    pub fn upload_progress(self, tell: impl FnMut(Progress) + Send + 'static) -> Self {
        self.change(|request| {
            let body = std::mem::take(request.body_mut());
            *request.body_mut() = upload::watched(body, tell);
            Ok(())
        })
    }

    /// Sets the body to a form with files, and `Content-Type`. [`upload_progress`](RequestBuilder::upload_progress) watches it.
    #[cfg(feature = "multipart")]
    pub fn multipart(self, form: crate::multipart::Form) -> Self {
        self.change(|request| {
            request.headers_mut().insert(CONTENT_TYPE, form.content_type());
            *request.body_mut() = form.into_body()?;
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
            let fields = request.headers_mut().entry(CONTENT_TYPE);
            fields.or_insert(HeaderValue::from_static("application/json"));
            Ok(())
        })
    }

    /// How long this exchange may take, body included, in place of the client's
    /// [`timeout`](crate::ClientConfig::timeout).
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.call.timeout = Some(limit);
        self
    }

    /// Which redirects are followed, in place of the client's [`redirects`](crate::ClientConfig::redirects).
    pub fn redirects(mut self, policy: RedirectPolicy) -> Self {
        self.call.redirects = Some(policy);
        self
    }

    /// How many bytes the response's body may have, in place of the client's [`max_body`](crate::ClientConfig::max_body).
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.call.max_body = Some(bytes);
        self
    }

    /// Makes a status of 400 or above an error of kind `Status`, which names the request. Its cause is a
    /// [`StatusError`](crate::StatusError).
    pub fn error_for_status(mut self) -> Self {
        self.call.refuse_error_status = true;
        self
    }

    /// Shows the request as it has been built so far, unless something in it is invalid.
    pub fn inspect(self, look: impl FnOnce(&Request)) -> Self {
        self.change(|request| {
            look(request);
            Ok(())
        })
    }

    /// Puts a value into the request's extensions, for the transport and for layers.
    pub fn extension<V: Clone + Send + Sync + 'static>(self, value: V) -> Self {
        self.change(|request| {
            request.extensions_mut().insert(value);
            Ok(())
        })
    }

    /// What the transport does otherwise for this request: time limits of each phase, which connection it may use, events and so on.
    pub fn options(self, options: RequestOptions) -> Self {
        self.extension(options)
    }

    /// Asks the transport to measure: [`ResponseExt::timings`](crate::ResponseExt::timings) has the result. Call it after
    /// [`options`](RequestBuilder::options).
    pub fn timings(self) -> Self {
        self.change(|request| {
            request.extensions_mut().get_or_insert_default::<RequestOptions>().timings = Some(true);
            Ok(())
        })
    }

    /// Sets the request's version of HTTP, for round trippers that look at it. The transport does not, as Go's: what it speaks is a
    /// setting of its own, [`Protocols`](roundtrip_transport::Protocols), or one of the request,
    /// [`RequestOptions::protocols`](roundtrip_transport::RequestOptions::protocols).
    pub fn version(self, version: Version) -> Self {
        self.change(|request| {
            *request.version_mut() = version;
            Ok(())
        })
    }

    /// Sets `Authorization: Basic`, in place of user name and password of the URL.
    pub fn basic_auth(self, username: &str, password: &str) -> Self {
        self.change(|request| {
            request.headers_mut().insert(AUTHORIZATION, BasicAuth::new(username, password).to_header_value());
            Ok(())
        })
    }

    /// Sets `Authorization: Bearer`.
    pub fn bearer_auth(self, token: &str) -> Self {
        self.change(|request| {
            // The token is not repeated in the error.
            let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|cause| {
                invalid("the bearer token has a character that no field can have").with_cause(cause)
            })?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
            Ok(())
        })
    }

    /// Sets the body to these values as a form, and `Content-Type: application/x-www-form-urlencoded`.
    ///
    /// Values are sent in the order in which they are given.
    pub fn form<N: AsRef<str>, V: AsRef<str>>(self, values: impl IntoIterator<Item = (N, V)>) -> Self {
        self.change(|request| {
            let mut text = String::new();
            for (name, value) in values {
                append_query(&mut text, name.as_ref().as_bytes(), value.as_ref().as_bytes());
            }
            *request.body_mut() = Body::from(text);
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            request.headers_mut().insert(CONTENT_TYPE, form);
            Ok(())
        })
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
        match self.request {
            Ok(request) => self.client.send(request, self.call),
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
        shown.field("call", &self.call).finish_non_exhaustive()
    }
}

/// Whether the strict parser has found all that a request needs, in a form that can be sent: a scheme, a host (without which it finds no
/// scheme), and a path with nothing that must be escaped. It would have a query without a path sent without a slash.
fn is_complete(uri: &Uri) -> bool {
    let is_ready = |target: &PathAndQuery| target.as_str().starts_with('/') && needs_no_escape(target.as_str());
    uri.scheme().is_some() && uri.path_and_query().is_some_and(is_ready)
}

fn with_credentials(uri: Uri, credentials: &BasicAuth) -> Result<Uri> {
    let encode = |bytes| percent_encoding::percent_encode(bytes, percent_encoding::NON_ALPHANUMERIC);
    let user_info = format!("{}:{}", encode(credentials.username_bytes()), encode(credentials.password_bytes()));
    let mut parts = uri.into_parts();
    let authority = parts.authority.as_ref().map_or("", |authority| authority.as_str());
    parts.authority = format!("{user_info}@{authority}").parse().ok();
    Uri::from_parts(parts).map_err(|cause| invalid("unusable URL").with_cause(cause))
}

fn unusable_url(url: &str) -> Error {
    let shown: String = mask(url).chars().take(200).collect();
    invalid(format!("unusable URL {shown:?}"))
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Request, message).with_phase(Phase::Prepare)
}
