//! The shared vocabulary of `roundtrip`: what a request, a response, a body, a handler and a round trip are.
//!
//! [`Request`] and [`Response`] are the `http` crate's types around our [`Body`]; [`Handler`] answers requests (Go's
//! `http.Handler`), [`RoundTripper`] sends them (Go's `http.RoundTripper`). This crate does no I/O and knows neither tokio nor
//! hyper: depend on it to write a handler, a middleware or a transport that works with every other crate of the project.
//!
//! ```
//! use roundtrip_types::{Handler, Request, Response, IntoResponse, RequestExt};
//!
//! async fn greet(req: Request) -> impl IntoResponse {
//!     format!("hello from {}", req.uri().path())
//! }
//!
//! fn is_a_handler(_: impl Handler) {}
//! is_a_handler(greet);
//! is_a_handler(|_req| async { (http::StatusCode::CREATED, "made") });
//! ```
//!
//! The small formats of fields live here too, since both sides need them: [`Cookie`], [`BasicAuth`], [`HttpDate`],
//! [`FormValues`].
//!
//! # Features
//! - `json`: `Json` as a response, and `json()` on requests, responses and bodies.

#![forbid(unsafe_code)]

mod basic_auth;
mod body;
mod catch_panic;
mod charset;
mod cookie;
mod date;
mod error;
mod ext;
mod form;
mod handler;
#[cfg(feature = "json")]
mod json;
mod max_bytes;
mod media_type;
mod redirect;
mod reply;
mod respond;
mod round_trip;
mod route;
mod route_watch;
mod strip_prefix;
mod uri_reference;

pub use basic_auth::BasicAuth;
pub use body::{Body, BodySender, BodyStream, Replayer, SendError};
pub use catch_panic::CatchPanic;
pub use cookie::{Cookie, CookieError, SameSite};
pub use date::{HttpDate, HttpDateError};
pub use error::{BoxError, Error, ErrorKind, Phase, Result};
pub use ext::{MessageExt, RequestExt};
pub use form::{Form, FormFault, FormValues, append_query};
pub use handler::{BoxHandler, Handler, HandlerFuture};
#[cfg(feature = "json")]
pub use json::Json;
pub use max_bytes::MaxBytes;
pub use redirect::{RedirectHandler, redirect, redirect_from};
pub use reply::{NotFoundHandler, error, not_found};
pub use respond::{Html, IntoResponse};
pub use round_trip::{BoxRoundTripper, RoundTripFuture, RoundTripper};
pub use route::{PathValues, Route};
pub use route_watch::RouteWatch;
pub use strip_prefix::StripPrefix;
pub use uri_reference::{UriReference, UriReferenceError};

/// An HTTP request with our [`Body`]: Go's `http.Request`.
///
/// **Shape**: on the client the URI is absolute (`http://host:port/path?query`); on the server it is what stood in the request
/// line, most often the path and query alone. Conveniences come from [`RequestExt`] and [`MessageExt`].
pub type Request = http::Request<Body>;

/// An HTTP response with our [`Body`]: Go's `http.Response`. Conveniences come from [`MessageExt`].
pub type Response = http::Response<Body>;
