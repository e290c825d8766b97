//! Sending requests: Go's `http.RoundTripper`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::{Request, Response, Result};

/// Performs one HTTP exchange: sends a request, returns the response to it. Go's `http.RoundTripper`.
///
/// # Contract
/// - It does not interpret the response: a status of 404 or 302 is a success here. Redirects, cookies and the like belong to the
///   client above.
/// - The request's URI is absolute. The implementation owns the request; it may read its body before, while and even after the
///   response is returned, and it may repeat the exchange only where nobody can tell the difference (RFC 9110, section 9.2.2).
/// - The response's body is streamed: the connection is busy until the body was read to its end or dropped.
/// - Many exchanges may run at once on one value.
/// - Errors are one complete line and say whether the request may have been seen, see [`Error`](crate::Error).
///
/// # Cancel safety
/// Dropping the future abandons the exchange. An implementation must then either close the connection or bring it to a state
/// from which another request is safe, and must leave no task behind.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot send requests",
    note = "implement `RoundTripper`, or use `Transport`, which pools connections"
)]
pub trait RoundTripper: Send + Sync + 'static {
    /// Sends `req` and returns the response when its head has arrived.
    ///
    /// # Errors
    /// Whatever keeps the response from arriving, see [`ErrorKind`](crate::ErrorKind).
    fn round_trip(&self, req: Request) -> impl Future<Output = Result<Response>> + Send;

    /// This round tripper behind one pointer, so that its type need not be named.
    fn boxed(self) -> BoxRoundTripper
    where
        Self: Sized,
    {
        BoxRoundTripper(Arc::new(self))
    }
}

impl<T: RoundTripper> RoundTripper for Arc<T> {
    fn round_trip(&self, req: Request) -> impl Future<Output = Result<Response>> + Send {
        T::round_trip(self, req)
    }
}

/// Any [`RoundTripper`] behind a shared pointer. Cheap to clone; each call boxes its future, one allocation.
#[derive(Clone)]
pub struct BoxRoundTripper(Arc<dyn ErasedRoundTripper>);

/// The future of a [`BoxRoundTripper`].
pub type RoundTripFuture<'a> = Pin<Box<dyn Future<Output = Result<Response>> + Send + 'a>>;

trait ErasedRoundTripper: Send + Sync + 'static {
    fn round_trip_boxed(&self, req: Request) -> RoundTripFuture<'_>;
}

impl<T: RoundTripper> ErasedRoundTripper for T {
    fn round_trip_boxed(&self, req: Request) -> RoundTripFuture<'_> {
        Box::pin(self.round_trip(req))
    }
}

impl RoundTripper for BoxRoundTripper {
    fn round_trip(&self, req: Request) -> impl Future<Output = Result<Response>> + Send {
        self.0.round_trip_boxed(req)
    }

    fn boxed(self) -> BoxRoundTripper {
        self
    }
}

impl std::fmt::Debug for BoxRoundTripper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BoxRoundTripper(..)")
    }
}
