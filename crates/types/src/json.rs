//! JSON bodies (feature `json`).

use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::respond::typed;
use crate::{Body, IntoResponse, Response};

/// A value sent as `application/json`.
///
/// As a response its status is 200; a value that cannot be serialised (a map with keys that are not strings, say) becomes a 500
/// that gives serde's reason.
///
/// ```
/// use roundtrip_types::{IntoResponse, Json};
///
/// let response = Json([1, 2, 3]).into_response();
/// assert_eq!(response.headers()["content-type"], "application/json");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(text) => typed(HeaderValue::from_static("application/json"), Body::from(text)),
            Err(error) => {
                (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot write the JSON response: {error}")).into_response()
            }
        }
    }
}
