//! Why a request goes where it goes, as text for people.

use std::fmt::Write as _;

use percent_encoding::percent_decode_str;

use crate::clean;
use crate::host::without_port;
use crate::matched::Match;
use crate::pattern::{Pattern, Segment};
use crate::relation::Relation;
use crate::router::Router;
use crate::table::Entry;
use crate::witness::matches_path;

impl<T> Router<T> {
    /// Says in a few lines what becomes of a request, and why each candidate won or lost. For people: the wording may change.
    ///
    /// **Shape**: first the outcome; then every pattern whose path matches, with what decided; then the ten that come closest
    /// of those whose path does not match, with where it differs. Tries every pattern, so it is slow.
    ///
    /// # Examples
    /// ```
    /// let router = roundtrip_mux::Router::new();
    /// router.insert("GET /users/{id}", ())?;
    /// router.insert("/users/", ())?;
    /// router.insert("POST /users/{id}", ())?;
    ///
    /// let text = router.explain("GET", "example.com", "/users/7");
    /// assert!(text.starts_with("GET example.com/users/7: GET /users/{id} takes it, with id=\"7\"\n"), "{text}");
    /// assert!(text.contains(": matches, but is broader than GET /users/{id}\n"));
    /// assert!(text.contains(": the path matches, but it takes POST only\n"));
    /// # Ok::<(), roundtrip_mux::InsertError>(())
    /// ```
    #[must_use]
    pub fn explain(&self, method: &str, host: &str, path: &str) -> String {
        let frozen = self.freeze();
        let found = frozen.at(method, host, path);
        let mut text = format!("{method} {host}{path}: {}\n", outcome(&found));
        // What the candidates are compared with: the path that a redirect would lead to.
        let (path, winner) = match &found {
            Match::Redirect(redirect) => (redirect.path().into_owned(), redirect.pattern()),
            Match::Found(found) => (found.path().to_owned(), Some(found.pattern())),
            _ => (clean::spelled(path).unwrap_or_default().into_owned(), None),
        };
        let host = if method == "CONNECT" { host } else { without_port(host) };
        let (matching, others): (Vec<_>, Vec<_>) =
            frozen.entries().iter().partition(|entry| matches_path(&entry.pattern, &path));
        for entry in matching {
            line(&mut text, entry, &why(&entry.pattern, method, host, winner));
        }
        let mut others: Vec<_> = others.into_iter().map(|entry| (difference(&entry.pattern, &path), entry)).collect();
        others.sort_by_key(|(difference, _)| std::cmp::Reverse(difference.segments));
        for (difference, entry) in others.iter().take(NEAREST) {
            line(&mut text, entry, &difference.text);
        }
        if others.len() > NEAREST {
            let _ = writeln!(text, "  {} more patterns do not match the path", others.len() - NEAREST);
        }
        text
    }
}

fn line<T>(text: &mut String, entry: &Entry<T>, why: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  {} ({}): {why}", entry.pattern, entry.site);
}

fn outcome<T>(found: &Match<'_, T>) -> String {
    match found {
        Match::Found(found) => {
            let values: Vec<_> = found.values().map(|(name, value)| format!("{name}={:?}", value.decoded())).collect();
            let with = if values.is_empty() { String::new() } else { format!(", with {}", values.join(" ")) };
            format!("{} takes it{with}", found.pattern())
        }
        Match::Redirect(redirect) => match redirect.pattern() {
            Some(pattern) => format!("redirected to {}, which {pattern} will take", redirect.path()),
            None => format!("redirected to {}, which no pattern will take", redirect.path()),
        },
        Match::MethodNotAllowed(allowed) => format!("no pattern takes the method; the path takes {allowed}"),
        Match::NotFound => "no pattern takes it".into(),
        Match::Malformed => "not a path: a bad escape, a control character, or no slash at its beginning".into(),
    }
}

/// What decided about a pattern whose path matches.
fn why(pattern: &Pattern, method: &str, host: &str, winner: Option<&Pattern>) -> String {
    if let Some(own) = pattern.host().filter(|own| *own != host) {
        return format!("the path matches, but it is for the host {own} only");
    }
    if let Some(own) = pattern.method().filter(|_| !pattern.accepts_method(method)) {
        return format!("the path matches, but it takes {own} only");
    }
    match winner {
        Some(winner) if winner == pattern => "wins".into(),
        Some(winner) if winner.host() != pattern.host() => format!("matches, but {winner} is for this host"),
        Some(winner) if winner.relation(pattern) == Relation::Narrower => {
            format!("matches, but is broader than {winner}")
        }
        _ => "matches".into(),
    }
}

/// Where a path leaves a pattern.
struct Difference {
    /// How many segments fit before that.
    segments: usize,
    text: String,
}

fn difference(pattern: &Pattern, path: &str) -> Difference {
    let given: Vec<_> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
    for (at, segment) in pattern.segments().iter().enumerate() {
        let text = given.get(at).copied();
        let at_end = at + 1 == given.len() && text == Some("");
        let wanted = match (segment, text) {
            (Segment::Literal(literal), Some(text))
                if !at_end && percent_decode_str(text).eq(literal.iter().copied()) =>
            {
                continue;
            }
            (Segment::Wild(_), Some(text)) if !text.is_empty() => continue,
            (Segment::Literal(literal), _) => format!("{:?}", clean::escape_segment(literal)),
            (Segment::Wild(name), _) => format!("a value for {{{name}}}"),
            (Segment::Rest(_), _) => "a slash".into(),
            (Segment::End, _) => "a final slash and no more".into(),
        };
        let found = match text {
            None => "the end of the path".into(),
            Some("") => "nothing".into(),
            Some(text) => format!("{text:?}"),
        };
        return Difference { segments: at, text: format!("segment {} should be {wanted}, not {found}", at + 1) };
    }
    let segments = pattern.segments().len();
    Difference { segments, text: format!("the path goes on after segment {segments}") }
}

/// How many patterns are shown of those whose path does not match.
const NEAREST: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn router() -> Router<()> {
        let router = Router::new();
        let patterns =
            ["GET /users/{id}", "/users/", "POST /users/{id}", "h.test/users/7", "/users/{id}/posts", "/tree/"];
        patterns.iter().for_each(|pattern| router.insert(pattern, ()).unwrap());
        router
    }

    #[track_caller]
    fn check(method: &str, host: &str, path: &str, want: &[&str]) {
        let text = router().explain(method, host, path);
        for part in want {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }

    #[test]
    fn winner_and_losers_are_explained() {
        let want = [
            "GET x.test/users/7: GET /users/{id} takes it, with id=\"7\"\n",
            "explain.rs:",
            "): wins\n",
            "): matches, but is broader than GET /users/{id}\n",
            "): the path matches, but it takes POST only\n",
            "): the path matches, but it is for the host h.test only\n",
            "  /users/{id}/posts (",
            "): segment 3 should be \"posts\", not the end of the path\n",
            "): segment 1 should be \"tree\", not \"users\"\n",
        ];
        check("GET", "x.test", "/users/7", &want);
        check("GET", "h.test:80", "/users/7", &["): matches, but h.test/users/7 is for this host\n"]);
    }

    #[test]
    fn redirects_and_misses_are_explained() {
        check("GET", "", "/a/../tree", &["redirected to /tree/, which /tree/ will take\n", "): wins\n"]);
        check("GET", "", "/x//y", &["redirected to /x/y, which no pattern will take\n"]);
        check("GET", "", "/nowhere", &["no pattern takes it\n"]);
        check("GET", "", "/%zz", &["not a path"]);
        check("GET", "", "/users/7/posts/8", &["/users/ takes it\n", "the path goes on after segment 3\n"]);
    }
}
