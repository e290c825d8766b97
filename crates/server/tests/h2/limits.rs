//! Time limits, by stream and by connection. Where clocks are paused, nothing has to arrive in time: a paused clock does not wait for
//! sockets.

use std::time::Duration;

use roundtrip_server::ServerConfig;
use tokio::time::Instant;

use crate::raw::*;

const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];

impl Conn {
    /// The next frame, however long it takes; pings are answered meanwhile.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            let frame = self.read_frame().await?;
            match frame.kind {
                PING if frame.flags & ACK == 0 => self.send(&Frame::new(PING, ACK, 0, frame.payload)).await,
                PING | SETTINGS | WINDOW_UPDATE => {}
                _ => return Some(frame),
            }
        }
    }
}

/// Pings that are not part of the question are not asked.
fn unpinged() -> ServerConfig {
    ServerConfig { h2_ping_interval: None, ..ServerConfig::default() }
}

fn took(begun: Instant, least: u64, most: u64) {
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(least) && took < Duration::from_secs(most), "{took:?}");
}

#[test]
fn a_client_without_a_window_loses_its_stream_and_no_other() {
    run_paused(async |over| {
        let host = Host::with(over, unpinged()).await;
        let mut conn = host.connect_with(&NO_WINDOW).await;
        let begun = Instant::now();
        conn.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, request("GET", "/hello"))).await;
        conn.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 3, request("GET", "/wait"))).await;
        let head = conn.next().await.unwrap();
        assert_eq!((head.kind, head.stream), (HEADERS, 1));
        let reset = conn.next().await.unwrap();
        assert_eq!((reset.kind, reset.stream), (RST_STREAM, 1), "{reset:?}");
        took(begun, 30, 32);
        assert_eq!(host.server.stats().timeouts, 1);
        // One that needs no window is served as before.
        conn.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 5, request("GET", "/empty"))).await;
        let head = conn.next().await.unwrap();
        assert_eq!((head.kind, head.stream, head.flags & END_STREAM), (HEADERS, 5, END_STREAM));
        host.stop().await;
    });
}

#[test]
fn a_body_that_does_not_come_is_given_up_by_stream() {
    run_paused(async |over| {
        let host = Host::with(over, unpinged()).await;
        let mut conn = host.connect().await;
        let begun = Instant::now();
        conn.send(&Frame::new(HEADERS, END_HEADERS, 1, request("POST", "/"))).await;
        let head = conn.next().await.unwrap();
        assert_eq!((head.kind, head.stream), (HEADERS, 1));
        took(begun, 30, 32);
        // And one that comes by the byte.
        let begun = Instant::now();
        conn.send(&Frame::new(HEADERS, END_HEADERS, 3, request("POST", "/"))).await;
        loop {
            match tokio::time::timeout(Duration::from_secs(1), conn.next()).await {
                Err(_) => conn.send(&Frame::new(DATA, 0, 3, *b"z")).await,
                Ok(frame) if frame.as_ref().is_some_and(|frame| frame.kind == HEADERS && frame.stream == 3) => break,
                Ok(Some(_)) => {}
                Ok(None) => panic!("closed behind {begun:?}"),
            }
        }
        took(begun, 30, 40);
        host.stop().await;
    });
}

#[test]
fn a_response_that_takes_too_long_is_reset() {
    run_paused(async |over| {
        let host = Host::with(over, ServerConfig { write_timeout: Some(Duration::from_secs(7)), ..unpinged() }).await;
        let mut conn = host.connect().await;
        let begun = Instant::now();
        conn.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, request("GET", "/wait"))).await;
        let reset = conn.next().await.unwrap();
        assert_eq!((reset.kind, reset.stream), (RST_STREAM, 1));
        took(begun, 7, 8);
        conn.alive().await;
        host.stop().await;
    });
}

#[test]
fn silent_and_idle_connections_end() {
    run_paused(async |over| {
        let host = Host::with(over, unpinged()).await;
        for sent in [&b""[..], b"PRI * HTTP/2.0\r\n"] {
            let mut conn = host.dial().await;
            let begun = Instant::now();
            conn.send_bytes(sent).await;
            let mut text = Vec::new();
            // What there is to say to a preface that is none may be anything.
            while let Some(byte) = conn.read_byte().await {
                text.push(byte);
            }
            took(begun, 30, 32);
        }
        // Without a first request, and behind one.
        let mut conn = host.connect().await;
        let begun = Instant::now();
        while conn.next().await.is_some() {}
        took(begun, 30, 32);
        let mut conn = host.connect().await;
        conn.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, request("GET", "/hello"))).await;
        while conn.next().await.unwrap().flags & END_STREAM == 0 {}
        let begun = Instant::now();
        let mut goaway = false;
        while let Some(frame) = conn.next().await {
            goaway |= frame.kind == GOAWAY;
        }
        assert!(goaway, "HTTP/2 says goodbye");
        took(begun, 60, 62);
        host.stop().await;
    });
}

/// With the settings as they come. The clients answer pings, so that nothing but their slowness ends them.
#[test]
fn no_slow_client_is_connected_after_75_s() {
    run_paused(async |over| {
        let host = Host::start(over).await;
        let unfinished = Frame::new(HEADERS, END_STREAM, 1, request("GET", "/hello"));
        let post = Frame::new(HEADERS, END_HEADERS, 1, request("POST", "/"));
        let read = Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, request("GET", "/large"));
        // A frame's head that promises more than comes; the bytes trickle.
        let long = [0, 0x3f, 0xff, CONTINUATION, 0, 0, 0, 0, 1];
        for (name, settings, first, trickle) in [
            ("silent", &[][..], None, &[][..]),
            ("slow head, by the byte", &[], Some(unfinished.clone()), &long),
            ("silent within a head", &[], Some(unfinished), &[]),
            ("slow body, by the byte", &[], Some(post.clone()), &[0, 0x3f, 0xff, DATA, 0, 0, 0, 0, 1]),
            ("silent within a body", &[], Some(post), &[]),
            ("slow reader", &NO_WINDOW, Some(read.clone()), &[]),
            ("slow reader, by the byte", &NO_WINDOW, Some(read), WINDOW_UPDATES),
        ] {
            let mut conn = host.connect_with(settings).await;
            let begun = Instant::now();
            if let Some(frame) = first {
                conn.send(&frame).await;
            }
            let mut bytes =
                trickle.iter().copied().chain(std::iter::repeat_n(0, if trickle.is_empty() { 0 } else { 200 }));
            loop {
                match tokio::time::timeout(Duration::from_secs(1), conn.next()).await {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) if trickle == WINDOW_UPDATES => conn.send_bytes(WINDOW_UPDATES).await,
                    Err(_) => conn.send_bytes(bytes.next().as_slice()).await,
                }
                assert!(begun.elapsed() < Duration::from_secs(75), "{name}: {:?}", begun.elapsed());
            }
        }
        host.stop().await;
    });
}

/// One byte more of the stream's window.
const WINDOW_UPDATES: &[u8] = &[0, 0, 4, WINDOW_UPDATE, 0, 0, 0, 0, 1, 0, 0, 0, 1];

#[test]
fn a_client_that_answers_no_ping_is_cut() {
    run_paused(async |over| {
        let host = Host::start(over).await;
        let mut conn = host.connect().await;
        conn.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, request("GET", "/wait"))).await;
        let begun = Instant::now();
        while conn.read_frame().await.is_some() {}
        took(begun, 35, 37);
        host.stop().await;
    });
}

#[test]
fn without_keep_alives_a_connection_goes_away_with_its_first_request() {
    run(async |over| {
        let host = Host::with(over, ServerConfig { keep_alives: false, ..ServerConfig::default() }).await;
        let mut conn = host.connect().await;
        conn.alive().await;
        conn.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, request("GET", "/hello"))).await;
        let (mut goaway, mut answered) = (false, false);
        while let Some(frame) = conn.next().await {
            goaway |= frame.kind == GOAWAY && frame.payload[4..8] == [0; 4];
            answered |= frame.stream == 1 && frame.flags & END_STREAM != 0;
        }
        assert!(goaway && answered, "told to go away: {goaway}, answered: {answered}");
        assert_eq!((host.server.stats().accepted, host.server.stats().requests), (1, 1));
        host.stop().await;
    });
}

#[test]
fn stopping_lets_a_stream_finish_and_takes_no_other() {
    run(async |over| {
        let host = Host::start(over).await;
        let mut conn = host.connect().await;
        conn.send(&Frame::new(HEADERS, END_HEADERS, 1, request("POST", "/"))).await;
        while host.server.stats().requests == 0 {
            tokio::task::yield_now().await;
        }
        let stopping = tokio::spawn({
            let server = host.server.clone();
            async move { server.shutdown(Duration::from_secs(20)).await }
        });
        let goaway = conn.next().await.unwrap();
        assert_eq!(goaway.kind, GOAWAY, "{goaway:?}");
        conn.send(&Frame::new(DATA, END_STREAM, 1, *b"whole")).await;
        let (mut answered, mut status) = (false, 0);
        while let Some(frame) = conn.next().await {
            if frame.kind == HEADERS {
                status = frame.payload[0];
            }
            answered |= frame.stream == 1 && frame.flags & END_STREAM != 0;
        }
        assert!(answered && status == 0x88, "a whole 200: {status:#x}");
        let report = stopping.await.unwrap();
        assert_eq!((report.finished, report.cut), (1, 0));
        host.stop().await;
    });
}

#[test]
fn a_lame_duck_lets_streams_finish_and_serves_whoever_comes_anew() {
    run(async |over| {
        let host = Host::start(over).await;
        let mut conn = host.connect().await;
        conn.send(&post(1)).await;
        while host.server.stats().requests == 0 {
            tokio::task::yield_now().await;
        }
        host.server.lame_duck();
        let goaway = conn.next().await.unwrap();
        assert_eq!((goaway.kind, &goaway.payload[4..8]), (GOAWAY, &[0; 4][..]), "{goaway:?}");
        // One that comes now is served, and told to go with its first request.
        let mut fresh = host.connect().await;
        fresh.send(&get(1)).await;
        conn.send(&Frame::new(DATA, END_STREAM, 1, *b"whole")).await;
        for (name, conn, mut goaway) in [("old", &mut conn, true), ("new", &mut fresh, false)] {
            let mut answered = false;
            while let Some(frame) = conn.next().await {
                goaway |= frame.kind == GOAWAY;
                answered |= frame.stream == 1 && frame.flags & END_STREAM != 0;
            }
            assert!(goaway && answered, "{name}: told to go away: {goaway}, answered: {answered}");
        }
        assert_eq!((host.server.stats().accepted, host.server.stats().requests), (2, 2));
        host.stop().await;
    });
}

#[test]
fn a_client_that_keeps_its_stream_open_is_cut_at_the_deadline() {
    run(async |over| {
        let host = Host::start(over).await;
        let mut conn = host.connect().await;
        conn.send(&post(1)).await;
        while host.server.stats().active == 0 {
            tokio::task::yield_now().await;
        }
        let stopping = host.server.shutdown(Duration::from_millis(50));
        let told = async {
            let mut goaway = false;
            while let Some(frame) = conn.next().await {
                goaway |= frame.kind == GOAWAY;
                assert!(frame.kind != HEADERS, "answered");
            }
            goaway
        };
        let (report, goaway) = tokio::join!(stopping, told);
        assert_eq!((report.finished, report.cut, goaway), (0, 1, true));
        host.stop().await;
    });
}

#[test]
fn handlers_end_with_their_connection() {
    run(async |over| {
        let host = Host::start(over).await;
        let mut conn = host.connect().await;
        conn.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, 1, request("GET", "/wait"))).await;
        while host.server.stats().active == 0 {
            tokio::task::yield_now().await;
        }
        drop(conn);
        while host.server.stats().open > 0 {
            tokio::task::yield_now().await;
        }
        host.stop().await;
    });
}
