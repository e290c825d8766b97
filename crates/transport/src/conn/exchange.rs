//! One request and the head of its response.

use std::io;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::StatusCode;
use roundtrip_h1::{Framing, HeadError, ResponseHead, response_framing};
use roundtrip_types::{Body, Error, ErrorKind, Phase, Response, Result};

use super::upload::{Upload, UploadError};
use super::{Conn, Cut, Half, Tools};
use crate::prepare::Prepared;
use crate::shared::now;
use crate::timers::{Deadline, Timers};

/// What is known when a response's head has come, and what is left of the request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) framing: Framing,
    /// Whether the server keeps the connection.
    pub(crate) keep_alive: bool,
    /// Whether the response says that its content is coded.
    pub(crate) coded: bool,
    /// The upload, if the response came before its end.
    pub(crate) unsent: Option<Box<Upload>>,
    /// Whether the connection can be used again, as far as the request goes: all of it went out, or is still going out.
    pub(crate) upload_ok: bool,
}

/// When the steps of a request happened, for those who asked to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ledger {
    pub(crate) started: Instant,
    /// When the last attempt asked for a connection, and had it.
    pub(crate) asked: Instant,
    pub(crate) got_conn: Instant,
    pub(crate) wrote: Option<Instant>,
    pub(crate) first_byte: Option<Instant>,
}

impl Ledger {
    /// Boxed, as it is rare: every request's future would have room for it.
    pub(crate) fn start() -> Box<Self> {
        let now = now();
        Box::new(Ledger { started: now, asked: now, got_conn: now, wrote: None, first_byte: None })
    }
}

/// Least space in the buffer before a read. Most heads with a small body fit.
const READ_HEAD: usize = 4096;

/// How long to look for an answer when the connection takes no more of the request. What a server said before it hung up is on its way
/// ahead of the news that it did, so mostly it is there already; a stream that only fails to write must not be waited for.
const ANSWER_TIME: Duration = Duration::from_millis(50);

/// One request being sent and the head of its response being read, in the caller's task: the upload and the response are polled side by
/// side, so that a server that answers early is heard.
///
/// Dropped before it is done it leaves the connection in the middle of an exchange: it must be closed.
pub(crate) struct Exchange<'a, 'r> {
    request: &'a mut Prepared<'r>,
    timers: &'a mut Timers,
    ledger: &'a mut Option<Box<Ledger>>,
    /// Why the head cannot be written. Told by the first poll: a result with the exchange in it would have to be moved out of.
    unsendable: Option<Error>,
    /// `None` once everything is sent, or nothing more can be.
    upload: Option<Upload>,
    /// Why nothing more can be sent. The server may have said why in a response, so that is looked for first.
    broken: Option<io::Error>,
    /// Whether bytes of an answer have come.
    answering: bool,
    /// Bytes of interim responses so far.
    interim: usize,
    /// When the response's head is due. It is known when the request has been sent.
    header: Option<Deadline>,
    /// Until when the body waits for the server's word. It is known when the head has been sent.
    expect: Option<Deadline>,
    /// Whether the listener was told that the head is out.
    told: bool,
}

impl<'a, 'r> Exchange<'a, 'r> {
    /// Encodes the head; nothing is sent before the first [`poll`](Self::poll), which has to be of the same connection.
    pub(crate) fn new(
        conn: &mut Conn,
        request: &'a mut Prepared<'r>,
        timers: &'a mut Timers,
        ledger: &'a mut Option<Box<Ledger>>,
        body: Body,
    ) -> Self {
        conn.sent = 0;
        conn.received = 0;
        conn.limit_head(request.max_head_bytes(), request.max_head_fields());
        let mut out = std::mem::take(&mut conn.tools().out);
        let unsendable = request.encode_head(&mut out).err();
        let held = request.expects_continue();
        Exchange {
            unsendable,
            upload: Some(Upload::new(out, body, request.body_framing(), held)),
            request,
            timers,
            ledger,
            broken: None,
            answering: false,
            interim: 0,
            header: None,
            expect: None,
            told: false,
        }
    }

    /// Ready when the head of the response has come and is in `response`.
    pub(crate) fn poll(
        &mut self,
        conn: &mut Conn,
        response: &mut Response,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Answer>> {
        if let Some(error) = self.unsendable.take() {
            return Poll::Ready(Err(error));
        }
        loop {
            self.poll_upload(conn, cx)?;
            match self.poll_head(conn, response, cx) {
                Poll::Ready(done) => return Poll::Ready(done),
                Poll::Pending => {}
            }
            // What is waited for now: the server's word to go on, or the head.
            let own = self.expect.or(self.header);
            match self.timers.poll(own, cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(due) => self.due(due, conn)?,
            }
        }
    }

    fn poll_head(&mut self, conn: &mut Conn, response: &mut Response, cx: &mut Context<'_>) -> Poll<Result<Answer>> {
        loop {
            if conn.buffered() > 0 {
                if !std::mem::replace(&mut self.answering, true) {
                    self.first_byte(conn);
                }
                let Tools { parser, buf, .. } = conn.tools();
                match parser.parse(buf) {
                    Ok(Some(head)) if self.is_interim(&head, conn)? => {
                        // It may have released the body.
                        self.poll_upload(conn, cx)?;
                        continue;
                    }
                    Ok(Some(head)) => return Poll::Ready(self.answer(conn, head, response)),
                    Ok(None) => {}
                    Err(error) => return Poll::Ready(Err(malformed_or_tls(error, &conn.tools().buf))),
                }
            }
            match conn.poll_fill(READ_HEAD, cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.lost(conn, None))),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.lost(conn, Some(error)))),
            }
        }
    }

    fn poll_upload(&mut self, conn: &mut Conn, cx: &mut Context<'_>) -> Result<()> {
        let (Some(upload), Half::Whole(stream)) = (&mut self.upload, &mut conn.io) else { return Ok(()) };
        match upload.poll_send(stream, &mut conn.sent, cx) {
            Poll::Pending => {
                let waits = upload.is_held() && self.expect.is_none() && upload.is_head_sent(conn.sent);
                let told = self.told;
                self.tell_head(conn);
                if waits {
                    self.expect = Deadline::new(self.request.expect_continue_timeout(), "expect_continue_timeout");
                    if !told && let Some(events) = self.request.events() {
                        events.wait_100_continue(conn.id);
                    }
                }
            }
            Poll::Ready(Ok(())) => {
                conn.tools().out = upload.take_out();
                self.upload = None;
                self.header = Deadline::new(self.request.response_header_timeout(), "response_header_timeout");
                if let Some(ledger) = self.ledger {
                    ledger.wrote = Some(now());
                }
                self.tell_head(conn);
                if let Some(events) = self.request.events() {
                    events.wrote_request(conn.id, Ok(()));
                }
            }
            Poll::Ready(Err(UploadError::Io(error))) => {
                if let Some(events) = self.request.events() {
                    events.wrote_request(conn.id, Err(&error.to_string()));
                }
                self.upload = None;
                self.expect = None;
                self.broken = Some(error);
                if conn.sent == 0 {
                    // Nothing can answer a request of which nothing was sent.
                    return Err(self.lost(conn, None));
                }
                let limit = self.request.response_header_timeout().map_or(ANSWER_TIME, |limit| limit.min(ANSWER_TIME));
                self.header = Deadline::new(Some(limit), "");
            }
            Poll::Ready(Err(UploadError::Body(error))) => return Err(*error),
        }
        Ok(())
    }

    fn tell_head(&mut self, conn: &Conn) {
        let Some(events) = self.request.events() else { return };
        let out = self.upload.as_ref().is_none_or(|upload| upload.is_head_sent(conn.sent));
        if out && !std::mem::replace(&mut self.told, true) {
            events.wrote_headers(conn.id);
        }
    }

    fn first_byte(&mut self, conn: &mut Conn) {
        // The request is not sent again, so its fields' memory may serve the response's.
        if let Some(fields) = self.request.take_headers() {
            conn.tools().parser.reuse_headers(fields);
        }
        if let Some(ledger) = self.ledger {
            ledger.first_byte = Some(now());
        }
        if let Some(events) = self.request.events() {
            events.got_first_response_byte(conn.id);
        }
    }

    /// A deadline has passed.
    fn due(&mut self, due: Deadline, conn: &Conn) -> Result<()> {
        if self.expect.take_if(|expect| expect.is(due)).is_some() {
            // RFC 9110 section 10.1.1: a client does not wait for ever; the server may not know the expectation.
            if let Some(upload) = &mut self.upload {
                upload.release();
            }
            return Ok(());
        }
        if self.broken.is_some() && self.header.is_some_and(|header| header.is(due)) {
            return Err(self.lost(conn, None));
        }
        let (what, phase) = match self.upload {
            Some(_) => ("the request was not sent", Phase::Write),
            None => ("the response's head did not come", Phase::Wait),
        };
        Err(due.error(what, phase))
    }

    /// Whether this head is an interim response, which is told to whoever asked, and else skipped. Their bytes are bounded together
    /// (RFC 9110, section 15.2: a client must be able to parse any number of them, and could otherwise be kept waiting for ever).
    fn is_interim(&mut self, head: &ResponseHead, conn: &Conn) -> Result<bool> {
        if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(false);
        }
        if head.status == StatusCode::CONTINUE {
            self.expect = None;
            if let Some(upload) = &mut self.upload {
                upload.release();
            }
        }
        if let Some(events) = self.request.events() {
            events.got_1xx_response(conn.id, head.status, &head.headers);
        }
        if let Some(hook) = self.request.on_interim() {
            hook.call(head.status, &head.headers);
            return Ok(true);
        }
        self.interim = self.interim.saturating_add(head.head_bytes);
        let limit = self.request.max_head_bytes();
        if self.interim > limit {
            return Err(malformed(HeadError::TooLarge { limit }));
        }
        Ok(true)
    }

    fn answer(&mut self, conn: &mut Conn, head: ResponseHead, response: &mut Response) -> Result<Answer> {
        let limit = self.request.max_head_bytes();
        if self.request.on_interim().is_none() && self.interim.saturating_add(head.head_bytes) > limit {
            return Err(malformed(HeadError::TooLarge { limit }));
        }
        if head.status == StatusCode::SWITCHING_PROTOCOLS && !self.request.asks_upgrade() {
            let message = "the server switched protocols (101) unasked";
            return Err(Error::new(ErrorKind::Protocol, message).with_phase(Phase::Wait));
        }
        let framing = response_framing(self.request.method(), &head).map_err(|error| {
            let wrong = Error::new(ErrorKind::Protocol, "the response's body has no certain end").with_cause(error);
            wrong.with_phase(Phase::Wait)
        })?;
        if conn.terms.served == 0 {
            conn.heed(&head.headers);
        }
        let (keep_alive, coded) = (head.keep_alive(framing), head.has_content_encoding());
        let mut unsent = self.upload.take().map(Box::new);
        let mut upload_ok = self.broken.is_none();
        if let Some(upload) = &mut unsent
            && upload.is_held()
        {
            // The final answer came instead of `100 Continue`. The connection can only be used again if the body follows all the
            // same, since the server may be waiting for it; if it is closed anyway, nobody wants the body (Go does the same).
            if keep_alive && !self.request.wants_close() {
                upload.release();
            } else {
                unsent = None;
                upload_ok = false;
            }
        }
        *response.status_mut() = head.status;
        *response.version_mut() = head.version;
        *response.headers_mut() = head.headers;
        Ok(Answer { framing, keep_alive, coded, unsent, upload_ok })
    }

    /// The connection ended before the response's head was complete.
    fn lost(&mut self, conn: &Conn, cause: Option<io::Error>) -> Error {
        let phase = if self.upload.is_some() || self.broken.is_some() { Phase::Write } else { Phase::Wait };
        if let Some(cut) = cause.as_ref().and_then(Cut::of) {
            return Error::new(ErrorKind::Canceled, cut.to_string()).with_phase(phase);
        }
        // The end, said or unsaid.
        let ended = cause.as_ref().is_none_or(|cause| cause.kind() == io::ErrorKind::UnexpectedEof);
        let message = match (conn.received, ended, &self.broken) {
            (0, true, None) => "the server closed the connection without an answer",
            (0, ..) => "the connection broke before an answer came",
            (_, true, _) => "the server closed the connection in the middle of the response's head",
            (_, false, _) => "the connection broke in the middle of the response's head",
        };
        let error = Error::new(ErrorKind::ConnectionLost, message).with_phase(phase);
        // The first sign of trouble says more than what followed from it.
        match self.broken.take().or(cause) {
            Some(cause) => error.with_cause(cause),
            None => error,
        }
    }
}

/// A TLS server that gets plain HTTP answers with an alert, in clear text, before it closes (RFC 8446, section 6).
fn malformed_or_tls(error: HeadError, seen: &[u8]) -> Error {
    if let [0x15 | 0x16, 3, ..] = seen {
        let message = "the server speaks TLS on this port; the URL's scheme should be https, or the port another";
        return Error::new(ErrorKind::Protocol, message).with_phase(Phase::Wait);
    }
    malformed(error)
}

fn malformed(error: HeadError) -> Error {
    let (kind, message) = if error.is_too_large() {
        (ErrorKind::TooLarge, "the response's head is too large")
    } else {
        (ErrorKind::Protocol, "the response is malformed")
    };
    Error::new(kind, message).with_cause(error).with_phase(Phase::Wait)
}
