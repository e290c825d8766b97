//! Options of listening TCP sockets.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// How [`Listener::bind_with`](crate::Listener::bind_with) listens: a plain struct to fill in. End a literal with
/// `..ListenOptions::default()`: later versions add fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// How many sockets share the port, each with its own accept loop.
    ///
    /// Default 1. The kernel spreads new connections over them (`SO_REUSEPORT`), so accepting no longer goes through one task:
    /// worth it for many short connections on many cores. 0 counts as 1. More than one works on unix only; elsewhere it is an
    /// error.
    pub sockets: usize,

    /// Whether other sockets may listen on the same port, those of other processes of the same user included
    /// (`SO_REUSEPORT`): for a new process that takes over from an old one.
    ///
    /// Default false, so that a port in use is an error. More than one socket implies it.
    pub reuse_port: bool,

    /// How many connections wait in the kernel until they are accepted, for each socket.
    ///
    /// Default 4096; the kernel may lower it (`net.core.somaxconn`). Beyond it new clients wait and try again. Go: `somaxconn`.
    pub backlog: u32,

    /// Whether a socket for all IPv6 addresses, such as that of `":8080"`, takes IPv6 alone.
    ///
    /// Default false: one socket takes both, whatever the system's setting is.
    pub only_v6: bool,
}

impl Default for ListenOptions {
    fn default() -> Self {
        ListenOptions { sockets: 1, reuse_port: false, backlog: 4096, only_v6: false }
    }
}

impl ListenOptions {
    /// Opens the sockets on `addr`. With port 0 all get the port of the first.
    pub(crate) fn open(&self, mut addr: SocketAddr) -> io::Result<Vec<TcpListener>> {
        let mut sockets = Vec::new();
        for _ in 0..self.sockets.max(1) {
            let socket = self.open_one(addr)?;
            addr = socket.local_addr()?;
            sockets.push(socket);
        }
        Ok(sockets)
    }

    fn open_one(&self, addr: SocketAddr) -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        if addr.is_ipv6() {
            socket.set_only_v6(self.only_v6)?;
        }
        // On unix it lets a restarted server listen while old connections linger; on Windows it would let others steal the port.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        if self.reuse_port || self.sockets > 1 {
            share_port(&socket)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        socket.listen(i32::try_from(self.backlog).unwrap_or(i32::MAX))?;
        Ok(socket.into())
    }
}

#[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))))]
fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin")))))]
fn share_port(_: &Socket) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no SO_REUSEPORT"))
}
