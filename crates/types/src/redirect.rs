//! Sending a client elsewhere.

use std::borrow::Cow;

use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, StatusCode, Uri};

use crate::{Body, Handler, Request, Response, UriReference};

/// An answer that sends the client to `to`: Go's `http.Redirect`.
///
/// **Shape**: `to` may be a whole URI or a place relative to the request's path; the latter is made absolute and its `.` and
/// `..` and double slashes are removed, so that it cannot climb out or turn into another host. Query and fragment stay. Bytes
/// that cannot stand in a field are percent-escaped. `GET` and `HEAD` get a `Content-Type`, `GET` a line of HTML with the link.
///
/// The status is most often `MOVED_PERMANENTLY`, `FOUND`, `SEE_OTHER`, `TEMPORARY_REDIRECT` or `PERMANENT_REDIRECT`; the last
/// two keep method and body.
///
/// Never pass on a `to` that a client chose: a whole URI in it leads anywhere.
///
/// # Examples
/// ```
/// # use roundtrip_types::{redirect, Request, Response};
/// # use http::StatusCode;
/// async fn old(req: Request) -> Response {
///     redirect(&req, "../new/?from=old", StatusCode::FOUND)
/// }
/// ```
#[must_use]
pub fn redirect(req: &Request, to: &str, status: StatusCode) -> Response {
    redirect_from(Response::new(Body::empty()), req, to, status)
}

/// As [`redirect`], on a response that has fields already: Go's `http.Redirect` on a `ResponseWriter` with some set.
///
/// A response with a `Content-Type` keeps it, and its body; so does one for another method than `GET`.
#[must_use]
pub fn redirect_from(mut response: Response, req: &Request, to: &str, status: StatusCode) -> Response {
    let place = resolve(req.uri(), to);
    // Nothing is left in it that a field could not hold.
    let location = HeaderValue::from_str(&field_text(&place)).unwrap_or(HeaderValue::from_static("/"));
    *response.status_mut() = status;
    if !response.headers().contains_key(CONTENT_TYPE) {
        if matches!(*req.method(), Method::GET | Method::HEAD) {
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        }
        if *req.method() == Method::GET {
            let (link, reason) = (escape_html(&place), status.canonical_reason().unwrap_or_default());
            *response.body_mut() = Body::from(format!("<a href=\"{link}\">{reason}</a>.\n\n"));
        }
    }
    response.headers_mut().insert(LOCATION, location);
    response
}

/// A handler that sends every request to one place: Go's `http.RedirectHandler`.
#[derive(Clone, Debug)]
pub struct RedirectHandler {
    to: Cow<'static, str>,
    status: StatusCode,
}

impl RedirectHandler {
    /// Redirects to `to`, as [`redirect`] does.
    #[must_use]
    pub fn new(to: impl Into<Cow<'static, str>>, status: StatusCode) -> Self {
        RedirectHandler { to: to.into(), status }
    }
}

impl Handler for RedirectHandler {
    async fn serve_http(&self, req: Request) -> Response {
        redirect(&req, &self.to, self.status)
    }
}

/// The place that `to` means for a request of `from`. What is no relative reference is left as it is.
fn resolve<'a>(from: &Uri, to: &'a str) -> Cow<'a, str> {
    if !UriReference::parse(to).is_ok_and(|reference| reference.is_relative()) {
        return Cow::Borrowed(to);
    }
    let (path, query) = to.split_at(to.find('?').unwrap_or(to.len()));
    let mut segments = Vec::new();
    if !path.starts_with('/') {
        // What comes of the request is escaped as Go escapes it; what the program wrote is left to `field_text`.
        push_clean(&mut segments, from.path().rsplit_once('/').map_or("", |(folder, _)| folder), escape_segment);
    }
    push_clean(&mut segments, path, Cow::Borrowed);
    let mut place = String::with_capacity(from.path().len() + to.len() + 1);
    for segment in &segments {
        place.push('/');
        place.push_str(segment);
    }
    if place.is_empty() || path.ends_with('/') || path.is_empty() {
        place.push('/');
    }
    place.push_str(query);
    Cow::Owned(place)
}

/// Appends the segments of `path`: none that is empty or `.`, and `..` takes the last one away.
fn push_clean<'a>(segments: &mut Vec<Cow<'a, str>>, path: &'a str, spell: impl Fn(&'a str) -> Cow<'a, str>) {
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(spell(segment)),
        }
    }
}

/// A segment of a request's path with the bytes escaped that have no place in a URI (RFC 3986, section 3.3).
fn escape_segment(segment: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%[]".contains(&byte);
    if segment.bytes().all(plain) {
        return Cow::Borrowed(segment);
    }
    let mut escaped = String::with_capacity(segment.len() * 2);
    for byte in segment.bytes() {
        if plain(byte) { escaped.push(char::from(byte)) } else { escaped.push_str(&format!("%{byte:02X}")) }
    }
    Cow::Owned(escaped)
}

/// What a field can hold: bytes that are not ASCII, and control characters, are escaped, with small digits as in Go.
fn field_text(text: &str) -> Cow<'_, str> {
    let fits = |byte: u8| byte.is_ascii() && !byte.is_ascii_control();
    if text.bytes().all(fits) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if fits(byte) { escaped.push(char::from(byte)) } else { escaped.push_str(&format!("%{byte:02x}")) }
    }
    Cow::Owned(escaped)
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
    use super::*;
    use crate::MessageExt;

    fn location(target: &str, to: &str) -> String {
        let req = http::Request::builder().uri(target).body(Body::empty()).unwrap();
        redirect(&req, to, StatusCode::FOUND).headers()[LOCATION].to_str().unwrap().to_owned()
    }

    #[test]
    fn a_relative_place_is_made_absolute_and_clean() {
        for (target, to, want) in [
            ("/shop/cart", "x", "/shop/x"),
            ("/shop/cart", "", "/shop/"),
            ("/shop/cart?id=7", "../../x?q=/..", "/x?q=/.."),
            ("/a/b%2Fc/d", "..", "/a"),
            ("/a", "//", "/"),
            ("/a", "//cdn.test/../x", "//cdn.test/../x"),
            ("/caf%C3%A9/x", "\u{fc}", "/caf%C3%A9/%c3%bc"),
            ("/caf\u{e9}/x", "y", "/caf%C3%A9/y"),
            ("/a", "x\r\nSet-Cookie: a=b", "x%0d%0aSet-Cookie: a=b"),
        ] {
            assert_eq!(location(target, to), want, "{to:?} from {target}");
        }
    }

    #[tokio::test]
    async fn the_link_in_the_body_cannot_break_out_of_it() {
        let req = http::Request::builder().uri("/").body(Body::empty()).unwrap();
        let response = RedirectHandler::new("/x?a=\"><script>", StatusCode::SEE_OTHER).serve_http(req).await;
        assert_eq!(response.text().await.unwrap(), "<a href=\"/x?a=&#34;&gt;&lt;script&gt;\">See Other</a>.\n\n");
    }
}
