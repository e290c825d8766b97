//! Requests and registrations made to hurt. Work is counted, not timed: the bounds hold on any machine.

use roundtrip_mux::{Match, Router};

#[test]
fn a_path_of_a_megabyte_is_answered() {
    let router = Router::new();
    router.insert_all([("/{x}", 1), ("/files/{path...}", 2), ("/a/b", 3)]).unwrap();
    let long = "x".repeat(1 << 20);
    let found = |path: &str| router.at("GET", "h.test", path).found().map(|found| *found.value());
    assert_eq!(found(&format!("/{long}")), Some(1));
    assert_eq!(found(&format!("/files/{long}")), Some(2));
    let Some(file) = router
        .at("GET", "", &format!("/files/{long}/%41"))
        .found()
        .map(|found| found.value_of("path").unwrap().decoded().len())
    else {
        panic!("not found")
    };
    assert_eq!(file, (1 << 20) + 2);
    assert!(matches!(router.at("GET", "", &format!("/{}", "%".repeat(1 << 20))), Match::Malformed));
    let path = format!("/a/{}b", "../a/./".repeat(1 << 17));
    let Match::Redirect(redirect) = router.at("GET", "", &path) else { panic!("no redirect") };
    assert_eq!(redirect.path(), "/a/b");
}

#[test]
fn a_hundred_thousand_segments_are_answered() {
    let router = Router::new();
    router.insert_all([("GET /{x}/{y}/{z}", 1), ("PUT /deep/{path...}", 2)]).unwrap();
    let segments = "/a".repeat(100_000);
    assert!(matches!(router.at("GET", "", &segments), Match::NotFound));
    let path = format!("/deep{segments}");
    let Match::Found(found) = router.at("PUT", "", &path) else { panic!("not found") };
    assert_eq!(found.value_of("path").unwrap().raw(), &segments[1..]);
}

#[test]
fn a_pattern_of_a_hundred_thousand_segments_is_registered_and_found() {
    let router = Router::new();
    let (literals, wild) = ("/a".repeat(100_000), (0..1000).map(|n| format!("/{{x{n}}}")).collect::<String>());
    router.insert_all([(&literals, 1), (&wild, 2)]).unwrap();
    assert_eq!(router.at("GET", "", &literals).found().map(|found| *found.value()), Some(1));
    let path = "/b".repeat(1000);
    let Match::Found(found) = router.at("GET", "", &path) else { panic!("not found") };
    assert_eq!((found.values().len(), found.value_of("x999").unwrap().raw()), (1000, "b"));
}

#[test]
fn a_hundred_thousand_patterns_are_registered_at_once_and_found() {
    let router = Router::new();
    let count = 100_000;
    let patterns = (0..count).map(|n| match n % 4 {
        0 => format!("GET /v1/things{n}/{{id}}"),
        1 => format!("GET /v1/{{kind}}/parts{n}/{{id}}/"),
        2 => format!("POST /area{}/{n}/{{rest...}}", n % 100),
        _ => format!("host{n}.test/"),
    });
    router.insert_all(patterns.zip(0..)).unwrap();
    let frozen = router.freeze();
    let found =
        |method: &str, host: &str, path: &str| frozen.at(method, host, path).found().map(|found| *found.value());
    for n in (0..count).step_by(997) {
        match n % 4 {
            0 => assert_eq!(found("GET", "", &format!("/v1/things{n}/7")), Some(n)),
            1 => assert_eq!(found("HEAD", "", &format!("/v1/x/parts{n}/7/8")), Some(n)),
            2 => assert_eq!(found("POST", "", &format!("/area{}/{n}/7/8", n % 100)), Some(n)),
            _ => assert_eq!(found("GET", &format!("host{n}.test:80"), "/any"), Some(n)),
        }
    }
    assert!(frozen.max_visits() < 20, "{}", frozen.max_visits());
}

#[test]
fn backtracking_is_bounded_by_the_table() {
    // Each of the first ten segments is a literal or a wildcard in every combination, and the last one tells them apart: the
    // worst set for a search that comes back.
    let router = Router::new();
    let pattern = |mask: u32| {
        let segments = (0..10).map(|at| if mask >> at & 1 == 0 { "/a".to_owned() } else { format!("/{{x{at}}}") });
        segments.chain([format!("/end{mask}")]).collect::<String>()
    };
    router.insert_all((0..1 << 10).map(|mask| (pattern(mask), mask))).unwrap();
    let frozen = router.freeze();
    // One visit for each place in the table, at the most: 2^0 + 2^1 + .. + 2^10, and one for an end.
    assert_eq!(frozen.max_visits(), (1 << 11) - 1 + (1 << 10));
    let path = format!("{}/none", "/a".repeat(10));
    assert!(matches!(frozen.at("GET", "", &path), Match::NotFound));
    let path = format!("{}/end{}", "/a".repeat(10), (1 << 10) - 1);
    assert_eq!(frozen.at("GET", "", &path).found().map(|found| *found.value()), Some((1 << 10) - 1));
    // Longer paths make no more work in the table.
    assert!(matches!(frozen.at("GET", "", &"/a".repeat(100_000)), Match::NotFound));
}

#[test]
fn more_methods_than_a_word_has_bits_are_told_apart_and_allowed() {
    let router = Router::new();
    router.insert_all((0..200).map(|n| (format!("M{n} /x/{{$}}"), n))).unwrap();
    router.insert("POST /x", 200).unwrap();
    let found = |method: &str| router.at(method, "", "/x/").found().map(|found| *found.value());
    assert_eq!((found("M0"), found("M199"), found("M200")), (Some(0), Some(199), None));
    let Match::MethodNotAllowed(allowed) = router.at("GET", "", "/x") else { panic!("not refused") };
    assert_eq!((allowed.methods().len(), allowed.methods()[0]), (201, "M0"));
}
