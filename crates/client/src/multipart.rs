//! Forms with files (feature `multipart`): `multipart/form-data`.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderValue;
use http_body::{Body as HttpBody, Frame, SizeHint};
use roundtrip_types::{Body, Error, ErrorKind, Phase, Replayer, Result};

use crate::random::random;
use crate::upload;

/// A form with files, as browsers send it: RFC 7578.
///
/// **Shape**: parts in the order in which they are added. Nothing is read into memory: files are read while the request is sent.
/// If the length of every part is known, the request has a `Content-Length`. A form can be sent again unless it has a stream.
///
/// ```
/// use roundtrip_client::multipart::{Form, Part};
///
/// let form = Form::new().text("title", "A photo").part("photo", Part::bytes(vec![0xff, 0xd8]).file_name("a.jpg").mime("image/jpeg"));
/// assert!(form.content_type().to_str().is_ok_and(|text| text.starts_with("multipart/form-data; boundary=")));
/// ```
#[derive(Debug)]
pub struct Form {
    boundary: String,
    parts: Vec<(String, Part)>,
    /// The first thing that was wrong.
    fault: Option<Error>,
}

/// One value of a [`Form`].
#[derive(Debug)]
pub struct Part {
    body: Body,
    file_name: Option<String>,
    mime: Option<Cow<'static, str>>,
    fault: Option<Error>,
}

impl Form {
    /// A form without parts.
    #[must_use]
    pub fn new() -> Self {
        Form { boundary: random_boundary(), parts: Vec::new(), fault: None }
    }

    /// Adds a text.
    #[must_use]
    pub fn text(self, name: impl Into<String>, text: impl Into<String>) -> Self {
        let part = Part { mime: None, ..Part::bytes(text.into()) };
        self.part(name, part)
    }

    /// Adds a file: its content, its name without folders, and `application/octet-stream`. See [`Part::file`].
    #[must_use]
    pub fn file(self, name: impl Into<String>, path: impl AsRef<Path>) -> Self {
        self.part(name, Part::file(path))
    }

    /// Adds a part.
    #[must_use]
    pub fn part(mut self, name: impl Into<String>, mut part: Part) -> Self {
        self.fault = self.fault.or(part.fault.take());
        self.parts.push((name.into(), part));
        self
    }

    /// The `Content-Type` of a request with this form.
    ///
    /// # Panics
    /// Never: a boundary is letters and digits.
    #[must_use]
    pub fn content_type(&self) -> HeaderValue {
        let text = format!("multipart/form-data; boundary={}", self.boundary);
        HeaderValue::try_from(text).expect("a boundary is letters and digits")
    }

    /// The body.
    ///
    /// # Errors
    /// The first file that cannot be opened, or media type that cannot be written.
    pub fn into_body(self) -> Result<Body> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let mut pieces = VecDeque::new();
        for (name, part) in self.parts {
            pieces.push_back(Body::from(part.head(&self.boundary, &name)));
            pieces.push_back(part.body);
            pieces.push_back(Body::from("\r\n"));
        }
        pieces.push_back(Body::from(format!("--{}--\r\n", self.boundary)));
        let in_memory: Option<Vec<_>> = pieces.iter().map(Body::as_bytes).collect();
        match in_memory {
            // One piece of memory can be sent again.
            Some(all) => Ok(Body::from(all.concat())),
            None => Ok(in_sequence(pieces)),
        }
    }
}

impl Default for Form {
    fn default() -> Self {
        Form::new()
    }
}

impl Part {
    /// Bytes in memory, as `application/octet-stream`.
    #[must_use]
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Part::body(Body::full(bytes))
    }

    /// Any body, as `application/octet-stream`.
    #[must_use]
    pub fn body(body: impl Into<Body>) -> Self {
        let mime = Some(Cow::Borrowed("application/octet-stream"));
        Part { body: body.into(), file_name: None, mime, fault: None }
    }

    /// The content of a file, as `application/octet-stream`, under its name without folders.
    ///
    /// It is opened at once, and read while the request is sent. What is wrong with it is said when the request is awaited.
    #[must_use]
    pub fn file(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let mut part = match upload::file(path) {
            Ok(body) => Part::body(body),
            Err(fault) => Part { fault: Some(fault), ..Part::body(Body::empty()) },
        };
        part.file_name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        part
    }

    /// The name that the server is told.
    #[must_use]
    pub fn file_name(mut self, name: impl Into<String>) -> Self {
        self.file_name = Some(name.into());
        self
    }

    /// The media type.
    #[must_use]
    pub fn mime(mut self, mime: impl Into<Cow<'static, str>>) -> Self {
        let mime = mime.into();
        if HeaderValue::from_str(&mime).is_err() {
            let message = format!("{:?} is no media type", mime.chars().take(100).collect::<String>());
            let fault = Error::new(ErrorKind::Request, message).with_phase(Phase::Prepare);
            self.fault = self.fault.or(Some(fault));
        }
        self.mime = Some(mime);
        self
    }

    fn head(&self, boundary: &str, name: &str) -> String {
        let file_name =
            self.file_name.as_deref().map_or(String::new(), |name| format!("; filename=\"{}\"", quoted(name)));
        let mime = self.mime.as_deref().map_or(String::new(), |mime| format!("Content-Type: {mime}\r\n"));
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"{file_name}\r\n{mime}\r\n", quoted(name))
    }
}

/// Escapes what would end a quoted name, as browsers do (HTML, "multipart/form-data encoding algorithm").
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

/// So long and random that no part has it by chance or by intent.
fn random_boundary() -> String {
    format!("{:016x}{:016x}{:016x}", random(), random(), random())
}

/// One body of many, which can be sent again if all of them can.
fn in_sequence(pieces: VecDeque<Body>) -> Body {
    let again: Option<Vec<_>> = pieces.iter().map(Body::replayer).collect();
    let Some(again) = again else { return Body::new(Sequence { pieces }) };
    let first = Mutex::new(Some(pieces));
    Body::replayable(move || {
        let first = first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let anew = || again.iter().cloned().map(Replayer::body).collect();
        Body::new(Sequence { pieces: first.unwrap_or_else(anew) })
    })
}

/// Bodies one after the other.
struct Sequence {
    pieces: VecDeque<Body>,
}

impl HttpBody for Sequence {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        while let Some(piece) = self.pieces.front_mut() {
            match Pin::new(piece).poll_frame(cx) {
                // A part's trailers have no place here.
                Poll::Ready(Some(Ok(frame))) if !frame.is_data() => {}
                Poll::Ready(None) => drop(self.pieces.pop_front()),
                polled => return polled,
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let lengths = self.pieces.iter().map(Body::content_length);
        lengths.sum::<Option<u64>>().map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn parts_are_written_as_browsers_write_them() {
        let mut form =
            Form::new().text("a \"b\"\r\n", "1").part("p", Part::bytes("xyz").file_name("é.txt").mime("text/plain"));
        form.boundary = "B".into();
        let body = form.into_body().unwrap();
        assert!(body.try_clone().is_some());
        let want = "--B\r\nContent-Disposition: form-data; name=\"a %22b%22%0D%0A\"\r\n\r\n1\r\n\
            --B\r\nContent-Disposition: form-data; name=\"p\"; filename=\"é.txt\"\r\nContent-Type: text/plain\r\n\r\nxyz\r\n\
            --B--\r\n";
        assert_eq!(body.text().await.unwrap(), want);
    }

    #[tokio::test]
    async fn files_are_streamed_with_a_known_length() {
        let path = std::env::temp_dir().join(format!("roundtrip-multipart-{}", std::process::id()));
        std::fs::write(&path, vec![b'x'; 200_000]).unwrap();
        let body = Form::new().file("f", &path).text("t", "end").into_body().unwrap();
        let length = body.content_length().unwrap();
        let again = body.try_clone().expect("files can be opened again");
        let text = body.text().await.unwrap();
        assert_eq!(again.text().await.unwrap(), text);
        std::fs::remove_file(&path).unwrap();
        assert_eq!((text.len() as u64, text.matches('x').count() >= 200_000), (length, true));

        let error = Form::new().file("f", &path).into_body().unwrap_err();
        let want = format!("cannot read the file {}: No such file or directory (os error 2)", path.display());
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Request, want));
        let error = Form::new().part("p", Part::bytes("x").mime("a\nb")).into_body().unwrap_err();
        assert_eq!(error.to_string(), "\"a\\nb\" is no media type");
    }

    #[test]
    fn boundaries_differ() {
        assert_ne!(random_boundary(), random_boundary());
    }
}
