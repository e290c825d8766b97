//! A server that closes an idle connection at about the moment in which it is used again.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use http::Method;
use roundtrip_transport::{RoundTripper, Transport};
use roundtrip_types::{Body, Error, ErrorKind, MessageExt};
use tokio::runtime::Builder;

use super::{Dice, Outcome, Report, ensure, peers};

/// Which request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// GET, which may be repeated.
    Get,
    /// POST with an `Idempotency-Key`, which may be repeated.
    KeyedPost,
    /// POST, which must not be repeated once the server may have seen it.
    Post,
}

/// The longest time for which a connection lies idle, on either side.
const LONGEST: u64 = 600;

/// Sends `requests`, each 0 to 600 us after the one before, to a server that closes each connection after 0 to 600 us of idleness.
///
/// # Errors
/// If a request that may be repeated failed; if a failure is not typed or does not say that the server may have seen the request; if
/// an answer belongs to another request.
pub fn race(kind: Kind, requests: u64) -> Outcome {
    let addr = peers::start(serve).map_err(|error| error.to_string())?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let transport = Transport::new();
        let mut dice = Dice::new(2);
        let mut failed = 0_u64;
        for number in 0..requests {
            wait(Duration::from_micros(dice.below(LONGEST))).await;
            match send(&transport, kind, &format!("http://{addr}/{number}")).await {
                Ok(text) => ensure(text == format!("/{number}"), || format!("request {number} was answered {text:?}"))?,
                Err(error) => {
                    failed += 1;
                    judge(kind, &error)?;
                }
            }
        }
        let stats = transport.stats();
        let wanted = if kind == Kind::Post { failed } else { 0 };
        ensure(failed == wanted, || format!("{failed} of {requests} failed"))?;
        Ok(Report::default()
            .with("requests", requests)
            .with("failed", failed)
            .with("retried", stats.retried)
            .with("connections", stats.created))
    })
}

async fn send(transport: &Transport, kind: Kind, uri: &str) -> Result<String, Error> {
    let mut req = http::Request::builder().uri(uri);
    if kind != Kind::Get {
        req = req.method(Method::POST);
    }
    if kind == Kind::KeyedPost {
        req = req.header("idempotency-key", uri);
    }
    let body = if kind == Kind::Get { Body::empty() } else { Body::from("some data") };
    let req = req.body(body).map_err(|error| Error::new(ErrorKind::Request, "").with_cause(error))?;
    transport.round_trip(req).await?.text().await
}

/// A failure is only right where repeating could do harm.
fn judge(kind: Kind, error: &Error) -> Result<(), String> {
    ensure(kind == Kind::Post, || format!("a request that may be repeated failed: {error}"))?;
    ensure(error.kind() == ErrorKind::ConnectionLost && error.was_sent(), || {
        format!("a failure that is not what it was: {error:?}")
    })
}

/// Timers are too coarse for less than a millisecond.
async fn wait(time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        tokio::task::yield_now().await;
    }
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut dice = Dice::new(u64::from(stream.peer_addr()?.port()));
    let mut buf = Vec::new();
    while let Some(head) = peers::read_head(&mut stream, &mut buf)? {
        peers::read_body(&mut stream, &mut buf, peers::length(&head))?;
        peers::answer(&mut stream, &peers::target(&head))?;
        if !comes_within(&mut stream, &mut buf, Duration::from_micros(dice.below(LONGEST)))? {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether bytes come in this time; they are in `buf` then.
fn comes_within(stream: &mut TcpStream, buf: &mut Vec<u8>, time: Duration) -> io::Result<bool> {
    let until = Instant::now() + time;
    stream.set_nonblocking(true)?;
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(count) => {
                stream.set_nonblocking(false)?;
                buf.extend_from_slice(&piece[..count]);
                return Ok(count > 0);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if Instant::now() >= until {
            return Ok(false);
        }
        std::thread::yield_now();
    }
}
