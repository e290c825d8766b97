//! Our server inside this process, on a thread and a runtime of its own, that counts what came to it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, Version};
use roundtrip_mux::ServeMux;
use roundtrip_server::{ConnContext, ErrorLog, Listener, Server, ServerConfig, ServerEvent, Tls};
use roundtrip_types::Request;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::GREETING;
use crate::alloc::{self, Side};
use crate::identity::Identity;
use crate::model::Protocol;

/// What a server is to be like.
#[derive(Debug)]
pub struct Settings<'a> {
    /// Whether connections may carry more than one request.
    pub keep_alives: bool,
    /// The protocol that requests have to come by; all others are counted.
    pub protocol: Protocol,
    /// Who it is, to speak TLS.
    pub identity: Option<&'a Identity>,
    /// The size of its answer: see [`body`].
    pub body: usize,
}

/// What every request is answered with: the greeting, or another size of letters that do not repeat too soon.
#[must_use]
pub fn body(size: usize) -> Bytes {
    if size == GREETING.len() {
        return Bytes::from_static(GREETING.as_bytes());
    }
    #[expect(clippy::cast_possible_truncation, reason = "less than 26")]
    (0..size).map(|at| b'a' + (at * 7 % 23 + at / 1021 % 3) as u8).collect()
}

/// A running server. Dropped, it stops.
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    server: Server<ServeMux>,
    seen: Arc<Seen>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), String>>>,
}

/// What came.
#[derive(Debug, Default)]
struct Seen {
    handshakes: AtomicU64,
    resumed: AtomicU64,
    by_another_protocol: AtomicU64,
    /// What the server would have written to standard error, up to a few lines.
    complaints: Mutex<Vec<String>>,
}

impl Running {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// There is no thread, no port, or the identity is of no use.
    pub fn start(settings: &Settings<'_>) -> Result<Self, String> {
        let seen = Arc::<Seen>::default();
        let server = Server::with_config(mux(settings, &seen), config(settings, &seen));
        let tls = settings.identity.map(Identity::for_server).transpose()?;
        let (addr_in, addr) = mpsc::channel();
        let (stop_in, stop) = oneshot::channel();
        let thread = std::thread::Builder::new().name("server".into()).spawn({
            let server = server.clone();
            move || {
                alloc::work_for(Side::Server);
                let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
                runtime.block_on(serve(server, tls, addr_in, stop))
            }
        });
        let thread = thread.map_err(|error| format!("cannot start the server's thread: {error}"))?;
        match addr.recv() {
            Ok(addr) => Ok(Running { addr, server, seen, stop: Some(stop_in), thread: Some(thread) }),
            Err(_) => Err(join(thread).err().unwrap_or_else(|| "the server ended at once".into())),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.server.stats().accepted
    }

    /// TLS handshakes that were finished so far.
    #[must_use]
    pub fn handshakes(&self) -> u64 {
        self.seen.handshakes.load(Ordering::Relaxed)
    }

    /// Those that continued a session.
    #[must_use]
    pub fn resumed(&self) -> u64 {
        self.seen.resumed.load(Ordering::Relaxed)
    }

    /// Requests so far that came by another protocol than was told.
    #[must_use]
    pub fn by_another_protocol(&self) -> u64 {
        self.seen.by_another_protocol.load(Ordering::Relaxed)
    }

    /// The first thing that went wrong on its side, if anything did.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        self.seen.complaints.lock().unwrap_or_else(PoisonError::into_inner).first().cloned()
    }

    /// Stops it and says how it ended.
    ///
    /// # Errors
    /// It could not serve, or panicked.
    pub fn stop(mut self) -> Result<(), String> {
        drop(self.stop.take());
        self.thread.take().map_or(Ok(()), join)
    }
}

fn mux(settings: &Settings<'_>, seen: &Arc<Seen>) -> ServeMux {
    let wanted = match settings.protocol {
        Protocol::Http1 => Version::HTTP_11,
        Protocol::Http2 => Version::HTTP_2,
    };
    let seen = Arc::clone(seen);
    let check = move |req: &Request| {
        if req.version() != wanted {
            seen.by_another_protocol.fetch_add(1, Ordering::Relaxed);
        }
    };
    let mux = ServeMux::new();
    if settings.body == GREETING.len() {
        mux.handle("/", move |req: Request| {
            check(&req);
            async { GREETING }
        });
    } else {
        let body = body(settings.body);
        mux.handle("/", move |req: Request| {
            check(&req);
            let body = body.clone();
            async move { body }
        });
    }
    mux
}

fn config(settings: &Settings<'_>, seen: &Arc<Seen>) -> ServerConfig {
    let (context, log) = (Arc::clone(seen), Arc::clone(seen));
    ServerConfig {
        keep_alives: settings.keep_alives,
        h2c: settings.protocol == Protocol::Http2,
        // Made once before the handshake and once behind it.
        conn_context: ConnContext::new(move |info| {
            if let Some(tls) = &info.tls {
                context.handshakes.fetch_add(1, Ordering::Relaxed);
                context.resumed.fetch_add(u64::from(tls.resumed), Ordering::Relaxed);
            }
            Extensions::new()
        }),
        error_log: ErrorLog::new(move |event: &ServerEvent<'_>| {
            let mut complaints = log.complaints.lock().unwrap_or_else(PoisonError::into_inner);
            if complaints.len() < 8 {
                complaints.push(event.to_string());
            }
        }),
        ..ServerConfig::default()
    }
}

async fn serve(
    server: Server<ServeMux>,
    tls: Option<Tls>,
    addr_in: mpsc::Sender<SocketAddr>,
    stop: oneshot::Receiver<()>,
) -> Result<(), String> {
    let socket = server.listen("127.0.0.1:0").await.map_err(|error| error.to_string())?;
    let addr = socket.local_addr().map_err(|error| error.to_string())?;
    // Nobody listens for the address only if the start was given up.
    let _ = addr_in.send(addr);
    let listener = Listener::from(socket);
    let listener = match tls {
        Some(tls) => listener.with_tls(tls),
        None => listener,
    };
    let serving = tokio::spawn(server.serve(listener));
    // Told to stop, or left alone: the same.
    let _ = stop.await;
    server.shutdown(Duration::from_secs(1)).await;
    serving.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

fn join(thread: JoinHandle<Result<(), String>>) -> Result<(), String> {
    match thread.join() {
        Ok(outcome) => outcome.map_err(|error| format!("server: {error}")),
        Err(_) => Err("the server's thread panicked".into()),
    }
}
