//! The accept loop.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use roundtrip_types::Handler;
use tokio::net::{TcpListener, TcpStream};

use crate::conn::{self, Shared};
use crate::info::{Addr, ConnInfo};
use crate::stream::Stream;
use crate::tracker::{Stage, Tracker};
use crate::{Error, Result, ServerEvent};

/// Accepts connections and gives each a task, until the server stops. Never waits for a connection or a handler.
pub(crate) async fn run<H: Handler>(
    listener: TcpListener,
    shared: Arc<Shared<H>>,
    tracker: Arc<Tracker>,
) -> Result<()> {
    let addr = listener.local_addr().map_err(|cause| Error::accept("a listener without an address", cause))?;
    let mut stage = tracker.stage();
    let mut stopping = pin!(async move {
        // An error means that the tracker is gone, which cannot be while we hold it.
        let _ = stage.wait_for(|stage| *stage > Stage::LameDuck).await;
    });
    let mut trouble = Backoff::default();
    loop {
        let accepted = std::future::poll_fn(|cx| match stopping.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => listener.poll_accept(cx).map(Some),
        });
        match accepted.await {
            None => return Ok(()),
            Some(Ok((stream, peer))) => {
                trouble = Backoff::default();
                start(stream, peer, &shared, &tracker);
            }
            Some(Err(cause)) => match classify(&cause) {
                Trouble::OfThatConnection => {}
                Trouble::OfTheListener => return Err(Error::accept(addr, cause)),
                Trouble::MayPass => {
                    if trouble.is_new() {
                        shared.config.error_log.tell(&ServerEvent::AcceptFailed { listener: addr, cause: &cause });
                    }
                    let mut pause = pin!(tokio::time::sleep(trouble.next()));
                    let stopped = std::future::poll_fn(|cx| match stopping.as_mut().poll(cx) {
                        Poll::Ready(()) => Poll::Ready(true),
                        Poll::Pending => pause.as_mut().poll(cx).map(|()| false),
                    });
                    if stopped.await {
                        return Ok(());
                    }
                }
            },
        }
    }
}

fn start<H: Handler>(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared<H>>, tracker: &Arc<Tracker>) {
    // Small responses go out at once; failing to say so costs speed only.
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr().map_or(Addr::Unnamed, Addr::Tcp);
    open(Stream::Tcp(stream), ConnInfo::new(peer.into(), local), shared, tracker);
}

/// Gives a new connection its task. Whatever a stream needs before it can carry HTTP, such as a handshake, belongs into that
/// task, never in here.
fn open<H: Handler>(stream: Stream, info: ConnInfo, shared: &Arc<Shared<H>>, tracker: &Arc<Tracker>) {
    // A connection that comes in as the server stops is closed unserved, as those still in the backlog will be.
    if let Some(tracked) = tracker.open(info, &shared.config) {
        tokio::spawn(conn::serve(stream, Arc::clone(shared), tracked));
    }
}

/// What a failed accept says about the next one.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// The peer hung up before it was accepted.
    OfThatConnection,
    /// No file descriptors, no memory, a firewall's whim: wait and try again.
    MayPass,
    /// This is no listening socket (any more).
    OfTheListener,
}

fn classify(cause: &io::Error) -> Trouble {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, InvalidInput};
    match cause.kind() {
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted => Trouble::OfThatConnection,
        InvalidInput => Trouble::OfTheListener,
        _ => Trouble::MayPass,
    }
}

/// Pauses of 5 ms, doubling to 1 s, as Go's `Server.Serve` makes them.
#[derive(Default)]
struct Backoff(Option<Duration>);

impl Backoff {
    fn is_new(&self) -> bool {
        self.0.is_none()
    }

    fn next(&mut self) -> Duration {
        let pause = self.0.map_or(FIRST_PAUSE, |last| (last * 2).min(LONGEST_PAUSE));
        self.0 = Some(pause);
        pause
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_5_ms_to_1_s() {
        let mut backoff = Backoff::default();
        assert!(backoff.is_new());
        let pauses: Vec<u128> = (0..10).map(|_| backoff.next().as_millis()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert!(!backoff.is_new());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn out_of_descriptors_may_pass_and_a_hung_up_peer_concerns_nobody() {
        const EMFILE: i32 = 24;
        const ECONNABORTED: i32 = 103;
        assert_eq!(classify(&io::Error::from_raw_os_error(EMFILE)), Trouble::MayPass);
        assert_eq!(classify(&io::Error::from_raw_os_error(ECONNABORTED)), Trouble::OfThatConnection);
    }
}
