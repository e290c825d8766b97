//! What a lookup answers, and the values of a match.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use arc_swap::Guard;
use percent_encoding::percent_decode_str;
use roundtrip_types::Route;

use crate::methods::MethodMask;
use crate::pattern::Pattern;
use crate::quick::Said;
use crate::table::{Answer, Ask, Entry, Table};
use crate::tree::RouteId;
use crate::wilds::Ranges;
use crate::words::Slashes;

/// What a router says about a request: Go's `ServeMux.Handler`, put as a value.
///
/// Holds on to the state of the router that it was looked up in, so later registrations do not change it. Keep it no longer
/// than a request lasts.
#[non_exhaustive]
pub enum Match<'a, T> {
    /// A pattern takes the request.
    Found(Found<'a, T>),
    /// The request should be repeated with another path: the clean one, or one with a final slash. Status 307.
    Redirect(Redirect<'a, T>),
    /// Patterns match the path, but none takes the method. Status 405.
    MethodNotAllowed(Allowed<'a, T>),
    /// No pattern matches the path. Status 404.
    NotFound,
    /// The path is none: an escape is bad, a control character stands in it, or it does not begin with a slash. Status 400.
    Malformed,
}

/// The table that a match was found in, borrowed or held.
pub(crate) enum Held<'a, T> {
    Borrowed(&'a Table<T>),
    Loaded(Guard<Arc<Table<T>>>),
}

impl<T> Deref for Held<'_, T> {
    type Target = Table<T>;

    fn deref(&self) -> &Table<T> {
        match self {
            Held::Borrowed(table) => table,
            Held::Loaded(guard) => guard,
        }
    }
}

/// A pattern that takes a request, its value, and the values of its wildcards.
pub struct Found<'a, T> {
    table: Held<'a, T>,
    route: RouteId,
    asked: &'a str,
    /// The first slashes of the path that the values lie in.
    slashes: u64,
    /// The path that the values lie in, if it is not the one that was asked for. One word, because it is hardly ever there.
    spelled: Option<Box<Box<str>>>,
}

/// A path under which the request should be repeated.
pub struct Redirect<'a, T> {
    table: Held<'a, T>,
    route: Option<RouteId>,
    path: Cow<'a, str>,
    slash: bool,
}

/// The methods that the path takes.
pub struct Allowed<'a, T> {
    table: Held<'a, T>,
    methods: MethodMask,
    method: &'a str,
    host: &'a str,
    path: &'a str,
}

impl<'a, T> Match<'a, T> {
    /// What a lookup in a table has said, as the answer to the request.
    ///
    /// The parts come one by one, because what is written to memory as a whole for the rare answers would be written for all.
    #[inline(always)]
    pub(crate) fn of(said: Said, table: Held<'a, T>, method: &'a str, host: &'a str, path: &'a str) -> Self {
        if let Said::Found { route, slashes } = said {
            return Match::Found(Found { table, route, asked: path, slashes, spelled: None });
        }
        if let Said::Miss(methods) = said {
            if methods.is_empty() {
                return Match::NotFound;
            }
            return Match::MethodNotAllowed(Allowed { table, methods, method, host, path });
        }
        if let Said::Slash(route) = said {
            return Match::Redirect(Redirect { table, route: Some(route), path: Cow::Borrowed(path), slash: true });
        }
        Match::closely(table, method, host, path)
    }

    #[cold]
    #[inline(never)]
    fn closely(table: Held<'a, T>, method: &'a str, host: &'a str, path: &'a str) -> Self {
        let ask = Ask { method, url_host: None, host, path };
        match table.index().closely(&ask) {
            Answer::Found(route, path) => {
                let slashes = Slashes::of(path.as_bytes()).mask();
                let spelled = match path {
                    Cow::Borrowed(_) => None,
                    Cow::Owned(path) => Some(Box::new(path.into())),
                };
                Match::Found(Found { table, route, asked: ask.path, slashes, spelled })
            }
            Answer::Redirect { route, path, slash } => Match::Redirect(Redirect { table, route, path, slash }),
            Answer::MethodNotAllowed(methods) => {
                Match::MethodNotAllowed(Allowed { table, methods, method, host, path: ask.path })
            }
            Answer::NotFound => Match::NotFound,
            Answer::Malformed => Match::Malformed,
        }
    }

    /// The match, if there is one.
    #[must_use]
    pub fn found(self) -> Option<Found<'a, T>> {
        match self {
            Match::Found(found) => Some(found),
            _ => None,
        }
    }
}

impl<T> Found<'_, T> {
    /// The value registered with the pattern.
    #[must_use]
    pub fn value(&self) -> &T {
        &self.entry().value
    }

    /// The pattern.
    #[must_use]
    pub fn pattern(&self) -> &Pattern {
        &self.entry().pattern
    }

    /// The pattern as it is left on requests, to share.
    #[must_use]
    pub fn route(&self) -> &Arc<Route> {
        &self.entry().route
    }

    /// The path that the values lie in. It is the one that was looked up, or, if that held bytes that must be escaped, that
    /// path with these escaped.
    #[must_use]
    pub fn path(&self) -> &str {
        self.spelled.as_ref().map_or(self.asked, |spelled| spelled)
    }

    /// The value of the wildcard `name`; `None` if the pattern has no such wildcard.
    #[must_use]
    pub fn value_of(&self, name: &str) -> Option<Value<'_>> {
        let index = self.route().names().position(|own| own == name)?;
        self.ranges().nth(index).map(|range| self.value_in(range))
    }

    /// The names and values of all wildcards, in the pattern's order.
    #[must_use]
    pub fn values(&self) -> impl ExactSizeIterator<Item = (&str, Value<'_>)> {
        self.route().names().zip(self.ranges()).map(|(name, range)| (name, self.value_in(range)))
    }

    /// Where in [`path`](Found::path) the values lie, in the pattern's order.
    pub fn spans(&self) -> impl Iterator<Item = Range<usize>> {
        self.ranges()
    }

    fn ranges(&self) -> Ranges<'_> {
        self.entry().wilds.ranges(Slashes::known(self.path().as_bytes(), self.slashes))
    }

    fn value_in(&self, range: Range<usize>) -> Value<'_> {
        Value(self.path().get(range).unwrap_or_default())
    }

    fn entry(&self) -> &Entry<T> {
        self.table.entry(self.route)
    }
}

/// The value of a wildcard: a part of the request's path, still escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a>(&'a str);

impl<'a> Value<'a> {
    /// As it stands in the path.
    #[must_use]
    pub fn raw(self) -> &'a str {
        self.0
    }

    /// Decoded, with bytes that are not UTF-8 replaced by U+FFFD. Borrowed if there is nothing to decode.
    #[must_use]
    pub fn decoded(self) -> Cow<'a, str> {
        percent_decode_str(self.0).decode_utf8_lossy()
    }

    /// Decoded, as bytes that need not be UTF-8.
    #[must_use]
    pub fn bytes(self) -> Cow<'a, [u8]> {
        percent_decode_str(self.0).into()
    }
}

impl<T> Redirect<'_, T> {
    /// The path, escaped, without a query. It begins with exactly one slash, so it never leads to another host.
    #[must_use]
    pub fn path(&self) -> Cow<'_, str> {
        if self.slash { Cow::Owned(format!("{}/", self.path)) } else { Cow::Borrowed(&self.path) }
    }

    /// The pattern that will take the repeated request; `None` if none will.
    ///
    /// `Differs from Go:` for the slash redirect of a CONNECT request Go says the new path here.
    #[must_use]
    pub fn pattern(&self) -> Option<&Pattern> {
        self.route.map(|route| &self.table.entry(route).pattern)
    }
}

impl<T> Allowed<'_, T> {
    /// The methods, sorted. `HEAD` is among them wherever `GET` is, and so are those that a final slash would lead to.
    #[must_use]
    pub fn methods(&self) -> Vec<&str> {
        let Allowed { method, host, path, .. } = *self;
        self.table.allowed(self.methods, &Ask { method, url_host: None, host, path })
    }
}

/// As an `Allow` field: `GET, HEAD`.
impl<T> fmt::Display for Allowed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.methods().join(", "))
    }
}

impl<T> fmt::Debug for Match<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Match::Found(found) => found.fmt(f),
            Match::Redirect(redirect) => redirect.fmt(f),
            Match::MethodNotAllowed(allowed) => write!(f, "MethodNotAllowed({allowed})"),
            Match::NotFound => f.write_str("NotFound"),
            Match::Malformed => f.write_str("Malformed"),
        }
    }
}

impl<T> fmt::Debug for Found<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<_> = self.values().map(|(name, value)| (name, value.raw())).collect();
        f.debug_struct("Found").field("pattern", &self.pattern().as_str()).field("values", &values).finish()
    }
}

impl<T> fmt::Debug for Redirect<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pattern = self.pattern().map(Pattern::as_str);
        f.debug_struct("Redirect").field("path", &self.path()).field("pattern", &pattern).finish()
    }
}

impl<T> fmt::Debug for Allowed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Allowed").field(&self.methods()).finish()
    }
}
