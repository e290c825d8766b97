//! Whole responses, against what hyper's client makes of the same bytes.
//!
//! The first byte chooses the method; the rest is what the peer sends before it closes. Where both readers take a response,
//! status, version, fields, data and trailers have to be the same, but for what [`overlooks_chunked`] tells. Where only one
//! takes it, [`only_hyper`] or [`only_ours`] lists the reason.
#![no_main]

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::header::TRANSFER_ENCODING;
use http::{HeaderMap, Method, Request, StatusCode, Version};
use http_body::Body;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::rt::{Read, ReadBufCursor, Write};
use roundtrip_h1::{
    DecodeError, Decoded, Decoder, DecoderLimits, FieldError, Framing, FramingError, HeadError, Leniency, Limits,
    ResponseParser, is_trailer_allowed, response_framing,
};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((choice, stream)) = input.split_first() else { return };
    let method = if choice & 1 == 0 { Method::GET } else { Method::HEAD };
    match (ours(&method, stream), hypers(&method, stream)) {
        (Ok(ours), Ok(theirs)) if overlooks_chunked(&ours.headers) => {
            assert_eq!((ours.status, ours.headers), (theirs.status, theirs.headers));
        }
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs),
        (Ok(ours), Err(error)) => assert!(only_ours(&ours, &error), "hyper refuses {ours:?}: {error}"),
        (Err(error), Ok(theirs)) => assert!(only_hyper(&error, &theirs), "we refuse {theirs:?}: {error:?}"),
        (Err(_), Err(_)) => {}
    }
});

/// Whether hyper reads a chunked body as one that ends with the connection: it does not ignore empty list elements behind
/// `chunked`, as RFC 9110 section 5.6.1.2 has it.
fn overlooks_chunked(headers: &HeaderMap) -> bool {
    let last = headers.get_all(TRANSFER_ENCODING).iter().next_back();
    last.is_some_and(|value| value.as_bytes().trim_ascii_end().ends_with(b","))
}

const LIMITS: Limits = Limits::response();

/// What hyper refuses although it is valid: HTTP/1.2, which RFC 9110 section 2.5 has treated as 1.1; and what it does not read
/// as chunked, with a length beside it that is not met.
///
/// hyper's own errors tell no more than their text.
fn only_ours(ours: &Response, error: &str) -> bool {
    error == "hyper::Error(Parse(Version))" || overlooks_chunked(&ours.headers)
}

/// What hyper takes although it is not valid.
fn only_hyper(error: &Refusal, theirs: &Response) -> bool {
    match error {
        Refusal::Cut => false,
        Refusal::Head(error) => match error {
            // RFC 9112 section 2.2 leaves it to the recipient.
            HeadError::Field(FieldError::BareLf(_)) => true,
            // Empty lines before the status line.
            HeadError::NotHttp(bytes) => matches!(bytes.as_bytes(), [b'\r' | b'\n', ..]),
            _ => false,
        },
        // It takes lengths that are equal as numbers, and reads until close what ends with another coding than chunked.
        Refusal::Framing(error) => {
            matches!(error, FramingError::ContentLength(_) | FramingError::TransferEncoding(_))
        }
        Refusal::Body(_) if overlooks_chunked(&theirs.headers) => true,
        Refusal::Body(error) => match error {
            // It skips extensions without a look, and so white space behind a size.
            DecodeError::ChunkExtension(_) => true,
            // Leading zeros count as digits with us.
            DecodeError::ChunkSize(bytes) => bytes.as_bytes().starts_with(b"0") && bytes.as_bytes().len() == 17,
            DecodeError::Trailer(FieldError::BareLf(_)) => true,
            _ => false,
        },
    }
}

/// Why we do not take a response.
#[derive(Debug)]
enum Refusal {
    /// The head is not there in full.
    Cut,
    Head(HeadError),
    Framing(FramingError),
    Body(DecodeError),
}

/// A final response, read to its end.
#[derive(Debug, PartialEq)]
struct Response {
    version: Version,
    status: StatusCode,
    headers: HeaderMap,
    data: Vec<u8>,
    trailers: HeaderMap,
}

fn ours(method: &Method, stream: &[u8]) -> Result<Response, Refusal> {
    let mut buf = BytesMut::from(stream);
    let mut parser = ResponseParser::new(LIMITS).with_leniency(Leniency::STRICT);
    let head = loop {
        let head = parser.parse(&mut buf).map_err(Refusal::Head)?.ok_or(Refusal::Cut)?;
        if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
            break head;
        }
    };
    let framing = response_framing(method, &head).map_err(Refusal::Framing)?;
    let (version, status) = (head.version, head.status);
    let mut response =
        Response { version, status, headers: head.headers, data: Vec::new(), trailers: HeaderMap::new() };
    if framing == Framing::Tunnel {
        return Ok(response);
    }
    let mut decoder =
        Decoder::new(framing, DecoderLimits { max_trailer_fields: LIMITS.max_fields, ..DecoderLimits::default() });
    loop {
        match decoder.decode(&mut buf).map_err(Refusal::Body)? {
            Decoded::Data(data) => response.data.extend_from_slice(&data),
            Decoded::Trailers(fields) => response.trailers = fields,
            Decoded::End => return Ok(response),
            Decoded::NeedMore => {
                decoder.eof().map_err(Refusal::Body)?;
                return Ok(response);
            }
        }
    }
}

fn hypers(method: &Method, stream: &[u8]) -> Result<Response, String> {
    let mut cx = Context::from_waker(Waker::noop());
    let peer = Peer { stream: stream.to_vec(), sent: 0, asked: false };
    let Poll::Ready(Ok((mut sender, connection))) =
        pin!(http1::Builder::new().max_headers(LIMITS.max_fields).handshake(peer)).poll(&mut cx)
    else {
        panic!("a handshake over memory waits for nothing")
    };
    let mut connection = pin!(connection);
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = method.clone();
    let mut sent = pin!(sender.send_request(request));
    let mut closed = false;
    let response = loop {
        if let Poll::Ready(response) = sent.as_mut().poll(&mut cx) {
            break response.map_err(|error| format!("{error:?}"))?;
        }
        assert!(!closed, "a closed connection answers");
        closed = connection.as_mut().poll(&mut cx).is_ready();
    };
    let (head, mut body) = response.into_parts();
    let (version, status) = (head.version, head.status);
    let mut response =
        Response { version, status, headers: head.headers, data: Vec::new(), trailers: HeaderMap::new() };
    loop {
        match Pin::new(&mut body).poll_frame(&mut cx) {
            Poll::Ready(None) => return Ok(response),
            Poll::Ready(Some(frame)) => match frame.map_err(|error| format!("{error:?}"))?.into_data() {
                Ok(data) => response.data.extend_from_slice(&data),
                Err(frame) => {
                    // What may not stand in trailers is dropped by us and handed up by hyper.
                    for (name, value) in frame.trailers_ref().into_iter().flatten() {
                        if is_trailer_allowed(name) {
                            response.trailers.append(name, value.clone());
                        }
                    }
                }
            },
            Poll::Pending => {
                assert!(!closed, "a closed connection ends its body");
                closed = connection.as_mut().poll(&mut cx).is_ready();
            }
        }
    }
}

/// A peer that sends its bytes once it has been asked, and closes.
struct Peer {
    stream: Vec<u8>,
    sent: usize,
    asked: bool,
}

impl Read for Peer {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if !self.asked {
            return Poll::Pending;
        }
        let end = self.stream.len().min(self.sent + buf.remaining());
        buf.put_slice(&self.stream[self.sent..end]);
        self.sent = end;
        Poll::Ready(Ok(()))
    }
}

impl Write for Peer {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.asked = true;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
