//! Clients in a tight loop, who keep count.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

#[derive(Default)]
pub(crate) struct Count {
    sent: AtomicU64,
    answered: AtomicU64,
    /// Sent, although nothing had shown that the server had closed, and not answered.
    lost: AtomicU64,
    /// Clients that found the connection closed without having been told.
    surprised: AtomicU64,
}

impl Count {
    /// Whether all of at least so many requests were answered, and everybody was told that the connection ends.
    pub(crate) fn check(&self, least: u64) {
        let of = |what: &AtomicU64| what.load(Ordering::Relaxed);
        assert!(of(&self.sent) >= least, "{self}");
        assert_eq!((of(&self.lost), of(&self.surprised)), (0, 0), "{self}");
        assert_eq!(of(&self.sent), of(&self.answered), "{self}");
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |what: &AtomicU64| what.load(Ordering::Relaxed);
        let (sent, answered, lost, untold) = (of(&self.sent), of(&self.answered), of(&self.lost), of(&self.surprised));
        write!(f, "{sent} requests sent, {answered} answered, {lost} lost, {untold} connections ended untold")
    }
}

/// Asks in a tight loop on one connection until it is told, or finds, that the connection is over.
pub(crate) async fn ask(mut stream: TcpStream, count: Arc<Count>, warm: Arc<tokio::sync::Barrier>) {
    stream.set_nodelay(true).unwrap();
    let mut got = Vec::new();
    for n in 0.. {
        if n == 3 {
            warm.wait().await;
        }
        // The end that was already visible.
        if let Ok(0) = stream.try_read(&mut [0; 1]) {
            count.surprised.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if stream.write_all(REQUEST).await.is_err() {
            count.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        count.sent.fetch_add(1, Ordering::Relaxed);
        got.clear();
        while !got.ends_with(b"\r\n\r\nhello") {
            match stream.read_buf(&mut got).await {
                Ok(n) if n > 0 => {}
                _ => {
                    count.lost.fetch_add(1, Ordering::Relaxed);
                    return;
                }
            }
        }
        count.answered.fetch_add(1, Ordering::Relaxed);
        if got.windows(21).any(|text| text == b"\r\nconnection: close\r\n") {
            return;
        }
    }
}
