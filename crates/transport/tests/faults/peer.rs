//! Servers that write their bytes by hand and keep nothing.

use std::future::Future;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const END_HEADERS: u8 = 4;

/// `:status: 200`, from the static table (RFC 7541, appendix A).
pub(crate) const OK: &[u8] = &[0x88];

/// A frame in bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

async fn server<F, Fut>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// A server that reads the head of a request and does as `answer` says.
pub(crate) async fn http1<F, Fut>(answer: F) -> SocketAddr
where
    F: Fn(TcpStream) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    server(move |mut stream| {
        let answer = answer.clone();
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            answer(stream).await;
        }
    })
    .await
}

/// A server over HTTP/2 in plain text that does as `answer` says when the first request has come; it is told the stream.
pub(crate) async fn http2<F, Fut>(answer: F) -> SocketAddr
where
    F: Fn(Raw, u32) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    http2_with(frame(SETTINGS, 0, 0, &[]), answer).await
}

/// As [`http2`], with settings.
pub(crate) async fn http2_with<F, Fut>(settings: Vec<u8>, answer: F) -> SocketAddr
where
    F: Fn(Raw, u32) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let answer = std::sync::Arc::new(answer);
    server(move |mut stream| {
        let (settings, answer) = (settings.clone(), std::sync::Arc::clone(&answer));
        async move {
            if stream.write_all(&settings).await.is_err() {
                return;
            }
            let (mut read, write) = stream.into_split();
            let Some(stream) = first_request(&mut read).await else { return };
            // What the client answers has to be read, or both would wait.
            let reading =
                tokio::spawn(async move { tokio::io::copy(&mut read, &mut tokio::io::sink()).await.map(drop) });
            let raw = Raw { write, reading };
            answer(raw, stream).await;
        }
    })
    .await
}

/// Reads up to the first HEADERS. Returns its stream.
async fn first_request(read: &mut OwnedReadHalf) -> Option<u32> {
    read.read_exact(&mut [0; 24]).await.ok()?;
    loop {
        let mut head = [0; 9];
        read.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, _, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        read.read_exact(&mut payload).await.ok()?;
        if kind == HEADERS {
            return Some(u32::from_be_bytes(stream));
        }
    }
}

/// The server's end of a connection.
pub(crate) struct Raw {
    write: OwnedWriteHalf,
    reading: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Raw {
    /// Whether the client still listens.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> bool {
        !self.reading.is_finished() && self.write.write_all(bytes).await.is_ok()
    }

    /// Says nothing more, until the client hangs up.
    pub(crate) async fn idle(&mut self) {
        let _ = (&mut self.reading).await;
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.reading.abort();
    }
}
