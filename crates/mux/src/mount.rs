//! One mux below a prefix of another.

use http::Uri;
use http::uri::PathAndQuery;
use roundtrip_types::{BoxHandler, Handler, Request, Response};

use crate::pattern::{Pattern, PatternError, PatternFault};

/// Where a mux is put: `[HOST]/PATH`. Whether it is the beginning of a pattern shows when it is put together with one.
pub(crate) struct Prefix<'a> {
    host: &'a str,
    path: &'a str,
}

impl<'a> Prefix<'a> {
    pub(crate) fn new(text: &'a str) -> Result<Self, PatternError> {
        if text.contains([' ', '\t']) {
            return Err(PatternError::whole(text, PatternFault::MethodInPrefix));
        }
        if !text.is_empty() && !text.contains('/') {
            return Err(PatternError::whole(text, PatternFault::MissingSlash));
        }
        let text = text.strip_suffix('/').unwrap_or(text);
        let (host, path) = text.split_at(text.find('/').unwrap_or(text.len()));
        Ok(Prefix { host, path })
    }

    /// The text of the pattern below this prefix.
    pub(crate) fn compose(&self, pattern: &Pattern) -> Result<String, PatternError> {
        let method = pattern.method().map(|method| format!("{method} ")).unwrap_or_default();
        let host = pattern.host().unwrap_or_default();
        let text = format!("{method}{}{host}{}{}", self.host, self.path, pattern.path());
        if !self.host.is_empty() && !host.is_empty() {
            return Err(PatternError::whole(&text, PatternFault::TwoHosts));
        }
        Ok(text)
    }

    /// The handler, which then does not see the prefix.
    pub(crate) fn stripped(&self, handler: BoxHandler) -> BoxHandler {
        Stripped { handler, segments: self.path.matches('/').count() }.boxed()
    }
}

/// A handler that does not see the first segments of the path: Go's `StripPrefix`, by segments instead of bytes.
struct Stripped {
    handler: BoxHandler,
    segments: usize,
}

impl Handler for Stripped {
    async fn serve_http(&self, mut req: Request) -> Response {
        if let Some(uri) = without_segments(req.uri(), self.segments) {
            *req.uri_mut() = uri;
        }
        self.handler.serve_http(req).await
    }
}

/// The URI without the first segments of its path; `None` if it has too few, which no request has that the pattern matched.
fn without_segments(uri: &Uri, segments: usize) -> Option<Uri> {
    let text = uri.path_and_query()?.as_str();
    let (start, _) = uri.path().match_indices('/').nth(segments)?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text.get(start..)?).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_taken_off_and_the_query_stays() {
        for (uri, segments, want) in [
            ("/api/users/5?q=/a", 1, Some("/users/5?q=/a")),
            ("/a%2Fb/c/", 1, Some("/c/")),
            ("/api/", 1, Some("/")),
            ("http://h.test/a/b/c", 2, Some("http://h.test/c")),
            ("/api", 1, None),
            ("/x", 0, Some("/x")),
        ] {
            let got = without_segments(&uri.parse().unwrap(), segments);
            assert_eq!(got.map(|uri| uri.to_string()).as_deref(), want, "{uri}");
        }
    }
}
