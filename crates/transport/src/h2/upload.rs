//! The body of a request on its way out.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body as HttpBody;
use roundtrip_types::{Body, Error, ErrorKind, Phase};
use tokio::time::{Instant, Sleep, sleep_until};

/// A body and the stream that it goes out on.
pub(super) struct Upload {
    body: Body,
    stream: SendStream<Bytes>,
    piece: Bytes,
    /// Bytes that the request's `Content-Length` promised and that are not sent yet.
    owed: Option<u64>,
    sent: u64,
    ended: bool,
    window_timeout: Option<Duration>,
    /// Runs while the server's window is closed.
    stalled: Option<Pin<Box<Sleep>>>,
}

/// Why an upload ended before its end.
#[derive(Debug)]
pub(super) enum UploadError {
    /// The stream: the response says more.
    Stream,
    /// Ours, or the body's own.
    Body(Box<Error>),
}

impl Upload {
    pub(super) fn new(
        body: Body,
        stream: SendStream<Bytes>,
        owed: Option<u64>,
        window_timeout: Option<Duration>,
    ) -> Self {
        Upload { body, stream, piece: Bytes::new(), owed, sent: 0, ended: false, window_timeout, stalled: None }
    }

    /// Sends as much as the server takes. Ready when all is sent.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UploadError>> {
        while !self.ended {
            if self.piece.is_empty() {
                ready!(self.poll_piece(cx))?;
            } else {
                ready!(self.poll_send_piece(cx))?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads the next piece of the body.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UploadError>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            // A body may keep us waiting for long; the server may lose its patience first.
            return match self.stream.poll_reset(cx) {
                Poll::Ready(Ok(reason)) => self.stopped(reason),
                Poll::Ready(Err(_)) => Poll::Ready(Err(UploadError::Stream)),
                Poll::Pending => Poll::Pending,
            };
        };
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    if let Some(owed) = &mut self.owed {
                        let length = data.len() as u64;
                        let Some(left) = owed.checked_sub(length) else {
                            let by = length - *owed;
                            return Poll::Ready(Err(self.misfit(&format!("{by} bytes too long"))));
                        };
                        *owed = left;
                    }
                    self.piece = data;
                    // The last piece can say that it is the last.
                    if self.piece.is_empty() && self.body.is_end_stream() {
                        return Poll::Ready(self.end(None));
                    }
                    Poll::Ready(Ok(()))
                }
                Err(frame) => Poll::Ready(self.end(frame.into_trailers().ok())),
            },
            None => Poll::Ready(self.end(None)),
            Some(Err(error)) => {
                self.stream.send_reset(Reason::CANCEL);
                let error = Error::new(ErrorKind::Body, "the request's body failed").with_cause(error);
                Poll::Ready(Err(UploadError::Body(Box::new(error.with_phase(Phase::Write)))))
            }
        }
    }

    fn poll_send_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UploadError>> {
        self.stream.reserve_capacity(self.piece.len());
        let capacity = match self.stream.poll_capacity(cx) {
            Poll::Ready(Some(Ok(capacity))) => capacity,
            Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(UploadError::Stream)),
            Poll::Ready(None) => {
                return match ready!(self.stream.poll_reset(cx)) {
                    Ok(reason) => self.stopped(reason),
                    Err(_) => Poll::Ready(Err(UploadError::Stream)),
                };
            }
            Poll::Pending => return self.poll_stall(cx),
        };
        self.stalled = None;
        if capacity == 0 {
            return Poll::Ready(Ok(()));
        }
        let data = self.piece.split_to(capacity.min(self.piece.len()));
        self.sent += data.len() as u64;
        let last = self.piece.is_empty() && self.body.is_end_stream();
        if last {
            if let Some(owed @ 1..) = self.owed {
                return Poll::Ready(Err(self.misfit(&format!("{owed} bytes too short"))));
            }
            self.ended = true;
        }
        Poll::Ready(self.stream.send_data(data, last).map_err(|_| UploadError::Stream))
    }

    /// The server's window is closed, or our own buffer full.
    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UploadError>> {
        let Some(limit) = self.window_timeout else { return Poll::Pending };
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        ready!(timer.as_mut().poll(cx));
        self.stream.send_reset(Reason::CANCEL);
        let message = format!(
            "the server took no more of the request's body for {limit:?}, after {} bytes: it keeps its flow-control window closed",
            self.sent
        );
        let error = Error::new(ErrorKind::Timeout, message).with_phase(Phase::Write).with_sent(true);
        Poll::Ready(Err(UploadError::Body(Box::new(error))))
    }

    fn end(&mut self, trailers: Option<http::HeaderMap>) -> Result<(), UploadError> {
        if let Some(owed @ 1..) = self.owed {
            return Err(self.misfit(&format!("{owed} bytes too short")));
        }
        self.ended = true;
        let sent = match trailers {
            Some(trailers) => self.stream.send_trailers(trailers),
            None => self.stream.send_data(Bytes::new(), true),
        };
        sent.map_err(|_| UploadError::Stream)
    }

    /// The server has reset the stream.
    fn stopped(&mut self, reason: Reason) -> Poll<Result<(), UploadError>> {
        if reason == Reason::NO_ERROR {
            // It has answered without needing the rest (RFC 9113, section 8.1).
            self.ended = true;
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(Err(UploadError::Stream))
    }

    /// The body is not as long as the request's head says.
    fn misfit(&mut self, how: &str) -> UploadError {
        self.stream.send_reset(Reason::CANCEL);
        let message = format!("the request's body is {how} for its Content-Length");
        UploadError::Body(Box::new(Error::new(ErrorKind::Body, message).with_phase(Phase::Write)))
    }
}
