//! One large body, up or down, plain or over TLS: our transport beside a loop that copies between a socket and a buffer.
//!
//! The server is the same for both and knows no more HTTP than it must. Every byte is compared on the side that receives it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use roundtrip_transport::{
    Certificate, ConnectConfig, Protocols, Roots, RoundTripper, TlsConfig, Transport, TransportConfig,
};
use roundtrip_types::Body;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::ServerName;

use super::tls;
use crate::alloc::{Side, work_for};
use crate::identity::Identity;

/// Who transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A loop around a socket, or around tokio-rustls.
    Raw,
    /// Our transport, over HTTP/1.1.
    Ours,
}

/// Which way the body goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the server.
    Down,
    /// To the server.
    Up,
}

/// What is written at once, and how much a reader asks for.
const PIECE: usize = 64 << 10;

/// The server, for as long as the process lives.
///
/// # Errors
/// There is no port, no thread, or the identity is of no use.
pub fn serve(identity: Option<&Identity>) -> Result<SocketAddr, String> {
    let acceptor = identity.map(tls::acceptor).transpose()?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(said)?;
    let addr = listener.local_addr().map_err(said)?;
    listener.set_nonblocking(true).map_err(said)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(said)?;
    let serve = move || {
        work_for(Side::Server);
        // If it cannot serve, the client sees that.
        let _ = runtime.block_on(accept(listener, acceptor));
    };
    std::thread::Builder::new().name("server".into()).spawn(serve).map_err(said)?;
    Ok(addr)
}

async fn accept(listener: std::net::TcpListener, acceptor: Option<TlsAcceptor>) -> Result<(), String> {
    let listener = TcpListener::from_std(listener).map_err(said)?;
    loop {
        let (stream, _) = listener.accept().await.map_err(said)?;
        stream.set_nodelay(true).map_err(said)?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            match acceptor {
                Some(acceptor) => answer(acceptor.accept(stream).await.map_err(said)?).await,
                None => answer(stream).await,
            }
        });
    }
}

/// Answers `GET /N` with N bytes, and `POST` with `ok` when the bytes are right, until the client goes.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), String> {
    let mut rest = Vec::new();
    loop {
        let head = read_head(&mut stream, &mut rest).await?;
        if let Some(path) = head.strip_prefix("GET /") {
            let length = path.split(' ').next().and_then(|length| length.parse().ok()).ok_or("no length to send")?;
            stream
                .write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").as_bytes())
                .await
                .map_err(said)?;
            send(&mut stream, length).await?;
        } else {
            let length = content_length(&head)?;
            let mut check = Check::default();
            check.next(&rest)?;
            rest.clear();
            receive(&mut stream, &mut check, length).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.map_err(said)?;
            stream.flush().await.map_err(said)?;
        }
    }
}

/// Reads a head; what comes behind it is left in `rest`.
async fn read_head(stream: &mut (impl AsyncRead + Unpin), rest: &mut Vec<u8>) -> Result<String, String> {
    loop {
        if let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") {
            let behind = rest.split_off(end + 4);
            let head = std::mem::replace(rest, behind);
            return String::from_utf8(head).map_err(said);
        }
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.map_err(said)?;
        if count == 0 {
            return Err("the stream ended before a head".into());
        }
        rest.extend_from_slice(&piece[..count]);
    }
}

fn content_length(head: &str) -> Result<u64, String> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let length = fields.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.and_then(|(_, length)| length.trim().parse().ok()).ok_or_else(|| format!("no length in {head:?}"))
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), length: u64) -> Result<(), String> {
    let piece = piece();
    let mut left = length;
    while left > 0 {
        let next = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE);
        stream.write_all(&piece[..next]).await.map_err(said)?;
        left -= next as u64;
    }
    stream.flush().await.map_err(said)
}

async fn receive(stream: &mut (impl AsyncRead + Unpin), check: &mut Check, length: u64) -> Result<(), String> {
    let mut buffer = vec![0; PIECE];
    while check.seen < length {
        let most = usize::try_from(length - check.seen).unwrap_or(usize::MAX).min(PIECE);
        let count = stream.read(&mut buffer[..most]).await.map_err(said)?;
        if count == 0 {
            return Err(format!("the body ended after {} of {length} bytes", check.seen));
        }
        check.next(&buffer[..count])?;
    }
    Ok(())
}

/// The body's bytes, which repeat after [`PIECE`].
fn piece() -> Bytes {
    (0..PIECE).map(|at| u8::try_from(at * 31 % 251).unwrap_or_default()).collect()
}

/// Compares a body with what it should be.
#[derive(Debug)]
struct Check {
    piece: Bytes,
    seen: u64,
}

impl Default for Check {
    fn default() -> Self {
        Check { piece: piece(), seen: 0 }
    }
}

impl Check {
    fn next(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            let at = usize::try_from(self.seen % PIECE as u64).unwrap_or_default();
            let count = bytes.len().min(PIECE - at);
            if bytes[..count] != self.piece[at..at + count] {
                return Err(format!("the body differs within {count} bytes from {}", self.seen));
            }
            self.seen += count as u64;
            bytes = &bytes[count..];
        }
        Ok(())
    }
}

/// Transfers so many bytes, on the runtime's own thread. Returns how long it took, connecting included.
///
/// # Errors
/// It failed, or a byte was not what it should be.
pub fn transfer(
    way: Way,
    direction: Direction,
    addr: SocketAddr,
    certificate: Option<&str>,
    length: u64,
) -> Result<Duration, String> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(said)?;
    runtime.block_on(async {
        let started = Instant::now();
        match (way, certificate) {
            (Way::Raw, None) => raw(connect(addr).await?, direction, length).await?,
            (Way::Raw, Some(certificate)) => {
                let name = ServerName::try_from("localhost").map_err(said)?;
                let connector = tls::connector(certificate, &[])?;
                raw(connector.connect(name, connect(addr).await?).await.map_err(said)?, direction, length).await?;
            }
            (Way::Ours, certificate) => ours(addr, certificate, direction, length).await?,
        }
        Ok(started.elapsed())
    })
}

async fn connect(addr: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(addr).await.map_err(said)?;
    stream.set_nodelay(true).map_err(said)?;
    Ok(stream)
}

async fn raw(mut stream: impl AsyncRead + AsyncWrite + Unpin, direction: Direction, length: u64) -> Result<(), String> {
    let mut rest = Vec::new();
    match direction {
        Direction::Down => {
            stream
                .write_all(format!("GET /{length} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes())
                .await
                .map_err(said)?;
            stream.flush().await.map_err(said)?;
            read_head(&mut stream, &mut rest).await?;
            let mut check = Check::default();
            check.next(&rest)?;
            receive(&mut stream, &mut check, length).await
        }
        Direction::Up => {
            let head = format!("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.map_err(said)?;
            send(&mut stream, length).await?;
            let head = read_head(&mut stream, &mut rest).await?;
            if head.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(format!("answered {head:?}")) }
        }
    }
}

async fn ours(addr: SocketAddr, certificate: Option<&str>, direction: Direction, length: u64) -> Result<(), String> {
    let mut config = TransportConfig { protocols: Protocols::Http1, ..TransportConfig::default() };
    let mut scheme = "http";
    if let Some(certificate) = certificate {
        let extra_roots = Certificate::from_pem(certificate.as_bytes()).map_err(said)?;
        let tls = TlsConfig { roots: Roots::Nothing, extra_roots, ..TlsConfig::default() };
        config.connect = ConnectConfig { tls, ..ConnectConfig::default() };
        scheme = "https";
    }
    let transport = Transport::with_config(config);
    let request = match direction {
        Direction::Down => http::Request::get(format!("{scheme}://{addr}/{length}")).body(Body::empty()),
        Direction::Up => {
            http::Request::post(format!("{scheme}://{addr}/")).body(Body::new(Pieces { piece: piece(), left: length }))
        }
    };
    let response = transport.round_trip(request.map_err(said)?).await.map_err(said)?;
    if response.status() != http::StatusCode::OK {
        return Err(format!("answered {}", response.status()));
    }
    let mut body = response.into_body();
    let mut check = Check::default();
    while let Some(frame) = body.frame().await {
        if let (Direction::Down, Some(data)) = (direction, frame.map_err(said)?.data_ref()) {
            check.next(data)?;
        }
    }
    if direction == Direction::Down && check.seen != length {
        return Err(format!("the body has {} of {length} bytes", check.seen));
    }
    Ok(())
}

/// A body of so many bytes, made of the same piece again and again: no copy is made here.
struct Pieces {
    piece: Bytes,
    left: u64,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let next = usize::try_from(self.left).unwrap_or(usize::MAX).min(PIECE);
        self.left -= next as u64;
        Poll::Ready(Some(Ok(http_body::Frame::data(self.piece.slice(..next)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.left)
    }
}

/// The most memory that this process has had in use so far, in bytes, where the system tells.
#[must_use]
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next())?;
    kilobytes.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_differs_is_noticed() {
        let piece = piece();
        let mut check = Check::default();
        check.next(&piece[..100]).unwrap();
        check.next(&piece[100..]).unwrap();
        check.next(&piece[..1]).unwrap();
        assert_eq!(check.seen, PIECE as u64 + 1);
        assert!(check.next(&piece[..1]).is_err(), "the first byte is not the second");
    }
}
