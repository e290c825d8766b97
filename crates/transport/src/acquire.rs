//! Getting a connection: from the pool at once, or by waiting for whatever comes first, one that another request gives back or one that
//! is opened.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use roundtrip_types::{Error, ErrorKind, Phase, Result};
use tokio::runtime::Handle;

use crate::config::Reuse;
use crate::events::{Connected, Events};
use crate::key::Key;
use crate::mux::Mux;
use crate::net::{Alpn, Dialed};
use crate::pool::{CloseReason, DialId, Refused, Waited, WaiterId};
use crate::prepare::Prepared;
use crate::shared::{Checkout, Got, Opened, Shared};
use crate::timers::{Deadline, Timers};

/// A connection for `request`.
///
/// # Cancel safety
/// Dropping the future gives up the place in the queue. What it had been given goes to the next, and a dial that it had begun goes on for
/// others, in a task of its own.
pub(crate) async fn acquire(shared: &Arc<Shared>, request: &Prepared<'_>, timers: &mut Timers) -> Result<Got> {
    if let Some(events) = request.events() {
        events.get_conn(&request.key().to_string());
    }
    match shared.checkout(request.key(), request.reuse() == Reuse::Pooled) {
        Checkout::Got(got) => Ok(got),
        // Boxed, because it is rare and large: every request's future would have room for it.
        Checkout::Wait(waiter) => Box::pin(wait(shared, request, timers, waiter)).await,
        Checkout::Refused(refused) => Err(refusal(request, refused)),
    }
}

async fn wait(shared: &Arc<Shared>, request: &Prepared<'_>, timers: &mut Timers, waiter: WaiterId) -> Result<Got> {
    let queue = Deadline::new(request.wait_timeout(), "wait_timeout");
    let mut waiting = Waiting { shared, request, waiter: Some(waiter), dial: None, queue };
    let mut found = None;
    loop {
        let got = match found.take() {
            Some(got) => Some(got),
            None => poll_fn(|cx| waiting.poll(timers, cx)).await?,
        };
        match got {
            Some(Got::Conn(mut lease)) => {
                if !lease.reused || lease.conn_mut().is_usable() {
                    return Ok(Got::Conn(lease));
                }
                lease.fate = CloseReason::ClosedByPeer;
            }
            Some(stream) => return Ok(stream),
            None => {}
        }
        // It died on the way here. The next place is the first of the queue: this request has waited long enough.
        match shared.checkout_again(request.key()) {
            // Looked at in the next round.
            Checkout::Got(got) => found = Some(got),
            Checkout::Wait(waiter) => waiting.waiter = Some(waiter),
            Checkout::Refused(refused) => return Err(refusal(request, refused)),
        }
    }
}

/// A place in the queue, and perhaps a dial.
struct Waiting<'a> {
    shared: &'a Arc<Shared>,
    request: &'a Prepared<'a>,
    /// `None` once it has ended.
    waiter: Option<WaiterId>,
    dial: Option<Dialing>,
    queue: Option<Deadline>,
}

impl Waiting<'_> {
    /// Ready with `None` if the connection that it was given has died.
    fn poll(&mut self, timers: &mut Timers, cx: &mut Context<'_>) -> Poll<Result<Option<Got>>> {
        loop {
            let waiter = self.waiter.as_ref().expect("polled until it is ready, and not after");
            match self.shared.look(waiter, cx.waker()) {
                Waited::Served => return Poll::Ready(Ok(self.collect())),
                Waited::Refused(refused) => return Poll::Ready(Err(refusal(self.request, refused))),
                Waited::Dial(id) => {
                    self.dial = Some(Dialing::start(self.shared, self.request, id));
                    // To be woken if something else comes first, it has to look once more.
                    continue;
                }
                Waited::Offered => match self.shared.share(self.request.key(), &mut self.waiter) {
                    Some(stream) => return Poll::Ready(Ok(Some(Got::Stream(stream)))),
                    None => continue,
                },
                Waited::Pending => {}
            }
            if let Some(dial) = &mut self.dial
                && let Poll::Ready(done) = dial.poll(cx)
            {
                let id = dial.id;
                match done {
                    Ok(opened) => {
                        if let Some(dial) = self.dial.take() {
                            dial.done();
                        }
                        let stream = self.shared.dialed(self.request.key(), id, opened, &mut self.waiter);
                        if let Some(stream) = stream {
                            return Poll::Ready(Ok(Some(Got::Stream(stream))));
                        }
                        // Served now, or another has come first and this one serves somebody else.
                        continue;
                    }
                    Err(error) => {
                        // Dropping it says so to the pool.
                        self.dial = None;
                        return Poll::Ready(self.dial_failed(error, cx));
                    }
                }
            }
            let queue = if self.dial.is_none() { self.queue } else { None };
            return timers.poll(queue, cx).map(|due| {
                let (what, phase) = match &self.dial {
                    None => ("no connection was free", Phase::Queue),
                    Some(_) => ("no connection was opened", Phase::Connect),
                };
                Err(due.error(what, phase))
            });
        }
    }

    fn collect(&mut self) -> Option<Got> {
        self.waiter.take().and_then(|waiter| self.shared.collect(self.request.key(), waiter))
    }

    /// The request's own dial has failed; a connection may have been handed over at that moment all the same.
    fn dial_failed(&mut self, error: Error, cx: &mut Context<'_>) -> Result<Option<Got>> {
        let waiter = self.waiter.as_ref().expect("polled until it is ready, and not after");
        if self.shared.look(waiter, cx.waker()) == Waited::Served { Ok(self.collect()) } else { Err(error) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            self.shared.give_up(self.request.key(), waiter);
        }
        if let Some(dial) = self.dial.take() {
            dial.detach(self.shared);
        }
    }
}

/// A connection being opened. Dropped before it is done, it tells the pool that it failed.
pub(crate) struct Dialing {
    id: DialId,
    key: Key,
    future: Pin<Box<dyn Future<Output = Result<Opened>> + Send>>,
    /// `None` once the dial was accounted for.
    shared: Option<Weak<Shared>>,
}

impl Dialing {
    fn start(shared: &Arc<Shared>, request: &Prepared<'_>, id: DialId) -> Self {
        Dialing::new(shared, request.key(), request.connect_timeout(), request.events().cloned(), id)
    }

    pub(crate) fn new(
        shared: &Arc<Shared>,
        key: &Key,
        limit: Option<Duration>,
        events: Option<Arc<dyn Events>>,
        id: DialId,
    ) -> Self {
        let future = Box::pin(open(shared, key, limit, events));
        Dialing { id, key: key.clone(), future, shared: Some(Arc::downgrade(shared)) }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Opened>> {
        self.future.as_mut().poll(cx)
    }

    /// It has opened a connection, for which the caller accounts.
    fn done(mut self) {
        self.shared = None;
    }

    /// Goes on in a task of its own, if anybody may want the connection.
    fn detach(self, shared: &Arc<Shared>) {
        let id = self.id;
        // Without a runtime nothing can go on; dropping the dial says so to the pool.
        if let (true, Ok(runtime)) = (shared.is_wanted(id), Handle::try_current()) {
            let task = runtime.spawn(self.run());
            shared.driven(id, task.abort_handle());
        }
    }

    /// Drives the dial to its end and enters the connection.
    pub(crate) async fn run(mut self) -> Result<()> {
        let dialed = poll_fn(|cx| self.poll(cx)).await?;
        let shared = self.shared.take().and_then(|shared| shared.upgrade());
        if let Some(shared) = shared {
            // Nobody waits for a place in it here.
            drop(shared.dialed(&self.key, self.id, dialed, &mut None));
        }
        Ok(())
    }
}

/// Opens a connection, and starts HTTP/2 on it if that is what is spoken.
///
/// # Cancel safety
/// Dropping the future closes what was opened.
pub(crate) fn open(
    shared: &Arc<Shared>,
    key: &Key,
    limit: Option<Duration>,
    events: Option<Arc<dyn Events>>,
) -> impl Future<Output = Result<Opened>> + Send + use<> {
    let (host, connector) = (key.clone(), Arc::clone(&shared.connector));
    let (config, owner) = (shared.config.load_full(), Arc::downgrade(shared));
    async move {
        if let Some(events) = &events {
            events.connect_start(&host.to_string());
        }
        let done = connector.connect(&host.target(), host.proxy(), host.alpn(), limit).await;
        if let Some(events) = &events {
            let connected = done.as_ref().map(Connected::of);
            events.connect_done(&host.to_string(), connected.as_ref().map_err(|error| *error));
        }
        let dialed = done?;
        let is_http2 = match host.alpn() {
            Alpn::Http1 => false,
            Alpn::Http2OrHttp1 => dialed.info.alpn() == Some(b"h2"),
            // With prior knowledge, or agreed on.
            Alpn::Http2 => true,
        };
        if !is_http2 {
            return Ok(Opened::One(dialed));
        }
        Mux::start(dialed, &host, &config, owner).await.map(Opened::Many)
    }
}

impl Drop for Dialing {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take().and_then(|shared| shared.upgrade()) {
            shared.dial_failed(self.id);
        }
    }
}

impl Connected {
    fn of(dialed: &Dialed) -> Self {
        let Dialed { info, dns, connect, proxy, tls, .. } = dialed;
        Connected { info: info.clone(), dns: *dns, connect: *connect, proxy: *proxy, tls: *tls }
    }
}

#[cold]
fn refusal(request: &Prepared<'_>, refused: Refused) -> Error {
    let error = match refused {
        Refused::QueueFull { waiting } => Error::new(
            ErrorKind::Overloaded,
            format!("{waiting} requests wait for a connection to {} already (max_waiters_per_host)", request.key()),
        ),
        Refused::Shutdown => Error::new(ErrorKind::Canceled, "the transport was shut down"),
    };
    error.with_phase(Phase::Queue)
}
