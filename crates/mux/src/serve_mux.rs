//! The request multiplexer: a router of handlers that answers every request.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwapOption;
use http::header::{ALLOW, HOST};
use http::uri::Authority;
use http::{StatusCode, Uri};
use roundtrip_types::{
    BoxHandler, Handler, HandlerFuture, PathValues, Request, Response, RouteWatch, error, not_found,
};

use crate::answers;
use crate::conflict::InsertError;
use crate::mount::Prefix;
use crate::pattern::Pattern;
use crate::quick::Said;
use crate::router::Router;
use crate::service::{RouteService, ServiceHandler};
use crate::table::{Answer, Ask, Entry};
use crate::words::Slashes;

/// Sends each request to the handler of the most specific pattern that matches it: Go's `http.ServeMux`.
///
/// **Shape**: cheap to clone; clones share their patterns. See [`Pattern`] for what a pattern is and [`Router`] for which wins.
/// Registering while requests are served is legal and costs them no lock; the handlers of the first 64 registrations then live as
/// long as the mux, even where [`wrap_routes`](ServeMux::wrap_routes) has put others in their place.
///
/// The handler finds the pattern and the values of its wildcards on the request, through
/// [`RequestExt`](roundtrip_types::RequestExt). What no handler takes is answered here:
///
/// | request | answer |
/// |---|---|
/// | path with `//`, `.` or `..` | 307 to the clean path, query kept |
/// | `/tree`, where only `/tree/` is registered | 307 to `/tree/`, query kept |
/// | path registered, method not | 405 with `Allow`; see [`set_method_not_allowed`](ServeMux::set_method_not_allowed) |
/// | nothing registered | 404; see [`set_not_found`](ServeMux::set_not_found) |
/// | `*`, or a path with a bad escape | 400 |
///
/// `HEAD` is served by `GET` handlers, unless `HEAD` has its own. The host is that of the URI or else of the `Host` field,
/// compared byte by byte without its port. CONNECT requests keep an unclean path and the port.
///
/// `Differs from Go:` a wildcard never takes an empty segment, not even of a CONNECT request; the segment `%2F` is a value like
/// any other, and an escaped slash never separates segments; patterns are text, and a literal empty segment matches only an
/// empty one. Go's mux refuses bad escapes before it looks, its server does so here: the answer is the same 400.
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
pub struct ServeMux(Arc<Inner>);

#[derive(Default)]
struct Inner {
    router: Router<BoxHandler>,
    not_found: ArcSwapOption<BoxHandler>,
    method_not_allowed: ArcSwapOption<BoxHandler>,
}

impl ServeMux {
    /// A mux without patterns: it answers 404.
    #[must_use]
    pub fn new() -> Self {
        ServeMux::default()
    }

    /// Registers a handler for a pattern: Go's `Handle` and `HandleFunc`.
    ///
    /// Once requests have been served it takes time in proportion to all that is registered; then
    /// [`handle_all`](ServeMux::handle_all) is for many patterns.
    ///
    /// # Panics
    /// At the caller's line, if the pattern is none or conflicts with a registered one. [`try_handle`](ServeMux::try_handle)
    /// returns that instead.
    #[track_caller]
    pub fn handle(&self, pattern: &str, handler: impl Handler) {
        if let Err(error) = self.0.router.insert_at(pattern, handler.boxed(), Location::caller()) {
            panic!("{error}");
        }
    }

    /// Registers a handler for a pattern that may be wrong.
    ///
    /// # Errors
    /// The pattern is none, or it conflicts with registered ones; the mux is then as it was.
    #[track_caller]
    pub fn try_handle(&self, pattern: &str, handler: impl Handler) -> Result<(), InsertError> {
        self.0.router.insert_at(pattern, handler.boxed(), Location::caller())
    }

    /// Registers many handlers at once: all of them, or none.
    ///
    /// # Errors
    /// One error for each pattern that is none, or that conflicts with a registered one or one before it; the mux is then as it
    /// was.
    ///
    /// # Examples
    /// ```
    /// # use roundtrip_mux::ServeMux;
    /// # use roundtrip_types::Handler;
    /// let mux = ServeMux::new();
    /// mux.handle_all([
    ///     ("GET /a", (|_req| async { "a" }).boxed()),
    ///     ("GET /b", (|_req| async { "b" }).boxed()),
    /// ]).unwrap();
    /// assert_eq!(mux.patterns().len(), 2);
    /// ```
    #[track_caller]
    pub fn handle_all<P: AsRef<str>>(
        &self,
        routes: impl IntoIterator<Item = (P, BoxHandler)>,
    ) -> Result<(), Vec<InsertError>> {
        self.0.router.insert_all(routes)
    }

    /// Puts all patterns of another mux below a prefix, as it has them now: Go's `StripPrefix` with a mux in it.
    ///
    /// **Shape**: `prefix` is `[HOST]/PATH`, with wildcards if need be; a final slash makes no difference. Each pattern is
    /// registered whole, here: the pattern on a request is `/api/users/{id}`, conflicts with this mux's own patterns are found,
    /// and redirects and 405 know the whole path. The handler sees the URI without the prefix, `/users/5`, and the values of the
    /// prefix's wildcards too. A prefix with a host takes only patterns without one.
    ///
    /// `Differs from Go:` a request to `/api` is redirected to `/api/` only if the other mux has a pattern for `/`; what the
    /// other mux does not have is answered by this one's 404 and 405, and what it registers later is not taken over.
    ///
    /// # Panics
    /// At the caller's line, if a composed pattern is none or conflicts. [`try_mount`](ServeMux::try_mount) returns that instead.
    ///
    /// # Examples
    /// ```
    /// # use roundtrip_mux::ServeMux;
    /// # use roundtrip_types::{Request, RequestExt};
    /// let users = ServeMux::new();
    /// users.handle("GET /users/{id}", |req: Request| async move {
    ///     format!("{} at {} in {}", req.path_value("id"), req.uri().path(), req.path_value("tenant"))
    /// });
    /// let mux = ServeMux::new();
    /// mux.mount("/api/{tenant}", &users);
    /// assert_eq!(mux.patterns()[0].as_str(), "GET /api/{tenant}/users/{id}");
    /// ```
    #[track_caller]
    pub fn mount(&self, prefix: &str, other: &ServeMux) {
        if let Err(errors) = self.try_mount(prefix, other) {
            let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
            panic!("{}", lines.join("\n"));
        }
    }

    /// Puts all patterns of another mux below a prefix that may be wrong.
    ///
    /// # Errors
    /// One error for each composed pattern that is none or conflicts; the mux is then as it was. They name the places where the
    /// patterns were registered in the other mux.
    pub fn try_mount(&self, prefix: &str, other: &ServeMux) -> Result<(), Vec<InsertError>> {
        let prefix = Prefix::new(prefix).map_err(|error| vec![error.into()])?;
        let below = other.0.router.freeze();
        let (mut routes, mut errors) = (Vec::new(), Vec::new());
        for entry in below.entries() {
            match prefix.compose(&entry.pattern) {
                Ok(pattern) => routes.push((pattern, prefix.stripped(entry.value.clone()), entry.site)),
                Err(error) => errors.push(error.into()),
            }
        }
        if errors.is_empty() { self.0.router.insert_all_at(routes) } else { Err(errors) }
    }

    /// Puts a tower layer, or anything else that makes a service of a service, around each handler registered so far.
    ///
    /// **Shape**: runs after the pattern is known, so a layer sees [`pattern`](roundtrip_types::RequestExt::pattern) and is not
    /// asked about requests that no pattern takes. A layer put around the mux itself, which is a service, sees all requests.
    /// The last one put around is the first one asked. Bodies may be of any type. `layer` must not register patterns on this mux:
    /// registrations wait for each other.
    ///
    /// # Examples
    /// ```
    /// # use roundtrip_mux::ServeMux;
    /// # trait Layer<S> { type Service; fn layer(&self, inner: S) -> Self::Service; }
    /// # struct Trace;
    /// # impl<S> Layer<S> for Trace { type Service = S; fn layer(&self, inner: S) -> S { inner } }
    /// # let trace = Trace;
    /// let mux = ServeMux::new();
    /// mux.handle("GET /items/{id}", |_req| async { "an item" });
    /// mux.wrap_routes(|service| trace.layer(service));
    /// ```
    pub fn wrap_routes<S>(&self, mut layer: impl FnMut(RouteService) -> S)
    where
        ServiceHandler<S>: Handler,
    {
        self.0.router.map_values(|handler| ServiceHandler::new(layer(RouteService::new(handler.clone()))).boxed());
    }

    /// Lets a handler answer requests that no pattern takes, in place of the plain 404. It chooses the status itself.
    ///
    /// A pattern `/` takes such requests too, but turns every 405 into its own answer.
    pub fn set_not_found(&self, handler: impl Handler) {
        self.0.not_found.store(Some(Arc::new(handler.boxed())));
    }

    /// Lets a handler answer requests whose path has patterns, but none for the method, in place of the plain 405.
    ///
    /// It chooses the status itself. `Allow` is added to its response unless it is there.
    pub fn set_method_not_allowed(&self, handler: impl Handler) {
        self.0.method_not_allowed.store(Some(Arc::new(handler.boxed())));
    }

    /// All registered patterns, in the order of registration.
    #[must_use]
    pub fn patterns(&self) -> Vec<Pattern> {
        self.0.router.patterns()
    }

    /// The router inside, to look requests up without serving them: Go's `ServeMux.Handler`.
    #[must_use]
    pub fn router(&self) -> &Router<BoxHandler> {
        &self.0.router
    }

    /// Finds the handler for a request and leaves pattern and values on it, or says how it is answered: the way of those that the
    /// straight walk leaves open, and of those that no handler takes.
    fn route(&self, req: &mut Request) -> Routed {
        let uri = req.uri();
        let url_host = url_host(uri);
        let host = host(req);
        let ask = Ask { method: req.method().as_str(), url_host: Some(url_host), host, path: uri.path() };
        let table = self.0.router.table();
        let (route, path) = match table.at(&ask) {
            Answer::Found(route, Cow::Borrowed(_)) => (route, uri.path_and_query().cloned()),
            // Escaping may have made it too long for a URI.
            Answer::Found(route, Cow::Owned(spelled)) => (route, spelled.parse().ok()),
            Answer::Redirect { path, slash, .. } => {
                let path = if slash { format!("{path}/").into() } else { path };
                return Routed::Answered(answers::redirect(req, &path));
            }
            Answer::MethodNotAllowed(methods) => {
                return Routed::MethodNotAllowed(table.allowed(methods, &ask).join(", "));
            }
            Answer::NotFound => return Routed::NotFound,
            Answer::Malformed => return Routed::Answered(answers::malformed(req)),
        };
        let entry = table.entry(route);
        let Some(path) = path else {
            return Routed::Answered(error(StatusCode::URI_TOO_LONG, "URI Too Long"));
        };
        let shared = path.clone();
        let ranges = entry.wilds.ranges(Slashes::of(shared.path().as_bytes()));
        let values = PathValues::new(Arc::clone(&entry.route), path, ranges);
        leave(req, entry, values);
        Routed::To(entry.value.clone())
    }

    /// The future of a request that [`route`](Self::route) has to look at.
    #[cold]
    fn serve_closely(&self, mut req: Request) -> HandlerFuture<'_> {
        Box::pin(async move {
            match self.route(&mut req) {
                Routed::To(handler) => handler.serve_http(req).await,
                Routed::Answered(response) => response,
                Routed::MethodNotAllowed(allow) => self.method_not_allowed(req, allow).await,
                Routed::NotFound => self.not_found(req).await,
            }
        })
    }

    async fn not_found(&self, req: Request) -> Response {
        match self.0.not_found.load_full() {
            Some(handler) => handler.serve_http(req).await,
            None => not_found(),
        }
    }

    async fn method_not_allowed(&self, req: Request, allow: String) -> Response {
        let mut response = match self.0.method_not_allowed.load_full() {
            Some(handler) => handler.serve_http(req).await,
            None => error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"),
        };
        if !response.headers().contains_key(ALLOW) {
            answers::set(&mut response, ALLOW, &allow);
        }
        response
    }
}

/// What becomes of a request.
enum Routed {
    To(BoxHandler),
    Answered(Response),
    /// With the value of `Allow`.
    MethodNotAllowed(String),
    NotFound,
}

impl Handler for ServeMux {
    /// Calls the handler of nearly every request right here, and hands its future on: an async block around it would keep the
    /// request a second time, and move it there.
    fn serve_http(&self, mut req: Request) -> impl Future<Output = Response> + Send {
        let Some(table) = self.0.router.kept_table() else { return self.serve_closely(req) };
        let index = table.index();
        // Asked for only where it makes a difference.
        let host = if index.arena.hosts.is_empty() { "" } else { host(&req) };
        let uri = req.uri();
        let said = index.quick(req.method().as_str(), host, uri.path());
        let (Said::Found { route, slashes }, Some(path)) = (said, uri.path_and_query()) else {
            return self.serve_closely(req);
        };
        let entry = table.entry(route);
        let ranges = entry.wilds.ranges(Slashes::known(uri.path().as_bytes(), slashes));
        let values = PathValues::new(Arc::clone(&entry.route), path.clone(), ranges);
        leave(&mut req, entry, values);
        entry.value.serve_http(req)
    }
}

/// Leaves on a request what has been found for it.
fn leave(req: &mut Request, entry: &Entry<BoxHandler>, values: PathValues) {
    if let Some(watch) = req.extensions().get::<RouteWatch>() {
        watch.set(&entry.route);
    }
    req.extensions_mut().insert(values);
}

/// The host that a request is for, with its port: that of the target, or else of the `Host` field.
fn host(req: &Request) -> &str {
    let url_host = url_host(req.uri());
    if !url_host.is_empty() {
        return url_host;
    }
    req.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("")
}

fn url_host(uri: &Uri) -> &str {
    uri.authority().map_or("", host_and_port)
}

impl fmt::Debug for ServeMux {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServeMux").field(&self.0.router).finish()
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
pub(crate) fn host_and_port(authority: &Authority) -> &str {
    authority.as_str().rsplit('@').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::header::LOCATION;
    use roundtrip_types::{Body, MessageExt, RequestExt};

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

    /// After so many registrations tables come and go, and one may go before the request that was found in it.
    #[tokio::test]
    async fn a_request_outlives_the_table_that_it_was_found_in() {
        let mux = ServeMux::new();
        for n in 0..2 * crate::published::KEPT {
            let see = |req: Request| async move { format!("{} {}", req.pattern(), req.path_value("id")) };
            mux.handle(&format!("/{n}/{{id}}"), see);
            let serving = mux.serve_http(request(&format!("/{n}/seven")));
            mux.wrap_routes(|service| service);
            mux.wrap_routes(|service| service);
            assert_eq!(serving.await.text().await.unwrap(), format!("/{n}/{{id}} seven"));
        }
    }

    fn request(target: &str) -> Request {
        http::Request::builder().uri(target).body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn own_answers_to_misses() {
        let mux = mux();
        mux.set_not_found(|req: Request| async move { (StatusCode::GONE, format!("no {}", req.uri().path())) });
        mux.set_method_not_allowed(|_req| async { (StatusCode::METHOD_NOT_ALLOWED, "not so") });
        let gone = mux.serve_http(request("/none")).await;
        assert_eq!((gone.status(), gone.text().await.unwrap().as_str()), (StatusCode::GONE, "no /none"));
        let mut post = request("/users/7");
        *post.method_mut() = http::Method::PUT;
        let refused = mux.serve_http(post).await;
        assert_eq!((refused.status().as_u16(), &refused.headers()[ALLOW]), (405, &"GET, HEAD, POST".parse().unwrap()));
        assert_eq!(refused.text().await.unwrap(), "not so");
    }

    #[tokio::test]
    async fn mounted_handlers_see_the_rest_of_the_path_and_the_whole_pattern() {
        let see = |req: Request| async move {
            format!("{} {} {} {}", req.pattern(), req.uri(), req.path_value("org"), req.path_value("id"))
        };
        let (inner, middle, outer) = (ServeMux::new(), ServeMux::new(), ServeMux::new());
        inner.handle("GET /{id}", see);
        inner.handle("/{$}", see);
        middle.mount("/users/", &inner);
        outer.mount("h.test/api/{org}", &middle);
        let ask = async |target: &str| outer.serve_http(request(target)).await;
        let text = ask("http://h.test/api/o%2Fx/users/5?q=1").await.text().await.unwrap();
        assert_eq!(text, "GET h.test/api/{org}/users/{id} http://h.test/5?q=1 o/x 5");
        let text = ask("http://h.test/api/o/users/").await.text().await.unwrap();
        assert_eq!(text, "h.test/api/{org}/users/{$} http://h.test/ o ");
        let redirect = ask("http://h.test/api/o/users").await;
        assert_eq!(redirect.headers()[LOCATION], "/api/o/users/");
    }

    #[tokio::test]
    async fn a_layer_around_the_mux_learns_the_route_of_the_innermost() {
        let (inner, outer) = (ServeMux::new(), ServeMux::new());
        inner.handle("/in/{id}", |_req| async {});
        outer.handle("/in/", inner);
        for (target, want) in [("/in/7", Some("/in/{id}")), ("/in/", Some("/in/")), ("/none", None)] {
            let watch = RouteWatch::default();
            let mut req = request(target);
            req.extensions_mut().insert(watch.clone());
            outer.serve_http(req).await;
            assert_eq!(watch.route().as_deref().map(roundtrip_types::Route::pattern), want, "{target}");
        }
    }

    #[test]
    fn bad_prefixes_are_refused_whole() {
        let (inner, outer) = (ServeMux::new(), ServeMux::new());
        inner.handle("/a", |_req| async {});
        inner.handle("h.test/b", |_req| async {});
        for (prefix, faults) in [("GET /api", 1), ("api", 1), ("x.test/api", 1), ("/{x...}", 2), ("/{$}", 2)] {
            assert_eq!(outer.try_mount(prefix, &inner).unwrap_err().len(), faults, "{prefix}");
        }
        assert_eq!(outer.patterns(), []);
        outer.mount("", &inner);
        outer.mount("/", &ServeMux::new());
        assert_eq!(outer.patterns(), inner.patterns());
    }

    #[tokio::test]
    async fn layers_run_after_the_pattern_is_known_and_only_then() {
        /// A service that says what it saw.
        #[derive(Clone)]
        struct Seen<S>(S);

        impl<S> tower_service::Service<Request> for Seen<S>
        where
            S: tower_service::Service<Request, Response = Response, Error = std::convert::Infallible, Future: Send>,
            S: Clone + Send + 'static,
        {
            type Response = Response;
            type Error = std::convert::Infallible;
            type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response, Self::Error>> + Send>>;

            fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
                self.0.poll_ready(cx)
            }

            fn call(&mut self, req: Request) -> Self::Future {
                let (mut inner, pattern) = (self.0.clone(), req.pattern().to_owned());
                Box::pin(async move {
                    let mut response = inner.call(req).await?;
                    answers::set(&mut response, http::header::VIA, &pattern);
                    Ok(response)
                })
            }
        }

        let mux = mux();
        mux.wrap_routes(Seen);
        assert_eq!(mux.serve_http(request("/users/7")).await.headers()[http::header::VIA], "GET /users/{id}");
        assert!(!mux.serve_http(request("/none")).await.headers().contains_key(http::header::VIA));
        let mut whole = Seen(mux);
        let response = tower_service::Service::call(&mut whole, request("/none")).await.unwrap();
        assert_eq!(response.headers()[http::header::VIA], "");
    }

    #[test]
    #[should_panic(expected = "both match the same requests")]
    fn a_conflict_panics() {
        mux().handle("/tree/{rest...}", |_req| async {});
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
