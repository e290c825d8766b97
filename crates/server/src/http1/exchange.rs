//! One request in progress: its handler beside its body, then its response.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderValue, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Version};
use http_body::Body as _;
use roundtrip_h1::Framing;
use roundtrip_h1::write::{BodyEncoder, encode_response_head, outgoing_response_framing};
use roundtrip_types::{Body, Response};

use super::inbound::{Inbound, Rest};
use super::io::Io;
use super::{date, said_length};
use crate::body::poll_body;
use crate::clock;
use crate::conn::End;
use crate::control::ResponseController;
use crate::link::{self, Link};
use crate::service::{check_framing, handle};
use crate::tracker::Stage;

pub(super) struct Exchange<'a> {
    io: &'a mut Io,
    link: &'a Arc<Link>,
    /// The request's body, if not all of it was there with the head.
    inbound: Option<Inbound>,
    version: Version,
    /// Whether this is the connection's last exchange.
    last: bool,
    body: Body,
    /// `None` once all of the body is on its way.
    encoder: Option<BodyEncoder>,
    /// The body has failed: the connection ends in the middle of it.
    failed: bool,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(
        io: &'a mut Io,
        link: &'a Arc<Link>,
        inbound: Option<Inbound>,
        version: Version,
        keeps_alive: bool,
    ) -> Self {
        Exchange { io, link, inbound, version, last: !keeps_alive, body: Body::empty(), encoder: None, failed: false }
    }

    /// Polls the handler, and what goes on beside it.
    #[inline]
    pub(super) fn poll_handler<F: Future<Output = Response>>(
        &mut self,
        current: &mut Option<ResponseController>,
        mut future: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response, Box<dyn Any + Send>>> {
        loop {
            match handle(current, || future.as_mut().poll(cx)) {
                Ok(Poll::Ready(response)) => return Poll::Ready(Ok(response)),
                Ok(Poll::Pending) => {}
                Err(panic) => return Poll::Ready(Err(panic)),
            }
            let flags = self.link.flags();
            if flags & ASKS != 0 || !self.io.out.is_empty() {
                self.serve_asks(flags, cx);
            }
            ready!(self.poll_beside(cx));
        }
    }

    /// What a handler has asked for out of turn.
    #[cold]
    fn serve_asks(&mut self, flags: u32, cx: &mut Context<'_>) {
        self.io.serve_asks(flags & link::OUT_OF_BAND);
        match self.io.poll_flush(cx) {
            Poll::Pending => return,
            Poll::Ready(Ok(())) => {}
            // That the client is gone shows when the response is written.
            Poll::Ready(Err(_)) => self.io.out.forget(),
        }
        self.io.serve_asks(flags & link::HIJACK);
        if flags & link::FLUSH_WATCHED != 0 {
            self.link.flushed();
        }
    }

    /// Reads what is wanted of the request's body, and looks out for the client's end. Ready when somebody has something new.
    fn poll_beside(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(inbound) = &mut self.inbound
            && inbound.poll_feed(self.io, cx).is_ready()
        {
            return Poll::Ready(());
        }
        if self.link.has(link::LISTENING) {
            self.io.listen(cx);
        }
        Poll::Pending
    }

    /// Before the response: reads away what has already come of a body that the handler left, so that the response can say
    /// whether the connection goes on. What has not come yet is read beside the response.
    pub(super) fn poll_settle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(inbound) = &mut self.inbound
            && !inbound.is_over()
            && inbound.is_dropped()
        {
            // How it ended is a flag.
            let _ = inbound.poll_drain(self.io, cx);
        }
        Poll::Ready(())
    }

    /// Writes the response's head.
    pub(super) fn begin(&mut self, method: &Method, mut response: Response) {
        let link = self.link;
        link.raise(link::RESPONSE_BEGUN);
        if link.has(link::OUT_OF_BAND) {
            self.io.serve_asks(link::OUT_OF_BAND);
        }
        let said = Said::of(response.headers());
        let mut length = response.body().content_length();
        if said.framing {
            check_framing(method, &mut response);
            length = length.or_else(|| said_length(&response));
        }
        let status = response.status();
        let framing = outgoing_response_framing(method, self.version, status, length);
        let is_http10 = self.version < Version::HTTP_11;
        self.last |= link.stage() > Stage::Running
            || !link.tracker.keep_alives.load(Ordering::Relaxed)
            || link.config.max_requests_per_connection.is_some_and(|max| link.requests() >= max)
            || link.has(link::UNREAD_BODY)
            || framing == Framing::UntilClose
            || said.close;
        if *method == Method::HEAD
            && let Some(length @ 1..) = length
        {
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        let has_chunks = framing == Framing::Chunked || (framing == Framing::None && length.is_none());
        if said.trailer && !has_chunks {
            response.headers_mut().remove(TRAILER);
        }
        if self.last && said.connection && !said.close {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        // An interim response may still be on its way.
        let out = self.io.out.bytes();
        let begin = out.len();
        let encoded = encode_response_head(out, method, status, response.headers(), framing);
        debug_assert!(encoded.is_ok(), "the framing is the one that method and status leave room for");
        if is_http10 && let Some(minor) = out.get_mut(begin + "HTTP/1.".len()) {
            *minor = b'0';
        }
        out.truncate(out.len() - "\r\n".len());
        if is_http10 && framing == Framing::UntilClose && !said.close {
            // To HTTP/1.0 an end goes without saying.
            out.truncate(out.len() - "connection: close\r\n".len());
        }
        if !said.date {
            date::write(out, clock::now());
        }
        match (self.last, is_http10) {
            _ if said.connection || framing == Framing::UntilClose => {}
            (true, false) => out.extend_from_slice(b"connection: close\r\n"),
            (false, true) => out.extend_from_slice(b"connection: keep-alive\r\n"),
            _ => {}
        }
        out.extend_from_slice(b"\r\n");
        if !matches!(framing, Framing::None | Framing::Length(0)) {
            self.encoder = Some(BodyEncoder::new(framing));
            self.body = std::mem::take(response.body_mut());
        }
        // The next request's fields go where these were.
        self.io.reuse_headers(std::mem::take(response.headers_mut()));
    }

    /// Sends the response, with what goes on beside it. `None` if the connection goes on.
    #[inline]
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        loop {
            let fills = self.fill(cx);
            if !self.io.out.is_empty() {
                match self.io.poll_flush(cx) {
                    Poll::Ready(Ok(())) if fills == Fill::Full => continue,
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(Some(End::Failed(None))),
                    Poll::Pending => {
                        ready!(self.poll_rest(cx));
                        continue;
                    }
                }
            }
            if self.link.has(link::FLUSH_WATCHED) {
                self.link.flushed();
            }
            if self.encoder.is_none() {
                if self.failed {
                    return Poll::Ready(Some(End::Failed(None)));
                }
                break;
            }
            ready!(self.poll_rest(cx));
        }
        self.poll_end(cx)
    }

    /// All of the response is out. The exchange ends with the request's body.
    #[inline]
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        if !self.link.has(link::RESPONSE_DONE) {
            self.link.response_done();
        }
        while let Some(inbound) = &mut self.inbound
            && !inbound.is_over()
            && !self.link.has(link::UNREAD_BODY)
        {
            if inbound.is_dropped() {
                if self.last {
                    break;
                }
                if let Rest::Lasts = ready!(inbound.poll_drain(self.io, cx)) {
                    break;
                }
            } else {
                ready!(inbound.poll_feed(self.io, cx));
            }
        }
        if self.last || self.link.has(link::UNREAD_BODY) {
            let sending =
                self.inbound.as_ref().is_some_and(|inbound| !inbound.is_over()) || self.link.has(link::UNREAD_BODY);
            ready!(self.io.poll_close(sending, cx));
            return Poll::Ready(Some(End::Through));
        }
        Poll::Ready(None)
    }

    /// What goes on while the response waits. Ready when there is something new to look at.
    #[cold]
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(inbound) = &mut self.inbound
            && !inbound.is_over()
            && !self.link.has(link::UNREAD_BODY)
            && inbound.is_dropped()
        {
            // A client that sends before it reads must not wait for us while we wait for it.
            let _ = inbound.poll_drain(self.io, cx);
            return Poll::Pending;
        }
        self.poll_beside(cx)
    }

    /// Takes from the response's body what there is room for.
    #[inline]
    fn fill(&mut self, cx: &mut Context<'_>) -> Fill {
        while let Some(encoder) = &mut self.encoder {
            if !self.io.out.has_room() {
                return Fill::Full;
            }
            let framed = match poll_body(&mut self.body, cx) {
                Poll::Pending => return Fill::Waits,
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if data.is_empty() => Ok(()),
                    Ok(data) => encoder.frame(data.len()).map(|frame| {
                        self.io.out.put(frame.before(), data, frame.behind());
                    }),
                    Err(frame) => {
                        let trailers = frame.into_trailers().ok();
                        self.finish(trailers);
                        continue;
                    }
                },
                Poll::Ready(None) => {
                    self.finish(None);
                    continue;
                }
                Poll::Ready(Some(Err(_))) => {
                    self.fail();
                    continue;
                }
            };
            if framed.is_err() {
                self.fail();
            } else if self.body.is_end_stream() {
                self.finish(None);
            }
        }
        Fill::Waits
    }

    /// The body has come to its end.
    #[inline]
    fn finish(&mut self, mut trailers: Option<HeaderMap>) {
        let Some(encoder) = self.encoder.take() else { return };
        if encoder.remaining().is_some() || self.version < Version::HTTP_11 {
            // Only chunks can carry them.
            trailers = None;
        }
        if let Some(trailers) = &mut trailers {
            let forbidden: Vec<_> =
                trailers.keys().filter(|name| !roundtrip_h1::is_trailer_allowed(name)).cloned().collect();
            for name in forbidden {
                trailers.remove(name);
            }
        }
        self.body = Body::empty();
        if encoder.finish(self.io.out.bytes(), trailers.as_ref()).is_err() {
            self.failed = true;
        }
    }

    /// The body is not what was announced: the client must not take it for whole.
    #[cold]
    fn fail(&mut self) {
        self.encoder = None;
        self.body = Body::empty();
        self.failed = true;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fill {
    /// There is no more room.
    Full,
    /// The body has nothing more for now, or at all.
    Waits,
}

/// What a handler can ask for beside its answer.
const ASKS: u32 = link::OUT_OF_BAND | link::HIJACK | link::FLUSH_WATCHED;

/// Which of the fields that are the connection's affair a handler has set.
#[derive(Default)]
struct Said {
    framing: bool,
    connection: bool,
    close: bool,
    date: bool,
    trailer: bool,
}

impl Said {
    #[inline]
    fn of(headers: &HeaderMap) -> Self {
        let mut said = Said::default();
        for (name, value) in headers {
            if *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING {
                said.framing = true;
            } else if *name == DATE {
                said.date = true;
            } else if *name == CONNECTION {
                said.connection = true;
                let options = value.as_bytes().split(|byte| *byte == b',');
                said.close |= options.into_iter().any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
            } else if *name == TRAILER {
                said.trailer = true;
            }
        }
        said
    }
}
