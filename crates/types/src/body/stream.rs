//! Bodies from streams, and streams from bodies.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::Body;
use crate::Result;

pin_project! {
    /// A stream of chunks, as a body of unknown length.
    pub(super) struct FromStream<S> {
        #[pin]
        pub(super) stream: S,
    }
}

impl<S, D, E> HttpBody for FromStream<S>
where
    S: Stream<Item = std::result::Result<D, E>>,
    D: Into<Bytes>,
{
    type Data = Bytes;
    type Error = E;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<std::result::Result<Frame<Bytes>, E>>> {
        let item = ready!(self.project().stream.poll_next(cx));
        Poll::Ready(item.map(|chunk| chunk.map(|data| Frame::data(data.into()))))
    }
}

/// The data of a [`Body`] as a stream of chunks, made by [`Body::into_stream`]. Trailers are skipped.
#[derive(Debug)]
pub struct BodyStream(pub(super) Body);

impl Stream for BodyStream {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(Pin::new(&mut self.0).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

/// A body whose first frame was read ahead.
pub(super) struct WithFirst {
    pub(super) first: Option<Frame<Bytes>>,
    pub(super) rest: Body,
}

impl HttpBody for WithFirst {
    type Data = Bytes;
    type Error = crate::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().and_then(Frame::data_ref).map_or(0, |data| data.len() as u64);
        let rest = self.rest.size_hint();
        let mut size = SizeHint::new();
        size.set_lower(rest.lower().saturating_add(first));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(first)) {
            size.set_upper(upper);
        }
        size
    }
}
