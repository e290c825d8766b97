//! Asking an HTTP proxy for a tunnel: CONNECT (RFC 9110, section 9.3.6).

use bytes::BytesMut;
use http::header::{PROXY_AUTHENTICATE, PROXY_AUTHORIZATION};
use http::{Method, StatusCode};
use roundtrip_h1::write::encode_request_head;
use roundtrip_h1::{Excerpt, Framing, Limits, RequestTarget, ResponseHead, ResponseParser};
use roundtrip_types::{Error, ErrorKind, Phase, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Proxy;
use crate::net::{Stream, Target};

/// Most bytes of the proxy's answer, interim responses included.
const MAX_HEAD: usize = 64 << 10;

/// Most fields of the proxy's answer.
const MAX_FIELDS: usize = 200;

/// Has `proxy` connect `stream` through to `target`.
///
/// # Errors
/// Phase `Proxy`, each named: the proxy wants credentials, refuses, cannot reach the server, talks no HTTP, talks without
/// end, or hangs up.
///
/// # Cancel safety
/// Dropping the future closes the connection.
pub(crate) async fn tunnel(mut stream: Stream, proxy: &Proxy, target: &Target) -> Result<Stream> {
    let authority = target.to_string();
    let mut out = Vec::new();
    let to = RequestTarget::Authority(&authority);
    encode_request_head(&mut out, &Method::CONNECT, to, &authority, &proxy.connect_fields(), Framing::None).map_err(
        |error| failed(proxy, ErrorKind::Request, "the CONNECT request cannot be written").with_cause(error),
    )?;
    let sent = async {
        stream.write_all(&out).await?;
        stream.flush().await
    };
    // A proxy may answer and close before it has read everything; what it says is worth more than the failure to write.
    let sent = sent.await;
    let answer = answer(&mut stream, proxy).await;
    let (head, rest) = match (answer, sent) {
        (Ok(answer), _) => answer,
        (Err(error), Ok(())) => return Err(error),
        (Err(_), Err(cause)) => {
            return Err(failed(proxy, ErrorKind::Connect, "the CONNECT request could not be sent").with_cause(cause));
        }
    };
    if !head.status.is_success() {
        return Err(refused(proxy, &authority, &head));
    }
    if !rest.is_empty() {
        // The server speaks only when spoken to, so this is the proxy's.
        let what = format!("it sent {} bytes behind its answer: {}", rest.len(), Excerpt::new(&rest));
        return Err(failed(proxy, ErrorKind::Protocol, &what));
    }
    Ok(stream)
}

/// The final answer, and what came behind it.
async fn answer(stream: &mut Stream, proxy: &Proxy) -> Result<(ResponseHead, BytesMut)> {
    let mut parser = ResponseParser::new(Limits { max_head_bytes: MAX_HEAD, max_fields: MAX_FIELDS });
    let (mut buf, mut heads) = (BytesMut::new(), 0);
    loop {
        match parser.parse(&mut buf) {
            Ok(Some(head)) if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS => {
                heads += head.head_bytes;
                if heads > MAX_HEAD {
                    return Err(failed(proxy, ErrorKind::TooLarge, "its interim answers do not end"));
                }
            }
            Ok(Some(head)) => return Ok((head, buf)),
            Ok(None) => match stream.read_buf(&mut buf).await {
                Ok(0) => {
                    let what = match parser.eof(&buf) {
                        Ok(()) => "it closed the connection without an answer",
                        Err(_) => "it closed the connection in the middle of its answer",
                    };
                    return Err(failed(proxy, ErrorKind::Connect, what));
                }
                Ok(_) => {}
                Err(cause) => {
                    let what = "the connection broke before its answer";
                    return Err(failed(proxy, ErrorKind::Connect, what).with_cause(cause));
                }
            },
            Err(error) => {
                return Err(failed(proxy, ErrorKind::Protocol, "its answer is no HTTP/1 response").with_cause(error));
            }
        }
    }
}

fn refused(proxy: &Proxy, authority: &str, head: &ResponseHead) -> Error {
    let status = match &head.reason[..] {
        b"" => head.status.to_string(),
        reason => format!("{} {}", head.status.as_str(), cut(reason)),
    };
    let has_credentials = proxy.connect_fields().contains_key(PROXY_AUTHORIZATION);
    let what = match head.status {
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            let wants = head.headers.get(PROXY_AUTHENTICATE).map(|value| cut(value.as_bytes()));
            let wants = wants.map(|scheme| format!(", it wants {scheme}")).unwrap_or_default();
            if has_credentials {
                format!("it refuses our credentials ({status}{wants})")
            } else {
                format!("it wants credentials and its URL has none ({status}{wants})")
            }
        }
        // As tinyproxy says it.
        StatusCode::UNAUTHORIZED if has_credentials => format!("it refuses our credentials ({status})"),
        code if code.is_server_error() => format!("it cannot reach {authority} ({status})"),
        _ => format!("it refuses a tunnel to {authority} ({status})"),
    };
    failed(proxy, ErrorKind::Connect, &what)
}

/// A piece of the proxy's answer, escaped and of bounded length.
fn cut(text: &[u8]) -> String {
    const MOST: usize = 100;
    let more = if text.len() > MOST { "..." } else { "" };
    format!("{}{more}", text[..text.len().min(MOST)].escape_ascii())
}

pub(super) fn failed(proxy: &Proxy, kind: ErrorKind, what: &str) -> Error {
    Error::new(kind, format!("proxy {proxy}: {what}")).with_phase(Phase::Proxy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Scheme;

    /// What comes of a proxy that says `answer` and then hangs up. Also what it was sent.
    async fn ask(url: &str, answer: &[u8]) -> (Result<Stream>, String) {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let answer = answer.to_vec();
        let peer = tokio::spawn(async move {
            let mut got = Vec::new();
            while !got.ends_with(b"\r\n\r\n") {
                assert_ne!(theirs.read_buf(&mut got).await.unwrap(), 0);
            }
            // We may have stopped reading already.
            let _ = theirs.write_all(&answer).await;
            String::from_utf8(got).unwrap()
        });
        let proxy = Proxy::new(url).unwrap();
        let target = Target::new(Scheme::Https, "h.test", 443);
        let outcome = tunnel(Stream::boxed(ours), &proxy, &target).await;
        (outcome, peer.await.unwrap())
    }

    #[tokio::test]
    async fn the_request_names_the_server_and_carries_the_credentials() {
        let (outcome, sent) = ask("http://u:p@px.test", b"HTTP/1.1 200 Connection established\r\n\r\n").await;
        outcome.unwrap();
        assert_eq!(sent, "CONNECT h.test:443 HTTP/1.1\r\nhost: h.test:443\r\nproxy-authorization: Basic dTpw\r\n\r\n");
        let (outcome, sent) = ask("http://px.test", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200\r\n\r\n").await;
        outcome.unwrap();
        assert_eq!(sent, "CONNECT h.test:443 HTTP/1.1\r\nhost: h.test:443\r\n\r\n");
    }

    #[tokio::test]
    async fn each_failure_is_named() {
        use ErrorKind::{Connect, Protocol};

        let long_reason = format!("HTTP/1.1 403 {}\r\n\r\n", "x".repeat(500));
        let cut_reason = format!("it refuses a tunnel to h.test:443 (403 {}...)", "x".repeat(100));
        for (url, answer, kind, what) in [
            (
                "http://px.test",
                &b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n"[..],
                Connect,
                "it wants credentials and its URL has none (407 Proxy Authentication Required, it wants Basic realm=\\\"x\\\")",
            ),
            ("http://u:p@px.test", b"HTTP/1.1 407 No\r\n\r\n", Connect, "it refuses our credentials (407 No)"),
            (
                "http://px.test",
                b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
                Connect,
                "it cannot reach h.test:443 (502 Bad Gateway)",
            ),
            (
                "http://px.test",
                b"HTTP/1.1 503\r\n\r\n",
                Connect,
                "it cannot reach h.test:443 (503 Service Unavailable)",
            ),
            ("http://px.test", long_reason.as_bytes(), Connect, &cut_reason),
            ("http://px.test", b"", Connect, "it closed the connection without an answer"),
            ("http://px.test", b"HTTP/1.1 2", Connect, "it closed the connection in the middle of its answer"),
            ("http://px.test", b"SSH-2.0-x\r\n\r\n", Protocol, "its answer is no HTTP/1 response: "),
            (
                "http://px.test",
                b"HTTP/1.1 200 OK\r\n\r\nhello",
                Protocol,
                "it sent 5 bytes behind its answer: \"hello\"",
            ),
        ] {
            let error = ask(url, answer).await.0.unwrap_err();
            let line = error.to_string();
            let shown = Proxy::new(url).unwrap();
            assert!(line.starts_with(&format!("proxy {shown}: {what}")), "{line}");
            assert_eq!((error.kind(), error.phase(), error.was_sent()), (kind, Some(Phase::Proxy), false), "{line}");
            assert!(!line.contains("u:p"), "{line}");
        }
    }

    #[tokio::test]
    async fn an_answer_without_end_is_cut_off() {
        for endless in [b"x: ".to_vec(), b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()] {
            let mut answer = b"HTTP/1.1 200 OK\r\n".to_vec();
            if endless.starts_with(b"HTTP") {
                answer.clear();
            }
            while answer.len() < 200_000 {
                answer.extend_from_slice(&endless);
            }
            let error = ask("http://px.test", &answer).await.0.unwrap_err();
            let line = error.to_string();
            assert!(line.contains("65536") || line.ends_with("its interim answers do not end"), "{line}");
        }
    }
}
