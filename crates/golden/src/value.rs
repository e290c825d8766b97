//! Values as the files write them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use serde_json::{Map, Value, json};

/// Fails if an object has keys beside these.
///
/// # Panics
/// It has: a runner that overlooks a key would pass without checking it.
pub fn known_keys(value: &Value, keys: &[&str]) {
    let unknown: Vec<_> = value.as_object().expect("an object").keys().filter(|k| !keys.contains(&&***k)).collect();
    assert!(unknown.is_empty(), "unknown keys {unknown:?} in {value}");
}

/// Whether a case is marked as showing this quirk of Go's.
#[must_use]
pub fn has_quirk(case: &Value, slug: &str) -> bool {
    case["quirks"].as_array().is_some_and(|quirks| quirks.iter().any(|quirk| quirk == slug))
}

/// The bytes of a string, which stands as `{"b64": ...}` if it is not text.
#[must_use]
pub fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.clone().into_bytes(),
        Value::Object(_) => {
            known_keys(value, &["b64"]);
            base64(value["b64"].as_str().expect("base64 text"))
        }
        other => panic!("not a string: {other}"),
    }
}

/// The reverse of [`bytes`].
#[must_use]
pub fn text_or_base64(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "b64": to_base64(bytes) }),
    }
}

/// The bytes behind base64.
#[must_use]
pub fn base64(text: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(text).unwrap_or_else(|error| panic!("not base64: {text:?}: {error}"))
}

/// Bytes as base64.
#[must_use]
pub fn to_base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// The bytes of one part of a script, or none for a part that only waits.
#[must_use]
pub fn part_bytes(part: &Value) -> Vec<u8> {
    let mut bytes = part["b64"].as_str().map(base64).unwrap_or_default();
    if let Some(text) = part["repeat_b64"].as_str() {
        let times = part["times"].as_u64().expect("times stands beside repeat_b64");
        bytes.extend(base64(text).repeat(usize::try_from(times).expect("a count")));
    }
    bytes
}

/// Bytes with one code point each.
#[must_use]
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| char::from(b)).collect()
}

/// A text, or the length of a long one.
#[must_use]
pub fn short(text: String) -> String {
    if text.len() > 400 { format!("({} bytes)", text.len()) } else { text }
}

/// Fields: values by lower-case name, long ones by their length. `without` are names that Go's header map never has.
#[must_use]
pub fn fields(headers: &HeaderMap, without: &[&str]) -> Value {
    let mut map = Map::new();
    for (name, value) in headers.iter().filter(|(name, _)| !without.contains(&name.as_str())) {
        let value = json!(short(latin1(value.as_bytes())));
        match map.entry(name.as_str()).or_insert_with(|| json!([])) {
            Value::Array(values) => values.push(value),
            other => unreachable!("only lists are put in: {other}"),
        }
    }
    Value::Object(map)
}

/// Whether a head in `bytes`, up to its first empty line, has a line that ends with LF alone.
#[must_use]
pub fn has_bare_lf(bytes: &[u8]) -> bool {
    let end = (0..bytes.len()).find(|&i| bytes[i..].starts_with(b"\n\n") || bytes[i..].starts_with(b"\n\r\n"));
    let head = &bytes[..end.map_or(bytes.len(), |i| (i + 3).min(bytes.len()))];
    head.iter().enumerate().any(|(i, &b)| b == b'\n' && (i == 0 || head[i - 1] != b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_text_or_base64() {
        for value in [json!("text"), json!({"b64": "/w=="})] {
            assert_eq!(text_or_base64(&bytes(&value)), value);
        }
    }

    #[test]
    fn parts_repeat() {
        assert_eq!(part_bytes(&json!({"b64": "YQ==", "repeat_b64": "Yg==", "times": 3})), b"abbb");
        assert!(part_bytes(&json!({"pause_ms": 3})).is_empty());
    }

    #[test]
    fn fields_stand_by_name() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("a", "1"), ("b", "x"), ("a", "2")] {
            headers.append(name, value.parse().expect("a value"));
        }
        assert_eq!(fields(&headers, &["b"]), json!({"a": ["1", "2"]}));
    }

    #[test]
    fn a_bare_lf_counts_in_the_head_only() {
        assert!(has_bare_lf(b"GET / HTTP/1.1\nhost: a\r\n\r\n"));
        assert!(!has_bare_lf(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nbody\n"));
    }
}
