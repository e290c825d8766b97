//! What a handler may return.

use std::borrow::Cow;
use std::convert::Infallible;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::{Body, Response};

/// A value that can stand as a response.
///
/// | value | status | `Content-Type` |
/// |---|---|---|
/// | `&str`, `String`, `Cow<str>` | 200 | `text/plain; charset=utf-8` |
/// | `Bytes`, `Vec<u8>`, `&'static [u8]` | 200 | `application/octet-stream` |
/// | [`Html`] | 200 | `text/html; charset=utf-8` |
/// | `Json` (feature `json`) | 200 | `application/json` |
/// | [`Body`], `()` | 200 | none |
/// | `StatusCode` | that | none, empty body |
/// | `(StatusCode, T)` | that | `T`'s |
/// | `(HeaderMap, T)`, `([(name, value); N], T)`, `(StatusCode, .., T)` | `T`'s or that | the given fields replace `T`'s of the same name |
/// | `Result<T, E>` | the side's | the side's |
/// | [`Response`] | as it is | as it is |
///
/// Fields given as `[(name, value); N]` must be valid; one that is not becomes a 500 that names it, rather than a panic.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned by a handler",
    note = "return text, bytes, a `StatusCode`, a `Response`, `(StatusCode, T)` or a `Result` of such values, or implement `IntoResponse`"
)]
pub trait IntoResponse {
    /// Makes the response.
    fn into_response(self) -> Response;
}

/// Text sent as `text/html; charset=utf-8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Html<T>(pub T);

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl IntoResponse for Body {
    fn into_response(self) -> Response {
        Response::new(self)
    }
}

impl IntoResponse for () {
    fn into_response(self) -> Response {
        Response::new(Body::empty())
    }
}

impl IntoResponse for Infallible {
    fn into_response(self) -> Response {
        match self {}
    }
}

impl IntoResponse for StatusCode {
    fn into_response(self) -> Response {
        with_status(self, Response::new(Body::empty()))
    }
}

/// Implements `IntoResponse` for types that are a body with a fixed media type.
macro_rules! body_of_type {
    ($content_type:literal: $($body:ty),+) => {$(
        impl IntoResponse for $body {
            fn into_response(self) -> Response {
                typed(HeaderValue::from_static($content_type), Body::from(self))
            }
        }
    )+};
}

body_of_type!("text/plain; charset=utf-8": &'static str, String, Cow<'static, str>);
body_of_type!("application/octet-stream": Bytes, Vec<u8>, &'static [u8]);

impl<T: Into<Body>> IntoResponse for Html<T> {
    fn into_response(self) -> Response {
        typed(HeaderValue::from_static("text/html; charset=utf-8"), self.0.into())
    }
}

impl<T: IntoResponse, E: IntoResponse> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(value) => value.into_response(),
            Err(error) => error.into_response(),
        }
    }
}

impl<T: IntoResponse> IntoResponse for (StatusCode, T) {
    fn into_response(self) -> Response {
        with_status(self.0, self.1.into_response())
    }
}

impl<T: IntoResponse> IntoResponse for (HeaderMap, T) {
    fn into_response(self) -> Response {
        let mut response = self.1.into_response();
        let fields = response.headers_mut();
        for name in self.0.keys() {
            fields.remove(name);
        }
        let mut last = None;
        for (name, value) in self.0 {
            // A repeated field comes without its name from the second value on.
            last = name.or(last);
            if let Some(name) = &last {
                fields.append(name.clone(), value);
            }
        }
        response
    }
}

impl<T: IntoResponse> IntoResponse for (StatusCode, HeaderMap, T) {
    fn into_response(self) -> Response {
        with_status(self.0, (self.1, self.2).into_response())
    }
}

impl<T: IntoResponse, V: AsRef<str>, const N: usize> IntoResponse for ([(&'static str, V); N], T) {
    fn into_response(self) -> Response {
        let mut fields = HeaderMap::with_capacity(N);
        for (name, value) in &self.0 {
            let parsed = (http::HeaderName::try_from(*name), HeaderValue::try_from(value.as_ref()));
            let (Ok(name), Ok(value)) = parsed else {
                let message = format!("the handler set an invalid header field: {name:?}: {:?}", value.as_ref());
                return (StatusCode::INTERNAL_SERVER_ERROR, message).into_response();
            };
            fields.append(name, value);
        }
        (fields, self.1).into_response()
    }
}

impl<T: IntoResponse, V: AsRef<str>, const N: usize> IntoResponse for (StatusCode, [(&'static str, V); N], T) {
    fn into_response(self) -> Response {
        let response = (self.1, self.2).into_response();
        if response.status() == StatusCode::INTERNAL_SERVER_ERROR { response } else { with_status(self.0, response) }
    }
}

fn with_status(status: StatusCode, mut response: Response) -> Response {
    *response.status_mut() = status;
    response
}

pub(crate) fn typed(content_type: HeaderValue, body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(response: &Response) -> Vec<String> {
        response.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    }

    #[test]
    fn given_fields_replace_those_of_the_value_and_may_repeat() {
        let response = ([("content-type", "text/css"), ("link", "a"), ("link", "b")], "body").into_response();
        assert_eq!(fields(&response), ["content-type: text/css", "link: a", "link: b"]);
        assert_eq!(response.body().content_length(), Some(4));
    }

    #[test]
    fn an_invalid_field_is_a_500_that_names_it() {
        let response = (StatusCode::CREATED, [("x-note", "a\r\nb: c")], "body").into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!response.headers().contains_key("x-note"));
    }

    #[test]
    fn status_and_nothing_else() {
        let response = StatusCode::NO_CONTENT.into_response();
        assert_eq!((response.status(), fields(&response).len()), (StatusCode::NO_CONTENT, 0));
    }
}
