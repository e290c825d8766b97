//! The routers, each behind the same two questions, and the sets of routes and paths that they are asked. matchit is always there; with the
//! feature `peers` so are path-tree, wayfind and actix-router.

use std::hint::black_box;

use roundtrip_mux::{Frozen, Match, Router};

use crate::routes::{self, Dialect};

/// A router that is filled.
pub trait Contestant {
    /// Looks a path up and drops what was found unread.
    fn find(&self, path: &str);

    /// Looks a path up and reads the value of every wildcard as text: the sum of their lengths.
    fn read(&self, path: &str) -> usize;

    /// All paths in turn. The loop is compiled for each router, so that the call of the lookup is the router's own.
    fn run(&self, reading: Reading, paths: &[String]) -> usize {
        match reading {
            Reading::Nothing => paths.iter().for_each(|path| self.find(black_box(path))),
            Reading::Values => return paths.iter().map(|path| self.read(black_box(path))).sum(),
        }
        0
    }
}

/// What is done with a match.
#[derive(Clone, Copy, Debug)]
pub enum Reading {
    /// It is dropped.
    Nothing,
    /// The value of every wildcard is read as text.
    Values,
}

/// One comparison: routes, paths, and what is done with what is found.
#[derive(Debug)]
pub struct Set {
    /// A letter and a few words.
    pub name: &'static str,
    /// What is registered, in the spelling of the route lists.
    pub routes: Vec<String>,
    /// What is looked up.
    pub paths: Vec<String>,
    /// What is done with what is found.
    pub reading: Reading,
    /// The method of our routes, and the one asked for; other routers know none.
    methods: (&'static str, &'static str),
    field: Field,
}

/// Which routers take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    All,
    /// Without the one that tries one route after another, where that would take minutes.
    NoLinear,
    /// What only ours tells apart.
    Ours,
}

impl Set {
    /// All comparisons.
    #[must_use]
    pub fn all() -> Vec<Set> {
        let github = routes::github();
        let hits = routes::filled(&github);
        // One of the routes ends in a slash, which leaves nothing to add.
        let unslashed: Vec<_> = github.iter().filter(|route| !route.ends_with('/')).cloned().collect();
        let slashed = unslashed.iter().map(|route| format!("{route}/{{$}}")).collect();
        let many = routes::overlapping(1000);
        let set = |name, routes: &Vec<String>, paths: &Vec<String>, reading, methods, field| {
            let (routes, paths) = (routes.clone(), paths.clone());
            Set { name, routes, paths, reading, methods, field }
        };
        let shuffled = routes::realistic(&github, 10_000);
        vec![
            set("a 130 in order", &github, &hits, Reading::Nothing, ("GET ", "GET"), Field::All),
            set("b 10000 shuffled, values read", &github, &shuffled, Reading::Values, ("GET ", "GET"), Field::All),
            set("c misses", &github, &routes::misses(&github), Reading::Nothing, ("GET ", "GET"), Field::NoLinear),
            set("c 405", &github, &hits, Reading::Nothing, ("GET ", "POST"), Field::Ours),
            set(
                "c slash redirects",
                &slashed,
                &routes::filled(&unslashed),
                Reading::Nothing,
                ("GET ", "GET"),
                Field::Ours,
            ),
            set(
                "d 1000 overlapping, values read",
                &many,
                &routes::realistic(&many, 10_000),
                Reading::Values,
                ("GET ", "GET"),
                Field::NoLinear,
            ),
        ]
    }

    /// The routers that take part, by name, and filled when they are called for.
    #[must_use]
    pub fn contestants(&self) -> Vec<(&'static str, Box<dyn Contestant>)> {
        let mut all = vec![("roundtrip", self.ours())];
        if self.field != Field::Ours {
            all.push(("roundtrip, unfrozen", self.ours_unfrozen()));
            all.push(("matchit", self.matchit()));
            #[cfg(feature = "peers")]
            all.extend([("path-tree", self.path_tree()), ("wayfind", self.wayfind())]);
        }
        #[cfg(feature = "peers")]
        if self.field == Field::All {
            all.push(("actix-router", self.actix()));
        }
        all
    }

    /// Ours, filled at once.
    ///
    /// # Panics
    /// The routes conflict.
    #[must_use]
    pub fn router(&self) -> Router<usize> {
        let router = Router::new();
        router.insert_all(self.patterns()).expect("the routes do not conflict");
        router
    }

    /// The same, registered as most programs do it.
    ///
    /// # Panics
    /// The routes conflict.
    #[must_use]
    pub fn router_one_by_one(&self) -> Router<usize> {
        let router = Router::new();
        for (pattern, at) in self.patterns() {
            router.insert(&pattern, at).expect("the routes do not conflict");
        }
        router
    }

    fn patterns(&self) -> impl Iterator<Item = (String, usize)> {
        let patterns = self.routes.iter().map(|route| format!("{}{}", self.methods.0, Dialect::Go.write(route)));
        patterns.zip(0..)
    }

    fn ours(&self) -> Box<dyn Contestant> {
        Box::new(Ours { router: self.router().freeze(), method: self.methods.1 })
    }

    fn ours_unfrozen(&self) -> Box<dyn Contestant> {
        Box::new(Unfrozen { router: self.router(), method: self.methods.1 })
    }

    fn matchit(&self) -> Box<dyn Contestant> {
        let mut router = matchit::Router::new();
        for (at, route) in self.routes.iter().enumerate() {
            router.insert(Dialect::Braces.write(route), at).expect("the routes do not conflict");
        }
        Box::new(router)
    }

    #[cfg(feature = "peers")]
    fn path_tree(&self) -> Box<dyn Contestant> {
        let mut router = path_tree::PathTree::new();
        for (at, route) in self.routes.iter().enumerate() {
            let _ = router.insert(&Dialect::Colon.write(route), at);
        }
        Box::new(router)
    }

    #[cfg(feature = "peers")]
    fn wayfind(&self) -> Box<dyn Contestant> {
        let mut router = wayfind::RouterBuilder::new();
        for (at, route) in self.routes.iter().enumerate() {
            router.insert(Dialect::Angles.write(route).as_str(), at).expect("the routes do not conflict");
        }
        Box::new(router.build())
    }

    #[cfg(feature = "peers")]
    fn actix(&self) -> Box<dyn Contestant> {
        let mut router = actix_router::Router::build();
        for (at, route) in self.routes.iter().enumerate() {
            router.path(Dialect::Braces.write(route), at);
        }
        Box::new(Actix(router.finish()))
    }
}

struct Ours {
    router: Frozen<usize>,
    method: &'static str,
}

impl Contestant for Ours {
    fn find(&self, path: &str) {
        black_box(self.router.at(self.method, "api.github.com", path));
    }

    fn read(&self, path: &str) -> usize {
        read_ours(&self.router.at(self.method, "api.github.com", path))
    }
}

/// Ours while it can still grow.
struct Unfrozen {
    router: Router<usize>,
    method: &'static str,
}

impl Contestant for Unfrozen {
    fn find(&self, path: &str) {
        black_box(self.router.at(self.method, "api.github.com", path));
    }

    fn read(&self, path: &str) -> usize {
        read_ours(&self.router.at(self.method, "api.github.com", path))
    }
}

fn read_ours(found: &Match<'_, usize>) -> usize {
    match found {
        Match::Found(found) => found.values().map(|(_, value)| value.raw().len()).sum::<usize>() + *found.value(),
        _ => 0,
    }
}

impl Contestant for matchit::Router<usize> {
    fn find(&self, path: &str) {
        let _ = black_box(self.at(path));
    }

    fn read(&self, path: &str) -> usize {
        let read = |found: matchit::Match<'_, '_, &usize>| {
            found.params.iter().map(|(_, value)| value.len()).sum::<usize>() + found.value
        };
        self.at(path).map_or(0, read)
    }
}

#[cfg(feature = "peers")]
impl Contestant for path_tree::PathTree<usize> {
    fn find(&self, path: &str) {
        black_box(path_tree::PathTree::find(self, path));
    }

    fn read(&self, path: &str) -> usize {
        let found = path_tree::PathTree::find(self, path);
        found.map_or(0, |(at, found)| found.params_iter().map(|(_, value)| value.len()).sum::<usize>() + at)
    }
}

#[cfg(feature = "peers")]
impl Contestant for wayfind::Router<usize> {
    fn find(&self, path: &str) {
        black_box(self.search(path));
    }

    fn read(&self, path: &str) -> usize {
        let found = self.search(path);
        found.map_or(0, |found| found.parameters().iter().map(|(_, value)| value.len()).sum::<usize>() + found.data())
    }
}

#[cfg(feature = "peers")]
struct Actix(actix_router::Router<usize>);

#[cfg(feature = "peers")]
impl Contestant for Actix {
    fn find(&self, path: &str) {
        let mut resource = actix_router::Path::new(path);
        black_box(self.0.recognize(&mut resource));
    }

    fn read(&self, path: &str) -> usize {
        let mut resource = actix_router::Path::new(path);
        let found = self.0.recognize(&mut resource).map(|(at, _)| *at);
        found.map_or(0, |at| resource.iter().map(|(_, value)| value.len()).sum::<usize>() + at)
    }
}
