//! The registering side of a router: what has been registered, and the trie in which the next conflict is found.

use std::panic::Location;
use std::sync::Arc;

use roundtrip_types::Route;

use crate::arena::Arena;
use crate::conflict::{Clash, Conflict, InsertError};
use crate::methods::Methods;
use crate::pattern::Pattern;
use crate::table::{Entry, Table};
use crate::tree::{RouteId, Tree};
use crate::wilds::Wilds;

/// What grows. Lookups never see it, only the tables made of it.
#[derive(Debug)]
pub(crate) struct Builder<T> {
    entries: Vec<Arc<Entry<T>>>,
    tree: Tree,
    methods: Methods,
}

impl<T> Builder<T> {
    pub(crate) fn new() -> Self {
        Builder { entries: Vec::new(), tree: Tree::default(), methods: Methods::default() }
    }

    pub(crate) fn insert(
        &mut self,
        pattern: &str,
        value: T,
        site: &'static Location<'static>,
    ) -> Result<(), InsertError> {
        let pattern: Pattern = pattern.parse()?;
        self.check(&pattern, site)?;
        self.add(Arc::new(Entry {
            route: Arc::new(Route::new(pattern.as_str(), pattern.wildcards())),
            wilds: Arc::new(Wilds::of(&pattern)),
            pattern,
            site,
            value,
        }));
        Ok(())
    }

    fn check(&self, pattern: &Pattern, site: &'static Location<'static>) -> Result<(), Conflict> {
        let method = pattern.method().map(|method| self.methods.id(method));
        let met = self.tree.meeting(pattern, method).into_iter().map(|route| &self.entries[route as usize]);
        let clashes: Vec<_> = met
            .filter(|entry| pattern.conflicts_with(&entry.pattern))
            .map(|entry| Clash::new(pattern, &entry.pattern, entry.site))
            .collect();
        if clashes.is_empty() { Ok(()) } else { Err(Conflict::new(pattern, site, clashes)) }
    }

    fn add(&mut self, entry: Arc<Entry<T>>) {
        let id = RouteId::try_from(self.entries.len()).expect("memory ends before the pattern numbers do");
        let method = entry.pattern.method().map(|method| self.methods.intern(method));
        self.tree.insert(&entry.pattern, method, id);
        self.entries.push(entry);
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Forgets all but the first `len` patterns.
    pub(crate) fn truncate(&mut self, len: usize) {
        if len < self.entries.len() {
            let kept: Vec<_> = self.entries.drain(..).take(len).collect();
            *self = Builder::new();
            kept.into_iter().for_each(|entry| self.add(entry));
        }
    }

    /// Puts another value in the place of each.
    pub(crate) fn map_values(&mut self, mut map: impl FnMut(&T) -> T) {
        let mut mapped = |entry: &Arc<Entry<T>>| {
            let value = map(&entry.value);
            let (pattern, route, wilds) = (entry.pattern.clone(), Arc::clone(&entry.route), Arc::clone(&entry.wilds));
            Arc::new(Entry { pattern, route, wilds, site: entry.site, value })
        };
        // All of them before any takes its place, because `map` may panic.
        self.entries = self.entries.iter().map(&mut mapped).collect();
    }

    /// The immutable form of all that is registered.
    pub(crate) fn table(&self) -> Table<T> {
        Table::new(self.entries.clone(), Arena::freeze(&self.tree), self.methods.clone())
    }
}
