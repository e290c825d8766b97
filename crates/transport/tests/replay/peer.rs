//! The server's end of a connection: what came is collected in the background, so that the end is noticed at once.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

pub(crate) struct Socket {
    stream: TcpStream,
    inbox: Mutex<Inbox>,
    /// The client's FIN or RST has come.
    ended: AtomicBool,
    news: Notify,
    reader: Mutex<Option<AbortHandle>>,
}

/// What came and was not yet looked at.
#[derive(Default)]
pub(crate) struct Inbox {
    pub(crate) bytes: Vec<u8>,
    at: usize,
    /// Where the body behind the last head begins.
    body_at: usize,
}

/// A request's head.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) path: String,
    fields: Vec<(String, String)>,
}

impl Head {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (method, path) = (word(), word());
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Head { method, path, fields: lines.filter_map(field).collect() }
    }
}

impl Inbox {
    /// Whether all of the body of the last head has come, taken out or not.
    fn was_whole(&mut self, head: &Head) -> bool {
        let at = self.at;
        self.at = self.body_at;
        let whole = self.body(head).is_some();
        self.at = at;
        whole
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    pub(crate) fn head(&mut self) -> Option<Head> {
        let end = self.rest().windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = Head::parse(&roundtrip_golden::latin1(&self.rest()[..end]));
        self.at += end + 4;
        self.body_at = self.at;
        Some(head)
    }

    /// Takes a whole body out. Returns how many bytes of content it had.
    pub(crate) fn body(&mut self, head: &Head) -> Option<usize> {
        if head.field("transfer-encoding").is_some() {
            let (content, length) = chunked(self.rest())?;
            self.at += length;
            return Some(content);
        }
        let length = head.field("content-length").map_or(0, |value| value.parse().expect("a length"));
        if self.rest().len() < length {
            return None;
        }
        self.at += length;
        Some(length)
    }
}

/// Content and length of a chunked body, if it is complete.
pub(crate) fn chunked(bytes: &[u8]) -> Option<(usize, usize)> {
    let (mut content, mut at) = (0, 0);
    loop {
        let line = bytes[at..].windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(&roundtrip_golden::latin1(&bytes[at..at + line]), 16).expect("a chunk's size");
        at += line + 2;
        if bytes.len() < at + size + 2 {
            return None;
        }
        content += size;
        at += size + 2;
        if size == 0 {
            // Our requests have no trailers here.
            return Some((content, at));
        }
    }
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Arc<Self> {
        stream.set_nodelay(true).unwrap();
        let socket = Arc::new(Socket {
            stream,
            inbox: Mutex::default(),
            ended: AtomicBool::new(false),
            news: Notify::new(),
            reader: Mutex::default(),
        });
        let reading = Arc::clone(&socket);
        let reader = tokio::spawn(async move { reading.read().await });
        *socket.reader.lock().unwrap() = Some(reader.abort_handle());
        socket
    }

    async fn read(&self) {
        let mut piece = vec![0; 64 << 10];
        loop {
            let read = match self.stream.readable().await {
                Ok(()) => self.stream.try_read(&mut piece),
                Err(error) => Err(error),
            };
            match read {
                Ok(0) => break,
                Ok(count) => self.inbox.lock().unwrap().bytes.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => break,
            }
            self.news.notify_waiters();
        }
        self.ended.store(true, Ordering::SeqCst);
        self.news.notify_waiters();
    }

    /// Whether the client has hung up.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    pub(crate) async fn wait_ended(&self) {
        self.until(|_| None::<()>).await;
    }

    /// Waits until `find` finds something in what came; `None` if the client hangs up before.
    async fn until<T>(&self, mut find: impl FnMut(&mut Inbox) -> Option<T>) -> Option<T> {
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            news.as_mut().enable();
            let ended = self.has_ended();
            let found = find(&mut self.inbox.lock().unwrap());
            if found.is_some() || ended {
                return found;
            }
            news.await;
        }
    }

    /// The next request's head; `None` if the client hangs up before.
    pub(crate) async fn head(&self) -> Option<Head> {
        self.until(Inbox::head).await
    }

    /// The body behind a head; `None` if the client hangs up before its end.
    pub(crate) async fn body(&self, head: &Head) -> Option<usize> {
        self.until(|inbox| inbox.body(head)).await
    }

    /// Waits until the body behind a head was taken, or can be. Returns whether it came whole.
    pub(crate) async fn wait_body(&self, head: &Head) -> bool {
        let taken = head.field("content-length").is_none() && head.field("transfer-encoding").is_none();
        taken || self.until(|inbox| inbox.was_whole(head).then_some(())).await.is_some()
    }

    pub(crate) async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says goodbye and goes on reading.
    pub(crate) fn fin(&self) {
        // The client may be gone already.
        let _ = SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write);
    }

    /// Resets the connection once the caller has dropped the socket too.
    pub(crate) fn prepare_reset(&self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
        self.stop();
        self.ended.store(true, Ordering::SeqCst);
        self.news.notify_waiters();
    }

    /// Ends the background reading, which holds the socket.
    pub(crate) fn stop(&self) {
        if let Some(reader) = self.reader.lock().unwrap().take() {
            reader.abort();
        }
    }
}
