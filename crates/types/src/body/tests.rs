use std::task::Waker;

use futures_core::Stream;

use super::*;

fn assert_sync<T: Send + Sync>(_: &T) {}

/// A stream of fixed chunks.
struct Chunks(Vec<std::result::Result<&'static str, &'static str>>);

impl Stream for Chunks {
    type Item = std::result::Result<&'static str, &'static str>;

    fn poll_next(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(if self.0.is_empty() { None } else { Some(self.0.remove(0)) })
    }
}

#[tokio::test]
async fn empty_bodies_of_every_origin_are_empty() {
    for body in [Body::empty(), Body::from(""), Body::from(Vec::new()), Body::new(Body::empty()), Body::default()] {
        assert!(body.is_empty(), "{body:?}");
        assert_eq!(body.content_length(), Some(0));
        assert_eq!(body.bytes().await.unwrap(), "");
    }
}

#[tokio::test]
async fn a_full_body_is_read_once_and_can_be_cloned_before() {
    let mut body = Body::from("hello");
    let copy = body.try_clone().unwrap();
    assert_eq!(body.as_bytes(), Some(&b"hello"[..]));
    assert_eq!(body.chunk().await.unwrap().unwrap(), "hello");
    assert!(body.chunk().await.is_none());
    assert_eq!(copy.text().await.unwrap(), "hello");
}

#[tokio::test]
async fn streams_keep_their_chunks_and_their_error_is_the_end() {
    let body = Body::stream(Chunks(vec![Ok("a"), Ok(""), Ok("b"), Ok("c")]));
    assert_sync(&body);
    assert_eq!((body.content_length(), body.is_empty(), body.try_clone().is_none()), (None, false, true));
    assert_eq!(body.text().await.unwrap(), "abc");

    let mut broken = Body::stream(Chunks(vec![Ok("a"), Err("lost"), Ok("never")]));
    assert_eq!(broken.chunk().await.unwrap().unwrap(), "a");
    assert_eq!(broken.chunk().await.unwrap().unwrap_err().to_string(), "lost");
    assert!(broken.chunk().await.is_none());
}

#[tokio::test]
async fn a_limit_lets_the_exact_length_pass_and_stops_one_byte_more() {
    assert_eq!(Body::stream(Chunks(vec![Ok("abc"), Ok("de")])).limited(5).text().await.unwrap(), "abcde");
    let error = Body::stream(Chunks(vec![Ok("abc"), Ok("def")])).limited(5).text().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::TooLarge, "the body is longer than the limit of 5 bytes")
    );
    let known = Body::from("abcdef").limited(5).text().await.unwrap_err();
    assert_eq!(known.kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn text_names_the_byte_that_is_not_utf8() {
    let error = Body::from(b"ab\xffc".to_vec()).text().await.unwrap_err();
    assert_eq!(error.to_string(), "the body is not UTF-8 text: byte 2 of 4 is not");
}

#[tokio::test]
async fn a_length_that_is_only_promised_is_not_reserved() {
    struct Liar(u8);
    impl HttpBody for Liar {
        type Data = Bytes;
        type Error = Error;
        fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
            self.0 += 1;
            Poll::Ready((self.0 < 3).then(|| Ok(Frame::data(Bytes::from_static(b"x")))))
        }
        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(u64::MAX)
        }
    }
    assert_eq!(Body::new(Liar(0)).bytes().await.unwrap(), "xx");
}

#[tokio::test]
async fn channel_waits_when_full_and_ends_complete() {
    let (mut sender, mut body) = Body::channel(1);
    sender.send("one").await.unwrap();
    let mut second = Box::pin(sender.send("two"));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(second.as_mut().poll(&mut cx).is_pending(), "capacity 1 holds one frame");
    assert_eq!(body.chunk().await.unwrap().unwrap(), "one");
    second.await.unwrap();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("checksum", "7".parse().unwrap());
    sender.send_trailers(trailers);
    assert_eq!(body.chunk().await.unwrap().unwrap(), "two");
    assert_eq!(body.frame().await.unwrap().unwrap().into_trailers().unwrap()["checksum"], "7");
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_dropped_sender_never_looks_like_the_end() {
    let (mut sender, mut body) = Body::channel(4);
    sender.send("half").await.unwrap();
    drop(sender);
    assert_eq!(body.chunk().await.unwrap().unwrap(), "half");
    assert_eq!(body.chunk().await.unwrap().unwrap_err().kind(), ErrorKind::Canceled);
    assert!(body.chunk().await.is_none());
}

#[tokio::test]
async fn an_abort_comes_after_the_data_sent_before() {
    let (mut sender, mut body) = Body::channel(4);
    sender.send("half").await.unwrap();
    sender.abort("disk gone");
    assert_eq!(body.chunk().await.unwrap().unwrap(), "half");
    assert_eq!(body.chunk().await.unwrap().unwrap_err().to_string(), "disk gone");
}

#[tokio::test]
async fn the_sender_learns_that_the_reader_is_gone() {
    let (mut sender, body) = Body::channel(1);
    let waiting = tokio::spawn(async move {
        sender.closed().await;
        (sender.send("x").await, sender.try_send("y"))
    });
    drop(body);
    assert_eq!(waiting.await.unwrap(), (Err(SendError), Err(None)));
}
