//! tower both ways: the mux and its handlers as services, services as handlers.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Body as HttpBody;
use roundtrip_types::{Body, BoxError, BoxHandler, Handler, IntoResponse, Request, Response};
use tower_service::Service;

use crate::serve_mux::ServeMux;

/// A registered handler as a tower service: what a layer is put around by [`ServeMux::wrap_routes`].
///
/// Always ready; never fails. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RouteService(BoxHandler);

impl RouteService {
    pub(crate) fn new(handler: BoxHandler) -> Self {
        RouteService(handler)
    }
}

/// The future of [`RouteService`] and of [`ServeMux`] as a service.
pub struct ServiceFuture(Pin<Box<dyn Future<Output = Response> + Send>>);

impl ServiceFuture {
    fn new(handler: impl Handler, req: Request) -> Self {
        ServiceFuture(Box::pin(async move { handler.serve_http(req).await }))
    }
}

impl Future for ServiceFuture {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for ServiceFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceFuture(..)")
    }
}

/// Bodies of any type are taken, so that a layer may change the request's body.
impl<B> Service<http::Request<B>> for RouteService
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = ServiceFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: http::Request<B>) -> ServiceFuture {
        ServiceFuture::new(self.0.clone(), req.map(Body::new))
    }
}

/// A mux can be hosted by everything that hosts tower services, and layers can be put around all of it.
///
/// Always ready; never fails.
impl<B> Service<http::Request<B>> for ServeMux
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = ServiceFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: http::Request<B>) -> ServiceFuture {
        ServiceFuture::new(self.clone(), req.map(Body::new))
    }
}

/// A tower service as a handler, to be registered under a pattern.
///
/// **Shape**: the service is cloned for each request, as tower's servers do, and awaited until it is ready. Its errors are made
/// into responses, so they must be [`IntoResponse`]: `Infallible` is, and most services of whole responses have it.
///
/// # Examples
/// ```
/// use roundtrip_mux::{ServeMux, ServiceHandler};
///
/// # fn service() -> impl tower_service::Service<
/// #     roundtrip_types::Request, Response = roundtrip_types::Response,
/// #     Error = std::convert::Infallible, Future: Send,
/// # > + Clone + Send + Sync + 'static { ServeMux::new() }
/// let mux = ServeMux::new();
/// mux.handle("/legacy/", ServiceHandler::new(service()));
/// ```
#[derive(Clone, Debug)]
pub struct ServiceHandler<S>(S);

impl<S> ServiceHandler<S> {
    /// A handler that asks `service`.
    pub fn new(service: S) -> Self {
        ServiceHandler(service)
    }
}

impl<S, B> Handler for ServiceHandler<S>
where
    S: Service<Request, Response = http::Response<B>, Error: IntoResponse, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    async fn serve_http(&self, req: Request) -> Response {
        let mut service = self.0.clone();
        if let Err(error) = std::future::poll_fn(|cx| service.poll_ready(cx)).await {
            return error.into_response();
        }
        match service.call(req).await {
            Ok(response) => response.map(Body::new),
            Err(error) => error.into_response(),
        }
    }
}
