//! Sending a request: the head, then the body as it comes.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use http_body::{Body as _, Frame};
use roundtrip_h1::Framing;
use roundtrip_h1::write::{CHUNK_END, encode_chunk_head, encode_last_chunk};
use roundtrip_types::{Body, Error, ErrorKind, Phase};
use tokio::io::AsyncWrite;
use tokio::task::JoinHandle;

use crate::net::WriteHalf;

/// A request on its way out. What is to be written lies in three pieces, in this order: `out` from `at`, `data`, `tail`.
#[derive(Debug)]
pub(crate) struct Upload {
    out: Vec<u8>,
    at: usize,
    data: Bytes,
    tail: &'static [u8],
    body: Body,
    framing: Framing,
    /// Bytes of body still owed, for [`Framing::Length`].
    owed: u64,
    /// The body has ended, and what is in the three pieces is all.
    ended: bool,
    /// The body waits for the server's word (`Expect: 100-continue`).
    held: bool,
    /// Something was given to the stream that it may not have passed on yet.
    unflushed: bool,
}

/// Why sending stopped.
#[derive(Debug)]
pub(crate) enum UploadError {
    /// The connection does not take any more.
    Io(io::Error),
    /// The request's body failed, or is not as long as was said. Boxed for the size of the result.
    Body(Box<Error>),
}

/// Data up to this many bytes is copied behind the head, which saves a second buffer; larger data is sent from where it is.
/// A copy of this size costs about as much as one more element of a vectored write.
const COPY_MAX: usize = 4096;

impl Upload {
    /// An upload of a head already encoded into `out`, and a body framed so. A body that is `held` waits for
    /// [`release`](Self::release).
    pub(crate) fn new(out: Vec<u8>, body: Body, framing: Framing, held: bool) -> Self {
        let owed = if let Framing::Length(length) = framing { length } else { 0 };
        let ended = framing == Framing::None;
        let (data, tail) = (Bytes::new(), b"");
        Upload { out, at: 0, data, tail, body, framing, owed, ended, held: held && !ended, unflushed: false }
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held
    }

    pub(crate) fn release(&mut self) {
        self.held = false;
    }

    /// Whether the head has been sent.
    pub(crate) fn is_head_sent(&self, sent: u64) -> bool {
        sent > 0 && self.at == self.out.len()
    }

    /// The output buffer, emptied, for the next request.
    pub(crate) fn take_out(&mut self) -> Vec<u8> {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        out
    }

    /// Sends as much as `io` takes; ready when all is sent. `sent` counts the bytes that were taken.
    pub(crate) fn poll_send(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        sent: &mut u64,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), UploadError>> {
        loop {
            while !self.ended && !self.held && self.data.is_empty() && self.out.len() - self.at < COPY_MAX {
                match Pin::new(&mut self.body).poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => self.frame(frame)?,
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(UploadError::body(error))),
                    Poll::Ready(None) => self.end(None)?,
                    // The head goes out without waiting for the body.
                    Poll::Pending => break,
                }
            }
            if self.is_drained() {
                if self.unflushed {
                    // Sockets have nothing to flush; TLS may.
                    ready!(Pin::new(&mut *io).poll_flush(cx)).map_err(UploadError::Io)?;
                    self.unflushed = false;
                }
                return if self.ended { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            let count = ready!(self.poll_write(io, cx)).map_err(UploadError::Io)?;
            if count == 0 {
                return Poll::Ready(Err(UploadError::Io(io::ErrorKind::WriteZero.into())));
            }
            self.unflushed = true;
            *sent += count as u64;
            self.advance(count);
        }
    }

    fn frame(&mut self, frame: Frame<Bytes>) -> Result<(), UploadError> {
        let data = match frame.into_data() {
            Ok(data) => data,
            // Trailers are the end, and only chunked coding has a place for them (RFC 9112, section 7.1.2).
            Err(frame) => return self.end(frame.into_trailers().ok().as_ref()),
        };
        if data.is_empty() {
            // An empty chunk would be the last one.
            return Ok(());
        }
        match self.framing {
            Framing::Chunked => {
                encode_chunk_head(&mut self.out, data.len());
                self.push(data, CHUNK_END);
            }
            _ => {
                let Some(owed) = self.owed.checked_sub(data.len() as u64) else {
                    return Err(UploadError::length(format!("{} bytes too long", data.len() as u64 - self.owed)));
                };
                self.owed = owed;
                self.push(data, b"");
            }
        }
        Ok(())
    }

    fn end(&mut self, trailers: Option<&http::HeaderMap>) -> Result<(), UploadError> {
        if self.owed > 0 {
            return Err(UploadError::length(format!("{} bytes too short", self.owed)));
        }
        if self.framing == Framing::Chunked {
            encode_last_chunk(&mut self.out, trailers);
        }
        self.ended = true;
        Ok(())
    }

    fn push(&mut self, data: Bytes, tail: &'static [u8]) {
        if data.len() <= COPY_MAX {
            self.out.extend_from_slice(&data);
            self.out.extend_from_slice(tail);
        } else {
            self.data = data;
            self.tail = tail;
        }
    }

    fn is_drained(&self) -> bool {
        self.at == self.out.len() && self.data.is_empty() && self.tail.is_empty()
    }

    fn poll_write(&self, io: &mut (impl AsyncWrite + Unpin), cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let out = &self.out[self.at..];
        if self.data.is_empty() && self.tail.is_empty() {
            return Pin::new(io).poll_write(cx, out);
        }
        Pin::new(io).poll_write_vectored(cx, &[IoSlice::new(out), IoSlice::new(&self.data), IoSlice::new(self.tail)])
    }

    fn advance(&mut self, mut count: usize) {
        let from_out = count.min(self.out.len() - self.at);
        self.at += from_out;
        count -= from_out;
        if self.at == self.out.len() || self.at > COPY_MAX {
            // What was sent goes, so that the buffer cannot grow however small the writes are.
            self.out.drain(..self.at);
            self.at = 0;
        }
        let from_data = count.min(self.data.len());
        self.data.advance(from_data);
        self.tail = &self.tail[count - from_data..];
    }
}

impl UploadError {
    fn body(error: Error) -> Self {
        let error = Error::new(ErrorKind::Body, "the request's body failed").with_cause(error);
        UploadError::Body(Box::new(error.with_phase(Phase::Write)))
    }

    fn length(how: String) -> Self {
        let error = Error::new(ErrorKind::Body, format!("the request's body is {how} for its Content-Length"));
        UploadError::Body(Box::new(error.with_phase(Phase::Write)))
    }
}

/// The rest of an upload, sent by a task of its own because the response came before its end. Dropping this stops it.
#[derive(Debug)]
pub(crate) struct Rest(JoinHandle<(WriteHalf, bool)>);

impl Rest {
    /// Goes on with `upload`, on the runtime of the caller.
    pub(crate) fn spawn(mut upload: Box<Upload>, mut half: WriteHalf) -> Self {
        Rest(tokio::spawn(async move {
            // An error here is the server's choice to hear no more; what it says instead is in the response.
            let sent = std::future::poll_fn(|cx| upload.poll_send(&mut half, &mut 0, cx)).await;
            // Kept until the response has ended: dropping it now would look like hanging up.
            (half, sent.is_ok())
        }))
    }

    /// Whether the task has ended, well or badly.
    pub(crate) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// The writing half, once everything was sent; `None` if that failed.
    pub(crate) async fn finish(mut self) -> Option<WriteHalf> {
        match (&mut self.0).await {
            Ok((half, true)) => Some(half),
            Ok((_, false)) | Err(_) => None,
        }
    }

    /// As [`finish`](Self::finish), for a task that has ended.
    pub(crate) fn finished(self) -> Option<WriteHalf> {
        match pin!(self.finish()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(half) => half,
            Poll::Pending => None,
        }
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.0.abort();
    }
}
