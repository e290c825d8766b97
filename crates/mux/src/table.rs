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
use crate::quick::{Said, quick};
use crate::tree::RouteId;
use crate::wilds::Wilds;
use crate::witness::matches_path;

/// A registered pattern, where that was, and its value.
#[derive(Debug)]
pub(crate) struct Entry<T> {
    pub(crate) pattern: Pattern,
    pub(crate) route: Arc<Route>,
    pub(crate) wilds: Arc<Wilds>,
    pub(crate) site: &'static Location<'static>,
    pub(crate) value: T,
}

impl<T> Entry<T> {
    /// The same with another value.
    pub(crate) fn with(&self, value: T) -> Self {
        let (pattern, route, wilds) = (self.pattern.clone(), Arc::clone(&self.route), Arc::clone(&self.wilds));
        Entry { pattern, route, wilds, site: self.site, value }
    }
}

#[derive(Debug)]
pub(crate) struct Table<T> {
    entries: Vec<Arc<Entry<T>>>,
    index: Index,
}

/// All of a table but the values, so that all of a lookup but the straight walk is compiled once, whatever the values are.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) arena: Arena,
    pub(crate) methods: Methods,
}

/// What a lookup in a table has found, in numbers.
#[derive(Debug)]
pub(crate) enum Answer<'p> {
    /// By a path that is spelled like this.
    Found(RouteId, Cow<'p, str>),
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
    /// The host of the URL, if that is known: it decides on the slash redirect of a CONNECT request.
    pub(crate) url_host: Option<&'a str>,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
}

impl Ask<'_> {
    /// Go takes the host of the URL, which a target in authority form has and one that is a path has not.
    fn redirect_host(&self) -> &str {
        self.url_host.unwrap_or(if self.path.is_empty() { self.host } else { "" })
    }
}

impl<T> Table<T> {
    pub(crate) fn new(entries: Vec<Arc<Entry<T>>>, arena: Arena, methods: Methods) -> Self {
        Table { entries, index: Index { arena, methods } }
    }

    #[inline]
    pub(crate) fn entry(&self, route: RouteId) -> &Arc<Entry<T>> {
        &self.entries[route as usize]
    }

    pub(crate) fn entries(&self) -> &[Arc<Entry<T>>] {
        &self.entries
    }

    pub(crate) fn arena(&self) -> &Arena {
        &self.index.arena
    }

    #[inline(always)]
    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    /// Looks a request up.
    pub(crate) fn at<'p>(&self, ask: &Ask<'p>) -> Answer<'p> {
        match self.index.quick(ask.method, ask.host, ask.path) {
            Said::Found { route, .. } => answer(Outcome::Found(route), ask.path),
            Said::Slash(route) => answer(Outcome::Slash(route), ask.path),
            Said::Miss(allowed) => missed(allowed),
            Said::Unclear => self.index.closely(ask),
        }
    }

    /// The names of a mask that a lookup gave, sorted.
    pub(crate) fn allowed(&self, mask: MethodMask, ask: &Ask<'_>) -> Vec<&str> {
        let mut names: Vec<_> = mask.iter().map(|method| self.index.methods.name(method)).collect();
        if mask.has_others() {
            names.extend(self.allowed_beyond_mask(ask));
        }
        names.sort_unstable();
        names
    }

    /// Those methods of a path that have no bit in a mask, found by trying every pattern: for routers with more than sixty
    /// methods.
    fn allowed_beyond_mask(&self, ask: &Ask<'_>) -> Vec<&str> {
        let host = if ask.method == "CONNECT" { ask.redirect_host() } else { without_port(ask.host) };
        let with_slash = format!("{}/", ask.path);
        let beyond = |method: &str| MethodMask::of(self.index.methods.id(method)).has_others();
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

impl Index {
    /// What the straight walk says, if it says something for certain. Most requests are answered by it.
    #[inline(always)]
    pub(crate) fn quick(&self, method: &str, host: &str, path: &str) -> Said {
        let method = self.methods.id(method);
        if method == MethodId::CONNECT {
            return Said::Unclear;
        }
        let own = if self.arena.hosts.is_empty() { 0 } else { self.host_root(host) };
        quick(&self.arena, own, method, path.as_bytes())
    }

    #[inline(never)]
    fn host_root(&self, host: &str) -> u32 {
        self.arena.host_root(without_port(host))
    }

    /// The answer to a request that the straight walk leaves open.
    #[cold]
    #[inline(never)]
    pub(crate) fn closely<'p>(&self, ask: &Ask<'p>) -> Answer<'p> {
        if u32::try_from(ask.path.len()).is_err() {
            return Answer::Malformed;
        }
        if ask.method == "CONNECT" {
            return self.connect(ask);
        }
        let host = if self.arena.hosts.is_empty() { "" } else { without_port(ask.host) };
        let query = Query { method: self.methods.id(ask.method), host, path: ask.path, slash: true };
        if clean::is_plain_path(ask.path.as_bytes()) {
            answer(lookup(&self.arena, query), ask.path)
        } else {
            self.spelled(query, ask.path)
        }
    }

    /// Looks a request up of which the path is not plain text or not clean.
    fn spelled<'p>(&self, query: Query<'_>, path: &'p str) -> Answer<'p> {
        let Some(path) = clean::spelled(path) else { return Answer::Malformed };
        // The clean path borrows from `path`, so ownership is told apart here.
        let unclean = match clean::clean_path(&path) {
            Cow::Borrowed(_) => None,
            Cow::Owned(clean) => Some(clean),
        };
        let target = unclean.as_deref().unwrap_or(&path);
        let outcome = lookup(&self.arena, Query { path: target, ..query });
        match (outcome, unclean) {
            (Outcome::Slash(route), clean) => {
                Answer::Redirect { route: Some(route), path: clean.map_or(path, Cow::Owned), slash: true }
            }
            (Outcome::Found(route), Some(clean)) => {
                Answer::Redirect { route: Some(route), path: Cow::Owned(clean), slash: false }
            }
            (_, Some(clean)) => Answer::Redirect { route: None, path: Cow::Owned(clean), slash: false },
            (Outcome::Found(route), None) => Answer::Found(route, path),
            (Outcome::Miss(allowed), None) => missed(allowed),
        }
    }

    /// CONNECT keeps an unclean path and the port of its host; only the slash redirect applies.
    fn connect<'p>(&self, ask: &Ask<'p>) -> Answer<'p> {
        let Some(path) = clean::spelled(ask.path) else { return Answer::Malformed };
        let method = self.methods.id(ask.method);
        let query = Query { method, host: ask.redirect_host(), path: &path, slash: !path.is_empty() };
        let allowed = match lookup(&self.arena, query) {
            Outcome::Slash(route) => {
                let clean = clean::clean_path(&path).into_owned();
                let slash = !clean.ends_with('/');
                return Answer::Redirect { route: Some(route), path: Cow::Owned(clean), slash };
            }
            Outcome::Miss(allowed) => allowed,
            Outcome::Found(_) => MethodMask::NONE,
        };
        match lookup(&self.arena, Query { host: ask.host, slash: false, ..query }) {
            Outcome::Found(route) => Answer::Found(route, path),
            _ => missed(allowed),
        }
    }
}

fn answer(outcome: Outcome, path: &str) -> Answer<'_> {
    match outcome {
        Outcome::Found(route) => Answer::Found(route, Cow::Borrowed(path)),
        Outcome::Slash(route) => Answer::Redirect { route: Some(route), path: Cow::Borrowed(path), slash: true },
        Outcome::Miss(allowed) => missed(allowed),
    }
}

fn missed<'p>(allowed: MethodMask) -> Answer<'p> {
    if allowed.is_empty() { Answer::NotFound } else { Answer::MethodNotAllowed(allowed) }
}
