//! Settings: which values they may have, and that they are acknowledged.

use crate::raw::*;

fn setting(id: u8, value: u32) -> Frame {
    Frame::new(SETTINGS, 0, 0, [vec![0, id], value.to_be_bytes().to_vec()].concat())
}

#[test]
fn values_out_of_range_end_the_connection() {
    run(async |over| {
        play(
            over,
            vec![
                ("6.5.2 ENABLE_PUSH 2", vec![setting(2, 2)], Want::Gone(&[PROTOCOL_ERROR])),
                ("6.5.2 ENABLE_PUSH 0", vec![setting(2, 0)], Want::Alive),
                ("6.5.2 INITIAL_WINDOW_SIZE of 2^31", vec![setting(4, 1 << 31)], Want::Gone(BAD_WINDOW)),
                ("6.5.2 INITIAL_WINDOW_SIZE of 2^31-1", vec![setting(4, (1 << 31) - 1)], Want::Alive),
                ("6.5.2 MAX_FRAME_SIZE of 2^14-1", vec![setting(5, (1 << 14) - 1)], Want::Gone(&[PROTOCOL_ERROR])),
                ("6.5.2 MAX_FRAME_SIZE of 2^24", vec![setting(5, 1 << 24)], Want::Gone(&[PROTOCOL_ERROR])),
                ("6.5.2 MAX_FRAME_SIZE of 2^24-1", vec![setting(5, (1 << 24) - 1)], Want::Alive),
                ("6.5.2 HEADER_TABLE_SIZE 0", vec![setting(1, 0), get(1)], Want::Answer(1, 200)),
                (
                    "6.5.2 MAX_CONCURRENT_STREAMS 0 limits the server alone",
                    vec![setting(3, 0), get(1)],
                    Want::Answer(1, 200),
                ),
            ],
        )
        .await;
    });
}

#[test]
fn settings_are_acknowledged_in_turn_and_the_last_of_equal_ones_counts() {
    run(async |over| {
        let host = Host::start(over).await;
        let mut conn = host.connect().await;
        // 6.5.3: values are taken in order; the window is 1 in the end.
        conn.send(&Frame::new(SETTINGS, 0, 0, [0, 4, 0, 0, 0, 100, 0, 4, 0, 0, 0, 1])).await;
        let acknowledged = conn.read_of(&[SETTINGS]).await;
        assert_eq!(acknowledged.flags, ACK);
        conn.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, request("GET", "/hello"))).await;
        let first = conn.read_of(&[DATA]).await;
        assert_eq!((first.payload.as_slice(), first.flags & END_STREAM), (&b"h"[..], 0));
        conn.send(&Frame::new(SETTINGS, 0, 0, [])).await;
        assert_eq!(conn.read_of(&[SETTINGS]).await.flags, ACK);
        host.stop().await;
    });
}
