//! How a held connection ends.

use roundtrip_transport::{RequestOptions, Reuse};

use super::*;

#[tokio::test]
async fn a_goaway_ends_what_is_new_and_not_what_is_on_its_way() {
    for over in HTTP2 {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        let response = conn.round_trip(site.get("half")).await.unwrap();
        let told = noting(&conn);
        take(&told);
        site.leave.notify_one();
        until(|| conn.error().is_some()).await;
        let error = conn.round_trip(site.get("")).await.unwrap_err();
        assert!(error.to_string().ends_with("takes no more requests: the server is going away (GOAWAY)"), "{error}");
        assert_eq!(conn.state().in_flight, 1);
        site.gate.add_permits(1);
        assert_eq!(response.text().await.unwrap(), "hello");
        until(|| conn.in_flight() == 0).await;
        until(|| told.lock().unwrap().last() == Some(&(0, 0, true))).await;
        assert_eq!(take(&told), [(0, 1, true), (0, 0, true)], "{over:?}");
        until(|| site.ended() == 1).await;
        assert_eq!(site.peer.heads(), ["/half"]);
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closes_after_a_response_is_over_then() {
    for over in HTTP1 {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        assert_eq!(text(&conn, site.get("last")).await.unwrap(), "hello");
        let error = conn.error().unwrap();
        assert!(error.to_string().contains("one side had said Connection: close"), "{error}");
        until(|| site.ended() == 1).await;
    }
    for over in ALL {
        // Asked for by the request.
        let site = Site::new(over).await;
        let conn = site.hold().await;
        let mut req = site.get("");
        req.extensions_mut().insert(RequestOptions { reuse: Reuse::Never, ..RequestOptions::default() });
        assert_eq!(text(&conn, req).await.unwrap(), "hello");
        until(|| conn.error().is_some() && site.ended() == 1).await;
        assert_eq!(conn.error().unwrap().kind(), ErrorKind::ConnectionLost, "{over:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_dropped_frees_the_place_or_ends_the_connection() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        let told = noting(&conn);
        let response = conn.round_trip(site.get("half")).await.unwrap();
        site.gate.add_permits(1);
        drop(response);
        // Over HTTP/1.1 what little is left is read in the background; over HTTP/2 the stream ends.
        until(|| conn.available() == site.places()).await;
        until(|| told.lock().unwrap().last() == Some(&(site.places(), 0, false))).await;
        assert_eq!(text(&conn, site.get("")).await.unwrap(), "hello", "{over:?}");
        drop(conn.round_trip(site.get("endless")).await.unwrap());
        if site.is_http2() {
            until(|| conn.available() == site.places()).await;
            assert_eq!(text(&conn, site.get("")).await.unwrap(), "hello");
        } else {
            until(|| conn.error().is_some()).await;
            let error = conn.error().unwrap();
            assert!(error.to_string().ends_with("a request or a response was given up before its end"), "{error}");
            assert_eq!(told.lock().unwrap().last(), Some(&(0, 0, true)));
            until(|| site.ended() == 1).await;
        }
        assert_eq!(site.peer.accepted(), 1);
    }
}

#[tokio::test]
async fn a_request_that_is_given_up_ends_http1_and_frees_a_stream() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        let given_up = tokio::time::timeout(Duration::from_millis(20), conn.round_trip(site.get("gated"))).await;
        assert!(given_up.is_err());
        if site.is_http2() {
            // It is asked for a sign of life first.
            assert_eq!(text(&conn, site.get("")).await.unwrap(), "hello");
            until(|| conn.available() == site.places()).await;
        } else {
            assert_eq!(conn.error().unwrap().kind(), ErrorKind::Canceled);
            assert_eq!(conn.state().in_flight, 0);
        }
        assert_eq!(site.peer.accepted(), 1);
    }
}

#[tokio::test]
async fn a_transport_that_is_shut_down_opens_none_and_leaves_those_that_are_held() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        site.transport.shutdown(Duration::from_secs(60)).await;
        assert_eq!(text(&conn, site.get("")).await.unwrap(), "hello");
        let error = site.transport.client_conn(&site.url.parse().unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Canceled);
        assert_eq!(error.to_string(), format!("GET {}: the transport was shut down", site.url));
        conn.into_pool();
        until(|| site.ended() == 1).await;
        assert_eq!((site.transport.stats().open(), site.peer.accepted()), (0, 1));
    }
}

#[tokio::test]
async fn closed_it_fails_what_is_on_its_way_and_dropped_it_does_not() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = Arc::new(site.hold().await);
        let told = noting(&conn);
        let running = {
            let (conn, req) = (Arc::clone(&conn), site.get("gated"));
            tokio::spawn(async move { text(&conn, req).await })
        };
        until(|| site.peer.heads().len() == 1).await;
        conn.close();
        let error = running.await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.was_sent()), (ErrorKind::Canceled, true), "{over:?} {error}");
        assert!(error.to_string().contains("the program closed the connection, which it held"), "{error}");
        let error = conn.error().unwrap();
        assert_eq!(error.kind(), ErrorKind::Canceled);
        assert!(error.to_string().ends_with("the program closed it"), "{error}");
        until(|| told.lock().unwrap().last() == Some(&(0, 0, true))).await;
        conn.close();
        site.gate.add_permits(1);
        until(|| site.ended() == 1).await;

        // At rest, reserved or not.
        let conn = site.hold().await;
        let place = conn.reserve().unwrap();
        conn.close();
        until(|| site.ended() == 2).await;
        assert_eq!(place.round_trip(site.get("")).await.unwrap_err().kind(), ErrorKind::Canceled);

        let conn = site.hold().await;
        let response = conn.round_trip(site.get("half")).await.unwrap();
        drop(conn);
        site.gate.add_permits(1);
        assert_eq!(response.text().await.unwrap(), "hello");
        until(|| site.ended() == 3).await;
        drop(site.hold().await);
        until(|| site.ended() == 4).await;
        assert_eq!(site.transport.stats().created, 0);
    }
}

#[tokio::test]
async fn a_server_that_closes_at_once_is_an_error_of_opening_or_of_the_first_request() {
    let peer = Peer::start(|_, stream| async move { drop(stream) }).await;
    let url = format!("http://{}/", peer.addr);
    let transport = Transport::new();
    for _ in 0..20 {
        let error = match transport.client_conn(&url.parse().unwrap()).await {
            Err(error) => error,
            Ok(conn) => text(&conn, get(&url)).await.unwrap_err(),
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
    }
    assert_eq!(transport.stats().created, 0);
}
