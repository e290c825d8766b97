//! How the requests of two patterns relate: the rule behind precedence and conflicts.

use crate::pattern::{Pattern, Segment};

/// How the set of requests that one pattern matches relates to another's.
///
/// Hosts are left out: they are equal, or the one with a host wins, or the two never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// They match the same requests.
    Equal,
    /// The first matches all that the second matches, and more.
    Broader,
    /// The second matches all that the first matches, and more.
    Narrower,
    /// Some requests match both, and each matches some that the other does not.
    Overlapping,
    /// No request matches both.
    Disjoint,
}

impl Relation {
    /// The same relation seen from the other side.
    #[must_use]
    pub fn inverse(self) -> Self {
        match self {
            Relation::Broader => Relation::Narrower,
            Relation::Narrower => Relation::Broader,
            same => same,
        }
    }

    /// The relation of two sets of pairs, given that of their first and that of their second members.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Relation::Disjoint, _) | (_, Relation::Disjoint) => Relation::Disjoint,
            (Relation::Equal, relation) | (relation, Relation::Equal) => relation,
            (one, two) if one == two => one,
            _ => Relation::Overlapping,
        }
    }
}

impl Pattern {
    /// How the requests of this pattern relate to those of `other`, by method and path.
    ///
    /// **Source**: Go's `comparePathsAndMethods`. `GET` is broader than `HEAD`, and no method is broader than any.
    ///
    /// # Examples
    /// ```
    /// use roundtrip_mux::{Pattern, Relation};
    ///
    /// let relation = |one: &str, two: &str| one.parse::<Pattern>().unwrap().relation(&two.parse().unwrap());
    /// assert_eq!(relation("/items/{id}", "GET /items/7"), Relation::Broader);
    /// assert_eq!(relation("GET /", "/items"), Relation::Overlapping);
    /// ```
    #[must_use]
    pub fn relation(&self, other: &Pattern) -> Relation {
        match self.method_relation(other) {
            Relation::Disjoint => Relation::Disjoint,
            methods => methods.and(self.path_relation(other)),
        }
    }

    /// Whether the two may not be registered together: they have the same host, some request matches both, and neither is
    /// narrower, so that nothing says which one should have it.
    #[must_use]
    pub fn conflicts_with(&self, other: &Pattern) -> bool {
        self.host() == other.host() && matches!(self.relation(other), Relation::Equal | Relation::Overlapping)
    }

    pub(crate) fn method_relation(&self, other: &Pattern) -> Relation {
        match (self.method(), other.method()) {
            (one, two) if one == two => Relation::Equal,
            (None, _) | (Some("GET"), Some("HEAD")) => Relation::Broader,
            (_, None) | (Some("HEAD"), Some("GET")) => Relation::Narrower,
            _ => Relation::Disjoint,
        }
    }

    pub(crate) fn path_relation(&self, other: &Pattern) -> Relation {
        let (one, two) = (self.segments(), other.segments());
        let mut relation = Relation::Equal;
        for (a, b) in one.iter().zip(two) {
            relation = relation.and(segment_relation(a, b));
            if relation == Relation::Disjoint {
                return relation;
            }
        }
        // What is left over of the longer one can only meet the shorter one inside its rest.
        match one.len().cmp(&two.len()) {
            std::cmp::Ordering::Equal => relation,
            std::cmp::Ordering::Less if self.ends_in_rest() => relation.and(Relation::Broader),
            std::cmp::Ordering::Greater if other.ends_in_rest() => relation.and(Relation::Narrower),
            _ => Relation::Disjoint,
        }
    }
}

fn segment_relation(one: &Segment, two: &Segment) -> Relation {
    use Segment::{End, Literal, Rest, Wild};
    match (one, two) {
        (Rest(_), Rest(_)) | (Wild(_), Wild(_)) | (End, End) => Relation::Equal,
        (Rest(_), _) => Relation::Broader,
        (_, Rest(_)) => Relation::Narrower,
        // A wildcard takes a segment that is not empty. `Differs from Go:` there an empty literal counts as narrower than a
        // wildcard, and registering both panics.
        (Wild(_), Literal(literal)) if !literal.is_empty() => Relation::Broader,
        (Literal(literal), Wild(_)) if !literal.is_empty() => Relation::Narrower,
        (Literal(one), Literal(two)) if one == two => Relation::Equal,
        _ => Relation::Disjoint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(one: &str, two: &str, want: Relation) {
        let (a, b): (Pattern, Pattern) = (one.parse().unwrap(), two.parse().unwrap());
        assert_eq!(a.relation(&b), want, "{one} to {two}");
        assert_eq!(b.relation(&a), want.inverse(), "{two} to {one}");
    }

    #[test]
    fn methods_and_paths_count_together() {
        check("/a", "/a", Relation::Equal);
        check("/{x}", "/{y}", Relation::Equal);
        check("/a/", "/a/{rest...}", Relation::Equal);
        check("/a", "/b", Relation::Disjoint);
        check("GET /a", "POST /a", Relation::Disjoint);
        check("/a", "GET /a", Relation::Broader);
        check("GET /a", "HEAD /a", Relation::Broader);
        check("/", "GET /a", Relation::Broader);
        check("GET /", "/a", Relation::Overlapping);
        check("/a/{x}", "/{x}/b", Relation::Overlapping);
        check("/{x}", "/a", Relation::Broader);
        check("/{x}", "/{$}", Relation::Disjoint);
        check("/{x}/", "/a/{y}/b", Relation::Broader);
        check("/a/", "/{x}/b", Relation::Overlapping);
        check("/a/b/", "/a", Relation::Disjoint);
        check("/", "/{$}", Relation::Broader);
    }

    #[test]
    fn the_end_is_no_literal_slash_and_an_empty_segment_no_wildcard() {
        check("/%2F", "/{$}", Relation::Disjoint);
        check("/{x}", "/%2F", Relation::Broader);
        check("/a/{x}/b", "/a//b", Relation::Disjoint);
        check("/a/", "/a//", Relation::Broader);
    }
}
