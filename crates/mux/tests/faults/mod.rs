//! Patterns' faults in the words of the golden files.

use roundtrip_mux::PatternFault;
use serde_json::{Value, json};

/// A pattern's fault in the words of the files.
pub(crate) fn invalid(error: &roundtrip_mux::PatternError) -> Value {
    let reason = match error.fault() {
        PatternFault::Empty => "empty",
        PatternFault::NotUtf8 => "not_utf8",
        PatternFault::InvalidMethod => "invalid_method",
        PatternFault::MissingSlash => "missing_slash",
        PatternFault::BraceInHost => "brace_in_host",
        PatternFault::UncleanPathWithMethod => "unclean_path_with_method",
        PatternFault::WildcardNotAtSegmentStart => "wildcard_not_at_segment_start",
        PatternFault::WildcardNotAtSegmentEnd => "wildcard_not_at_segment_end",
        PatternFault::DollarNotAtEnd => "dollar_not_at_end",
        PatternFault::RestNotAtEnd => "multi_not_at_end",
        PatternFault::EmptyWildcard => "empty_wildcard",
        PatternFault::BadWildcardName => "bad_wildcard_name",
        PatternFault::DuplicateWildcardName => "duplicate_wildcard_name",
        other => panic!("a fault that this runner does not know: {other:?}"),
    };
    json!({"error": "invalid_pattern", "offset": error.offset(), "reason": reason})
}
