//! The client: what every request of it has in common.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{Entry, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};
use roundtrip_transport::Transport;
use roundtrip_types::{Error, Request, Response, Result, RoundTripper};

use crate::deadline;
use crate::request::{IntoUrl, RequestBuilder, RequestFuture};

/// The settings of a [`Client`]: a plain struct to fill in. End a literal with `..ClientConfig::default()`: later versions add
/// fields.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// How long a whole exchange may take, from the call until the last byte of the response's body has been read.
    ///
    /// Default `None`, as Go's `Client.Timeout`: no limit of the client's own. Set one for every server that is not yours. A
    /// request can have [its own](RequestBuilder::timeout).
    pub timeout: Option<Duration>,

    /// Fields sent with every request that does not have them itself. Default: `User-Agent: roundtrip/VERSION`, as Go sends
    /// one too.
    pub headers: HeaderMap,
}

impl Default for ClientConfig {
    fn default() -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("roundtrip/", env!("CARGO_PKG_VERSION"))));
        ClientConfig { timeout: None, headers }
    }
}

/// Sends requests: Go's `http.Client`.
///
/// **Shape**: cheap to clone; clones share the transport and so its connections. Make one and keep it: a new client starts
/// without a single open connection. Redirects are not followed yet: a 3xx is returned as it is.
///
/// # Examples
/// See the [crate's documentation](crate).
pub struct Client<T = Transport> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    transport: T,
    config: ClientConfig,
}

impl<T> Clone for Client<T> {
    fn clone(&self) -> Self {
        Client { inner: Arc::clone(&self.inner) }
    }
}

impl Client {
    /// A client with a [`Transport`] of its own and the default settings.
    #[must_use]
    pub fn new() -> Self {
        Client::with_transport(Transport::new())
    }
}

impl Default for Client {
    fn default() -> Self {
        Client::new()
    }
}

impl<T: RoundTripper> Client<T> {
    /// A client over `transport`, with the default settings.
    #[must_use]
    pub fn with_transport(transport: T) -> Self {
        Client::with_config(transport, ClientConfig::default())
    }

    /// A client over `transport`, with settings of your own.
    #[must_use]
    pub fn with_config(transport: T, config: ClientConfig) -> Self {
        Client { inner: Arc::new(Inner { transport, config }) }
    }

    /// What sends the requests.
    #[must_use]
    pub fn transport(&self) -> &T {
        &self.inner.transport
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        &self.inner.config
    }

    /// Starts a GET.
    pub fn get(&self, url: impl IntoUrl) -> RequestBuilder<T> {
        self.request(Method::GET, url)
    }

    /// Starts a HEAD.
    pub fn head(&self, url: impl IntoUrl) -> RequestBuilder<T> {
        self.request(Method::HEAD, url)
    }

    /// Starts a POST.
    pub fn post(&self, url: impl IntoUrl) -> RequestBuilder<T> {
        self.request(Method::POST, url)
    }

    /// Starts a PUT.
    pub fn put(&self, url: impl IntoUrl) -> RequestBuilder<T> {
        self.request(Method::PUT, url)
    }

    /// Starts a PATCH.
    pub fn patch(&self, url: impl IntoUrl) -> RequestBuilder<T> {
        self.request(Method::PATCH, url)
    }

    /// Starts a DELETE.
    pub fn delete(&self, url: impl IntoUrl) -> RequestBuilder<T> {
        self.request(Method::DELETE, url)
    }

    /// Starts a request of any method. Nothing is sent before the builder is awaited; a bad URL is reported then.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> RequestBuilder<T> {
        RequestBuilder::new(self.clone(), method, url.into_url())
    }

    /// Sends a request that is already built: Go's `Client.Do`.
    ///
    /// # Errors
    /// Whatever keeps the response's head from arriving; any status is a success. One line, see
    /// [`Error`](roundtrip_types::Error).
    ///
    /// # Cancel safety
    /// Dropping the future abandons the request; its connection is closed, others are not touched. Dropping the response's body
    /// before its end does the same.
    pub async fn execute(&self, req: Request) -> Result<Response> {
        self.clone().send(req, self.inner.config.timeout).await
    }

    /// Sends `req`, in a future that borrows nothing. Boxed: it is large, and moved about.
    pub(crate) fn send(self, mut req: Request, timeout: Option<Duration>) -> RequestFuture {
        add_missing(req.headers_mut(), &self.inner.config.headers);
        match timeout {
            None => Box::pin(async move { self.inner.transport.round_trip(req).await }),
            Some(limit) => Box::pin(async move { deadline::round_trip(&self.inner.transport, req, limit).await }),
        }
    }
}

/// A client is a tower service, always ready; a call is [`execute`](Client::execute).
impl<T: RoundTripper> tower_service::Service<Request> for Client<T> {
    type Response = Response;
    type Error = Error;
    type Future = RequestFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: Request) -> RequestFuture {
        self.clone().send(req, self.inner.config.timeout)
    }
}

fn add_missing(fields: &mut HeaderMap, defaults: &HeaderMap) {
    for (name, value) in defaults {
        if let Entry::Vacant(entry) = fields.entry(name) {
            entry.insert(value.clone());
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Client<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { transport, config } = &*self.inner;
        f.debug_struct("Client").field("transport", transport).field("timeout", &config.timeout).finish_non_exhaustive()
    }
}
