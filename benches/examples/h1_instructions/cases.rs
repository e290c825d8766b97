//! Messages that are parsed and written, by us, by `httparse` and by hyper. The benchmark measures their time, the example
//! beside this file their instructions and allocations.

use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use roundtrip_h1::write::{BodyEncoder, encode_request_head, encode_response_head};
use roundtrip_h1::{
    Decoded, Decoder, DecoderLimits, Framing, Limits, RequestParser, RequestTarget, ResponseParser, response_framing,
};

use crate::exchange;

/// One piece of work and the ways to do it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// How many bytes of messages each turn reads or writes.
    pub(crate) bytes: usize,
    pub(crate) ways: Vec<(Way, Turn)>,
}

/// Does the work once.
pub(crate) type Turn = Box<dyn FnMut()>;

/// Who works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Nobody: what all others do besides the work, such as to fill a buffer. To be subtracted.
    Setup,
    Ours,
    Httparse,
    /// Parses nothing: the `http` and `bytes` crates fill the same map from names and places that are known beforehand. What
    /// remains when parsing is free.
    Map,
    Hyper,
}

impl Way {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Way::Setup => "setup",
            Way::Ours => "ours",
            Way::Httparse => "httparse",
            Way::Map => "map",
            Way::Hyper => "hyper",
        }
    }
}

/// All cases, in the order of the tables.
pub(crate) fn all() -> Vec<Case> {
    vec![
        response("parse/response_3_lower", LOWER_CASE_RESPONSE, false),
        response("parse/response_6", SMALL_RESPONSE, false),
        response("parse/response_6_reused_map", SMALL_RESPONSE, true),
        request("parse/request_3", SMALL_REQUEST),
        request("parse/request_10", PAGE_REQUEST),
        request("parse/request_20", BROWSER_REQUEST),
        response("parse/response_100", hundred_fields(), false),
        chunks("decode/chunks_16B", 16, 256),
        chunks("decode/chunks_1KB", 1 << 10, 64),
        chunks("decode/chunks_64KB", 64 << 10, 2),
        encoded_request("encode/request_small", "GET /users/42?x=1 HTTP/1.1\r\nHost: 127.0.0.1:12302\r\n\r\n"),
        encoded_request("encode/request_20", BROWSER_REQUEST),
        encoded_response("encode/response_3", LOWER_CASE_RESPONSE),
        encoded_response("encode/response_6", SMALL_RESPONSE),
        encoded_response("encode/response_100", hundred_fields()),
        encoded_chunks("encode/chunks_16B", 16, 256),
        encoded_chunks("encode/chunks_1KB", 1 << 10, 64),
        encoded_chunks("encode/chunks_64KB", 64 << 10, 2),
        exchange::case("exchange/get_6", SMALL_RESPONSE),
        exchange::served("exchange/serve_3", SMALL_REQUEST),
        exchange::served("exchange/serve_10", PAGE_REQUEST),
    ]
}

/// A short answer as our own server sends it; the body is not read except in the exchange.
const SMALL_RESPONSE: &str = "HTTP/1.1 200 OK\r\n\
    Date: Mon, 23 Nov 2026 02:10:21 GMT\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 13\r\n\
    Server: roundtrip\r\n\
    Cache-Control: no-cache\r\n\
    Vary: accept-encoding\r\n\r\n";

/// What hyper and our own server send when a handler sets next to nothing: names in lower case.
const LOWER_CASE_RESPONSE: &str = "HTTP/1.1 200 OK\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 19\r\n\
    date: Tue, 24 Nov 2026 12:00:00 GMT\r\n\r\n";

/// What a command line tool sends.
const SMALL_REQUEST: &str = "GET / HTTP/1.1\r\n\
    Host: 127.0.0.1:12302\r\n\
    User-Agent: curl/8.14.1\r\n\
    Accept: */*\r\n\r\n";

/// What a browser sends for something of a page, as Firefox does.
const PAGE_REQUEST: &str = "GET /static/site.css?v=42 HTTP/1.1\r\n\
    Host: www.example.org\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/css,*/*;q=0.1\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Connection: keep-alive\r\n\
    Referer: https://www.example.org/index.html\r\n\
    Sec-Fetch-Dest: style\r\n\
    Sec-Fetch-Mode: no-cors\r\n\
    Sec-Fetch-Site: same-origin\r\n\r\n";

/// What a browser sends for a page, with two fields that no table knows.
const BROWSER_REQUEST: &str = "GET /index.html?x=1 HTTP/1.1\r\n\
    Host: www.example.org\r\n\
    Connection: keep-alive\r\n\
    Cache-Control: max-age=0\r\n\
    sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8\r\n\
    Sec-Fetch-Site: none\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-User: ?1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-US,en;q=0.9\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
    If-None-Match: \"abc123\"\r\n\
    DNT: 1\r\n\
    X-Client-Data: CIi2yQEIpLbJAQ==\r\n\
    X-App-Trace: a1b2c3\r\n\r\n";

/// A head of 100 fields that no table knows.
fn hundred_fields() -> &'static str {
    let fields = (0..100).map(|i| format!("X-Field-{i}: value number {i} of some length\r\n"));
    format!("HTTP/1.1 200 OK\r\n{}\r\n", fields.collect::<String>()).leak()
}

/// The input as it lies in a connection's buffer.
fn received(input: &[u8]) -> BytesMut {
    let mut buf = BytesMut::with_capacity(input.len().max(4096));
    buf.extend_from_slice(black_box(input));
    buf
}

fn setup(input: &'static [u8]) -> (Way, Turn) {
    (Way::Setup, Box::new(move || drop(black_box(received(input)))))
}

fn response(name: &'static str, text: &'static str, reuse: bool) -> Case {
    let mut parser = ResponseParser::new(Limits::response());
    let ours = move || {
        let head = parser.parse(&mut received(text.as_bytes())).expect("it is valid").expect("it is whole");
        let head = black_box(head);
        if reuse {
            parser.reuse_headers(head.headers);
        }
    };
    let httparse = move || {
        let buf = received(text.as_bytes());
        let mut space = [const { MaybeUninit::uninit() }; 100];
        let mut head = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let status = config.parse_response_with_uninit_headers(&mut head, black_box(&buf), &mut space);
        black_box(status.expect("it is valid"));
    };
    let mut ways =
        vec![setup(text.as_bytes()), (Way::Ours, Box::new(ours) as Turn), (Way::Httparse, Box::new(httparse))];
    if !reuse {
        ways.push((Way::Map, map(text)));
    }
    Case { name, bytes: text.len(), ways }
}

fn map(text: &'static str) -> Turn {
    let fields: Vec<(HeaderName, Range<usize>)> = text
        .match_indices(": ")
        .map(|(colon, _)| {
            let line = text[..colon].rfind('\n').map_or(0, |end| end + 1);
            let end = colon + text[colon..].find('\r').expect("it is valid");
            (text[line..colon].parse().expect("it is valid"), colon + 2..end)
        })
        .collect();
    Box::new(move || {
        let block = received(text.as_bytes()).freeze();
        let mut map = HeaderMap::with_capacity(fields.len());
        for (name, place) in black_box(&fields) {
            let value = HeaderValue::from_maybe_shared(block.slice(place.clone())).expect("it is valid");
            map.try_append(name, value).expect("there is room");
        }
        black_box((block, map));
    })
}

fn request(name: &'static str, text: &'static str) -> Case {
    let mut parser = RequestParser::new(Limits::request());
    let ours = move || {
        let head = parser.parse(&mut received(text.as_bytes())).expect("it is valid").expect("it is whole");
        black_box(head);
    };
    let httparse = move || {
        let buf = received(text.as_bytes());
        let mut space = [const { MaybeUninit::uninit() }; 100];
        let mut head = httparse::Request::new(&mut []);
        let config = httparse::ParserConfig::default();
        let status = config.parse_request_with_uninit_headers(&mut head, black_box(&buf), &mut space);
        black_box(status.expect("it is valid"));
    };
    let ways: Vec<(Way, Turn)> = vec![
        setup(text.as_bytes()),
        (Way::Ours, Box::new(ours)),
        (Way::Httparse, Box::new(httparse)),
        (Way::Map, map(text)),
    ];
    Case { name, bytes: text.len(), ways }
}

/// A chunked body that has come in one piece. Beside us `httparse` reads the sizes alone.
fn chunks(name: &'static str, size: usize, count: usize) -> Case {
    let chunk = [format!("{size:x}\r\n").as_bytes(), &vec![b'x'; size], b"\r\n"].concat();
    let input: &'static [u8] = [chunk.repeat(count), b"0\r\n\r\n".to_vec()].concat().leak();
    let ours = move || {
        let mut buf = received(input);
        let mut decoder = Decoder::new(Framing::Chunked, DecoderLimits::default());
        while let Decoded::Data(data) = decoder.decode(&mut buf).expect("it is valid") {
            black_box(data);
        }
        assert!(decoder.is_done());
    };
    let httparse = move || {
        let buf = received(input);
        let mut rest = black_box(&buf[..]);
        loop {
            let Ok(httparse::Status::Complete((line, size))) = httparse::parse_chunk_size(rest) else {
                panic!("each size is valid and whole");
            };
            if size == 0 {
                break;
            }
            let size = usize::try_from(size).expect("it was made here");
            rest = black_box(&rest[line + size + 2..]);
        }
    };
    let ways = vec![setup(input), (Way::Ours, Box::new(ours) as Turn), (Way::Httparse, Box::new(httparse))];
    Case { name, bytes: input.len(), ways }
}

/// Writes the request of this head into a buffer that has room.
fn encoded_request(name: &'static str, text: &'static str) -> Case {
    let mut head =
        RequestParser::new(Limits::request()).parse(&mut received(text.as_bytes())).expect("valid").expect("whole");
    let host = head.host().to_owned();
    head.headers.remove(http::header::HOST);
    if head.headers.is_empty() {
        head.headers = small_fields();
    }
    let target = head.target.to_string();
    let mut out = Vec::with_capacity(text.len() + 1024);
    encode(&mut out, &target, &host, &head.headers);
    let bytes = out.len();
    let ours = move || {
        out.clear();
        encode(&mut out, black_box(&target), black_box(&host), black_box(&head.headers));
        black_box(&out);
    };
    Case { name, bytes, ways: vec![(Way::Setup, Box::new(|| ())), (Way::Ours, Box::new(ours))] }
}

/// The two fields that our client sends with a plain GET.
pub(crate) fn small_fields() -> HeaderMap {
    [("user-agent", "roundtrip/0.1"), ("accept-encoding", "gzip")]
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .into_iter()
        .collect()
}

fn encode(out: &mut Vec<u8>, target: &str, host: &str, fields: &HeaderMap) {
    let target = RequestTarget::Origin(target);
    encode_request_head(out, &Method::GET, target, host, fields, Framing::None).expect("it was parsed");
}

/// Writes the response of this head into a buffer that has room.
fn encoded_response(name: &'static str, text: &'static str) -> Case {
    let mut buf = received(text.as_bytes());
    let head = ResponseParser::new(Limits::response()).parse(&mut buf).expect("valid").expect("whole");
    let framing = response_framing(&Method::GET, &head).expect("valid");
    let mut out = Vec::with_capacity(text.len() + 1024);
    let ours = move || {
        out.clear();
        encode_response_head(&mut out, &Method::GET, StatusCode::OK, black_box(&head.headers), framing)
            .expect("it was parsed");
        black_box(&out);
    };
    Case { name, bytes: text.len(), ways: vec![(Way::Setup, Box::new(|| ())), (Way::Ours, Box::new(ours))] }
}

/// Frames a body chunk by chunk, without copying the data.
fn encoded_chunks(name: &'static str, size: usize, count: usize) -> Case {
    let mut out = Vec::with_capacity(64 * count);
    let ours = move || {
        out.clear();
        let mut encoder = BodyEncoder::new(Framing::Chunked);
        for _ in 0..count {
            let frame = encoder.frame(black_box(size)).expect("a chunk may have any size");
            out.extend_from_slice(frame.before());
            out.extend_from_slice(frame.behind());
        }
        encoder.finish(&mut out, None).expect("nothing is missing");
        black_box(&out);
    };
    Case { name, bytes: size * count, ways: vec![(Way::Setup, Box::new(|| ())), (Way::Ours, Box::new(ours))] }
}
