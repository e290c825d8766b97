//! Serving a handler below a prefix.

use http::Uri;
use http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;

use crate::{Handler, Request, Response, not_found};

/// A handler that does not see the first segments of the path: Go's `http.StripPrefix`.
///
/// Requests whose path does not begin with the prefix get 404. To serve a mux below a prefix, mount it instead: patterns,
/// conflicts and redirects then know the whole path.
///
/// **Shape**: `prefix` is plain text, such as `/api` or `/my files`, and is compared with the request's path segment by segment,
/// decoded; a final slash makes no difference, except that `/api/` is not found below `/api`. The handler sees the rest of the
/// path with its escapes as they were, and the query.
///
/// `Differs from Go:` the rest always begins with a slash, because the path of an [`http::Uri`] does: `/api/x` without `/api/`
/// is `/x`, and `/api` without `/api` is `/`. A prefix that ends inside a segment is none, so that `/api` does not take
/// `/apiary`. And how the client has escaped the prefix does not matter: `/%61pi/x` is below `/api`.
///
/// # Examples
/// ```
/// # use roundtrip_types::{Handler, Request, StripPrefix};
/// let files = |req: Request| async move { format!("the file {}", req.uri().path()) };
/// let handler = StripPrefix::new("/static", files);
/// # fn is_a_handler(_: impl Handler) {}
/// # is_a_handler(handler);
/// ```
#[derive(Clone, Debug)]
pub struct StripPrefix<H> {
    segments: Box<[Box<str>]>,
    /// Whether the prefix is everything up to and including a slash.
    slash: bool,
    /// Whether the prefix is a path at all. Go takes any text, and one without its slash takes no request.
    rooted: bool,
    handler: H,
}

impl<H> StripPrefix<H> {
    /// Serves `handler` below `prefix`.
    #[must_use]
    pub fn new(prefix: &str, handler: H) -> Self {
        let rooted = prefix.is_empty() || prefix.starts_with('/');
        let slash = prefix.ends_with('/');
        let inner = prefix.strip_prefix('/').unwrap_or(prefix);
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        // "" and "/" have no segments; "//" has one that is empty.
        let none = prefix.len() < 2;
        let segments = if none { Vec::new() } else { inner.split('/').map(Into::into).collect() };
        StripPrefix { segments: segments.into(), slash, rooted, handler }
    }

    /// The URI without the prefix; `None` if it does not begin with it.
    fn strip(&self, uri: &Uri) -> Option<Uri> {
        if !self.rooted {
            return None;
        }
        if self.segments.is_empty() && !self.slash {
            return Some(uri.clone());
        }
        let text = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let path = uri.path();
        let mut at = 0;
        for segment in &self.segments {
            let rest = path[at..].strip_prefix('/')?;
            let length = rest.find('/').unwrap_or(rest.len());
            let same = percent_decode_str(&rest[..length]).eq(segment.bytes());
            at = same.then_some(at + 1 + length)?;
        }
        if self.slash && !path[at..].starts_with('/') {
            return None;
        }
        let rest = match &text[at..] {
            rest if rest.starts_with('/') => PathAndQuery::try_from(rest),
            rest => PathAndQuery::try_from(format!("/{rest}")),
        };
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(rest.ok()?);
        Uri::from_parts(parts).ok()
    }
}

impl<H: Handler> Handler for StripPrefix<H> {
    async fn serve_http(&self, mut req: Request) -> Response {
        match self.strip(req.uri()) {
            Some(uri) => {
                *req.uri_mut() = uri;
                self.handler.serve_http(req).await
            }
            None => not_found(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_compared_decoded_and_the_rest_is_kept_as_it_was() {
        for (prefix, uri, want) in [
            ("/api", "/api/v1?q=/api", Some("/v1?q=/api")),
            ("/api", "/api?q", Some("/?q")),
            ("/api", "/api", Some("/")),
            ("/api/", "/api/v1", Some("/v1")),
            ("/api/", "/api", None),
            ("/api", "/apiary", None),
            ("/api", "//api/x", None),
            ("/api", "/api//x", Some("//x")),
            ("api", "/api/x", None),
            ("", "/a/b", Some("/a/b")),
            ("/", "/a/b", Some("/a/b")),
            ("/a b", "/a%20b/c%2Fd", Some("/c%2Fd")),
            ("/a%20b", "/a%20b/c", None),
            ("/a/b", "/a%2Fb/c", None),
            ("/a%2Fb", "/a%2Fb/c", None),
            ("/api", "/%61pi/x", Some("/x")),
            ("/\u{e9}", "/%C3%A9/x", Some("/x")),
            ("/api", "http://h.test/api/x", Some("http://h.test/x")),
            ("/api", "*", None),
            ("/", "*", None),
            ("", "*", Some("*")),
        ] {
            let got = StripPrefix::new(prefix, ()).strip(&uri.parse().unwrap());
            assert_eq!(got.map(|uri| uri.to_string()).as_deref(), want, "{uri} without {prefix}");
        }
    }
}
