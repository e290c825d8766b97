//! The server, on a thread and a runtime of its own.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use roundtrip_mux::ServeMux;
use roundtrip_server::{Server, ServerConfig};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use roundtrip_bench::alloc::{self, Side};

/// What every request is answered with.
pub(crate) const GREETING: &str = "Hello I am server 3";

/// A running server. Dropped, it stops.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    server: Server<ServeMux>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), String>>>,
}

impl Running {
    /// Starts a server that greets, and that closes each connection after its response unless `keep_alives`.
    pub(crate) fn start(keep_alives: bool) -> Result<Self, String> {
        let mux = ServeMux::new();
        mux.handle("/", |_req| async { GREETING });
        let server = Server::with_config(mux, ServerConfig { keep_alives, ..ServerConfig::default() });
        let (addr_in, addr) = mpsc::channel();
        let (stop_in, stop) = oneshot::channel();
        let thread = std::thread::Builder::new().name("server".into()).spawn({
            let server = server.clone();
            move || {
                alloc::work_for(Side::Server);
                let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
                runtime.block_on(async {
                    let listener = server.listen("127.0.0.1:0").await.map_err(|error| error.to_string())?;
                    let addr = listener.local_addr().map_err(|error| error.to_string())?;
                    // Nobody listens for the address only if the start was given up.
                    let _ = addr_in.send(addr);
                    let serving = tokio::spawn(server.serve(listener));
                    // Told to stop, or left alone: the same.
                    let _ = stop.await;
                    server.shutdown(Duration::from_secs(1)).await;
                    serving.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
                })
            }
        });
        let thread = thread.map_err(|error| format!("cannot start the server's thread: {error}"))?;
        match addr.recv() {
            Ok(addr) => Ok(Running { addr, server, stop: Some(stop_in), thread: Some(thread) }),
            Err(_) => Err(join(thread).err().unwrap_or_else(|| "the server ended at once".into())),
        }
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> u64 {
        self.server.stats().accepted
    }

    /// Stops it and says how it ended.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        drop(self.stop.take());
        self.thread.take().map_or(Ok(()), join)
    }
}

fn join(thread: JoinHandle<Result<(), String>>) -> Result<(), String> {
    match thread.join() {
        Ok(outcome) => outcome.map_err(|error| format!("server: {error}")),
        Err(_) => Err("the server's thread panicked".into()),
    }
}
