//! Compressed fields (RFC 7541): what cannot be decoded ends the connection, whose state is lost.

use crate::raw::*;

fn headers(block: Vec<u8>) -> Frame {
    Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, block)
}

#[test]
fn what_cannot_be_decoded_ends_the_connection() {
    run(async |over| {
        let with = |more: &[u8]| vec![headers([request("GET", "/"), more.to_vec()].concat())];
        let lost = Want::Gone(BAD_CODING);
        play(
            over,
            vec![
                ("RFC 7541 2.3.3: an index behind both tables", with(&[0x80 | 70]), lost),
                ("RFC 7541 6.1: the index 0", with(&[0x80]), lost),
                ("RFC 7541 6.2.1: a literal with a name behind both tables", with(&[0x7f, 0, 1, b'x']), lost),
                ("RFC 7541 5.1: an integer without an end", with(&[0xff; 12]), lost),
                ("RFC 7541 5.2: a string that is cut short", with(&[0, 3, b'x']), lost),
                // x-a: "1" in Huffman code is 00001 and three bits of padding, which have to be ones.
                (
                    "RFC 7541 5.2: Huffman padding of ones",
                    with(&[0, 3, b'x', b'-', b'a', 0x81, 0b0000_1111]),
                    Want::Answer(1, 200),
                ),
                ("RFC 7541 5.2: Huffman padding of zeros", with(&[0, 3, b'x', b'-', b'a', 0x81, 0b0000_1000]), lost),
                (
                    "RFC 7541 5.2: Huffman padding of eight bits",
                    with(&[0, 3, b'x', b'-', b'a', 0x82, 0b0000_1111, 0xff]),
                    lost,
                ),
                (
                    "RFC 7541 5.2: the end of a Huffman string in it",
                    with(&[0, 3, b'x', b'-', b'a', 0x84, 0xff, 0xff, 0xff, 0xff]),
                    lost,
                ),
                (
                    "RFC 7541 6.3: a table size above the limit",
                    vec![headers([vec![0x3f, 0xe2, 0x1f], request("GET", "/")].concat())],
                    lost,
                ),
                ("RFC 7541 4.2: a table size at the end of a block", with(&[0x20]), lost),
                (
                    "RFC 7541 4.2: a table size at the beginning",
                    vec![headers([vec![0x20], request("GET", "/")].concat())],
                    Want::Answer(1, 200),
                ),
                (
                    "RFC 7541 4.2: two table sizes at the beginning",
                    vec![headers([vec![0x20, 0x3f, 0xe1, 0x1f], request("GET", "/")].concat())],
                    Want::Answer(1, 200),
                ),
                (
                    "RFC 7541 6.2.1: a literal with indexing and a name of the static table",
                    with(&[0x7a, 2, b'm', b'e']),
                    Want::Answer(1, 200),
                ),
                (
                    "RFC 7541 6.2.3: a literal that is never indexed, with a name of its own",
                    with(&[0x10, 3, b'x', b'-', b'a', 1, b'1']),
                    Want::Answer(1, 200),
                ),
                (
                    "RFC 7541 6.2.3: the same with a name of the static table",
                    with(&[0x1f, 0x2b, 1, b'1']),
                    Want::Answer(1, 200),
                ),
                // "x" and "1" in Huffman code: 1111001 and 00001, padded with ones.
                (
                    "RFC 7541 5.2: name and value in Huffman code",
                    with(&[0, 0x81, 0xf3, 0x81, 0x0f]),
                    Want::Answer(1, 200),
                ),
                ("4.3 a block of nothing is no request", vec![headers(Vec::new())], Want::Reset(1, &[PROTOCOL_ERROR])),
            ],
        )
        .await;
    });
}

#[test]
fn fields_are_remembered_from_request_to_request() {
    run(async |over| {
        let host = Host::start(over).await;
        let mut conn = host.connect().await;
        // :method GET, :scheme http, :path / from the static table, and an authority that is put into the dynamic one.
        let first = [&[0x82, 0x86, 0x84, 0x41, 6][..], b"h.test"].concat();
        conn.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, first)).await;
        assert_eq!(conn.answer(1).await.0, 200);
        conn.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 3, [0x82, 0x86, 0x84, 0xbe])).await;
        assert_eq!(conn.answer(3).await.0, 200);
        // A block of a stream that is refused counts too: the table belongs to the connection.
        let bad = [&[0x82, 0x84, 0x40, 1][..], b"x", &[1], b"1"].concat();
        conn.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 5, bad)).await;
        conn.reset(5, &[PROTOCOL_ERROR]).await;
        conn.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 7, [0x82, 0x86, 0x84, 0xbf])).await;
        assert_eq!(conn.answer(7).await.0, 200);
        host.stop().await;
    });
}
