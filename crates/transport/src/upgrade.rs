//! A connection that belongs to another protocol from now on.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use roundtrip_types::Response;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::{ConnInfo, Stream};

/// The byte stream behind a response of `101 Switching Protocols`, or of 2xx to `CONNECT`.
///
/// Behind an [`ExtendedConnect`](crate::ExtendedConnect) it is a stream of HTTP/2, and its connection stays the transport's; what follows is
/// said of the others.
///
/// **Shape**: reads what the server sent behind the response's head, then the connection. It does not belong to the transport any more:
/// no limit, no timeout and no shutdown of the transport touches it, and dropping it closes it.
///
/// **Source**: Go's `Response.Body` as an `io.ReadWriteCloser` after 101; RFC 9110, sections 7.8 and 9.3.6.
///
/// ```no_run
/// # use roundtrip_transport::{RoundTripper, Transport, Upgraded};
/// # use roundtrip_types::Body;
/// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let req = http::Request::get("http://127.0.0.1:8080/chat")
///     .header("connection", "upgrade")
///     .header("upgrade", "chat")
///     .body(Body::empty())?;
/// let mut response = Transport::new().round_trip(req).await?;
/// let mut stream = Upgraded::take(&mut response).ok_or("the server did not switch")?;
/// stream.write_all(b"hello").await?;
/// # Ok(())
/// # }
/// ```
pub struct Upgraded {
    read_ahead: BytesMut,
    stream: Stream,
    info: ConnInfo,
}

/// In a response's extensions, which have to be cloneable.
#[derive(Clone)]
struct Handle(Arc<Mutex<Option<Upgraded>>>);

impl Upgraded {
    pub(crate) fn put(self, response: &mut Response) {
        response.extensions_mut().insert(Handle(Arc::new(Mutex::new(Some(self)))));
    }

    pub(crate) fn new(stream: Stream, read_ahead: BytesMut, info: ConnInfo) -> Self {
        Upgraded { read_ahead, stream, info }
    }

    /// Takes the stream out of a response. `None` if the server did not switch, or if it was taken before.
    #[must_use]
    pub fn take(response: &mut Response) -> Option<Self> {
        let handle = response.extensions_mut().remove::<Handle>()?;
        handle.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Where the connection leads and how it is secured.
    #[must_use]
    pub fn info(&self) -> &ConnInfo {
        &self.info
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read_ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.read_ahead.len().min(buf.remaining());
        buf.put_slice(&self.read_ahead[..count]);
        self.read_ahead.advance(count);
        if self.read_ahead.is_empty() {
            self.read_ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Upgraded {
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

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded").field("info", &self.info).field("read_ahead", &self.read_ahead.len()).finish()
    }
}
