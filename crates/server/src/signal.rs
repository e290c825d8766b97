//! Being asked to stop by the operating system.

use std::io;

/// Waits until the process is asked to stop: by SIGTERM or SIGINT, on Windows by Ctrl-C.
///
/// From the first poll on those signals do not end the process by themselves any more, for the rest of its life.
/// [`Server::shutdown_on_signal`](crate::Server::shutdown_on_signal) does the rest.
///
/// # Errors
/// The operating system lets no handler be installed.
///
/// # Cancel safety
/// Dropping the future loses a signal that comes meanwhile.
pub async fn stop_signal() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        std::future::poll_fn(|cx| {
            let asked = terminate.poll_recv(cx).is_ready() || interrupt.poll_recv(cx).is_ready();
            if asked { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        Ok(())
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
