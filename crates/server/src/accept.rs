//! The accept loop.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use roundtrip_types::Handler;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::conn::{self, Shared};
use crate::info::{Addr, ConnInfo};
use crate::listener::{Listener, Socket};
use crate::stream::Stream;
#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::tracker::{Stage, Tracker};
use crate::{Error, Result, ServerEvent};

/// What every accept loop of a server needs. Cheap to clone.
pub(crate) struct Acceptor<H> {
    pub(crate) shared: Arc<Shared<H>>,
    pub(crate) tracker: Arc<Tracker>,
    /// A permit for each connection that may be open.
    pub(crate) slots: Option<Arc<Semaphore>>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Tls>,
}

impl<H> Clone for Acceptor<H> {
    fn clone(&self) -> Self {
        Acceptor {
            shared: Arc::clone(&self.shared),
            tracker: Arc::clone(&self.tracker),
            slots: self.slots.clone(),
            #[cfg(feature = "tls")]
            tls: self.tls.clone(),
        }
    }
}

impl<H: Handler> Acceptor<H> {
    /// Accepts from all sockets of a listener until the server stops.
    pub(crate) async fn run(self, listener: Listener) -> Result<()> {
        #[cfg(unix)]
        let _file = listener.file;
        let mut sockets = listener.sockets;
        if sockets.len() == 1
            && let Some(socket) = sockets.pop()
        {
            return self.run_one(socket).await;
        }
        // Dropping the set, with this future, ends the loops.
        let mut loops = JoinSet::new();
        for socket in sockets {
            loops.spawn(self.clone().run_one(socket));
        }
        while let Some(ended) = loops.join_next().await {
            ended.unwrap_or_else(|stopped| match stopped.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going down.
                Err(_) => Ok(()),
            })?;
        }
        Ok(())
    }

    /// Accepts connections and gives each a task, until the server stops. Never waits for a handshake or a handler.
    pub(crate) async fn run_one(self, socket: Socket) -> Result<()> {
        let addr = socket.local_addr();
        // Declared before the socket, and so dropped after it.
        let _listening = self.tracker.listens();
        let socket = socket.register().map_err(|cause| Error::accept(&addr, cause))?;
        let mut stage = self.tracker.stage();
        let mut stopping = pin!(async move {
            // An error means that the tracker is gone, which cannot be while we hold it.
            let _ = stage.wait_for(|stage| *stage > Stage::LameDuck).await;
        });
        let mut trouble = Backoff::default();
        let (mut tell_trouble, mut tell_limit) = (Seldom::default(), Seldom::default());
        loop {
            let accepted = unless(stopping.as_mut(), std::future::poll_fn(|cx| socket.poll_accept(cx))).await;
            match accepted {
                None => return Ok(()),
                Some(Ok((stream, remote))) => {
                    trouble = Backoff::default();
                    let permit = match self.free_slot() {
                        Some(permit) => permit,
                        None => match unless(stopping.as_mut(), self.slot(&addr, &mut tell_limit)).await {
                            Some(permit) => permit,
                            None => return Ok(()),
                        },
                    };
                    let local = match &stream {
                        Stream::Tcp(stream) => stream.local_addr().map_or(Addr::Unnamed, Addr::Tcp),
                        _ => addr.clone(),
                    };
                    if self.open(stream, ConnInfo::new(remote, local), permit).is_none() {
                        return Ok(());
                    }
                }
                Some(Err(cause)) => match classify(&cause) {
                    Trouble::OfThatConnection => {}
                    Trouble::OfTheListener => return Err(Error::accept(addr, cause)),
                    Trouble::MayPass => {
                        if tell_trouble.is_due() {
                            self.tell(&ServerEvent::AcceptFailed { listener: &addr, cause: &cause });
                        }
                        if unless(stopping.as_mut(), tokio::time::sleep(trouble.next())).await.is_none() {
                            return Ok(());
                        }
                    }
                },
            }
        }
    }

    /// Leave to open a connection, if there is a place for it now: the permit, where permits are needed.
    #[inline]
    fn free_slot(&self) -> Option<Option<OwnedSemaphorePermit>> {
        match &self.slots {
            Some(slots) => Arc::clone(slots).try_acquire_owned().ok().map(Some),
            None => Some(None),
        }
    }

    /// The same, however long it takes. The one that has to wait for it is accepted already, those behind it wait in the kernel.
    ///
    /// Waiting before accepting would let a loop keep the last permit while another one's sockets have the clients.
    async fn slot(&self, addr: &Addr, tell: &mut Seldom) -> Option<OwnedSemaphorePermit> {
        let slots = self.slots.as_ref()?;
        if tell.is_due() {
            let limit = self.shared.config.max_connections.unwrap_or_default();
            self.tell(&ServerEvent::ConnectionLimit { listener: addr, limit });
        }
        // Nobody closes the semaphore.
        Arc::clone(slots).acquire_owned().await.ok()
    }

    /// Gives a new connection its task. Whatever a stream needs before it can carry HTTP, such as a handshake, belongs into that
    /// task, never in here.
    ///
    /// `None` if the server is stopping: the connection is closed unserved then, as those still in the backlog will be.
    fn open(&self, stream: Stream, info: ConnInfo, permit: Option<OwnedSemaphorePermit>) -> Option<()> {
        let mut tracked = self.tracker.open(info, &self.shared.config)?;
        tracked.permit = permit;
        let shared = Arc::clone(&self.shared);
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls.clone() {
            tokio::spawn(async move {
                // Boxed, so that the task does not keep the handshake's room for the connection's whole life.
                if let Some((stream, settled)) = Box::pin(tls.handshake(stream, &tracked)).await {
                    tracked.settle(settled);
                    conn::serve(stream, shared, tracked).await;
                }
            });
            return Some(());
        }
        tokio::spawn(conn::serve(stream, shared, tracked));
        Some(())
    }

    fn tell(&self, event: &ServerEvent<'_>) {
        self.shared.config.error_log.tell(event);
    }
}

/// The output of `future`, or `None` if that has to be waited for and `stop` is over first. `stop` is not to be polled again then.
async fn unless<F: Future>(mut stop: Pin<&mut impl Future<Output = ()>>, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx: &mut Context<'_>| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => stop.as_mut().poll(cx).map(|()| None),
    })
    .await
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
    fn next(&mut self) -> Duration {
        let pause = self.0.map_or(FIRST_PAUSE, |last| (last * 2).min(LONGEST_PAUSE));
        self.0 = Some(pause);
        pause
    }
}

/// Says a thing at most once in a while, however often it happens: at a limit it happens with every connection.
#[derive(Default)]
struct Seldom(Option<Instant>);

impl Seldom {
    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let due = self.0.is_none_or(|last| now.duration_since(last) >= TELL_AGAIN);
        if due {
            self.0 = Some(now);
        }
        due
    }
}

const TELL_AGAIN: Duration = Duration::from_secs(10);

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_5_ms_to_1_s() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u128> = (0..10).map(|_| backoff.next().as_millis()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_on_is_told_every_ten_seconds() {
        let mut seldom = Seldom::default();
        assert!(seldom.is_due());
        tokio::time::advance(Duration::from_millis(9_999)).await;
        assert!(!seldom.is_due());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(seldom.is_due() && !seldom.is_due());
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
