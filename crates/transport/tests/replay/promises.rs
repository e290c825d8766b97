//! The differences of `client_wire.json`: where each applies, which looks at the input alone, and what it promises.

use serde_json::{Map, Value, json};

use roundtrip_golden::{LooseResponse, has_bare_lf, has_padded_size, latin1, trailer_section};

/// The difference that covers a case, if its promise was kept. `want` is Go's result as our callers could see it.
pub(crate) fn promised(case: &Value, input: &[u8], want: &Value, got: &Value) -> Option<&'static str> {
    let head = LooseResponse::last(input);
    let refused = json!({
        "outcome": "error",
        "error": "malformed",
        "client_closed_connection": true,
        "follow_up": {"outcome": "ok", "body": "next", "same_connection": false},
    });
    let with = |change: &dyn Fn(&mut Map<String, Value>)| {
        let mut promise = want.clone();
        change(promise.as_object_mut().unwrap());
        promise
    };
    let closes = |w: &mut Map<String, Value>| {
        w.insert("client_closed_connection".into(), json!(true));
        w["follow_up"]["same_connection"] = json!(false);
    };
    let trailers = trailer_section(input);
    let te_list: Vec<String> = head.values("transfer-encoding");
    let has_chunks = te_list.iter().any(|value| value.contains("chunked"));

    // Refused at the head.
    for (slug, applies) in [
        ("bare_lf", has_bare_lf(input)),
        ("status_line_spaces", head.status_line.get(8..10) == Some("  ")),
        (
            "status_code",
            head.status_line
                .get(9..12)
                .is_some_and(|code| !matches!(code.as_bytes(), [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'])),
        ),
        ("other_major_version", head.status_line.starts_with("HTTP/") && !head.status_line.starts_with("HTTP/1.")),
        ("control_in_reason", head.status_line.chars().any(|c| c.is_ascii_control() && c != '\t')),
        ("space_in_field_name", head.fields.iter().any(|(name, _)| name.contains([' ', '\t']))),
        ("transfer_encoding_in_http10", head.status_line.starts_with("HTTP/1.0") && !te_list.is_empty()),
        (
            "switching_unasked",
            head.status_line.get(9..12) == Some("101") && case["request"]["headers"].get("Upgrade").is_none(),
        ),
    ] {
        if applies && *got == refused {
            return Some(slug);
        }
    }
    // Taken, with a stated change to what Go gives.
    let lengths = head.values("content-length");
    let without_trailers = |w: &mut Map<String, Value>, goes: &dyn Fn(&str, &Value) -> bool| {
        if let Some(listed) = w.get_mut("trailers").and_then(Value::as_object_mut) {
            listed.retain(|name, values| !goes(name, values));
            if listed.is_empty() {
                w.remove("trailers");
            }
        }
    };
    let promises = [
        (
            "minor_version",
            head.status_line.as_bytes().get(7) > Some(&b'1'),
            with(&|w| {
                w.insert("proto".into(), json!("HTTP/1.1"));
            }),
        ),
        (
            "equal_lengths_kept",
            lengths.len() > 1,
            with(&|w| {
                if let Some(headers) = w.get_mut("headers") {
                    headers["content-length"] = json!(lengths);
                }
            }),
        ),
        ("transfer_encoding_with_length_closes", has_chunks && !lengths.is_empty(), with(&closes)),
        ("own_close_ends_the_connection", case["request"]["headers"]["Connection"] == "close", with(&closes)),
        (
            "malformed_coding",
            !head.values("content-encoding").is_empty() && want["body_end"] == "error:malformed",
            with(&|w| {
                w.insert("body_end".into(), json!("error:bad_gzip"));
            }),
        ),
        (
            "refused_connect",
            case["request"]["method"] == "CONNECT" && head.status_line.get(9..10) != Some("2"),
            with(&|w| {
                w.insert("client_closed_connection".into(), json!(false));
                w["follow_up"]["same_connection"] = json!(true);
            }),
        ),
        (
            "announced_trailers_are_not_listed",
            !head.values("trailer").is_empty(),
            with(&|w| without_trailers(w, &|_, values| *values == json!([]))),
        ),
        (
            "forbidden_trailer_dropped",
            trailers.contains("content-length:") || trailers.contains("transfer-encoding:"),
            with(&|w| without_trailers(w, &|name, _| name == "content-length" || name == "transfer-encoding")),
        ),
        (
            "space_after_chunk_size",
            has_chunks && has_padded_size(input),
            with(&|w| {
                w.retain(|key, _| key != "body");
                w.extend([("body_end".into(), json!("error:malformed")), ("body_len".into(), json!(0))]);
                closes(w);
            }),
        ),
    ];
    for (slug, applies, promise) in promises {
        if applies && *got == promise {
            return Some(slug);
        }
    }
    // Taken where Go refuses: the promise is a complete message.
    let complete = got["outcome"] == "ok" && got["body_end"] == "eof";
    let members = te_list.iter().flat_map(|value| value.split(',')).filter(|member| !member.trim().is_empty()).count();
    for (slug, applies) in [
        ("bad_length_without_a_body", case["request"]["method"] == "HEAD" && !lengths.is_empty()),
        ("empty_list_members", te_list.iter().any(|value| value.contains(',')) && members == 1),
        ("space_before_chunk_extension", has_chunks && latin1(input).contains(" ;")),
        (
            "forbidden_trailer_announced",
            head.values("trailer").iter().any(|value| value.to_lowercase().contains("content-length")),
        ),
        ("trailer_section_limit", (4_000..16_384).contains(&trailers.len())),
    ] {
        if applies && complete {
            return Some(slug);
        }
    }
    None
}
