//! A body that is decoded while it is read.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame};
use roundtrip_types::{Body, Error, ErrorKind, Phase, Result};
use tokio::io::{AsyncBufRead, AsyncReadExt};

use super::ContentCoding;
use super::source::Source;

/// A coded body, decoded piece by piece.
///
/// Memory is bounded whatever is sent: the decoder's own window and one piece of output. When the data ends, the coded body has
/// been read to its end, so that its connection is free.
pub(super) struct DecodedBody {
    state: State,
    coding: ContentCoding,
    limit: Option<u64>,
    got: u64,
    buf: BytesMut,
}

enum State {
    /// Nothing was read yet: which decoder it takes may depend on the first bytes, and an empty body needs none.
    Fresh(Box<Source>),
    Decoding(Box<Decoder>),
    /// The data has ended. The coded body may have trailers still.
    Tail(Box<Source>),
    Done,
}

/// The decoders of async-compression, over one source.
enum Decoder {
    Gzip(async_compression::tokio::bufread::GzipDecoder<Source>),
    #[cfg(feature = "deflate")]
    Zlib(async_compression::tokio::bufread::ZlibDecoder<Source>),
    #[cfg(feature = "deflate")]
    Deflate(async_compression::tokio::bufread::DeflateDecoder<Source>),
    #[cfg(feature = "br")]
    Br(async_compression::tokio::bufread::BrotliDecoder<Source>),
    #[cfg(feature = "zstd")]
    Zstd(async_compression::tokio::bufread::ZstdDecoder<Source>),
}

/// Room for a piece of output.
const PIECE: usize = 16 << 10;

/// Does the same with whichever decoder it is.
macro_rules! each {
    ($decoder:expr, $inner:ident => $do:expr) => {
        match $decoder {
            Decoder::Gzip($inner) => $do,
            #[cfg(feature = "deflate")]
            Decoder::Zlib($inner) => $do,
            #[cfg(feature = "deflate")]
            Decoder::Deflate($inner) => $do,
            #[cfg(feature = "br")]
            Decoder::Br($inner) => $do,
            #[cfg(feature = "zstd")]
            Decoder::Zstd($inner) => $do,
        }
    };
}

impl Decoder {
    fn new(coding: ContentCoding, source: Source, first: &[u8]) -> Self {
        // Only deflate has to look.
        let _ = first;
        match coding {
            ContentCoding::Gzip => {
                let mut decoder = async_compression::tokio::bufread::GzipDecoder::new(source);
                // RFC 1952, section 2.2: a gzip file may be several, one after the other.
                decoder.multiple_members(true);
                Decoder::Gzip(decoder)
            }
            #[cfg(feature = "deflate")]
            ContentCoding::Deflate if is_zlib(first) => {
                Decoder::Zlib(async_compression::tokio::bufread::ZlibDecoder::new(source))
            }
            #[cfg(feature = "deflate")]
            ContentCoding::Deflate => Decoder::Deflate(async_compression::tokio::bufread::DeflateDecoder::new(source)),
            #[cfg(feature = "br")]
            ContentCoding::Br => Decoder::Br(async_compression::tokio::bufread::BrotliDecoder::new(source)),
            #[cfg(feature = "zstd")]
            ContentCoding::Zstd => {
                // RFC 9659: no more than 8 MiB.
                let window = async_compression::zstd::DParameter::window_log_max(23);
                let mut decoder = async_compression::tokio::bufread::ZstdDecoder::with_params(source, &[window]);
                // RFC 8878, section 3: frames may follow each other.
                decoder.multiple_members(true);
                Decoder::Zstd(decoder)
            }
        }
    }

    fn poll_read(&mut self, buf: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // `read_buf` is the safe way into uninitialised memory; its future keeps nothing between polls.
        each!(self, inner => pin!(inner.read_buf(buf)).poll(cx))
    }

    fn source_mut(&mut self) -> &mut Source {
        each!(self, inner => inner.get_mut())
    }

    fn into_source(self) -> Source {
        each!(self, inner => inner.into_inner())
    }
}

/// Whether bytes begin a zlib stream (RFC 1950, section 2.2): method, window size and check bits.
#[cfg(feature = "deflate")]
fn is_zlib(first: &[u8]) -> bool {
    match *first {
        [method, flags, ..] => {
            method & 0x0f == 8 && method >> 4 <= 7 && (u16::from(method) << 8 | u16::from(flags)).is_multiple_of(31)
        }
        _ => false,
    }
}

impl DecodedBody {
    pub(super) fn new(coded: Body, coding: ContentCoding, limit: Option<u64>) -> Self {
        let state = State::Fresh(Box::new(Source::new(coded)));
        DecodedBody { state, coding, limit, got: 0, buf: BytesMut::new() }
    }

    /// The next state of one that has read nothing.
    fn begin(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let State::Fresh(source) = &mut self.state else { return Poll::Ready(Ok(())) };
        let first = match ready!(source.poll_peek(2, cx)) {
            Ok(first) => first.get(..2).unwrap_or(first).to_vec(),
            Err(error) => return Poll::Ready(Err(error)),
        };
        let State::Fresh(source) = std::mem::replace(&mut self.state, State::Done) else { return Poll::Ready(Ok(())) };
        self.state = if first.is_empty() {
            // Nothing at all is nothing decoded, as in Go.
            State::Tail(source)
        } else {
            State::Decoding(Box::new(Decoder::new(self.coding, *source, &first)))
        };
        Poll::Ready(Ok(()))
    }

    fn decode(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        let State::Decoding(decoder) = &mut self.state else { return Poll::Ready(Ok(None)) };
        self.buf.reserve(PIECE);
        match ready!(decoder.poll_read(&mut self.buf, cx)) {
            Ok(0) => {
                if let State::Decoding(decoder) = std::mem::replace(&mut self.state, State::Done) {
                    self.state = State::Tail(Box::new(decoder.into_source()));
                }
                Poll::Ready(Ok(None))
            }
            Ok(count) => {
                self.got += count as u64;
                match self.limit {
                    Some(limit) if self.got > limit => Poll::Ready(Err(self.too_large(limit))),
                    _ => Poll::Ready(Ok(Some(self.buf.split().freeze()))),
                }
            }
            Err(error) => {
                let of_body = decoder.source_mut().error.take();
                Poll::Ready(Err(of_body.unwrap_or_else(|| self.malformed(error))))
            }
        }
    }

    /// Reads the coded body to its end. Returns its trailers.
    fn finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>>> {
        let State::Tail(source) = &mut self.state else { return Poll::Ready(Ok(None)) };
        let left = ready!(Pin::new(&mut **source).poll_fill_buf(cx)).map(<[u8]>::len);
        if let Some(of_body) = source.error.take() {
            return Poll::Ready(Err(of_body));
        }
        let left = match left {
            Ok(left) => left,
            Err(error) => return Poll::Ready(Err(self.malformed(error))),
        };
        if left > 0 {
            let message = format!("the {} coded body goes on behind its end", self.coding);
            return Poll::Ready(Err(Error::new(ErrorKind::Decode, message).with_phase(Phase::Body)));
        }
        let trailers = source.trailers.take();
        self.state = State::Done;
        Poll::Ready(Ok(trailers.map(Frame::trailers)))
    }

    fn too_large(&self, limit: u64) -> Error {
        let message = format!("the {} coded body is more than the {limit} bytes allowed when decoded", self.coding);
        Error::new(ErrorKind::TooLarge, message).with_phase(Phase::Body).with_sent(true)
    }

    fn malformed(&self, cause: io::Error) -> Error {
        let what = if cause.kind() == io::ErrorKind::UnexpectedEof { "ends too early" } else { "is malformed" };
        let message = format!("the {} coded body {what}, after {} decoded bytes", self.coding, self.got);
        Error::new(ErrorKind::Decode, message).with_phase(Phase::Body).with_sent(true).with_cause(cause)
    }
}

impl HttpBody for DecodedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let this = &mut *self;
        let next = loop {
            let step = match &this.state {
                State::Fresh(_) => ready!(this.begin(cx)).map(|()| None),
                State::Decoding(_) => ready!(this.decode(cx)).map(|data| data.map(Frame::data)),
                State::Tail(_) => ready!(this.finish(cx)),
                State::Done => break None,
            };
            match step {
                Ok(None) => {}
                Ok(Some(frame)) => break Some(Ok(frame)),
                Err(error) => {
                    // Nothing that follows could be trusted; and what is left of the coded body goes with it.
                    this.state = State::Done;
                    break Some(Err(error));
                }
            }
        };
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Done)
    }
}
