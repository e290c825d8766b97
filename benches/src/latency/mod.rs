//! A simulated distance: servers on this machine, reached as if a round trip took a while.
//!
//! The handshake takes one round trip, and each byte half of one in each direction, on top of what loopback takes. There is no loss and no
//! limit of bandwidth or of a congestion window, so a body costs no more round trips than its first byte. A thread wakes whoever waits,
//! to some ten microseconds; [`measured`] says what a round trip really took.

mod clock;
mod stream;

use std::time::{Duration, Instant};

use roundtrip_transport::{Connection, Dial, DialFuture, Target};
use roundtrip_types::{Error, ErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub use self::stream::Distant;

/// Reaches every server as if it were this far away.
#[derive(Clone, Copy, Debug)]
pub struct Distance {
    /// How long a byte takes to the server and its answer back.
    pub round_trip: Duration,
}

impl Dial for Distance {
    fn dial<'a>(&'a self, target: &'a Target) -> DialFuture<'a> {
        Box::pin(async move {
            let failed = |cause| Error::new(ErrorKind::Connect, format!("connect {target}")).with_cause(cause);
            let begun = Instant::now();
            let socket = TcpStream::connect((target.host(), target.port())).await.map_err(failed)?;
            socket.set_nodelay(true).map_err(failed)?;
            let peer = socket.peer_addr().map_err(failed)?;
            clock::sleep_until(begun + self.round_trip).await;
            Ok(Connection::new(Distant::new(socket, self.round_trip / 2)).peer(peer))
        })
    }
}

/// Waits, as exactly as bytes do that are under way.
pub async fn sleep(time: Duration) {
    clock::sleep_until(Instant::now() + time).await;
}

/// What round trips really take over a simulated distance: a byte there and one back, `count` times.
///
/// # Errors
/// The connection failed.
pub async fn measured(round_trip: Duration, count: usize) -> std::io::Result<Vec<Duration>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let socket = TcpStream::connect(listener.local_addr()?).await?;
    let (mut server, _) = listener.accept().await?;
    socket.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let mut client = Distant::new(socket, round_trip / 2);
    let echo = async {
        let mut byte = [0];
        for _ in 0..count {
            server.read_exact(&mut byte).await?;
            server.write_all(&byte).await?;
        }
        Ok(())
    };
    let ping = async {
        let mut took = Vec::with_capacity(count);
        let mut byte = [0];
        for _ in 0..count {
            let begun = Instant::now();
            client.write_all(&[7]).await?;
            client.read_exact(&mut byte).await?;
            took.push(begun.elapsed());
        }
        Ok(took)
    };
    tokio::try_join!(ping, echo).map(|(took, ())| took)
}

#[cfg(test)]
mod tests;
