//! The registering side of a router: what has been registered, and the trie in which the next conflict is found.

use std::mem;
use std::panic::Location;
use std::sync::Arc;

use roundtrip_types::Route;

use crate::arena::Arena;
use crate::conflict::{Clash, Conflict};
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
    /// The table of just these entries, once somebody has asked for it.
    table: Option<Arc<Table<T>>>,
}

impl<T> Builder<T> {
    pub(crate) fn new() -> Self {
        Builder { entries: Vec::new(), tree: Tree::default(), methods: Methods::default(), table: None }
    }

    /// Adds a pattern that [`check`](Builder::check) has let pass.
    pub(crate) fn insert(&mut self, pattern: Pattern, value: T, site: &'static Location<'static>) {
        self.add(Arc::new(Entry {
            route: Arc::new(Route::new(pattern.as_str(), pattern.wildcards())),
            wilds: Arc::new(Wilds::of(&pattern)),
            pattern,
            site,
            value,
        }));
    }

    /// Whether a pattern conflicts with others.
    pub(crate) fn check(&self, pattern: &Pattern, site: &'static Location<'static>) -> Result<(), Conflict> {
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
        self.table = None;
    }

    pub(crate) fn entries(&self) -> &[Arc<Entry<T>>] {
        &self.entries
    }

    /// Forgets all but the first `len` patterns, and returns the others.
    #[must_use]
    pub(crate) fn truncate(&mut self, len: usize) -> Vec<Arc<Entry<T>>> {
        let mut kept = mem::take(&mut self.entries);
        let forgotten = kept.split_off(len.min(kept.len()));
        if forgotten.is_empty() {
            self.entries = kept;
        } else {
            *self = Builder::new();
            kept.into_iter().for_each(|entry| self.add(entry));
        }
        forgotten
    }

    /// Puts entries in the place of those with the same patterns.
    pub(crate) fn replace(&mut self, entries: Vec<Arc<Entry<T>>>) {
        self.entries = entries;
        self.table = None;
    }

    /// The immutable form of all that is registered, made once for all who ask before something is registered again.
    pub(crate) fn table(&mut self) -> Arc<Table<T>> {
        let Builder { entries, tree, methods, table } = self;
        let make = || Arc::new(Table::new(entries.clone(), Arena::freeze(tree), methods.clone()));
        Arc::clone(table.get_or_insert_with(make))
    }
}
