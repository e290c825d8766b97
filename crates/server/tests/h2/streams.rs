//! Streams: their numbers, their states, how many there may be.

use roundtrip_server::ServerConfig;

use crate::raw::*;

fn waiting(stream: u32) -> Frame {
    Frame::new(HEADERS, END_STREAM | END_HEADERS, stream, request("GET", "/wait"))
}

#[test]
fn an_idle_stream_takes_nothing_but_a_beginning() {
    run(async |over| {
        play(
            over,
            vec![
                ("5.1 DATA", vec![Frame::new(DATA, END_STREAM, 1, *b"x")], Want::Gone(&[PROTOCOL_ERROR])),
                ("5.1 RST_STREAM", vec![Frame::new(RST_STREAM, 0, 1, [0, 0, 0, 8])], Want::Gone(&[PROTOCOL_ERROR])),
                (
                    "5.1 WINDOW_UPDATE",
                    vec![Frame::new(WINDOW_UPDATE, 0, 1, [0, 0, 0, 9])],
                    Want::Gone(&[PROTOCOL_ERROR]),
                ),
                ("5.1 CONTINUATION", vec![Frame::new(CONTINUATION, END_HEADERS, 1, [])], Want::Gone(&[PROTOCOL_ERROR])),
            ],
        )
        .await;
    });
}

#[test]
fn a_half_closed_stream_takes_no_more_of_a_request() {
    run(async |over| {
        play(
            over,
            vec![
                ("5.1 DATA", vec![waiting(1), Frame::new(DATA, END_STREAM, 1, *b"x")], Want::Reset(1, CLOSED)),
                ("5.1 HEADERS", vec![waiting(1), get(1)], Want::Reset(1, CLOSED)),
                (
                    "5.1 CONTINUATION",
                    vec![waiting(1), Frame::new(CONTINUATION, END_HEADERS, 1, [])],
                    Want::Gone(CLOSED),
                ),
                (
                    "5.1 WINDOW_UPDATE is welcome",
                    vec![waiting(1), Frame::new(WINDOW_UPDATE, 0, 1, [0, 0, 0, 9])],
                    Want::Alive,
                ),
                ("5.1 PRIORITY is welcome", vec![waiting(1), Frame::new(PRIORITY, 0, 1, [0; 5])], Want::Alive),
                (
                    "5.1 RST_STREAM ends it",
                    vec![waiting(1), Frame::new(RST_STREAM, 0, 1, [0, 0, 0, 8]), get(3)],
                    Want::Answer(3, 200),
                ),
            ],
        )
        .await;
    });
}

#[test]
fn a_reset_stream_takes_nothing() {
    run(async |over| {
        let reset = Frame::new(RST_STREAM, 0, 1, [0, 0, 0, 8]);
        play(
            over,
            vec![
                ("5.1 HEADERS", vec![post(1), reset.clone(), get(1)], Want::Reset(1, CLOSED)),
                (
                    "5.1 CONTINUATION",
                    vec![post(1), reset.clone(), Frame::new(CONTINUATION, END_HEADERS, 1, [])],
                    Want::Gone(CLOSED),
                ),
                (
                    "5.1 WINDOW_UPDATE may cross it",
                    vec![post(1), reset, Frame::new(WINDOW_UPDATE, 0, 1, [0, 0, 0, 9])],
                    Want::Alive,
                ),
            ],
        )
        .await;
        // DATA may have crossed a reset of the server's, not one of the client's own.
        let host = Host::start(over).await;
        let mut conn = host.connect().await;
        conn.send(&post(1)).await;
        conn.send(&Frame::new(RST_STREAM, 0, 1, [0, 0, 0, 8])).await;
        conn.send(&Frame::new(DATA, END_STREAM, 1, *b"x")).await;
        conn.reset(1, CLOSED).await;
        host.stop().await;
    });
}

#[test]
fn a_stream_closed_by_both_takes_nothing() {
    run(async |over| {
        let host = Host::start(over).await;
        for (name, late) in [("DATA", Frame::new(DATA, END_STREAM, 1, *b"x")), ("HEADERS", get(1))] {
            let mut conn = host.connect().await;
            conn.send(&get(1)).await;
            assert_eq!(conn.answer(1).await.0, 200);
            conn.send(&late).await;
            println!("5.1 {name}");
            conn.reset(1, CLOSED).await;
        }
        // What can no longer be decoded takes the connection with it.
        let mut conn = host.connect().await;
        conn.send(&get(1)).await;
        assert_eq!(conn.answer(1).await.0, 200);
        conn.send(&Frame::new(CONTINUATION, END_HEADERS, 1, block(&[("x-a", "1")]))).await;
        conn.gone(CLOSED).await;
        // A priority may come late, and so may a window.
        let mut conn = host.connect().await;
        conn.send(&get(1)).await;
        assert_eq!(conn.answer(1).await.0, 200);
        conn.send(&Frame::new(PRIORITY, 0, 1, [0, 0, 0, 0, 10])).await;
        conn.send(&Frame::new(WINDOW_UPDATE, 0, 1, [0, 0, 0, 9])).await;
        conn.alive().await;
        // 5.1.1: a number cannot be used again, and lower ones are gone too.
        let mut conn = host.connect().await;
        conn.send(&get(5)).await;
        assert_eq!(conn.answer(5).await.0, 200);
        conn.send(&get(3)).await;
        conn.gone(CLOSED).await;
        host.stop().await;
    });
}

#[test]
fn clients_begin_streams_of_odd_and_rising_numbers() {
    run(async |over| {
        play(
            over,
            vec![
                ("5.1.1 an even number", vec![get(2)], Want::Gone(&[PROTOCOL_ERROR])),
                ("5.1.1 a falling number", vec![waiting(5), get(3)], Want::Gone(CLOSED)),
                ("5.1.1 numbers may be left out", vec![get(101)], Want::Answer(101, 200)),
                (
                    "5.3.1 of RFC 7540: a stream that depends on itself",
                    vec![Frame::new(
                        HEADERS,
                        END_STREAM | END_HEADERS | PRIO,
                        1,
                        [vec![0, 0, 0, 1, 9], request("GET", "/")].concat(),
                    )],
                    Want::Reset(1, &[PROTOCOL_ERROR]),
                ),
                (
                    "5.3.1 of RFC 7540: a priority that depends on itself",
                    vec![Frame::new(PRIORITY, 0, 3, [0, 0, 0, 3, 9])],
                    Want::Reset(3, &[PROTOCOL_ERROR]),
                ),
            ],
        )
        .await;
    });
}

#[test]
fn streams_above_the_limit_are_refused_and_may_come_again() {
    run(async |over| {
        let host = Host::with(over, ServerConfig { h2_max_streams: 3, ..ServerConfig::default() }).await;
        let mut conn = host.connect().await;
        for stream in [1, 3, 5, 7] {
            conn.send(&waiting(stream)).await;
        }
        conn.reset(7, &[REFUSED_STREAM]).await;
        conn.send(&Frame::new(RST_STREAM, 0, 1, [0, 0, 0, 8])).await;
        conn.send(&get(9)).await;
        assert_eq!(conn.answer(9).await.0, 200);
        host.stop().await;
    });
}

#[test]
fn answers_come_in_whatever_order_they_are_ready() {
    run(async |over| {
        let host = Host::start(over).await;
        let mut conn = host.connect().await;
        conn.send(&post(1)).await;
        conn.send(&get(3)).await;
        assert_eq!(conn.answer(3).await, (200, "GET 0".len()));
        conn.send(&Frame::new(DATA, 0, 1, *b"ab")).await;
        // 8.1: trailers end a request too.
        conn.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, block(&[("x-sum", "1")]))).await;
        assert_eq!(conn.answer(1).await, (200, "POST 2".len()));
        host.stop().await;
    });
}

#[test]
fn a_goaway_of_the_client_lets_its_requests_finish() {
    run(async |over| {
        let host = Host::start(over).await;
        // 7: whatever its error code is, an unknown one included.
        for code in [0, 0xff] {
            let mut conn = host.connect().await;
            conn.send(&post(1)).await;
            conn.send(&Frame::new(GOAWAY, 0, 0, [0, 0, 0, 0, 0, 0, 0, code])).await;
            conn.send(&Frame::new(DATA, END_STREAM, 1, *b"abc")).await;
            assert_eq!(conn.answer(1).await, (200, "POST 3".len()));
        }
        host.stop().await;
    });
}

/// hyper has no way to send them. The handler is told so, and its response is as it would be without.
#[test]
fn interim_responses_are_refused_and_the_response_is_whole() {
    run(async |over| {
        let host = Host::start(over).await;
        let mut conn = host.connect().await;
        conn.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, request("GET", "/hints"))).await;
        let head = conn.read_of(&[HEADERS, DATA]).await;
        assert_eq!((head.kind, head.payload[0], head.flags & END_STREAM), (HEADERS, STATUS_200, 0), "{head:?}");
        let body = conn.read_of(&[HEADERS, DATA]).await;
        assert_eq!((body.kind, body.flags & END_STREAM), (DATA, END_STREAM), "{body:?}");
        assert_eq!(String::from_utf8(body.payload).unwrap(), "Err(NotSupported(\"interim responses need HTTP/1\"))");
        conn.send(&get(3)).await;
        assert_eq!(conn.answer(3).await.0, 200);
        host.stop().await;
    });
}

/// `:status: 200` in the static table.
const STATUS_200: u8 = 0x88;
