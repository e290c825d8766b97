//! Reading a response.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};
use http::{Extensions, HeaderMap, StatusCode, Uri, Version};
use roundtrip_client::{Progress, Redirected, ResponseExt};
use roundtrip_types::{Body, Error, ErrorKind, MessageExt, Phase, Response as AsyncResponse, Result};

use super::wait;

/// A response whose head has arrived. It can be [read](Read) piece by piece, or as a whole.
#[derive(Debug)]
pub struct Response {
    response: AsyncResponse,
    /// A piece that was read and not yet handed out as a whole.
    piece: Bytes,
}

impl Response {
    pub(super) fn new(response: AsyncResponse) -> Self {
        Response { response, piece: Bytes::new() }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The version of HTTP.
    #[must_use]
    pub fn version(&self) -> Version {
        self.response.version()
    }

    /// The fields.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// What the transport and layers say about it.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        self.response.extensions()
    }

    /// The URL that answered, if redirects led there.
    #[must_use]
    pub fn final_url(&self) -> Option<&Uri> {
        self.response.final_url()
    }

    /// The requests that were answered with redirects before this response, oldest first.
    #[must_use]
    pub fn redirects(&self) -> &[Redirected] {
        self.response.redirects()
    }

    /// The same response, or an error of kind `Status` if its status is 400 or above.
    ///
    /// # Errors
    /// The status is one of an error.
    pub fn error_for_status(self) -> Result<Self> {
        Ok(Response { response: self.response.error_for_status()?, piece: self.piece })
    }

    /// The whole body; what was read before is not in it.
    ///
    /// # Errors
    /// Those of the body, and that this is async code.
    pub fn bytes(self) -> Result<Bytes> {
        wait(self.unread()?.bytes())?
    }

    /// The whole body as text, in the charset that `Content-Type` names.
    ///
    /// # Errors
    /// Those of [`bytes`](Response::bytes), and that the bytes are not text in that charset.
    pub fn text(self) -> Result<String> {
        wait(self.unread()?.text())?
    }

    /// The whole body parsed as JSON.
    ///
    /// # Errors
    /// Those of [`bytes`](Response::bytes), and kind `Decode` with line and column.
    #[cfg(feature = "json")]
    pub fn json<T: serde::de::DeserializeOwned>(self) -> Result<T> {
        wait(self.unread()?.json())?
    }

    /// Writes the body to `to` as it comes, and tells `progress` after each piece. Returns how many bytes there were.
    ///
    /// # Errors
    /// Those of the body, of `to`, and that this is async code.
    pub fn copy_to(mut self, to: &mut (impl Write + ?Sized), mut progress: impl FnMut(Progress)) -> Result<u64> {
        let total = self.response.body().content_length().map(|length| length + self.piece.len() as u64);
        let unwritable = |error: io::Error| {
            Error::new(ErrorKind::Other, "cannot write the body")
                .with_phase(Phase::Body)
                .with_sent(true)
                .with_cause(error)
        };
        let mut bytes = 0;
        while self.fill()? {
            let piece = std::mem::take(&mut self.piece);
            to.write_all(&piece).map_err(unwritable)?;
            bytes += piece.len() as u64;
            progress(Progress::new(bytes, total));
        }
        to.flush().map_err(unwritable)?;
        Ok(bytes)
    }

    /// The response with all of the body that has not been handed out.
    fn unread(mut self) -> Result<AsyncResponse> {
        if !self.piece.is_empty() {
            let body = std::mem::take(self.response.body_mut());
            let rest = wait(body.bytes())??;
            *self.response.body_mut() = Body::from([self.piece, rest].concat());
        }
        Ok(self.response)
    }

    /// Reads a piece if there is none; whether there is one now.
    fn fill(&mut self) -> Result<bool> {
        if self.piece.is_empty() {
            match wait(self.response.body_mut().chunk())?.transpose()? {
                Some(piece) => self.piece = piece,
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// Reads the body. The errors of the body are the cause of the [`io::Error`].
impl Read for Response {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() || !self.fill().map_err(io::Error::other)? {
            return Ok(0);
        }
        let length = self.piece.len().min(into.len());
        self.piece.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}
