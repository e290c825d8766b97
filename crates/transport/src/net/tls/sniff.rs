//! Remembering how the peer began, to say what it speaks when it is not TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::Stream;

/// A stream that remembers the first bytes that came.
#[derive(Debug)]
pub(super) struct Sniffed {
    stream: Stream,
    first: [u8; Sniffed::MOST],
    seen: u8,
}

impl Sniffed {
    /// Enough for an HTTP version, and small, since it stays with the connection.
    const MOST: usize = 15;

    pub(super) fn new(stream: Stream) -> Self {
        Sniffed { stream, first: [0; Sniffed::MOST], seen: 0 }
    }

    pub(super) fn first(&self) -> &[u8] {
        &self.first[..usize::from(self.seen)]
    }
}

impl AsyncRead for Sniffed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let seen = usize::from(self.seen);
        if seen < Sniffed::MOST {
            let new = &buf.filled()[before..];
            let count = new.len().min(Sniffed::MOST - seen);
            self.first[seen..seen + count].copy_from_slice(&new[..count]);
            self.seen = u8::try_from(seen + count).unwrap_or(u8::MAX);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Sniffed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
