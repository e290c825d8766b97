//! Servers of the tests.

use std::future::Future;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, SendResponse};
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};

use crate::net::Stream;

/// A server on the h2 crate, over a real socket, that answers each request by `serve`. Returns our end.
pub(super) async fn server<F, Fut>(builder: Builder, serve: F) -> Stream
where
    F: Fn(Request<RecvStream>, SendResponse<Bytes>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (theirs, _) = listener.accept().await.unwrap();
    tokio::spawn(async move {
        let mut connection = builder.handshake(theirs).await.unwrap();
        while let Some(Ok((request, respond))) = connection.accept().await {
            tokio::spawn(serve(request, respond));
        }
    });
    Stream::Tcp(ours)
}

/// A frame: kind, flags, stream, payload.
pub(super) type Frame = (u8, u8, u32, Vec<u8>);

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const CONTINUATION: u8 = 9;
pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// `:status: 200`, from the static table (RFC 7541, appendix A).
pub(super) const OK: &[u8] = &[0x88];

/// A server that writes its frames by hand, over memory, so that time can be paused.
pub(super) struct Raw(pub(super) DuplexStream);

impl Raw {
    /// The server, with these settings, and our end.
    pub(super) async fn new(settings: &[(u16, u32)]) -> (Self, Stream) {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let mut raw = Raw(theirs);
        let payload: Vec<u8> =
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        raw.write(SETTINGS, 0, 0, &payload).await;
        (raw, Stream::boxed(ours))
    }

    pub(super) async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        assert!(self.try_write(kind, flags, stream, payload).await, "the client hung up");
    }

    /// Whether the client still listens.
    pub(super) async fn try_write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let frame = [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat();
        self.0.write_all(&frame).await.is_ok()
    }

    /// The client's preface.
    pub(super) async fn preface(&mut self) {
        let mut preface = [0; 24];
        self.0.read_exact(&mut preface).await.unwrap();
        assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    }

    /// The next frame; `None` at the end.
    pub(super) async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some((kind, flags, u32::from_be_bytes(stream), payload))
    }

    /// The next frame of this kind, others skipped. Acknowledgements of settings are no frame here.
    pub(super) async fn read_until(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.read().await.expect("a frame of the client");
            if frame.0 == kind && !(kind == SETTINGS && frame.1 & ACK != 0) {
                return frame;
            }
        }
    }

    /// Reads the preface and the first request. Returns its stream.
    pub(super) async fn request(&mut self) -> u32 {
        self.preface().await;
        self.read_until(HEADERS).await.2
    }

    pub(super) async fn goaway(&mut self, last: u32, code: u32) {
        self.write(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat()).await;
    }

    pub(super) async fn reset(&mut self, stream: u32, code: u32) {
        self.write(RST_STREAM, 0, stream, &code.to_be_bytes()).await;
    }

    /// Reads what comes until the client hangs up.
    pub(super) async fn drain(mut self) {
        while self.read().await.is_some() {}
    }
}
