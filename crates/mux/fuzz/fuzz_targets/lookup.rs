//! Any text as a request, against patterns that make every way of the lookup possible: no panic, values inside the path,
//! redirects that stay on this host, and a request that was found is found again under its clean path.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use roundtrip_mux::{Match, Router};

static ROUTER: LazyLock<Router<usize>> = LazyLock::new(|| {
    let router = Router::new();
    let patterns = [
        "/", "GET /a", "POST /a/", "/a/{x}", "/a/b", "/a/b/{$}", "GET /{x}/{y}/c", "GET /a/{y}/c", "/files/{path...}", "h/",
        "GET h/a/{x}", "/more-than-sixteen-bytes-long/{x}", "/eight888", "/%2F/a", "CONNECT /t/{x}/u", "/e//f", "X-Y /{x}/z",
        "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}",
    ];
    for (index, pattern) in patterns.into_iter().enumerate() {
        // Some of them conflict; the others are enough.
        let _ = router.insert(pattern, index);
    }
    router
});

fuzz_target!(|data: &str| {
    let mut parts = data.splitn(3, ' ');
    let (method, host, path) = match (parts.next(), parts.next(), parts.next()) {
        (Some(method), Some(host), Some(path)) => (method, host, path),
        _ => ("GET", "h:80", data),
    };
    match ROUTER.at(method, host, path) {
        Match::Found(found) => {
            for (name, value) in found.values() {
                assert!(found.path().contains(value.raw()));
                let _ = (name, value.decoded(), value.bytes());
            }
            let again = ROUTER.at(method, host, found.path()).found().map(|again| *again.value());
            assert_eq!(again, Some(*found.value()));
        }
        Match::Redirect(redirect) => {
            let path = redirect.path().into_owned();
            assert!(path.starts_with('/') && !path.starts_with("//") && path.is_ascii(), "{path}");
            if method != "CONNECT" {
                let next = ROUTER.at(method, host, &path);
                assert!(!matches!(next, Match::Redirect(_) | Match::Malformed), "{path} is redirected again");
            }
        }
        Match::MethodNotAllowed(allowed) => assert!(!allowed.methods().is_empty()),
        _ => {}
    }
});
