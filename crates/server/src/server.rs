//! The server's public face.

use std::fmt;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use roundtrip_types::Handler;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::accept::Acceptor;
use crate::conn::Shared;
#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::tracker::{Open, Stage, Tracker};
use crate::{Error, ListenAddr, Listener, Result, ServerConfig, ServerStats, ShutdownReport, per_core};

/// An HTTP server around one handler: Go's `http.Server`.
///
/// Each connection has one task, which reads a request, calls the handler, writes the response and goes on to the next request
/// on the same connection. So a client's requests on one connection are answered in order, and those on different connections
/// run at the same time, on all threads of the runtime.
///
/// **Shape**: cheap to clone; clones are the same server. Dropping all of them stops nothing: a server runs until its
/// [`serve`](Self::serve) futures are dropped or it is [shut down](Self::shutdown).
///
/// # Examples
/// See the [crate's documentation](crate).
pub struct Server<H> {
    shared: Arc<Shared<H>>,
    tracker: Arc<Tracker>,
    slots: Option<Arc<Semaphore>>,
    hooks: Arc<Mutex<Vec<ShutdownHook>>>,
}

type ShutdownHook = Arc<dyn Fn() + Send + Sync>;

impl<H> Clone for Server<H> {
    fn clone(&self) -> Self {
        Server {
            shared: Arc::clone(&self.shared),
            tracker: Arc::clone(&self.tracker),
            slots: self.slots.clone(),
            hooks: Arc::clone(&self.hooks),
        }
    }
}

impl<H: Handler> Server<H> {
    /// A server with the default [`ServerConfig`].
    #[must_use]
    pub fn new(handler: H) -> Self {
        Server::with_config(handler, ServerConfig::default())
    }

    /// A server with settings of your own.
    #[must_use]
    pub fn with_config(handler: H, config: ServerConfig) -> Self {
        let slots = config.max_connections.map(|max| Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))));
        let tracker = Tracker::new(config.keep_alives);
        Server { shared: Arc::new(Shared::new(handler, config)), tracker, slots, hooks: Arc::default() }
    }

    /// Listens on `addr` and serves until the server is shut down: Go's `ListenAndServe`.
    ///
    /// # Errors
    /// The address does not parse or resolve, it cannot be listened on, or the server was shut down before. After a
    /// [`shutdown`](Self::shutdown) during the call the result is `Ok`. (Differs from Go, where `ErrServerClosed` marks that.)
    ///
    /// # Cancel safety
    /// As [`serve`](Self::serve).
    pub fn listen_and_serve<A: Into<ListenAddr>>(
        &self,
        addr: A,
    ) -> impl Future<Output = Result<()>> + Send + use<H, A> {
        let (server, addr) = (self.clone(), addr.into());
        async move { server.serve(addr.bind().await?).await }
    }

    /// Opens a listener, so that its port is known before [`serve`](Self::serve) runs: Go's `net.Listen`.
    ///
    /// # Errors
    /// The address does not parse or resolve, or it cannot be listened on.
    pub async fn listen(&self, addr: impl Into<ListenAddr>) -> Result<TcpListener> {
        addr.into().bind().await
    }

    /// Accepts connections from `listener` and serves them until the server is shut down: Go's `Serve`.
    ///
    /// `listener` is a [`Listener`], or any listening socket of tokio or `std`, TCP or unix. May run several times at once, on
    /// different listeners. The future borrows nothing, so it can be spawned as it is.
    ///
    /// # Errors
    /// The listener is broken, or the server had been shut down before the call. Want of file descriptors is not an error: the
    /// loop waits (5 ms, doubling to 1 s), and tells the [`ErrorLog`](crate::ErrorLog).
    ///
    /// # Cancel safety
    /// Dropping the future closes the listener. Connections that were accepted go on; [`shutdown`](Self::shutdown) and
    /// [`close`](Self::close) reach them.
    pub fn serve<L: Into<Listener>>(&self, listener: L) -> impl Future<Output = Result<()>> + Send + use<H, L> {
        let listener = listener.into();
        let acceptor = self.acceptor(&listener);
        async move { acceptor?.run(listener).await }
    }

    /// As [`serve`](Self::serve), with a thread for each socket of the listener: see [`ListenOptions::sockets`].
    ///
    /// Each thread has a runtime of its own, and a connection stays on the thread that accepted it: nothing of it ever moves
    /// between cores. That serves many short requests faster, and a core with long-lived, busy connections gets no help from the
    /// others; so measure before choosing it. Handlers run on these threads: what they spawn stays there, and what they share
    /// with other runtimes must not be bound to one.
    ///
    /// The threads end when the server is shut down and its last connection is closed.
    ///
    /// # Errors
    /// As [`serve`](Self::serve), and if a thread cannot be started. The first error stops all.
    ///
    /// # Cancel safety
    /// As [`serve`](Self::serve).
    ///
    /// [`ListenOptions::sockets`]: crate::ListenOptions::sockets
    pub fn serve_per_core<L: Into<Listener>>(
        &self,
        listener: L,
    ) -> impl Future<Output = Result<()>> + Send + use<H, L> {
        let listener = listener.into();
        let acceptor = self.acceptor(&listener);
        async move { per_core::run(acceptor?, listener).await }
    }

    /// Accepts connections from `listener` and speaks TLS on them: Go's `ServeTLS`.
    ///
    /// # Errors
    /// As [`serve`](Self::serve). A failed handshake is not an error: it is told to the [`ErrorLog`](crate::ErrorLog).
    ///
    /// # Cancel safety
    /// As [`serve`](Self::serve).
    #[cfg(feature = "tls")]
    pub fn serve_tls<L: Into<Listener>>(
        &self,
        listener: L,
        tls: Tls,
    ) -> impl Future<Output = Result<()>> + Send + use<H, L> {
        self.serve(listener.into().with_tls(tls))
    }

    /// Listens on `addr` and speaks TLS there until the server is shut down: Go's `ListenAndServeTLS`.
    ///
    /// # Errors
    /// As [`listen_and_serve`](Self::listen_and_serve).
    ///
    /// # Cancel safety
    /// As [`serve`](Self::serve).
    #[cfg(feature = "tls")]
    pub fn listen_and_serve_tls<A: Into<ListenAddr>>(
        &self,
        addr: A,
        tls: Tls,
    ) -> impl Future<Output = Result<()>> + Send + use<H, A> {
        let (server, addr) = (self.clone(), addr.into());
        async move { server.serve_tls(addr.bind().await?, tls).await }
    }

    /// What accept loops need; an error once the server was shut down.
    #[cfg_attr(not(feature = "tls"), allow(unused_variables, reason = "a plain listener says nothing more"))]
    fn acceptor(&self, listener: &Listener) -> Result<Acceptor<H>> {
        if *self.tracker.stage().borrow() > Stage::LameDuck {
            return Err(Error::closed());
        }
        Ok(Acceptor {
            shared: Arc::clone(&self.shared),
            tracker: Arc::clone(&self.tracker),
            slots: self.slots.clone(),
            #[cfg(feature = "tls")]
            tls: listener.tls.clone(),
        })
    }

    /// Stops gracefully: Go's `Shutdown`.
    ///
    /// Listeners close at once. A connection with a request in progress finishes its response, which says `Connection: close` if
    /// its head was not sent yet. One that is idle closes as soon as it has been so for
    /// [`shutdown_drain`](ServerConfig::shutdown_drain), and answers what its client had sent before it could know; one that has
    /// carried no request yet is given 5 s from its start for its first. HTTP/2 connections are told to send nothing new. What is
    /// left after `deadline` is cut. Returns when every connection is closed; those that handlers have taken over are not waited
    /// for, but told by [`ResponseController::stopping`](crate::ResponseController::stopping). A server that was shut down stays
    /// so.
    ///
    /// Without a deadline of your own, pass [`Duration::MAX`].
    ///
    /// # Cancel safety
    /// Dropping the future drops the deadline: the server goes on stopping, without a limit. Call it again to set a new one.
    pub async fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        let open = self.tracker.advance(Stage::Draining);
        self.run_hooks();
        self.stop_listening().await;
        if tokio::time::timeout(deadline, self.tracker.all_closed()).await.is_ok() {
            return ShutdownReport { finished: open.all, cut: 0 };
        }
        let cut = self.cut().await.busy;
        ShutdownReport { finished: open.all.saturating_sub(cut), cut }
    }

    /// Stops at once: Go's `Close`. Listeners and connections are closed where they stand; handlers are dropped at their next
    /// await point. Returns when every connection is closed, or after 1 s if a handler blocks its thread and so cannot be
    /// dropped; [`stats`](Self::stats) then still counts its connection as open. Connections that handlers have taken over are
    /// theirs.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing: the connections are closed all the same.
    pub async fn close(&self) -> ShutdownReport {
        ShutdownReport { finished: 0, cut: self.cut().await.all }
    }

    /// Waits until the accept loops have let go of their sockets, so that whoever comes after is refused. A `serve` that nobody polls
    /// any more cannot do so; it is not waited for beyond a moment.
    async fn stop_listening(&self) {
        let _ = tokio::time::timeout(LISTEN_GRACE, self.tracker.none_listening()).await;
    }

    async fn cut(&self) -> Open {
        let open = self.tracker.advance(Stage::Cut);
        self.stop_listening().await;
        // Too late is no failure here: nothing more can be done about a thread that is blocked.
        let _ = tokio::time::timeout(CUT_GRACE, self.tracker.all_closed()).await;
        open
    }

    /// From now on each response says `Connection: close` and ends its connection, while listeners go on accepting: so clients
    /// and balancers move elsewhere before [`shutdown`](Self::shutdown), and nobody is refused. Cannot be taken back.
    pub fn lame_duck(&self) {
        self.tracker.advance(Stage::LameDuck);
    }

    /// Has `hook` called when a shutdown begins, by each call of [`shutdown`](Self::shutdown): Go's `RegisterOnShutdown`. It runs
    /// inside that call and must not block; to wait for something, have it spawn a task.
    pub fn on_shutdown(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.lock_hooks().push(Arc::new(hook));
    }

    fn run_hooks(&self) {
        let hooks = self.lock_hooks().clone();
        for hook in hooks {
            hook();
        }
    }

    fn lock_hooks(&self) -> MutexGuard<'_, Vec<ShutdownHook>> {
        // Nothing under this lock can leave it half done.
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether connections may carry more than one request, from now on: Go's `SetKeepAlivesEnabled`. When switched off, idle
    /// connections close once they have been idle for [`shutdown_drain`](ServerConfig::shutdown_drain), and each response says
    /// `Connection: close`; HTTP/2 connections that have carried a request are told to go away.
    pub fn set_keep_alives(&self, enabled: bool) {
        self.tracker.keep_alives.store(enabled, Ordering::Relaxed);
        self.tracker.wake_all();
    }

    /// What the server has done so far. Takes a lock that connections take only when they open and close.
    #[must_use]
    pub fn stats(&self) -> ServerStats {
        self.tracker.stats()
    }
}

/// How long a stop waits for accept loops that were told to drop their sockets.
const LISTEN_GRACE: Duration = Duration::from_millis(100);

/// How long `close` waits for tasks that were told to drop their connection.
const CUT_GRACE: Duration = Duration::from_secs(1);

impl<H> fmt::Debug for Server<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("config", &self.shared.config).field("stats", &self.tracker.stats()).finish()
    }
}
