//! Stopping when the system says so.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use roundtrip_types::Handler;

use crate::{Server, ShutdownReport};

impl<H: Handler> Server<H> {
    /// Waits until the process is told to stop, by SIGTERM or SIGINT (Ctrl-C), and then [shuts down](Server::shutdown) within
    /// `deadline`. A second signal [cuts](Server::close) what is left.
    ///
    /// The signals are caught from this call on, not only once the future is polled, and no longer end the process by themselves:
    /// call it before you say that the server is there. Outside of unix Ctrl-C alone counts.
    ///
    /// # Errors
    /// The system does not let signals be caught.
    ///
    /// # Panics
    /// Outside of a tokio runtime, and in one that was built without its I/O driver.
    ///
    /// # Cancel safety
    /// Dropping the future before a signal has come changes nothing, but that the signals stay caught; later it is as with
    /// [`shutdown`](Server::shutdown).
    ///
    /// # Examples
    /// ```no_run
    /// use roundtrip_server::Server;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::new(|_req| async { "hello" });
    /// let stopping = server.shutdown_on_signal(Duration::from_secs(10));
    /// let serving = tokio::spawn(server.listen_and_serve(":8080"));
    /// let report = stopping.await?;
    /// println!("{} connections finished, {} cut", report.finished, report.cut);
    /// serving.await??;
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown_on_signal(
        &self,
        deadline: Duration,
    ) -> impl Future<Output = io::Result<ShutdownReport>> + Send + use<H> {
        let (server, signals) = (self.clone(), Signals::catch());
        async move {
            let mut signals = signals?;
            std::future::poll_fn(|cx| signals.poll(cx)).await;
            let mut stopping = pin!(server.shutdown(deadline));
            let stopped = std::future::poll_fn(|cx| match stopping.as_mut().poll(cx) {
                Poll::Ready(report) => Poll::Ready(Some(report)),
                Poll::Pending => signals.poll(cx).map(|()| None),
            });
            match stopped.await {
                Some(report) => Ok(report),
                None => Ok(server.close().await),
            }
        }
    }
}

/// Waits until the process is told to stop: by SIGTERM or SIGINT, elsewhere than on unix by Ctrl-C. For programs that have more to
/// do then than [`Server::shutdown_on_signal`] does.
///
/// The signals are caught from this call on, and no longer end the process by themselves.
///
/// # Errors
/// The system does not let signals be caught.
///
/// # Panics
/// As [`Server::shutdown_on_signal`].
///
/// # Cancel safety
/// A signal that comes after the future was dropped is caught, and lost.
pub fn stop_signal() -> impl Future<Output = io::Result<()>> + Send {
    let signals = Signals::catch();
    async move {
        let mut signals = signals?;
        std::future::poll_fn(|cx| signals.poll(cx)).await;
        Ok(())
    }
}

#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 2]);

#[cfg(unix)]
impl Signals {
    fn catch() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?]))
    }

    /// Ready whenever one of them has come again.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let come = self.0.iter_mut().any(|signal| signal.poll_recv(cx).is_ready());
        if come { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn catch() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Signals)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_recv(cx).map(drop)
    }
}
