//! What servers do instead.

use roundtrip_types::{ErrorKind, Phase};
use tokio::io::AsyncWriteExt;

use super::peers::{ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, OK, PING, RST_STREAM, Raw, SETTINGS};
use super::*;

/// Runs an exchange against a peer by script.
async fn against<F, Fut>(script: F) -> (Rig, Result<Response<Body>, Failed>)
where
    F: FnOnce(Raw) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (raw, stream) = Raw::new(&[]).await;
    let peer = tokio::spawn(script(raw));
    let rig = Rig::new(stream, &Http2Config::default()).await;
    let outcome = rig.get().await;
    if outcome.is_err() {
        peer.await.unwrap();
    }
    (rig, outcome)
}

#[tokio::test]
async fn streams_that_were_refused_may_go_elsewhere_and_others_not() {
    for (code, repeat, sent, line) in [
        (7, Repeat::Elsewhere, false, "the server refused the request without acting on it (REFUSED_STREAM)"),
        (13, Repeat::OverHttp1, false, "the server wants this request over HTTP/1.1 (HTTP_1_1_REQUIRED)"),
        (2, Repeat::No, true, "the server reset the stream (INTERNAL_ERROR)"),
        (99, Repeat::No, true, "the server reset the stream (code 99)"),
    ] {
        let (rig, outcome) = against(move |mut raw: Raw| async move {
            let stream = raw.request().await;
            raw.reset(stream, code).await;
        })
        .await;
        let failed = outcome.unwrap_err();
        assert_eq!(failed.error.to_string(), line);
        assert_eq!((failed.repeat, failed.error.was_sent(), failed.error.phase()), (repeat, sent, Some(Phase::Wait)));
        assert_eq!(rig.conn.in_flight(), 0);
    }
}

#[tokio::test]
async fn a_peer_that_goes_away_finishes_what_it_took_up() {
    let (mut raw, stream) = Raw::new(&[]).await;
    let rig = Rig::new(stream, &Http2Config::default()).await;
    let (taken_up, left, ()) = tokio::join!(rig.get(), rig.get(), async {
        let first = raw.request().await;
        let second = raw.read_until(HEADERS).await.2;
        assert_eq!((first, second), (1, 3));
        raw.goaway(1, 0).await;
        rig.told(H2Event::Draining).await;
        assert_eq!(rig.conn.reserve().unwrap_err(), NoRoom::Draining);
        raw.write(HEADERS, END_HEADERS, 1, OK).await;
        raw.write(DATA, END_STREAM, 1, b"hello").await;
    });
    let failed = left.unwrap_err();
    assert_eq!(failed.error.to_string(), "the server went away before it took up this request (NO_ERROR)");
    assert_eq!((failed.repeat, failed.error.was_sent()), (Repeat::OnAnother, false));
    assert_eq!(taken_up.unwrap().into_body().text().await.unwrap(), "hello");
    raw.drain().await;
    rig.told(H2Event::Closed).await;
}

#[tokio::test]
async fn a_peer_that_dies_after_it_said_goodbye_has_seen_what_it_took_up() {
    let (rig, outcome) = against(move |mut raw: Raw| async move {
        raw.request().await;
        raw.goaway(1, 0).await;
    })
    .await;
    let failed = outcome.unwrap_err();
    assert_eq!((failed.repeat, failed.error.was_sent()), (Repeat::No, true), "{}", failed.error);
    rig.told(H2Event::Closed).await;
}

#[tokio::test]
async fn a_first_request_that_makes_the_peer_go_is_not_sent_again() {
    let (_, outcome) = against(move |mut raw: Raw| async move {
        raw.request().await;
        raw.goaway(0, 1).await;
    })
    .await;
    let failed = outcome.unwrap_err();
    assert_eq!(failed.error.to_string(), "the server went away before it took up this request (PROTOCOL_ERROR)");
    assert_eq!(failed.repeat, Repeat::No);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_loses_nothing() {
    let (mut raw, stream) = Raw::new(&[]).await;
    let rig = Rig::new(stream, &Http2Config::default()).await;
    let slot = rig.conn.reserve().unwrap();
    raw.preface().await;
    drop(raw);
    rig.told(H2Event::Closed).await;
    let failed = send(&rig.conn, slot, outgoing(Method::POST, Body::from("x"))).await.unwrap_err();
    assert_eq!((failed.repeat, failed.error.was_sent()), (Repeat::Elsewhere, false), "{}", failed.error);
    assert_eq!(failed.body.expect("untouched").text().await.unwrap(), "x");
    assert_eq!(rig.conn.reserve().unwrap_err(), NoRoom::Closed);
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_of_a_body_is_told() {
    let (rig, outcome) = against(move |mut raw: Raw| async move {
        let stream = raw.request().await;
        raw.write(HEADERS, END_HEADERS, stream, OK).await;
        raw.write(DATA, 0, stream, b"hel").await;
    })
    .await;
    let error = outcome.unwrap().into_body().bytes().await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::ConnectionLost, Some(Phase::Body)));
    assert!(error.to_string().starts_with("the connection ended: "), "{error}");
    assert_eq!(rig.conn.in_flight(), 0);
}

#[tokio::test]
async fn a_reset_body_is_an_error_unless_it_was_complete() {
    for (code, whole) in [(0, true), (8, false), (2, false)] {
        let (_, outcome) = against(move |mut raw: Raw| async move {
            let stream = raw.request().await;
            // content-length: 5, as a literal with an indexed name.
            let head = [OK, &[0x0f, 0x0d, 0x01, b'5']].concat();
            raw.write(HEADERS, END_HEADERS, stream, &head).await;
            raw.write(DATA, 0, stream, if whole { b"hello" } else { b"hell" }).await;
            raw.reset(stream, code).await;
            raw.drain().await;
        })
        .await;
        let body = outcome.unwrap().into_body().text().await;
        assert_eq!(body.is_ok(), whole, "{body:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_exchange_given_up_in_silence_makes_the_connection_suspect_until_a_ping_is_answered() {
    let (mut raw, stream) = Raw::new(&[]).await;
    let rig = Rig::new(stream, &Http2Config::default()).await;
    let given_up = tokio::time::timeout(Duration::from_secs(1), rig.get()).await;
    assert!(given_up.is_err());
    // The settings came before the request was answered, but some byte had come since it began.
    let _ = rig.conn.room();
    raw.request().await;
    let given_up = tokio::time::timeout(Duration::from_secs(1), rig.get()).await;
    assert!(given_up.is_err());
    assert_eq!(rig.conn.reserve().unwrap_err(), NoRoom::Suspect);
    assert_eq!(raw.read_until(RST_STREAM).await.3, [0, 0, 0, 8], "CANCEL");
    let ping = raw.read_until(PING).await;
    raw.write(PING, ACK, 0, &ping.3).await;
    while rig.conn.room().is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(rig.events().last(), Some(&H2Event::Room));
    assert_eq!(rig.conn.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_suspect_connection_that_does_not_answer_is_closed() {
    let (mut raw, stream) = Raw::new(&[]).await;
    let rig = Rig::new(stream, &Http2Config::default()).await;
    // Its settings have come, then nothing more.
    raw.preface().await;
    raw.read_until(SETTINGS).await;
    raw.read().await;
    let waiting = {
        let (conn, slot) = (rig.conn.clone(), rig.conn.reserve().unwrap());
        tokio::spawn(async move { send(&conn, slot, outgoing(Method::GET, Body::empty())).await })
    };
    let given_up = tokio::time::timeout(Duration::from_secs(1), rig.get()).await;
    assert!(given_up.is_err());
    let began = tokio::time::Instant::now();
    rig.told(H2Event::Closed).await;
    assert!((15..17).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let failed = waiting.await.unwrap().unwrap_err();
    assert_eq!(failed.error.to_string(), "the connection ended: the server did not answer a PING within 15s");
    assert_eq!((failed.error.kind(), failed.repeat), (ErrorKind::ConnectionLost, Repeat::No));
}

#[tokio::test(start_paused = true)]
async fn an_exchange_given_up_while_the_peer_speaks_is_no_reason_for_suspicion() {
    let (mut raw, stream) = Raw::new(&[]).await;
    let rig = Rig::new(stream, &Http2Config::default()).await;
    let (outcome, _raw) = tokio::join!(tokio::time::timeout(Duration::from_secs(1), rig.get()), async {
        let stream = raw.request().await;
        raw.write(HEADERS, END_HEADERS, stream, OK).await;
        raw.write(DATA, 0, stream, b"hel").await;
        raw
    });
    let body = outcome.unwrap().unwrap().into_body();
    drop(body);
    assert_eq!(rig.conn.room(), Ok(1000));
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_asked_for_a_sign_of_life() {
    let config = Http2Config { keep_alive_interval: Some(Duration::from_secs(20)), ..Http2Config::default() };
    for while_idle in [false, true] {
        let (mut raw, stream) = Raw::new(&[]).await;
        let config = Http2Config { keep_alive_while_idle: while_idle, ..config.clone() };
        let rig = Rig::new(stream, &config).await;
        raw.preface().await;
        let began = tokio::time::Instant::now();
        let _held = (!while_idle).then(|| rig.conn.reserve().unwrap());
        // Something has to happen for it to see that a stream is in use.
        raw.write(PING, 0, 0, &[0; 8]).await;
        for _ in 0..3 {
            let ping = loop {
                let frame = raw.read_until(PING).await;
                if frame.1 & ACK == 0 {
                    break frame;
                }
            };
            raw.write(PING, ACK, 0, &ping.3).await;
        }
        assert!((60..62).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        rig.told(H2Event::Closed).await;
        assert_eq!(rig.conn.closed().as_deref(), Some("the server did not answer a PING within 15s"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_that_stays_closed_ends_the_upload_with_a_name() {
    // SETTINGS_INITIAL_WINDOW_SIZE 0.
    let (mut raw, stream) = Raw::new(&[(4, 0)]).await;
    let rig = Rig::new(stream, &Http2Config::default()).await;
    raw.preface().await;
    raw.read_until(SETTINGS).await;
    raw.read().await;
    let (failed, ()) = tokio::join!(rig.send(Method::POST, Body::from(vec![0; 100_000])), async {
        let stream = raw.read_until(HEADERS).await.2;
        // An increment of ten bytes, and no more.
        raw.write(8, 0, stream, &10_u32.to_be_bytes()).await;
        assert_eq!(raw.read_until(DATA).await.3.len(), 10);
        assert_eq!(raw.read_until(RST_STREAM).await.2, stream);
    });
    let error = failed.unwrap_err().error;
    assert_eq!(
        error.to_string(),
        "the server took no more of the request's body for 300s, after 10 bytes: it keeps its flow-control window closed"
    );
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Write)));
}

#[tokio::test(start_paused = true)]
async fn an_overrun_window_ends_the_connection_of_a_peer_that_does_not_listen() {
    let (mut raw, stream) = Raw::new(&[]).await;
    let rig = Rig::new(stream, &Http2Config::default()).await;
    let began = tokio::time::Instant::now();
    let talk = async {
        let stream = raw.request().await;
        // It may send as much as it likes, and goes on until nothing more fits between us.
        for stream in [0, stream] {
            raw.write(8, 0, stream, &(1_u32 << 30).to_be_bytes()).await;
        }
        raw.write(HEADERS, END_HEADERS, stream, OK).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        // Our windows cannot be opened again, since that would have to be said.
        while raw.try_write(DATA, 0, stream, &[0; 16_384]).await {}
    };
    let (error, ()) = tokio::join!(
        async {
            let response = rig.send(Method::POST, Body::from(vec![0; 10 << 20])).await.unwrap();
            response.into_body().bytes().await.unwrap_err()
        },
        talk
    );
    rig.told(H2Event::Closed).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    let words = "the server sent more than a stream's flow-control window allows (FLOW_CONTROL_ERROR), in the middle";
    assert!(error.to_string().starts_with(words), "{error}");
    assert_eq!((rig.conn.in_flight(), rig.conn.room()), (0, Err(NoRoom::Closed)));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_h2_has_ended_carries_no_more_requests() {
    // A peer that does not listen keeps h2's last words from going out.
    let (mut raw, stream) = Raw::new(&[]).await;
    let rig = Rig::new(stream, &Http2Config::default()).await;
    let slot = rig.conn.reserve().unwrap();
    let (outcome, ()) = tokio::join!(rig.send(Method::POST, Body::from(vec![0; 10 << 20])), async {
        let stream = raw.request().await;
        for stream in [0, stream] {
            raw.write(8, 0, stream, &(1_u32 << 30).to_be_bytes()).await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        // DATA for a stream that never was.
        raw.write(DATA, 0, 99, b"x").await;
    });
    let error = outcome.unwrap_err().error;
    assert_eq!((error.kind(), rig.conn.room()), (ErrorKind::Protocol, Err(NoRoom::Closed)), "{error}");
    let failed = send(&rig.conn, slot, outgoing(Method::POST, Body::empty())).await.unwrap_err();
    assert_eq!((failed.repeat, failed.error.was_sent()), (Repeat::Elsewhere, false));
    rig.told(H2Event::Closed).await;
}

#[tokio::test]
async fn floods_end_the_connection_with_a_name() {
    for (kind, payload, name) in
        [(SETTINGS, &[][..], "SETTINGS"), (PING, &[0; 8], "PING"), (DATA, &[], "empty DATA"), (42, &[], "useless")]
    {
        let (rig, outcome) = against(move |mut raw: Raw| async move {
            let stream = raw.request().await;
            raw.write(HEADERS, END_HEADERS, stream, OK).await;
            let stream = if kind == DATA { stream } else { 0 };
            // It answers some of them, which has to be read.
            let (mut read, mut write) = tokio::io::split(raw.0);
            let reading = tokio::spawn(async move { tokio::io::copy(&mut read, &mut tokio::io::sink()).await });
            let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
            let frame = [&length[1..], &[kind, 0], &u32::to_be_bytes(stream), payload].concat();
            for _ in 0..100_000 {
                if write.write_all(&frame).await.is_err() {
                    reading.abort();
                    return;
                }
            }
            panic!("100,000 frames were taken");
        })
        .await;
        let error = match outcome {
            Ok(response) => response.into_body().bytes().await.unwrap_err(),
            Err(failed) => failed.error,
        };
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        let line = error.to_string();
        // h2 has a limit of its own on empty DATA.
        let ours = format!("the server floods this connection with {name} frames (10");
        assert!(line.starts_with(&ours) || (kind == DATA && line.contains("ENHANCE_YOUR_CALM")), "{line}");
        rig.told(H2Event::Closed).await;
    }
}

#[tokio::test]
async fn continuation_without_end_ends_the_connection() {
    let (_, outcome) = against(move |mut raw: Raw| async move {
        let stream = raw.request().await;
        raw.write(HEADERS, 0, stream, OK).await;
        for _ in 0..100_000 {
            // A literal field, new name: "a: b".
            if !raw.try_write(CONTINUATION, 0, stream, &[0, 1, b'a', 1, b'b'].repeat(100)).await {
                return;
            }
        }
        panic!("100,000 frames were taken");
    })
    .await;
    let error = outcome.unwrap_err().error;
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("ENHANCE_YOUR_CALM, too_many_continuations"), "{error}");
}

#[tokio::test]
async fn a_header_list_beyond_the_limit_is_an_error_of_one_stream() {
    let (rig, outcome) = against(move |mut raw: Raw| async move {
        let stream = raw.request().await;
        // 17 fields of 1000 bytes; the limit is 16 KiB.
        let field = [&[0, 1, b'a', 0x7f, 0xe9, 0x06][..], &[b'x'; 1000]].concat();
        let block = [OK, &field.repeat(17)].concat();
        let (first, second) = block.split_at(9_000);
        raw.write(HEADERS, 0, stream, first).await;
        raw.write(CONTINUATION, END_HEADERS, stream, second).await;
        assert_eq!(raw.read_until(RST_STREAM).await.2, stream);
    })
    .await;
    let failed = outcome.unwrap_err();
    assert_eq!(failed.error.to_string(), "the response's head is too large: more than the 16384 bytes allowed");
    assert_eq!((failed.error.kind(), failed.repeat), (ErrorKind::TooLarge, Repeat::No));
    assert_eq!(rig.conn.in_flight(), 0);
}

#[tokio::test]
async fn interim_responses_without_end_end_the_exchange() {
    let (_, outcome) = against(move |mut raw: Raw| async move {
        let stream = raw.request().await;
        // :status: 103, as a literal with an indexed name.
        while raw.try_write(HEADERS, END_HEADERS, stream, &[0x08, 3, b'1', b'0', b'3']).await {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let error = outcome.unwrap_err().error;
    let line = error.to_string();
    assert!(
        line == "the response's head is too large: more than the 16384 bytes allowed"
            || line.starts_with("the server floods this connection with HEADERS frames (1101)"),
        "{line}"
    );
}

#[tokio::test]
async fn a_peer_that_speaks_http1_is_named() {
    let (ours, mut theirs) = tokio::io::duplex(1 << 16);
    theirs.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await.unwrap();
    let rig = Rig::new(Stream::boxed(ours), &Http2Config::default()).await;
    let error = rig.get().await.unwrap_err().error;
    assert!(error.to_string().contains("the server speaks HTTP/1 on this connection, not HTTP/2"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn windows_grow_with_what_a_round_trip_carries() {
    let (mut raw, stream) = Raw::new(&[]).await;
    let config = Http2Config {
        stream_window: 65_535,
        connection_window: 65_535,
        adaptive_window: true,
        ..Http2Config::default()
    };
    let rig = Rig::new(stream, &config).await;
    let (response, stream) = tokio::join!(rig.get(), async {
        let stream = raw.request().await;
        raw.write(SETTINGS, ACK, 0, &[]).await;
        raw.write(HEADERS, END_HEADERS, stream, OK).await;
        raw.write(DATA, 0, stream, &[0; 10_000]).await;
        stream
    });
    let mut body = response.unwrap().into_body();
    body.chunk().await.unwrap().unwrap();
    let ping = raw.read_until(PING).await;
    for _ in 0..5 {
        raw.write(DATA, 0, stream, &[0; 10_000]).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    raw.write(PING, ACK, 0, &ping.3).await;
    let settings = raw.read_until(SETTINGS).await.3;
    // SETTINGS_INITIAL_WINDOW_SIZE, twice what came meanwhile.
    assert_eq!(settings, [&[0, 4][..], &100_000_u32.to_be_bytes()].concat());
}
