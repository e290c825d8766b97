//! One GET with its answer, without a socket: our pieces put together by hand, and hyper's connection over memory; once as the
//! client, once as the server.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::ready;
use std::hint::black_box;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, DATE, HOST};
use http::{HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;
use roundtrip_h1::write::{BodyEncoder, encode_request_head, encode_response_head, outgoing_response_framing};
use roundtrip_h1::{
    Decoded, Decoder, DecoderLimits, Framing, Limits, RequestParser, RequestTarget, ResponseParser, request_framing,
    response_framing,
};

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
        pin!(http1::handshake(Script { answer, pending: &[], requests: None })).poll(&mut cx)
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

/// Takes a request with this head, and answers it with a few words.
pub(crate) fn served(name: &'static str, head: &'static str) -> Case {
    let ways: Vec<(Way, Turn)> = vec![
        (Way::Setup, Box::new(|| drop(black_box(answer())))),
        (Way::Ours, served_by_us(head.as_bytes())),
        (Way::Hyper, served_by_hyper(head.as_bytes())),
    ];
    Case { name, bytes: head.len(), ways }
}

/// What a handler gives: hyper adds length and date, and so do we.
fn answer() -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from_static(b"hello, world!")));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

fn served_by_us(request: &'static [u8]) -> Turn {
    let mut parser = RequestParser::new(Limits::request());
    let mut out = Vec::with_capacity(1024);
    let mut buf = BytesMut::with_capacity(8192);
    let date = HeaderValue::from_static("Tue, 24 Nov 2026 12:00:00 GMT");
    Box::new(move || {
        buf.reserve(4096);
        buf.extend_from_slice(black_box(request));
        let head = parser.parse(&mut buf).expect("it is valid").expect("it is whole");
        let framing = request_framing(&head).expect("it is valid");
        assert!(framing == Framing::None && !head.has_expect() && !head.has_upgrade());
        let keep_alive = head.keep_alive(framing);
        let (method, version) = (head.method.clone(), head.version);
        black_box(head);

        let (mut parts, mut body) = black_box(answer()).into_parts();
        parts.headers.insert(DATE, date.clone());
        let framing = outgoing_response_framing(&method, version, parts.status, body.size_hint().exact());
        out.clear();
        encode_response_head(&mut out, &method, parts.status, &parts.headers, framing).expect("it can be written");
        let mut encoder = BodyEncoder::new(framing);
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut cx) {
            let data = frame.expect("it cannot fail").into_data().expect("it is data");
            encoder.encode(&mut out, &data).expect("it is as long as it said");
        }
        encoder.finish(&mut out, None).expect("it is whole");
        black_box(&out);
        assert!(keep_alive);
    })
}

fn served_by_hyper(request: &'static [u8]) -> Turn {
    let requests = Rc::new(Cell::new(&[][..]));
    let io = Script { answer: &[], pending: &[], requests: Some(requests.clone()) };
    let service = service_fn(|request: Request<Incoming>| {
        black_box(request);
        ready(Ok::<_, Infallible>(black_box(answer())))
    });
    let mut connection = Box::pin(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
    Box::new(move || {
        requests.set(request);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(connection.as_mut().poll(&mut cx).is_pending(), "the connection stays");
        assert!(requests.get().is_empty(), "the request was read");
    })
}

/// A peer that answers whatever is written with the same bytes, or sends what it is told to.
struct Script {
    answer: &'static [u8],
    pending: &'static [u8],
    requests: Option<Rc<Cell<&'static [u8]>>>,
}

impl Read for Script {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if let Some(requests) = &self.requests {
            self.pending = requests.take();
        }
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
