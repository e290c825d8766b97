//! The request multiplexer: a router of handlers that answers every request.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, LazyLock};

use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HOST, LOCATION, X_CONTENT_TYPE_OPTIONS};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Method, StatusCode, Version};
use roundtrip_types::{Body, BoxHandler, Handler, PathValues, Request, Response};

use crate::conflict::InsertError;
use crate::lookup::Spans;
use crate::matched::ranges;
use crate::pattern::Pattern;
use crate::router::Router;
use crate::table::Answer;

/// Sends each request to the handler of the most specific pattern that matches it: Go's `http.ServeMux`.
///
/// **Shape**: cheap to clone; clones share their patterns. See [`Pattern`] for what a pattern is and [`Router`] for which wins.
/// Registering while requests are served is legal and costs them no lock.
///
/// The handler finds the pattern and the values of its wildcards on the request, through
/// [`RequestExt`](roundtrip_types::RequestExt). What no handler takes is answered here:
///
/// | request | answer |
/// |---|---|
/// | path with `//`, `.` or `..` | 307 to the clean path, query kept |
/// | `/tree`, where only `/tree/` is registered | 307 to `/tree/`, query kept |
/// | path registered, method not | 405 with `Allow` |
/// | nothing registered | 404 |
/// | `*`, or a path with a bad escape | 400 |
///
/// `HEAD` is served by `GET` handlers, unless `HEAD` has its own.
///
/// # Examples
/// ```
/// use roundtrip_mux::ServeMux;
/// use roundtrip_types::{Request, RequestExt};
///
/// let mux = ServeMux::new();
/// mux.handle("GET /hello/{name}", |req: Request| async move { format!("hello {}", req.path_value("name")) });
/// mux.handle("/", |_req| async { "anything else" });
/// ```
#[derive(Clone, Default)]
pub struct ServeMux(Arc<Router<BoxHandler>>);

impl ServeMux {
    /// A mux without patterns: it answers 404.
    #[must_use]
    pub fn new() -> Self {
        ServeMux::default()
    }

    /// Registers a handler for a pattern: Go's `Handle` and `HandleFunc`.
    ///
    /// # Panics
    /// At the caller's line, if the pattern is none or conflicts with a registered one. [`try_handle`](ServeMux::try_handle)
    /// returns that instead.
    #[track_caller]
    pub fn handle(&self, pattern: &str, handler: impl Handler) {
        if let Err(error) = self.0.insert_at(pattern, handler.boxed(), Location::caller()) {
            panic!("{error}");
        }
    }

    /// Registers a handler for a pattern that may be wrong.
    ///
    /// # Errors
    /// The pattern is none, or it conflicts with registered ones; the mux is then as it was.
    #[track_caller]
    pub fn try_handle(&self, pattern: &str, handler: impl Handler) -> Result<(), InsertError> {
        self.0.insert_at(pattern, handler.boxed(), Location::caller())
    }

    /// All registered patterns, in the order of registration.
    #[must_use]
    pub fn patterns(&self) -> Vec<Pattern> {
        self.0.patterns()
    }

    /// Finds the handler for a request and leaves pattern and values on it, or answers it.
    fn route(&self, req: &mut Request) -> Routed {
        let uri = req.uri();
        let url_host = uri.authority().map_or("", host_and_port);
        let header = || req.headers().get(HOST).and_then(|host| host.to_str().ok());
        let host = if url_host.is_empty() { header().unwrap_or("") } else { url_host };
        let table = self.0.load();
        match table.at(req.method().as_str(), url_host, host, uri.path()) {
            Answer::Found { route, path, spans } => {
                let entry = table.entry(route);
                let Some(values) = path_values(&entry.route, path, req.uri().path_and_query(), &spans) else {
                    return Routed::Answered(plain_error(StatusCode::URI_TOO_LONG, "URI Too Long\n"));
                };
                let handler = entry.value.clone();
                drop(table);
                req.extensions_mut().insert(values);
                Routed::To(handler)
            }
            Answer::Redirect { path, slash, .. } => Routed::Answered(redirect(req, &path, slash)),
            Answer::MethodNotAllowed(methods) => {
                let allow = table.methods().names(&methods).join(", ");
                let mut response = plain_error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
                set(&mut response, ALLOW, &allow);
                Routed::Answered(response)
            }
            Answer::NotFound => Routed::Answered(plain_error(StatusCode::NOT_FOUND, "404 page not found\n")),
            Answer::Malformed => Routed::Answered(malformed(req)),
        }
    }
}

/// What becomes of a request.
enum Routed {
    To(BoxHandler),
    Answered(Response),
}

impl Handler for ServeMux {
    async fn serve_http(&self, mut req: Request) -> Response {
        match self.route(&mut req) {
            Routed::To(handler) => handler.serve_http(req).await,
            Routed::Answered(response) => response,
        }
    }
}

impl fmt::Debug for ServeMux {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServeMux").field(&self.0).finish()
    }
}

/// The mux of the whole process: Go's `http.DefaultServeMux`.
///
/// Patterns may be registered while it serves. A library should take a [`ServeMux`] instead, so that it cannot clash with
/// another over a pattern.
#[must_use]
pub fn default_serve_mux() -> &'static ServeMux {
    static DEFAULT: LazyLock<ServeMux> = LazyLock::new(ServeMux::new);
    &DEFAULT
}

/// The authority without user information, which takes no part in routing.
fn host_and_port(authority: &Authority) -> &str {
    authority.as_str().rsplit('@').next().unwrap_or_default()
}

/// The values of a match. `None` if the path, escaped where it had to be, has become too long for a URI.
fn path_values(
    route: &Arc<roundtrip_types::Route>,
    path: Cow<'_, str>,
    target: Option<&PathAndQuery>,
    spans: &Spans,
) -> Option<PathValues> {
    let text = match path {
        Cow::Borrowed(_) => target?.clone(),
        Cow::Owned(spelled) => spelled.parse().ok()?,
    };
    Some(PathValues::new(Arc::clone(route), text, ranges(spans, route)))
}

/// 307 to another path of this host, with the request's query.
fn redirect(req: &Request, path: &str, slash: bool) -> Response {
    let path = format!("{path}{}", if slash { "/" } else { "" });
    let location = match req.uri().query().filter(|query| !query.is_empty()) {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    if matches!(*req.method(), Method::GET | Method::HEAD) {
        set(&mut response, CONTENT_TYPE, "text/html; charset=utf-8");
    }
    if req.method() == Method::GET {
        let link = location.replace('&', "&amp;").replace('\'', "&#39;");
        *response.body_mut() = Body::from(format!("<a href=\"{link}\">Temporary Redirect</a>.\n\n"));
    }
    set(&mut response, LOCATION, &location);
    response
}

fn malformed(req: &Request) -> Response {
    let mut response = plain_error(StatusCode::BAD_REQUEST, "Bad Request\n");
    if req.version() >= Version::HTTP_11 {
        set(&mut response, CONNECTION, "close");
    }
    response
}

/// An error of which the body is text: Go's `http.Error`.
fn plain_error(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, "text/plain; charset=utf-8");
    set(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    response
}

/// Sets a field to a value that can only be invalid if a query holds what no URI may; the field is then left out.
fn set(response: &mut Response, name: http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use roundtrip_types::{MessageExt, RequestExt};

    use super::*;

    fn mux() -> ServeMux {
        let mux = ServeMux::new();
        for pattern in ["GET /users/{id}", "POST /users/{id}", "/tree/", "host.test/", "/{$}"] {
            mux.handle(pattern, |req: Request| async move { format!("{} id={}", req.pattern(), req.path_value("id")) });
        }
        mux
    }

    /// Status, the field that explains it, and the body.
    async fn ask(method: &str, target: &str) -> (u16, String, String) {
        let req = http::Request::builder().method(method).uri(target).header(HOST, "h.test:80").body(Body::empty());
        let response = mux().serve_http(req.unwrap()).await;
        let field = response.headers().get(LOCATION).or(response.headers().get(ALLOW)).cloned();
        let field = field.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        (response.status().as_u16(), field, response.text().await.unwrap())
    }

    #[tokio::test]
    async fn handlers_see_pattern_and_decoded_values() {
        assert_eq!(ask("GET", "/users/a%2Fb?q=1").await.2, "GET /users/{id} id=a/b");
        assert_eq!(ask("HEAD", "/users/7").await.2, "GET /users/{id} id=7");
        assert_eq!(ask("GET", "http://host.test:8080/users/7").await.2, "host.test/ id=");
        assert_eq!(ask("GET", "/users/\u{e9}").await.2, "GET /users/{id} id=\u{e9}");
    }

    #[tokio::test]
    async fn redirects_keep_query_and_escapes() {
        let (status, location, body) = ask("GET", "/x//../tree?a=1&b=%2F").await;
        assert_eq!((status, location.as_str()), (307, "/tree/?a=1&b=%2F"));
        assert_eq!(body, "<a href=\"/tree/?a=1&amp;b=%2F\">Temporary Redirect</a>.\n\n");
        assert_eq!(ask("POST", "//evil.test/%2F").await, (307, "/evil.test/%2F".into(), String::new()));
    }

    #[tokio::test]
    async fn what_no_handler_takes_is_answered() {
        assert_eq!(ask("PUT", "/users/7").await, (405, "GET, HEAD, POST".into(), "Method Not Allowed\n".into()));
        assert_eq!(ask("GET", "/none").await, (404, String::new(), "404 page not found\n".into()));
        assert_eq!(ask("OPTIONS", "*").await.0, 400);
        assert_eq!(ask("GET", "/users/%zz").await.0, 400);
    }

    #[tokio::test]
    async fn clones_share_patterns_and_registration_may_follow() {
        let mux = ServeMux::new();
        let clone = mux.clone();
        mux.handle("/late", |_req| async { "late" });
        let req = http::Request::builder().uri("/late").body(Body::empty()).unwrap();
        assert_eq!(clone.serve_http(req).await.text().await.unwrap(), "late");
        default_serve_mux().handle("/default", |_req| async { "default" });
        assert_eq!(default_serve_mux().patterns().len(), 1);
    }

    #[test]
    fn a_conflict_names_all_places_and_a_way_out() {
        let mux = mux();
        let error = mux.try_handle("/{group}/{id}", |_req| async {}).unwrap_err();
        let clashes = error.conflict().unwrap().clashes();
        let patterns: Vec<_> = clashes.iter().map(|clash| clash.pattern().as_str()).collect();
        assert_eq!(patterns, ["/tree/"]);
        assert!(clashes[0].site().file().ends_with("serve_mux.rs"));
    }
}
