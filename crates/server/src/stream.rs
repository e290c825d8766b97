//! The byte streams that a connection can run on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

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
