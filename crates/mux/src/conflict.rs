//! Why a pattern was not registered: it is no pattern, or it conflicts, and then with what, where, and what to do.

use std::fmt;
use std::panic::Location;

use crate::pattern::{Pattern, PatternError};
use crate::relation::Relation;
use crate::witness::{self, Witness};

/// Why a registration failed.
#[derive(Clone, Debug)]
pub struct InsertError(Box<Cause>);

#[derive(Clone, Debug)]
enum Cause {
    Pattern(PatternError),
    Conflict(Conflict),
}

impl InsertError {
    /// The fault, if the text is not a pattern.
    #[must_use]
    pub fn pattern_error(&self) -> Option<&PatternError> {
        match &*self.0 {
            Cause::Pattern(error) => Some(error),
            Cause::Conflict(_) => None,
        }
    }

    /// The report, if patterns registered before stand in the way.
    #[must_use]
    pub fn conflict(&self) -> Option<&Conflict> {
        match &*self.0 {
            Cause::Pattern(_) => None,
            Cause::Conflict(conflict) => Some(conflict),
        }
    }
}

impl From<PatternError> for InsertError {
    fn from(error: PatternError) -> Self {
        InsertError(Box::new(Cause::Pattern(error)))
    }
}

impl From<Conflict> for InsertError {
    fn from(conflict: Conflict) -> Self {
        InsertError(Box::new(Cause::Conflict(conflict)))
    }
}

impl fmt::Display for InsertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Cause::Pattern(error) => error.fmt(f),
            Cause::Conflict(conflict) => conflict.fmt(f),
        }
    }
}

impl std::error::Error for InsertError {}

/// A pattern and all registered ones that it conflicts with.
///
/// **Shape**: never empty; the clashes stand in the order of registration. `Display` is for people: several lines, with the
/// place of each registration, example requests and a way out.
///
/// `Differs from Go:` Go names one of the clashing patterns; which one is unspecified.
#[derive(Clone, Debug)]
pub struct Conflict {
    pattern: Pattern,
    site: &'static Location<'static>,
    clashes: Vec<Clash>,
}

/// One registered pattern that stands in the way of a new one.
#[derive(Clone, Debug)]
pub struct Clash {
    pattern: Pattern,
    site: &'static Location<'static>,
    relation: Relation,
    both: Option<Witness>,
    only_new: Option<Witness>,
    only_old: Option<Witness>,
    suggestion: String,
}

impl Conflict {
    pub(crate) fn new(pattern: &Pattern, site: &'static Location<'static>, clashes: Vec<Clash>) -> Self {
        Conflict { pattern: pattern.clone(), site, clashes }
    }

    /// The pattern that was to be registered.
    #[must_use]
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Where it was to be registered.
    #[must_use]
    pub fn site(&self) -> &'static Location<'static> {
        self.site
    }

    /// Every registered pattern that it conflicts with, in the order of registration.
    #[must_use]
    pub fn clashes(&self) -> &[Clash] {
        &self.clashes
    }
}

impl Clash {
    pub(crate) fn new(new: &Pattern, old: &Pattern, site: &'static Location<'static>) -> Self {
        Clash {
            pattern: old.clone(),
            site,
            relation: new.relation(old),
            both: witness::common(new, old),
            only_new: witness::only(new, old),
            only_old: witness::only(old, new),
            suggestion: suggestion(new, old),
        }
    }

    /// The registered pattern.
    #[must_use]
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Where it was registered.
    #[must_use]
    pub fn site(&self) -> &'static Location<'static> {
        self.site
    }

    /// How the new pattern relates to this one: [`Relation::Equal`] or [`Relation::Overlapping`].
    #[must_use]
    pub fn relation(&self) -> Relation {
        self.relation
    }

    /// A request that both match.
    #[must_use]
    pub fn both(&self) -> Option<&Witness> {
        self.both.as_ref()
    }

    /// A request that only the new pattern matches; `None` if the two are equal.
    #[must_use]
    pub fn only_new(&self) -> Option<&Witness> {
        self.only_new.as_ref()
    }

    /// A request that only the registered pattern matches; `None` if the two are equal.
    #[must_use]
    pub fn only_old(&self) -> Option<&Witness> {
        self.only_old.as_ref()
    }

    /// What to do about it, in a sentence.
    #[must_use]
    pub fn suggestion(&self) -> &str {
        &self.suggestion
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.clashes.len();
        let others = if count == 1 { "a registered pattern" } else { "registered patterns" };
        write!(f, "pattern {:?} ({}) conflicts with {others}:", self.pattern.as_str(), self.site)?;
        self.clashes.iter().try_for_each(|clash| write!(f, "\n{clash}"))
    }
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {:?} ({})", self.pattern.as_str(), self.site)?;
        if self.relation == Relation::Equal {
            write!(f, "\n    both match the same requests")?;
            self.both.iter().try_for_each(|both| write!(f, ", such as {both}"))?;
        } else {
            self.both.iter().try_for_each(|both| write!(f, "\n    both match {both}, and neither is narrower:"))?;
            self.only_new.iter().try_for_each(|only| write!(f, "\n    only the new one matches {only}"))?;
            self.only_old.iter().try_for_each(|only| write!(f, "\n    only the old one matches {only}"))?;
        }
        write!(f, "\n    {}", self.suggestion)
    }
}

fn suggestion(new: &Pattern, old: &Pattern) -> String {
    if new.relation(old) == Relation::Equal {
        return "remove one of the two, or tell them apart by method or host".into();
    }
    let for_new = witness::replacements(new, old).into_iter().map(|instead| (instead, new));
    let for_old = witness::replacements(old, new).into_iter().map(|instead| (instead, old));
    let ways: Vec<_> = for_new
        .chain(for_old)
        .map(|(instead, of)| format!("{:?} instead of {:?}", instead.as_str(), of.as_str()))
        .collect();
    if ways.is_empty() {
        "make one of the two narrower, or tell them apart by host".into()
    } else {
        format!("register {}", ways.join(", or "))
    }
}
