//! The server's side of HTTP/1.1.

use bytes::BytesMut;
use http::HeaderMap;
use roundtrip_h1::{Decoded, Decoder, DecoderLimits, Framing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use super::exchange::{Exchange, Fields, Head};
use super::peer::{Doorway, Io};

/// A connection: the stream, and what came beyond the current request.
struct Conn {
    io: Box<dyn Io>,
    buf: BytesMut,
}

/// A request and its response. Dropped before the end of both, it closes the connection.
pub(crate) struct Wire {
    conn: Conn,
    body: Decoder,
    trailers: Option<HeaderMap>,
    is_head: bool,
    chunked: bool,
    /// Where the connection goes when both are complete.
    back: oneshot::Sender<Conn>,
}

/// Serves one connection, a request at a time.
pub(crate) async fn serve(io: Box<dyn Io>, mut doorway: Doorway) {
    let mut conn = Conn { io, buf: BytesMut::new() };
    loop {
        let (head, framing) = tokio::select! {
            biased;
            head = conn.head() => match head {
                Some(head) => head,
                None => return,
            },
            _ = doorway.leaving.changed() => {
                let _ = conn.io.shutdown().await;
                return;
            }
        };
        let (back, came_back) = oneshot::channel();
        let wire = Wire {
            conn,
            body: Decoder::new(framing, DecoderLimits::default()),
            trailers: None,
            is_head: head.method == "HEAD",
            chunked: false,
            back,
        };
        if doorway.exchanges.send(Exchange::http1(head, wire)).is_err() {
            return;
        }
        match came_back.await {
            Ok(free) => conn = free,
            Err(_) => return,
        }
    }
}

impl Conn {
    /// Reads a request's head; `None` at the end.
    async fn head(&mut self) -> Option<(Head, Framing)> {
        let end = loop {
            if let Some(end) = self.buf.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if self.io.read_buf(&mut self.buf).await.ok()? == 0 {
                return None;
            }
        };
        let head = self.buf.split_to(end);
        let mut lines = head[..end - 4].split(|&byte| byte == b'\n').map(|line| line.trim_ascii_end());
        let first = String::from_utf8(lines.next()?.to_vec()).ok()?;
        let mut words = first.split(' ').map(str::to_owned);
        let (method, target) = (words.next()?, words.next()?);
        let mut fields = Fields::default();
        for line in lines {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let name = String::from_utf8(line[..colon].to_ascii_lowercase()).ok()?;
            fields.0.push((name, line[colon + 1..].trim_ascii().to_vec()));
        }
        let host = fields.get("host").unwrap_or_default();
        fields.0.retain(|(name, _)| name != "host");
        let framing = match (fields.get("transfer-encoding"), fields.get("content-length")) {
            (Some(_), _) => Framing::Chunked,
            (None, Some(length)) => Framing::Length(length.parse().ok()?),
            (None, None) => Framing::None,
        };
        Some((Head { method, target, host, fields }, framing))
    }
}

impl Wire {
    pub(crate) async fn chunk(&mut self) -> Option<Result<Vec<u8>, String>> {
        loop {
            if self.body.is_done() {
                return None;
            }
            match self.body.decode(&mut self.conn.buf) {
                Ok(Decoded::Data(data)) => return Some(Ok(data.to_vec())),
                Ok(Decoded::Trailers(trailers)) => self.trailers = Some(trailers),
                Ok(Decoded::End) => return None,
                Ok(Decoded::NeedMore) => match self.conn.io.read_buf(&mut self.conn.buf).await {
                    Ok(0) => return Some(Err("cut off".to_owned())),
                    Ok(_) => {}
                    Err(error) => return Some(Err(error.to_string())),
                },
                Err(error) => return Some(Err(error.to_string())),
            }
        }
    }

    #[expect(clippy::unused_async, reason = "as its twin")]
    pub(crate) async fn trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    pub(crate) async fn given_up(&mut self) {
        while self.conn.io.read_buf(&mut self.conn.buf).await.is_ok_and(|count| count > 0) {}
    }

    pub(crate) async fn interim(&mut self, status: u16, fields: &[(&str, &str)]) -> bool {
        self.write(head(status, fields).as_bytes()).await
    }

    pub(crate) async fn begin(&mut self, status: u16, fields: &[(&str, &str)]) {
        self.chunked = !fields.iter().any(|(name, _)| *name == "content-length");
        let mut fields = fields.to_vec();
        if self.chunked {
            fields.push(("transfer-encoding", "chunked"));
        }
        self.write(head(status, &fields).as_bytes()).await;
    }

    pub(crate) async fn bare(mut self, status: u16, fields: &[(&str, &str)]) {
        self.write(head(status, fields).as_bytes()).await;
        self.give_back();
    }

    pub(crate) async fn data(&mut self, data: Vec<u8>) -> bool {
        if data.is_empty() || self.is_head {
            return true;
        }
        if !self.chunked {
            return self.write(&data).await;
        }
        let chunk = [format!("{:x}\r\n", data.len()).as_bytes(), &data, b"\r\n"].concat();
        self.write(&chunk).await
    }

    pub(crate) async fn finish(&mut self, trailers: &[(&str, &str)]) {
        if self.chunked && !self.is_head {
            let mut last = "0\r\n".to_owned();
            for (name, value) in trailers {
                last.push_str(&format!("{name}: {value}\r\n"));
            }
            last.push_str("\r\n");
            self.write(last.as_bytes()).await;
        } else {
            assert!(trailers.is_empty(), "only chunks have trailers");
        }
    }

    /// Frees the connection, if the request has come whole.
    pub(crate) fn give_back(self) {
        if self.body.is_done() {
            // The connection's task ends before this only with the runtime.
            let _ = self.back.send(self.conn);
        }
    }

    pub(crate) async fn raw(mut self, bytes: &[u8], in_order: bool) {
        self.write(bytes).await;
        if in_order {
            let _ = self.conn.io.shutdown().await;
        }
    }

    pub(crate) fn abort(self) {}

    pub(crate) fn hang_up(self) {}

    async fn write(&mut self, bytes: &[u8]) -> bool {
        self.conn.io.write_all(bytes).await.is_ok() && self.conn.io.flush().await.is_ok()
    }
}

fn head(status: u16, fields: &[(&str, &str)]) -> String {
    let mut head = format!("HTTP/1.1 {status} \r\n");
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + "\r\n"
}
