//! The responses that a mux gives itself.

use http::header::CONNECTION;
use http::{HeaderName, HeaderValue, StatusCode, Version};
use roundtrip_types::{Request, Response, error};

/// 307 to another path of this host, with the request's query: Go's `Redirect`.
pub(crate) fn redirect(req: &Request, path: &str) -> Response {
    let status = StatusCode::TEMPORARY_REDIRECT;
    match req.uri().query().filter(|query| !query.is_empty()) {
        Some(query) => roundtrip_types::redirect(req, &format!("{path}?{query}"), status),
        None => roundtrip_types::redirect(req, path, status),
    }
}

/// 400, and the end of the connection, as Go's mux does it to `*`.
pub(crate) fn malformed(req: &Request) -> Response {
    let mut response = error(StatusCode::BAD_REQUEST, "Bad Request");
    if req.version() >= Version::HTTP_11 {
        set(&mut response, CONNECTION, "close");
    }
    response
}

/// Sets a field. The value is made of a URI's parts or of method names and so is valid; if it were not, the field would be missing.
pub(crate) fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use http::header::LOCATION;
    use roundtrip_types::{Body, MessageExt};

    use super::*;

    #[tokio::test]
    async fn a_query_cannot_break_out_of_the_redirects_link_or_field() {
        let req = http::Request::builder().uri("/x?a='&\u{e9}").body(Body::empty()).unwrap();
        let response = redirect(&req, "/x/");
        assert_eq!(response.headers()[LOCATION], "/x/?a='&%c3%a9");
        let body = response.text().await.unwrap();
        assert_eq!(body, "<a href=\"/x/?a=&#39;&amp;\u{e9}\">Temporary Redirect</a>.\n\n");
    }
}
