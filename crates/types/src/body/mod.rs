//! The body of a message.

mod channel;
mod replay;
mod stream;

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use futures_core::Stream;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use sync_wrapper::SyncWrapper;

pub use self::channel::{BodySender, SendError};
use self::replay::Replayable;
pub use self::replay::Replayer;
pub use self::stream::BodyStream;
use crate::charset::{Charset, decode};
use crate::{BoxError, Error, ErrorKind, Result};

/// The body of a request or a response: nothing, bytes in memory, or a stream of frames.
///
/// **Shape**: empty and in-memory bodies cost no allocation of their own; a stream is boxed once. It is an
/// [`http_body::Body`], so hyper, tower and everything built on them take it as it is. `Send` and `Sync`, whatever the stream
/// inside is. Not `Clone`; [`try_clone`](Body::try_clone) copies those bodies that can be sent twice.
///
/// **Source**: Go's `Request.Body` and `Response.Body`; framing of unknown and known lengths is RFC 9112, section 6.
///
/// ```
/// # use roundtrip_types::Body;
/// assert_eq!(Body::from("hello").content_length(), Some(5));
/// assert!(Body::empty().is_empty());
/// ```
#[derive(Default)]
pub struct Body(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    /// Bytes in memory, not empty, not yet read.
    Full(Bytes),
    Stream(Streamed),
    Replayable(Box<Replayable>),
}

/// A foreign body. Its size hint and end are kept beside it, because `SyncWrapper` gives out `&mut` only.
struct Streamed {
    inner: SyncWrapper<Pin<Box<dyn HttpBody<Data = Bytes, Error = Error> + Send>>>,
    size: SizeHint,
    ended: bool,
}

impl Body {
    /// A body without a byte.
    #[must_use]
    pub const fn empty() -> Self {
        Body(Kind::Empty)
    }

    /// A body of bytes in memory, for which a `Content-Length` is sent.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Body::empty() } else { Body(Kind::Full(bytes)) }
    }

    /// Any other body. Its trailers and its size hint are kept, so one with an exact size is sent with a `Content-Length`.
    #[must_use]
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let mut body = Some(body);
        if let Some(ours) = (&mut body as &mut dyn Any).downcast_mut::<Option<Body>>() {
            return ours.take().unwrap_or_default();
        }
        let Some(body) = body.filter(|body| !body.is_end_stream()) else { return Body::empty() };
        let size = body.size_hint();
        let inner = body.map_err(|error| Error::from_boxed(error.into()));
        Body(Kind::Stream(Streamed { inner: SyncWrapper::new(Box::pin(inner)), size, ended: false }))
    }

    /// A body of chunks as they come, of unknown length: `Transfer-Encoding: chunked` on HTTP/1.1.
    #[must_use]
    pub fn stream<S, D, E>(stream: S) -> Self
    where
        S: Stream<Item = std::result::Result<D, E>> + Send + 'static,
        D: Into<Bytes>,
        E: Into<BoxError>,
    {
        Body::new(stream::FromStream { stream })
    }

    /// A body that another task writes: for responses that are made while they are sent.
    ///
    /// `capacity` frames may wait in it, at least one; then [`BodySender::send`] waits for the reader, so a slow client slows
    /// the writer and memory stays bounded.
    ///
    /// ```
    /// # use roundtrip_types::Body;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (mut sender, body) = Body::channel(4);
    /// tokio::spawn(async move {
    ///     for n in 0..3 {
    ///         sender.send(format!("line {n}\n")).await?;
    ///     }
    ///     sender.finish();
    ///     Ok::<_, roundtrip_types::SendError>(())
    /// });
    /// assert_eq!(body.text().await?, "line 0\nline 1\nline 2\n");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn channel(capacity: usize) -> (BodySender, Self) {
        let (sender, body) = channel::channel(capacity);
        (sender, Body::new(body))
    }

    /// A body that can be made again, for a request that may have to be sent twice: Go's `Request.GetBody`.
    ///
    /// `make` is called once now, and once more for each repetition; it must make the same body each time. A file that is opened anew is
    /// the usual case. Bodies in memory can be sent again without this.
    ///
    /// ```
    /// # use roundtrip_types::Body;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), roundtrip_types::Error> {
    /// let body = Body::replayable(|| {
    ///     let (mut sender, body) = Body::channel(1);
    ///     sender.try_send("made anew").expect("there is room for one");
    ///     sender.finish();
    ///     body
    /// });
    /// let again = body.try_clone().expect("it can be made again");
    /// assert_eq!(body.text().await?, again.text().await?);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn replayable(make: impl Fn() -> Body + Send + Sync + 'static) -> Self {
        Replayable::body_of(std::sync::Arc::new(make))
    }

    /// What makes this body once more, if that is possible. Costs a reference count; nothing is made before it is asked.
    #[must_use]
    pub fn replayer(&self) -> Option<Replayer> {
        Replayer::of(self)
    }

    /// This body behind a frame that was read from it already.
    #[must_use]
    pub fn with_first(self, first: Frame<Bytes>) -> Self {
        Body::new(stream::WithFirst { first: Some(first), rest: self })
    }

    /// The same body, which fails with [`ErrorKind::TooLarge`] when it turns out to be longer than `max` bytes.
    #[must_use]
    pub fn limited(self, max: usize) -> Self {
        match self.content_length() {
            Some(known) if known <= max as u64 => self,
            _ => Body::new(Limited::new(self, max).map_err(move |error| {
                if error.is::<LengthLimitError>() {
                    Error::new(ErrorKind::TooLarge, format!("the body is longer than the limit of {max} bytes"))
                } else {
                    Error::from_boxed(error)
                }
            })),
        }
    }

    /// Whether it is known that nothing will come: no byte and no trailer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_end_stream()
    }

    /// How many bytes will come, if that is known.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.size_hint().exact()
    }

    /// The bytes of a body in memory; `None` for a stream, `Some(&[])` for an empty one.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            Kind::Empty => Some(&[]),
            Kind::Full(bytes) => Some(bytes),
            Kind::Stream(_) | Kind::Replayable(_) => None,
        }
    }

    /// A second body of the same bytes, if this one is empty, in memory, or [`replayable`](Body::replayable). Costs a reference count,
    /// or making it.
    #[must_use]
    pub fn try_clone(&self) -> Option<Self> {
        self.replayer().map(Replayer::body)
    }

    /// The next frame, data or trailers; `None` at the end.
    ///
    /// # Errors
    /// Those of the stream: the peer broke off, a limit was passed, the producer gave up.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: the frame comes with the next call.
    pub async fn frame(&mut self) -> Option<Result<Frame<Bytes>>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await
    }

    /// The next piece of data, never empty; `None` at the end. Trailers are skipped.
    ///
    /// # Errors
    /// As [`frame`](Body::frame).
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn chunk(&mut self) -> Option<Result<Bytes>> {
        loop {
            match self.frame().await?.map(Frame::into_data) {
                Ok(Ok(data)) if !data.is_empty() => return Some(Ok(data)),
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Reads to the end. A body that comes in one piece is not copied.
    ///
    /// # Errors
    /// As [`frame`](Body::frame).
    pub async fn bytes(mut self) -> Result<Bytes> {
        if let Kind::Full(bytes) = self.0 {
            return Ok(bytes);
        }
        let Some(first) = self.chunk().await.transpose()? else { return Ok(Bytes::new()) };
        let Some(second) = self.chunk().await.transpose()? else { return Ok(first) };
        // The sender's word on the length is a hint: it may promise more than it ever sends.
        let expected = usize::try_from(self.size_hint().lower()).unwrap_or(usize::MAX).min(MAX_RESERVE);
        let mut all = BytesMut::with_capacity(first.len() + second.len() + expected);
        all.put(first);
        all.put(second);
        while let Some(data) = self.chunk().await.transpose()? {
            all.put(data);
        }
        Ok(all.freeze())
    }

    /// Reads to the end, as UTF-8 text.
    ///
    /// # Errors
    /// As [`bytes`](Body::bytes), and [`ErrorKind::Decode`] with the offset of the first byte that is not UTF-8.
    pub async fn text(self) -> Result<String> {
        decode(self.bytes().await?, Charset::UTF_8)
    }

    /// Reads to the end and parses it as JSON.
    ///
    /// # Errors
    /// As [`bytes`](Body::bytes), and [`ErrorKind::Decode`] with serde's reason, line and column.
    #[cfg(feature = "json")]
    pub async fn json<T: serde::de::DeserializeOwned>(self) -> Result<T> {
        let bytes = self.bytes().await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::new(ErrorKind::Decode, "the body is not the expected JSON").with_cause(error))
    }

    /// The data as a `Stream`, without trailers.
    #[must_use]
    pub fn into_stream(self) -> BodyStream {
        BodyStream(self)
    }
}

/// As much as `bytes` reserves on the sender's word alone.
const MAX_RESERVE: usize = 1 << 20;

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Error;

    #[inline]
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Stream(streamed) => streamed.poll_frame(cx),
            Kind::Replayable(replayable) => Pin::new(&mut replayable.body).poll_frame(cx),
        }
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Full(_) => false,
            Kind::Stream(streamed) => streamed.ended,
            Kind::Replayable(replayable) => replayable.body.is_end_stream(),
        }
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream(streamed) => streamed.size,
            Kind::Replayable(replayable) => replayable.body.size_hint(),
        }
    }
}

impl Streamed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let inner = self.inner.get_mut();
        let polled = inner.as_mut().poll_frame(cx);
        if let Poll::Ready(frame) = &polled {
            // An error ends a body: nothing that follows it could be trusted.
            self.ended = !matches!(frame, Some(Ok(_))) || inner.is_end_stream();
            self.size = if self.ended { SizeHint::with_exact(0) } else { inner.size_hint() };
        }
        polled
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Empty => f.write_str("Body(empty)"),
            Kind::Full(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Kind::Stream(streamed) => match streamed.size.exact() {
                Some(left) => write!(f, "Body(stream, {left} bytes left)"),
                None => f.write_str("Body(stream)"),
            },
            Kind::Replayable(replayable) => write!(f, "Body(replayable {:?})", replayable.body),
        }
    }
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Body::empty()
    }
}

/// In-memory bodies from the usual owners of bytes.
macro_rules! full_from {
    ($($owner:ty),+) => {$(
        impl From<$owner> for Body {
            fn from(bytes: $owner) -> Self {
                Body::full(bytes)
            }
        }
    )+};
}

full_from!(Bytes, Vec<u8>, String, &'static str, &'static [u8]);

impl From<BytesMut> for Body {
    fn from(bytes: BytesMut) -> Self {
        Body::full(bytes.freeze())
    }
}

impl From<Cow<'static, str>> for Body {
    fn from(text: Cow<'static, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Body::from(text),
            Cow::Owned(text) => Body::from(text),
        }
    }
}

#[cfg(test)]
mod tests;
