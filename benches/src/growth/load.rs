//! The sides of a measurement: servers on a thread of their own, and what sends requests to them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use roundtrip_mux::ServeMux;
use roundtrip_server::Server;
use roundtrip_transport::{RoundTripper, Transport, TransportConfig};
use roundtrip_types::{Body, MessageExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Barrier, oneshot};
use tokio::task::JoinSet;

use crate::alloc::{Side, work_for};
use crate::cpu;
use crate::servers::GREETING;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// It knows no HTTP: each read is answered with the same bytes.
    Floor,
    /// hyper by itself, without any time limit.
    Hyper,
    /// Ours as it is by default.
    Ours,
}

/// How many connections a server has accepted, by its own count.
type Counted = Box<dyn Fn() -> u64>;

/// A server on a thread and a runtime of its own; dropping it ends it.
pub(crate) struct Serving {
    pub(crate) addr: SocketAddr,
    runtime: Handle,
    accepted: Arc<AtomicU64>,
    /// Ours counts for itself.
    ours: Option<Counted>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Serving {
    pub(crate) fn start(which: Served) -> Result<Self, String> {
        let said = |error: std::io::Error| format!("cannot start a server: {error}");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(said)?;
        let addr = listener.local_addr().map_err(said)?;
        listener.set_nonblocking(true).map_err(said)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(said)?;
        let handle = runtime.handle().clone();
        let accepted = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&accepted);
        let ours = (which == Served::Ours).then(|| {
            let mux = ServeMux::new();
            mux.handle("/", |_req| async { GREETING });
            Server::new(mux)
        });
        let server = ours.clone();
        let ours = ours.map(|server| Box::new(move || server.stats().accepted) as Counted);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("server".into()).spawn(move || {
            work_for(Side::Server);
            runtime.block_on(async move {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                let serving = async {
                    match server {
                        // What goes wrong, the client sees.
                        Some(server) => drop(server.serve(listener).await),
                        None => serve(which, listener, counted).await,
                    }
                };
                tokio::select! {
                    () = serving => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Serving { addr, runtime: handle, accepted, ours, stop: Some(stop), thread: Some(thread.map_err(said)?) })
    }

    /// How many connections it has accepted.
    pub(crate) fn accepted(&self) -> u64 {
        self.ours.as_ref().map_or_else(|| self.accepted.load(Ordering::SeqCst), |count| count())
    }

    /// The processor time of its thread.
    pub(crate) async fn cpu_time(&self) -> Result<Duration, String> {
        self.runtime.spawn(async { cpu::thread_time() }).await.map_err(|error| error.to_string())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing left to tell.
            let _ = thread.join();
        }
    }
}

async fn serve(which: Served, listener: TcpListener, accepted: Arc<AtomicU64>) {
    while let Ok((stream, _)) = listener.accept().await {
        accepted.fetch_add(1, Ordering::SeqCst);
        // A socket that cannot be set is slow, which the figures show.
        let _ = stream.set_nodelay(true);
        if which == Served::Floor {
            tokio::spawn(floor(stream));
        } else {
            tokio::spawn(hyper(stream));
        }
    }
}

/// Until the client goes.
async fn floor(mut stream: TcpStream) {
    let response = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\r\n{GREETING}",
        GREETING.len()
    );
    let mut buf = [0; 1024];
    // A request is small, so it comes in one read.
    while stream.read(&mut buf).await.is_ok_and(|count| count > 0)
        && stream.write_all(response.as_bytes()).await.is_ok()
    {}
}

async fn hyper(stream: TcpStream) {
    let service = service_fn(|_req: http::Request<hyper::body::Incoming>| async {
        let mut response = http::Response::new(Full::new(Bytes::from_static(GREETING.as_bytes())));
        let text = http::HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(http::header::CONTENT_TYPE, text);
        Ok::<_, Infallible>(response)
    });
    // A client that hangs up between requests is how this ends.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
        .await;
}

/// What sends the requests.
#[derive(Clone, Debug)]
pub(crate) enum Sender {
    /// A socket for each worker, without HTTP.
    Socket(SocketAddr),
    /// hyper's connection for each worker.
    Hyper(SocketAddr),
    /// Our transport, one for all workers.
    Ours(Transport, http::Uri),
}

impl Sender {
    /// Our transport, with so many connections to `addr`, none of which is closed for being too many.
    pub(crate) async fn ours(addr: SocketAddr, connections: usize) -> Result<Self, String> {
        let transport = Transport::with_config(TransportConfig {
            max_idle_conns: connections.max(1),
            max_idle_conns_per_host: connections.max(1),
            max_conns_per_host: None,
            idle_conn_timeout: None,
            ..TransportConfig::default()
        });
        let uri: http::Uri = format!("http://{addr}/").parse().map_err(|_| "an address makes a URI".to_owned())?;
        let mut left = connections;
        while left > 0 {
            let opened = transport.warm(&uri, left.min(32)).await.map_err(|error| error.to_string())?;
            left = left.saturating_sub(opened.max(1));
        }
        Ok(Sender::Ours(transport, uri))
    }
}

/// What a load has done, and the processor time it took on both sides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) requests: u64,
    pub(crate) client: Duration,
    pub(crate) server: Duration,
}

/// Has `workers` workers send requests one after the other, all on this thread, for so long, and one each at least. What they do first
/// (connect, and a few requests) does not count.
pub(crate) async fn drive(serving: &Serving, sender: &Sender, workers: usize, time: Duration) -> Result<Done, String> {
    let start = Arc::new((Barrier::new(workers + 1), Barrier::new(workers + 1)));
    let mut working = JoinSet::new();
    // What is made once is made by many workers' first requests, and each of these takes its time.
    let warm = if workers > 100 { 1 } else { 3 };
    for _ in 0..workers {
        working.spawn(work(sender.clone(), Load { start: Arc::clone(&start), warm, time }));
    }
    tokio::select! {
        _ = start.0.wait() => {}
        // A worker that fails does not come to the barrier.
        Some(ended) = working.join_next() => {
            return Err(ended.map_err(said)?.err().unwrap_or_else(|| "a worker did not begin".into()));
        }
    }
    let before = (cpu::thread_time(), serving.cpu_time().await?);
    start.1.wait().await;
    let mut requests = 0;
    while let Some(ended) = working.join_next().await {
        requests += ended.map_err(said)??;
    }
    let (client, server) = (cpu::thread_time() - before.0, serving.cpu_time().await? - before.1);
    Ok(Done { requests, client, server })
}

/// What a worker does.
#[derive(Clone, Debug)]
struct Load {
    /// Where all wait until all are ready, and then until the clocks have been read.
    start: Arc<(Barrier, Barrier)>,
    /// Requests before that.
    warm: u32,
    time: Duration,
}

impl Load {
    fn pace(&self) -> Pace<'_> {
        Pace { load: self, warm: self.warm, requests: 0, until: None }
    }
}

/// Says to one worker whether to send another request.
struct Pace<'a> {
    load: &'a Load,
    /// Requests before the others are waited for.
    warm: u32,
    requests: u64,
    /// When to end, once it has begun.
    until: Option<Instant>,
}

impl Pace<'_> {
    async fn goes_on(&mut self) -> bool {
        if self.warm > 0 {
            self.warm -= 1;
            return true;
        }
        let until = match self.until {
            Some(until) => until,
            None => {
                self.load.start.0.wait().await;
                self.load.start.1.wait().await;
                *self.until.insert(Instant::now() + self.load.time)
            }
        };
        // A look at the clock takes some 30 ns, a request above 10 us; and with many workers it is the looks that end it in time.
        if self.requests > 0 && Instant::now() >= until {
            return false;
        }
        self.requests += 1;
        true
    }
}

async fn work(sender: Sender, load: Load) -> Result<u64, String> {
    match sender {
        Sender::Socket(addr) => socket(addr, &load).await,
        Sender::Hyper(addr) => hyper_client(addr, &load).await,
        Sender::Ours(transport, uri) => {
            let mut pace = load.pace();
            while pace.goes_on().await {
                fetch(&transport, &uri).await?;
            }
            Ok(pace.requests)
        }
    }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn check(body: &[u8]) -> Result<(), String> {
    if body == GREETING.as_bytes() { Ok(()) } else { Err(format!("the body is {:?}", String::from_utf8_lossy(body))) }
}

async fn connect(addr: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(addr).await.map_err(said)?;
    stream.set_nodelay(true).map_err(said)?;
    Ok(stream)
}

async fn socket(addr: SocketAddr, load: &Load) -> Result<u64, String> {
    let mut stream = connect(addr).await?;
    let request = format!("GET / HTTP/1.1\r\nhost: {addr}\r\n\r\n");
    let mut buf = vec![0; 1024];
    let mut pace = load.pace();
    while pace.goes_on().await {
        stream.write_all(request.as_bytes()).await.map_err(said)?;
        let mut filled = 0;
        while !buf[..filled].ends_with(GREETING.as_bytes()) {
            let count = stream.read(&mut buf[filled..]).await.map_err(said)?;
            if count == 0 {
                return Err(format!("the answer was {:?}", String::from_utf8_lossy(&buf[..filled])));
            }
            filled += count;
        }
    }
    Ok(pace.requests)
}

async fn hyper_client(addr: SocketAddr, load: &Load) -> Result<u64, String> {
    use http_body_util::BodyExt as _;

    let io = hyper_util::rt::TokioIo::new(connect(addr).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(said)?;
    tokio::spawn(connection);
    let host = addr.to_string();
    let mut pace = load.pace();
    while pace.goes_on().await {
        let request = http::Request::get("/").header("host", &host);
        let request = request.body(http_body_util::Empty::<Bytes>::new()).map_err(said)?;
        sender.ready().await.map_err(said)?;
        let response = sender.send_request(request).await.map_err(said)?;
        check(&response.into_body().collect().await.map_err(said)?.to_bytes())?;
    }
    Ok(pace.requests)
}

/// One request through our transport.
pub(crate) async fn fetch(transport: &Transport, uri: &http::Uri) -> Result<(), String> {
    let request = http::Request::get(uri.clone()).body(Body::empty()).map_err(said)?;
    let response = transport.round_trip(request).await.map_err(said)?;
    check(&response.bytes().await.map_err(said)?)
}

/// A runtime on the calling thread.
pub(crate) fn runtime() -> Result<Runtime, String> {
    Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())
}
