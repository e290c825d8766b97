//! Requests: which fields make one, and which make it malformed.

use crate::raw::*;

const BAD: Want = Want::Reset(1, &[PROTOCOL_ERROR]);
const FINE: Want = Want::Answer(1, 200);
/// Not malformed, but nothing that a handler should see.
const REFUSED: Want = Want::Answer(1, 400);

fn headers(block: Vec<u8>) -> Vec<Frame> {
    vec![Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, block)]
}

fn of(fields: &[(&str, &str)]) -> Vec<Frame> {
    headers(block(fields))
}

fn with(more: &[(&str, &str)]) -> Vec<Frame> {
    headers(request_with(more))
}

#[test]
fn pseudo_fields_come_first_once_and_complete() {
    run(async |over| {
        let (method, scheme, path, authority) =
            ((":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "h"));
        play(
            over,
            vec![
                ("8.3.1 in any order", of(&[authority, path, scheme, method]), FINE),
                ("8.3.1 Host in place of :authority", of(&[method, scheme, path, ("host", "h")]), FINE),
                ("8.3.1 Host equal to :authority", of(&[method, scheme, path, authority, ("host", "H")]), FINE),
                ("8.3.1 Host other than :authority", of(&[method, scheme, path, authority, ("host", "i")]), REFUSED),
                ("8.3.1 two Host", of(&[method, scheme, path, ("host", "h"), ("host", "h")]), REFUSED),
                ("8.3.1 a Host that is none", of(&[method, scheme, path, ("host", "h/../i")]), REFUSED),
                ("8.3.1 neither Host nor :authority", of(&[method, scheme, path]), REFUSED),
                ("8.3.1 no :method", of(&[scheme, path, authority]), BAD),
                ("8.3.1 no :scheme", of(&[method, path, authority]), BAD),
                ("8.3.1 no :path", of(&[method, scheme, authority]), BAD),
                ("8.3.1 an empty :path", of(&[method, scheme, (":path", ""), authority]), BAD),
                ("8.3.1 two :method", of(&[method, method, scheme, path, authority]), BAD),
                ("8.3.1 two :scheme", of(&[method, scheme, scheme, path, authority]), BAD),
                ("8.3.1 two :path", of(&[method, scheme, path, path, authority]), BAD),
                ("8.3.1 two :authority", of(&[method, scheme, path, authority, authority]), BAD),
                ("8.3 an unknown one", of(&[method, scheme, path, authority, (":test", "x")]), BAD),
                ("8.3 one of responses", of(&[method, scheme, path, authority, (":status", "200")]), BAD),
                ("8.3 one behind a field", of(&[method, scheme, ("x-a", "1"), path, authority]), BAD),
                ("8.5 CONNECT with a path", of(&[(":method", "CONNECT"), (":scheme", "http"), path, authority]), BAD),
            ],
        )
        .await;
    });
}

#[test]
fn field_names_and_values_are_clean() {
    run(async |over| {
        play(
            over,
            vec![
                ("8.2.1 a capital in a name", with(&[("X-A", "1")]), BAD),
                ("8.2.1 a space in a name", with(&[("x a", "1")]), BAD),
                ("8.2.1 a colon in a name", with(&[("x:a", "1")]), BAD),
                ("8.2.1 an empty name", with(&[("", "1")]), BAD),
                ("8.2.1 a line feed in a value", with(&[("x-a", "1\n2")]), BAD),
                ("8.2.1 a carriage return in a value", with(&[("x-a", "1\r2")]), BAD),
                ("8.2.1 a zero in a value", with(&[("x-a", "1\x002")]), BAD),
                ("8.2.1 an empty value", with(&[("x-a", "")]), FINE),
                ("8.2.3 cookies in several fields", with(&[("cookie", "a=1"), ("cookie", "b=2")]), FINE),
            ],
        )
        .await;
    });
}

#[test]
fn fields_of_a_connection_have_no_place_in_http_2() {
    run(async |over| {
        play(
            over,
            vec![
                ("8.2.2 Connection", with(&[("connection", "keep-alive")]), BAD),
                ("8.2.2 Keep-Alive", with(&[("keep-alive", "timeout=5")]), BAD),
                ("8.2.2 Proxy-Connection", with(&[("proxy-connection", "keep-alive")]), BAD),
                ("8.2.2 Transfer-Encoding", with(&[("transfer-encoding", "chunked")]), BAD),
                ("8.2.2 Upgrade", with(&[("upgrade", "foo")]), BAD),
                ("8.2.2 TE other than trailers", with(&[("te", "gzip")]), BAD),
                ("8.2.2 TE: trailers", with(&[("te", "trailers")]), FINE),
            ],
        )
        .await;
    });
}

#[test]
fn a_body_is_as_long_as_it_says() {
    run(async |over| {
        let begin = |length: &str, flags| {
            Frame::new(HEADERS, END_HEADERS | flags, 1, request_with(&[("content-length", length)]))
        };
        let data = |bytes: &[u8], flags| Frame::new(DATA, flags, 1, bytes);
        play(
            over,
            vec![
                ("8.1.1 as long as it says", vec![begin("4", 0), data(b"ab", 0), data(b"cd", END_STREAM)], FINE),
                ("8.1.1 longer", vec![begin("1", 0), data(b"test", END_STREAM)], BAD),
                ("8.1.1 longer in several frames", vec![begin("3", 0), data(b"ab", 0), data(b"cd", END_STREAM)], BAD),
                ("8.1.1 shorter", vec![begin("5", 0), data(b"test", END_STREAM)], BAD),
                ("8.1.1 none at all", vec![begin("5", END_STREAM)], BAD),
                ("8.1.1 a length that is no number", vec![begin("x", 0), data(b"x", END_STREAM)], BAD),
                ("8.1.1 a length with a sign", vec![begin("+1", 0), data(b"x", END_STREAM)], BAD),
                (
                    "8.1 a second head without an end",
                    vec![post(1), Frame::new(HEADERS, END_HEADERS, 1, block(&[("x-a", "1")]))],
                    BAD,
                ),
                // hyper drops such a field instead, so that no handler can see it; this asserts what is, not what should be.
                (
                    "8.1 a pseudo field in trailers",
                    vec![
                        post(1),
                        data(b"x", 0),
                        Frame::new(HEADERS, END_HEADERS | END_STREAM, 1, block(&[(":method", "GET")])),
                    ],
                    FINE,
                ),
            ],
        )
        .await;
    });
}

#[test]
fn an_answer_to_head_has_no_body_and_its_length() {
    run(async |over| {
        let host = Host::start(over).await;
        let mut conn = host.connect().await;
        conn.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, request("HEAD", "/hello"))).await;
        let head = conn.read_of(&[HEADERS, DATA]).await;
        assert_eq!((head.kind, head.flags & END_STREAM), (HEADERS, END_STREAM), "{head:?}");
        conn.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 3, request("GET", "/empty"))).await;
        let empty = conn.read_of(&[HEADERS, DATA]).await;
        assert_eq!((empty.kind, empty.flags & END_STREAM), (HEADERS, END_STREAM), "{empty:?}");
        host.stop().await;
    });
}
