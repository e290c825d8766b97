//! What a handler can ask of the connection that its request came on: Go's `ResponseController`.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::ConnInfo;
use crate::deadlines::Override;
use crate::link::{self, Link};
use crate::stream::Stream;
use crate::tracker::Stage;

/// A request's hold on its connection: Go's `ResponseController`, together with what Go keeps in the request's context.
///
/// **Shape**: [`current`](Self::current) gives it to a handler, and to whatever the handler calls, whichever framework that
/// belongs to. It costs a request nothing that does not ask (a value in the request's extensions would cost three allocations).
/// Cheap to clone, one reference count. It may be kept and used by other tasks; what it is asked after the response is complete
/// does nothing or fails with [`ControlError::Finished`].
///
/// Full duplex needs no asking (Go's `EnableFullDuplex`): a handler may return a response whose body is made while the request's
/// body is still being read. Neither does flushing: what a response's body yields goes to the client at once, and the head with
/// it or as soon as the body makes the server wait; [`flush`](Self::flush) tells when all of it has gone.
///
/// ```
/// use roundtrip_server::ResponseController;
/// use roundtrip_types::Request;
///
/// async fn whoami(_req: Request) -> String {
///     match ResponseController::current() {
///         Some(control) => format!("you are {}", control.info().remote),
///         None => "you came without a server".into(),
///     }
/// }
/// ```
#[derive(Clone)]
pub struct ResponseController {
    link: Arc<Link>,
    /// The request on the connection; 0 for HTTP/2, where requests share it.
    request: u64,
}

thread_local! {
    /// Set while a handler is polled.
    static CURRENT: Cell<Option<ResponseController>> = const { Cell::new(None) };
}

/// Why the connection did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlError {
    /// The protocol, or the state of the response, does not allow it: Go's `ErrNotSupported`.
    NotSupported(&'static str),
    /// The response is complete, or the connection is closed.
    Finished,
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ControlError::NotSupported(why) => f.write_str(why),
            ControlError::Finished => f.write_str("the response is complete or its connection closed"),
        }
    }
}

impl std::error::Error for ControlError {}

impl ResponseController {
    pub(crate) fn new(link: Arc<Link>, request: u64) -> Self {
        ResponseController { link, request }
    }

    /// The hold of the request whose handler is running; `None` outside of handlers that a server of this crate runs, which
    /// includes tasks that a handler has spawned: take it before, and move it in.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.with(|current| {
            let taken = current.take();
            current.set(taken.clone());
            taken
        })
    }

    /// Makes `control` the current one, on this thread, and returns the one before.
    pub(crate) fn enter(control: Option<Self>) -> Option<Self> {
        CURRENT.with(|current| current.replace(control))
    }

    /// Who is at the other end: Go's `Request.RemoteAddr`, `Request.TLS` and `LocalAddrContextKey`.
    #[must_use]
    pub fn info(&self) -> &ConnInfo {
        &self.link.info
    }

    /// What [`ServerConfig::conn_context`](crate::ServerConfig::conn_context) made for this connection.
    #[must_use]
    pub fn context(&self) -> &http::Extensions {
        &self.link.context
    }

    /// Ends reading of the request's body at `deadline`, whatever the configuration says; `None` never. A read that waits then
    /// fails with `ErrorKind::Timeout`, the response can still be sent, and the connection ends with it: Go's `SetReadDeadline`.
    ///
    /// # Errors
    /// On HTTP/2, where no deadline of this kind is kept, and after the response.
    pub fn set_read_deadline(&self, deadline: Option<std::time::Instant>) -> Result<(), ControlError> {
        self.on_http1("a read deadline needs HTTP/1")?;
        self.link.control().read_deadline = as_override(deadline);
        self.link.raise(link::DEADLINES);
        self.link.wake();
        Ok(())
    }

    /// Cuts the connection at `deadline` if the response is not complete then, whatever the configuration says; `None` never.
    /// Go's `SetWriteDeadline`.
    ///
    /// # Errors
    /// On HTTP/2, where no deadline of this kind is kept, and after the response.
    pub fn set_write_deadline(&self, deadline: Option<std::time::Instant>) -> Result<(), ControlError> {
        self.on_http1("a write deadline needs HTTP/1")?;
        self.link.control().write_deadline = as_override(deadline);
        self.link.raise(link::DEADLINES);
        self.link.wake();
        Ok(())
    }

    /// Sends an interim response, such as 103 with `Link` fields, before the response itself: Go's `WriteHeader(103)`.
    ///
    /// May be called several times; they go out in order, at the handler's next await point. HTTP/1.0 clients, which know no
    /// interim responses, are sent nothing.
    ///
    /// On HTTP/2 nothing is sent and the answer is always [`ControlError::NotSupported`]: hyper, up to 1.12 at least, keeps the
    /// stream to itself until it has the response, though the h2 crate beneath it could send them. The response is not
    /// disturbed, and hints are no more than hints: a handler may drop the error. `Differs from Go:` whose server sends them there.
    ///
    /// # Errors
    /// [`NotSupported`](ControlError::NotSupported): `status` is not of the 1xx class or is 101, the response has begun, or the
    /// connection speaks HTTP/2. [`Finished`](ControlError::Finished): the response is complete.
    pub fn send_informational(&self, status: StatusCode, fields: &HeaderMap) -> Result<(), ControlError> {
        self.on_http1("interim responses need HTTP/1")?;
        if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(ControlError::NotSupported("an interim response has a status of 100 or 102 to 199"));
        }
        if self.link.has(link::RESPONSE_BEGUN) {
            return Err(ControlError::NotSupported("the response has begun"));
        }
        if self.link.has(link::NO_INTERIM) {
            return Ok(());
        }
        let mut control = self.link.control();
        let out = &mut control.out_of_band;
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(status.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(status.canonical_reason().unwrap_or("Informational").as_bytes());
        out.extend_from_slice(b"\r\n");
        for (name, value) in fields {
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        drop(control);
        self.link.raise(link::OUT_OF_BAND);
        self.link.wake();
        Ok(())
    }

    /// Takes the connection over: Go's `Hijack`. From here the server does nothing with it: no limits, no response, and what the
    /// handler returns is thrown away. The state is [`Hijacked`](crate::ConnState::Hijacked), for good; shutting the server down
    /// does not wait for it, and [`stopping`](Self::stopping) tells.
    ///
    /// For the `Upgrade` protocol proper use hyper's `upgrade::on`, which works here as with any hyper server.
    ///
    /// # Errors
    /// The connection speaks HTTP/2, the response has begun, the request's body was not read, or the connection was taken over
    /// before.
    ///
    /// # Cancel safety
    /// Dropping the future after it was polled may close the connection.
    pub async fn hijack(&self) -> Result<Hijacked, ControlError> {
        self.on_http1("taking the connection over needs HTTP/1")?;
        if self.link.has(link::RESPONSE_BEGUN) {
            return Err(ControlError::NotSupported("the response has begun"));
        }
        if self.link.has(link::HIJACKED) {
            return Err(ControlError::NotSupported("the connection was taken over before"));
        }
        let (give, taken) = oneshot::channel();
        self.link.control().hijack = Some(give);
        self.link.raise(link::HIJACK);
        self.link.wake();
        taken.await.map_err(|_| ControlError::Finished)
    }

    /// Waits until everything that the response's body has yielded so far was handed to the operating system: Go's `Flush`.
    ///
    /// # Errors
    /// The connection is closed or speaks HTTP/2.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn flush(&self) -> Result<(), ControlError> {
        self.on_http1("waiting for a flush needs HTTP/1")?;
        let begun = self.link.flushes();
        poll_fn(|cx| {
            if self.link.has(link::CLOSED) {
                return Poll::Ready(Err(ControlError::Finished));
            }
            // One flush may have been under way already.
            if self.link.flushes() >= begun + 2 {
                return Poll::Ready(Ok(()));
            }
            self.link.control().watch(cx.waker());
            self.link.raise(link::FLUSH_WATCHED);
            self.link.wake();
            Poll::Pending
        })
        .await
    }

    /// Waits until the client has stopped sending or its connection is closed: Go's `Request.Context().Done()`.
    ///
    /// Seen once the request's body has been read, and only as long as the client has not sent its next request ahead. A client
    /// that shut down its side alone looks like one that is gone: see
    /// [`half_close_timeout`](crate::ServerConfig::half_close_timeout).
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn client_gone(&self) {
        poll_fn(|cx| {
            if self.link.has(link::CLIENT_STOPPED | link::CLOSED) || self.is_over() {
                return Poll::Ready(());
            }
            self.link.control().watch(cx.waker());
            // Between the look and the push it may have gone.
            if self.link.has(link::CLIENT_STOPPED | link::CLOSED) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Waits until the server is told to stop, so that a long answer, a stream of events or a connection that was taken over can
    /// come to its end in time.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn stopping(&self) {
        let mut stage = self.link.tracker.stage();
        // The tracker lives as long as the link.
        let _ = stage.wait_for(|stage| *stage > Stage::LameDuck).await;
    }

    /// Whether the connection is closed after this response because the server is stopping, or about to.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.link.stage() > Stage::Running
    }

    fn is_over(&self) -> bool {
        self.request != 0 && self.request != self.link.requests()
    }

    fn on_http1(&self, otherwise: &'static str) -> Result<(), ControlError> {
        if self.request == 0 {
            return Err(ControlError::NotSupported(otherwise));
        }
        if self.is_over() || self.link.has(link::RESPONSE_DONE | link::CLOSED) {
            return Err(ControlError::Finished);
        }
        Ok(())
    }
}

fn as_override(deadline: Option<std::time::Instant>) -> Override {
    deadline.map_or(Override::Never, |at| Override::At(Instant::from_std(at)))
}

impl fmt::Debug for ResponseController {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseController")
            .field("info", &self.link.info)
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

/// A connection that a handler has taken over: a plain byte stream. Reads give first what the client had sent behind the request.
///
/// Dropping it closes the connection.
pub struct Hijacked {
    stream: Stream,
    ahead: Vec<u8>,
    used: usize,
}

impl Hijacked {
    pub(crate) fn new(stream: Stream, ahead: Vec<u8>) -> Self {
        Hijacked { stream, ahead, used: 0 }
    }

    /// What the client has sent behind the request and nobody has read yet.
    #[must_use]
    pub fn buffered(&self) -> &[u8] {
        &self.ahead[self.used..]
    }
}

impl AsyncRead for Hijacked {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.used < self.ahead.len() {
            let n = buf.remaining().min(self.ahead.len() - self.used);
            buf.put_slice(&self.ahead[self.used..self.used + n]);
            self.used += n;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Hijacked {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl fmt::Debug for Hijacked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hijacked({} bytes ahead)", self.buffered().len())
    }
}
