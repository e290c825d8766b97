//! One immutable state of a router: what a lookup reads.

use std::borrow::Cow;
use std::panic::Location;
use std::sync::Arc;

use roundtrip_types::Route;

use crate::arena::Arena;
use crate::clean;
use crate::host::without_port;
use crate::lookup::{Outcome, Query, lookup};
use crate::methods::{MethodId, MethodMask, Methods};
use crate::pattern::Pattern;
use crate::quick::quick;
use crate::spans::Spans;
use crate::tree::RouteId;
use crate::witness::matches_path;

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
#[derive(Debug)]
pub(crate) enum Answer<'p> {
    /// The values lie where the lookup was told to leave them.
    Found(RouteId),
    /// To this path, with a slash added if `slash` says so.
    Redirect {
        route: Option<RouteId>,
        path: Cow<'p, str>,
        slash: bool,
    },
    MethodNotAllowed(MethodMask),
    NotFound,
    Malformed,
}

/// A request as a table takes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a str,
    /// The host that decides on the slash redirect of a CONNECT request.
    pub(crate) redirect_host: &'a str,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
}

impl<T> Table<T> {
    pub(crate) fn new(entries: Vec<Arc<Entry<T>>>, arena: Arena, methods: Methods) -> Self {
        Table { entries, arena, methods }
    }

    #[inline]
    pub(crate) fn entry(&self, route: RouteId) -> &Arc<Entry<T>> {
        &self.entries[route as usize]
    }

    pub(crate) fn entries(&self) -> &[Arc<Entry<T>>] {
        &self.entries
    }

    pub(crate) fn arena(&self) -> &Arena {
        &self.arena
    }

    /// Looks a request up.
    pub(crate) fn at<'p>(&self, ask: &Ask<'p>, spans: &mut Spans) -> Answer<'p> {
        match self.quick(ask, spans) {
            Ok(route) => Answer::Found(route),
            Err(said) => self.otherwise(ask, said, spans),
        }
    }

    /// What the straight walk says. Most requests that are found are found by it, so that the rest is kept out of the way.
    #[inline(always)]
    pub(crate) fn quick(&self, ask: &Ask<'_>, spans: &mut Spans) -> Result<RouteId, Option<Outcome>> {
        let (method, path) = (self.methods.id(ask.method), ask.path.as_bytes());
        if path.first() != Some(&b'/') || method == MethodId::CONNECT || path.len() > Spans::NEAR_PATH {
            return Err(None);
        }
        let root = if self.arena.hosts.is_empty() { 0 } else { self.arena.host_root(without_port(ask.host)) };
        quick(&self.arena, root, method, path, spans)
    }

    /// The answer to a request that the straight walk has not found.
    #[inline(never)]
    pub(crate) fn otherwise<'p>(&self, ask: &Ask<'p>, said: Option<Outcome>, spans: &mut Spans) -> Answer<'p> {
        match said {
            Some(outcome) => answer(outcome, ask.path),
            None if u32::try_from(ask.path.len()).is_err() => Answer::Malformed,
            None if ask.method == "CONNECT" => self.connect(ask, spans),
            None if clean::is_plain_path(ask.path.as_bytes()) => {
                answer(lookup(&self.arena, self.query(ask), spans), ask.path)
            }
            None => self.closely(self.query(ask), ask.path, spans),
        }
    }

    #[inline]
    fn query<'p>(&self, ask: &Ask<'p>) -> Query<'p> {
        let host = if self.arena.hosts.is_empty() { "" } else { without_port(ask.host) };
        Query { method: self.methods.id(ask.method), host, path: ask.path, slash: true }
    }

    /// Looks a request up of which the path is not plain text or not clean.
    fn closely<'p>(&self, query: Query<'_>, path: &'p str, spans: &mut Spans) -> Answer<'p> {
        let Some(path) = clean::spelled(path) else { return Answer::Malformed };
        // The clean path borrows from `path`, so ownership is told apart here.
        let unclean = match clean::clean_path(&path) {
            Cow::Borrowed(_) => None,
            Cow::Owned(clean) => Some(clean),
        };
        let target = unclean.as_deref().unwrap_or(&path);
        let outcome = lookup(&self.arena, Query { path: target, ..query }, spans);
        match (outcome, unclean) {
            (Outcome::Slash(route), clean) => {
                Answer::Redirect { route: Some(route), path: clean.map_or(path, Cow::Owned), slash: true }
            }
            (Outcome::Found(route), Some(clean)) => {
                Answer::Redirect { route: Some(route), path: Cow::Owned(clean), slash: false }
            }
            (_, Some(clean)) => Answer::Redirect { route: None, path: Cow::Owned(clean), slash: false },
            (Outcome::Found(route), None) => found(route, path, spans),
            (Outcome::Miss(allowed), None) => missed(allowed),
        }
    }

    /// CONNECT keeps an unclean path and the port of its host; only the slash redirect applies.
    fn connect<'p>(&self, ask: &Ask<'p>, spans: &mut Spans) -> Answer<'p> {
        let Some(path) = clean::spelled(ask.path) else { return Answer::Malformed };
        let method = self.methods.id(ask.method);
        let query = Query { method, host: ask.redirect_host, path: &path, slash: !path.is_empty() };
        let allowed = match lookup(&self.arena, query, spans) {
            Outcome::Slash(route) => {
                let clean = clean::clean_path(&path).into_owned();
                let slash = !clean.ends_with('/');
                return Answer::Redirect { route: Some(route), path: Cow::Owned(clean), slash };
            }
            Outcome::Miss(allowed) => allowed,
            Outcome::Found(_) => MethodMask::NONE,
        };
        match lookup(&self.arena, Query { host: ask.host, slash: false, ..query }, spans) {
            Outcome::Found(route) => found(route, path, spans),
            _ => missed(allowed),
        }
    }

    /// The names of a mask that a lookup gave, sorted.
    pub(crate) fn allowed(&self, mask: MethodMask, ask: &Ask<'_>) -> Vec<&str> {
        let mut names: Vec<_> = mask.iter().map(|method| self.methods.name(method)).collect();
        if mask.has_others() {
            names.extend(self.allowed_beyond_mask(ask));
        }
        names.sort_unstable();
        names
    }

    /// Those methods of a path that have no bit in a mask, found by trying every pattern: for routers with more than sixty
    /// methods.
    fn allowed_beyond_mask(&self, ask: &Ask<'_>) -> Vec<&str> {
        let host = if ask.method == "CONNECT" { ask.redirect_host } else { without_port(ask.host) };
        let with_slash = format!("{}/", ask.path);
        let beyond = |method: &str| MethodMask::of(self.methods.id(method)).has_others();
        let mut names: Vec<_> = self
            .entries
            .iter()
            .map(|entry| &entry.pattern)
            .filter(|pattern| pattern.host().is_none_or(|own| own == host))
            .filter(|pattern| matches_path(pattern, ask.path) || matches_path(pattern, &with_slash))
            .filter_map(|pattern| pattern.method().filter(|method| beyond(method)))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn found<'p>(route: RouteId, path: Cow<'p, str>, spans: &mut Spans) -> Answer<'p> {
    if let Cow::Owned(spelled) = path {
        spans.set_path(spelled);
    }
    Answer::Found(route)
}

fn answer(outcome: Outcome, path: &str) -> Answer<'_> {
    match outcome {
        Outcome::Found(route) => Answer::Found(route),
        Outcome::Slash(route) => Answer::Redirect { route: Some(route), path: Cow::Borrowed(path), slash: true },
        Outcome::Miss(allowed) => missed(allowed),
    }
}

fn missed<'p>(allowed: MethodMask) -> Answer<'p> {
    if allowed.is_empty() { Answer::NotFound } else { Answer::MethodNotAllowed(allowed) }
}
