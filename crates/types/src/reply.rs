//! Short answers in plain text.

use std::borrow::Cow;

use http::header::X_CONTENT_TYPE_OPTIONS;
use http::{HeaderValue, StatusCode};

use crate::respond::typed;
use crate::{Body, Handler, Request, Response};

/// An answer whose body says in plain text what is wrong: Go's `http.Error`.
///
/// **Shape**: `text/plain; charset=utf-8`, `X-Content-Type-Options: nosniff`, and `message` with a newline behind it. Do not put
/// into it what the client should not learn.
///
/// # Examples
/// ```
/// # use roundtrip_types::{error, Request, Response};
/// # use http::StatusCode;
/// async fn item(_req: Request) -> Response {
///     error(StatusCode::SERVICE_UNAVAILABLE, "the shelf is being tidied")
/// }
/// ```
#[must_use]
pub fn error(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Response {
    let mut text = message.into().into_owned();
    text.push('\n');
    plain(status, Body::from(text))
}

/// The answer to a request for nothing: Go's `http.NotFound`, 404 with `404 page not found`.
#[must_use]
pub fn not_found() -> Response {
    plain(StatusCode::NOT_FOUND, Body::from("404 page not found\n"))
}

/// A handler that answers every request with [`not_found`]: Go's `http.NotFoundHandler`.
#[derive(Clone, Copy, Debug, Default)]
pub struct NotFoundHandler;

impl Handler for NotFoundHandler {
    async fn serve_http(&self, _req: Request) -> Response {
        not_found()
    }
}

fn plain(status: StatusCode, body: Body) -> Response {
    let mut response = typed(HeaderValue::from_static("text/plain; charset=utf-8"), body);
    *response.status_mut() = status;
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;

    use super::*;
    use crate::MessageExt;

    #[tokio::test]
    async fn errors_are_plain_text_that_no_browser_guesses_about() {
        let response = error(StatusCode::CONFLICT, "<b>taken</b>");
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/plain; charset=utf-8");
        assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(response.text().await.unwrap(), "<b>taken</b>\n");
        let missing = NotFoundHandler.serve_http(Request::new(Body::empty())).await;
        assert_eq!(missing.status(), StatusCode::NOT_FOUND);
        assert_eq!(missing.text().await.unwrap(), "404 page not found\n");
    }
}
