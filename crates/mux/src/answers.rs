//! The responses that a mux gives itself.

use http::header::{CONNECTION, CONTENT_TYPE, LOCATION, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use roundtrip_types::{Body, Request, Response};

/// 307 to another path of this host, with the request's query: Go's `Redirect`.
pub(crate) fn redirect(req: &Request, path: &str) -> Response {
    let location = match req.uri().query().filter(|query| !query.is_empty()) {
        Some(query) => format!("{path}?{}", ascii(query)),
        None => path.to_owned(),
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    if matches!(*req.method(), Method::GET | Method::HEAD) {
        set(&mut response, CONTENT_TYPE, "text/html; charset=utf-8");
    }
    if req.method() == Method::GET {
        let link = escape_html(&location);
        *response.body_mut() = Body::from(format!("<a href=\"{link}\">Temporary Redirect</a>.\n\n"));
    }
    set(&mut response, LOCATION, &location);
    response
}

/// 400, and the end of the connection, as Go's mux does it to `*`.
pub(crate) fn malformed(req: &Request) -> Response {
    let mut response = error(StatusCode::BAD_REQUEST, "Bad Request\n");
    if req.version() >= Version::HTTP_11 {
        set(&mut response, CONNECTION, "close");
    }
    response
}

/// A response of which the body says in plain text what is wrong: Go's `Error`.
pub(crate) fn error(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, "text/plain; charset=utf-8");
    set(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    response
}

/// Sets a field. The value is made of a URI's parts or of method names and so is valid; if it were not, the field would be missing.
pub(crate) fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}

/// A query with the bytes escaped that are not ASCII: fields hold none.
fn ascii(query: &str) -> String {
    let mut text = String::with_capacity(query.len());
    for byte in query.bytes() {
        if byte.is_ascii() { text.push(char::from(byte)) } else { text.push_str(&format!("%{byte:02x}")) }
    }
    text
}

fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use roundtrip_types::MessageExt;

    use super::*;

    #[tokio::test]
    async fn a_query_cannot_break_out_of_the_redirects_link_or_field() {
        let req = http::Request::builder().uri("/x?a='&\u{e9}").body(Body::empty()).unwrap();
        let response = redirect(&req, "/x/");
        assert_eq!(response.headers()[LOCATION], "/x/?a='&%c3%a9");
        let body = response.text().await.unwrap();
        assert_eq!(body, "<a href=\"/x/?a=&#39;&amp;%c3%a9\">Temporary Redirect</a>.\n\n");
    }
}
