//! The socket as hyper sees it, with an ear for clients that hang up while a handler works.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::stream::Stream;
use crate::tracker::ConnState;

/// A stream that notices the end of what the client sends, while a handler works.
///
/// hyper can watch for that itself, but then it gives every request a fresh read buffer of 8 KB to do so: measured, 9.6 KB and 9
/// allocations for a small request instead of 1.4 KB and 7 (this project's benchmark, 2026-11). So it is told that clients may
/// half-close, does not read then, and we look here: hyper flushes after each poll of the handler.
pub(crate) struct Watched {
    stream: Stream,
    state: Arc<ConnState>,
    /// Read while listening, and not yet given to hyper.
    ahead: Option<u8>,
}

impl Watched {
    pub(crate) fn new(stream: Stream, state: Arc<ConnState>) -> Self {
        Watched { stream, state, ahead: None }
    }

    /// Looks for the end of the stream, and asks to be woken when it comes. No system call while nothing has come.
    #[cold]
    fn listen(&mut self, cx: &mut Context<'_>) {
        let mut byte = [0];
        let mut buf = ReadBuf::new(&mut byte);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                // The next request, ahead of time: what comes behind it cannot be seen before it is read.
                self.ahead = Some(byte[0]);
                self.state.stop_listening();
            }
            Poll::Ready(_) => self.state.client_stopped(),
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() > 0
            && let Some(byte) = self.ahead.take()
        {
            buf.put_slice(&[byte]);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Watched {
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
        if self.state.is_listening() {
            self.listen(cx);
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
