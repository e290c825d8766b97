//! Servers that behave in one way only, on threads of their own.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// Serves each connection with `serve` on a thread of its own, for as long as the process lives. Returns the address.
pub(crate) fn start(serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let serve = Arc::new(serve);
    std::thread::Builder::new().name("stress server".into()).spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            let serving = std::thread::Builder::new().stack_size(128 << 10).spawn(move || {
                let _ = stream.set_nodelay(true);
                // What becomes of a connection is the client's to judge.
                let _ = serve(stream);
            });
            // Without a thread the connection is closed, which the client sees.
            drop(serving);
        }
    })?;
    Ok(addr)
}

/// Reads a head, byte by byte behind what `buf` holds; the rest stays in `buf`. `None` at the end of the stream.
pub(crate) fn read_head(stream: &mut impl Read, buf: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(end) = buf.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = buf.split_off(end + 4);
            return Ok(Some(std::mem::replace(buf, rest)));
        }
        let mut piece = [0; 1024];
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Ok(None);
        }
        buf.extend_from_slice(&piece[..count]);
    }
}

/// Reads the rest of a body of `length` bytes, of which `buf` holds the beginning.
pub(crate) fn read_body(stream: &mut impl Read, buf: &mut Vec<u8>, length: usize) -> io::Result<Vec<u8>> {
    while buf.len() < length {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buf.extend_from_slice(&piece[..count]);
    }
    let rest = buf.split_off(length);
    Ok(std::mem::replace(buf, rest))
}

/// The `Content-Length` of a head, 0 without one.
pub(crate) fn length(head: &[u8]) -> usize {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = text.split("content-length:").nth(1).and_then(|rest| rest.split("\r\n").next());
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

/// The target of a request's head.
pub(crate) fn target(head: &[u8]) -> String {
    String::from_utf8_lossy(head).split(' ').nth(1).unwrap_or_default().to_owned()
}

/// Answers 200 with `body`.
pub(crate) fn answer(stream: &mut impl Write, body: &str) -> io::Result<()> {
    stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes())
}
