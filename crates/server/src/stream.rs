//! The byte streams that a connection can run on.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::task::coop::unconstrained;

/// A connection's stream. Plain sockets are called without a detour, since they are the common case; anything else sits behind a
/// pointer.
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    /// TLS, or whatever a listener of the user's makes.
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "no other listener makes one"))]
    Other(Box<dyn Duplex>),
}

/// What a stream has to be able to do.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {
    /// The stream that it runs on.
    fn beneath(&self) -> &Stream;
}

/// Calls the same method on whatever stream it is.
macro_rules! each {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($inner) => $call,
            #[cfg(unix)]
            Stream::Unix($inner) => $call,
            Stream::Other($inner) => $call,
        }
    };
}

impl Stream {
    /// Closes, and says so where the client could not tell an end from a cut otherwise: over TLS (`close_notify`: RFC 8446, section
    /// 6.1). One attempt is made, without waiting; it fails only if the socket's buffer is full.
    pub(crate) fn say_goodbye(mut self) {
        if let Stream::Other(stream) = &mut self {
            // A task that has used up its share of the runtime would be told that the socket is not ready.
            let goodbye = unconstrained(poll_fn(|cx| Pin::new(&mut *stream).poll_shutdown(cx)));
            // There is nobody left to do something about an error.
            let _ = pin!(goodbye).poll(&mut Context::from_waker(Waker::noop()));
        }
    }

    /// Closes with a reset, so that the system does not go on holding bytes for a client that does not take them.
    pub(crate) fn reset_on_close(self) {
        let mut stream = &self;
        while let Stream::Other(other) = stream {
            stream = other.beneath();
        }
        if let Stream::Tcp(stream) = stream {
            // Failing to say so leaves the bytes to the system's own patience.
            let _ = stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_write(cx, data))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, inner => inner.is_write_vectored())
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_shutdown(cx))
    }
}
