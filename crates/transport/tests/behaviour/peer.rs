//! A server of whichever protocol, from which a test takes the requests as they come.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, watch};

use super::exchange::Exchange;
use super::rig::Protocol;
use super::{certificates, http1, http2};

/// What carries bytes both ways.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

/// A server on a port of its own.
pub(crate) struct Peer {
    protocol: Protocol,
    pub(crate) addr: SocketAddr,
    exchanges: Mutex<mpsc::UnboundedReceiver<Exchange>>,
    counts: Arc<Counts>,
    /// How often the connections were told to go away.
    leaving: watch::Sender<usize>,
}

/// Of connections.
#[derive(Default)]
pub(crate) struct Counts {
    accepted: AtomicUsize,
    ended: AtomicUsize,
    /// Those whose client ended TLS in order.
    goodbyes: AtomicUsize,
}

/// What a connection of a server needs to know.
#[derive(Clone)]
pub(crate) struct Doorway {
    /// Where its requests go.
    pub(crate) exchanges: mpsc::UnboundedSender<Exchange>,
    /// Changes when it is to close as soon as it carries no request.
    pub(crate) leaving: watch::Receiver<usize>,
}

impl Peer {
    pub(crate) async fn start(protocol: Protocol) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (tell, exchanges) = mpsc::unbounded_channel();
        let (leaving, leave) = watch::channel(0);
        let counts = Arc::new(Counts::default());
        let peer = Peer { protocol, addr, exchanges: Mutex::new(exchanges), counts: Arc::clone(&counts), leaving };
        let acceptor = certificates::acceptor(if protocol.is_http2() { "h2" } else { "http/1.1" });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                counts.accepted.fetch_add(1, Ordering::SeqCst);
                let mut leaving = leave.clone();
                leaving.mark_unchanged();
                let doorway = Doorway { exchanges: tell.clone(), leaving };
                let (acceptor, counts) = (acceptor.clone(), Arc::clone(&counts));
                tokio::spawn(async move {
                    if protocol.is_tls() {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            let stream = Listening { stream, counts: Arc::clone(&counts), ended: false };
                            talk(protocol, stream, doorway).await;
                        }
                    } else {
                        talk(protocol, stream, doorway).await;
                    }
                    counts.ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        peer
    }

    /// Has each request answered by `handler`, in a task of its own.
    pub(crate) fn serving<F, Fut>(mut self, handler: F) -> Self
    where
        F: Fn(Exchange) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (_, nothing) = mpsc::unbounded_channel();
        let mut exchanges = std::mem::replace(self.exchanges.get_mut(), nothing);
        tokio::spawn(async move {
            while let Some(exchange) = exchanges.recv().await {
                tokio::spawn(handler(exchange));
            }
        });
        self
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.protocol.is_tls() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.authority())
    }

    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", certificates::NAME, self.addr.port())
    }

    /// The next request.
    pub(crate) async fn next(&self) -> Exchange {
        self.exchanges.lock().await.recv().await.expect("the server listens")
    }

    /// How many connections there have been.
    pub(crate) fn accepted(&self) -> usize {
        self.counts.accepted.load(Ordering::SeqCst)
    }

    /// How many connections are over.
    pub(crate) fn ended(&self) -> usize {
        self.counts.ended.load(Ordering::SeqCst)
    }

    /// How many connections the client ended in order, in terms of TLS.
    pub(crate) fn goodbyes(&self) -> usize {
        self.counts.goodbyes.load(Ordering::SeqCst)
    }

    /// Closes the connections that carry no request, and the others when theirs are answered.
    pub(crate) fn leave(&self) {
        self.leaving.send_modify(|times| *times += 1);
    }
}

async fn talk(protocol: Protocol, stream: impl Io, doorway: Doorway) {
    if protocol.is_http2() {
        http2::serve(stream, doorway).await;
    } else {
        http1::serve(Box::new(stream), doorway).await;
    }
}

/// TLS, and an ear for its end.
struct Listening<T> {
    stream: T,
    counts: Arc<Counts>,
    ended: bool,
}

impl<T: Io> AsyncRead for Listening<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        // Without `close_notify`, rustls makes an error of the end.
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() == before && !std::mem::replace(&mut self.ended, true) {
            self.counts.goodbyes.fetch_add(1, Ordering::SeqCst);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: Io> AsyncWrite for Listening<T> {
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
