//! The router: registration on one side, lookups without a lock on the other.

use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::builder::Builder;
use crate::conflict::InsertError;
use crate::matched::{Held, Match};
use crate::pattern::Pattern;
use crate::published::Published;
use crate::table::{Entry, Table};

/// Values registered under patterns, and the rule that finds the one for a request: Go's `ServeMux` without HTTP.
///
/// The most specific pattern wins, whatever the order of registration: one with a host before one without, and among those of
/// one host the one that matches fewer requests. Two patterns of which neither is more specific cannot both be registered.
///
/// **Shape**: lookups read an immutable table; registration takes `&self`. Before the first lookup a registration only takes
/// its pattern in, and finds conflicts. That lookup makes the table, once, and others wait for it; [`freeze`](Router::freeze)
/// makes it beforehand. From then on each registration publishes a new table by one atomic store, and costs time and memory in
/// proportion to all that is registered; [`insert_all`](Router::insert_all) pays that once for many. Lookups but the first take
/// no lock and see the table before or after a registration, never a mixture.
///
/// **Bounds**: the first 64 tables that lookups could see live as long as the router, and so do the values in them. A program
/// that registers first and looks up then has one. Further tables live until a newer one is there and no match holds them any
/// more; a lookup in one of those takes two more atomic operations, and if it is short 1.6 times as long.
///
/// A lookup but the first allocates nothing as long as no segment with escapes is longer than 256 bytes, at most eight places
/// have to be come back to, and the path needs no cleaning and no further escaping.
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
    /// What lookups see: nothing before the first of them.
    published: Published<T>,
    /// What is registered. Nothing of the caller's runs while this is held, so whoever waits for it waits for a table at most.
    builder: Mutex<Builder<T>>,
    /// Held from the first look at what is registered to the end of a registration, so that none is lost. Taken before `builder`.
    registering: Mutex<()>,
}

impl<T> Router<T> {
    /// A router without patterns.
    #[must_use]
    pub fn new() -> Self {
        Router { published: Published::new(), builder: Mutex::new(Builder::new()), registering: Mutex::new(()) }
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
    /// The first lookup of all makes the table; see [`Router`].
    #[must_use]
    #[inline(never)]
    pub fn at<'a>(&'a self, method: &'a str, host: &'a str, path: &'a str) -> Match<'a, T> {
        match self.published.kept() {
            Some(table) => {
                let said = table.index().quick(method, host, path);
                Match::of(said, Held::Borrowed(table), method, host, path)
            }
            None => self.at_swapped(method, host, path),
        }
    }

    /// Apart, so that the usual way does not pay for it. Not `#[cold]`, which made it take 1.34 of matchit's time instead of 0.98
    /// (130 GitHub routes, November 2026).
    #[inline(never)]
    fn at_swapped<'a>(&'a self, method: &'a str, host: &'a str, path: &'a str) -> Match<'a, T> {
        match self.published.swapped() {
            Some(table) => {
                let said = table.index().quick(method, host, path);
                Match::of(said, Held::Loaded(table), method, host, path)
            }
            None => self.at_first(method, host, path),
        }
    }

    #[cold]
    #[inline(never)]
    fn at_first<'a>(&'a self, method: &'a str, host: &'a str, path: &'a str) -> Match<'a, T> {
        let table = self.table();
        let said = table.index().quick(method, host, path);
        Match::of(said, table, method, host, path)
    }

    /// The router as it is now, in a form that later registrations do not change.
    ///
    /// Makes the table that the first lookup would have to make. It is no lookup itself: registrations that follow cost no more.
    #[must_use]
    pub fn freeze(&self) -> Frozen<T> {
        Frozen(self.published.newest_shared().unwrap_or_else(|| self.builder().table()))
    }

    /// All registered patterns, in the order of registration.
    #[must_use]
    pub fn patterns(&self) -> Vec<Pattern> {
        let patterns = |entries: &[Arc<Entry<T>>]| entries.iter().map(|entry| entry.pattern.clone()).collect();
        match self.published.newest() {
            Some(table) => patterns(table.entries()),
            None => patterns(self.builder().entries()),
        }
    }

    pub(crate) fn insert_at(
        &self,
        pattern: &str,
        value: T,
        site: &'static Location<'static>,
    ) -> Result<(), InsertError> {
        let pattern: Pattern = pattern.parse()?;
        let _registering = self.registering();
        let mut builder = self.builder();
        builder.check(&pattern, site)?;
        builder.insert(pattern, value, site);
        self.registered(&mut builder);
        Ok(())
    }

    pub(crate) fn insert_all_at<P: AsRef<str>>(
        &self,
        routes: impl IntoIterator<Item = (P, T, &'static Location<'static>)>,
    ) -> Result<(), Vec<InsertError>> {
        // The caller's iterator and `as_ref` run before the locks are taken, what is refused is dropped after: both may use this
        // very router, or panic.
        let parsed = |(pattern, value, site): (P, T, _)| (pattern.as_ref().parse::<Pattern>(), value, site);
        let routes: Vec<_> = routes.into_iter().map(parsed).collect();
        let (mut errors, mut refused) = (Vec::new(), Vec::new());
        let _registering = self.registering();
        let mut builder = self.builder();
        let before = builder.entries().len();
        for (pattern, value, site) in routes {
            let checked = pattern.map_err(InsertError::from).and_then(|pattern| {
                builder.check(&pattern, site)?;
                Ok(pattern)
            });
            match checked {
                Ok(pattern) => builder.insert(pattern, value, site),
                Err(error) => {
                    errors.push(error);
                    refused.push(value);
                }
            }
        }
        if errors.is_empty() {
            self.registered(&mut builder);
            Ok(())
        } else {
            let forgotten = builder.truncate(before);
            drop(builder);
            drop(forgotten);
            Err(errors)
        }
    }

    /// Puts another value in the place of each.
    pub(crate) fn map_values(&self, mut map: impl FnMut(&T) -> T) {
        let _registering = self.registering();
        let entries = self.builder().entries().to_vec();
        // All of them before any takes its place, because `map` may panic; and without the lock that a first lookup takes.
        let mapped = entries.iter().map(|entry| Arc::new(entry.with(map(&entry.value)))).collect();
        let mut builder = self.builder();
        builder.replace(mapped);
        self.registered(&mut builder);
    }

    /// The newest table, if it is there and lives as long as the router: the way of nearly all lookups.
    #[inline]
    pub(crate) fn kept_table(&self) -> Option<&Table<T>> {
        self.published.kept().map(|table| &**table)
    }

    /// The newest table, the first of which is made here.
    pub(crate) fn table(&self) -> Held<'_, T> {
        loop {
            if let Some(table) = self.published.newest() {
                return table;
            }
            let mut builder = self.builder();
            if self.published.is_empty() {
                self.published.publish(builder.table());
            }
        }
    }

    /// Shows lookups what has been registered, if there have been any.
    fn registered(&self, builder: &mut Builder<T>) {
        if !self.published.is_empty() {
            self.published.publish(builder.table());
        }
    }

    fn builder(&self) -> MutexGuard<'_, Builder<T>> {
        // Nothing panics between two changes of a builder that belong together.
        self.builder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn registering(&self) -> MutexGuard<'_, ()> {
        self.registering.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Router::new()
    }
}

impl<T> fmt::Debug for Router<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.patterns().iter().map(Pattern::as_str)).finish()
    }
}

/// A router that no longer changes: one state of it, for whoever asks more than one question about the same.
///
/// **Shape**: cheap to clone; clones share the table. A lookup is that of [`Router::at`], a few instructions shorter.
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

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use super::*;

    impl<T> Router<T> {
        pub(crate) fn published(&self) -> &Published<T> {
            &self.published
        }
    }

    impl<T> Frozen<T> {
        pub(crate) fn shares(&self, other: &Self) -> bool {
            Arc::ptr_eq(&self.0, &other.0)
        }
    }

    /// A value that looks at the router when it is dropped.
    struct Looks(Weak<Router<Looks>>);

    impl Drop for Looks {
        fn drop(&mut self) {
            if let Some(router) = self.0.upgrade() {
                let _ = (router.at("GET", "", "/"), router.patterns(), router.freeze());
            }
        }
    }

    /// The first lookup takes a lock, which must not be held while code of the caller's runs.
    #[test]
    fn what_the_caller_runs_during_a_registration_may_look_at_the_router() {
        let router = || Arc::new(Router::new());
        let looks = |router: &Arc<Router<Looks>>| Looks(Arc::downgrade(router));

        let refused = router();
        assert!(refused.insert("/{", looks(&refused)).is_err());
        let refused = router();
        refused.insert("/a", Looks(Weak::new())).unwrap();
        assert!(refused.insert("/a", looks(&refused)).is_err());
        let refused = router();
        assert_eq!(refused.insert_all([("/a", looks(&refused)), ("/a", looks(&refused))]).unwrap_err().len(), 1);
        assert_eq!(refused.patterns().len(), 0);

        let mapped = router();
        mapped.insert("/a", looks(&mapped)).unwrap();
        mapped.map_values(|_| {
            assert!(mapped.at("GET", "", "/a").found().is_some());
            looks(&mapped)
        });
        let unseen = router();
        unseen.insert("/a", looks(&unseen)).unwrap();
        let _ = unseen.freeze();
        unseen.map_values(|_| Looks(Weak::new()));
        assert!(unseen.at("GET", "", "/a").found().is_some());
    }
}
