//! Listening sockets.

use std::fmt;
use std::io;
use std::path::Path;
use std::task::{Context, Poll};

use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;

use crate::info::Addr;
use crate::stream::Stream;
#[cfg(feature = "tls")]
use crate::tls::Tls;
#[cfg(unix)]
use crate::unix_path::SocketFile;
use crate::{Error, ListenAddr, ListenOptions, Result};

/// One or more listening sockets that a server accepts from, as one: Go's `net.Listener`.
///
/// **Shape**: made by [`bind`](Self::bind) and its sisters, or of any listener of `std` or tokio by `From`:
/// [`Server::serve`](crate::Server::serve) takes those as they are. With several sockets on one port each has its own accept
/// loop. Sockets close when the listener is dropped or its server stops.
///
/// # Examples
/// ```
/// use roundtrip_server::{Listener, ListenOptions, Server};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Four accept loops on one port.
/// let options = ListenOptions { sockets: 4, ..ListenOptions::default() };
/// let listener = Listener::bind_with("127.0.0.1:0", &options).await?;
/// println!("listening on {}", listener.local_addr());
/// let serving = tokio::spawn(Server::new(|_req| async { "hello" }).serve(listener));
/// # serving.abort();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Listener {
    pub(crate) sockets: Vec<Socket>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Tls>,
    #[cfg(unix)]
    pub(crate) file: Option<SocketFile>,
}

/// A socket, registered with a runtime or not yet.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    StdTcp(std::net::TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
    #[cfg(unix)]
    StdUnix(std::os::unix::net::UnixListener),
}

impl Listener {
    /// Listens on a TCP address with default [`ListenOptions`]: Go's `net.Listen`.
    ///
    /// # Errors
    /// The address does not parse or resolve, or it cannot be listened on.
    pub async fn bind(addr: impl Into<ListenAddr>) -> Result<Self> {
        Listener::bind_with(addr, &ListenOptions::default()).await
    }

    /// Listens on a TCP address.
    ///
    /// # Errors
    /// The address does not parse or resolve, or it cannot be listened on.
    pub async fn bind_with(addr: impl Into<ListenAddr>, options: &ListenOptions) -> Result<Self> {
        let sockets = addr.into().open(options).await?;
        Ok(Listener::of(sockets.into_iter().map(Socket::StdTcp).collect()))
    }

    /// Listens on a unix socket.
    ///
    /// A file that an earlier process has left there and nobody listens on is replaced; anything else is an error. The file is
    /// removed when the listener closes, unless somebody has put another one there. Who may connect is decided by the permissions
    /// of the folder and the process's umask.
    ///
    /// # Errors
    /// Somebody listens there, something that is no socket is there, or the file cannot be made.
    #[cfg(unix)]
    pub fn unix(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (socket, file) = SocketFile::bind(path).map_err(|cause| Error::listen(path.display(), cause))?;
        let mut listener = Listener::of(vec![Socket::StdUnix(socket)]);
        listener.file = Some(file);
        Ok(listener)
    }

    /// The sockets that systemd has opened for this process (`sd_listen_fds`), TCP and unix, in their order in the unit file.
    ///
    /// **Shape**: empty if it has passed none. To be called once, early: it takes `LISTEN_PID` and `LISTEN_FDS` out of the
    /// environment, so that child processes do not take them for theirs. One with `FileDescriptorName` is found by its place.
    ///
    /// # Errors
    /// A descriptor that was passed is no listening stream socket.
    pub fn from_systemd() -> Result<Vec<Self>> {
        let mut passed = listenfd::ListenFd::from_env();
        let mut listeners = Vec::new();
        for index in 0..passed.len() {
            let shown = || format!("descriptor {} from systemd", index + 3);
            if let Ok(Some(socket)) = passed.take_tcp_listener(index) {
                listeners.push(Listener::from(socket));
                continue;
            }
            #[cfg(unix)]
            {
                match passed.take_unix_listener(index) {
                    Ok(Some(socket)) => listeners.push(Listener::from(socket)),
                    Ok(None) => {}
                    Err(cause) => return Err(Error::listen(shown(), cause)),
                }
            }
            #[cfg(not(unix))]
            return Err(Error::listen(shown(), io::ErrorKind::Unsupported.into()));
        }
        Ok(listeners)
    }

    /// Speaks TLS on these sockets: Go's `tls.NewListener`.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Where it listens: with port 0, the one that the system chose. [`Addr::Unnamed`] if the system does not tell.
    #[must_use]
    pub fn local_addr(&self) -> Addr {
        self.sockets.first().map_or(Addr::Unnamed, Socket::local_addr)
    }

    fn of(sockets: Vec<Socket>) -> Self {
        Listener {
            sockets,
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(unix)]
            file: None,
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(socket: TcpListener) -> Self {
        Listener::of(vec![Socket::Tcp(socket)])
    }
}

impl From<std::net::TcpListener> for Listener {
    fn from(socket: std::net::TcpListener) -> Self {
        Listener::of(vec![Socket::StdTcp(socket)])
    }
}

#[cfg(unix)]
impl From<UnixListener> for Listener {
    fn from(socket: UnixListener) -> Self {
        Listener::of(vec![Socket::Unix(socket)])
    }
}

#[cfg(unix)]
impl From<std::os::unix::net::UnixListener> for Listener {
    fn from(socket: std::os::unix::net::UnixListener) -> Self {
        Listener::of(vec![Socket::StdUnix(socket)])
    }
}

impl Socket {
    pub(crate) fn local_addr(&self) -> Addr {
        match self {
            Socket::Tcp(socket) => socket.local_addr().map_or(Addr::Unnamed, Addr::Tcp),
            Socket::StdTcp(socket) => socket.local_addr().map_or(Addr::Unnamed, Addr::Tcp),
            #[cfg(unix)]
            Socket::Unix(socket) => unix_addr(socket.local_addr().ok().as_ref().and_then(|addr| addr.as_pathname())),
            #[cfg(unix)]
            Socket::StdUnix(socket) => unix_addr(socket.local_addr().ok().as_ref().and_then(|addr| addr.as_pathname())),
        }
    }

    /// Registered with the runtime that this is called in.
    pub(crate) fn register(self) -> io::Result<Self> {
        match self {
            Socket::StdTcp(socket) => {
                socket.set_nonblocking(true)?;
                TcpListener::from_std(socket).map(Socket::Tcp)
            }
            #[cfg(unix)]
            Socket::StdUnix(socket) => {
                socket.set_nonblocking(true)?;
                UnixListener::from_std(socket).map(Socket::Unix)
            }
            registered => Ok(registered),
        }
    }

    /// Taken out of the runtime that it is registered with, to be registered with another.
    pub(crate) fn unregister(self) -> io::Result<Self> {
        match self {
            Socket::Tcp(socket) => socket.into_std().map(Socket::StdTcp),
            #[cfg(unix)]
            Socket::Unix(socket) => socket.into_std().map(Socket::StdUnix),
            free => Ok(free),
        }
    }

    /// Accepts a connection: its stream and the client's end.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, Addr)>> {
        match self {
            Socket::Tcp(socket) => socket.poll_accept(cx).map_ok(|(stream, peer)| {
                // Small responses go out at once; failing to say so costs speed only.
                let _ = stream.set_nodelay(true);
                (Stream::Tcp(stream), peer.into())
            }),
            #[cfg(unix)]
            Socket::Unix(socket) => {
                socket.poll_accept(cx).map_ok(|(stream, peer)| (Stream::Unix(stream), unix_addr(peer.as_pathname())))
            }
            _ => Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidInput, "the socket is not registered"))),
        }
    }
}

#[cfg(unix)]
fn unix_addr(path: Option<&Path>) -> Addr {
    path.map_or(Addr::Unnamed, |path| Addr::Unix(path.into()))
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.local_addr().fmt(f)
    }
}
