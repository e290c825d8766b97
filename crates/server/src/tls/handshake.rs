//! From an accepted connection to one that carries HTTP, in the connection's own task.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use rustls::HandshakeKind;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Tls;
use super::prefixed::Prefixed;
use crate::ServerEvent;
use crate::conn::FRESH_GRACE;
use crate::deadlines::CLOSING;
use crate::info::TlsInfo;
use crate::linger::Linger;
use crate::stream::{Duplex, Stream};
use crate::tracker::{Stage, Tracked};

impl Tls {
    /// Shakes hands, within the server's limit and for as long as the server goes on. `None` if the connection is not to be
    /// served; all that there is to say has been said then.
    pub(crate) async fn handshake(&self, stream: Stream, tracked: &Tracked) -> Option<(Stream, TlsInfo)> {
        let link = &tracked.link;
        let mut shaking = pin!(within(link.config.tls_handshake_timeout, self.shake(stream)));
        let mut stopped = pin!(stopped(link.tracker.stage()));
        let shaken = poll_fn(|cx| match shaking.as_mut().poll(cx) {
            Poll::Ready(shaken) => Poll::Ready(Some(shaken)),
            Poll::Pending => stopped.as_mut().poll(cx).map(|()| None),
        })
        .await?;
        match shaken {
            Ok(Shaken::Tls(stream, tls)) => Some((stream, tls)),
            // A look at the port, such as a load balancer's, is nothing to tell.
            Ok(Shaken::Silent) => None,
            Err(cause) => {
                let event = ServerEvent::TlsHandshakeFailed { peer: &link.info.remote, cause: &cause };
                link.config.error_log.tell(&event);
                None
            }
        }
    }

    async fn shake(&self, stream: Stream) -> io::Result<Shaken> {
        let mut stream = Prefixed::look(stream).await?;
        match stream.first() {
            [] => return Ok(Shaken::Silent),
            first if is_http(first) => {
                refuse_http(stream.stream_mut()).await;
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the client spoke plain HTTP"));
            }
            _ => {}
        }
        let stream = TlsAcceptor::from(self.rustls()).accept(stream).await?;
        let (_, session) = stream.get_ref();
        let version = session.protocol_version().and_then(|version| version.as_str());
        let tls = TlsInfo {
            server_name: session.server_name().map(str::to_ascii_lowercase),
            alpn: session.alpn_protocol().map(<[u8]>::to_vec),
            version: version.map(|version| match version {
                "TLSv1_2" => "TLSv1.2",
                "TLSv1_3" => "TLSv1.3",
                other => other,
            }),
            peer_certificates: session
                .peer_certificates()
                .unwrap_or_default()
                .iter()
                .map(|certificate| certificate.to_vec())
                .collect(),
            resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
        };
        Ok(Shaken::Tls(Stream::Other(Box::new(stream)), tls))
    }
}

enum Shaken {
    Tls(Stream, TlsInfo),
    /// The client left without a byte.
    Silent,
}

/// Waits until the server is cut, or has been stopping for as long as it waits for the first request of a plain connection.
async fn stopped(mut stage: watch::Receiver<Stage>) {
    // An error means that the tracker is gone, which cannot be while its connections are there.
    let _ = stage.wait_for(|stage| *stage > Stage::LameDuck).await;
    let _ = timeout(FRESH_GRACE, stage.wait_for(|stage| *stage == Stage::Cut)).await;
}

async fn within(limit: Option<Duration>, shaking: impl Future<Output = io::Result<Shaken>>) -> io::Result<Shaken> {
    let Some(limit) = limit else { return shaking.await };
    timeout(limit, shaking)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, format!("not complete after {limit:?}"))))
}

impl Duplex for TlsStream<Prefixed<Stream>> {
    fn beneath(&self) -> &Stream {
        self.get_ref().0.stream()
    }
}

/// Whether the first bytes are a method rather than a TLS record, which begins with a small number. A method that came in pieces
/// is told by its beginning.
fn is_http(first: &[u8]) -> bool {
    let methods: [&[u8]; 9] =
        [b"GET /", b"HEAD ", b"POST ", b"PUT /", b"OPTIO", b"PATCH", b"DELET", b"CONNE", b"PRI *"];
    methods.iter().any(|method| method.starts_with(first))
}

/// Answers in plain HTTP, as Go's server does, closes our side, and reads on for a moment, so that the answer is not lost to a
/// reset while the client is still sending.
async fn refuse_http(stream: &mut Stream) {
    let mut linger = Linger::new();
    let parting = async {
        stream.write_all(REFUSAL.as_bytes()).await?;
        stream.shutdown().await?;
        poll_fn(|cx| linger.poll(stream, cx, |_| {})).await;
        io::Result::Ok(())
    };
    // A client that is gone, or goes on for too long, has had its chance.
    let _ = timeout(CLOSING, parting).await;
}

const REFUSAL: &str = "HTTP/1.1 400 Bad Request\r\n\
    Connection: close\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 48\r\n\
    \r\n\
    Client sent an HTTP request to an HTTPS server.\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusals_length_is_right() {
        let (head, body) = REFUSAL.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }

    #[test]
    fn requests_are_told_from_records() {
        for (first, http) in [
            (&b"GET /"[..], true),
            (b"G", true),
            (b"POST ", true),
            (b"DELET", true),
            (&[0x16, 3, 1, 0, 5], false),
            (&[0x16], false),
            (b"\0\0\0\0\0", false),
            (b"SSH-2", false),
        ] {
            assert_eq!(is_http(first), http, "{first:?}");
        }
    }
}
