//! What a router leaves on a request: the pattern that matched and the values of its wildcards.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use http::uri::PathAndQuery;
use percent_encoding::percent_decode;

/// A registered pattern and the names of its wildcards, made once at registration and shared by every request it matches.
#[derive(Debug, PartialEq, Eq)]
pub struct Route {
    pattern: Box<str>,
    names: Box<[Box<str>]>,
}

impl Route {
    /// A route that shows itself as `pattern` and whose wildcards are called `names`, in the order in which they stand there.
    pub fn new(pattern: impl Into<Box<str>>, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        Route { pattern: pattern.into(), names: names.into_iter().map(Into::into).collect() }
    }

    /// The pattern as it was registered, for example `GET /users/{id}`.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The wildcards' names, in pattern order.
    #[must_use]
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }
}

/// The values that a pattern's wildcards took, kept in the request's extensions: Go's `Request.PathValue` and `Request.Pattern`.
///
/// **Shape**: holds the path as it was when the route matched and where in it each value lies; a value is percent-decoded when
/// it is read, so that reading none costs nothing. Later changes of the request's URI do not disturb the values. Cheap to clone:
/// two reference counts. Most programs use [`RequestExt::path_value`](crate::RequestExt::path_value) instead.
#[derive(Clone, Default)]
pub struct PathValues {
    path: Option<PathAndQuery>,
    route: Option<Arc<Route>>,
    /// Where the values lie: up to eight inline, so that an ordinary match allocates nothing for them.
    spans: [(u16, u16); INLINE],
    /// How many there are, `rare.more` included.
    len: u16,
    /// Together behind one pointer, because every request pays for the room that this takes.
    rare: Option<Box<Rare>>,
}

/// What hardly any request has.
#[derive(Clone, Default)]
struct Rare {
    /// Where further values lie.
    more: Vec<(u16, u16)>,
    /// Values that were set.
    set: Vec<(Box<str>, Box<str>)>,
}

const INLINE: usize = 8;

impl PathValues {
    /// The values of a match: `spans` are byte ranges of `path`'s path part, one for each name of `route`, in order.
    ///
    /// # Panics
    /// If a range lies outside the path or the counts differ: that is a bug of the router that calls this.
    pub fn new(route: Arc<Route>, path: PathAndQuery, spans: impl IntoIterator<Item = Range<usize>>) -> Self {
        let mut values = PathValues { path: Some(path), route: Some(route), ..PathValues::default() };
        for span in spans {
            values.push(span);
        }
        let names = values.route.as_deref().map_or(0, |route| route.names.len());
        assert_eq!(usize::from(values.len), names, "one span for each wildcard of {}", values.pattern());
        values
    }

    fn push(&mut self, span: Range<usize>) {
        let inside = self.path.as_ref().is_some_and(|path| path.path().get(span.clone()).is_some());
        assert!(inside, "span {span:?} outside the path");
        // http::Uri refuses paths of 64 KiB and more.
        let narrow = |at: usize| u16::try_from(at).expect("a span inside an http::Uri fits u16");
        let span = (narrow(span.start), narrow(span.end));
        match self.spans.get_mut(usize::from(self.len)) {
            Some(slot) => *slot = span,
            None => self.rare.get_or_insert_default().more.push(span),
        }
        self.len += 1;
    }

    fn values_set(&self) -> &[(Box<str>, Box<str>)] {
        self.rare.as_deref().map_or(&[], |rare| &rare.set)
    }

    /// The pattern that matched; empty if no router has matched this request.
    #[must_use]
    pub fn pattern(&self) -> &str {
        self.route.as_deref().map_or("", Route::pattern)
    }

    /// The value called `name`, decoded, with invalid UTF-8 replaced; `None` if the pattern has no such wildcard.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        Some(match self.value_bytes(name)? {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(
                String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
            ),
        })
    }

    /// The value called `name`, decoded, as the bytes that the client escaped; they need not be UTF-8.
    #[must_use]
    pub fn value_bytes(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        if let Some((_, value)) = self.values_set().iter().find(|(set, _)| &**set == name) {
            return Some(Cow::Borrowed(value.as_bytes()));
        }
        let index = self.route.as_deref()?.names.iter().position(|known| &**known == name)?;
        Some(percent_decode(self.raw(index).as_bytes()).into())
    }

    /// Sets a value, known to the pattern or not, as Go's `SetPathValue` does. It hides a value of the same name.
    pub fn set(&mut self, name: impl Into<Box<str>>, value: impl Into<Box<str>>) {
        let (name, value) = (name.into(), value.into());
        let values = &mut self.rare.get_or_insert_default().set;
        match values.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => values.push((name, value)),
        }
    }

    /// All names and decoded values: the pattern's in its order, then those that were only set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let known = self.route.as_deref().map_or(&[][..], |route| &route.names);
        let only_set =
            self.values_set().iter().map(|(name, _)| &**name).filter(move |name| !known.iter().any(|k| &**k == *name));
        known.iter().map(|name| &**name).chain(only_set).filter_map(|name| Some((name, self.value(name)?)))
    }

    fn raw(&self, index: usize) -> &str {
        let more = |index: usize| self.rare.as_ref().and_then(|rare| rare.more.get(index - INLINE));
        let Some((start, end)) = self.spans.get(index).or_else(|| more(index)) else { return "" };
        let span = usize::from(*start)..usize::from(*end);
        self.path.as_ref().and_then(|path| path.path().get(span)).unwrap_or_default()
    }
}

impl fmt::Debug for PathValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<_> = self.iter().collect();
        f.debug_struct("PathValues").field("pattern", &self.pattern()).field("values", &values).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> PathValues {
        let route = Arc::new(Route::new("/b/{bucket}/{rest...}", ["bucket", "rest"]));
        PathValues::new(route, PathAndQuery::from_static("/b/a%2Fb/c/d%20e?q=1"), [3..8, 9..16])
    }

    #[test]
    fn values_are_decoded_when_read() {
        let values = values();
        assert_eq!(values.value("bucket").unwrap(), "a/b");
        assert_eq!(values.value("rest").unwrap(), "c/d e");
        assert_eq!(values.value("none"), None);
        assert_eq!(values.pattern(), "/b/{bucket}/{rest...}");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_kept_as_bytes_and_replaced_as_text() {
        let route = Arc::new(Route::new("/{x}", ["x"]));
        let values = PathValues::new(route, PathAndQuery::from_static("/%ff"), std::iter::once(1..4));
        assert_eq!(values.value_bytes("x").unwrap().as_ref(), b"\xff");
        assert_eq!(values.value("x").unwrap(), "\u{fffd}");
    }

    #[test]
    fn a_set_value_hides_the_matched_one_and_a_clone_is_independent() {
        let mut values = values();
        let before = values.clone();
        values.set("bucket", "mine");
        values.set("extra", "1");
        assert_eq!(values.value("bucket").unwrap(), "mine");
        assert_eq!(before.value("bucket").unwrap(), "a/b");
        let all: Vec<_> = values.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(all, ["bucket=mine", "rest=c/d e", "extra=1"]);
    }

    #[test]
    fn more_than_eight_values_are_kept() {
        let names: Vec<_> = (0..12).map(|i| format!("n{i}")).collect();
        let path: PathAndQuery = format!("/{}", "abcdefghijkl").parse().unwrap();
        let values = PathValues::new(Arc::new(Route::new("p", names)), path, (1..13).map(|i| i..i + 1));
        assert_eq!(values.value("n0").unwrap(), "a");
        assert_eq!(values.value("n11").unwrap(), "l");
    }
}
