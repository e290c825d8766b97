//! What a held connection carries, and for whom.

use http::Version;
use roundtrip_transport::{Protocols, Proxy, ProxyConfig, RequestOptions, Timings, Upgraded};
use tokio::io::AsyncReadExt;

use super::*;
use crate::peers::{Authority, proxy};
use crate::protocols::either;

#[tokio::test]
async fn requests_go_over_the_one_connection_that_the_pool_does_not_know() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        for at in 0..3 {
            let mut req = site.get("");
            req.extensions_mut().insert(RequestOptions { timings: Some(true), ..RequestOptions::default() });
            let response = conn.round_trip(req).await.unwrap();
            let timings = response.extensions().get::<Timings>().unwrap().clone();
            assert_eq!((timings.reused(), timings.attempts(), timings.conn_id()), (at > 0, 1, conn.id()), "{over:?}");
            assert_eq!(response.version(), conn.version());
            assert_eq!(response.text().await.unwrap(), "hello");
            assert_eq!((conn.available(), conn.in_flight()), (site.places(), 0));
            site.transport.close_idle_connections();
            site.transport.evict(&site.url.parse().unwrap()).unwrap();
        }
        assert_eq!(conn.version() == Version::HTTP_2, site.is_http2());
        assert_eq!(conn.info().tls().is_some(), site.url.starts_with("https"));
        let stats = site.transport.stats();
        assert_eq!((site.peer.accepted(), stats.created, stats.open(), stats.closed.total()), (1, 0, 0, 0));
        // Nobody else gets it.
        assert_eq!(site.transport.round_trip(site.get("")).await.unwrap().text().await.unwrap(), "hello");
        assert_eq!(site.peer.accepted(), 2);
        assert!(conn.error().is_none());
    }
}

#[tokio::test]
async fn it_counts_towards_no_limit_of_the_pool() {
    for over in ALL {
        let site = Site::with(over, |config| config.max_conns_per_host = Some(1)).await;
        let (one, two) = (site.hold().await, site.hold().await);
        assert_eq!(site.transport.round_trip(site.get("")).await.unwrap().text().await.unwrap(), "hello");
        let three = site.hold().await;
        until(|| site.peer.accepted() == 4).await;
        assert!(one.id() < two.id() && two.id() < three.id(), "numbers are unique in the transport");
        assert_eq!(site.transport.stats().created, 1);
    }
}

#[tokio::test]
async fn places_are_reserved_used_and_given_back() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        let mut places: Vec<_> = (0..site.places()).map(|_| conn.reserve().unwrap()).collect();
        assert_eq!((conn.available(), conn.in_flight()), (0, site.places()), "{over:?}");
        let error = conn.reserve().unwrap_err();
        assert_eq!((error.kind(), error.phase(), error.was_sent()), (ErrorKind::Overloaded, Some(Phase::Queue), false));
        // To wait would be to wait for oneself.
        let error = conn.round_trip(site.get("")).await.unwrap_err();
        let named = format!("the held {} to h.test:{}", conn.id(), site.peer.addr.port());
        let want = match site.places() {
            1 => format!("GET {}: the one request that {named} can carry is reserved", site.url),
            all => format!("GET {}: all {all} requests that {named} can carry are reserved", site.url),
        };
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Overloaded, want));

        let response = places.pop().unwrap().round_trip(site.get("half")).await.unwrap();
        assert_eq!((conn.available(), conn.in_flight()), (0, site.places()), "used, it is still taken");
        site.gate.add_permits(1);
        assert_eq!(response.text().await.unwrap(), "hello");
        assert_eq!((conn.available(), conn.in_flight()), (1, site.places() - 1));
        drop(places);
        assert_eq!((conn.available(), conn.in_flight()), (site.places(), 0));

        // A request that is none gives its place back.
        let place = conn.reserve().unwrap();
        assert_eq!(place.round_trip(get("http://h.test:1/")).await.unwrap_err().kind(), ErrorKind::Request);
        assert_eq!((conn.available(), conn.in_flight()), (site.places(), 0));
        assert_eq!(text(&conn, site.get("")).await.unwrap(), "hello");
        assert_eq!(site.peer.accepted(), 1);
    }
}

#[tokio::test]
async fn requests_in_excess_wait_their_turn_and_no_longer_than_allowed() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = Arc::new(site.hold().await);
        let send = || {
            let (conn, req) = (Arc::clone(&conn), site.get("gated"));
            tokio::spawn(async move { text(&conn, req).await })
        };
        let running: Vec<_> = (0..site.places()).map(|_| send()).collect();
        until(|| site.peer.heads().len() == site.places()).await;
        let mut impatient = site.get("impatient");
        let wait_timeout = Some(Duration::from_millis(20));
        impatient.extensions_mut().insert(RequestOptions { wait_timeout, ..RequestOptions::default() });
        let error = text(&conn, impatient).await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Queue)));
        assert!(error.to_string().ends_with("had no room for another request within 20ms (wait_timeout)"), "{error}");

        // The first of those who wait gives up; its turn goes to the next.
        let waiting: Vec<_> = (0..3).map(|_| send()).collect();
        tokio::task::yield_now().await;
        waiting[0].abort();
        site.gate.add_permits(100);
        let mut answers = Vec::new();
        for request in running.into_iter().chain(waiting) {
            answers.push(request.await.map(Result::unwrap));
        }
        let given_up = answers.iter().filter(|answer| answer.is_err()).count();
        assert_eq!((given_up, answers.len()), (1, site.places() + 3), "{over:?}");
        assert_eq!((conn.available(), conn.in_flight()), (site.places(), 0));
        assert_eq!(site.peer.accepted(), 1);
    }
}

#[tokio::test]
async fn nothing_is_sent_twice() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        assert_eq!(text(&conn, site.get("")).await.unwrap(), "hello");
        let error = text(&conn, site.get("vanish")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{over:?} {error}");
        assert_eq!(site.peer.heads(), ["/", "/vanish"]);
        // A stream that is refused is not the connection's end.
        assert_eq!(conn.error().is_none(), site.is_http2());
        assert_eq!(site.peer.accepted(), 1);
    }
}

#[tokio::test]
async fn a_request_for_another_server_is_refused_and_both_are_named() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        let port = site.peer.addr.port();
        let scheme = site.url.split(':').next().unwrap();
        for (url, named) in [
            (format!("{scheme}://other.test:{port}/"), format!("{scheme}://other.test:{port}")),
            (format!("{scheme}://h.test:1/"), format!("{scheme}://h.test:1")),
        ] {
            let error = conn.round_trip(get(&url)).await.unwrap_err();
            let want =
                format!("GET {url}: the request is for {named}, but the connection leads to {scheme}://h.test:{port}");
            assert_eq!((error.kind(), error.phase()), (ErrorKind::Request, Some(Phase::Prepare)));
            assert_eq!(error.to_string(), want);
        }
        let other = if scheme == "http" { "https" } else { "http" };
        let error = conn.round_trip(get(format!("{other}://h.test:{port}/"))).await.unwrap_err();
        assert!(error.to_string().contains(&format!("is for {other}://h.test:{port}, but")), "{error}");
        // The same server by another spelling, and another Host field, is what it is for.
        let mut req = get(format!("{scheme}://u@H.TEST:{port}/"));
        req.headers_mut().insert("host", "elsewhere.test".parse().unwrap());
        assert_eq!(text(&conn, req).await.unwrap(), "hello");
        assert_eq!((conn.available(), site.peer.accepted()), (site.places(), 1));
    }
}

#[tokio::test]
async fn an_upgrade_takes_http1_away_and_does_not_go_over_http2() {
    for over in ALL {
        let site = Site::new(over).await;
        let conn = site.hold().await;
        let mut req = site.get("other");
        req.headers_mut().insert("upgrade", "x".parse().unwrap());
        req.headers_mut().insert("connection", "upgrade".parse().unwrap());
        let answered = conn.round_trip(req).await;
        if site.is_http2() {
            let error = answered.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Request);
            assert!(error.to_string().ends_with("the request needs HTTP/1.1, and the connection speaks HTTP/2"));
            assert!(conn.error().is_none());
            continue;
        }
        let mut response = answered.unwrap();
        let mut stream = Upgraded::take(&mut response).unwrap();
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).await.unwrap();
        assert_eq!(&hello, b"hello");
        assert!(conn.error().unwrap().to_string().ends_with("it went to another protocol"));
        conn.close();
        drop(conn);
        assert_eq!(site.ended(), 0, "it is not the connection's any more");
    }
}

#[tokio::test]
async fn what_it_speaks_can_be_chosen() {
    let authority = Authority::new();
    let peer = either(&authority).await;
    let transport = Transport::with_config(authority.config());
    let uri = http2::url(&peer).parse().unwrap();
    let choose = |protocols| RequestOptions { protocols: Some(protocols), ..RequestOptions::default() };
    let conn = transport.client_conn_with(&uri, choose(Protocols::Http1)).await.unwrap();
    assert_eq!(conn.version(), Version::HTTP_11);
    let mut req = get(uri.to_string());
    req.extensions_mut().insert(choose(Protocols::Http2));
    let error = conn.round_trip(req).await.unwrap_err();
    assert!(error.to_string().ends_with("the request needs HTTP/2, and the connection speaks HTTP/1.1"), "{error}");
    assert_eq!(text(&conn, get(uri.to_string())).await.unwrap(), "hello");
    // Given back, it is found by requests that ask for the same.
    conn.into_pool();
    let mut req = get(uri.to_string());
    req.extensions_mut().insert(choose(Protocols::Http1));
    let response = transport.round_trip(req).await.unwrap();
    assert_eq!((response.version(), peer.accepted()), (Version::HTTP_11, 1));

    let old = Peer::https(authority.server("h.test", &["http/1.1"]), "").await;
    let uri = http2::url(&old).parse().unwrap();
    let error = transport.client_conn_with(&uri, choose(Protocols::Http2)).await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Connect, Some(Phase::Tls)));
    assert!(error.to_string().ends_with("the server does not speak HTTP/2, and nothing else is wanted"), "{error}");
}

#[tokio::test]
async fn it_goes_through_proxies_as_the_pools_do() {
    // Plain text is forwarded, with the whole URL.
    let px = proxy(None).await;
    let through = ProxyConfig::fixed(Proxy::new(&format!("http://u:p@{}", px.addr)).unwrap());
    let transport = Transport::with_config(TransportConfig { proxy: through, ..TransportConfig::default() });
    let conn = transport.client_conn(&"http://h.test/".parse().unwrap()).await.unwrap();
    assert_eq!(text(&conn, get("http://h.test/a")).await.unwrap(), "proxy");
    let head = px.heads().remove(0);
    assert!(head.starts_with("GET http://h.test/a HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("proxy-authorization: Basic dTpw\r\n"), "{head}");
    // The proxy is not what was asked for.
    let error = conn.round_trip(get("http://other.test/")).await.unwrap_err();
    assert!(error.to_string().ends_with("is for http://other.test:80, but the connection leads to http://h.test:80"));
    conn.into_pool();
    assert_eq!(transport.round_trip(get("http://third.test/")).await.unwrap().text().await.unwrap(), "proxy");
    assert_eq!(px.accepted(), 1);

    for over in [Over::Tls, Over::Http2] {
        let site = Site::new(over).await;
        let px = proxy(Some(site.peer.addr)).await;
        let through = ProxyConfig::fixed(Proxy::new(&format!("http://{}", px.addr)).unwrap());
        let options = RequestOptions { proxy: Some(through), ..RequestOptions::default() };
        let conn = site.transport.client_conn_with(&site.url.parse().unwrap(), options).await.unwrap();
        assert_eq!(text(&conn, site.get("")).await.unwrap(), "hello");
        assert_eq!((px.accepted(), conn.info().proxy().is_some()), (1, true));
    }
}
