//! `listen_and_serve`, with a handler or without.

use std::convert::Infallible;

use roundtrip_server::{ListenAddr, Server};
use roundtrip_types::{BoxHandler, Handler};

use crate::default_serve_mux;

/// Listens on `addr` and serves `handler`; with `None`, the [`default_serve_mux`]. Go's `http.ListenAndServe`.
///
/// Runs until the future is dropped or the listener breaks. For a graceful shutdown make a [`Server`].
///
/// # Errors
/// The address does not parse or resolve, or it cannot be listened on; see
/// [`Server::listen_and_serve`](Server::listen_and_serve).
///
/// # Cancel safety
/// Dropping the future closes the listener. Connections that were accepted go on until their clients leave.
///
/// # Examples
/// ```no_run
/// # async fn run() -> Result<(), roundtrip::ServerError> {
/// roundtrip::handle("/", |_req| async { "hello" });
/// roundtrip::listen_and_serve(":8080", None).await?;
/// # Ok(())
/// # }
/// # async fn one() -> Result<(), roundtrip::ServerError> {
/// roundtrip::listen_and_serve("127.0.0.1:8080", |_req| async { "always this" }).await?;
/// # Ok(())
/// # }
/// ```
pub async fn listen_and_serve<M>(
    addr: impl Into<ListenAddr>,
    handler: impl MaybeHandler<M>,
) -> Result<(), roundtrip_server::Error> {
    Server::new(handler.or_default()).listen_and_serve(addr).await
}

/// A [`Handler`], or `None` for the [`default_serve_mux`]. The parameter only tells the two apart.
pub trait MaybeHandler<M> {
    /// The handler, or the default mux.
    fn or_default(self) -> BoxHandler;
}

/// Marks a [`MaybeHandler`] that is a handler.
#[derive(Debug)]
pub enum Given {}

/// Marks a [`MaybeHandler`] that is `None`.
#[derive(Debug)]
pub enum NotGiven {}

/// What is never in the `None` that stands for the default mux.
#[derive(Debug)]
pub struct NoHandler(Infallible);

impl<H: Handler> MaybeHandler<Given> for H {
    fn or_default(self) -> BoxHandler {
        self.boxed()
    }
}

impl MaybeHandler<NotGiven> for Option<NoHandler> {
    fn or_default(self) -> BoxHandler {
        match self {
            Some(NoHandler(never)) => match never {},
            None => default_serve_mux().clone().boxed(),
        }
    }
}
