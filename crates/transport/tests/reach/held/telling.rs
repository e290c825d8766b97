//! What the program is told of a held connection: by its hook, and by `Events`.

use roundtrip_transport::{CloseReason, ConnId, Events};

use super::*;

#[tokio::test]
async fn the_hook_is_told_of_each_change_and_that_the_server_has_gone() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        let told = noting(&conn);
        // Over HTTP/2 it has learnt meanwhile what the server allows.
        assert_eq!(take(&told).len(), usize::from(site.is_http2()));
        let all = site.places();
        assert_eq!(text(&conn, site.get("")).await.unwrap(), "hello");
        let place = conn.reserve().unwrap();
        drop(place);
        assert_eq!(
            take(&told),
            [(all - 1, 1, false), (all, 0, false), (all - 1, 1, false), (all, 0, false)],
            "{over:?}"
        );
        site.cut.notify_one();
        until(|| conn.error().is_some()).await;
        until(|| !told.lock().unwrap().is_empty()).await;
        assert_eq!(take(&told), [(0, 0, true)], "{over:?}");
        let error = text(&conn, site.get("")).await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::ConnectionLost, Some(Phase::Queue)));
        assert!(!error.was_sent());
        let want = format!(
            "GET {}: the held {} to h.test:{} takes no more requests: ",
            site.url,
            conn.id(),
            site.peer.addr.port()
        );
        assert!(error.to_string().starts_with(&want), "{error}");
        assert_eq!(conn.reserve().unwrap_err().kind(), ErrorKind::ConnectionLost);
        assert_eq!(site.peer.accepted(), 1);
    }
}

#[tokio::test]
async fn the_hook_may_use_the_connection() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = Arc::new(site.hold().await);
        // A pool of one's own takes a place as soon as there is one.
        let place = Arc::new(Mutex::new(None));
        let (weak, kept) = (Arc::downgrade(&conn), Arc::clone(&place));
        conn.set_state_hook(move |state| {
            let mut kept = kept.lock().unwrap();
            if state.available > 0 && kept.is_none() {
                *kept = weak.upgrade().and_then(|conn| conn.reserve().ok());
            }
        });
        assert_eq!(text(&conn, site.get("")).await.unwrap(), "hello");
        let reserved = place.lock().unwrap().take().expect("it was told of room");
        assert_eq!(reserved.round_trip(site.get("")).await.unwrap().text().await.unwrap(), "hello");
        assert_eq!(site.peer.accepted(), 1);
        conn.close();
        let last = place.lock().unwrap().take();
        drop(last);
    }
}

/// Counts connections that were closed.
#[derive(Default)]
struct Ends(Mutex<Vec<(u64, CloseReason)>>);

impl Events for Ends {
    fn conn_closed(&self, conn: ConnId, reason: CloseReason) {
        self.0.lock().unwrap().push((conn.get(), reason));
    }
}

#[tokio::test]
async fn the_end_is_told_once() {
    for over in ALL {
        let ends = Arc::new(Ends::default());
        let events = Arc::clone(&ends);
        let site = Site::with(over, |config| config.events = Some(events)).await;
        let taken = || std::mem::take(&mut *ends.0.lock().unwrap());
        let conn = site.hold().await;
        conn.close();
        drop(conn);
        until(|| site.ended() == 1).await;
        assert_eq!(taken(), [(1, CloseReason::Requested)], "{over:?}");
        let conn = site.hold().await;
        site.cut.notify_one();
        until(|| conn.error().is_some() && site.ended() == 2).await;
        drop(conn);
        assert_eq!(taken(), [(2, CloseReason::ClosedByPeer)], "{over:?}");
        site.hold().await.into_pool();
        assert_eq!(taken(), []);
        site.transport.close_idle_connections();
        assert_eq!(taken(), [(3, CloseReason::Requested)], "{over:?}");
    }
}

#[tokio::test]
async fn closed_in_the_middle_of_an_exchange_its_end_is_what_the_program_asked_for() {
    for over in ALL {
        let ends = Arc::new(Ends::default());
        let events = Arc::clone(&ends);
        let site = Site::with(over, |config| config.events = Some(events)).await;
        let taken = || std::mem::take(&mut *ends.0.lock().unwrap());
        // Before the head.
        let conn = Arc::new(site.hold().await);
        let running = {
            let (conn, req) = (Arc::clone(&conn), site.get("gated"));
            tokio::spawn(async move { text(&conn, req).await })
        };
        until(|| site.peer.heads().len() == 1).await;
        conn.close();
        assert_eq!(running.await.unwrap().unwrap_err().kind(), ErrorKind::Canceled);
        until(|| !ends.0.lock().unwrap().is_empty()).await;
        assert_eq!(taken(), [(1, CloseReason::Requested)], "{over:?}");
        // In the middle of the body, which is read on or dropped.
        for (at, reads_on) in [(2, true), (3, false)] {
            let conn = site.hold().await;
            let response = conn.round_trip(site.get("endless")).await.unwrap();
            conn.close();
            if reads_on {
                assert_eq!(response.bytes().await.unwrap_err().kind(), ErrorKind::Canceled);
            } else {
                drop(response);
            }
            until(|| !ends.0.lock().unwrap().is_empty()).await;
            assert_eq!(taken(), [(at, CloseReason::Requested)], "{over:?}");
        }
    }
    for over in HTTP1 {
        // One that its holder has merely dropped ends as its request does.
        let ends = Arc::new(Ends::default());
        let events = Arc::clone(&ends);
        let site = Site::with(over, |config| config.events = Some(events)).await;
        let conn = site.hold().await;
        let response = conn.round_trip(site.get("endless")).await.unwrap();
        drop(conn);
        site.cut.notify_one();
        assert_eq!(response.bytes().await.unwrap_err().kind(), ErrorKind::ConnectionLost);
        assert_eq!(*ends.0.lock().unwrap(), [(1, CloseReason::Failed)], "{over:?}");
    }
}
