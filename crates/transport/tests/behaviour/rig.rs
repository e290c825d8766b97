//! Running one behaviour over every protocol.

use std::any::Any;
use std::fmt;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc;
use std::time::Duration;

use http::Method;
use roundtrip_transport::{Protocols, RoundTripper, Transport, TransportConfig};
use roundtrip_types::{Body, Error, MessageExt, Request, Response};

use super::certificates;
use super::exchange::Exchange;
use super::peer::Peer;

/// A way in which HTTP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http1Tls,
    Http2Tls,
    /// In plain text, with prior knowledge.
    H2c,
}

use Protocol::{H2c, Http1, Http1Tls, Http2Tls};

const ALL: [Protocol; 4] = [Http1, Http1Tls, Http2Tls, H2c];

/// As long as a behaviour may take over one protocol; beyond it, it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

impl Protocol {
    pub(crate) fn is_http2(self) -> bool {
        matches!(self, Http2Tls | H2c)
    }

    pub(crate) fn is_tls(self) -> bool {
        matches!(self, Http1Tls | Http2Tls)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Http1 => "http/1",
            Http1Tls => "http/1+tls",
            Http2Tls => "http/2+tls",
            H2c => "h2c",
        })
    }
}

/// Which protocols a behaviour is for.
pub(crate) struct On {
    protocols: Vec<Protocol>,
    /// Why it is not for the others.
    reason: &'static str,
}

impl On {
    /// For these protocols only, for this reason.
    pub(crate) fn only(protocols: Vec<Protocol>, reason: &'static str) -> Self {
        On { protocols, reason }
    }
}

/// For all protocols.
pub(crate) fn all() -> On {
    On { protocols: ALL.into(), reason: "" }
}

/// For HTTP/1 only, for this reason.
pub(crate) fn only_http1(reason: &'static str) -> On {
    On::only(vec![Http1, Http1Tls], reason)
}

/// For HTTP/2 only, for this reason.
pub(crate) fn only_http2(reason: &'static str) -> On {
    On::only(vec![Http2Tls, H2c], reason)
}

/// For TLS only, for this reason.
pub(crate) fn only_tls(reason: &'static str) -> On {
    On::only(vec![Http1Tls, Http2Tls], reason)
}

/// Runs `behaviour` over each of the protocols, each in a runtime of its own that has one thread.
///
/// # Panics
/// If it fails or hangs over one of them; the message names it.
#[track_caller]
pub(crate) fn run(on: On, behaviour: impl AsyncFn(Rig) + Clone + Send + 'static) {
    let test = std::thread::current().name().unwrap_or("a behaviour").to_owned();
    for &protocol in &on.protocols {
        let behaviour = behaviour.clone();
        if let Err(panic) = in_time(move || in_runtime(protocol, behaviour)) {
            say(&format!("{test}: FAILED over {protocol}"));
            resume_unwind(panic);
        }
    }
    let ran: Vec<_> = on.protocols.iter().map(Protocol::to_string).collect();
    let left_out: Vec<_> = ALL.iter().filter(|one| !on.protocols.contains(one)).map(Protocol::to_string).collect();
    let left_out = if left_out.is_empty() {
        String::new()
    } else {
        assert!(!on.reason.is_empty(), "leaving out protocols takes a reason");
        format!("; not {}: {}", left_out.join(", "), on.reason)
    };
    say(&format!("{test}: {}{left_out}", ran.join(", ")));
}

/// Prints a line past the test harness, which keeps to itself what a passing test prints.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
}

fn in_runtime(protocol: Protocol, behaviour: impl AsyncFn(Rig)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(behaviour(Rig { protocol }));
}

/// Runs `work` in a thread of its own. Returns its panic, if there is one.
fn in_time(work: impl FnOnce() + Send + 'static) -> Result<(), Box<dyn Any + Send>> {
    let (tell, told) = mpsc::channel();
    let name = std::thread::current().name().unwrap_or("a behaviour").to_owned();
    let thread = std::thread::Builder::new().name(name);
    thread
        .spawn(move || {
            let ended = catch_unwind(AssertUnwindSafe(work));
            // Nobody listens any more if it took too long.
            let _ = tell.send(ended);
        })
        .unwrap();
    told.recv_timeout(PATIENCE).unwrap_or_else(|_| Err(Box::new(format!("not done within {PATIENCE:?}: it hangs"))))
}

/// What a behaviour is tried with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rig {
    pub(crate) protocol: Protocol,
}

impl Rig {
    pub(crate) fn is_http2(self) -> bool {
        self.protocol.is_http2()
    }

    /// The settings of a transport that speaks the protocol with [peers](Self::peer).
    pub(crate) fn config(self) -> TransportConfig {
        let protocols = if self.is_http2() { Protocols::Http2 } else { Protocols::Http1 };
        TransportConfig { protocols, connect: certificates::connect_config(), ..TransportConfig::default() }
    }

    pub(crate) fn transport(self) -> Transport {
        Transport::with_config(self.config())
    }

    /// A server whose requests the test takes up itself, with [`Peer::next`].
    pub(crate) async fn peer(self) -> Peer {
        Peer::start(self.protocol).await
    }

    /// A server that answers each request by `handler`, at once and side by side.
    pub(crate) async fn serving<F, Fut>(self, handler: F) -> Peer
    where
        F: Fn(Exchange) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Peer::start(self.protocol).await.serving(handler)
    }

    /// A server that writes these bytes after the first request of each connection, and closes it in order.
    pub(crate) async fn raw_http1(self, bytes: String) -> Peer {
        self.serving(move |exchange| {
            let bytes = bytes.clone();
            async move { exchange.raw(bytes.as_bytes(), true).await }
        })
        .await
    }

    /// A server that answers `hello` to everything.
    pub(crate) async fn greeting(self) -> Peer {
        self.serving(async |exchange| exchange.answer(200, "hello").await).await
    }
}

/// Sends a request and reads the whole answer.
pub(crate) async fn fetch(transport: &Transport, request: Request) -> Result<String, Error> {
    transport.round_trip(request).await?.text().await
}

/// Sends a request in a task of its own.
pub(crate) fn send(transport: &Transport, request: Request) -> tokio::task::JoinHandle<Result<Response, Error>> {
    let transport = transport.clone();
    tokio::spawn(async move { transport.round_trip(request).await })
}

impl Peer {
    pub(crate) fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path, Body::empty())
    }

    pub(crate) fn post(&self, path: &str, body: impl Into<Body>) -> Request {
        self.request(Method::POST, path, body)
    }

    pub(crate) fn request(&self, method: Method, path: &str, body: impl Into<Body>) -> Request {
        http::Request::builder().method(method).uri(self.url(path)).body(body.into()).unwrap()
    }
}

/// Waits for something that other tasks bring about, letting them run and the runtime look at its sockets.
pub(crate) async fn until(mut is: impl FnMut() -> bool) {
    while !is() {
        tokio::task::yield_now().await;
    }
}
