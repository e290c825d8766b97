//! Flow control, both ways.

use crate::raw::*;

fn hello(stream: u32) -> Frame {
    Frame::new(HEADERS, END_STREAM | END_HEADERS, stream, request("GET", "/hello"))
}

fn window(stream: u32, by: u32) -> Frame {
    Frame::new(WINDOW_UPDATE, 0, stream, by.to_be_bytes())
}

fn initial_window(size: u8) -> Vec<u8> {
    vec![0, 4, 0, 0, 0, size]
}

#[test]
fn windows_open_by_at_least_one_and_at_most_to_2_31_minus_1() {
    run(async |over| {
        let waiting = Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, request("GET", "/wait"));
        let most = (1 << 31) - 1;
        play(
            over,
            vec![
                ("6.9 an increment of 0 on the connection", vec![window(0, 0)], Want::Gone(&[PROTOCOL_ERROR])),
                (
                    "6.9 an increment of 0 on a stream",
                    vec![waiting.clone(), window(1, 0)],
                    Want::Reset(1, &[PROTOCOL_ERROR]),
                ),
                ("6.9.1 the connection's window overflows", vec![window(0, most)], Want::Gone(BAD_WINDOW)),
                (
                    "6.9.1 a stream's window overflows",
                    vec![waiting.clone(), window(1, most)],
                    Want::Reset(1, BAD_WINDOW),
                ),
                (
                    "6.9.2 a setting makes a stream's window overflow",
                    vec![
                        Frame::new(SETTINGS, 0, 0, initial_window(0)),
                        waiting,
                        window(1, most),
                        Frame::new(SETTINGS, 0, 0, initial_window(1)),
                    ],
                    Want::Gone(BAD_WINDOW),
                ),
                ("6.9 the reserved bit of an increment", vec![window(0, 1 | 1 << 31)], Want::Alive),
            ],
        )
        .await;
    });
}

#[test]
fn the_server_sends_no_more_than_the_windows_allow() {
    run(async |over| {
        let host = Host::start(over).await;
        let mut conn = host.connect_with(&initial_window(0)).await;
        conn.send(&hello(1)).await;
        assert_eq!(conn.read_of(&[HEADERS, DATA]).await.kind, HEADERS);
        conn.alive().await;
        conn.send(&window(1, 2)).await;
        assert_eq!(conn.read_of(&[DATA]).await.payload, b"he");
        // 6.9.2: a greater initial window opens those of streams that are open.
        conn.send(&Frame::new(SETTINGS, 0, 0, initial_window(1))).await;
        assert_eq!(conn.read_of(&[DATA]).await.payload, b"l");
        // A smaller one can make a window negative: it has to be made good first.
        conn.send(&Frame::new(SETTINGS, 0, 0, initial_window(0))).await;
        conn.send(&window(1, 1)).await;
        conn.alive().await;
        conn.send(&window(1, 1)).await;
        assert_eq!(conn.read_of(&[DATA]).await.payload, b"l");
        conn.send(&window(1, 100)).await;
        let last = conn.read_of(&[DATA]).await;
        assert_eq!(last.payload, b"o");
        host.stop().await;
    });
}

#[test]
fn a_client_that_sends_more_than_the_window_is_stopped() {
    run(async |over| {
        let host = Host::start(over).await;
        let mut conn = host.connect().await;
        // The handler does not read, so the window runs out.
        conn.send(&Frame::new(HEADERS, END_HEADERS, 1, request("POST", "/wait"))).await;
        let piece = Frame::new(DATA, 0, 1, vec![0; 16_384]);
        let stopped = tokio::spawn(async move {
            // Far more than any window that was announced.
            for _ in 0..512 {
                conn.send(&piece).await;
            }
            conn.reset(1, BAD_WINDOW).await;
        });
        stopped.await.unwrap();
        host.stop().await;
    });
}

#[test]
fn a_long_upload_goes_through_as_the_server_opens_the_windows() {
    run(async |over| {
        let host = Host::start(over).await;
        let mut conn = host.connect().await;
        conn.send(&post(1)).await;
        let (mut stream_window, mut conn_window) = conn.windows;
        let mut left: i64 = 8 << 20;
        while left > 0 {
            let piece = left.min(16_384);
            if piece <= stream_window.min(conn_window) {
                left -= piece;
                (stream_window, conn_window) = (stream_window - piece, conn_window - piece);
                let flags = if left == 0 { END_STREAM } else { 0 };
                conn.send(&Frame::new(DATA, flags, 1, vec![0; usize::try_from(piece).unwrap()])).await;
                continue;
            }
            let update = conn.read_of(&[WINDOW_UPDATE]).await;
            *if update.stream == 0 { &mut conn_window } else { &mut stream_window } += update.increment();
        }
        assert_eq!(conn.answer(1).await, (200, "POST 8388608".len()));
        host.stop().await;
    });
}
