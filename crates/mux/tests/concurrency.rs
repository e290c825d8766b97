//! Registration while lookups go on: each lookup sees one table.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use roundtrip_mux::{Match, Router, ServeMux, default_serve_mux};
use roundtrip_types::Handler;

/// Each batch registers a narrower pattern of every family, so that a lookup that saw half of one would find members of two.
/// There are more batches than tables that a router keeps.
#[test]
fn a_lookup_sees_the_table_before_or_after_a_registration_and_never_a_mixture() {
    const BATCHES: usize = 100;
    const FAMILIES: usize = 8;
    let router = Router::new();
    let (done, seen) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let path = "/a".repeat(BATCHES);
                let mut last = 0;
                while !done.load(Ordering::Acquire) {
                    // A frozen router is one table: all its families have come equally far.
                    let frozen = router.freeze();
                    let batch = |family: usize| {
                        let host = format!("family{family}.test");
                        let found = frozen.at("GET", &host, &path).found();
                        found.map_or(0, |found| {
                            assert_eq!(found.pattern().host(), Some(host.as_str()));
                            *found.value()
                        })
                    };
                    let batches: Vec<_> = (0..FAMILIES).map(batch).collect();
                    assert!(batches.iter().all(|batch| *batch == batches[0]), "a mixture: {batches:?}");
                    assert!(batches[0] >= last, "back from {last} to {}", batches[0]);
                    assert_eq!(frozen.patterns().len(), batches[0] * FAMILIES);
                    last = batches[0];
                    // A lookup of the router itself may be newer, never older.
                    match router.at("GET", "family0.test", &path) {
                        Match::Found(found) => assert!(*found.value() >= last),
                        other => assert_eq!(last, 0, "{other:?}"),
                    }
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for batch in 1..=BATCHES {
            let depth = "/a".repeat(batch - 1);
            router.insert_all((0..FAMILIES).map(|family| (format!("family{family}.test{depth}/"), batch))).unwrap();
            let before = seen.load(Ordering::Relaxed);
            // Let lookups happen between the batches; a machine with one core needs that.
            while seen.load(Ordering::Relaxed) == before {
                thread::yield_now();
            }
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(router.patterns().len(), BATCHES * FAMILIES);
}

/// Beyond the tables that a router keeps, lookups hold those they read.
#[test]
fn what_is_found_once_is_found_while_hundreds_of_patterns_are_registered_one_by_one() {
    const PATTERNS: usize = 300;
    let router = Router::new();
    let (registered, seen) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let known = registered.load(Ordering::Acquire);
                    let last = known.checked_sub(1);
                    let path = format!("/{}", last.unwrap_or_default());
                    let newest = last.map(|_| router.at("GET", "", &path).found().unwrap());
                    assert_eq!(newest.as_ref().map(|found| *found.value()), last);
                    // A wildcard takes what has no pattern of its own yet, from the first registration on.
                    let next = value_at(&router, &format!("/{known}"));
                    assert!(next == Some(known) || next == (known > 0).then_some(PATTERNS), "{known}: {next:?}");
                    seen.fetch_add(1, Ordering::Relaxed);
                    // The match has outlived lookups and perhaps registrations.
                    let pattern = newest.map(|found| found.pattern().to_string());
                    assert_eq!(pattern, last.map(|last| format!("/{last}")));
                    if known == PATTERNS {
                        return;
                    }
                }
            });
        }
        for n in 0..PATTERNS {
            let before = seen.load(Ordering::Relaxed);
            if n == 0 {
                router.insert_all([("/{any}".to_owned(), PATTERNS), ("/0".to_owned(), 0)]).unwrap();
            } else {
                router.insert(&format!("/{n}"), n).unwrap();
            }
            registered.store(n + 1, Ordering::Release);
            while seen.load(Ordering::Relaxed) == before {
                thread::yield_now();
            }
        }
    });
}

fn value_at(router: &Router<usize>, path: &str) -> Option<usize> {
    router.at("GET", "", path).found().map(|found| *found.value())
}

/// The first lookup makes the table: of several at once each has to wait for it, and registrations meanwhile are not lost.
#[test]
fn many_first_lookups_at_once_see_all_that_was_registered_before() {
    for _ in 0..50 {
        let router = Router::new();
        for n in 0..20 {
            router.insert(&format!("/{n}"), n).unwrap();
        }
        let start = Barrier::new(5);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    for n in 0..20 {
                        assert_eq!(value_at(&router, &format!("/{n}")), Some(n));
                    }
                });
            }
            start.wait();
            for n in 20..23 {
                router.insert(&format!("/{n}"), n).unwrap();
                assert_eq!(value_at(&router, &format!("/{n}")), Some(n));
            }
        });
        assert_eq!(router.patterns().len(), 23);
    }
}

#[test]
fn no_registration_is_lost_when_many_threads_register() {
    let mux = ServeMux::new();
    register_from_many_threads(&mux, "");
    assert_eq!(mux.patterns().len(), 200);
    fn is_a_handler(_: impl Handler) {}
    is_a_handler(mux);
}

/// The one mux that a whole process shares; nothing else in this program uses it.
#[test]
fn no_registration_is_lost_on_the_default_mux_while_it_serves() {
    let mux = default_serve_mux();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // Patterns never go away, so what is found once is found from then on.
        let reader = scope.spawn(|| {
            let mut found = [false; 50];
            while !done.load(Ordering::Acquire) {
                for (n, before) in found.iter_mut().enumerate() {
                    let path = format!("/default/0/{n}");
                    let now = matches!(default_serve_mux().router().at("GET", "", &path), Match::Found(_));
                    assert!(now || !*before, "{path} was found and is not any more");
                    *before = now;
                }
                thread::yield_now();
            }
        });
        register_from_many_threads(mux, "/default");
        done.store(true, Ordering::Release);
        reader.join().unwrap();
    });
    let registered = |pattern: &&roundtrip_mux::Pattern| pattern.as_str().starts_with("/default/");
    assert_eq!(default_serve_mux().patterns().iter().filter(registered).count(), 200);
}

/// Registers two hundred patterns below a prefix, each twice, and looks all of them up.
fn register_from_many_threads(mux: &ServeMux, prefix: &str) {
    thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for n in 0..50 {
                    mux.handle(&format!("{prefix}/{thread}/{n}"), |_req| async {});
                    let conflict = mux.try_handle(&format!("{prefix}/{thread}/{n}"), |_req| async {});
                    assert!(conflict.is_err(), "a registration is seen by the next one");
                }
            });
        }
    });
    let mut all = (0..4).flat_map(|thread| (0..50).map(move |n| format!("{prefix}/{thread}/{n}")));
    assert!(all.all(|path| matches!(mux.router().at("GET", "", &path), Match::Found(_))));
}
