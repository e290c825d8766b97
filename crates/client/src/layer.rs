//! Tower services below a client: middleware over the transport.

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Body as HttpBody;
use roundtrip_types::{Body, BoxError, Error, Request, Response, Result, RoundTripFuture, RoundTripper};
use tower_service::Service;

/// A tower service as a [`RoundTripper`], for example a transport with layers around it.
///
/// Each request takes a clone of the service, waits until it is ready and calls it. Errors that are ours come through unchanged.
/// [`Client::layer`](crate::Client::layer) makes it.
#[derive(Clone)]
pub struct ServiceRoundTripper<S>(S);

impl<S> ServiceRoundTripper<S> {
    /// `service` as a round tripper.
    pub const fn new(service: S) -> Self {
        ServiceRoundTripper(service)
    }

    /// The service.
    pub const fn service(&self) -> &S {
        &self.0
    }
}

impl<S, B> RoundTripper for ServiceRoundTripper<S>
where
    S: Service<Request, Response = http::Response<B>, Error: Into<BoxError>, Future: Send>,
    S: Clone + Send + Sync + 'static,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    fn round_trip(&self, req: Request) -> impl Future<Output = Result<Response>> + Send {
        let mut service = self.0.clone();
        async move {
            let foreign = |error: S::Error| Error::from_boxed(error.into());
            poll_fn(|cx| service.poll_ready(cx)).await.map_err(foreign)?;
            Ok(service.call(req).await.map_err(foreign)?.map(Body::new))
        }
    }
}

impl<S> fmt::Debug for ServiceRoundTripper<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceRoundTripper(..)")
    }
}

/// A [`RoundTripper`] as a tower service, always ready; each call boxes its future. Cheap to clone.
pub struct RoundTripService<T>(Arc<T>);

impl<T> RoundTripService<T> {
    /// `transport` as a service.
    pub fn new(transport: T) -> Self {
        RoundTripService(Arc::new(transport))
    }
}

impl<T> Clone for RoundTripService<T> {
    fn clone(&self) -> Self {
        RoundTripService(Arc::clone(&self.0))
    }
}

impl<T: RoundTripper> Service<Request> for RoundTripService<T> {
    type Response = Response;
    type Error = Error;
    type Future = RoundTripFuture<'static>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: Request) -> Self::Future {
        let transport = Arc::clone(&self.0);
        Box::pin(async move { transport.round_trip(req).await })
    }
}

impl<T> fmt::Debug for RoundTripService<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoundTripService(..)")
    }
}
