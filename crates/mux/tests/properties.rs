//! Random patterns and requests: the router against the plain rules of `reference`.

// clippy.toml lets tests unwrap; here their helpers do.
#![allow(clippy::unwrap_used)]

mod reference;

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree;
use reference::{Plain, Verdict};
use roundtrip_mux::{Frozen, Match, Pattern, Relation, Router, Witness};

/// Segments of patterns: short ones that meet each other often, long ones that reach past the words of the frozen form, and
/// escapes.
const LITERALS: [&str; 14] = [
    "a",
    "b",
    "ab",
    "%61",
    "a%2Fb",
    "%2F",
    "b%zz",
    "{x}",
    "eight888",
    "thirteen-long",
    "more-than-sixteen-bytes-long",
    "",
    ".",
    "%2561",
];

/// Segments of requests: the same, near misses, and what makes a path unclean, odd or malformed.
const PARTS: [&str; 27] = [
    "a",
    "b",
    "ab",
    "%61",
    "a%2Fb",
    "a%2fb",
    "%2F",
    "b%25zz",
    "%2561",
    "eight888",
    "thirteen-long",
    "thirteen-lonG",
    "more-than-sixteen-bytes-long",
    "more-than-sixteen-bytes-lonG",
    "eight88",
    "thirteen-lon",
    "",
    ".",
    "..",
    "%2E%2e",
    "\u{e9}",
    "{x}",
    "*!",
    "b%zz",
    "%zz",
    "a\u{7f}",
    "%25",
];

fn pattern(most_segments: usize) -> impl Strategy<Value = String> {
    let segment = prop_oneof![3 => select(&LITERALS[..]).prop_map(str::to_owned), 2 => Just("{}".to_owned())];
    let segments = prop::collection::vec(segment, 0..=most_segments);
    let last = select(vec!["", "", "/", "/{$}", "/{}..."]);
    let method = select(vec!["", "", "GET ", "HEAD ", "POST ", "CONNECT ", "M-X "]);
    let host = select(vec!["", "", "", "h.test", "i.test:80", "[::1]"]);
    let text = (method, host, segments, last).prop_map(|(method, host, segments, last)| {
        let mut names = "xyzuvw".chars();
        let mut path: String = segments.iter().map(|segment| format!("/{segment}")).collect();
        path.push_str(last);
        if path.is_empty() {
            path.push('/');
        }
        // Wildcards get their names here; a literal `{x}` is written so that it is none.
        let path = path.replace("{x}", "%7Bx%7D");
        let named = path.split("{}").collect::<Vec<_>>();
        let mut text = format!("{method}{host}{}", named[0]);
        for part in &named[1..] {
            let name = names.next().unwrap();
            match part.strip_prefix("...") {
                Some(after) => text.push_str(&format!("{{{name}...}}{after}")),
                None => text.push_str(&format!("{{{name}}}{part}")),
            }
        }
        text
    });
    // An unclean path cannot have a method.
    text.prop_filter("a pattern", |text| text.parse::<Pattern>().is_ok())
}

fn request() -> impl Strategy<Value = (&'static str, &'static str, String)> {
    let method = select(vec!["GET", "HEAD", "POST", "PUT", "CONNECT", "M-X", "get"]);
    let host = select(vec!["", "h.test", "h.test:8080", "H.test", "i.test:80", "[::1]", "[::1]:80"]);
    let usual = select(&PARTS[..16]);
    let part = prop_oneof![8 => usual, 1 => select(&PARTS[..])];
    let path =
        prop::collection::vec(part, 0..6).prop_map(|parts| parts.iter().map(|part| format!("/{part}")).collect());
    (method, host, path)
}

/// Registers what can be registered of these patterns, in order.
fn build(patterns: &[String]) -> (Router<usize>, Vec<Plain>) {
    let router = Router::new();
    let accepted = patterns.iter().enumerate().filter(|(index, pattern)| router.insert(pattern, *index).is_ok());
    let plain = accepted.map(|(_, pattern)| Plain::new(pattern)).collect();
    (router, plain)
}

fn seen(frozen: &Frozen<usize>, method: &str, host: &str, path: &str) -> Verdict {
    match frozen.at(method, host, path) {
        Match::Found(found) => Verdict::Found {
            pattern: found.pattern().to_string(),
            values: found.values().map(|(name, value)| (name.to_owned(), value.bytes().into_owned())).collect(),
        },
        Match::Redirect(redirect) => {
            Verdict::Redirect { pattern: redirect.pattern().map(ToString::to_string), path: redirect.path().into() }
        }
        Match::MethodNotAllowed(allowed) => {
            Verdict::MethodNotAllowed(allowed.methods().into_iter().map(str::to_owned).collect())
        }
        Match::NotFound => Verdict::NotFound,
        Match::Malformed => Verdict::Malformed,
        other => panic!("{other:?}"),
    }
}

fn expected(plain: &[Plain], method: &str, host: &str, path: &str) -> Verdict {
    let url_host = if path.is_empty() { host } else { "" };
    reference::verdict(plain, method, url_host, host, path)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lookups_are_those_of_the_plain_rules(
        patterns in prop::collection::vec(pattern(4), 0..30),
        requests in prop::collection::vec(request(), 40),
    ) {
        let (router, plain) = build(&patterns);
        let frozen = router.freeze();
        for (method, host, path) in requests {
            let (got, want) = (seen(&frozen, method, host, &path), expected(&plain, method, host, &path));
            prop_assert_eq!(got, want, "{} {}{} among {:?}", method, host, path, frozen);
        }
    }

    #[test]
    fn the_order_of_registration_makes_no_difference(
        (one, other) in prop::collection::vec(pattern(3), 1..12)
            .prop_map(|patterns| build(&patterns).1.iter().map(|plain| plain.text.clone()).collect::<Vec<_>>())
            .prop_flat_map(|accepted| (Just(accepted.clone()), Just(accepted).prop_shuffle())),
        requests in prop::collection::vec(request(), 20),
    ) {
        let (one, other) = (build(&one).0.freeze(), build(&other).0.freeze());
        prop_assert_eq!(one.patterns().len(), other.patterns().len());
        for (method, host, path) in requests {
            prop_assert_eq!(seen(&one, method, host, &path), seen(&other, method, host, &path));
        }
    }

    #[test]
    fn all_at_once_is_one_by_one(patterns in prop::collection::vec(pattern(3), 1..12)) {
        let accepted: Vec<_> = build(&patterns).1.into_iter().map(|plain| plain.text).collect();
        let router = Router::new();
        router.insert("GET before.test/", 0).unwrap();
        prop_assert!(router.insert_all(accepted.iter().zip(1..)).is_ok());
        let refused = patterns.iter().collect::<BTreeSet<_>>().len() - accepted.iter().collect::<BTreeSet<_>>().len();
        let router = Router::new();
        router.insert("GET before.test/", 0).unwrap();
        let all = router.insert_all(patterns.iter().collect::<BTreeSet<_>>().into_iter().zip(1..));
        prop_assert_eq!(all.is_err(), refused > 0 || router.patterns().len() == 1);
        if all.is_err() {
            prop_assert_eq!(router.patterns().len(), 1);
            prop_assert!(router.insert_all(accepted.iter().zip(1..)).is_ok(), "nothing of the failed attempt is left");
        }
    }

    #[test]
    fn any_text_is_answered(method in "\\PC*", host in "\\PC*", path in "(/|\\.|%|[0-9a-f]|\\PC)*", patterns in prop::collection::vec(pattern(3), 0..8)) {
        let (router, plain) = build(&patterns);
        let frozen = router.freeze();
        prop_assert_eq!(seen(&frozen, &method, &host, &path), expected(&plain, &method, &host, &path));
        if let Match::Redirect(redirect) = router.at(&method, &host, &path) {
            let path = redirect.path();
            prop_assert!(path.starts_with('/') && !path.starts_with("//") && path.is_ascii(), "{}", path);
        }
        let _ = router.explain(&method, &host, &path);
    }

    #[test]
    fn any_text_is_a_pattern_or_is_not(text in "[GET ]{0,5}(h|\\{)?(/|\\.|%|\\{|\\}|\\$|[x2f]|\\PC){0,12}") {
        if let Ok(pattern) = text.parse::<Pattern>() {
            prop_assert_eq!(pattern.as_str(), &text);
            prop_assert_eq!(pattern.relation(&pattern), Relation::Equal);
            prop_assert!(Router::new().insert(&text, ()).is_ok());
        }
    }
}

proptest! {
    // Each case tries thousands of requests.
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn conflicts_are_those_of_the_requests_that_match(one in pattern(3), two in pattern(3)) {
        let (a, b): (Pattern, Pattern) = (one.parse().unwrap(), two.parse().unwrap());
        prop_assert_eq!(a.relation(&b), b.relation(&a).inverse());
        prop_assert_eq!(a.conflicts_with(&b), reference::conflict(&Plain::new(&one), &Plain::new(&two)));
        let router = Router::new();
        router.insert(&one, ()).unwrap();
        prop_assert_eq!(router.insert(&two, ()).is_err(), a.conflicts_with(&b), "{} and {}", one, two);
    }

    #[test]
    fn a_report_names_every_clash_and_its_examples_are_right(
        patterns in prop::collection::vec(pattern(3), 1..10),
        new in pattern(3),
    ) {
        let (router, plain) = build(&patterns);
        let pattern: Pattern = new.parse().unwrap();
        let clashing = plain.iter().filter(|plain| pattern.conflicts_with(&plain.text.parse().unwrap()));
        let clashing: Vec<_> = clashing.map(|plain| plain.text.clone()).collect();
        let result = router.insert(&new, 0);
        prop_assert_eq!(result.is_err(), !clashing.is_empty());
        let Err(error) = result else { return Ok(()) };
        let conflict = error.conflict().expect("the pattern is sound");
        let named: Vec<_> = conflict.clashes().iter().map(|clash| clash.pattern().to_string()).collect();
        prop_assert_eq!(named, clashing);
        let new = Plain::new(&new);
        for clash in conflict.clashes() {
            let old = Plain::new(clash.pattern().as_str());
            let takes = |witness: Option<&Witness>| {
                witness.map(|witness| [&new, &old].map(|plain| plain.takes(witness.method(), witness.path())))
            };
            prop_assert_eq!(takes(clash.both()), Some([true, true]), "{}", clash);
            let equal = clash.relation() == Relation::Equal;
            prop_assert_eq!(takes(clash.only_new()), (!equal).then_some([true, false]), "{}", clash);
            prop_assert_eq!(takes(clash.only_old()), (!equal).then_some([false, true]), "{}", clash);
        }
    }
}

#[test]
fn subsets_of_one_large_set_agree() {
    // Every path of up to three segments over a small alphabet, so that every way of backtracking is taken.
    let mut patterns = Vec::new();
    for mask in 0..27 {
        let segment = |digit: usize| ["/a", "/b", "/{x}"][digit].to_owned();
        let path: String = [mask / 9, mask / 3 % 3, mask % 3].into_iter().map(segment).collect();
        let path = path.replacen("{x}", "{p}", 1).replacen("{x}", "{q}", 1);
        patterns.extend(["", "/", "/{$}", "/c"].map(|last| format!("{path}{last}")));
    }
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let sets = subsequence(patterns.clone(), 0..patterns.len()).prop_shuffle();
    let paths: Vec<String> = ["", "/", "/c", "/c/", "/d"]
        .iter()
        .flat_map(|last| {
            (0..27).map(move |n| {
                format!("/{}/{}/{}{last}", ["a", "b", "d"][n / 9], ["a", "b", "d"][n / 3 % 3], ["a", "b", "d"][n % 3])
            })
        })
        .collect();
    for _ in 0..30 {
        let set = sets.new_tree(&mut runner).unwrap().current();
        let (router, plain) = build(&set);
        let frozen = router.freeze();
        for path in &paths {
            assert_eq!(seen(&frozen, "GET", "", path), expected(&plain, "GET", "", path), "{path} among {frozen:?}");
        }
    }
}
