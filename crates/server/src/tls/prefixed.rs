//! A stream of which the beginning has been read already.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// A stream whose first bytes have been looked at. They are read again first.
pub(super) struct Prefixed<S> {
    first: [u8; LOOK],
    /// `0 <= read <= filled <= LOOK`.
    read: usize,
    filled: usize,
    stream: S,
}

/// As many bytes as a TLS record's head has.
const LOOK: usize = 5;

impl<S: AsyncRead + Unpin> Prefixed<S> {
    /// Looks at what comes first: up to five bytes, as they come in one read. None at the end of the stream.
    pub(super) async fn look(mut stream: S) -> io::Result<Self> {
        let mut first = [0; LOOK];
        let filled = stream.read(&mut first).await?;
        Ok(Prefixed { first, read: 0, filled, stream })
    }

    pub(super) fn first(&self) -> &[u8] {
        &self.first[..self.filled]
    }
}

impl<S> Prefixed<S> {
    pub(super) fn stream(&self) -> &S {
        &self.stream
    }

    pub(super) fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.read < this.filled {
            let rest = &this.first[this.read..this.filled];
            let taken = rest.len().min(buf.remaining());
            buf.put_slice(&rest[..taken]);
            this.read += taken;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
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
