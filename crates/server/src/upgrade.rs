//! Leaving HTTP by the `Upgrade` protocol or `CONNECT`.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Asks for the connection of a request, to be had once the response is out: for WebSockets, and for the tunnels of `CONNECT`.
///
/// Take it from the request, hand the future to a task, and answer with 101 and the fields that the protocol asks for, or with 200
/// to `CONNECT`. From then on the connection is that task's: its state is [`Hijacked`](crate::ConnState::Hijacked), the server's
/// limits do not hold any more, and shutting down does not wait for it;
/// [`ResponseController::stopping`](crate::ResponseController::stopping) tells. It is hyper's own mechanism, so that what other
/// crates do with `hyper::upgrade::on` works as well.
///
/// # Errors
/// The future fails if the request asked for no upgrade, the response did not grant it, or the connection was lost before.
///
/// # Cancel safety
/// Dropping the future lets the connection be closed behind the response.
pub fn upgrade<B>(req: &mut http::Request<B>) -> impl Future<Output = io::Result<Upgraded>> + Send + use<B> {
    let upgrading = hyper::upgrade::on(req);
    async move { upgrading.await.map(|stream| Upgraded(TokioIo::new(stream))).map_err(io::Error::other) }
}

/// A connection that has left HTTP: a plain byte stream. Reads give first what the client had sent behind its request.
///
/// Dropping it closes the connection.
pub struct Upgraded(TokioIo<hyper::upgrade::Upgraded>);

impl AsyncRead for Upgraded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
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

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgraded(..)")
    }
}
