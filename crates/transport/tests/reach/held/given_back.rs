//! Connections that are given to the pool.

use roundtrip_transport::{CloseReason, RequestOptions, Timings};

use super::*;

#[tokio::test]
async fn given_back_it_serves_whoever_comes() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        let (id, told) = (conn.id(), noting(&conn));
        assert_eq!(text(&conn, site.get("")).await.unwrap(), "hello");
        let void = conn.reserve().unwrap();
        drop(void);
        conn.into_pool();
        assert_eq!((site.transport.stats().idle, site.transport.stats().open()), (1, 1), "{over:?}");
        assert!(told.lock().unwrap().last().unwrap().2, "there are no more requests for its holder");
        for _ in 0..2 {
            let mut req = site.get("");
            req.extensions_mut().insert(RequestOptions { timings: Some(true), ..RequestOptions::default() });
            let response = site.transport.round_trip(req).await.unwrap();
            let timings = response.extensions().get::<Timings>().unwrap().clone();
            assert_eq!((timings.conn_id(), timings.reused()), (id, true));
            assert_eq!(response.text().await.unwrap(), "hello");
        }
        assert_eq!((site.peer.accepted(), site.transport.stats().reused), (1, 2));
        // It is the pool's in all respects.
        site.cut.notify_one();
        until(|| site.transport.stats().open() == 0).await;
        assert_eq!(site.transport.stats().closed.by(CloseReason::ClosedByPeer), 1);
    }
}

#[tokio::test]
async fn given_back_while_in_use_it_goes_at_the_end() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        let response = conn.round_trip(site.get("half")).await.unwrap();
        conn.into_pool();
        assert_eq!(site.transport.stats().open(), 0);
        site.gate.add_permits(1);
        assert_eq!(response.text().await.unwrap(), "hello");
        assert_eq!(site.transport.stats().idle, 1, "{over:?}: at the end of the body");

        // What was reserved is void.
        let conn = site.hold().await;
        let place = conn.reserve().unwrap();
        conn.into_pool();
        let error = place.round_trip(site.get("")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Canceled);
        assert!(error.to_string().ends_with("takes no more requests: it was given to the pool"), "{error}");
        until(|| site.transport.stats().idle == 2).await;
    }
}

#[tokio::test]
async fn given_back_it_serves_who_waits() {
    for over in ALL {
        let site = Site::with(over, |config| config.max_conns_per_host = Some(1)).await;
        let conn = site.hold().await;
        let busy = site.transport.round_trip(site.get("half")).await.unwrap();
        let more: Vec<_> = (1..site.places()).map(|_| site.transport.round_trip(site.get("half"))).collect();
        let mut streams = Vec::new();
        for request in more {
            streams.push(request.await.unwrap());
        }
        let waiting = {
            let (transport, req) = (site.transport.clone(), site.get(""));
            tokio::spawn(async move { transport.round_trip(req).await.unwrap().text().await.unwrap() })
        };
        until(|| site.transport.stats().waiting == 1).await;
        // The host is full: there is no room for it.
        conn.into_pool();
        until(|| site.ended() == 1).await;
        assert_eq!(site.transport.stats().closed.by(CloseReason::Surplus), 1, "{over:?}");
        // With room, it is whose turn it is that gets it.
        let conn = site.hold().await;
        site.transport.update(|config| config.max_conns_per_host = Some(2));
        conn.into_pool();
        assert_eq!(waiting.await.unwrap(), "hello");
        drop((busy, streams));
    }
}

#[tokio::test]
async fn what_the_pool_has_no_use_for_is_closed() {
    for over in ALL {
        for (change, reason) in [
            ((|config| config.max_idle_conns_per_host = 0) as fn(&mut TransportConfig), CloseReason::NotPersistent),
            (|config| config.max_requests_per_conn = Some(1), CloseReason::MaxRequests),
            (|config| config.max_conn_age = Some(Duration::ZERO), CloseReason::MaxAge),
        ] {
            let site = Site::with(over, change).await;
            let conn = site.hold().await;
            assert_eq!(text(&conn, site.get("")).await.unwrap(), "hello");
            conn.into_pool();
            assert_eq!(site.transport.stats().open(), 0, "{over:?}");
            assert_eq!(site.transport.stats().closed.by(reason), 1, "{over:?} {reason}");
            until(|| site.ended() == 1).await;
        }
        // One that has died meanwhile does not get there at all.
        let site = Site::new(over).await;
        let conn = site.hold().await;
        site.cut.notify_one();
        until(|| conn.error().is_some()).await;
        conn.into_pool();
        assert_eq!((site.transport.stats().open(), site.transport.stats().created), (0, 0));
    }
}
