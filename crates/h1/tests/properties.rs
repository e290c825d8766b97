//! Properties over generated messages, whole and damaged; and the corpus that fuzzing found worth keeping.

#![allow(clippy::unwrap_used, reason = "a panic is the right report of a failed expectation inside a test")]

mod oracle;

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use oracle::{Event, Role, pieces_do_not_matter, read};
use proptest::prelude::*;
use roundtrip_h1::write::{BodyEncoder, encode_request_head, encode_response_head, outgoing_response_framing};
use roundtrip_h1::{
    Decoded, Decoder, DecoderLimits, Framing, Leniency, Limits, RequestParser, RequestTarget, ResponseParser,
};
use roundtrip_h1::{is_trailer_allowed, request_framing, response_framing};

fn name() -> impl Strategy<Value = HeaderName> {
    let any = "[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,20}".prop_map(|text| HeaderName::from_bytes(text.as_bytes()).unwrap());
    let known = prop::sample::select(vec![
        "date",
        "server",
        "content-type",
        "set-cookie",
        "x-request-id",
        "via",
        "etag",
        "host",
    ]);
    prop_oneof![any, known.prop_map(|text| HeaderName::from_bytes(text.as_bytes()).unwrap())]
}

/// Values as they come back: without white space at the ends.
fn value() -> impl Strategy<Value = HeaderValue> {
    let byte = prop_oneof![b' '..=b'~', Just(b'\t'), 0x80..=0xffu8];
    prop::collection::vec(byte, 0..30).prop_map(|bytes| {
        let trimmed = bytes.trim_ascii();
        HeaderValue::from_bytes(trimmed).unwrap()
    })
}

/// Fields that no rule of framing concerns.
fn fields() -> impl Strategy<Value = HeaderMap> {
    prop::collection::vec((name(), value()), 0..12).prop_map(|list| {
        let mut map = HeaderMap::new();
        let framing = ["host", "content-length", "transfer-encoding", "connection"];
        for (name, value) in list.into_iter().filter(|(name, _)| !framing.contains(&name.as_str())) {
            map.append(name, value);
        }
        map
    })
}

fn data() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..5)
}

fn method() -> impl Strategy<Value = Method> {
    let any = "[A-Z]{1,18}".prop_map(|text| Method::from_bytes(text.as_bytes()).unwrap());
    prop_oneof![any, Just(Method::GET), Just(Method::POST), Just(Method::HEAD), Just(Method::OPTIONS)]
}

fn read_body(framing: Framing, buf: &mut BytesMut) -> (Vec<u8>, HeaderMap) {
    let mut decoder = Decoder::new(framing, DecoderLimits::default());
    let (mut body, mut trailers) = (Vec::new(), HeaderMap::new());
    loop {
        match decoder.decode(buf).unwrap() {
            Decoded::Data(data) => body.extend_from_slice(&data),
            Decoded::Trailers(fields) => trailers = fields,
            Decoded::End => return (body, trailers),
            Decoded::NeedMore => {
                decoder.eof().unwrap();
                return (body, trailers);
            }
        }
    }
}

fn encode_body(dst: &mut Vec<u8>, framing: Framing, data: &[Vec<u8>], trailers: &HeaderMap) {
    let mut encoder = BodyEncoder::new(framing);
    data.iter().for_each(|piece| encoder.encode(dst, piece).unwrap());
    encoder.finish(dst, (framing == Framing::Chunked).then_some(trailers)).unwrap();
}

/// A message as it may come: a whole one, damaged in a few places.
fn damaged(seeds: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    const BITS: &[&str] = &[
        "\r\n",
        "\n",
        "\r",
        " ",
        "\t",
        ":",
        ";",
        ",",
        "\0",
        "0\r\n\r\n",
        "5\r\n",
        "f",
        "chunked",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: close\r\n",
        "HTTP/1.1",
        "\"",
        "=",
        "X: y\r\n",
        " z\r\n",
        "Host: a\r\n",
    ];
    let edit = (any::<prop::sample::Index>(), prop::sample::select(BITS), 0usize..4);
    (prop::collection::vec(prop::sample::select(seeds), 1..3), prop::collection::vec(edit, 0..4)).prop_map(
        |(seeds, edits)| {
            let mut bytes = seeds.concat().into_bytes();
            for (at, bit, removed) in edits {
                let at = at.index(bytes.len() + 1);
                let end = (at + removed).min(bytes.len());
                bytes.splice(at..end, bit.bytes());
            }
            bytes
        },
    )
}

const RESPONSES: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;a=\"b\"\r\n!\r\n0\r\nX-T: v\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\nA: b\r\n\r\n",
    "HTTP/1.0 200 OK\r\nServer: x\r\n\r\nuntil close",
    "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nX-F: a\r\n b\r\n\r\n",
];

const REQUESTS: &[&str] = &[
    "GET /a?b HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello",
    "PUT /x HTTP/1.1\r\nHost: [::1]:8\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "\r\nOPTIONS * HTTP/1.0\r\nA: b\r\n\r\n",
    "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n",
    "GET http://a.test/ HTTP/1.1\r\nHost: b\r\nExpect: 100-continue\r\n\r\n",
];

fn leniency() -> impl Strategy<Value = Leniency> {
    (any::<[bool; 5]>(), any::<bool>()).prop_map(|(switches, any_target)| {
        let [bare_lf, obs_fold, space_before_colon, space_after_chunk_size, unencoded_target] = switches;
        Leniency { bare_lf, obs_fold, space_before_colon, space_after_chunk_size, unencoded_target, any_target }
    })
}

/// 512 cases each, or more when `PROPTEST_CASES` says so. Failures are kept as tests here, not as seeds in a file.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: default.cases.max(512), failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_request_comes_back_as_it_was_written(
        method in method(), path in "/[a-zA-Z0-9._~/?&=-]{0,40}", headers in fields(), data in data(), trailers in fields(),
        shape in 0..3,
    ) {
        let length = data.iter().map(Vec::len).sum::<usize>() as u64;
        let (body, data) = match shape {
            0 => (Framing::None, Vec::new()),
            1 => (Framing::Length(length), data),
            _ => (Framing::Chunked, data),
        };
        let trailers: HeaderMap =
            trailers.iter().filter(|(n, _)| is_trailer_allowed(n)).map(|(n, v)| (n.clone(), v.clone())).collect();
        let mut wire = Vec::new();
        encode_request_head(&mut wire, &method, RequestTarget::Origin(&path), "a.test:80", &headers, body).unwrap();
        encode_body(&mut wire, body, &data, &trailers);
        wire.extend_from_slice(b"next");

        let mut buf = BytesMut::from(&wire[..]);
        let mut head = RequestParser::new(Limits::request()).parse(&mut buf).unwrap().unwrap();
        let framing = request_framing(&head).unwrap();
        prop_assert_eq!((head.method.as_str(), &head.target.to_string(), head.version), (method.as_str(), &path, Version::HTTP_11));
        prop_assert_eq!(head.headers.remove("host").unwrap(), "a.test:80");
        let said = head.headers.remove("content-length");
        head.headers.remove("transfer-encoding");
        prop_assert_eq!(&head.headers, &headers);
        let empty_post = body == Framing::None && said.is_some();
        prop_assert_eq!(framing, if empty_post { Framing::Length(0) } else { body });
        let (got, got_trailers) = read_body(framing, &mut buf);
        prop_assert_eq!(got, data.concat());
        prop_assert_eq!(got_trailers, if body == Framing::Chunked { trailers } else { HeaderMap::new() });
        prop_assert_eq!(&buf[..], b"next");
    }

    #[test]
    fn a_response_comes_back_as_it_was_written(
        method in method(), status in 100u16..1000, headers in fields(), data in data(), known in any::<bool>(), old in any::<bool>(),
    ) {
        let status = StatusCode::from_u16(status).unwrap();
        let version = if old { Version::HTTP_10 } else { Version::HTTP_11 };
        let length = data.iter().map(Vec::len).sum::<usize>() as u64;
        let framing = outgoing_response_framing(&method, version, status, known.then_some(length));
        let data = if matches!(framing, Framing::None | Framing::Length(0) | Framing::Tunnel) { Vec::new() } else { data };
        let mut wire = Vec::new();
        encode_response_head(&mut wire, &method, status, &headers, framing).unwrap();
        encode_body(&mut wire, framing, &data, &HeaderMap::new());

        let mut buf = BytesMut::from(&wire[..]);
        let mut head = ResponseParser::new(Limits::response()).parse(&mut buf).unwrap().unwrap();
        prop_assert_eq!(response_framing(&method, &head).unwrap(), framing);
        prop_assert_eq!((head.version, head.status), (Version::HTTP_11, status));
        for name in ["content-length", "transfer-encoding", "connection"] {
            head.headers.remove(name);
        }
        prop_assert_eq!(&head.headers, &headers);
        prop_assert_eq!(read_body(framing, &mut buf).0, data.concat());
        prop_assert!(buf.is_empty());
    }

    #[test]
    fn pieces_of_responses_do_not_matter(
        input in damaged(RESPONSES), cuts in prop::collection::vec(any::<usize>(), 1..5), method in method(), leniency in leniency(),
    ) {
        pieces_do_not_matter(&Role::Client(method), leniency, &input, &cuts);
    }

    #[test]
    fn pieces_of_requests_do_not_matter(
        input in damaged(REQUESTS), cuts in prop::collection::vec(any::<usize>(), 1..5), leniency in leniency(),
    ) {
        pieces_do_not_matter(&Role::Server, leniency, &input, &cuts);
    }

    #[test]
    fn heads_mean_what_httparse_says(response in damaged(RESPONSES), request in damaged(REQUESTS)) {
        oracle::response_head_against_httparse(&response);
        oracle::request_head_against_httparse(&request);
    }

    #[test]
    fn any_bytes_are_safe(input in prop::collection::vec(any::<u8>(), 0..300), cuts in prop::collection::vec(any::<usize>(), 1..3)) {
        oracle::chunked(&input, &cuts);
        pieces_do_not_matter(&Role::Server, Leniency::request(), &input, &cuts);
        pieces_do_not_matter(&Role::Client(Method::GET), Leniency::response(), &input, &cuts);
    }
}

/// Replays what fuzzing found worth keeping: each file below `fuzz/corpus/<target>` through the target's own oracle.
#[test]
fn the_corpus_holds() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut replayed = 0;
    for folder in std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap()) {
        let target = folder.file_name().into_string().unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            oracle::target(&target, &std::fs::read(file.unwrap().path()).unwrap());
            replayed += 1;
        }
    }
    assert!(replayed > 0, "the corpus is part of the repository");
}

#[test]
fn damaged_messages_reach_both_verdicts() {
    // A guard on the generators above: whole messages give events, so the properties are not about errors alone.
    for seed in RESPONSES {
        let events = read(&Role::Client(Method::GET), Leniency::response(), [seed.as_bytes()]).events;
        assert!(!events.iter().any(|event| matches!(event, Event::Failed(_))), "{seed:?}: {events:?}");
    }
    for seed in REQUESTS {
        let events = read(&Role::Server, Leniency::request(), [seed.as_bytes()]).events;
        assert!(!events.iter().any(|event| matches!(event, Event::Failed(_))), "{seed:?}: {events:?}");
    }
}
