//! Building a request, and sending it.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Version};
use roundtrip_client::{Progress, RedirectPolicy, RequestBuilder as AsyncBuilder};
use roundtrip_types::{Body, Request, Result, RoundTripper};

use super::{Response, wait};

/// A request in the making; [`send`](RequestBuilder::send) sends it. Each method does what that of
/// [`roundtrip::RequestBuilder`](crate::RequestBuilder) does.
#[must_use = "a request is sent by `send`"]
pub struct RequestBuilder<T> {
    builder: AsyncBuilder<T>,
}

impl<T: RoundTripper> RequestBuilder<T> {
    pub(super) fn new(builder: AsyncBuilder<T>) -> Self {
        RequestBuilder { builder }
    }

    fn change(self, change: impl FnOnce(AsyncBuilder<T>) -> AsyncBuilder<T>) -> Self {
        RequestBuilder { builder: change(self.builder) }
    }

    /// Adds a field. A name that is there already gets one more value.
    pub fn header<N, V>(self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: Into<http::Error>> + fmt::Debug + Clone,
        V: TryInto<HeaderValue, Error: Into<http::Error>>,
    {
        self.change(|builder| builder.header(name, value))
    }

    /// Sets fields; each replaces those of its name.
    pub fn headers(self, fields: HeaderMap) -> Self {
        self.change(|builder| builder.headers(fields))
    }

    /// Adds `name=value` to the URL's query.
    pub fn query(self, name: &str, value: impl fmt::Display) -> Self {
        self.change(|builder| builder.query(name, value))
    }

    /// Sets `Authorization: Basic`.
    pub fn basic_auth(self, username: &str, password: &str) -> Self {
        self.change(|builder| builder.basic_auth(username, password))
    }

    /// Sets `Authorization: Bearer`.
    pub fn bearer_auth(self, token: &str) -> Self {
        self.change(|builder| builder.bearer_auth(token))
    }

    /// Sets the body: text, bytes or a stream.
    pub fn body(self, body: impl Into<Body>) -> Self {
        self.change(|builder| builder.body(body))
    }

    /// Sets the body to the content of a file.
    pub fn file(self, path: impl AsRef<Path>) -> Self {
        self.change(|builder| builder.file(path))
    }

    /// Sets the body to a form.
    pub fn form<N: AsRef<str>, V: AsRef<str>>(self, values: impl IntoIterator<Item = (N, V)>) -> Self {
        self.change(|builder| builder.form(values))
    }

    /// Sets the body to a form with files.
    #[cfg(feature = "multipart")]
    pub fn multipart(self, form: crate::multipart::Form) -> Self {
        self.change(|builder| builder.multipart(form))
    }

    /// Sets the body to `value` as JSON.
    #[cfg(feature = "json")]
    pub fn json<V: serde::Serialize + ?Sized>(self, value: &V) -> Self {
        self.change(|builder| builder.json(value))
    }

    /// Tells `tell` how much of the body has been handed to the transport.
    pub fn upload_progress(self, tell: impl FnMut(Progress) + Send + 'static) -> Self {
        self.change(|builder| builder.upload_progress(tell))
    }

    /// How long this exchange may take, body included.
    pub fn timeout(self, limit: Duration) -> Self {
        self.change(|builder| builder.timeout(limit))
    }

    /// Which redirects are followed.
    pub fn redirects(self, policy: RedirectPolicy) -> Self {
        self.change(|builder| builder.redirects(policy))
    }

    /// How many bytes the response's body may have.
    pub fn max_body(self, bytes: usize) -> Self {
        self.change(|builder| builder.max_body(bytes))
    }

    /// Makes a status of 400 or above an error.
    pub fn error_for_status(self) -> Self {
        self.change(AsyncBuilder::error_for_status)
    }

    /// Puts a value into the request's extensions.
    pub fn extension<V: Clone + Send + Sync + 'static>(self, value: V) -> Self {
        self.change(|builder| builder.extension(value))
    }

    /// Sets the request's version of HTTP, for round trippers that look at it.
    pub fn version(self, version: Version) -> Self {
        self.change(|builder| builder.version(version))
    }

    /// The request, unsent.
    ///
    /// # Errors
    /// The first invalid thing that was put in.
    pub fn build(self) -> Result<Request> {
        self.builder.build()
    }

    /// Sends the request and waits for the response's head.
    ///
    /// # Errors
    /// Those of [`roundtrip::RequestBuilder::send`](crate::RequestBuilder::send), and that this is async code.
    pub fn send(self) -> Result<Response> {
        wait(self.builder.send())?.map(Response::new)
    }
}

impl<T> fmt::Debug for RequestBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("blocking::RequestBuilder").field(&self.builder).finish()
    }
}
