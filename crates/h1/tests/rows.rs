//! The fault catalogue, row by row: R for what clients send to servers, C for what servers send to clients.
//!
//! Rows that are not about framing have no test here: C5's late replies and C26's timing belong to the transport, R35's memory
//! bound to the server. The names say what has to happen.

#![allow(clippy::unwrap_used, reason = "a panic is the right report of a failed expectation inside a test")]

use bytes::BytesMut;
use http::{HeaderMap, Method, StatusCode};
use roundtrip_h1::{
    DecodeError, Decoded, Decoder, DecoderLimits, Expectation, FieldError, Framing, FramingError, HeadError, Leniency,
    Limits, RequestHead, RequestParser, ResponseHead, ResponseParser, is_host, keep_alive, request_framing,
    response_framing,
};

/// A request head with these lines behind the request line and a Host field.
fn request_with(lines: &str) -> Result<RequestHead, HeadError> {
    request(format!("POST /up HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n"))
}

fn request(bytes: impl AsRef<[u8]>) -> Result<RequestHead, HeadError> {
    let mut buf = BytesMut::from(bytes.as_ref());
    RequestParser::new(Limits::request()).parse(&mut buf).map(|head| head.expect("the head is complete"))
}

fn response(bytes: impl AsRef<[u8]>) -> Result<ResponseHead, HeadError> {
    let mut buf = BytesMut::from(bytes.as_ref());
    ResponseParser::new(Limits::response()).parse(&mut buf).map(|head| head.expect("the head is complete"))
}

fn response_with(lines: &str) -> Result<ResponseHead, HeadError> {
    response(format!("HTTP/1.1 200 OK\r\n{lines}\r\n"))
}

fn framing_of(lines: &str) -> Result<Framing, FramingError> {
    request_framing(&request_with(lines).unwrap())
}

fn response_framing_of(lines: &str) -> Result<Framing, FramingError> {
    response_framing(&Method::GET, &response_with(lines).unwrap())
}

/// The data and the outcome of a chunked body: `Ok` with the trailers, or the error; the peer closes at the end.
fn chunked(input: impl AsRef<[u8]>) -> (Vec<u8>, Result<HeaderMap, DecodeError>) {
    let mut decoder = Decoder::new(Framing::Chunked, DecoderLimits::default());
    let (mut buf, mut data, mut trailers) = (BytesMut::from(input.as_ref()), Vec::new(), HeaderMap::new());
    loop {
        match decoder.decode(&mut buf) {
            Ok(Decoded::Data(bytes)) => data.extend_from_slice(&bytes),
            Ok(Decoded::Trailers(fields)) => trailers = fields,
            Ok(Decoded::End) => return (data, Ok(trailers)),
            Ok(Decoded::NeedMore) => return (data, Err(decoder.eof().unwrap_err())),
            Err(error) => return (data, Err(error)),
        }
    }
}

fn refused(bytes: impl AsRef<[u8]>) -> StatusCode {
    request(bytes).expect_err("has to be refused").response_status()
}

#[test]
fn r01_length_beside_chunked_is_refused() {
    for lines in
        ["Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"]
    {
        assert_eq!(framing_of(lines), Err(FramingError::Both));
    }
}

#[test]
fn r02_transfer_encoding_in_http10_is_refused() {
    let head = request("POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    assert_eq!(request_framing(&head), Err(FramingError::TransferEncodingInHttp10));
}

#[test]
fn r03_unknown_transfer_codings_are_501() {
    for value in ["cow", "\"chunked\"", "", "chunked, identity", "chunked;q=1", "chunked\u{e9}", "xchunked", "identity"]
    {
        let error = framing_of(&format!("Transfer-Encoding: {value}\r\n")).unwrap_err();
        assert_eq!(error.response_status(), StatusCode::NOT_IMPLEMENTED, "{value:?}");
    }
}

#[test]
fn r04_chunked_twice_or_behind_another_coding_is_refused() {
    for lines in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
    ] {
        assert!(matches!(framing_of(lines), Err(FramingError::TransferEncoding(_))), "{lines:?}");
    }
}

/// RFC 9110 section 5.6.1.2 overrules the catalogue here: empty members of a list are ignored, so this is `chunked` alone.
#[test]
fn r04_empty_list_members_are_ignored() {
    assert_eq!(framing_of("Transfer-Encoding: ,chunked\r\n"), Ok(Framing::Chunked));
}

#[test]
fn r05_white_space_before_the_colon_is_refused() {
    for line in ["Content-Length : 4\r\n", "Transfer-Encoding\t: chunked\r\n"] {
        assert!(matches!(request_with(line), Err(HeadError::Field(FieldError::SpaceBeforeColon(_)))), "{line:?}");
    }
}

#[test]
fn r06_control_bytes_around_a_coding_are_refused() {
    for value in ["\x0bchunked", "chunked\x0c", "chunked\0"] {
        let line = format!("Transfer-Encoding: {value}\r\n");
        assert!(matches!(request_with(&line), Err(HeadError::Field(FieldError::Value { .. }))), "{value:?}");
    }
}

#[test]
fn r07_folded_lines_are_refused_in_requests() {
    for lines in ["X-A: b\r\n c\r\n", "Content-Length:\r\n 3\r\n", "X-A: b\r\n\tTransfer-Encoding: chunked\r\n"] {
        assert!(matches!(request_with(lines), Err(HeadError::Field(FieldError::Folded(_)))), "{lines:?}");
    }
}

#[test]
fn r08_a_bare_cr_is_refused() {
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\rc\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\rX-Hidden: 1\r\n\r\n",
        "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
        "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nX\r-A: b\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(refused(head), StatusCode::BAD_REQUEST, "{head:?}");
    }
}

#[test]
fn r09_a_bare_lf_in_a_head_is_refused_unless_switched_on() {
    for head in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\nA: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
    ] {
        assert!(matches!(request(head), Err(HeadError::Field(FieldError::BareLf(_)))), "{head:?}");
        let lenient = Leniency { bare_lf: true, ..Leniency::request() };
        let mut parser = RequestParser::new(Limits::request()).with_leniency(lenient);
        assert!(parser.parse(&mut BytesMut::from(head)).unwrap().is_some(), "{head:?}");
    }
}

#[test]
fn r10_bad_lengths_are_refused() {
    for lines in [
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5.0\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length:\r\n",
        "Content-Length: 5,\r\n",
        "Content-Length: 18446744073709551621\r\n",
    ] {
        assert!(matches!(framing_of(lines), Err(FramingError::ContentLength(_))), "{lines:?}");
    }
}

#[test]
fn r11_equal_lengths_collapse_but_a_list_is_refused() {
    assert_eq!(framing_of("Content-Length: 5\r\nContent-Length: 5\r\n"), Ok(Framing::Length(5)));
    assert!(framing_of("Content-Length: 5, 5\r\n").is_err());
    assert!(framing_of("Content-Length: 5\r\nContent-Length: 05\r\n").is_err());
}

#[test]
fn r12_a_length_of_2_to_the_63_is_refused() {
    assert_eq!(framing_of("Content-Length: 9223372036854775807\r\n"), Ok(Framing::Length(i64::MAX as u64)));
    assert!(framing_of("Content-Length: 9223372036854775808\r\n").is_err());
}

#[test]
fn r13_bad_chunk_sizes_are_errors() {
    for line in ["", "0x3", "+3", "-3", "3_0", "3 3", "fffffffffffffffff", " 3", "\t3", "g", "00000000000000003"] {
        let (data, outcome) = chunked(format!("{line}\r\nabc\r\n0\r\n\r\n"));
        assert!(outcome.is_err() && data.is_empty(), "{line:?}: {data:?} {outcome:?}");
    }
}

#[test]
fn r14_a_bare_lf_in_chunk_framing_is_an_error() {
    for body in ["3\nabc\r\n0\r\n\r\n", "3\r\nabc\n0\r\n\r\n", "3;a=b\nabc\r\n0\r\n\r\n", "3\r\nabc\r\n0\n\r\n"] {
        let (_, outcome) = chunked(body);
        assert!(outcome.as_ref().is_err_and(|error| !error.is_truncated()), "{body:?}: {outcome:?}");
    }
}

#[test]
fn r15_a_bare_lf_as_the_very_last_line_end_is_an_error() {
    let (data, outcome) = chunked("3\r\nabc\r\n0\r\n\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(data, b"abc");
    assert!(matches!(outcome, Err(DecodeError::Trailer(FieldError::BareLf(_)))), "{outcome:?}");
}

#[test]
fn r16_control_bytes_in_a_chunk_extension_are_errors() {
    for extension in [";a\0", ";a=\x01", ";a\x7f", ";a=\"\x0b\"", ";a\rb"] {
        let (data, outcome) = chunked(format!("3{extension}\r\nabc\r\n0\r\n\r\n"));
        assert!(
            matches!(outcome, Err(DecodeError::ChunkExtension(_))) && data.is_empty(),
            "{extension:?}: {outcome:?}"
        );
    }
}

#[test]
fn r17_chunk_extensions_are_bounded() {
    let (_, long) = chunked(format!("3;{}\r\nabc\r\n0\r\n\r\n", "e".repeat(200_000)));
    assert_eq!(long.unwrap_err(), DecodeError::ChunkLineTooLong { limit: 4096 });
    let (_, many) = chunked(format!("1;{}\r\na\r\n", "e".repeat(100)).repeat(3_000) + "0\r\n\r\n");
    assert_eq!(many.unwrap_err(), DecodeError::ChunkExcess { limit: 16 << 10 });
    // Signed uploads have an extension on every chunk, for as long as the data goes on.
    let signed = format!("10000;chunk-signature={}\r\n{}\r\n", "0".repeat(64), "x".repeat(0x10000));
    assert!(chunked(signed.repeat(300) + "0\r\n\r\n").1.is_ok());
    // Tiny chunks without extensions are wasteful, not hostile.
    assert!(chunked("1\r\na\r\n".repeat(100_000) + "0\r\n\r\n").1.is_ok());
}

#[test]
fn r18_malformed_trailers_are_errors() {
    for trailer in [
        "b@d: v\r\n",
        "no colon\r\n",
        "X-T: v\n",
        " X-T: v\r\n",
        "X-T : v\r\n",
        ": v\r\n",
        "X-T: \0\r\n",
        "X-T: a\r\n b\r\n",
    ] {
        let (_, outcome) = chunked(format!("0\r\n{trailer}\r\n"));
        assert!(matches!(outcome, Err(DecodeError::Trailer(_))), "{trailer:?}: {outcome:?}");
    }
}

#[test]
fn r19_framing_and_routing_fields_are_dropped_from_trailers() {
    let (_, outcome) =
        chunked("0\r\nContent-Length: 9\r\nX-Sum: 1\r\nTransfer-Encoding: chunked\r\nHost: evil\r\nX-Sum: 2\r\n\r\n");
    let trailers = outcome.unwrap();
    assert_eq!(trailers.get_all("x-sum").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(trailers.len(), 2);
}

#[test]
fn r20_trailers_are_bounded() {
    let (_, many) = chunked("0\r\n".to_owned() + &"X-T: v\r\n".repeat(5_000) + "\r\n");
    assert_eq!(many.unwrap_err(), DecodeError::TooManyTrailers { limit: 100 });
    let (_, large) = chunked(format!("0\r\nX-T: {}\r\n\r\n", "v".repeat(2 << 20)));
    assert_eq!(large.unwrap_err(), DecodeError::TrailersTooLarge { limit: 16 << 10 });
}

#[test]
fn r21_a_missing_second_or_invalid_host_is_400() {
    assert_eq!(request("GET / HTTP/1.1\r\nA: b\r\n\r\n").unwrap_err(), HeadError::MissingHost);
    assert!(request("GET / HTTP/1.0\r\nA: b\r\n\r\n").is_ok());
    assert!(matches!(request("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), Err(HeadError::RepeatedHost(_))));
    for host in [
        "a b",
        "a/x",
        "u@a",
        "<a>",
        "a\u{e9}",
        "\"a\"",
        "a%zz",
        "[::1",
        "a:1:2",
        "a:8x",
        "[::g]",
        "[::1]x",
        "[fe80::1%25e]",
    ] {
        assert!(
            matches!(request(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")), Err(HeadError::Host(_))),
            "{host:?}"
        );
    }
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\x01\r\n\r\n"), StatusCode::BAD_REQUEST);
}

#[test]
fn r22_ports_are_numbers_up_to_65535() {
    assert!(!is_host(b"a:b") && !is_host(b"a:99999") && is_host(b"a:65535") && is_host(b"a:"));
    assert!(is_host(b"a,b"), "a comma is part of the grammar; what it means is for the application");
}

#[test]
fn r23_the_host_of_an_absolute_target_wins() {
    let head = request("GET http://real.test/x HTTP/1.1\r\nHost: fake.test\r\n\r\n").unwrap();
    assert_eq!(head.host(), "real.test");
}

#[test]
fn r24_odd_absolute_targets_are_400() {
    for target in [
        "http://u:p@a.test/",
        "file:///etc/passwd",
        "http://a.test/#f",
        "/a#f",
        "http:///x",
        "http://:80/",
        "/caf\u{e9}",
        "/%zz",
        "/%4",
        "http://a.test:x/",
        "ftp://a.test/",
        "http:/a.test/",
    ] {
        let result = request(format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        assert!(matches!(result, Err(HeadError::Target(_))), "{target:?}: {result:?}");
    }
}

#[test]
fn r25_forms_that_do_not_suit_the_method_are_400() {
    for line in [
        "GET a/b",
        "GET *",
        "CONNECT /x",
        "CONNECT a.test",
        "CONNECT http://a.test/",
        "GET a.test:80",
        "GET ?a",
        "CONNECT :80",
    ] {
        assert!(
            matches!(request(format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n")), Err(HeadError::Target(_))),
            "{line:?}"
        );
    }
    assert!(request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").is_ok());
    assert_eq!(request("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap().host(), "a.test:443");
}

#[test]
fn r26_other_white_space_in_the_request_line_is_400() {
    for line in [
        "GET  / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /  HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET/ HTTP/1.1",
    ] {
        assert_eq!(refused(format!("{line}\r\nHost: a\r\n\r\n")), StatusCode::BAD_REQUEST, "{line:?}");
    }
}

#[test]
fn r27_control_bytes_and_bad_names_are_400() {
    for head in [
        "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX@Y: v\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX Y: v\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nXY v\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: v\r\n\r\n",
        "G\"T / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(refused(head), StatusCode::BAD_REQUEST, "{head:?}");
    }
}

#[test]
fn r28_white_space_before_the_first_field_is_400() {
    let result = request("GET / HTTP/1.1\r\n Host: evil\r\nHost: a\r\n\r\n");
    assert!(matches!(result, Err(HeadError::Field(FieldError::LeadingSpace(_)))));
}

#[test]
fn r29_empty_lines_before_a_request_are_skipped() {
    let head = request("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!((head.target.path(), head.head_bytes), ("/", 31));
    // But not for ever: they count towards the head.
    let mut parser = RequestParser::new(Limits::request());
    let endless = BytesMut::from("\r\n".repeat(40_000).as_str());
    assert!(parser.parse(&mut endless.clone()).unwrap_err().is_too_large());
}

#[test]
fn r30_other_versions_are_505_or_400() {
    assert!(request("GET / HTTP/1.2\r\nHost: a\r\n\r\n").is_ok());
    for (version, status) in [
        ("HTTP/2.0", 505),
        ("HTTP/3.0", 505),
        ("HTTP/0.9", 505),
        ("HTTP/01.1", 400),
        ("HTTP/1.10", 400),
        ("http/1.1", 400),
        ("HTTP/1", 400),
        ("HTTP/1.", 400),
        ("HTTP/+1.1", 400),
        ("HTP/1.1", 400),
    ] {
        assert_eq!(refused(format!("GET / {version}\r\nHost: a\r\n\r\n")).as_u16(), status, "{version}");
    }
    assert_eq!(refused("GET /\r\n"), StatusCode::BAD_REQUEST);
}

#[test]
fn r31_an_unknown_expectation_is_seen() {
    let head = request_with("Expect: nonsense\r\n").unwrap();
    assert_eq!(Expectation::from_headers(head.version, &head.headers), Expectation::Unknown);
}

#[test]
fn r32_the_number_of_fields_is_bounded() {
    assert!(request_with(&"X-A: b\r\n".repeat(100)).is_ok());
    for count in [510, 20_000] {
        let error = request_with(&"A: b\r\n".repeat(count)).unwrap_err();
        assert_eq!(error.response_status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "{count}");
    }
}

#[test]
fn r33_the_size_of_a_head_is_bounded() {
    assert!(request_with(&format!("X-A: {}\r\n", "b".repeat(60_000))).is_ok());
    let large = request_with(&format!("X-A: {}\r\n", "b".repeat(2 << 20))).unwrap_err();
    assert_eq!(large, HeadError::TooLarge { limit: 64 << 10 });
    let mut parser = RequestParser::new(Limits { max_head_bytes: 4 << 20, ..Limits::request() });
    let target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "p".repeat(70_000));
    let error = parser.parse(&mut BytesMut::from(target.as_str())).unwrap_err();
    assert_eq!(error.response_status(), StatusCode::URI_TOO_LONG);
}

#[test]
fn r34_a_cut_body_is_never_a_complete_one() {
    let mut decoder = Decoder::new(Framing::Length(10), DecoderLimits::default());
    assert!(matches!(decoder.decode(&mut BytesMut::from("hello")), Ok(Decoded::Data(_))));
    assert_eq!(decoder.eof(), Err(DecodeError::Truncated { missing: Some(5) }));
    let whole = "3\r\nabc\r\n2;a\r\nde\r\n0\r\nX-T: v\r\n\r\n";
    for cut in 0..whole.len() {
        let (_, outcome) = chunked(&whole[..cut]);
        assert!(outcome.unwrap_err().is_truncated(), "cut at {cut}");
    }
    assert!(chunked(whole).1.is_ok());
}

#[test]
fn r35_pipelined_requests_come_in_order() {
    let wire: String =
        (0..50).map(|n| format!("POST /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")).collect();
    let (mut buf, mut parser) = (BytesMut::from(wire.as_str()), RequestParser::new(Limits::request()));
    for n in 0..50 {
        let head = parser.parse(&mut buf).unwrap().unwrap();
        assert_eq!(head.target.path(), format!("/{n}"));
        let mut decoder = Decoder::new(request_framing(&head).unwrap(), DecoderLimits::default());
        assert_eq!(decoder.decode(&mut buf), Ok(Decoded::Data("abc".into())));
        assert!(decoder.is_done());
    }
    assert!(buf.is_empty());
}

#[test]
fn r36_other_protocols_show_at_their_first_bytes() {
    for bytes in [&b"\x16\x03\x01\x02\x00"[..], b"\x80\x2e\x01", b"\0\0\0", b"\xff\xfe"] {
        let result = RequestParser::new(Limits::request()).parse(&mut BytesMut::from(bytes));
        assert!(matches!(result, Err(HeadError::Method(_))), "{bytes:?}: {result:?}");
    }
}

#[test]
fn c01_chunked_beside_a_length_wins_and_ends_the_connection() {
    for lines in
        ["Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 300\r\n"]
    {
        let head = response_with(lines).unwrap();
        assert_eq!(response_framing(&Method::GET, &head), Ok(Framing::Chunked));
        assert!(!keep_alive(head.version, &head.headers, Framing::Chunked));
    }
}

#[test]
fn c02_bad_lengths_are_errors() {
    for lines in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length:\r\n",
        "Content-Length: 5, 5\r\n",
    ] {
        assert!(response_framing_of(lines).is_err(), "{lines:?}");
    }
}

#[test]
fn c03_unknown_transfer_codings_are_errors_at_once() {
    for value in ["cow", "chunked, identity", "gzip", "gzip, chunked", "identity", ""] {
        let error = response_framing_of(&format!("Transfer-Encoding: {value}\r\n"));
        assert!(matches!(error, Err(FramingError::TransferEncoding(_))), "{value:?}: {error:?}");
    }
}

#[test]
fn c04_transfer_encoding_in_an_http10_reply_is_an_error() {
    let head = response("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    assert_eq!(response_framing(&Method::GET, &head), Err(FramingError::TransferEncodingInHttp10));
}

#[test]
fn c05_c06_what_follows_a_message_is_left_in_the_buffer() {
    for (method, reply, rest) in [
        (Method::GET, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n"),
        (Method::GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nx", "x"),
        (Method::GET, "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello", "hello"),
        (Method::GET, "HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
        (Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"),
    ] {
        let mut buf = BytesMut::from(reply);
        let head = ResponseParser::new(Limits::response()).parse(&mut buf).unwrap().unwrap();
        let mut decoder = Decoder::new(response_framing(&method, &head).unwrap(), DecoderLimits::default());
        while decoder.decode(&mut buf).unwrap() != Decoded::End {}
        assert_eq!(&buf[..], rest.as_bytes(), "{reply:?}");
    }
}

#[test]
fn c07_a_cut_body_says_so() {
    for (framing, body) in [
        (Framing::Length(9), "hello"),
        (Framing::Chunked, "5\r\nhel"),
        (Framing::Chunked, "5\r\nhello\r\n"),
        (Framing::Chunked, "0\r\n"),
    ] {
        let mut decoder = Decoder::new(framing, DecoderLimits::default());
        let mut buf = BytesMut::from(body);
        while decoder.decode(&mut buf).unwrap() != Decoded::NeedMore {}
        assert!(decoder.eof().unwrap_err().is_truncated(), "{framing:?} {body:?}");
        assert!(decoder.decode(&mut buf).is_err(), "the error stays");
    }
}

#[test]
fn c08_c09_every_interim_head_says_how_large_it_was() {
    let mut parser = ResponseParser::new(Limits::response());
    let mut buf = BytesMut::from("HTTP/1.1 100 Continue\r\n\r\n".repeat(20_000).as_str());
    let mut total = 0;
    while let Some(head) = parser.parse(&mut buf).unwrap() {
        assert_eq!(response_framing(&Method::GET, &head), Ok(Framing::None));
        total += head.head_bytes;
    }
    assert_eq!(total, 20_000 * 25);
}

#[test]
fn c10_a_101_is_a_tunnel_for_the_caller_to_judge() {
    let head = response("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n").unwrap();
    assert_eq!(response_framing(&Method::GET, &head), Ok(Framing::Tunnel));
}

#[test]
fn c11_reply_heads_are_bounded() {
    assert!(response_with(&"X-A: b\r\n".repeat(300)).is_ok());
    assert_eq!(response_with(&"X-A: b\r\n".repeat(20_000)).unwrap_err(), HeadError::TooManyFields { limit: 1000 });
    let large = response_with(&format!("X-A: {}\r\n", "b".repeat(20 << 20)));
    assert_eq!(large.unwrap_err(), HeadError::TooLarge { limit: 1 << 20 });
}

#[test]
fn c12_each_leniency_has_its_switch() {
    let parse = |leniency, head: &str| {
        ResponseParser::new(Limits::response())
            .with_leniency(leniency)
            .parse(&mut BytesMut::from(head))
            .map(|head| head.unwrap().headers)
    };
    let fold = "HTTP/1.1 200 OK\r\nX-F: a \r\n \t b\r\n\tc\r\n\r\n";
    assert_eq!(parse(Leniency::response(), fold).unwrap()["x-f"], "a b c");
    assert!(parse(Leniency::STRICT, fold).is_err());
    assert_eq!(parse(Leniency::response(), "HTTP/1.1 200 OK\r\nX-F:\r\n a\r\n\r\n").unwrap()["x-f"], "a");
    let space = "HTTP/1.1 200 OK\r\nX-S \t: v\r\n\r\n";
    assert!(parse(Leniency::response(), space).is_err());
    assert_eq!(parse(Leniency { space_before_colon: true, ..Leniency::STRICT }, space).unwrap()["x-s"], "v");
    // A length that is taken so counts.
    let mut parser = ResponseParser::new(Limits::response())
        .with_leniency(Leniency { space_before_colon: true, ..Leniency::STRICT });
    let head = parser.parse(&mut BytesMut::from("HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n")).unwrap().unwrap();
    assert_eq!(response_framing(&Method::GET, &head), Ok(Framing::Length(5)));
    let lf = "HTTP/1.1 200 OK\nX-A: b\n\n";
    assert!(parse(Leniency::response(), lf).is_err());
    assert_eq!(parse(Leniency { bare_lf: true, ..Leniency::STRICT }, lf).unwrap()["x-a"], "b");
}

#[test]
fn c13_malformed_heads_are_errors() {
    for head in [
        "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
        "HTTP/1.1 200 OK\r\ngarbage\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 1000 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "<html>plain</html>",
    ] {
        assert!(response(head).is_err(), "{head:?}");
    }
}

#[test]
fn c14_low_codes_and_other_versions_are_errors() {
    assert!(matches!(response("HTTP/1.1 099 Low\r\n\r\n"), Err(HeadError::StatusLine(_))));
    assert!(matches!(response("HTTP/2.0 200 OK\r\n\r\n"), Err(HeadError::Version(_))));
}

#[test]
fn c15_hostile_chunks_are_errors() {
    assert!(matches!(chunked("10000000000000003\r\n").1, Err(DecodeError::ChunkSize(_))));
    assert!(matches!(chunked("3\r\nabcd\r\n").1, Err(DecodeError::ChunkEnd(_))));
    assert!(matches!(
        chunked("1;e=f\r\na\r\n".repeat(10) + "0\r\n" + &"A: b\r\n".repeat(200_000)).1,
        Err(DecodeError::TooManyTrailers { .. })
    ));
    assert!(chunked("ffffffffffffffff\r\nabc").1.unwrap_err().is_truncated());
}
