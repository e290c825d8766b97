//! Connections that need no socket: what is written to them is answered in memory, at once and with the same bytes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use roundtrip_transport::{Connection, Dial, DialFuture, Target};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::servers::GREETING;

/// A dialer of such connections, for a transport of which only its own work shall be measured. It answers whatever ends as a head does, so
/// requests must have no body.
#[derive(Debug)]
pub struct InMemory {
    answer: Bytes,
    dials: AtomicUsize,
    open: Arc<AtomicUsize>,
}

impl InMemory {
    /// Answers with the greeting and as few fields as can be.
    #[must_use]
    pub fn greeting() -> Self {
        Self::answering(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{GREETING}", GREETING.len()))
    }

    /// Answers with that.
    #[must_use]
    pub fn answering(answer: impl Into<Bytes>) -> Self {
        InMemory { answer: answer.into(), dials: AtomicUsize::new(0), open: Arc::default() }
    }

    /// How many connections have been opened.
    #[must_use]
    pub fn dials(&self) -> usize {
        self.dials.load(Ordering::SeqCst)
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

impl Dial for InMemory {
    fn dial<'a>(&'a self, _target: &'a Target) -> DialFuture<'a> {
        self.dials.fetch_add(1, Ordering::SeqCst);
        self.open.fetch_add(1, Ordering::SeqCst);
        let stream = Answering {
            answer: self.answer.clone(),
            written: [0; 4],
            left: Bytes::new(),
            reader: None,
            open: Arc::clone(&self.open),
        };
        Box::pin(std::future::ready(Ok(Connection::new(stream))))
    }
}

/// Answers each head.
#[derive(Debug)]
struct Answering {
    answer: Bytes,
    /// The last bytes of what was written.
    written: [u8; 4],
    /// How much of the answer has not been read.
    left: Bytes,
    reader: Option<Waker>,
    open: Arc<AtomicUsize>,
}

impl AsyncRead for Answering {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if self.left.is_empty() {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = self.left.len().min(buf.remaining());
        buf.put_slice(&self.left.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Answering {
    fn poll_write(mut self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        for byte in &buf[buf.len().saturating_sub(4)..] {
            self.written.rotate_left(1);
            self.written[3] = *byte;
        }
        if &self.written == b"\r\n\r\n" {
            self.left = self.answer.clone();
            self.written = [0; 4];
            if let Some(reader) = self.reader.take() {
                reader.wake();
            }
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}
