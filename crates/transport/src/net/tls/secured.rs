//! A connection's TLS, and its end.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::unconstrained;
use tokio_rustls::client::TlsStream;

use super::sniff::Sniffed;

/// A TLS stream that says goodbye when it is dropped, as far as that can be done at once.
///
/// The end of a TLS connection has to be told (`close_notify`: RFC 8446, section 6.1), or the peer cannot tell it from one that
/// was cut (RFC 9112, section 9.8). Go's `tls.Conn.Close` tells it, for up to 5 s; here one attempt is made, which fails only if the
/// socket's buffer is full of what the peer does not read.
#[derive(Debug)]
pub(super) struct Secured(TlsStream<Sniffed>);

impl Secured {
    pub(super) fn new(stream: TlsStream<Sniffed>) -> Self {
        Secured(stream)
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        // A task that has used up its share of the runtime would be told that the socket is not ready.
        let goodbye = unconstrained(poll_fn(|cx| Pin::new(&mut self.0).poll_shutdown(cx)));
        // Nobody is left who could wait for more, or do something about an error.
        let _ = pin!(goodbye).poll(&mut Context::from_waker(Waker::noop()));
    }
}

impl AsyncRead for Secured {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(ready!(Pin::new(&mut self.0).poll_read(cx, buf)).map_err(|error| match error.kind() {
            // rustls says the same with a link to its manual.
            io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "TLS was not closed (no close_notify)"),
            _ => error,
        }))
    }
}

impl AsyncWrite for Secured {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
