//! Connections that break or fall silent at any byte, and requests that are given up at any moment: whatever happens, nothing is left of it.
//!
//! All of it is decided by a seed, over memory and with a paused clock, so a seed that fails fails again. A failing test prints its seed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use roundtrip_transport::ConnectConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream};
use tokio::time::{sleep, timeout};

use super::in_memory::{Counts, InMemory};
use super::*;

/// SplitMix64: a few numbers from a seed, the same everywhere.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// A number of any size below `bound`, small ones as likely as large ones.
    fn scaled(&mut self, bound: usize) -> usize {
        let bits = self.below(bound.ilog2() as usize + 1);
        self.below((2 << bits).min(bound))
    }

    fn millis(&mut self, below: usize) -> Duration {
        Duration::from_millis(self.below(below) as u64)
    }

    fn fork(&mut self) -> Dice {
        Dice(self.next())
    }
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    Close,
    /// Nothing comes any more; what is sent is taken.
    Silence,
    /// Nothing comes any more, and nothing is taken for a minute.
    Stall,
}

/// Copies bytes in pieces of any size, now and then after a pause, up to `most` in all. Returns whether that was reached.
async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    most: usize,
    dice: &mut Dice,
) -> bool {
    let mut moved = 0;
    let mut piece = vec![0; 20_000];
    loop {
        if moved == most {
            return true;
        }
        let room = (1 + dice.scaled(piece.len())).min(most - moved);
        let Ok(count @ 1..) = from.read(&mut piece[..room]).await else { return false };
        if dice.one_in(8) {
            sleep(dice.millis(30)).await;
        }
        if to.write_all(&piece[..count]).await.is_err() {
            return false;
        }
        moved += count;
    }
}

/// Connects the two until one of them ends, or the fault comes.
async fn pump(client: DuplexStream, server: DuplexStream, mut dice: Dice) {
    let fault = dice.of(&[Fault::None, Fault::Close, Fault::Close, Fault::Silence, Fault::Stall]);
    let mut at = |bound| if matches!(fault, Fault::None) { usize::MAX } else { dice.scaled(bound) };
    let (up, down) = (at(400_000), at(600_000));
    let (mut one, mut other) = (dice.fork(), dice.fork());
    let (mut client_read, mut client_write) = tokio::io::split(client);
    {
        let (server_read, server_write) = tokio::io::split(server);
        let reached = tokio::select! {
            biased;
            reached = forward(&mut client_read, server_write, up, &mut one) => reached,
            reached = forward(server_read, &mut client_write, down, &mut other) => reached,
        };
        if !reached || matches!(fault, Fault::Close) {
            return;
        }
        if matches!(fault, Fault::Stall) {
            sleep(Duration::from_secs(60)).await;
        }
    }
    let _ = tokio::io::copy(&mut client_read, &mut tokio::io::sink()).await;
}

/// What the server says to a request for `/{number}/{length}`.
fn answer(path: &str) -> Vec<u8> {
    let length = path.rsplit('/').next().unwrap().parse().unwrap();
    path.bytes().cycle().take(length).collect()
}

/// Answers some requests before their bodies, and some in chunks.
async fn serve_http1(stream: DuplexStream) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        let number: usize = path.split('/').nth(1).unwrap().parse().unwrap();
        let early = number.is_multiple_of(3);
        if !early && stream.read_exact(&mut body).await.is_err() {
            return;
        }
        let answer = answer(path);
        let mut out = Vec::new();
        if number.is_multiple_of(2) {
            out.extend_from_slice(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len()).as_bytes());
            out.extend_from_slice(&answer);
        } else {
            out.extend_from_slice(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            for piece in answer.chunks(7_000) {
                out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                out.extend_from_slice(piece);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b"0\r\n\r\n");
        }
        if stream.write_all(&out).await.is_err() || (early && stream.read_exact(&mut body).await.is_err()) {
            return;
        }
    }
}

async fn serve_http2(stream: DuplexStream) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        tokio::spawn(async move {
            let path = request.uri().path().to_owned();
            let number: usize = path.split('/').nth(1).unwrap().parse().unwrap();
            let mut body = request.into_body();
            if !number.is_multiple_of(3) {
                while let Some(Ok(data)) = body.data().await {
                    let _ = body.flow_control().release_capacity(data.len());
                }
            }
            if let Ok(mut out) = respond.send_response(http::Response::new(()), false) {
                // Fails if nobody wants it any more.
                let _ = out.send_data(answer(&path).into(), true);
            }
        });
    }
}

/// One request, with whatever its caller does.
async fn request(transport: &Transport, number: usize, dice: &mut Dice) {
    let path = format!("/{number}/{}", dice.of(&[0, 1, 10, 3_000, 40_000, 300_000]));
    let (method, body) = match dice.below(3) {
        0 => (http::Method::POST, Body::from(vec![b'u'; dice.scaled(200_000)])),
        _ => (http::Method::GET, Body::empty()),
    };
    let mut req = http::Request::builder().method(method).uri(format!("http://h.test{path}")).body(body).unwrap();
    let total_timeout = Some(Duration::from_millis(1) + dice.millis(5_000));
    req.extensions_mut().insert(RequestOptions { total_timeout, ..RequestOptions::default() });
    let (reads, holds) = (dice.of(&[0, 1, 3, usize::MAX, usize::MAX]), dice.one_in(4));
    let pause = dice.millis(200);
    let working = async {
        let mut body = transport.round_trip(req).await?.into_body();
        if holds {
            sleep(pause).await;
        }
        let mut got = Vec::new();
        for _ in 0..reads {
            match body.chunk().await.transpose()? {
                Some(data) => got.extend_from_slice(&data),
                None => {
                    assert!(got == answer(&path), "{path}: {} bytes that are not its answer", got.len());
                    break;
                }
            }
        }
        Ok::<_, Error>(())
    };
    let patience = if dice.one_in(3) { dice.millis(300) } else { Duration::from_secs(3600) };
    if let Ok(Err(error)) = timeout(patience, working).await {
        assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::ConnectionLost), "{error}");
    }
}

/// How it ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Idle,
    Dropped,
    ShutDown,
}

async fn run(seed: u64, http2: bool) {
    let mut dice = Dice(seed);
    let peers = dice.fork();
    let (connect, counts): (ConnectConfig, Arc<Counts>) = InMemory::serving(move |client, nth| {
        let mut dice = Dice(peers.0.wrapping_add(nth as u64));
        let (near, far) = tokio::io::duplex(1 + dice.scaled(60_000));
        let serving: Pin<Box<dyn Future<Output = ()> + Send>> =
            if http2 { Box::pin(serve_http2(far)) } else { Box::pin(serve_http1(far)) };
        async move {
            tokio::join!(pump(client, near, dice), serving);
        }
    });
    let config = if http2 { over_http2() } else { TransportConfig::default() };
    let max_conns_per_host = dice.of(&[None, None, Some(1), Some(3)]);
    let transport = Transport::with_config(TransportConfig { connect, max_conns_per_host, ..config });
    let mut callers = Vec::new();
    for caller in 0..6 {
        let (transport, mut dice) = (transport.clone(), dice.fork());
        callers.push(tokio::spawn(async move {
            for nth in 0..8 {
                sleep(dice.millis(50)).await;
                request(&transport, caller * 8 + nth, &mut dice).await;
            }
        }));
    }
    for caller in callers {
        caller.await.unwrap();
    }
    let end = dice.of(&[End::Idle, End::Dropped, End::ShutDown]);
    let transport = match end {
        End::Idle => Some(transport),
        End::Dropped => None,
        End::ShutDown => {
            transport.shutdown(Duration::from_secs(1)).await;
            Some(transport)
        }
    };
    // Longer than anything may lie idle, and than any PING may go without an answer.
    sleep(Duration::from_secs(200)).await;
    if let Some(transport) = transport {
        let stats = transport.stats();
        let left = (stats.idle, stats.in_use, stats.dialing, stats.waiting);
        assert_eq!(left, (0, 0, 0, 0), "idle, in use, dialing, waiting; {end:?}");
        assert_eq!(stats.closed.total(), stats.created);
    }
    assert!(counts.dialed() > 0);
    assert_eq!((counts.open(), counts.served()), (0, 0), "connections at either end; {end:?}");
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert_eq!(tasks, 0, "tasks; {end:?}");
}

/// Runs a few seeds, or as many as `FAULT_SEEDS` says.
#[expect(clippy::print_stdout, reason = "the harness shows it if the test fails")]
fn run_seeds(http2: bool) {
    let seeds = std::env::var("FAULT_SEEDS").map_or(16, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        println!("seed {seed}");
        with_time_paused(async || run(seed, http2).await);
    }
}

#[test]
fn nothing_is_left_of_http1_connections_that_break_anywhere() {
    run_seeds(false);
}

#[test]
fn nothing_is_left_of_http2_connections_that_break_anywhere() {
    run_seeds(true);
}
