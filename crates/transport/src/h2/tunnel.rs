//! A stream as a stream of bytes, for another protocol (RFC 8441).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Slot;

/// Both directions of a stream. Dropped, it resets what has not ended, and its place is free.
pub(crate) struct H2Tunnel {
    recv: RecvStream,
    send: SendStream<Bytes>,
    /// What has come and was not read yet.
    came: Bytes,
    has_ended: bool,
    /// The last to be dropped.
    _slot: Arc<Slot>,
}

impl H2Tunnel {
    pub(super) fn new(recv: RecvStream, send: SendStream<Bytes>, slot: Arc<Slot>) -> Self {
        H2Tunnel { recv, send, came: Bytes::new(), has_ended: false, _slot: slot }
    }

    /// Why nothing more can be sent.
    fn poll_stopped(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        self.send.poll_reset(cx).map(|reset| match reset {
            Ok(reason) => stopped(reason),
            Err(error) => io::Error::new(io::ErrorKind::ConnectionReset, error),
        })
    }
}

fn stopped(reason: Reason) -> io::Error {
    let kind = match reason {
        Reason::NO_ERROR | Reason::CANCEL | Reason::STREAM_CLOSED => io::ErrorKind::BrokenPipe,
        _ => io::ErrorKind::ConnectionReset,
    };
    io::Error::new(kind, format!("the server has reset the stream ({reason:?})"))
}

impl AsyncRead for H2Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.came.is_empty() {
            match ready!(self.recv.poll_data(cx)) {
                Some(Ok(data)) => self.came = data,
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) => {
                    return Poll::Ready(match error.reason() {
                        Some(Reason::NO_ERROR) if error.is_reset() => Ok(()),
                        Some(reason) if error.is_reset() => Err(stopped(reason)),
                        _ => Err(io::Error::new(io::ErrorKind::ConnectionReset, error)),
                    });
                }
            }
        }
        let count = self.came.len().min(buf.remaining());
        buf.put_slice(&self.came[..count]);
        self.came.advance(count);
        // Only what was read makes room for more. Fails for a stream that is over, which needs no room.
        let _ = self.recv.flow_control().release_capacity(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for H2Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.send.reserve_capacity(data.len());
        loop {
            match ready!(self.send.poll_capacity(cx)) {
                Some(Ok(0)) => {}
                Some(Ok(capacity)) => {
                    let count = capacity.min(data.len());
                    let piece = Bytes::copy_from_slice(&data[..count]);
                    if self.send.send_data(piece, false).is_ok() {
                        return Poll::Ready(Ok(count));
                    }
                    return self.poll_stopped(cx).map(Err);
                }
                Some(Err(_)) | None => return self.poll_stopped(cx).map(Err),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's task writes what was handed over.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.has_ended {
            return Poll::Ready(Ok(()));
        }
        if self.send.send_data(Bytes::new(), true).is_err() {
            return self.poll_stopped(cx).map(Err);
        }
        self.has_ended = true;
        Poll::Ready(Ok(()))
    }
}
