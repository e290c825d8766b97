//! Request bodies from files, and watching them go.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use roundtrip_types::{Body, Error, ErrorKind, Phase, Result};
use tokio::io::{AsyncRead, ReadBuf};

use crate::response::Progress;

/// A file on its way out, in pieces of [`PIECE`] bytes.
struct FileBody {
    file: tokio::fs::File,
    path: PathBuf,
    buffer: BytesMut,
    /// What its length promised and has not come yet.
    left: u64,
}

/// How much is read of a file at once.
const PIECE: usize = 64 << 10;

/// The content of a file as a body, of the length that the file has now.
///
/// Opening it is the one thing that may block, for as long as the file system takes. The file is read while it is sent, a piece
/// of 64 KiB at a time; to be sent again, it is opened again.
///
/// # Errors
/// Kind `Request`, naming the path, if it cannot be opened or is a folder. If the file shrinks while it is sent, the body fails.
pub(crate) fn file(path: &Path) -> Result<Body> {
    let (first, can_be_read_again) = open(path)?;
    if !can_be_read_again {
        return Ok(first);
    }
    let (first, path) = (Mutex::new(Some(first)), path.to_owned());
    Ok(Body::replayable(move || {
        let opened = first.lock().unwrap_or_else(PoisonError::into_inner).take();
        opened.unwrap_or_else(|| match open(&path) {
            Ok((body, _)) => body,
            Err(error) => Body::new(Failed(Some(error))),
        })
    }))
}

/// Opens a file, and says whether that gives the same again.
fn open(path: &Path) -> Result<(Body, bool)> {
    let unreadable = |error: io::Error| {
        let message = format!("cannot read the file {}", path.display());
        Error::new(ErrorKind::Request, message).with_phase(Phase::Prepare).with_cause(error)
    };
    let file = fs::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(unreadable(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    let file = tokio::fs::File::from_std(file);
    if !metadata.is_file() {
        // A pipe or a device has no length, and gives each byte once.
        return Ok((Body::stream(Endless { file, buffer: BytesMut::new() }), false));
    }
    let left = metadata.len();
    Ok((Body::new(FileBody { file, path: path.to_owned(), buffer: BytesMut::new(), left }), true))
}

/// A body that could not be had again.
struct Failed(Option<Error>);

impl HttpBody for Failed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        Poll::Ready(self.0.take().map(Err))
    }
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let most = usize::try_from(self.left).unwrap_or(PIECE).min(PIECE);
        let FileBody { file, buffer, .. } = &mut *self;
        let read = ready!(poll_read(file, buffer, most, cx));
        let failed = |message, cause: Option<io::Error>| {
            let error = Error::new(ErrorKind::Body, message);
            Poll::Ready(Some(Err(match cause {
                Some(cause) => error.with_cause(cause),
                None => error,
            })))
        };
        match read {
            Ok(data) if data.is_empty() => {
                let message = format!("the file {} became {} bytes shorter", self.path.display(), self.left);
                failed(message, None)
            }
            Ok(data) => {
                self.left -= data.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Err(error) => failed(format!("cannot read the file {}", self.path.display()), Some(error)),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A pipe or a device: read until it ends.
struct Endless {
    file: tokio::fs::File,
    buffer: BytesMut,
}

impl futures_core::Stream for Endless {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let Endless { file, buffer } = &mut *self;
        Poll::Ready(match ready!(poll_read(file, buffer, PIECE, cx)) {
            Ok(data) if data.is_empty() => None,
            read => Some(read),
        })
    }
}

/// Reads up to `most` bytes; none at the end of the file.
fn poll_read(
    file: &mut tokio::fs::File,
    buffer: &mut BytesMut,
    most: usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Bytes>> {
    // The memory of a piece is used again once it has been sent.
    buffer.resize(most, 0);
    let mut into = ReadBuf::new(buffer);
    let read = ready!(Pin::new(file).poll_read(cx, &mut into));
    let filled = into.filled().len();
    Poll::Ready(read.map(|()| buffer.split_to(filled).freeze()))
}

/// A body that tells how far it has come.
struct Watched<F> {
    body: Body,
    bytes: u64,
    total: Option<u64>,
    tell: Arc<Mutex<F>>,
}

/// `body`, telling `tell` after each piece. An empty body has nothing to tell, and stays empty. What can be sent again still can;
/// then it tells from the beginning.
pub(crate) fn watched<F: FnMut(Progress) + Send + 'static>(body: Body, tell: F) -> Body {
    let tell = Arc::new(Mutex::new(tell));
    let watch = |body: Body, tell| {
        let total = body.content_length();
        Body::new(Watched { body, bytes: 0, total, tell })
    };
    match body.replayer() {
        Some(again) if !body.is_empty() => {
            let first = Mutex::new(Some(body));
            Body::replayable(move || {
                let first = first.lock().unwrap_or_else(PoisonError::into_inner).take();
                watch(first.unwrap_or_else(|| again.clone().body()), Arc::clone(&tell))
            })
        }
        _ => watch(body, tell),
    }
}

impl<F: FnMut(Progress)> HttpBody for Watched<F> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.bytes += data.len() as u64;
            let progress = Progress::new(self.bytes, self.total);
            // One attempt sends at a time, so nobody waits here.
            (self.tell.lock().unwrap_or_else(PoisonError::into_inner))(progress);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl fmt::Debug for FileBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileBody({}, {} bytes left)", self.path.display(), self.left)
    }
}
