//! The body of a response.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http_body::{Body as HttpBody, Frame, SizeHint};
use roundtrip_types::{Error, ErrorKind, Phase, Result};
use tokio::task::JoinHandle;

use super::Slot;
use super::error::{explained, fault};
use super::exchange::with_facts;

/// A body on a stream, which is free at its end.
pub(crate) struct H2Body {
    stream: RecvStream,
    /// `None` once the body has ended, well or badly.
    slot: Option<Arc<Slot>>,
    upload: Option<JoinHandle<()>>,
    bytes_in: u64,
    id: u32,
    /// What the head says, and what has been handed out.
    length: Option<u64>,
    got: u64,
    data_ended: bool,
}

impl H2Body {
    pub(super) fn new(
        stream: RecvStream,
        slot: Option<Arc<Slot>>,
        upload: Option<JoinHandle<()>>,
        bytes_in: u64,
        id: u32,
        length: Option<u64>,
    ) -> Self {
        H2Body { stream, slot, upload, bytes_in, id, length, got: 0, data_ended: false }
    }

    /// How far it has come, in words.
    pub(crate) fn so_far(&self) -> String {
        match self.length {
            Some(length) => format!("{} of {length} bytes", self.got),
            None => format!("{} bytes, and more were to come", self.got),
        }
    }

    fn left(&self) -> Option<u64> {
        self.length.map(|length| length.saturating_sub(self.got))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        if self.slot.is_none() {
            return Poll::Ready(None);
        }
        if !self.data_ended {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // Fails for a stream that is over, which then gives nothing more to release.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    self.got += data.len() as u64;
                    if self.stream.is_end_stream() {
                        self.slot = None;
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(self.failed(&error)),
                None => self.data_ended = true,
            }
        }
        match ready!(self.stream.poll_trailers(cx)) {
            Ok(trailers) => {
                self.slot = None;
                Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
            }
            Err(error) => Poll::Ready(self.failed(&error)),
        }
    }

    fn failed(&mut self, error: &h2::Error) -> Option<Result<Frame<Bytes>>> {
        let slot = self.slot.take()?;
        let complete = self.left().is_none_or(|left| left == 0);
        if error.is_reset() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR) && complete {
            // The response is complete, and the rest of the request not wanted (RFC 9113, section 8.1).
            return None;
        }
        let ours = if error.is_reset() && !error.is_remote() && fault(error).is_none() {
            self.malformed()
        } else {
            let (ours, _) = explained(&slot.link, error, Some(self.id));
            Error::new(ours.kind(), format!("{ours}, in the middle of the body, after {}", self.so_far()))
        };
        Some(Err(with_facts(&slot.link, self.id, ours.with_phase(Phase::Body).with_sent(true))))
    }
}

impl H2Body {
    /// h2's own verdict on the body. It has heard the end of the body, or too much of it.
    fn malformed(&self) -> Error {
        let message = match self.length {
            Some(length) if self.got < length => {
                format!(
                    "the body has not the {length} bytes of its Content-Length: it ended, or went beyond, after {} bytes",
                    self.got
                )
            }
            _ => format!("the response is malformed behind {} bytes of its body", self.got),
        };
        Error::new(ErrorKind::Protocol, message)
    }
}

impl HttpBody for H2Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        self.poll(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.slot.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for H2Body {
    fn drop(&mut self) {
        if let Some(slot) = &self.slot {
            slot.link.given_up(self.bytes_in);
            if let Some(upload) = &self.upload {
                upload.abort();
            }
        }
    }
}
