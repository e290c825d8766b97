//! Through proxies.

use roundtrip_transport::{Proxy, ProxyConfig, RequestOptions};

use super::peers::{Authority, Peer, proxy};
use super::*;

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

fn through(url: String) -> ProxyConfig {
    ProxyConfig::fixed(Proxy::new(&url).unwrap())
}

async fn text(transport: &Transport, req: Request) -> String {
    transport.round_trip(req).await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn plain_requests_to_all_hosts_share_the_connections_of_a_forwarding_proxy() {
    let px = proxy(None).await;
    let config = TransportConfig { proxy: through(format!("http://u:p@{}", px.addr)), ..TransportConfig::default() };
    let transport = Transport::with_config(config);
    for url in ["http://a.test/x?y", "http://b.test:81", "http://user:pw@c.test/"] {
        assert_eq!(text(&transport, get(url)).await, "proxy");
    }
    let options = http::Request::builder().method(Method::OPTIONS).uri("http://d.test/").body(Body::empty()).unwrap();
    text(&transport, options).await;
    assert_eq!((px.accepted(), transport.stats().idle), (1, 1));
    let head = |line: &str, host: &str| {
        format!("{line} HTTP/1.1\r\nhost: {host}\r\nproxy-authorization: Basic dTpw\r\naccept-encoding: gzip\r\n\r\n")
    };
    let want = [
        head("GET http://a.test/x?y", "a.test"),
        head("GET http://b.test:81/", "b.test:81"),
        head("GET http://c.test/", "c.test"),
        head("OPTIONS http://d.test/", "d.test"),
    ];
    assert_eq!(px.heads(), want);
}

#[tokio::test]
async fn https_requests_have_a_tunnel_for_each_host_and_no_credentials_inside() {
    let authority = Authority::new();
    let origin = Peer::https(authority.server("h.test", &["http/1.1"]), HELLO).await;
    let px = proxy(Some(origin.addr)).await;
    let config = TransportConfig { proxy: through(format!("http://u:p@{}", px.addr)), ..authority.config() };
    let transport = Transport::with_config(config);
    for _ in 0..2 {
        assert_eq!(text(&transport, get("https://h.test/a")).await, "hello");
    }
    assert_eq!((px.accepted(), origin.accepted()), (1, 1));
    assert_eq!(
        px.heads(),
        ["CONNECT h.test:443 HTTP/1.1\r\nhost: h.test:443\r\nproxy-authorization: Basic dTpw\r\n\r\n"]
    );
    assert!(origin.heads().iter().all(|head| !head.contains("proxy-authorization")), "{:?}", origin.heads());
    assert!(origin.heads()[0].starts_with("GET /a HTTP/1.1\r\nhost: h.test\r\n"), "{:?}", origin.heads());
}

#[tokio::test]
async fn the_proxy_is_chosen_by_request_and_part_of_the_key() {
    let (px, direct) = (proxy(None).await, Peer::http(HELLO).await);
    let url = format!("http://{}", px.addr);
    let choose = ProxyConfig::choose(move |request| match request.headers().contains_key("x-proxied") {
        true => Proxy::new(&url).map(Some),
        false => Ok(None),
    });
    let transport = Transport::with_config(TransportConfig { proxy: choose, ..TransportConfig::default() });
    let url = format!("http://{}/", direct.addr);
    for _ in 0..2 {
        assert_eq!(text(&transport, get(&url)).await, "hello");
        let mut proxied = get(&url);
        proxied.headers_mut().insert("x-proxied", "1".parse().unwrap());
        assert_eq!(text(&transport, proxied).await, "proxy");
    }
    let mut for_once = get(&url);
    let proxy = Some(through(format!("http://{}", px.addr)));
    for_once.extensions_mut().insert(RequestOptions { proxy, ..RequestOptions::default() });
    assert_eq!(text(&transport, for_once).await, "proxy");
    assert_eq!((px.accepted(), direct.accepted(), transport.stats().idle), (1, 1, 2));
}

#[tokio::test]
async fn an_error_of_the_choice_fails_the_request_before_anything_is_sent() {
    let refuse = ProxyConfig::choose(|_| Err(Error::new(ErrorKind::Request, "no proxy for you")));
    let transport = Transport::with_config(TransportConfig { proxy: refuse, ..TransportConfig::default() });
    let error = transport.round_trip(get("http://h.test/")).await.unwrap_err();
    assert_eq!(error.to_string(), "GET http://h.test/: no proxy for you");
    assert_eq!((error.was_sent(), transport.stats().created), (false, 0));
}
