//! Letting layers around a router know what it has chosen.

use std::sync::{Arc, Mutex, PoisonError};

use crate::Route;

/// Where a router says which route it has taken: for logs and metrics that stand around it.
///
/// **Shape**: a layer puts one into the request's extensions, keeps a clone, and asks it when the response is there; the request
/// itself is gone by then. A router finds it there and calls [`set`](Self::set). Clones share the route. With routers inside of
/// each other the innermost one has the last word.
///
/// # Examples
/// ```
/// # use roundtrip_types::{Body, Request, RouteWatch};
/// let watch = RouteWatch::default();
/// let mut req = Request::new(Body::empty());
/// req.extensions_mut().insert(watch.clone());
/// // .. the request is served ..
/// assert!(watch.route().is_none(), "no router has seen it");
/// ```
#[derive(Clone, Debug, Default)]
pub struct RouteWatch(Arc<Mutex<Option<Arc<Route>>>>);

impl RouteWatch {
    /// Says that `route` was taken.
    pub fn set(&self, route: &Arc<Route>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(route));
    }

    /// The route that was taken; `None` if there was no router, or if it had none for the request.
    #[must_use]
    pub fn route(&self) -> Option<Arc<Route>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
