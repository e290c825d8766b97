//! One GET with its answer, without a socket: our pieces put together by hand, and hyper's client connection over memory.

use std::hint::black_box;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::header::HOST;
use http::{HeaderValue, Request};
use http_body::Body;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::rt::{Read, ReadBufCursor, Write};
use roundtrip_h1::write::encode_request_head;
use roundtrip_h1::{Decoded, Decoder, DecoderLimits, Framing, Limits, RequestTarget, ResponseParser, response_framing};

use crate::cases::{Case, Turn, Way, small_fields};

/// Sends a small GET and reads an answer with this head to its end.
pub(crate) fn case(name: &'static str, head: &'static str) -> Case {
    let answer: &'static [u8] = [head.as_bytes(), b"hello, world!"].concat().leak();
    let ways: Vec<(Way, Turn)> = vec![
        (Way::Setup, Box::new(|| drop(black_box(request())))),
        (Way::Ours, ours(answer)),
        (Way::Hyper, hypers(answer)),
    ];
    Case { name, bytes: answer.len(), ways }
}

/// hyper takes a request by value and expects `Host` among its fields.
fn request() -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = http::Uri::from_static("/users/42?x=1");
    *request.headers_mut() = small_fields();
    request.headers_mut().insert(HOST, HeaderValue::from_static("127.0.0.1:12302"));
    request
}

fn ours(answer: &'static [u8]) -> Turn {
    let mut parser = ResponseParser::new(Limits::response());
    let mut out = Vec::with_capacity(1024);
    let mut buf = BytesMut::with_capacity(8192);
    Box::new(move || {
        let request = black_box(request());
        let target = RequestTarget::Origin(request.uri().path_and_query().map_or("/", |target| target.as_str()));
        let host = request.headers()[HOST].to_str().expect("it was made here");
        out.clear();
        encode_request_head(&mut out, request.method(), target, host, request.headers(), Framing::None)
            .expect("it can be written");
        black_box(&out);

        buf.reserve(4096);
        buf.extend_from_slice(black_box(answer));
        let head = parser.parse(&mut buf).expect("it is valid").expect("it is whole");
        let framing = response_framing(request.method(), &head).expect("it is valid");
        let mut decoder = Decoder::new(framing, DecoderLimits::default());
        while let Decoded::Data(data) = decoder.decode(&mut buf).expect("it is valid") {
            black_box(data);
        }
        assert!(head.keep_alive(framing) && decoder.is_done());
    })
}

/// The connection is polled beside the exchange, in the same task, so that no runtime counts.
fn hypers(answer: &'static [u8]) -> Turn {
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok((mut sender, connection))) =
        pin!(http1::handshake(Script { answer, pending: &[] })).poll(&mut cx)
    else {
        panic!("a handshake over memory waits for nothing")
    };
    let mut connection = Box::pin(connection);
    Box::new(move || {
        let mut cx = Context::from_waker(Waker::noop());
        let mut sent = pin!(sender.send_request(black_box(request())));
        let mut response = loop {
            assert!(connection.as_mut().poll(&mut cx).is_pending(), "the connection stays");
            if let Poll::Ready(response) = sent.as_mut().poll(&mut cx) {
                break response.expect("it is valid");
            }
        };
        loop {
            match Pin::new(response.body_mut()).poll_frame(&mut cx) {
                Poll::Ready(Some(frame)) => drop(black_box(frame.expect("it is valid"))),
                Poll::Ready(None) => break,
                Poll::Pending => assert!(connection.as_mut().poll(&mut cx).is_pending(), "the connection stays"),
            }
        }
        black_box(response);
        assert!(connection.as_mut().poll(&mut cx).is_pending(), "the connection stays");
    })
}

/// A peer that answers whatever is written with the same bytes.
struct Script {
    answer: &'static [u8],
    pending: &'static [u8],
}

impl Read for Script {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if self.pending.is_empty() {
            return Poll::Pending;
        }
        let (now, later) = self.pending.split_at(self.pending.len().min(buf.remaining()));
        buf.put_slice(now);
        self.pending = later;
        Poll::Ready(Ok(()))
    }
}

impl Write for Script {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.pending = self.answer;
        Poll::Ready(Ok(black_box(buf).len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
