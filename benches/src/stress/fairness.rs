//! Many clients, few connections, and some who change their mind.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use roundtrip_transport::{
    ConnectConfig, Connection, Dial, DialFuture, Dialer, Error, RoundTripper, Target, Transport, TransportConfig,
};
use roundtrip_types::{Body, ErrorKind, MessageExt, Phase};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Builder;

use super::{Dice, Outcome, Report, ensure, peers};

const CAP: usize = 8;
const CLIENTS: u64 = 64;

/// Lets 64 clients share 8 connections for `time`; three in ten requests are cancelled somewhere on their way.
///
/// # Errors
/// If there was ever a ninth socket, a request failed or got another's answer, or anything is left at the end.
pub fn fairness(time: Duration) -> Outcome {
    let addr = peers::start(serve).map_err(|error| error.to_string())?;
    let sockets = Arc::new(Sockets::default());
    let dial = Dialer::Custom(Arc::new(Counted(Arc::clone(&sockets))));
    let transport = Transport::with_config(TransportConfig {
        max_conns_per_host: Some(CAP),
        connect: ConnectConfig { dial, ..ConnectConfig::default() },
        ..TransportConfig::default()
    });
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let until = Instant::now() + time;
    let report = runtime.block_on(async {
        let clients: Vec<_> =
            (0..CLIENTS).map(|number| tokio::spawn(client(transport.clone(), addr, number, until))).collect();
        let (mut latencies, mut cancelled) = (Vec::new(), 0);
        for client in clients {
            let (of_client, gone) = client.await.map_err(|error| error.to_string())??;
            latencies.extend(of_client);
            cancelled += gone;
        }
        settle(&transport).await?;
        latencies.sort_unstable();
        let median = latencies.get(latencies.len() / 2).copied().unwrap_or_default();
        let longest = latencies.last().copied().unwrap_or_default();
        let most = sockets.most.load(Ordering::SeqCst);
        ensure(most <= CAP, || format!("{most} sockets were open at once"))?;
        let stats = transport.stats();
        Ok::<_, String>(
            Report::default()
                .with("answered", latencies.len())
                .with("cancelled", cancelled)
                .with("most sockets", most)
                .with("opened", stats.created)
                .with("median", format!("{median:.1?}"))
                .with("longest", format!("{longest:.1?}"))
                .with("longest/median", format!("{:.1}", longest.as_secs_f64() / median.as_secs_f64().max(1e-9))),
        )
    })?;
    drop(transport);
    let open = sockets.open.load(Ordering::SeqCst);
    ensure(open == 0, || format!("{open} sockets are left"))?;
    Ok(report)
}

async fn client(
    transport: Transport,
    addr: std::net::SocketAddr,
    number: u64,
    until: Instant,
) -> Result<(Vec<Duration>, u64), String> {
    let mut dice = Dice::new(number + 1);
    let (mut latencies, mut cancelled) = (Vec::new(), 0);
    for turn in 0.. {
        if Instant::now() >= until {
            break;
        }
        let path = format!("/{number}/{turn}");
        let req = http::Request::get(format!("http://{addr}{path}")).body(Body::empty());
        let req = req.map_err(|error| error.to_string())?;
        let sending = async {
            let response = transport.round_trip(req).await?;
            response.text().await
        };
        let began = Instant::now();
        if dice.below(10) < 3 {
            // Somewhere between the queue and the body.
            let patience = Duration::from_micros(dice.below(20_000));
            match tokio::time::timeout(patience, sending).await {
                Ok(done) => check(done, &path)?,
                Err(_) => cancelled += 1,
            }
        } else {
            check(sending.await, &path)?;
            latencies.push(began.elapsed());
        }
    }
    Ok((latencies, cancelled))
}

fn check(done: Result<String, Error>, path: &str) -> Result<(), String> {
    let text = done.map_err(|error| error.to_string())?;
    ensure(text == path, || format!("{path} was answered {text:?}"))
}

/// Waits until what goes on in the background has ended.
async fn settle(transport: &Transport) -> Result<(), String> {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let stats = transport.stats();
        if (stats.in_use, stats.dialing, stats.waiting) == (0, 0, 0) {
            return ensure(stats.created - stats.closed.total() == stats.idle as u64, || format!("{stats:?}"));
        }
        ensure(Instant::now() < until, || format!("something is left: {stats:?}"))?;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn serve(mut stream: std::net::TcpStream) -> io::Result<()> {
    let mut buf = Vec::new();
    while let Some(head) = peers::read_head(&mut stream, &mut buf)? {
        std::thread::sleep(Duration::from_millis(1));
        peers::answer(&mut stream, &peers::target(&head))?;
    }
    Ok(())
}

/// How many sockets are open, on the client's side, and were at most.
#[derive(Debug, Default)]
struct Sockets {
    open: AtomicUsize,
    most: AtomicUsize,
}

struct Counted(Arc<Sockets>);

impl Dial for Counted {
    fn dial<'a>(&'a self, target: &'a Target) -> DialFuture<'a> {
        Box::pin(async move {
            let guard = Open::new(&self.0);
            let stream = TcpStream::connect((target.host(), target.port())).await;
            let stream = stream.map_err(|cause| {
                Error::new(ErrorKind::Connect, "connect").with_phase(Phase::Connect).with_cause(cause)
            })?;
            let _ = stream.set_nodelay(true);
            Ok(Connection::new(CountedStream { stream, _open: guard }))
        })
    }
}

struct Open(Arc<Sockets>);

impl Open {
    fn new(sockets: &Arc<Sockets>) -> Self {
        let open = sockets.open.fetch_add(1, Ordering::SeqCst) + 1;
        sockets.most.fetch_max(open, Ordering::SeqCst);
        Open(Arc::clone(sockets))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

struct CountedStream {
    stream: TcpStream,
    _open: Open,
}

impl AsyncRead for CountedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for CountedStream {
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
