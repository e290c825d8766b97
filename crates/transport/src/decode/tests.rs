use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_compression::tokio::bufread::GzipEncoder;
use bytes::Bytes;
use http::HeaderValue;
use http_body::Frame;
use roundtrip_types::{Error, ErrorKind, Result};
use tokio::io::AsyncReadExt;

use super::*;

async fn gzip(data: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    GzipEncoder::new(data).read_to_end(&mut coded).await.unwrap();
    coded
}

/// A body of these frames.
struct Frames {
    frames: std::vec::IntoIter<Result<Frame<Bytes>>>,
    /// How many were taken.
    taken: Arc<AtomicUsize>,
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>>>> {
        self.taken.fetch_add(1, Ordering::Relaxed);
        std::task::Poll::Ready(self.frames.next())
    }
}

fn frames(frames: Vec<Result<Frame<Bytes>>>) -> (Body, Arc<AtomicUsize>) {
    let taken = Arc::default();
    (Body::new(Frames { frames: frames.into_iter(), taken: Arc::clone(&taken) }), taken)
}

/// In pieces of this size.
fn pieces(coded: &[u8], size: usize) -> Body {
    frames(coded.chunks(size).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect()).0
}

fn offer(limit: Option<u64>) -> Offer<'static> {
    Offer::new(&[ContentCoding::Gzip], limit).unwrap()
}

fn coded_headers(coding: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_ENCODING, coding.parse().unwrap());
    headers.insert(CONTENT_LENGTH, "99".parse().unwrap());
    headers
}

/// Decodes a body with gzip on its label.
fn decoded(mut body: Body, limit: Option<u64>) -> Body {
    let mut headers = coded_headers("gzip");
    let fact = offer(limit).decode(&mut headers, &mut body);
    assert_eq!(fact, Some(Uncompressed { coding: ContentCoding::Gzip }));
    assert!(headers.is_empty(), "what is said of the coded body is gone: {headers:?}");
    body
}

#[test]
fn an_offer_is_made_unless_the_user_asks_for_something() {
    for (method, field, want) in [
        (Method::GET, None, true),
        (Method::POST, None, true),
        (Method::HEAD, None, false),
        (Method::GET, Some(("accept-encoding", "br")), false),
        (Method::GET, Some(("accept-encoding", "")), false),
        (Method::GET, Some(("range", "bytes=0-1")), false),
        (Method::GET, Some(("accept", "text/html")), true),
    ] {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = field {
            headers.insert(name, HeaderValue::from_static(value));
        }
        assert_eq!(offer(None).applies(&method, &headers), want, "{method} {field:?}");
    }
    assert!(Offer::new(&[], None).is_none());
    assert_eq!(offer(None).value(), "gzip");
}

#[test]
fn only_what_was_offered_is_decoded() {
    for (coding, want) in [
        ("gzip", true),
        ("GZip", true),
        (" gzip", true),
        ("br", false),
        ("gzip, br", false),
        ("", false),
        ("x-gzip", false),
    ] {
        let mut headers = coded_headers(coding);
        let mut body = Body::from("x");
        assert_eq!(offer(None).decode(&mut headers, &mut body).is_some(), want, "{coding}");
        assert_eq!(headers.contains_key(CONTENT_LENGTH), !want);
    }
    let mut twice = coded_headers("gzip");
    twice.append(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    assert!(offer(None).decode(&mut twice, &mut Body::from("x")).is_none());
    let mut empty = coded_headers("gzip");
    assert!(offer(None).decode(&mut empty, &mut Body::empty()).is_none(), "nothing was coded");
    assert!(empty.contains_key(CONTENT_ENCODING));
}

#[tokio::test]
async fn bodies_are_decoded_however_they_are_cut() {
    let text: Vec<u8> = (0..200_000_u32).flat_map(|n| (n.wrapping_mul(n) % 251).to_le_bytes()).collect();
    let coded = gzip(&text).await;
    for size in [1, 2, 7, 1000, 1 << 20] {
        assert_eq!(decoded(pieces(&coded, size), None).bytes().await.unwrap(), text, "{size}");
    }
}

#[tokio::test]
async fn several_members_are_one_body() {
    let coded = [gzip(b"hello, ").await, gzip(b"world").await].concat();
    assert_eq!(decoded(pieces(&coded, 5), None).text().await.unwrap(), "hello, world");
}

#[tokio::test]
async fn a_body_of_nothing_is_nothing() {
    let (body, _) = frames(vec![Ok(Frame::data(Bytes::new()))]);
    assert_eq!(decoded(body, None).text().await.unwrap(), "");
}

#[tokio::test]
async fn trailers_come_through() {
    let trailers: HeaderMap =
        [(http::HeaderName::from_static("x-sum"), HeaderValue::from_static("1"))].into_iter().collect();
    let coded = Bytes::from(gzip(b"hello").await);
    let (body, _) = frames(vec![Ok(Frame::data(coded)), Ok(Frame::trailers(trailers.clone()))]);
    let mut body = decoded(body, None);
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
    assert_eq!(body.frame().await.unwrap().unwrap().into_trailers().unwrap(), trailers);
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn what_is_cut_or_garbage_is_an_error_that_says_so() {
    let coded = gzip(b"hello, hello, hello").await;
    let mut flipped = coded.clone();
    let last = flipped.len() - 6;
    flipped[last] ^= 1; // the checksum
    for (coded, what) in [
        (coded[..coded.len() - 1].to_vec(), "the gzip coded body ends too early"),
        (coded[..5].to_vec(), "the gzip coded body ends too early"),
        (flipped, "the gzip coded body is malformed"),
        (b"not gzip at all".to_vec(), "the gzip coded body is malformed"),
        ([&coded[..], b"garbage behind it"].concat(), "the gzip coded body is malformed"),
    ] {
        let error = decoded(pieces(&coded, 4), None).bytes().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert!(error.to_string().starts_with(what), "{error}");
    }
}

#[tokio::test]
async fn an_error_of_the_coded_body_comes_as_it_was() {
    let coded = gzip(b"hello").await;
    for (cut, before) in [(coded.len() - 9, &b"hello"[..]), (coded.len(), b"hello"), (3, b"")] {
        let lost = Error::new(ErrorKind::ConnectionLost, "the connection broke").with_sent(true);
        let (body, _) = frames(vec![Ok(Frame::data(Bytes::copy_from_slice(&coded[..cut]))), Err(lost)]);
        let (mut body, mut got) = (decoded(body, None), Vec::new());
        let error = loop {
            match body.chunk().await.unwrap() {
                Ok(data) => got.extend_from_slice(&data),
                Err(error) => break error,
            }
        };
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::ConnectionLost, "the connection broke"));
        assert_eq!(got, before, "what came before the error is decoded, {cut} of {} bytes", coded.len());
    }
}

#[tokio::test]
async fn a_truncated_body_is_read_to_its_end_so_that_the_connection_is_free() {
    let coded = gzip(b"hello").await;
    let (body, taken) = frames(vec![Ok(Frame::data(Bytes::copy_from_slice(&coded[..coded.len() - 2])))]);
    decoded(body, None).bytes().await.unwrap_err();
    assert_eq!(taken.load(Ordering::Relaxed), 2, "the piece, and the end");
}

/// 10 MB of zeros to the KB: no more than the limit comes out, in small pieces, and no more goes in than it takes.
#[tokio::test]
async fn a_bomb_is_stopped_at_the_limit() {
    let coded = gzip(&vec![0; 100 << 20]).await;
    assert!(coded.len() < 110 << 10, "{}", coded.len());
    let limit = 1 << 20;
    let count = coded.len().div_ceil(1024);
    let (body, taken) =
        frames(coded.chunks(1024).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect());
    let mut body = decoded(body, Some(limit));
    let (mut got, mut largest) = (0, 0);
    let error = loop {
        match body.chunk().await.expect("an error before the end") {
            Ok(data) => {
                got += data.len() as u64;
                largest = largest.max(data.len());
            }
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(error.to_string(), "the gzip coded body is more than the 1048576 bytes allowed when decoded");
    assert!(got <= limit && largest <= 64 << 10, "{got} {largest}");
    assert!(taken.load(Ordering::Relaxed) < count / 20, "{} of {count}", taken.load(Ordering::Relaxed));
    assert!(body.frame().await.is_none(), "and that is the end");
    // Exactly the limit is allowed.
    let coded = gzip(&vec![0; 1000]).await;
    assert_eq!(decoded(pieces(&coded, 9), Some(1000)).bytes().await.unwrap().len(), 1000);
}

#[cfg(all(feature = "deflate", feature = "br", feature = "zstd"))]
#[tokio::test]
async fn the_other_codings_are_decoded_too() {
    use async_compression::tokio::bufread::{BrotliEncoder, DeflateEncoder, ZlibEncoder, ZstdEncoder};

    let text = "hello, hello, hello ".repeat(1000);
    macro_rules! coded {
        ($encoder:ident) => {{
            let mut coded = Vec::new();
            $encoder::new(text.as_bytes()).read_to_end(&mut coded).await.unwrap();
            coded
        }};
    }
    let all = [ContentCoding::Zstd, ContentCoding::Br, ContentCoding::Deflate, ContentCoding::Gzip];
    let offer = Offer::new(&all, Some(100_000)).unwrap();
    assert_eq!(offer.value(), "zstd, br, deflate, gzip");
    for (coding, coded) in [
        (ContentCoding::Zstd, coded!(ZstdEncoder)),
        (ContentCoding::Br, coded!(BrotliEncoder)),
        (ContentCoding::Deflate, coded!(ZlibEncoder)),
        (ContentCoding::Deflate, coded!(DeflateEncoder)),
    ] {
        for size in [1, 100, 1 << 20] {
            let mut body = pieces(&coded, size);
            let fact = offer.decode(&mut coded_headers(coding.as_str()), &mut body);
            assert_eq!(fact, Some(Uncompressed { coding }));
            assert_eq!(body.text().await.unwrap(), text, "{coding}");
            let mut cut = pieces(&coded[..coded.len() - 3], size);
            offer.decode(&mut coded_headers(coding.as_str()), &mut cut);
            let error = cut.text().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode, "{coding}: {error}");
        }
        let mut bomb = pieces(&coded, 10);
        let small = Offer::new(&all, Some(100)).unwrap();
        small.decode(&mut coded_headers(coding.as_str()), &mut bomb);
        assert_eq!(bomb.text().await.unwrap_err().kind(), ErrorKind::TooLarge, "{coding}");
    }
}
