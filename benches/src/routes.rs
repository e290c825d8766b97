//! Routes and paths for the router benchmarks. Nothing is random: a fixed sequence shuffles and fills.

/// How a router writes wildcards.
#[derive(Clone, Copy, Debug)]
pub enum Dialect {
    /// Go's, as ours: `{name}`, and `{$}` behind a final slash, which alone would take everything below it.
    Go,
    /// `{name}`: matchit and actix.
    Braces,
    /// `:name`: path-tree.
    Colon,
    /// `<name>`: wayfind.
    Angles,
}

impl Dialect {
    /// A pattern with its wildcards in braces, in this dialect.
    #[must_use]
    pub fn write(self, pattern: &str) -> String {
        match self {
            Dialect::Go if pattern.ends_with('/') => format!("{pattern}{{$}}"),
            Dialect::Go | Dialect::Braces => pattern.to_owned(),
            Dialect::Colon => pattern.replace('{', ":").replace('}', ""),
            Dialect::Angles => pattern.replace('{', "<").replace('}', ">"),
        }
    }
}

/// The 130 routes of the GitHub API that matchit's public benchmark uses.
#[must_use]
pub fn github() -> Vec<String> {
    include_str!("../data/github_routes.txt").lines().map(str::to_owned).collect()
}

/// The paths of matchit's benchmark: each route with `{p1}` filled by `p1`.
#[must_use]
pub fn filled(patterns: &[String]) -> Vec<String> {
    patterns.iter().map(|pattern| pattern.replace(['{', '}'], "")).collect()
}

/// `count` paths of these routes in mixed order, with values as they are in life: names, numbers, hashes.
#[must_use]
pub fn realistic(patterns: &[String], count: usize) -> Vec<String> {
    const VALUES: [&str; 8] = [
        "rust-lang",
        "1347",
        "octocat",
        "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d",
        "hello-world",
        "v2.0.1",
        "main",
        "88",
    ];
    let mut sequence = Sequence(1);
    (0..count)
        .map(|_| {
            let pattern = &patterns[sequence.below(patterns.len())];
            let segments = pattern.split('/').map(|segment| match segment.strip_prefix('{') {
                Some(_) => VALUES[sequence.below(VALUES.len())],
                None => segment,
            });
            segments.collect::<Vec<_>>().join("/")
        })
        .collect()
}

/// Paths that no route takes: one segment too many, a word misspelt at its end or its start.
#[must_use]
pub fn misses(patterns: &[String]) -> Vec<String> {
    let paths = filled(patterns).into_iter().enumerate();
    paths
        .map(|(at, path)| match at % 3 {
            0 => format!("{path}/one/more/than/there/is/ever"),
            1 => format!("{path}x/y/z/none/of/it"),
            _ => format!("/x{}", &path[1..]),
        })
        .collect()
}

/// `count` routes of which many match the same paths: literals beside wildcards at every level.
#[must_use]
pub fn overlapping(count: usize) -> Vec<String> {
    let words = ["users", "orgs", "repos", "teams", "issues", "pulls", "files", "tags", "keys", "hooks"];
    let mut routes = Vec::with_capacity(count);
    'all: for first in words {
        for second in words {
            for third in words {
                if routes.len() >= count {
                    break 'all;
                }
                // In turn: all literal, a wildcard behind the first word, and one behind the second.
                routes.push(match routes.len() % 3 {
                    0 => format!("/{first}/{second}/{third}"),
                    1 => format!("/{first}/{{a}}/{second}/{third}"),
                    _ => format!("/{first}/{second}/{{a}}/{third}/{{b}}"),
                });
            }
        }
    }
    routes
}

/// A linear congruential sequence: the same in every run.
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % bound as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_sets_are_what_they_say() {
        let github = github();
        assert_eq!(github.len(), 130);
        assert_eq!(filled(&github)[1], "/authorizations/p1");
        assert_eq!(realistic(&github, 10_000).len(), 10_000);
        let overlapping = overlapping(1000);
        assert_eq!(overlapping.iter().collect::<HashSet<_>>().len(), 1000);
        for patterns in [&github, &overlapping] {
            let router = roundtrip_mux::Router::new();
            router.insert_all(patterns.iter().map(|pattern| (Dialect::Go.write(pattern), ()))).unwrap();
            for path in filled(patterns).iter().chain(&realistic(patterns, 1000)) {
                assert!(router.at("GET", "h", path).found().is_some(), "{path}");
            }
            for path in misses(patterns) {
                assert!(router.at("GET", "h", &path).found().is_none(), "{path}");
            }
        }
    }
}
