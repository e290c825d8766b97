//! One request and the head of its response.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use http::StatusCode;
use roundtrip_h1::{Framing, HeadError, ResponseHead, response_framing};
use roundtrip_types::{Body, Error, ErrorKind, Phase, Result};

use super::upload::{Upload, UploadError};
use super::{Conn, Io};
use crate::prepare::Prepared;

/// A response's head, and what is left of the request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: ResponseHead,
    pub(crate) framing: Framing,
    /// The upload, if the response came before its end.
    pub(crate) unsent: Option<Upload>,
    /// Whether all of the request went out without an error.
    pub(crate) upload_ok: bool,
}

/// Least space in the buffer before a read. Most heads with a small body fit.
const READ_HEAD: usize = 4096;

/// Sends a request and reads the head of its response, in the caller's task: the upload and the response are polled side by
/// side, so that a server that answers early is heard.
///
/// # Cancel safety
/// Dropping the future leaves the connection in the middle of an exchange: it must be closed.
pub(crate) async fn exchange(conn: &mut Conn, request: &mut Prepared, body: Body) -> Result<Answer> {
    conn.sent = 0;
    conn.received = 0;
    let mut out = std::mem::take(&mut conn.out);
    request.encode_head(&mut out)?;
    let upload = Some(Upload::new(out, body, request.body_framing()));
    let mut exchange = Exchange { request, upload, broken: None, answering: false, interim: 0 };
    poll_fn(|cx| exchange.poll(conn, cx)).await
}

struct Exchange<'a> {
    request: &'a mut Prepared,
    /// `None` once everything is sent, or nothing more can be.
    upload: Option<Upload>,
    /// Why nothing more can be sent. The server may have said why in a response, so that is looked for first.
    broken: Option<io::Error>,
    /// Whether bytes of an answer have come.
    answering: bool,
    /// Bytes of interim responses so far.
    interim: usize,
}

impl Exchange<'_> {
    fn poll(&mut self, conn: &mut Conn, cx: &mut Context<'_>) -> Poll<Result<Answer>> {
        self.poll_upload(conn, cx)?;
        loop {
            if !conn.buf.is_empty() {
                if !std::mem::replace(&mut self.answering, true) {
                    // The first bytes of an answer: the request is not sent again, and its fields' memory serves the response's.
                    conn.parser.reuse_headers(self.request.take_headers());
                }
                match conn.parser.parse(&mut conn.buf) {
                    Ok(Some(head)) if self.is_interim(&head, conn)? => continue,
                    Ok(Some(head)) => return Poll::Ready(self.answer(head)),
                    Ok(None) => {}
                    Err(error) => return Poll::Ready(Err(malformed(error))),
                }
            }
            match ready!(conn.poll_fill(READ_HEAD, cx)) {
                Ok(0) => return Poll::Ready(Err(self.lost(conn, None))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(self.lost(conn, Some(error)))),
            }
        }
    }

    fn poll_upload(&mut self, conn: &mut Conn, cx: &mut Context<'_>) -> Result<()> {
        let (Some(upload), Io::Whole(stream)) = (&mut self.upload, &mut conn.io) else { return Ok(()) };
        match upload.poll_send(stream, &mut conn.sent, cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => conn.out = self.upload.take().map(Upload::into_out).unwrap_or_default(),
            Poll::Ready(Err(UploadError::Io(error))) => {
                self.upload = None;
                self.broken = Some(error);
            }
            Poll::Ready(Err(UploadError::Body(error))) => return Err(*error),
        }
        Ok(())
    }

    /// Whether this head is an interim response, which is skipped. Their bytes are bounded together (RFC 9110, section 15.2:
    /// a client must be able to parse any number of them, and could otherwise be kept waiting for ever).
    fn is_interim(&mut self, head: &ResponseHead, conn: &Conn) -> Result<bool> {
        if !head.status.is_informational() {
            return Ok(false);
        }
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            let message = "the server switched protocols (101) unasked";
            return Err(Error::new(ErrorKind::Protocol, message).with_phase(Phase::Wait));
        }
        self.interim += head.head_bytes;
        let limit = conn.max_head_bytes;
        if self.interim > limit {
            return Err(malformed(HeadError::TooLarge { limit }));
        }
        Ok(true)
    }

    fn answer(&mut self, head: ResponseHead) -> Result<Answer> {
        let framing = response_framing(self.request.method(), &head).map_err(|error| {
            let wrong = Error::new(ErrorKind::Protocol, "the response's body has no certain end").with_cause(error);
            wrong.with_phase(Phase::Wait)
        })?;
        let unsent = self.upload.take();
        let upload_ok = unsent.is_none() && self.broken.is_none();
        Ok(Answer { head, framing, unsent, upload_ok })
    }

    /// The connection ended before the response's head was complete.
    fn lost(&mut self, conn: &Conn, cause: Option<io::Error>) -> Error {
        let phase = if self.upload.is_some() || self.broken.is_some() { Phase::Write } else { Phase::Wait };
        let message = match (conn.received, &cause, &self.broken) {
            (0, None, None) => "the server closed the connection without an answer",
            (0, ..) => "the connection broke before an answer came",
            (_, None, _) => "the server closed the connection in the middle of the response's head",
            (_, Some(_), _) => "the connection broke in the middle of the response's head",
        };
        let error = Error::new(ErrorKind::ConnectionLost, message).with_phase(phase);
        // The first sign of trouble says more than what followed from it.
        match self.broken.take().or(cause) {
            Some(cause) => error.with_cause(cause),
            None => error,
        }
    }
}

fn malformed(error: HeadError) -> Error {
    let (kind, message) = if error.is_too_large() {
        (ErrorKind::TooLarge, "the response's head is too large")
    } else {
        (ErrorKind::Protocol, "the response is malformed")
    };
    Error::new(kind, message).with_cause(error).with_phase(Phase::Wait)
}
