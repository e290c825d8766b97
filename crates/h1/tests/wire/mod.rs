//! The two sides of the wire, replayed.

pub(crate) mod client;
pub(crate) mod server;

use roundtrip_golden::{known_keys, part_bytes};
use serde_json::Value;

/// The bytes of one part of a script, or none for a part that only waits.
fn part(part: &Value) -> Vec<u8> {
    known_keys(part, &["b64", "repeat_b64", "times", "pause_ms", "wait", "n", "half_close"]);
    part_bytes(part)
}
