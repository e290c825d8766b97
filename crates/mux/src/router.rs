//! The router: registration on one side, lookups without a lock on the other.

use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};

use crate::builder::Builder;
use crate::conflict::InsertError;
use crate::matched::{Held, Match};
use crate::pattern::Pattern;
use crate::table::{Entry, Table};

/// Values registered under patterns, and the rule that finds the one for a request: Go's `ServeMux` without HTTP.
///
/// The most specific pattern wins, whatever the order of registration: one with a host before one without, and among those of
/// one host the one that matches fewer requests. Two patterns of which neither is more specific cannot both be registered.
///
/// **Shape**: registration takes `&self`, publishes a new immutable table by one atomic swap, and costs time and memory in
/// proportion to all that is registered; [`insert_all`](Router::insert_all) pays that once for many. A lookup takes no lock and
/// sees the table before or after a registration, never a mixture. It allocates nothing as long as no segment
/// with escapes is longer than 256 bytes, at most eight places have to be come back to, and the path needs no cleaning and no
/// further escaping.
///
/// # Examples
/// ```
/// use roundtrip_mux::{Match, Router};
///
/// let router = Router::new();
/// router.insert("GET /users/{id}", 1)?;
/// router.insert("GET /users/me", 2)?;
///
/// let Match::Found(found) = router.at("GET", "example.com", "/users/7%2B1") else { panic!("not found") };
/// assert_eq!((*found.value(), found.pattern().as_str()), (1, "GET /users/{id}"));
/// assert_eq!(found.value_of("id").unwrap().decoded(), "7+1");
/// assert!(matches!(router.at("PUT", "example.com", "/users/me"), Match::MethodNotAllowed(_)));
/// # Ok::<(), roundtrip_mux::InsertError>(())
/// ```
pub struct Router<T> {
    table: ArcSwap<Table<T>>,
    /// What the table was made of. Held while the next one is made, so that no registration is lost; lookups never take it.
    builder: Mutex<Builder<T>>,
}

impl<T> Router<T> {
    /// A router without patterns.
    #[must_use]
    pub fn new() -> Self {
        let builder = Builder::new();
        Router { table: ArcSwap::from_pointee(builder.table()), builder: Mutex::new(builder) }
    }

    /// Registers a value under a pattern.
    ///
    /// # Errors
    /// The pattern is none, or it conflicts with registered ones; the router is then as it was. The error says all about it.
    #[track_caller]
    pub fn insert(&self, pattern: &str, value: T) -> Result<(), InsertError> {
        self.insert_at(pattern, value, Location::caller())
    }

    /// Registers many values at once: all of them, or none.
    ///
    /// # Errors
    /// One error for each pattern that is none, or that conflicts with a registered one or one before it in `routes`. The
    /// router is then as it was.
    ///
    /// # Examples
    /// ```
    /// use roundtrip_mux::Router;
    ///
    /// let router = Router::new();
    /// router.insert_all([("GET /a", 1), ("GET /b/{id}", 2)]).unwrap();
    /// let errors = router.insert_all([("GET /c", 3), ("/{", 4), ("GET /a", 5)]).unwrap_err();
    /// assert_eq!((errors.len(), router.patterns().len()), (2, 2));
    /// ```
    #[track_caller]
    pub fn insert_all<P: AsRef<str>>(&self, routes: impl IntoIterator<Item = (P, T)>) -> Result<(), Vec<InsertError>> {
        let site = Location::caller();
        self.insert_all_at(routes.into_iter().map(|(pattern, value)| (pattern, value, site)))
    }

    /// Looks a request up: its method, the host it names (a port is taken off), and its escaped path without the query.
    ///
    /// A path that is not clean is answered with a redirect to the clean one, whatever it matches. CONNECT is the exception, as
    /// in Go: its path and its host's port stay as they are, and the redirect to a final slash looks at host-less patterns.
    ///
    /// The match keeps the table it was found in, so drop it before long if patterns are registered all the time.
    #[must_use]
    #[inline(never)]
    pub fn at<'a>(&'a self, method: &'a str, host: &'a str, path: &'a str) -> Match<'a, T> {
        let table = self.load();
        let said = table.index().quick(method, host, path);
        Match::of(said, Held::Loaded(table), method, host, path)
    }

    /// The router as it is now, in a form that later registrations do not change.
    #[must_use]
    pub fn freeze(&self) -> Frozen<T> {
        Frozen(self.table.load_full())
    }

    /// All registered patterns, in the order of registration.
    #[must_use]
    pub fn patterns(&self) -> Vec<Pattern> {
        self.load().entries().iter().map(|entry| entry.pattern.clone()).collect()
    }

    pub(crate) fn insert_at(
        &self,
        pattern: &str,
        value: T,
        site: &'static Location<'static>,
    ) -> Result<(), InsertError> {
        let mut builder = self.builder();
        builder.insert(pattern, value, site)?;
        self.table.store(Arc::new(builder.table()));
        Ok(())
    }

    pub(crate) fn insert_all_at<P: AsRef<str>>(
        &self,
        routes: impl IntoIterator<Item = (P, T, &'static Location<'static>)>,
    ) -> Result<(), Vec<InsertError>> {
        // The caller's iterator runs before the lock is taken: it may use this very router, or panic.
        let routes: Vec<_> = routes.into_iter().collect();
        let mut builder = self.builder();
        let before = builder.len();
        let insert = |(pattern, value, site): (P, T, _)| builder.insert(pattern.as_ref(), value, site).err();
        let errors: Vec<_> = routes.into_iter().filter_map(insert).collect();
        if errors.is_empty() {
            self.table.store(Arc::new(builder.table()));
            Ok(())
        } else {
            builder.truncate(before);
            Err(errors)
        }
    }

    /// Puts another value in the place of each.
    pub(crate) fn map_values(&self, map: impl FnMut(&T) -> T) {
        let mut builder = self.builder();
        builder.map_values(map);
        self.table.store(Arc::new(builder.table()));
    }

    pub(crate) fn load(&self) -> Guard<Arc<Table<T>>> {
        self.table.load()
    }

    fn builder(&self) -> MutexGuard<'_, Builder<T>> {
        // Nothing panics between two changes of a builder that belong together.
        self.builder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Router::new()
    }
}

impl<T> fmt::Debug for Router<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.load().entries().iter().map(|entry| entry.pattern.as_str())).finish()
    }
}

/// A router that no longer changes: for programs that register everything first, and for the shortest lookups.
///
/// **Shape**: cheap to clone; clones share the table. A lookup is that of [`Router::at`] without its two atomic
/// operations, which make a short one half as long again.
pub struct Frozen<T>(Arc<Table<T>>);

impl<T> Frozen<T> {
    /// Looks a request up, as [`Router::at`] does.
    #[must_use]
    #[inline(never)]
    pub fn at<'a>(&'a self, method: &'a str, host: &'a str, path: &'a str) -> Match<'a, T> {
        let said = self.0.index().quick(method, host, path);
        Match::of(said, Held::Borrowed(&self.0), method, host, path)
    }

    /// All patterns, in the order of registration.
    #[must_use]
    pub fn patterns(&self) -> impl ExactSizeIterator<Item = &Pattern> {
        self.0.entries().iter().map(|entry| &entry.pattern)
    }

    pub(crate) fn entries(&self) -> &[Arc<Entry<T>>] {
        self.0.entries()
    }

    /// At most how many places of the table one lookup visits, whatever the path: the bound on its backtracking.
    ///
    /// Without backtracking it is the longest pattern's number of segments plus one. Patterns that differ in which of their
    /// segments are wildcards (`/{x}/b/c` beside `/a/{y}/d`) raise it; it is never more than the table has places. The work of
    /// a lookup is bounded by the path's length plus this number times a small constant.
    #[must_use]
    pub fn max_visits(&self) -> usize {
        self.0.arena().max_visits
    }

    /// How many bytes the table's arrays take, without the patterns' text and the values.
    #[must_use]
    pub fn table_bytes(&self) -> usize {
        self.0.arena().size()
    }
}

impl<T> Clone for Frozen<T> {
    fn clone(&self) -> Self {
        Frozen(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Frozen<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.patterns().map(Pattern::as_str)).finish()
    }
}
