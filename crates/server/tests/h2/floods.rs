//! Clients that make work without end.

use roundtrip_server::ServerConfig;

use crate::raw::*;

fn bytes(frame: &Frame) -> Vec<u8> {
    let length = u32::try_from(frame.payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[frame.kind, frame.flags], &frame.stream.to_be_bytes()].concat();
    [head, frame.payload.clone()].concat()
}

#[test]
fn streams_that_are_opened_and_reset_at_once_end_the_connection() {
    run(async |over| {
        let host = Host::start(over).await;
        let mut conn = host.connect().await;
        // CVE-2023-44487. In one write, as an attacker would.
        let mut burst = Vec::new();
        for stream in (1..20_001).step_by(2) {
            burst.extend(bytes(&Frame::new(HEADERS, END_STREAM | END_HEADERS, stream, request("GET", "/wait"))));
            burst.extend(bytes(&Frame::new(RST_STREAM, 0, stream, [0, 0, 0, 8])));
        }
        conn.send_bytes(&burst).await;
        conn.gone(&[ENHANCE_YOUR_CALM]).await;
        assert!(host.server.stats().requests < 10_000, "{:?}", host.server.stats());
        host.stop().await;
    });
}

/// CVE-2025-8671: the client makes the server reset its streams, one after the other, which frees their places while their
/// handlers run on.
#[test]
fn streams_that_the_server_is_made_to_reset_end_the_connection() {
    run(async |over| {
        let host = Host::start(over).await;
        for (name, fault) in [
            // 2^31-1 more than the window has.
            ("a window that overflows", Frame::new(WINDOW_UPDATE, 0, 0, [0x7f, 0xff, 0xff, 0xff])),
            ("data behind the end", Frame::new(DATA, END_STREAM, 0, *b"x")),
            ("a window that opens by nothing", Frame::new(WINDOW_UPDATE, 0, 0, [0; 4])),
        ] {
            let mut conn = host.connect().await;
            let before = host.server.stats().requests;
            let mut burst = Vec::new();
            for stream in (1..20_001).step_by(2) {
                burst.extend(bytes(&Frame::new(HEADERS, END_STREAM | END_HEADERS, stream, request("GET", "/wait"))));
                burst.extend(bytes(&Frame { stream, ..fault.clone() }));
            }
            conn.send_bytes(&burst).await;
            // By a word, or by a reset that has overtaken it.
            while conn.read().await.is_some() {}
            let served = host.server.stats().requests - before;
            assert!(served < 5_000, "{name}: {served} of 10,000 requests were taken");
        }
        host.stop().await;
    });
}

#[test]
fn a_block_of_fields_without_an_end_is_ended() {
    run(async |over| {
        let host = Host::with(over, ServerConfig { max_header_bytes: 16 << 10, ..ServerConfig::default() }).await;
        let mut conn = host.connect().await;
        conn.send(&Frame::new(HEADERS, END_STREAM, 1, request("GET", "/"))).await;
        // CVE-2024-27316: each piece is small, and there is always another.
        let piece = bytes(&Frame::new(CONTINUATION, 0, 1, block(&[("x-flood", &"x".repeat(1000))])));
        // As many as the limit takes, and some more.
        conn.send_bytes(&piece.repeat(100)).await;
        let mut calmed = false;
        while let Some(frame) = conn.read().await {
            calmed |= frame.kind == GOAWAY && frame.payload[4..8] == ENHANCE_YOUR_CALM.to_be_bytes();
        }
        assert!(calmed);
        // It has hung up, and does not wait for the flood to end.
        let flooding = async { while conn.try_write_all(&piece).await {} };
        tokio::time::timeout(PATIENCE, flooding).await.expect("the server goes on reading");
        host.stop().await;
    });
}

#[test]
fn a_list_of_fields_above_the_limit_is_refused_and_the_connection_lives() {
    run(async |over| {
        let host = Host::with(over, ServerConfig { max_header_bytes: 8 << 10, ..ServerConfig::default() }).await;
        let mut conn = host.connect().await;
        let long = "x".repeat(9 << 10);
        conn.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, request_with(&[("x-long", &long)]))).await;
        assert_eq!(conn.answer(1).await.0, 431);
        conn.send(&get(3)).await;
        assert_eq!(conn.answer(3).await.0, 200);
        host.stop().await;
    });
}

/// Sends `frame` again and again without reading, until the server takes no more or `most` bytes went through.
async fn flood(conn: &mut Conn, frame: &Frame, most: usize) -> usize {
    let batch = bytes(frame).repeat(100);
    let mut sent = 0;
    // A server that takes nothing for a while has stopped.
    while sent < most && tokio::time::timeout(PAUSE, conn.try_write_all(&batch)).await == Ok(true) {
        sent += batch.len();
    }
    sent
}

const PAUSE: std::time::Duration = std::time::Duration::from_millis(300);

#[test]
fn pings_and_settings_whose_answers_are_not_read_are_not_piled_up() {
    run(async |over| {
        let host = Host::start(over).await;
        for frame in [Frame::new(PING, 0, 0, [0; 8]), Frame::new(SETTINGS, 0, 0, [0, 4, 0, 0, 0xff, 0xff])] {
            let mut conn = host.connect().await;
            let most = 64 << 20;
            let sent = flood(&mut conn, &frame, most).await;
            assert!(sent < most, "the server took {sent} bytes of {frame:?} without an end");
            drop(conn);
        }
        // Others are served all the while.
        let mut other = host.connect().await;
        other.send(&get(1)).await;
        assert_eq!(other.answer(1).await.0, 200);
        host.stop().await;
    });
}

#[test]
fn empty_data_frames_without_an_end_are_ended() {
    run(async |over| {
        let host = Host::start(over).await;
        let mut conn = host.connect().await;
        conn.send(&post(1)).await;
        let most = 64 << 20;
        let sent = flood(&mut conn, &Frame::new(DATA, 0, 1, []), most).await;
        assert!(sent < most, "the server took {sent} bytes of empty frames without an end");
        let mut other = host.connect().await;
        other.send(&get(1)).await;
        assert_eq!(other.answer(1).await.0, 200);
        host.stop().await;
    });
}
