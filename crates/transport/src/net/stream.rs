//! The byte stream of a connection, whatever it is made of.

use std::fmt;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, tcp};
#[cfg(unix)]
use tokio::net::{UnixStream, unix};

use super::ConnInfo;

/// Anything that carries bytes both ways: what a connection can be made of.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

/// The byte stream of a connection.
///
/// Sockets stand in it as they are, so that a plain exchange calls them without indirection; all else is boxed.
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    /// TLS, a tunnel through a proxy, or a transport of the user's own.
    Boxed(Box<dyn Io>),
}

/// A new connection: its stream, what is known about it, and how long its making took.
#[derive(Debug)]
pub(crate) struct Dialed {
    pub(crate) stream: Stream,
    pub(crate) info: ConnInfo,
    /// How long resolving the name took; `None` if there was none to resolve.
    pub(crate) dns: Option<Duration>,
    /// How long connecting took, all addresses tried included.
    pub(crate) connect: Option<Duration>,
    /// How long the proxy took to let us through.
    pub(crate) proxy: Option<Duration>,
    /// How long the TLS handshake with the server took.
    pub(crate) tls: Option<Duration>,
}

/// The half of a [`Stream`] that is read from.
pub(crate) enum ReadHalf {
    Tcp(tcp::OwnedReadHalf),
    #[cfg(unix)]
    Unix(unix::OwnedReadHalf),
    Boxed(tokio::io::ReadHalf<Box<dyn Io>>),
}

/// The half of a [`Stream`] that is written to.
pub(crate) enum WriteHalf {
    Tcp(tcp::OwnedWriteHalf),
    #[cfg(unix)]
    Unix(unix::OwnedWriteHalf),
    Boxed(tokio::io::WriteHalf<Box<dyn Io>>),
}

impl Stream {
    #[cfg(any(test, feature = "tls"))]
    pub(crate) fn boxed(io: impl Io) -> Self {
        Stream::Boxed(Box::new(io))
    }

    /// Two halves that can be used by two tasks. Dropping the writing one of a socket says goodbye to the peer.
    pub(crate) fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Stream::Tcp(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Tcp(read), WriteHalf::Tcp(write))
            }
            #[cfg(unix)]
            Stream::Unix(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Unix(read), WriteHalf::Unix(write))
            }
            Stream::Boxed(io) => {
                let (read, write) = tokio::io::split(io);
                (ReadHalf::Boxed(read), WriteHalf::Boxed(write))
            }
        }
    }

    /// The two halves as one again; `None` if they are not of the same stream.
    pub(crate) fn join(read: ReadHalf, write: WriteHalf) -> Option<Self> {
        match (read, write) {
            (ReadHalf::Tcp(read), WriteHalf::Tcp(write)) => read.reunite(write).ok().map(Stream::Tcp),
            #[cfg(unix)]
            (ReadHalf::Unix(read), WriteHalf::Unix(write)) => read.reunite(write).ok().map(Stream::Unix),
            (ReadHalf::Boxed(read), WriteHalf::Boxed(write)) if read.is_pair_of(&write) => {
                Some(Stream::Boxed(read.unsplit(write)))
            }
            _ => None,
        }
    }

    /// Ready when something has come that was not asked for, as far as the runtime knows. It may take a byte, so nothing can be read
    /// afterwards.
    pub(crate) fn poll_come(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Most often the runtime knows of nothing, and then this is all. Else it may only not have been told that all was read.
        match self {
            Stream::Tcp(stream) => ready!(stream.poll_read_ready(cx)).is_ok(),
            #[cfg(unix)]
            Stream::Unix(stream) => ready!(stream.poll_read_ready(cx)).is_ok(),
            Stream::Boxed(_) => true,
        };
        let mut byte = [0];
        Pin::new(self).poll_read(cx, &mut ReadBuf::new(&mut byte)).map(|_| ())
    }

    /// Asks the system whether something has come that was not asked for: bytes, the end of the stream, an error. One system call
    /// for a socket, and exact where the runtime only knows what it saw when it last looked. For a boxed stream the answer is no.
    pub(crate) fn has_come(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let peeked = match self {
            Stream::Tcp(stream) => SockRef::from(stream).peek(&mut byte),
            #[cfg(unix)]
            Stream::Unix(stream) => SockRef::from(stream).peek(&mut byte),
            Stream::Boxed(_) => return false,
        };
        !matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// Hands a call on to whatever is inside.
macro_rules! delegate {
    ($of:ident, $self:ident, $io:ident => $call:expr) => {
        match $self.get_mut() {
            $of::Tcp($io) => $call,
            #[cfg(unix)]
            $of::Unix($io) => $call,
            $of::Boxed($io) => $call,
        }
    };
}

macro_rules! impl_read {
    ($($of:ident),+) => {$(
        impl AsyncRead for $of {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                delegate!($of, self, io => Pin::new(io).poll_read(cx, buf))
            }
        }
    )+};
}

macro_rules! impl_write {
    ($($of:ident),+) => {$(
        impl AsyncWrite for $of {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
                delegate!($of, self, io => Pin::new(io).poll_write(cx, data))
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                pieces: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                delegate!($of, self, io => Pin::new(io).poll_write_vectored(cx, pieces))
            }

            fn is_write_vectored(&self) -> bool {
                match self {
                    $of::Tcp(io) => io.is_write_vectored(),
                    #[cfg(unix)]
                    $of::Unix(io) => io.is_write_vectored(),
                    $of::Boxed(io) => io.is_write_vectored(),
                }
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                delegate!($of, self, io => Pin::new(io).poll_flush(cx))
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                delegate!($of, self, io => Pin::new(io).poll_shutdown(cx))
            }
        }
    )+};
}

impl_read!(Stream, ReadHalf);
impl_write!(Stream, WriteHalf);

/// What it is made of; the insides of a boxed stream are not ours to show.
macro_rules! impl_debug {
    ($($of:ident),+) => {$(
        impl fmt::Debug for $of {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $of::Tcp(_) => concat!(stringify!($of), "(tcp)"),
                    #[cfg(unix)]
                    $of::Unix(_) => concat!(stringify!($of), "(unix)"),
                    $of::Boxed(_) => concat!(stringify!($of), "(boxed)"),
                })
            }
        }
    )+};
}

impl_debug!(Stream, ReadHalf, WriteHalf);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn tcp_pair() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Stream::Tcp(ours), listener.accept().await.unwrap().0)
    }

    /// Each kind of stream, with its other end.
    async fn pairs() -> Vec<(Stream, Box<dyn Io>)> {
        let (tcp, tcp_peer) = tcp_pair().await;
        let (boxed, boxed_peer) = tokio::io::duplex(1024);
        let mut pairs: Vec<(Stream, Box<dyn Io>)> =
            vec![(tcp, Box::new(tcp_peer)), (Stream::boxed(boxed), Box::new(boxed_peer))];
        #[cfg(unix)]
        {
            let (unix, unix_peer) = UnixStream::pair().unwrap();
            pairs.push((Stream::Unix(unix), Box::new(unix_peer)));
        }
        pairs
    }

    #[tokio::test]
    async fn bytes_go_both_ways_whole_and_in_halves() {
        for (mut ours, mut theirs) in pairs().await {
            let mut got = [0; 5];
            ours.write_all(b"hello").await.unwrap();
            theirs.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"hello", "{ours:?}");
            let name = format!("{ours:?}");
            let (mut read, mut write) = ours.into_split();
            theirs.write_all(b"again").await.unwrap();
            read.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"again", "{name}");
            let pieces = [IoSlice::new(b"on"), IoSlice::new(b"e")];
            let mut sent = write.write_vectored(&pieces).await.unwrap();
            if sent < 3 {
                sent += write.write(&b"one"[sent..]).await.unwrap();
            }
            assert_eq!(sent, 3);
            theirs.read_exact(&mut got[..3]).await.unwrap();
            assert_eq!(&got[..3], b"one", "{name}");
        }
    }

    #[tokio::test]
    async fn what_has_come_is_seen_before_the_runtime_looks() {
        for end in [false, true] {
            for (ours, mut theirs) in pairs().await {
                if matches!(ours, Stream::Boxed(_)) {
                    continue;
                }
                assert!(!ours.has_come(), "{ours:?}");
                if end {
                    drop(theirs);
                } else {
                    theirs.write_all(b"x").await.unwrap();
                }
                assert!(ours.has_come(), "{ours:?}, end: {end}");
            }
        }
    }
}
