//! Any bytes as patterns, one a line: parsing never panics, relations invert, and what is registered is refused a second time.

#![no_main]

use libfuzzer_sys::fuzz_target;
use roundtrip_mux::{Pattern, Relation, Router};

fuzz_target!(|data: &[u8]| {
    let router = Router::new();
    let mut registered: Vec<Pattern> = Vec::new();
    for line in data.split(|byte| *byte == b'\n').take(16) {
        let Ok(pattern) = Pattern::try_from(line) else { continue };
        assert_eq!(pattern.relation(&pattern), Relation::Equal);
        for other in &registered {
            assert_eq!(pattern.relation(other), other.relation(&pattern).inverse());
        }
        let conflicts = registered.iter().filter(|other| pattern.conflicts_with(other)).count();
        match router.insert(pattern.as_str(), ()) {
            Ok(()) => {
                assert_eq!(conflicts, 0);
                assert!(router.insert(pattern.as_str(), ()).is_err());
                registered.push(pattern);
            }
            Err(error) => {
                let conflict = error.conflict().expect("the pattern was parsed before");
                assert_eq!(conflict.clashes().len(), conflicts);
                assert!(conflict.clashes().iter().all(|clash| clash.both().is_some()));
                let _ = error.to_string();
            }
        }
    }
    assert_eq!(router.patterns(), registered);
});
