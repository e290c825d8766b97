//! Frames: their head, their size, and what each type may look like.

use crate::raw::*;

#[test]
fn the_connection_begins_with_the_preface_and_settings() {
    run(async |over| {
        let host = Host::start(over).await;
        // 3.4: what is no preface is HTTP/1 on a plain connection, and no good HTTP/1 either; where HTTP/2 is agreed on, it is the end,
        // for which there need not be a GOAWAY.
        let mut conn = host.dial().await;
        conn.send_bytes(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").await;
        match over {
            Over::Plain => {
                assert!(conn.read().await.is_none_or(|frame| frame.kind != SETTINGS), "served as HTTP/2");
            }
            #[cfg(feature = "tls")]
            Over::Tls => while conn.read().await.is_some() {},
        }
        // 3.4: the first frame has to be SETTINGS. hyper does not mind, and nobody is hurt; so this asserts what is, not what should be.
        let mut conn = host.dial().await;
        conn.send_bytes(PREFACE).await;
        conn.send(&get(1)).await;
        assert_eq!(conn.answer(1).await.0, 200);
        // The preface in pieces.
        let mut conn = host.dial().await;
        for piece in PREFACE.chunks(5) {
            conn.send_bytes(piece).await;
            tokio::task::yield_now().await;
        }
        conn.send(&Frame::new(SETTINGS, 0, 0, [])).await;
        conn.send(&get(1)).await;
        assert_eq!(conn.answer(1).await, (200, 5));
        host.stop().await;
    });
}

#[test]
fn what_is_unknown_is_ignored() {
    run(async |over| {
        play(
            over,
            vec![
                ("4.1 a frame of an unknown type", vec![Frame::new(UNKNOWN, 0xff, 0, [1, 2, 3])], Want::Alive),
                ("4.1 an unknown type on an idle stream", vec![Frame::new(UNKNOWN, 0, 9, [])], Want::Alive),
                ("4.1 undefined flags", vec![Frame::new(PING, 0xfe, 0, [0; 8])], Want::Alive),
                (
                    "4.1 the reserved bit of the stream",
                    vec![Frame::new(HEADERS, END_STREAM | END_HEADERS, 1 | 1 << 31, request("GET", "/hello"))],
                    Want::Answer(1, 200),
                ),
                (
                    "7 an unknown error code in RST_STREAM",
                    vec![post(1), Frame::new(RST_STREAM, 0, 1, [0, 0, 0, 0xff])],
                    Want::Alive,
                ),
                ("6.7 a ping's answer that nobody asked for", vec![Frame::new(PING, ACK, 0, [7; 8])], Want::Alive),
                (
                    "6.3 a priority for a stream that is idle",
                    vec![Frame::new(PRIORITY, 0, 5, [0, 0, 0, 0, 10])],
                    Want::Alive,
                ),
                (
                    "6.3 a priority for a stream that is closed",
                    vec![get(1), Frame::new(PRIORITY, 0, 1, [0, 0, 0, 0, 10])],
                    Want::Answer(1, 200),
                ),
                (
                    "6.3 an exclusive priority, of the least and of the greatest weight",
                    vec![
                        Frame::new(PRIORITY, 0, 3, [0x80, 0, 0, 0, 0]),
                        Frame::new(PRIORITY, 0, 5, [0x80, 0, 0, 3, 255]),
                        get(7),
                    ],
                    Want::Answer(7, 200),
                ),
                ("6.5 settings of nothing", vec![Frame::new(SETTINGS, 0, 0, []), get(1)], Want::Answer(1, 200)),
                ("6.5.2 an unknown setting", vec![Frame::new(SETTINGS, 0, 0, [0, 0xff, 0, 0, 0, 1])], Want::Alive),
            ],
        )
        .await;
    });
}

#[test]
fn frames_have_their_size() {
    run(async |over| {
        let big = vec![0; 16_385];
        play(
            over,
            vec![
                (
                    "4.2 DATA of the greatest size",
                    vec![post(1), Frame::new(DATA, END_STREAM, 1, vec![0; 16_384])],
                    Want::Answer(1, 200),
                ),
                (
                    "4.2 DATA above the greatest size",
                    vec![post(1), Frame::new(DATA, END_STREAM, 1, big.clone())],
                    Want::Reset(1, BAD_SIZE),
                ),
                (
                    "4.2 HEADERS above the greatest size",
                    vec![Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, big.clone())],
                    Want::Gone(BAD_SIZE),
                ),
                (
                    "4.2 an unknown type above the greatest size",
                    vec![Frame::new(UNKNOWN, 0, 0, big)],
                    Want::Gone(BAD_SIZE),
                ),
                ("6.3 PRIORITY of six bytes", vec![Frame::new(PRIORITY, 0, 1, [0; 6])], Want::Reset(1, BAD_SIZE)),
                (
                    "6.9 WINDOW_UPDATE of five bytes",
                    vec![post(1), Frame::new(WINDOW_UPDATE, 0, 1, [0; 5])],
                    Want::Gone(BAD_SIZE),
                ),
                ("6.8 GOAWAY of seven bytes", vec![Frame::new(GOAWAY, 0, 0, [0; 7])], Want::Gone(BAD_SIZE)),
                ("6.3 PRIORITY of four bytes", vec![Frame::new(PRIORITY, 0, 1, [0; 4])], Want::Reset(1, BAD_SIZE)),
                (
                    "6.4 RST_STREAM of three bytes",
                    vec![post(1), Frame::new(RST_STREAM, 0, 1, [0; 3])],
                    Want::Gone(BAD_SIZE),
                ),
                (
                    "6.5 an acknowledgement with settings",
                    vec![Frame::new(SETTINGS, ACK, 0, [0; 6])],
                    Want::Gone(BAD_SIZE),
                ),
                ("6.5 settings of five bytes", vec![Frame::new(SETTINGS, 0, 0, [0; 5])], Want::Gone(BAD_SIZE)),
                ("6.7 a ping of six bytes", vec![Frame::new(PING, 0, 0, [0; 6])], Want::Gone(BAD_SIZE)),
                ("6.7 a ping of ten bytes", vec![Frame::new(PING, 0, 0, [0; 10])], Want::Gone(BAD_SIZE)),
                (
                    "6.9 WINDOW_UPDATE of three bytes",
                    vec![Frame::new(WINDOW_UPDATE, 0, 0, [0; 3])],
                    Want::Gone(BAD_SIZE),
                ),
            ],
        )
        .await;
    });
}

#[test]
fn frames_belong_to_a_stream_or_to_the_connection() {
    run(async |over| {
        play(
            over,
            vec![
                ("6.1 DATA on stream 0", vec![Frame::new(DATA, END_STREAM, 0, *b"x")], Want::Gone(&[PROTOCOL_ERROR])),
                (
                    "6.2 HEADERS on stream 0",
                    vec![Frame::new(HEADERS, END_STREAM | END_HEADERS, 0, request("GET", "/"))],
                    Want::Gone(&[PROTOCOL_ERROR]),
                ),
                ("6.3 PRIORITY on stream 0", vec![Frame::new(PRIORITY, 0, 0, [0; 5])], Want::Gone(&[PROTOCOL_ERROR])),
                (
                    "6.4 RST_STREAM on stream 0",
                    vec![Frame::new(RST_STREAM, 0, 0, [0; 4])],
                    Want::Gone(&[PROTOCOL_ERROR]),
                ),
                ("6.5 SETTINGS on stream 1", vec![Frame::new(SETTINGS, 0, 1, [])], Want::Gone(&[PROTOCOL_ERROR])),
                ("6.7 PING on stream 1", vec![Frame::new(PING, 0, 1, [0; 8])], Want::Gone(&[PROTOCOL_ERROR])),
                ("6.8 GOAWAY on stream 1", vec![Frame::new(GOAWAY, 0, 1, [0; 8])], Want::Gone(&[PROTOCOL_ERROR])),
                (
                    "6.10 CONTINUATION on stream 0",
                    vec![Frame::new(CONTINUATION, END_HEADERS, 0, [])],
                    Want::Gone(&[PROTOCOL_ERROR]),
                ),
                (
                    "8.4 PUSH_PROMISE of a client",
                    vec![get(1), Frame::new(PUSH_PROMISE, END_HEADERS, 1, [0, 0, 0, 2])],
                    Want::Gone(&[PROTOCOL_ERROR]),
                ),
            ],
        )
        .await;
    });
}

#[test]
fn padding_is_shorter_than_its_frame() {
    run(async |over| {
        let padded = [vec![3], request("GET", "/hello"), vec![0; 3]].concat();
        let weighted = [vec![0, 0, 0, 0, 200], request("GET", "/hello")].concat();
        let all = [vec![2, 0, 0, 0, 0, 200], request("GET", "/hello"), vec![0; 2]].concat();
        let headers = END_STREAM | END_HEADERS;
        play(
            over,
            vec![
                (
                    "6.2 HEADERS with padding",
                    vec![Frame::new(HEADERS, headers | PADDED, 1, padded)],
                    Want::Answer(1, 200),
                ),
                (
                    "6.2 HEADERS with a priority",
                    vec![Frame::new(HEADERS, headers | PRIO, 1, weighted)],
                    Want::Answer(1, 200),
                ),
                (
                    "6.2 HEADERS with both",
                    vec![Frame::new(HEADERS, headers | PADDED | PRIO, 1, all)],
                    Want::Answer(1, 200),
                ),
                (
                    "6.1 DATA with padding",
                    vec![post(1), Frame::new(DATA, END_STREAM | PADDED, 1, [2, b'x', 0, 0])],
                    Want::Answer(1, 200),
                ),
                (
                    "6.1 DATA of padding alone",
                    vec![post(1), Frame::new(DATA, END_STREAM | PADDED, 1, [3, 0, 0, 0])],
                    Want::Answer(1, 200),
                ),
                (
                    "6.1 padding as long as its frame",
                    vec![post(1), Frame::new(DATA, END_STREAM | PADDED, 1, [4, 0, 0, 0])],
                    Want::Gone(&[PROTOCOL_ERROR]),
                ),
                (
                    "6.1 padded DATA without a length",
                    vec![post(1), Frame::new(DATA, END_STREAM | PADDED, 1, [])],
                    Want::Gone(BAD_SIZE),
                ),
                (
                    "6.2 padding longer than its HEADERS",
                    vec![Frame::new(HEADERS, headers | PADDED, 1, [vec![200], request("GET", "/")].concat())],
                    Want::Gone(&[PROTOCOL_ERROR]),
                ),
            ],
        )
        .await;
    });
}

#[test]
fn a_block_of_fields_is_not_interrupted() {
    run(async |over| {
        let (first, second) = (request("GET", "/hello"), block(&[("x-a", "1")]));
        let begin = |flags| Frame::new(HEADERS, flags, 1, first.clone());
        let end = |stream| Frame::new(CONTINUATION, END_HEADERS, stream, second.clone());
        play(
            over,
            vec![
                ("6.10 one CONTINUATION", vec![begin(END_STREAM), end(1)], Want::Answer(1, 200)),
                (
                    "6.10 several, one of them empty",
                    vec![
                        begin(END_STREAM),
                        Frame::new(CONTINUATION, 0, 1, []),
                        Frame::new(CONTINUATION, 0, 1, second.clone()),
                        end(1),
                    ],
                    Want::Answer(1, 200),
                ),
                (
                    "6.2 DATA in between",
                    vec![begin(0), Frame::new(DATA, END_STREAM, 1, [])],
                    Want::Gone(&[PROTOCOL_ERROR]),
                ),
                (
                    "6.10 DATA behind a CONTINUATION without an end",
                    vec![
                        begin(0),
                        Frame::new(CONTINUATION, 0, 1, second.clone()),
                        Frame::new(DATA, END_STREAM, 1, *b"x"),
                    ],
                    Want::Gone(&[PROTOCOL_ERROR]),
                ),
                (
                    "6.10 WINDOW_UPDATE behind a CONTINUATION without an end",
                    vec![
                        begin(END_STREAM),
                        Frame::new(CONTINUATION, 0, 1, second.clone()),
                        Frame::new(WINDOW_UPDATE, 0, 0, [0, 0, 0, 1]),
                    ],
                    Want::Gone(&[PROTOCOL_ERROR]),
                ),
                (
                    "6.2 PING in between",
                    vec![begin(END_STREAM), Frame::new(PING, 0, 0, [0; 8])],
                    Want::Gone(&[PROTOCOL_ERROR]),
                ),
                (
                    "6.2 PRIORITY in between",
                    vec![begin(END_STREAM), Frame::new(PRIORITY, 0, 1, [0; 5])],
                    Want::Gone(&[PROTOCOL_ERROR]),
                ),
                (
                    "5.5 an unknown type in between",
                    vec![begin(END_STREAM), Frame::new(UNKNOWN, 0, 1, [])],
                    Want::Gone(&[PROTOCOL_ERROR]),
                ),
                (
                    "6.2 HEADERS of another stream in between",
                    vec![begin(END_STREAM), get(3)],
                    Want::Gone(&[PROTOCOL_ERROR]),
                ),
                ("6.10 CONTINUATION of another stream", vec![begin(END_STREAM), end(3)], Want::Gone(&[PROTOCOL_ERROR])),
                ("6.10 CONTINUATION behind the end of its block", vec![get(1), end(1)], Want::Gone(&[PROTOCOL_ERROR])),
                ("6.10 CONTINUATION behind another's end", vec![begin(END_STREAM), end(1), end(1)], Want::Gone(CLOSED)),
                (
                    "6.10 CONTINUATION behind DATA",
                    vec![post(1), Frame::new(DATA, 0, 1, *b"x"), end(1)],
                    Want::Gone(&[PROTOCOL_ERROR]),
                ),
            ],
        )
        .await;
    });
}
