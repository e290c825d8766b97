//! Example requests that show how two patterns relate, and patterns that would relate better.

use std::fmt;

use percent_encoding::percent_decode_str;

use crate::clean::escape_segment;
use crate::pattern::{Pattern, Segment};
use crate::relation::Relation;

/// An example request: a method, a host if the patterns have one, and an escaped path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    method: Box<str>,
    host: Box<str>,
    path: Box<str>,
}

impl Witness {
    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The host; empty if any host will do.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path, escaped.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// As a pattern would stand: `GET example.com/a/b`.
impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.method, self.host, self.path)
    }
}

/// A request that both match, if there is one.
pub(crate) fn common(one: &Pattern, two: &Pattern) -> Option<Witness> {
    let method = narrower_method(one, two)?;
    let path = spell(&intersection(one, two)?);
    Some(witness(one, method.unwrap_or("GET"), path))
}

/// A request that `one` matches and `two` does not, if there is one.
pub(crate) fn only(one: &Pattern, two: &Pattern) -> Option<Witness> {
    let own_method = one.method().unwrap_or(if two.method() == Some("GET") { "POST" } else { "GET" });
    let path = paths(one, two).into_iter().find(|path| !(two.accepts_method(own_method) && matches_path(two, path)))?;
    Some(witness(one, own_method, path))
}

/// Patterns for the place of `one`, so that it no longer conflicts with `two`; best first, perhaps none.
pub(crate) fn replacements(one: &Pattern, two: &Pattern) -> Vec<Pattern> {
    let spelled = |method: Option<&str>, path: &str| {
        let method = method.map(|method| format!("{method} ")).unwrap_or_default();
        format!("{method}{}{path}", one.host().unwrap_or_default())
    };
    let mut candidates = Vec::new();
    if matches!(one.path_relation(two), Relation::Broader | Relation::Narrower) {
        // One has the narrower path, the other the narrower method: let `one` have what the other has.
        candidates.push(spelled(two.method(), one.path()));
    } else if let (Some(method), Some(segments)) = (narrower_method(one, two), intersection(one, two)) {
        candidates.push(spelled(method, &pattern_path(&segments)));
    }
    let parsed = candidates.iter().filter_map(|candidate| candidate.parse::<Pattern>().ok());
    parsed.filter(|candidate| candidate != one && !candidate.conflicts_with(two)).collect()
}

/// Whether an escaped path lies in the pattern's set. The plain reading of the rules, without tables.
pub(crate) fn matches_path(pattern: &Pattern, path: &str) -> bool {
    let mut rest = path;
    for segment in pattern.segments() {
        match segment {
            Segment::Rest(_) => return rest.starts_with('/'),
            Segment::End => return rest == "/",
            Segment::Literal(_) | Segment::Wild(_) if rest == "/" => return false,
            Segment::Literal(_) | Segment::Wild(_) => {}
        }
        let Some(after_slash) = rest.strip_prefix('/') else { return false };
        let (text, after) = after_slash.split_at(after_slash.find('/').unwrap_or(after_slash.len()));
        let fits = match segment {
            Segment::Literal(literal) => percent_decode_str(text).eq(literal.iter().copied()),
            _ => !text.is_empty(),
        };
        if !fits {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}

fn witness(pattern: &Pattern, method: &str, path: String) -> Witness {
    Witness { method: method.into(), host: pattern.host().unwrap_or_default().into(), path: path.into() }
}

/// The method that both accept: `None` if the methods are disjoint, `Some(None)` if both take every method.
fn narrower_method<'a>(one: &'a Pattern, two: &'a Pattern) -> Option<Option<&'a str>> {
    match one.method_relation(two) {
        Relation::Disjoint => None,
        Relation::Broader => Some(two.method()),
        _ => Some(one.method()),
    }
}

/// The segments of the paths that both match.
fn intersection<'a>(one: &'a Pattern, two: &'a Pattern) -> Option<Vec<&'a Segment>> {
    if one.path_relation(two) == Relation::Disjoint {
        return None;
    }
    let (one, two) = (one.segments(), two.segments());
    let mut met: Vec<_> = Vec::with_capacity(one.len().max(two.len()));
    for (at, (a, b)) in one.iter().zip(two).enumerate() {
        match (a, b) {
            (Segment::Rest(_), _) => return Some([met, two[at..].iter().collect()].concat()),
            (_, Segment::Rest(_)) => return Some([met, one[at..].iter().collect()].concat()),
            (narrower, Segment::Wild(_)) | (_, narrower) => met.push(narrower),
        }
    }
    Some(met)
}

/// An escaped path in the set of these segments: wildcards take their own names.
fn spell(segments: &[&Segment]) -> String {
    let mut path = String::new();
    for segment in segments {
        path.push('/');
        match segment {
            Segment::Literal(bytes) => path.push_str(&escape_segment(bytes)),
            Segment::Wild(name) | Segment::Rest(Some(name)) => path.push_str(&escape_segment(name.as_bytes())),
            Segment::Rest(None) | Segment::End => {}
        }
    }
    path
}

/// The path of a pattern with these segments. A name used twice gets a number.
fn pattern_path(segments: &[&Segment]) -> String {
    let mut names: Vec<String> = Vec::new();
    let mut fresh = |name: &str| {
        let numbered = (2..).map(|n| format!("{name}{n}"));
        let free = std::iter::once(name.to_owned()).chain(numbered).find(|name| !names.contains(name));
        let free = free.expect("the numbers do not end");
        names.push(free.clone());
        free
    };
    let mut path = String::new();
    for segment in segments {
        path.push('/');
        match segment {
            Segment::Literal(bytes) => path.push_str(&escape_segment(bytes)),
            Segment::Wild(name) => path.push_str(&format!("{{{}}}", fresh(name))),
            Segment::Rest(Some(name)) => path.push_str(&format!("{{{}...}}", fresh(name))),
            Segment::Rest(None) => {}
            Segment::End => path.push_str("{$}"),
        }
    }
    path
}

/// Paths in the set of `one` that differ from `two` wherever they can: one of them lies outside `two` unless `two` holds all.
fn paths(one: &Pattern, two: &Pattern) -> Vec<String> {
    let mut path = String::new();
    for (at, segment) in one.segments().iter().enumerate() {
        path.push('/');
        match segment {
            Segment::Literal(bytes) => path.push_str(&escape_segment(bytes)),
            Segment::Wild(name) => path.push_str(&unlike(name, two.segments().get(at))),
            Segment::End => {}
            Segment::Rest(name) => {
                let name = unlike(name.as_deref().unwrap_or("x"), two.segments().get(at));
                // Empty, one segment, one segment and a slash, and more segments than `two` has.
                let deep = vec![name.as_str(); two.segments().len() + 1].join("/");
                return vec![path.clone(), format!("{path}{name}"), format!("{path}{name}/"), format!("{path}{deep}")];
            }
        }
    }
    vec![path]
}

/// The wildcard's name as a segment, changed if the other pattern has just that literal here.
fn unlike(name: &str, other: Option<&Segment>) -> String {
    match other {
        Some(Segment::Literal(literal)) if **literal == *name.as_bytes() => escape_segment(name.as_bytes()) + "2",
        _ => escape_segment(name.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    #[track_caller]
    fn check(one: &str, two: &str, want: [Option<&str>; 3]) {
        let (one, two) = (pattern(one), pattern(two));
        let got = [common(&one, &two), only(&one, &two), only(&two, &one)].map(|w| w.map(|w| w.to_string()));
        assert_eq!(got, want.map(|w| w.map(str::to_owned)));
    }

    #[test]
    fn witnesses_show_each_part() {
        check("/a/{x}", "/{y}/b", [Some("GET /a/b"), Some("GET /a/x"), Some("GET /y/b")]);
        check("GET /", "/foo", [Some("GET /foo"), Some("GET /"), Some("POST /foo")]);
        check(
            "HEAD h.test/{b}/",
            "GET h.test/b/",
            [Some("HEAD h.test/b/"), Some("HEAD h.test/b2/"), Some("GET h.test/b/")],
        );
        check("/a/{x}", "/a/{y}", [Some("GET /a/x"), None, None]);
        check("/a/{x...}", "/a/", [Some("GET /a/"), None, None]);
        check("POST /a", "GET /a", [None, Some("POST /a"), Some("GET /a")]);
    }

    #[test]
    fn replacements_no_longer_conflict() {
        let texts = |one: &str, two: &str| {
            replacements(&pattern(one), &pattern(two)).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(texts("GET /", "/foo"), ["/"]);
        assert_eq!(texts("/foo", "GET /"), ["GET /foo"]);
        assert_eq!(texts("/a/{x}", "/{x}/{y}/"), [""; 0]);
        assert_eq!(texts("GET /a/{x}", "/{y}/b"), ["GET /a/b"]);
        assert_eq!(texts("/a//b", "GET /"), [""; 0]);
    }
}
