//! One thread and one runtime for each socket of a listener.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;

use roundtrip_types::Handler;
use tokio::sync::{mpsc, watch};

use crate::accept::Acceptor;
use crate::listener::{Listener, Socket};
use crate::{Error, Result};

/// Accepts on a thread for each socket until the server stops.
pub(crate) async fn run<H: Handler>(acceptor: Acceptor<H>, listener: Listener) -> Result<()> {
    #[cfg(unix)]
    let _file = listener.file;
    // Its end tells the threads that nobody waits any more, whether or not the server stops.
    let (going, gone) = watch::channel(());
    let (results, mut ended) = mpsc::unbounded_channel();
    let last = listener.sockets.len();
    for (index, socket) in listener.sockets.into_iter().enumerate() {
        let addr = socket.local_addr();
        let socket = socket.unregister().map_err(|cause| Error::accept(&addr, cause))?;
        let (acceptor, gone, results) = (acceptor.clone(), gone.clone(), results.clone());
        thread::Builder::new()
            .name(format!("roundtrip-{index}"))
            .spawn(move || core(acceptor, socket, gone, &results))
            .map_err(|cause| Error::accept(&addr, cause))?;
    }
    drop(results);
    for _ in 0..last {
        // A thread sends its result before it ends, unless it panics.
        ended.recv().await.unwrap_or(Ok(()))?;
    }
    drop(going);
    Ok(())
}

/// What one thread does.
fn core<H: Handler>(
    acceptor: Acceptor<H>,
    socket: Socket,
    mut gone: watch::Receiver<()>,
    results: &mpsc::UnboundedSender<Result<()>>,
) {
    let addr = socket.local_addr();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => {
            // Nobody listens if another thread has failed before.
            let _ = results.send(Err(Error::accept(addr, cause)));
            return;
        }
    };
    runtime.block_on(async {
        let tracker = Arc::clone(&acceptor.tracker);
        let result = {
            let mut accepting = pin!(acceptor.run_one(socket));
            // Only ever an error: nothing is sent.
            let mut gone = pin!(gone.changed());
            std::future::poll_fn(|cx| match gone.as_mut().poll(cx) {
                Poll::Ready(_) => Poll::Ready(Ok(())),
                Poll::Pending => accepting.as_mut().poll(cx),
            })
            .await
        };
        let _ = results.send(result);
        // The connections of this thread live as long as its runtime.
        tracker.all_closed().await;
    });
}
