//! The client: what every request of it has in common.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue, Method};
use roundtrip_transport::Transport;
use roundtrip_types::{Error, Request, Response, Result, RoundTripper};
use tokio::time::Instant;
use tower_layer::Layer;

use crate::builder::ClientBuilder;
use crate::cookies::Jar;
use crate::deadline;
use crate::exchange::{self, Call};
use crate::layer::{RoundTripService, ServiceRoundTripper};
use crate::redirect::RedirectPolicy;
use crate::request::{IntoUrl, RequestBuilder, RequestFuture};

/// The settings of a [`Client`]: a plain struct to fill in. End a literal with `..ClientConfig::default()`: later versions add
/// fields.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// How long a whole exchange may take, from the call until the last byte of the response's body has been read. The error says
    /// how far it had come, as [`Phase`](roundtrip_types::Phase).
    ///
    /// Default `None`, as Go's `Client.Timeout`: no limit of the client's own. Set one for every server that is not yours. A
    /// request can have [its own](RequestBuilder::timeout).
    pub timeout: Option<Duration>,

    /// Fields sent with every request that does not have them itself. Default: `User-Agent: roundtrip/VERSION`, as Go sends
    /// one too. Secrets among them stay behind when a redirect leaves the first host.
    pub headers: HeaderMap,

    /// Which redirects are followed. Default: up to nine, as Go's `Client.CheckRedirect`. A request can have
    /// [its own](RequestBuilder::redirects).
    pub redirects: RedirectPolicy,

    /// Where cookies are kept. Default `None`, as Go's `Client.Jar`: `Set-Cookie` is left to the caller. Use
    /// [`MemoryJar`](crate::MemoryJar) for a session.
    pub jar: Option<Arc<dyn Jar>>,

    /// How many bytes a response's body may have; reading more fails with kind `TooLarge`. Default `None`: no limit, as in Go.
    /// Set one where bodies are read into memory and the server is not yours. A request can have
    /// [its own](RequestBuilder::max_body).
    pub max_body: Option<usize>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("roundtrip/", env!("CARGO_PKG_VERSION"))));
        ClientConfig { timeout: None, headers, redirects: RedirectPolicy::default(), jar: None, max_body: None }
    }
}

/// Sends requests: Go's `http.Client`.
///
/// **Shape**: cheap to clone; clones share the transport and so its connections. Make one and keep it: a new client starts
/// without a single open connection. Redirects are followed, see [`RedirectPolicy`]; cookies are kept if it has a
/// [jar](ClientConfig::jar); user name and password of a URL become an `Authorization` field, and appear nowhere else.
///
/// # Examples
/// See the [crate's documentation](crate).
pub struct Client<T = Transport> {
    inner: Arc<Inner<T>>,
}

pub(crate) struct Inner<T> {
    pub(crate) transport: T,
    pub(crate) config: ClientConfig,
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

    /// Starts a client with settings of your own, step by step.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
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

    /// The same client with a tower layer around its transport: the layer sees every request, those after redirects included.
    ///
    /// Layers that are added later are further out. The service that the layer makes must be `Clone` and `Sync`; each request
    /// uses a clone.
    ///
    /// ```
    /// use roundtrip_client::{Client, RetryLayer};
    ///
    /// let client = Client::new().layer(RetryLayer::default());
    /// ```
    #[must_use]
    pub fn layer<L: Layer<RoundTripService<T>>>(&self, layer: L) -> Client<ServiceRoundTripper<L::Service>>
    where
        T: Clone,
        ServiceRoundTripper<L::Service>: RoundTripper,
    {
        let service = layer.layer(RoundTripService::new(self.inner.transport.clone()));
        Client::with_config(ServiceRoundTripper::new(service), self.inner.config.clone())
    }

    /// What sends the requests.
    #[must_use]
    pub fn transport(&self) -> &T {
        &self.inner.transport
    }

    pub(crate) fn inner(&self) -> &Inner<T> {
        &self.inner
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
    /// Whatever keeps the response's head from arriving, and redirects that cannot be followed; any status is a success. One
    /// line, see
    /// [`Error`](roundtrip_types::Error).
    ///
    /// # Cancel safety
    /// Dropping the future abandons the request; its connection is closed, others are not touched. Dropping the response's body
    /// before its end does the same.
    pub async fn execute(&self, req: Request) -> Result<Response> {
        self.clone().send(req, Call::default()).await
    }

    /// Sends `req`, in a future that borrows nothing. Boxed: it is large, and moved about.
    pub(crate) fn send(self, req: Request, mut call: Call) -> RequestFuture {
        match call.timeout.or(self.inner.config.timeout) {
            None => Box::pin(exchange::run(self, req, call)),
            Some(limit) => {
                (call.timeout, call.deadline) = (Some(limit), Instant::now().checked_add(limit));
                let (method, uri) = (req.method().clone(), req.uri().clone());
                Box::pin(deadline::within(limit, method, uri, exchange::run(self, req, call)))
            }
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
        self.clone().send(req, Call::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Client<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { transport, config } = &*self.inner;
        f.debug_struct("Client").field("transport", transport).field("timeout", &config.timeout).finish_non_exhaustive()
    }
}
