//! One immutable state of a router: what a lookup reads.

use std::borrow::Cow;
use std::panic::Location;
use std::sync::Arc;

use roundtrip_types::Route;

use crate::arena::Arena;
use crate::clean;
use crate::host::without_port;
use crate::lookup::{Outcome, Query, Spans, lookup};
use crate::methods::{MethodSet, Methods};
use crate::pattern::Pattern;
use crate::tree::RouteId;

/// A registered pattern, where that was, and its value.
#[derive(Debug)]
pub(crate) struct Entry<T> {
    pub(crate) pattern: Pattern,
    pub(crate) route: Arc<Route>,
    pub(crate) site: &'static Location<'static>,
    pub(crate) value: T,
}

#[derive(Debug)]
pub(crate) struct Table<T> {
    entries: Vec<Arc<Entry<T>>>,
    arena: Arena,
    methods: Methods,
}

/// What a lookup in a table has found, in numbers.
pub(crate) enum Answer<'p> {
    Found {
        route: RouteId,
        path: Cow<'p, str>,
        spans: Spans,
    },
    /// To this path, with a slash added if `slash` says so.
    Redirect {
        route: Option<RouteId>,
        path: Cow<'p, str>,
        slash: bool,
    },
    MethodNotAllowed(MethodSet),
    NotFound,
    Malformed,
}

impl<T> Table<T> {
    pub(crate) fn new(entries: Vec<Arc<Entry<T>>>, arena: Arena, methods: Methods) -> Self {
        Table { entries, arena, methods }
    }

    pub(crate) fn entry(&self, route: RouteId) -> &Arc<Entry<T>> {
        &self.entries[route as usize]
    }

    pub(crate) fn entries(&self) -> &[Arc<Entry<T>>] {
        &self.entries
    }

    pub(crate) fn methods(&self) -> &Methods {
        &self.methods
    }

    pub(crate) fn arena(&self) -> &Arena {
        &self.arena
    }

    /// Looks a request up. `redirect_host` is the host that decides on the slash redirect of a CONNECT request.
    ///
    /// Most paths are clean and unescaped, and are found by a plain reading. The others are prepared first.
    #[inline]
    pub(crate) fn at<'p>(&self, method: &str, redirect_host: &str, host: &str, path: &'p str) -> Answer<'p> {
        if method == "CONNECT" || !path.starts_with('/') || u32::try_from(path.len()).is_err() {
            return self.unusual(method, redirect_host, host, path);
        }
        let method = self.methods.id(method);
        let host = if self.arena.hosts.is_empty() { "" } else { without_port(host) };
        let query = Query { method, host, path, slash: true };
        match lookup::<PLAIN>(&self.arena, query) {
            Outcome::Found(route, spans) => Answer::Found { route, path: Cow::Borrowed(path), spans },
            Outcome::Slash(route) => Answer::Redirect { route: Some(route), path: Cow::Borrowed(path), slash: true },
            Outcome::Miss(allowed) if clean::is_plain_path(path.as_bytes()) => missed(allowed),
            Outcome::Miss(_) | Outcome::Odd => self.closely(query, path),
        }
    }

    #[cold]
    fn unusual<'p>(&self, method: &str, redirect_host: &str, host: &str, path: &'p str) -> Answer<'p> {
        if u32::try_from(path.len()).is_err() {
            return Answer::Malformed;
        }
        if method == "CONNECT" {
            return self.connect(redirect_host, host, path);
        }
        let query = Query { method: self.methods.id(method), host: without_port(host), path, slash: true };
        self.closely(query, path)
    }

    /// Looks a request up of which the path may have escapes, need some, or not be clean.
    #[cold]
    fn closely<'p>(&self, query: Query<'_>, path: &'p str) -> Answer<'p> {
        let Some(path) = clean::spelled(path) else { return Answer::Malformed };
        // The clean path borrows from `path`, so ownership is told apart here.
        let unclean = match clean::clean_path(&path) {
            Cow::Borrowed(_) => None,
            Cow::Owned(clean) => Some(clean),
        };
        let target = unclean.as_deref().unwrap_or(&path);
        let outcome = lookup::<CLOSE>(&self.arena, Query { path: target, ..query });
        match (outcome, unclean) {
            (Outcome::Slash(route), clean) => {
                Answer::Redirect { route: Some(route), path: clean.map_or(path, Cow::Owned), slash: true }
            }
            (Outcome::Found(route, _), Some(clean)) => {
                Answer::Redirect { route: Some(route), path: Cow::Owned(clean), slash: false }
            }
            (_, Some(clean)) => Answer::Redirect { route: None, path: Cow::Owned(clean), slash: false },
            (Outcome::Found(route, spans), None) => Answer::Found { route, path, spans },
            (Outcome::Miss(allowed), None) => missed(allowed),
            (Outcome::Odd, None) => Answer::NotFound,
        }
    }

    /// CONNECT keeps an unclean path and the port of its host; only the slash redirect applies.
    fn connect<'p>(&self, redirect_host: &str, host: &str, path: &'p str) -> Answer<'p> {
        let Some(path) = clean::spelled(path) else { return Answer::Malformed };
        let method = self.methods.id("CONNECT");
        let query = Query { method, host: redirect_host, path: &path, slash: !path.is_empty() };
        let allowed = match lookup::<CLOSE>(&self.arena, query) {
            Outcome::Slash(route) => {
                let clean = clean::clean_path(&path).into_owned();
                let slash = !clean.ends_with('/');
                return Answer::Redirect { route: Some(route), path: Cow::Owned(clean), slash };
            }
            Outcome::Miss(allowed) => allowed,
            Outcome::Found(..) | Outcome::Odd => MethodSet::default(),
        };
        match lookup::<CLOSE>(&self.arena, Query { host, slash: false, ..query }) {
            Outcome::Found(route, spans) => Answer::Found { route, path, spans },
            _ => missed(allowed),
        }
    }
}

fn missed<'p>(allowed: MethodSet) -> Answer<'p> {
    if allowed.is_empty() { Answer::NotFound } else { Answer::MethodNotAllowed(allowed) }
}

/// How `lookup` reads segments.
const PLAIN: bool = false;
const CLOSE: bool = true;
