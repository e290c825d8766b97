//! The client's own end of a connection, which a case can make fail.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use roundtrip_transport::Connection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What a case does to a connection from the client's side.
#[derive(Default)]
pub(crate) struct Control {
    /// Reads and writes fail from now on.
    cut: AtomicBool,
    /// Writes fail, with nothing written.
    deaf: AtomicBool,
    reader: Mutex<Option<Waker>>,
}

impl Control {
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        let reader = self.reader.lock().unwrap().take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    pub(crate) fn fail_writes(&self) {
        self.deaf.store(true, Ordering::SeqCst);
    }
}

/// A TCP connection under a [`Control`].
pub(crate) struct Wire {
    stream: TcpStream,
    control: Arc<Control>,
}

impl Wire {
    /// Connects, and says how to steer it. The connection is named after its own address, which the server sees as its peer's.
    pub(crate) async fn connect(to: SocketAddr) -> io::Result<(Connection, SocketAddr, Arc<Control>)> {
        let stream = TcpStream::connect(to).await?;
        let own = stream.local_addr()?;
        let control = Arc::new(Control::default());
        let wire = Wire { stream, control: Arc::clone(&control) };
        Ok((Connection::new(wire).peer(own), own, control))
    }

    fn broken() -> io::Error {
        io::Error::new(io::ErrorKind::ConnectionAborted, "cut off by the case")
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        *self.control.reader.lock().unwrap() = Some(cx.waker().clone());
        if self.control.cut.load(Ordering::SeqCst) {
            return Poll::Ready(Err(Wire::broken()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.control.cut.load(Ordering::SeqCst) || self.control.deaf.load(Ordering::SeqCst) {
            return Poll::Ready(Err(Wire::broken()));
        }
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
