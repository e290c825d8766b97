//! A body as the reader that decoders want.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body as HttpBody;
use roundtrip_types::{Body, Error};
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

/// Reads a body. What a reader has no place for is kept: its trailers, and the error that ended it.
#[derive(Debug)]
pub(super) struct Source {
    body: Body,
    piece: Bytes,
    ended: bool,
    pub(super) trailers: Option<HeaderMap>,
    pub(super) error: Option<Error>,
}

impl Source {
    pub(super) fn new(body: Body) -> Self {
        Source { body, piece: Bytes::new(), ended: false, trailers: None, error: None }
    }

    /// The next bytes, at least `count` unless the body ends before. They stay.
    pub(super) fn poll_peek(&mut self, count: usize, cx: &mut Context<'_>) -> Poll<Result<&[u8], Error>> {
        while self.piece.len() < count && !self.ended {
            let mut joined = BytesMut::from(&*std::mem::take(&mut self.piece));
            match ready!(self.poll_piece(cx)) {
                Ok(()) if joined.is_empty() => {}
                Ok(()) => {
                    joined.extend_from_slice(&self.piece);
                    self.piece = joined.freeze();
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(&self.piece))
    }

    /// Fills `piece`, which must be empty, or finds the end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while self.piece.is_empty() && !self.ended {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => self.ended = true,
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Err(error));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.piece = data,
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Source {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        // A body that fails looks like one that ends, since decoders drop what they have in hand when their reader fails. Whoever
        // reaches the end looks for the error.
        if let Err(error) = ready!(this.poll_piece(cx)) {
            this.error = Some(error);
        }
        Poll::Ready(Ok(&this.piece))
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        self.piece.advance(count);
    }
}

impl AsyncRead for Source {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let available = ready!(self.as_mut().poll_fill_buf(cx))?;
        let count = available.len().min(buf.remaining());
        buf.put_slice(&available[..count]);
        self.consume(count);
        Poll::Ready(Ok(()))
    }
}
