//! A connection of frames, and a server to connect to.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use roundtrip_server::{ErrorLog, Listener, ResponseController, Server, ServerConfig};
use roundtrip_types::{Body, IntoResponse, MessageExt, Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// What the frames go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// A plain connection, by prior knowledge.
    Plain,
    /// TLS, with HTTP/2 chosen by ALPN.
    #[cfg(feature = "tls")]
    Tls,
}

const ALL: &[Over] = &[
    Over::Plain,
    #[cfg(feature = "tls")]
    Over::Tls,
];

/// Runs `test` over each, in a runtime of its own that has one thread.
pub(crate) fn run(test: impl AsyncFn(Over)) {
    each(&test, false);
}

/// The same with the clock paused.
pub(crate) fn run_paused(test: impl AsyncFn(Over)) {
    each(&test, true);
}

fn each(test: &impl AsyncFn(Over), start_paused: bool) {
    for &over in ALL {
        // Seen if it fails.
        println!("over {over:?}");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(start_paused).build();
        runtime.unwrap().block_on(test(over));
    }
}

// Frame types (section 6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const UNKNOWN: u8 = 0xf5;

// Flags.
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const PRIO: u8 = 0x20;

// Error codes (section 7).
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const STREAM_CLOSED: u32 = 5;
pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const COMPRESSION_ERROR: u32 = 9;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

// hyper ends a connection where the RFC says so, but mostly with PROTOCOL_ERROR, the word for everything, where the RFC has a
// more telling one. That is all it says, so it is taken here too.
pub(crate) const BAD_SIZE: &[u32] = &[FRAME_SIZE_ERROR, PROTOCOL_ERROR];
pub(crate) const BAD_CODING: &[u32] = &[COMPRESSION_ERROR, PROTOCOL_ERROR];
pub(crate) const BAD_WINDOW: &[u32] = &[FLOW_CONTROL_ERROR, PROTOCOL_ERROR];
pub(crate) const CLOSED: &[u32] = &[STREAM_CLOSED, PROTOCOL_ERROR];

/// A frame, as it stands on the wire.
#[derive(Clone)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Frame { kind, flags, stream, payload: payload.into() }
    }

    fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    /// By how much a WINDOW_UPDATE opens a window.
    pub(crate) fn increment(&self) -> i64 {
        i64::from(u32::from_be_bytes(self.payload.as_slice().try_into().unwrap()))
    }

    /// The error code of RST_STREAM and GOAWAY.
    fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = &self.payload[..self.payload.len().min(40)];
        write!(f, "[type {} flags {:#x} stream {}: {:?}]", self.kind, self.flags, self.stream, payload)
    }
}

/// `HEADERS` with these fields, which is all of the request.
pub(crate) fn get(stream: u32) -> Frame {
    Frame::new(HEADERS, END_STREAM | END_HEADERS, stream, request("GET", "/"))
}

/// `HEADERS` of a request whose body follows.
pub(crate) fn post(stream: u32) -> Frame {
    Frame::new(HEADERS, END_HEADERS, stream, request("POST", "/"))
}

/// The fields of a request, encoded.
pub(crate) fn request(method: &str, path: &str) -> Vec<u8> {
    block(&[(":method", method), (":scheme", "http"), (":path", path), (":authority", "h.test")])
}

/// A request and `more` fields.
pub(crate) fn request_with(more: &[(&str, &str)]) -> Vec<u8> {
    [request("GET", "/"), block(more)].concat()
}

/// Fields as literals without indexing, new names, no Huffman code (RFC 7541, 6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            integer(&mut block, 7, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// RFC 7541, 5.1. The bits above the prefix are zero.
fn integer(block: &mut Vec<u8>, prefix: u32, value: usize) {
    let max = (1 << prefix) - 1;
    if value < max {
        block.push(u8::try_from(value).unwrap());
        return;
    }
    block.push(u8::try_from(max).unwrap());
    let mut rest = value - max;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128 + 128).unwrap());
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// A server for one case. `GET /hello` says hello, `/wait` never answers, `/empty` has no body,
/// `/large` has a MiB, `/hints` says what became of its 103, anything else says what came.
pub(crate) struct Host {
    over: Over,
    addr: SocketAddr,
    pub(crate) server: Server<fn(Request) -> Serving>,
    serving: tokio::task::JoinHandle<roundtrip_server::Result<()>>,
}

type Serving = std::pin::Pin<Box<dyn Future<Output = Response> + Send>>;

fn serve(req: Request) -> Serving {
    Box::pin(async move {
        match req.uri().path() {
            "/hello" => "hello".into_response(),
            "/wait" => std::future::pending().await,
            "/empty" => Response::new(Body::empty()),
            "/large" => vec![b'z'; 1 << 20].into_response(),
            "/hints" => {
                let control = ResponseController::current().unwrap();
                let told = control.send_informational(http::StatusCode::EARLY_HINTS, &http::HeaderMap::new());
                format!("{told:?}").into_response()
            }
            _ => {
                let method = req.method().clone();
                match req.bytes().await {
                    Ok(body) => format!("{method} {}", body.len()).into_response(),
                    Err(error) => (http::StatusCode::BAD_REQUEST, error.to_string()).into_response(),
                }
            }
        }
    })
}

impl Host {
    pub(crate) async fn start(over: Over) -> Self {
        Host::with(over, ServerConfig::default()).await
    }

    pub(crate) async fn with(over: Over, config: ServerConfig) -> Self {
        let config = ServerConfig { h2c: over == Over::Plain, error_log: ErrorLog::none(), ..config };
        let server = Server::with_config(serve as fn(Request) -> Serving, config);
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().tcp().unwrap();
        let listener = match over {
            Over::Plain => listener,
            #[cfg(feature = "tls")]
            Over::Tls => listener.with_tls(tls::server()),
        };
        let serving = tokio::spawn(server.serve(listener));
        Host { over, addr, server, serving }
    }

    /// A connection behind its first exchange of settings.
    pub(crate) async fn connect(&self) -> Conn {
        self.connect_with(&[]).await
    }

    pub(crate) async fn connect_with(&self, settings: &[u8]) -> Conn {
        let mut conn = self.dial().await;
        conn.send_bytes(PREFACE).await;
        conn.send(&Frame::new(SETTINGS, 0, 0, settings)).await;
        let theirs = conn.read().await.expect("the server's settings");
        assert_eq!((theirs.kind, theirs.flags & ACK), (SETTINGS, 0), "{theirs:?} came first");
        for setting in theirs.payload.chunks(6).filter(|setting| setting[..2] == [0, 4]) {
            conn.windows.0 = i64::from(u32::from_be_bytes(setting[2..].try_into().unwrap()));
        }
        conn.send(&Frame::new(SETTINGS, ACK, 0, [])).await;
        // The ping's answer comes behind all that the server says at first.
        conn.send(&Frame::new(PING, 0, 0, *b"settled.")).await;
        loop {
            let frame = conn.read().await.expect("an acknowledgement of settings");
            match frame.kind {
                WINDOW_UPDATE => conn.windows.1 += frame.increment(),
                PING if frame.flags & ACK != 0 => return conn,
                _ => {}
            }
        }
    }

    /// A connection on which nothing has been said.
    pub(crate) async fn dial(&self) -> Conn {
        let stream = TcpStream::connect(self.addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let stream: Box<dyn Duplex> = match self.over {
            Over::Plain => Box::new(stream),
            #[cfg(feature = "tls")]
            Over::Tls => Box::new(tls::connect(stream).await),
        };
        Conn { stream, seen: Vec::new(), windows: (65_535, 65_535) }
    }

    /// Cuts what is open, and checks that nothing is left and that no handler has panicked.
    pub(crate) async fn stop(self) {
        self.server.close().await;
        self.serving.await.unwrap().unwrap();
        let stats = self.server.stats();
        assert_eq!((stats.open, stats.panics), (0, 0));
    }
}

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

pub(crate) struct Conn {
    stream: Box<dyn Duplex>,
    /// What came, for the message of a failure.
    seen: Vec<Frame>,
    /// As much as the server takes on a new stream, and on the connection.
    pub(crate) windows: (i64, i64),
}

/// What has to come of the frames of a case.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Want {
    /// GOAWAY with one of these codes, and the end of the connection.
    Gone(&'static [u32]),
    /// RST_STREAM for this stream with one of these codes, or `Gone`.
    Reset(u32, &'static [u32]),
    /// A response with this status on this stream, complete.
    Answer(u32, u16),
    /// The connection goes on as if nothing had been.
    Alive,
}

impl Conn {
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        // The server may have hung up by now; what it had to say can still be read.
        let _ = self.try_write_all(bytes).await;
    }

    pub(crate) async fn send(&mut self, frame: &Frame) {
        self.send_bytes(&frame.bytes()).await;
    }

    /// Whether all of it went out; false once the server has hung up.
    pub(crate) async fn try_write_all(&mut self, bytes: &[u8]) -> bool {
        // TLS may keep a part for the flush.
        self.stream.write_all(bytes).await.is_ok() && self.stream.flush().await.is_ok()
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) async fn read(&mut self) -> Option<Frame> {
        let frame = tokio::time::timeout(PATIENCE, self.read_frame()).await;
        let frame = frame.unwrap_or_else(|_| panic!("nothing for {PATIENCE:?} behind {:?}", self.seen))?;
        self.seen.push(frame.clone());
        Some(frame)
    }

    pub(crate) async fn read_frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    pub(crate) async fn read_byte(&mut self) -> Option<u8> {
        self.stream.read_u8().await.ok()
    }

    /// The next frame of these kinds; others are passed over, but no error is.
    pub(crate) async fn read_of(&mut self, kinds: &[u8]) -> Frame {
        loop {
            let frame = self.read().await.unwrap_or_else(|| panic!("closed behind {:?}", self.seen));
            if kinds.contains(&frame.kind) {
                return frame;
            }
            assert!(!matches!(frame.kind, GOAWAY | RST_STREAM), "{frame:?} instead of {kinds:?}");
        }
    }

    /// Waits for the end of the connection, and checks that it says why.
    pub(crate) async fn gone(&mut self, codes: &[u32]) {
        let mut code = None;
        while let Some(frame) = self.read().await {
            if frame.kind == GOAWAY {
                code = Some(frame.code());
            }
        }
        assert!(code.is_some_and(|code| codes.contains(&code)), "wanted GOAWAY with {codes:?}, got {:?}", self.seen);
    }

    pub(crate) async fn reset(&mut self, stream: u32, codes: &[u32]) {
        loop {
            let frame = self.read().await.unwrap_or_else(|| panic!("closed without a word behind {:?}", self.seen));
            match frame.kind {
                RST_STREAM if frame.stream == stream => {
                    assert!(codes.contains(&frame.code()), "wanted {codes:?}, got {:?}", self.seen);
                    return;
                }
                GOAWAY => {
                    assert!(codes.contains(&frame.code()), "wanted {codes:?}, got {:?}", self.seen);
                    return;
                }
                HEADERS => panic!("answered, not reset: {:?}", self.seen),
                _ => {}
            }
        }
    }

    /// Reads the whole response on a stream: its status and how long its body is.
    pub(crate) async fn answer(&mut self, stream: u32) -> (u16, usize) {
        let (mut status, mut length) = (0, 0);
        loop {
            let frame = self.read_of(&[HEADERS, DATA]).await;
            if frame.stream != stream {
                continue;
            }
            match frame.kind {
                HEADERS => status = status_of(&frame.payload),
                _ => length += frame.payload.len(),
            }
            if frame.flags & END_STREAM != 0 {
                return (status, length);
            }
        }
    }

    /// The connection is well: a ping comes back.
    pub(crate) async fn alive(&mut self) {
        self.send(&Frame::new(PING, 0, 0, *b"alive?!.")).await;
        loop {
            let frame = self.read_of(&[PING]).await;
            if frame.flags & ACK != 0 && frame.payload == b"alive?!." {
                return;
            }
        }
    }

    pub(crate) async fn check(&mut self, want: Want) {
        match want {
            Want::Gone(codes) => self.gone(codes).await,
            Want::Reset(stream, codes) => self.reset(stream, codes).await,
            Want::Answer(stream, status) => assert_eq!(self.answer(stream).await.0, status, "{:?}", self.seen),
            Want::Alive => self.alive().await,
        }
    }
}

/// The status, which comes first. The common ones have a place of their own in the static table (RFC 7541, appendix A); others are
/// literals with the table's name, and Huffman-coded digits of five or six bits.
fn status_of(block: &[u8]) -> u16 {
    // A change of the table's size may come first.
    let block = if block[0] & 0xe0 == 0x20 { &block[1..] } else { block };
    match block[0] {
        0x88 => 200,
        0x89 => 204,
        0x8a => 206,
        0x8b => 304,
        0x8c => 400,
        0x8d => 404,
        0x8e => 500,
        _ => huffman_digits(&block[2..2 + usize::from(block[1] & 0x7f)]),
    }
}

/// Three digits (RFC 7541, appendix B: 0, 1 and 2 have five bits, the others six).
fn huffman_digits(bytes: &[u8]) -> u16 {
    let mut bits = bytes.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (32 - 8 * bytes.len());
    (0..3).fold(0, |number, _| {
        let five = u16::try_from(bits >> 27).unwrap();
        let six = u16::try_from(bits >> 26).unwrap();
        let (digit, length) = if five < 3 { (five, 5) } else { (six - 0x19 + 3, 6) };
        bits <<= length;
        number * 10 + digit
    })
}

/// As long as a test waits for what has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Plays each case on a connection of its own: its name, its frames, and what has to come of them.
pub(crate) async fn play(over: Over, cases: Vec<(&str, Vec<Frame>, Want)>) {
    let host = Host::start(over).await;
    let mut failed = Vec::new();
    let count = cases.len();
    for (name, frames, want) in cases {
        let mut conn = host.connect().await;
        let played = tokio::spawn(async move {
            for frame in &frames {
                conn.send(frame).await;
            }
            conn.check(want).await;
        });
        if let Err(panic) = played.await {
            let panic = panic.into_panic();
            let why = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            failed.push(format!("{name}: {}", why.unwrap_or("(no message)")));
        }
    }
    host.stop().await;
    assert!(failed.is_empty(), "{} of {count} failed:\n{}", failed.len(), failed.join("\n"));
}

/// A certificate made by the test, and clients that trust it.
#[cfg(feature = "tls")]
mod tls {
    use std::sync::{Arc, OnceLock};

    use roundtrip_server::Tls;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, RootCertStore};
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    struct Made {
        server: Tls,
        client: Arc<ClientConfig>,
    }

    fn made() -> &'static Made {
        static MADE: OnceLock<Made> = OnceLock::new();
        MADE.get_or_init(|| {
            let made = rcgen::generate_simple_self_signed(vec!["h.test".to_owned()]).unwrap();
            let mut roots = RootCertStore::empty();
            roots.add(made.cert.der().clone()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
            let mut client = builder.with_root_certificates(roots).with_no_client_auth();
            client.alpn_protocols = vec![b"h2".to_vec()];
            let server = Tls::from_pem(made.cert.pem(), made.signing_key.serialize_pem()).unwrap();
            Made { server, client: Arc::new(client) }
        })
    }

    pub(super) fn server() -> Tls {
        made().server.clone()
    }

    pub(super) async fn connect(stream: TcpStream) -> TlsStream<TcpStream> {
        let name = ServerName::try_from("h.test").unwrap();
        let stream = TlsConnector::from(Arc::clone(&made().client)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        stream
    }
}
