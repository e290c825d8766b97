//! What a lookup may cost in memory: nothing, up to eight wildcards and paths of 256 bytes.

use std::hint::black_box;

use roundtrip_bench::alloc::{Allocated, Counting, Side};
use roundtrip_bench::routes::{self, Dialect};
use roundtrip_mux::{Match, Router};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test in this binary, because the count is that of all threads.
#[test]
fn lookups_allocate_nothing() {
    let (router, grown) = (Router::new(), Router::new());
    // The tables of this one come and go while it is used: it has published more than a router keeps.
    for n in 0..100 {
        black_box(grown.at("GET", "h.test", "/"));
        grown.insert(&format!("GET /grown/{n}"), ()).unwrap();
    }
    let github = routes::github();
    // Another root, so that nothing below takes these paths: trees, eight wildcards, a host of its own.
    let eight: String = (1..=8).map(|n| format!("/{{v{n}}}")).collect();
    for router in [&router, &grown] {
        router.insert_all(github.iter().map(|route| (format!("GET {}", Dialect::Go.write(route)), ()))).unwrap();
        router.insert_all([("GET /tree/{$}".to_owned(), ()), (format!("GET /eight{eight}"), ())]).unwrap();
        router.insert_all([("GET h.test/own/{x}", ()), ("GET /files/{path...}", ())]).unwrap();
        // The first lookup of a router makes its table, and that of a thread may make room for what later ones share.
        black_box(router.at("GET", "h.test", "/"));
    }

    let hits = routes::filled(&github);
    let misses = routes::misses(&github);
    let eight = format!("/eight{}", format!("/{}", "v".repeat(30)).repeat(8));
    let long = format!("/files/{}", "x".repeat(256 - "/files/".len()));
    let escaped = "/repos/rust-lang/a%20b/events";
    assert_eq!((eight.len(), long.len()), (254, 256));

    let frozen = router.freeze();
    let check = |what: &str, method: &str, path: &str, want: fn(&Match<'_, ()>) -> bool| {
        let before = Allocated::by(Side::Client);
        let wanted = [
            want(black_box(&router.at(method, "h.test:80", path))),
            want(black_box(&grown.at(method, "h.test:80", path))),
            want(black_box(&frozen.at(method, "h.test:80", path))),
        ];
        let cost = Allocated::by(Side::Client) - before;
        assert_eq!((wanted, cost.count), ([true; 3], 0), "{what}: {method} {path}");
    };
    for path in hits.iter().map(String::as_str).chain([&eight, &long, escaped, "/own/x", "/files/", "/tree/"]) {
        check("hit", "GET", path, |answer| matches!(answer, Match::Found(_)));
        check("hit", "HEAD", path, |answer| matches!(answer, Match::Found(_)));
        check("405", "POST", path, |answer| matches!(answer, Match::MethodNotAllowed(_)));
        check("405", "PURGE", path, |answer| matches!(answer, Match::MethodNotAllowed(_)));
    }
    // A path that is not clean is answered with the clean one, which has to be written.
    let clean = misses.iter().map(String::as_str).filter(|path| !path.contains("//"));
    for path in clean.chain(["/", "/tree/%20"]) {
        check("miss", "GET", path, |answer| matches!(answer, Match::NotFound));
    }
    for path in ["/tree", "/files"] {
        check("slash redirect", "GET", path, |answer| matches!(answer, Match::Redirect(_)));
    }
    check("no path", "GET", "/files/%zz", |answer| matches!(answer, Match::Malformed));
}
