//! Content codings.

use async_compression::tokio::bufread::GzipEncoder;
use roundtrip_transport::{ContentCoding, Uncompressed};
use tokio::io::AsyncReadExt;

use super::peers::Peer;
use super::*;

async fn gzip(data: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    GzipEncoder::new(data).read_to_end(&mut coded).await.unwrap();
    coded
}

async fn coded(data: &[u8], coding: &str, cut: usize) -> Peer {
    let coded = gzip(data).await;
    let coded = &coded[..coded.len() - cut];
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n", coded.len());
    Peer::http([head.as_bytes(), coded].concat()).await
}

async fn answer(transport: &Transport, peer: &Peer, field: Option<(&str, &str)>) -> Response {
    let mut req = get(format!("http://{}/", peer.addr));
    if let Some((name, value)) = field {
        req.headers_mut().insert(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    }
    transport.round_trip(req).await.unwrap()
}

#[tokio::test]
async fn gzip_is_asked_for_and_decoded_without_a_word() {
    let peer = coded(b"hello, hello, hello", "GZip", 0).await;
    let transport = Transport::new();
    let response = answer(&transport, &peer, None).await;
    let fact = response.extensions().get::<Uncompressed>().unwrap();
    assert_eq!(fact.coding, ContentCoding::Gzip);
    assert!(!response.headers().contains_key("content-encoding") && !response.headers().contains_key("content-length"));
    assert_eq!(response.text().await.unwrap(), "hello, hello, hello");
    assert_eq!(transport.stats().idle, 1, "the connection is free at the end of the data");
    assert!(peer.heads()[0].contains("accept-encoding: gzip\r\n"));
}

#[tokio::test]
async fn who_asks_for_a_coding_or_a_range_gets_what_is_sent() {
    let peer = coded(b"hello", "gzip", 0).await;
    let transport = Transport::new();
    for field in [("accept-encoding", "gzip"), ("range", "bytes=0-")] {
        let response = answer(&transport, &peer, Some(field)).await;
        assert_eq!(response.headers()["content-encoding"], "gzip");
        assert!(response.extensions().get::<Uncompressed>().is_none());
        assert_eq!(response.bytes().await.unwrap(), gzip(b"hello").await);
    }
    let config = TransportConfig { accept_codings: vec![], ..TransportConfig::default() };
    let response = answer(&Transport::with_config(config), &peer, None).await;
    assert_eq!(response.bytes().await.unwrap(), gzip(b"hello").await);
    let asked: Vec<_> = peer.heads().iter().map(|head| head.contains("accept-encoding")).collect();
    assert_eq!(asked, [true, false, false]);
}

#[tokio::test]
async fn a_truncated_body_is_an_error_and_its_connection_free() {
    let peer = coded(b"hello", "gzip", 3).await;
    let transport = Transport::new();
    let error = answer(&transport, &peer, None).await.bytes().await.unwrap_err();
    assert!(error.to_string().starts_with("the gzip coded body ends too early"), "{error}");
    assert_eq!((error.kind(), transport.stats().idle), (ErrorKind::Decode, 1));
}

#[tokio::test]
async fn what_a_body_may_decode_to_can_be_limited() {
    let peer = coded(&vec![0; 5_000_000], "gzip", 0).await;
    let config = TransportConfig { max_decoded_bytes: Some(1_000_000), ..TransportConfig::default() };
    let error = answer(&Transport::with_config(config), &peer, None).await.bytes().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}
