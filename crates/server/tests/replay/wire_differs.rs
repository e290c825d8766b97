//! The deliberate differences of `server_wire.json`: predicates over the input, and the result that each promises.

use roundtrip_golden::{LooseRequest, has_bare_lf, is_authority};
use serde_json::Value;

use super::http1::Reply;

/// A case and what came of it.
pub(crate) struct Result<'a> {
    pub(crate) case: &'a Value,
    pub(crate) replies: &'a [Reply],
    pub(crate) interim: &'a [u16],
    /// The requests that the handler got.
    pub(crate) requests: &'a [Value],
    pub(crate) closed: bool,
    /// How many of them are as Go's handler got them.
    pub(crate) agreed: usize,
    /// All that the client sent.
    pub(crate) input: &'a str,
}

/// The difference that covers this case, if its promise was kept.
pub(crate) fn promised(result: &Result<'_>) -> Option<&'static str> {
    let (case, agreed) = (result.case, result.agreed);
    let request = LooseRequest::new(result.input, agreed);
    let te = request.values("transfer-encoding");
    let has_length = !request.values("content-length").is_empty();

    // Answered by the server itself, and closed.
    let refused_with = |status: u16| {
        result.closed
            && result.requests.len() == agreed
            && result.replies.len() == agreed + 1
            && result.replies[agreed].status == status
    };
    for (slug, status, applies) in [
        ("bare_lf", 400, has_bare_lf(result.input.as_bytes())),
        ("fold", 400, request.has_fold),
        (
            "target_form",
            400,
            (request.method == "CONNECT") != is_authority(&request.target)
                || (request.target == "*") != (request.method == "OPTIONS"),
        ),
        ("target_userinfo", 400, request.target.contains("://") && request.target.contains('@')),
        ("host_grammar", 400, request.values("host").iter().any(|host| !is_host(host))),
        ("connect_without_host", 400, request.method == "CONNECT" && request.values("host").is_empty()),
        ("h2_preface", 505, request.method == "PRI" && request.version == "HTTP/2.0"),
        ("transfer_encoding_in_http10", 400, request.version == "HTTP/1.0" && !te.is_empty()),
        ("transfer_encoding_with_length", 400, !te.is_empty() && has_length),
        ("fragment", 400, request.target.contains('#')),
        ("expectation_list", 417, request.values("expect").iter().any(|value| value.contains(','))),
    ] {
        if applies && refused_with(status) {
            return Some(slug);
        }
    }

    let wanted = case["want"]["seen"].as_array().unwrap();
    let (got, want) = (result.requests.get(agreed), wanted.get(agreed));
    // The next request, as Go's but for one thing.
    let but_for = |key: &str, value: Option<Value>| {
        let (Some(got), Some(want)) = (got, want) else { return false };
        let mut promise = want.as_object().unwrap().clone();
        match value {
            Some(value) => promise.insert(key.into(), value),
            None => promise.remove(key),
        };
        *got.as_object().unwrap() == promise
    };
    let handler = &case["handler"];
    let kind = handler["kind"].as_str().unwrap();
    let statuses = |from: &[Reply]| from.iter().map(|reply| u64::from(reply.status)).collect::<Vec<_>>();
    let go: Vec<u64> =
        case["want"]["responses"].as_array().unwrap().iter().map(|r| r["status"].as_u64().unwrap()).collect();
    let all_complete = result.replies.iter().all(|reply| reply.complete);
    // Go's answers to Go's requests, in order, and then more.
    let and_more = result.requests.len() > wanted.len()
        && agreed == wanted.len()
        && all_complete
        && statuses(result.replies).len() == result.requests.len();
    let as_go =
        agreed == wanted.len() && agreed == result.requests.len() && statuses(result.replies) == go && all_complete;
    let served = |state: &str| got.is_some_and(|got| got["body_state"] == state);
    let uri = request.target.parse::<http::Uri>().map(|uri| uri.to_string()).unwrap_or_default();
    let body = &request.body;
    let first = LooseRequest::new(result.input, 0);
    let sets = |name: &str| {
        handler["headers"].as_object().is_some_and(|set| set.keys().any(|key| key.eq_ignore_ascii_case(name)))
    };
    let length = usize::try_from(handler["body"].as_u64().unwrap_or(0)).unwrap();
    let whole_bodies = result.replies.iter().all(|reply| {
        reply.complete
            && (reply.body.len() == length || reply.body.is_empty())
            && matches!(reply.framing, "length" | "none")
    });
    let half_closes = case["send"].as_array().unwrap().iter().any(|part| part["half_close"] == true);
    let lower = body.to_lowercase();
    let trailer_len = body.rsplit_once("\r\n0\r\n").map_or(0, |(_, trailers)| trailers.len());
    for (slug, applies, kept) in [
        (
            "minor_version",
            request.version.starts_with("HTTP/1."),
            !matches!(&*request.version, "HTTP/1.0" | "HTTP/1.1") && but_for("proto", Some("HTTP/1.1".into())),
        ),
        ("empty_list_member", te.iter().any(|value| value.split(',').any(|coding| coding.trim().is_empty())), and_more),
        ("absolute_target_as_uri", request.target.contains("://"), but_for("target", Some(uri.into()))),
        (
            "empty_line_before_request",
            result.input.starts_with("\r\n")
                || result.input.contains("\r\n\r\n\r\n")
                || (result.input.contains("\r\nGET") && !result.input.to_lowercase().contains("transfer-encoding")),
            and_more,
        ),
        (
            "no_request_no_answer",
            result.input.bytes().all(|byte| b"\r\n".contains(&byte)),
            result.replies.is_empty() && result.requests.is_empty() && result.closed,
        ),
        ("limit_spares_connection", kind == "max_bytes", and_more && go.last() == Some(&413)),
        (
            "continued_body_is_drained",
            kind == "read_some" && !first.values("expect").is_empty(),
            and_more && result.interim == [100],
        ),
        (
            "cut_body_says_close",
            half_closes,
            as_go && result.closed && result.replies.last().is_some_and(|reply| reply.header("connection") == "close"),
        ),
        (
            "closed_untold",
            kind == "ignore" && first.values("transfer-encoding").join(",").contains("chunked"),
            as_go && result.closed && result.replies.last().is_some_and(|reply| reply.header("connection").is_empty()),
        ),
        (
            "empty_chunk_extension",
            body.contains(" \r\n") || body.contains(";\r\n"),
            served("error:malformed") && result.closed && result.requests.len() == agreed + 1,
        ),
        ("space_before_chunk_extension", body.contains(" ;"), served("eof")),
        (
            "space_before_trailer_colon",
            body.contains(" :"),
            served("error:malformed") && result.closed && result.requests.len() == agreed + 1,
        ),
        (
            "forbidden_trailer_dropped",
            lower.contains("\r\n0\r\ncontent-length:") || lower.contains("\r\n0\r\ntransfer-encoding:"),
            but_for("trailers", None),
        ),
        (
            "forbidden_trailer_announced",
            request.values("trailer").iter().any(|value| value.to_lowercase().contains("content-length")),
            and_more && served("eof"),
        ),
        ("trailer_section_limit", (4_000..16_384).contains(&trailer_len), served("eof")),
        (
            "full_duplex",
            kind == "early",
            got.is_some_and(|got| got["body_state"] == "eof" || got["body_state"] == "blocked")
                && statuses(result.replies) == go
                && all_complete,
        ),
        (
            "unwanted_continue_body",
            kind == "ignore" && !first.values("expect").is_empty(),
            as_go
                && result.closed
                && result.interim.is_empty()
                && result.replies.first().is_some_and(|reply| reply.header("connection") == "close"),
        ),
        (
            "tunnel_has_no_body",
            first.method == "CONNECT",
            as_go && result.closed && result.replies.iter().all(|reply| reply.body.is_empty()),
        ),
        (
            "known_length",
            kind == "respond" && handler["flush"] != true && length > 2048,
            whole_bodies && statuses(result.replies) == go,
        ),
        (
            "handlers_framing",
            kind == "respond" && (sets("content-length") || sets("transfer-encoding")) && handler["status"] != 304,
            whole_bodies && result.replies.iter().all(|reply| !reply.headers.contains_key("transfer-encoding")),
        ),
        ("content_type_of_304", handler["status"] == 304 && sets("content-type"), as_go),
        (
            "trailers_need_chunks",
            handler["trailers"].is_object(),
            as_go
                && result.replies.iter().all(|reply| {
                    let has_chunks = reply.framing == "chunked";
                    has_chunks != reply.trailers.is_empty() && (has_chunks || reply.header("trailer").is_empty())
                }),
        ),
        (
            "split_value",
            handler["headers"]
                .as_object()
                .is_some_and(|set| set.values().any(|v| v.as_str().unwrap().contains(['\r', '\n']))),
            as_go && result.replies.iter().all(|reply| !reply.headers.contains_key("x-evil")),
        ),
        ("interim_for_http10", kind == "interim" && first.version == "HTTP/1.0", as_go && result.interim.is_empty()),
        (
            "close_beside_keep_alive",
            first.version == "HTTP/1.0" && first.values("connection").join(",").contains("close"),
            as_go && result.closed,
        ),
    ] {
        if applies && kept {
            return Some(slug);
        }
    }
    None
}

/// RFC 9110's `Host`, said in another way than the server does.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => (&host[..colon], &host[colon + 1..]),
        _ => (host, ""),
    };
    let inner = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let port_ok = port.is_empty() || (port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok());
    let name_ok = inner.unwrap_or(name).bytes().all(|byte| {
        byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte) || (byte == b':' && inner.is_some())
    });
    let escapes_ok =
        name.split('%').skip(1).all(|rest| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit));
    port_ok && name_ok && escapes_ok
}
