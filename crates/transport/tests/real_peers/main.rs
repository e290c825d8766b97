//! What people have: nginx, Node, Python's server, tinyproxy, microsocks, each a process of its own.
//!
//! Ignored unless asked for (`cargo test -p roundtrip-transport --test real_peers -- --ignored`), since they have to be installed;
//! `.ci/run` does both.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]
#![cfg(all(feature = "tls", feature = "socks", unix))]

mod processes;

use http::{Method, StatusCode, Version};
use processes::{Folder, Nginx, http_server_of_python, microsocks, node, tinyproxy};
use roundtrip_transport::{
    Certificate, ConnectConfig, Protocols, Proxy, ProxyConfig, Roots, RoundTripper, TlsConfig, Transport,
    TransportConfig, Uncompressed,
};
use roundtrip_types::{Body, MessageExt, Request, Response};

const WHY: &str = "needs peers that are installed";

/// Settings that trust the authority of `folder`, with `localhost` at 127.0.0.1.
fn config(folder: &Folder) -> TransportConfig {
    let tls = TlsConfig {
        roots: Roots::Nothing,
        extra_roots: Certificate::from_pem(folder.authority_pem().as_bytes()).unwrap(),
        ..TlsConfig::default()
    };
    let hosts = [("localhost".to_owned(), vec![([127, 0, 0, 1], 0).into()])].into();
    let connect = ConnectConfig { tls, hosts, ..ConnectConfig::default() };
    TransportConfig { connect, ..TransportConfig::default() }
}

fn request(method: Method, url: &str, body: Body) -> Request {
    http::Request::builder().method(method).uri(url).body(body).unwrap()
}

async fn get(transport: &Transport, url: &str) -> Response {
    transport
        .round_trip(request(Method::GET, url, Body::empty()))
        .await
        .unwrap_or_else(|error| panic!("{WHY}: {error}"))
}

async fn text(transport: &Transport, url: &str) -> String {
    get(transport, url).await.text().await.unwrap()
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn nginx_over_every_protocol() {
    let folder = Folder::new("nginx");
    let nginx = Nginx::start(&folder).await;
    let both = Transport::with_config(config(&folder));
    let only_http1 = Transport::with_config(TransportConfig { protocols: Protocols::Http1, ..config(&folder) });
    for (transport, version) in [(&both, Version::HTTP_2), (&only_http1, Version::HTTP_11)] {
        let response = get(transport, &nginx.https("/page.html")).await;
        assert_eq!((response.status(), response.version()), (StatusCode::OK, version));
        assert!(response.extensions().get::<Uncompressed>().is_some(), "nginx codes it");
        assert_eq!(response.text().await.unwrap(), folder.page());
        // nginx closes its connections after every 5 requests: with `Connection: close`, or GOAWAY.
        for _ in 0..23 {
            assert_eq!(text(transport, &nginx.https("/page.html")).await, folder.page());
        }
        let burst: Vec<_> = (0..50)
            .map(|_| {
                let (transport, url) = (transport.clone(), nginx.https("/page.html"));
                tokio::spawn(async move { text(&transport, &url).await })
            })
            .collect();
        for one in burst {
            assert_eq!(one.await.unwrap(), folder.page());
        }
        let large = get(transport, &nginx.https("/large.bin")).await.bytes().await.unwrap();
        assert_eq!(large.len(), folder.large());
        // Answered before the body is read.
        let refused = request(Method::POST, &nginx.https("/page.html"), Body::from(vec![0; 2 << 20]));
        assert_eq!(transport.round_trip(refused).await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
        let head = request(Method::HEAD, &nginx.https("/page.html"), Body::empty());
        let head = transport.round_trip(head).await.unwrap();
        assert_eq!(head.headers()["content-length"], folder.page().len().to_string());
        assert_eq!(get(transport, &nginx.https("/missing")).await.status(), StatusCode::NOT_FOUND);
    }
    assert_eq!(text(&both, &nginx.http("/page.html")).await, folder.page());
    // Each protocol on the other's port.
    let error =
        both.round_trip(request(Method::GET, &nginx.http("/").replacen("http", "https", 1), Body::empty())).await;
    let line = error.unwrap_err().to_string();
    assert!(line.contains("the server speaks plain HTTP on this port"), "{line}");
    let answer = get(&both, &nginx.https("/").replacen("https", "http", 1)).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "nginx itself explains it");
}

#[tokio::test]
#[ignore = "needs node"]
async fn node_over_every_protocol() {
    let folder = Folder::new("node");
    let node = node(&folder).await;
    for (url, version) in [(node.http(), Version::HTTP_11), (node.https(), Version::HTTP_2)] {
        let transport = Transport::with_config(config(&folder));
        for length in [0, 1, 100_000, 3 << 20] {
            let body = Body::from(vec![b'x'; length]);
            let response = transport.round_trip(request(Method::POST, &url, body)).await.unwrap();
            assert_eq!(response.version(), version);
            assert_eq!(response.bytes().await.unwrap().len(), length, "it echoes");
        }
        let (mut sender, body) = Body::channel(1);
        let answer = transport.round_trip(request(Method::POST, &url, body)).await.unwrap();
        let mut echo = answer.into_body();
        for word in ["one", "two", "three"] {
            sender.send(word).await.unwrap();
            assert_eq!(echo.chunk().await.unwrap().unwrap(), word);
        }
        sender.finish();
        assert!(echo.chunk().await.is_none());
        assert_eq!(transport.stats().created, 1);
    }
}

#[tokio::test]
#[ignore = "needs python3"]
async fn pythons_server_speaks_http_1_0() {
    let folder = Folder::new("python");
    let python = http_server_of_python(&folder).await;
    let transport = Transport::new();
    for _ in 0..3 {
        let response = get(&transport, &format!("{}page.html", python.http())).await;
        assert_eq!((response.status(), response.version()), (StatusCode::OK, Version::HTTP_10));
        assert_eq!(response.text().await.unwrap(), folder.page());
    }
}

#[tokio::test]
#[ignore = "needs nginx, tinyproxy and microsocks"]
async fn proxies_lead_to_nginx() {
    let folder = Folder::new("proxies");
    let nginx = Nginx::start(&folder).await;
    let tinyproxy = tinyproxy(&folder).await;
    let socks = microsocks(&["-u", "ann", "-P", "secret"]).await;
    for proxy in [
        format!("http://ann:secret@{}", tinyproxy.address()),
        format!("socks5://ann:secret@{}", socks.address()),
        format!("socks5h://ann:secret@{}", socks.address()),
    ] {
        let proxies = ProxyConfig::fixed(Proxy::new(&proxy).unwrap());
        let transport = Transport::with_config(TransportConfig { proxy: proxies, ..config(&folder) });
        for url in [nginx.http("/page.html"), nginx.https("/page.html")] {
            for _ in 0..2 {
                assert_eq!(text(&transport, &url).await, folder.page(), "{proxy} {url}");
            }
        }
        let response = get(&transport, &nginx.https("/page.html")).await;
        assert_eq!(response.version(), Version::HTTP_2);
    }
    // Each says no in its own way.
    let nowhere = "https://localhost:1/";
    for (proxy, url, what) in [
        (format!("http://ann:wrong@{}", tinyproxy.address()), nginx.https("/"), "it refuses our credentials (40"),
        (format!("http://{}", tinyproxy.address()), nginx.https("/"), "it wants credentials and its URL has none (407"),
        (format!("http://ann:secret@{}", tinyproxy.address()), nowhere.to_owned(), "it cannot reach localhost:1 (50"),
        (format!("socks5h://ann:wrong@{}", socks.address()), nginx.https("/"), "it refuses our credentials"),
        (format!("socks5h://{}", socks.address()), nginx.https("/"), "it wants credentials and its URL has none"),
        (format!("socks5h://ann:secret@{}", socks.address()), nowhere.to_owned(), "it cannot reach localhost:1"),
    ] {
        let proxies = ProxyConfig::fixed(Proxy::new(&proxy).unwrap());
        let transport = Transport::with_config(TransportConfig { proxy: proxies, ..config(&folder) });
        let error = transport.round_trip(request(Method::GET, &url, Body::empty())).await.unwrap_err();
        let line = error.to_string();
        assert!(line.contains(what), "{proxy}: {line}");
        assert!(!line.contains("secret") && !line.contains("wrong"), "{line}");
    }
}
