//! Repeating requests that failed: an opt-in layer.

mod budget;
mod rules;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use roundtrip_types::{Error, Request, Response, Result};
use tokio::time::sleep;
use tower_layer::Layer;
use tower_service::Service;

pub use budget::RetryBudget;

use crate::exchange::drain;
use rules::Spare;

/// When a request is repeated, and after what time: a plain struct to fill in. End a literal with `..RetryConfig::default()`:
/// later versions add fields.
///
/// The transport repeats by itself what was lost to a connection that was closed while it lay idle; that needs no configuration.
/// This is for what remains: servers that are overloaded, restarting or out of reach for a moment. Go has nothing like it.
#[derive(Clone, Debug)]
pub struct RetryConfig {
    /// How often a request is sent at most, the first time included. Default 3; 1 turns repeating off.
    pub max_attempts: u32,

    /// Methods that may be repeated although the server may have seen the request. Default: those that RFC 9110, section 9.2.2,
    /// calls idempotent, namely GET, HEAD, OPTIONS, TRACE, PUT and DELETE. A request with an `Idempotency-Key` field may be
    /// repeated whatever its method, and so may every request of which nothing was sent.
    pub methods: Vec<Method>,

    /// Statuses that are worth another attempt. Default: 429, 502, 503 and 504.
    pub statuses: Vec<StatusCode>,

    /// The longest wait before the second attempt; it doubles with each further one. The wait itself is random between nothing
    /// and that, so that clients that failed together do not come back together. Default 100 ms.
    pub base_delay: Duration,

    /// The longest wait of all. Default 10 s.
    pub max_delay: Duration,

    /// How long a server may ask for with `Retry-After`. If it asks for more, its response is returned. Default 60 s.
    pub max_retry_after: Duration,

    /// What all users of this configuration may spend on repeating, so that a server in trouble does not get several times its
    /// usual load. Default: a fifth of the requests and ten a second. `None`: no limit.
    pub budget: Option<RetryBudget>,
}

impl Default for RetryConfig {
    fn default() -> Self {
        let idempotent = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::PUT, Method::DELETE];
        let statuses =
            [429, 502, 503, 504].map(|status| StatusCode::from_u16(status).expect("a status has three digits"));
        RetryConfig {
            max_attempts: 3,
            methods: idempotent.into(),
            statuses: statuses.into(),
            base_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(10),
            max_retry_after: Duration::from_secs(60),
            budget: Some(RetryBudget::default()),
        }
    }
}

/// A tower layer that repeats requests that failed.
///
/// A request is repeated if its body can be sent again ([`Body::try_clone`](roundtrip_types::Body::try_clone)), it may be sent
/// twice, the [budget](RetryConfig::budget) allows it, and
/// - no connection could be made, the connection broke before a response, or a limit on time of the transport ran out; or
/// - the response has one of the [statuses](RetryConfig::statuses). Then `Retry-After` is followed.
///
/// The last outcome is returned as it is. A time limit of the client covers all attempts and the waits between them.
///
/// # Cancel safety
/// Dropping the future abandons the attempt that runs, or the wait.
///
/// # Examples
/// ```
/// use roundtrip_client::{Client, RetryConfig, RetryLayer};
///
/// let client = Client::new().layer(RetryLayer::new(RetryConfig { max_attempts: 5, ..RetryConfig::default() }));
/// ```
#[derive(Clone, Debug)]
pub struct RetryLayer {
    config: Arc<RetryConfig>,
}

impl RetryLayer {
    /// A layer with these settings. All services that it makes share its budget.
    #[must_use]
    pub fn new(config: RetryConfig) -> Self {
        RetryLayer { config: Arc::new(config) }
    }
}

impl Default for RetryLayer {
    fn default() -> Self {
        RetryLayer::new(RetryConfig::default())
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry { inner, config: Arc::clone(&self.config) }
    }
}

/// The service of a [`RetryLayer`].
#[derive(Clone)]
pub struct Retry<S> {
    inner: S,
    config: Arc<RetryConfig>,
}

/// How often a request was sent, in the extensions of a response that took more than one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts(pub u32);

impl<S> Service<Request> for Retry<S>
where
    S: Service<Request, Response = Response, Error = Error, Future: Send> + Clone + Send + 'static,
{
    type Response = Response;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: Request) -> Self::Future {
        // The one that is ready makes the first attempt, its clone the others.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(run(inner, Arc::clone(&self.config), req))
    }
}

async fn run<S>(mut service: S, config: Arc<RetryConfig>, mut req: Request) -> Result<Response>
where
    S: Service<Request, Response = Response, Error = Error>,
{
    if let Some(budget) = &config.budget {
        budget.deposit();
    }
    let mut attempt = 1;
    loop {
        let spare = (attempt < config.max_attempts).then(|| Spare::of(&req)).flatten();
        let outcome = service.call(req).await;
        let again = spare.and_then(|spare| {
            let wait = config.wait(&spare, &outcome, attempt, SystemTime::now())?;
            let may = config.budget.as_ref().is_none_or(RetryBudget::withdraw);
            may.then_some((spare, wait))
        });
        let Some((spare, wait)) = again else {
            return outcome.map(|mut response| {
                if attempt > 1 {
                    response.extensions_mut().insert(Attempts(attempt));
                }
                response
            });
        };
        if let Ok(response) = outcome {
            drain(response.into_body()).await;
        }
        sleep(wait).await;
        req = spare.into_request();
        std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
        attempt += 1;
    }
}

impl<S> fmt::Debug for Retry<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry").field("config", &self.config).finish_non_exhaustive()
    }
}
