//! Servers that take a connection, and say nothing more.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::in_memory::InMemory;
use super::*;

#[test]
fn given_up_requests_leave_few_connections_that_wait_for_a_ping() {
    with_time_paused(async || {
        let (connect, counts) = InMemory::serving(|mut stream, _| async move {
            stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
            while stream.read(&mut [0; 1024]).await.is_ok_and(|count| count > 0) {}
        });
        let transport = Transport::with_config(TransportConfig { connect, ..over_http2() });
        let request = || http::Request::get("http://h.test/").body(Body::empty()).unwrap();
        for given_up in 1..=40 {
            let answer = timeout(Duration::from_millis(100), transport.round_trip(request())).await;
            assert!(answer.is_err(), "the server says nothing");
            // Its connection's task has closed what is over.
            tokio::time::sleep(Duration::from_millis(1)).await;
            // Those whose PING is not answered yet, and one that has not fallen silent.
            assert!(counts.open() <= 5, "{} connections after {given_up} requests", counts.open());
            assert_eq!(transport.stats().open(), counts.open());
        }
        assert!(counts.dialed() > 5, "{}: this must make connections suspect", counts.dialed());
        let abandoned = transport.stats().closed.by(CloseReason::Abandoned);
        assert_eq!(usize::try_from(abandoned).unwrap(), counts.dialed() - counts.open());
        // Then the last PINGs have gone without an answer as well.
        tokio::time::sleep(Duration::from_secs(16)).await;
        assert!(counts.open() <= 1, "{}", counts.open());
        assert_eq!(counts.served(), counts.open());
        assert_eq!(transport.stats().in_use, 0);
    });
}

#[test]
fn a_connection_that_others_use_is_not_closed_for_those_that_gave_up() {
    with_time_paused(async || {
        let (connect, counts) = InMemory::serving(|mut stream, _| async move {
            stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
            while stream.read(&mut [0; 1024]).await.is_ok_and(|count| count > 0) {}
        });
        let transport = Transport::with_config(TransportConfig { connect, ..over_http2() });
        let request = || http::Request::get("http://h.test/").body(Body::empty()).unwrap();
        let mut patient = Vec::new();
        for _ in 0..8 {
            // The first makes the settings come, the second is patient, the third makes the connection suspect.
            let answer = timeout(Duration::from_millis(100), transport.round_trip(request())).await;
            assert!(answer.is_err(), "the server says nothing");
            let (transport, request) = (transport.clone(), request());
            patient.push(tokio::spawn(async move { fetch(&transport, request).await }));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(patient.iter().all(|request| !request.is_finished()));
        assert_eq!((transport.stats().in_use, counts.open()), (transport.stats().open(), counts.dialed()));
        assert_eq!(transport.stats().closed.total(), 0);
        // Whether they have waited in vain, the PING of their own connection decides.
        tokio::time::sleep(Duration::from_secs(16)).await;
        let mut failed = 0;
        for request in patient {
            if request.is_finished() {
                let error = request.await.unwrap().unwrap_err();
                assert!(error.to_string().contains("the server did not answer a PING within 15s"), "{error}");
                failed += 1;
            }
        }
        assert!(failed > 0);
    });
}

#[test]
fn an_extended_connect_waits_for_settings_no_longer_than_ten_seconds() {
    with_time_paused(async || {
        let (connect, counts) = InMemory::serving(|mut stream, _| async move {
            while stream.read(&mut [0; 1024]).await.is_ok_and(|count| count > 0) {}
        });
        let transport = Transport::with_config(TransportConfig { connect, ..over_http2() });
        for (options, secs, limit) in [
            (RequestOptions::default(), 10, "10s"),
            (
                RequestOptions { response_header_timeout: Some(Duration::from_secs(2)), ..RequestOptions::default() },
                2,
                "2s (response_header_timeout)",
            ),
        ] {
            let mut request = http::Request::connect("http://h.test/chat").body(Body::empty()).unwrap();
            request.extensions_mut().insert(ExtendedConnect::new("websocket"));
            request.extensions_mut().insert(options);
            let began = tokio::time::Instant::now();
            let error = timeout(Duration::from_secs(60), transport.round_trip(request)).await.unwrap().unwrap_err();
            assert_eq!(began.elapsed().as_secs(), secs);
            let (kind, phase) = (ErrorKind::Timeout, Some(Phase::Connect));
            assert_eq!((error.kind(), error.phase(), error.was_sent()), (kind, phase, false), "{error}");
            let words = format!("the server's settings did not come within {limit}; an extended CONNECT (RFC 8441)");
            assert!(error.to_string().contains(&words), "{error}");
            assert_eq!(transport.stats().waiting, 0);
        }
        // A server that does not even answer a PING has no connection left.
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!((counts.dialed(), counts.open(), transport.stats().open()), (2, 0, 0));
    });
}
