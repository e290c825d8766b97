//! A body written by another task: a bounded queue of frames, and an end that says whether it is the end.
//!
//! Two things travel: data through `frames`, and how it ended through `end`, once. A producer that vanishes (a panic, an aborted
//! task) drops `end` unsent, which the reader takes as a failure: a body that was cut must never look complete.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_channel::{mpsc, oneshot};
use futures_core::Stream;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};

use crate::{Error, ErrorKind, Result};

/// Writes a [`Body::channel`](crate::Body::channel).
///
/// Call [`finish`](Self::finish) (or [`send_trailers`](Self::send_trailers)) at the end. A sender that is merely dropped aborts
/// the body, so that the reader of a half-written body sees an error and never a shorter body: on HTTP/1.1 the connection is
/// closed without the last chunk.
pub struct BodySender {
    frames: mpsc::Sender<Bytes>,
    end: oneshot::Sender<End>,
    /// Held by the reader and never sent: when it is gone, so is the reader.
    reader: oneshot::Receiver<()>,
}

enum End {
    Complete(Option<HeaderMap>),
    Aborted(Error),
}

/// The reader of the body is gone: the client went away, or the response was dropped. Stop producing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendError;

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reader of the body is gone")
    }
}

impl std::error::Error for SendError {}

impl BodySender {
    /// Sends data, waiting while the queue is full. Empty data is skipped.
    ///
    /// # Errors
    /// [`SendError`] once the reader is gone.
    ///
    /// # Cancel safety
    /// Dropping the future before it is done means that `data` was not sent.
    pub async fn send(&mut self, data: impl Into<Bytes>) -> Result<(), SendError> {
        let data = data.into();
        poll_fn(|cx| self.frames.poll_ready(cx)).await.map_err(|_| SendError)?;
        if data.is_empty() {
            return Ok(());
        }
        self.frames.start_send(data).map_err(|_| SendError)
    }

    /// Sends data if there is room now; gives it back if the queue is full. Empty data is skipped.
    ///
    /// # Errors
    /// `Err(Some(data))` when full, `Err(None)` once the reader is gone.
    pub fn try_send(&mut self, data: impl Into<Bytes>) -> Result<(), Option<Bytes>> {
        let data = data.into();
        if data.is_empty() && !self.frames.is_closed() {
            return Ok(());
        }
        self.frames.try_send(data).map_err(|error| error.is_full().then(|| error.into_inner()))
    }

    /// Waits until the reader is gone: for producers that wait for something else.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn closed(&mut self) {
        // The reader never sends, so this resolves only when it is dropped.
        let _ = Pin::new(&mut self.reader).await;
    }

    /// Ends the body: everything was sent.
    pub fn finish(self) {
        // A reader that is gone needs no end.
        let _ = self.end.send(End::Complete(None));
    }

    /// Ends the body with trailer fields.
    pub fn send_trailers(self, trailers: HeaderMap) {
        let _ = self.end.send(End::Complete(Some(trailers)));
    }

    /// Ends the body with an error, which the reader gets after the data sent before.
    pub fn abort(self, error: impl Into<crate::BoxError>) {
        let _ = self.end.send(End::Aborted(Error::from_boxed(error.into())));
    }
}

impl fmt::Debug for BodySender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodySender").field("closed", &self.frames.is_closed()).finish()
    }
}

pub(super) fn channel(capacity: usize) -> (BodySender, ChannelBody) {
    // The queue holds its buffer and one more for each sender, of which there is one.
    let (frames_in, frames) = mpsc::channel(capacity.saturating_sub(1));
    let (end_in, end) = oneshot::channel();
    let (alive, reader) = oneshot::channel();
    let sender = BodySender { frames: frames_in, end: end_in, reader };
    (sender, ChannelBody { frames: Some(frames), end: Some(end), _alive: alive })
}

pub(super) struct ChannelBody {
    /// `None` once all data was read.
    frames: Option<mpsc::Receiver<Bytes>>,
    /// `None` once the end was told.
    end: Option<oneshot::Receiver<End>>,
    _alive: oneshot::Sender<()>,
}

impl HttpBody for ChannelBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        if let Some(frames) = &mut self.frames {
            if let Some(data) = ready!(Pin::new(frames).poll_next(cx)) {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            self.frames = None;
        }
        let Some(end) = &mut self.end else { return Poll::Ready(None) };
        let ended = ready!(Pin::new(end).poll(cx));
        self.end = None;
        Poll::Ready(match ended {
            Ok(End::Complete(None)) => None,
            Ok(End::Complete(Some(trailers))) => Some(Ok(Frame::trailers(trailers))),
            Ok(End::Aborted(error)) => Some(Err(error)),
            Err(oneshot::Canceled) => Some(Err(Error::new(
                ErrorKind::Canceled,
                "the producer of the body was dropped before it called finish()",
            ))),
        })
    }
}
