//! Servers inside the program, so that time can be paused and nothing but the seed decides what happens when.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use roundtrip_transport::{ConnectConfig, Connection, Dial, DialFuture, Dialer, Target};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

type Serve = dyn Fn(DuplexStream, usize) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// Where connections lead to.
pub(crate) struct InMemory {
    serve: Box<Serve>,
    counts: Arc<Counts>,
}

/// Of connections.
#[derive(Default)]
pub(crate) struct Counts {
    dialed: AtomicUsize,
    /// Ends of the transport that it has not dropped.
    open: AtomicUsize,
    /// Tasks of servers that have not ended.
    served: AtomicUsize,
}

impl Counts {
    pub(crate) fn dialed(&self) -> usize {
        self.dialed.load(Ordering::SeqCst)
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    pub(crate) fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }
}

impl InMemory {
    /// Has each connection served by `serve`, which is told how many there were before.
    pub(crate) fn serving<F, Fut>(serve: F) -> (ConnectConfig, Arc<Counts>)
    where
        F: Fn(DuplexStream, usize) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let counts = Arc::new(Counts::default());
        let serve =
            Box::new(move |stream, nth| Box::pin(serve(stream, nth)) as Pin<Box<dyn Future<Output = ()> + Send>>);
        let dial = Dialer::Custom(Arc::new(InMemory { serve, counts: Arc::clone(&counts) }));
        (ConnectConfig { dial, ..ConnectConfig::default() }, counts)
    }
}

impl Dial for InMemory {
    fn dial<'a>(&'a self, _: &'a Target) -> DialFuture<'a> {
        Box::pin(async move {
            let (ours, theirs) = tokio::io::duplex(64 << 10);
            let serving = (self.serve)(theirs, self.counts.dialed.fetch_add(1, Ordering::SeqCst));
            let served = Counted::new(&self.counts, |counts| &counts.served);
            tokio::spawn(async move {
                serving.await;
                drop(served);
            });
            let open = Counted::new(&self.counts, |counts| &counts.open);
            Ok(Connection::new(Open { stream: ours, _open: open }))
        })
    }
}

/// Counts itself while it lives.
struct Counted(Arc<Counts>, fn(&Counts) -> &AtomicUsize);

impl Counted {
    fn new(counts: &Arc<Counts>, which: fn(&Counts) -> &AtomicUsize) -> Self {
        which(counts).fetch_add(1, Ordering::SeqCst);
        Counted(Arc::clone(counts), which)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.1)(&self.0).fetch_sub(1, Ordering::SeqCst);
    }
}

/// The transport's end.
struct Open {
    stream: DuplexStream,
    _open: Counted,
}

impl AsyncRead for Open {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Open {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
