//! HTTP/1.1 message framing as plain values: bytes in, heads and body data out; heads and lengths in, bytes out. Sockets,
//! clocks, tasks and policy are left to others: depend on this crate to speak HTTP/1 over a transport of your own, or to look
//! at messages without one.
//!
//! # Reading
//!
//! A [`ResponseParser`] or [`RequestParser`] takes one head off the front of a growing buffer. [`response_framing`] or
//! [`request_framing`] says how the body is delimited, a [`Decoder`] takes the body off, and [`ResponseHead::keep_alive`] tells
//! whether the connection may carry another message.
//!
//! ```
//! use bytes::BytesMut;
//! use http::Method;
//! use roundtrip_h1::{Decoded, Decoder, DecoderLimits, Limits, ResponseParser, response_framing};
//!
//! let mut buf = BytesMut::from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
//! let head = ResponseParser::new(Limits::response()).parse(&mut buf)?.expect("the head is there in full");
//! let framing = response_framing(&Method::GET, &head)?;
//!
//! let mut body = Decoder::new(framing, DecoderLimits::default());
//! assert_eq!(body.decode(&mut buf)?, Decoded::Data("hello".into()));
//! assert!(body.is_done() && buf.is_empty());
//! assert!(head.keep_alive(framing));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Writing
//!
//! ```
//! use http::{HeaderMap, Method};
//! use roundtrip_h1::write::{BodyEncoder, encode_request_head};
//! use roundtrip_h1::{Framing, RequestTarget};
//!
//! let mut out = Vec::new();
//! let (target, body) = (RequestTarget::Origin("/up"), Framing::Length(2));
//! encode_request_head(&mut out, &Method::POST, target, "example.org", &HeaderMap::new(), body)?;
//! let mut encoder = BodyEncoder::new(body);
//! encoder.encode(&mut out, b"hi")?;
//! encoder.finish(&mut out, None)?;
//! assert_eq!(out, b"POST /up HTTP/1.1\r\nhost: example.org\r\ncontent-length: 2\r\n\r\nhi");
//! # Ok::<(), roundtrip_h1::EncodeError>(())
//! ```
//!
//! # How a body is delimited
//!
//! The rules of [RFC 9112 section 6.3], the first that applies:
//!
//! | rule | message | framing | connection afterwards |
//! |---|---|---|---|
//! | 1 | response to HEAD; 1xx but 101; 204; 304 | [`Framing::None`], whatever the fields say | kept |
//! | 2 | 2xx to CONNECT; 101 | [`Framing::Tunnel`] | another protocol's |
//! | 3 | `Transfer-Encoding` and `Content-Length`, in a response | [`Framing::Chunked`] | closed |
//! | 3 | `Transfer-Encoding` and `Content-Length`, in a request | error, 400 | closed |
//! | 4 | `Transfer-Encoding: chunked`, once and alone | [`Framing::Chunked`] | kept |
//! | 4 | any other `Transfer-Encoding`; any in HTTP/1.0 | error, 501 or 400 | closed |
//! | 5 | `Content-Length` malformed, repeated with another value, or a list | error, 400 | closed |
//! | 6 | `Content-Length` | [`Framing::Length`] | kept |
//! | 7 | request with neither | [`Framing::None`] | kept |
//! | 8 | response with neither | [`Framing::UntilClose`] | closed |
//!
//! "Kept" means: unless `Connection: close` or HTTP/1.0 without `keep-alive` says otherwise ([RFC 9112 section 9.3]).
//!
//! # How strict it is
//!
//! What the grammar forbids is refused, unless a switch of [`Leniency`] allows it. Two parsers that read the same bytes as
//! different messages are what request smuggling and response splitting live on, so nothing is guessed.
//!
//! | deviation | requests | responses | RFC 9112 |
//! |---|---|---|---|
//! | lone LF as a line end ([`Leniency::bare_lf`]) | off | off | 2.2: MAY be taken |
//! | folded field lines ([`Leniency::obs_fold`]) | off | on | 5.2: a server refuses or unfolds, a user agent unfolds |
//! | white space before a colon ([`Leniency::space_before_colon`]) | off | off | 5.1: a server MUST refuse |
//! | white space behind a chunk size ([`Leniency::space_after_chunk_size`]) | off | off | 7.1.1: not in the grammar |
//! | unencoded ``[ \ ] ^ ` { \| }`` in targets ([`Leniency::unencoded_target`]) | on | - | 3.2: SHOULD be refused |
//! | whatever else a [`Uri`](http::Uri) takes in targets ([`Leniency::any_target`]) | off | - | 3.2: SHOULD be refused |
//! | empty lines before the message | skipped | refused | 2.2: a server SHOULD skip one |
//! | status line without reason and without the space before it | - | taken | 4: the space MUST be sent |
//! | a minor version above 1 | as 1.1 | as 1.1 | 9110 2.5 |
//! | CR anywhere but in CRLF, NUL and other control bytes | refused | refused | 2.2, 9110 5.5 |
//! | line ends other than CRLF in chunked framing | refused | refused | 7.1 |
//! | anything wrong with `Host`, a target that does not suit the method | refused | - | 3.2 |
//!
//! Lone LF and white space before a colon concern trailer sections too, where [`Decoder::with_leniency`] was called.
//!
//! # What is bounded
//!
//! [`Limits`] bounds heads, [`DecoderLimits`] what a chunked body carries besides data. Nothing is bounded over several
//! messages: a client that skips interim responses adds up their `head_bytes`. Every byte is searched once, however it drips
//! in, so the work is linear in the input.
//!
//! Errors are small, copied freely, and show the offending bytes escaped and cut ([`Excerpt`]). Each parser and decoder that
//! failed stays failed. No input panics, and there is no unsafe code.
//!
//! [RFC 9112 section 6.3]: https://www.rfc-editor.org/rfc/rfc9112#section-6.3
//! [RFC 9112 section 9.3]: https://www.rfc-editor.org/rfc/rfc9112#section-9.3
#![forbid(unsafe_code)]

// reading
mod body;
mod expect;
mod framing;
mod head;
mod leniency;
mod limits;
mod persistence;

// writing
mod target;
pub mod write;

// shared by both
mod excerpt;
mod facts;
mod fields;
mod syntax;

pub use body::{DecodeError, Decoded, Decoder, DecoderLimits};
pub use excerpt::Excerpt;
pub use expect::Expectation;
pub use fields::{FieldError, is_trailer_allowed};
pub use framing::{Framing, FramingError, request_framing, response_framing};
pub use head::{HeadError, RequestHead, RequestParser, ResponseHead, ResponseParser, is_host};
pub use leniency::Leniency;
pub use limits::Limits;
pub use persistence::{KeepAliveHint, keep_alive};
pub use target::RequestTarget;
pub use write::EncodeError;
