//! One request and its response.

use std::borrow::Cow;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use h2::client::ResponseFuture;
use http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use roundtrip_types::{Body, Error, ErrorKind, Phase, Result};

use super::body::H2Body;
use super::error::{Failed, Repeat, explained, too_large};
use super::link::Link;
use super::tunnel::H2Tunnel;
use super::upload::{Upload, UploadError};
use super::{H2Conn, Slot};
use crate::config::InterimHook;
use crate::events::Events;
use crate::pool::ConnId;

/// A request as it goes out.
pub(crate) struct Outgoing {
    head: Request<()>,
    body: Body,
    /// How long the body is, if its head says so.
    length: Option<u64>,
    /// It is for another protocol.
    is_extended: bool,
}

/// What follows the head of a response.
pub(crate) enum Content {
    Nothing,
    Body(H2Body),
    /// Another protocol.
    Tunnel(H2Tunnel),
}

/// How an exchange is to go, and who is told.
#[derive(Clone, Copy)]
pub(crate) struct Watched<'a> {
    pub(crate) progress: &'a Progress,
    pub(crate) on_interim: Option<&'a InterimHook>,
    /// Most bytes of all interim responses (1xx) together, if nobody is told of them.
    pub(crate) interim_limit: usize,
    pub(crate) window_timeout: Option<Duration>,
    pub(crate) header_timeout: Option<Duration>,
    pub(crate) events: Option<(&'a dyn Events, ConnId)>,
}

/// How far an exchange has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The request has been sent in full.
    sent: AtomicBool,
    /// Its head has been sent, and its body waits for the server's word.
    held: AtomicBool,
    /// Something of an answer has come.
    answering: AtomicBool,
}

impl Progress {
    /// Of a request whose body waits for the server's word, if `held`.
    pub(crate) fn new(held: bool) -> Self {
        Progress { held: AtomicBool::new(held), ..Progress::default() }
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    /// The body waits no longer. Whoever calls this polls the exchange again.
    pub(crate) fn release(&self) {
        self.held.store(false, Ordering::Relaxed);
    }

    pub(crate) fn is_answering(&self) -> bool {
        self.answering.load(Ordering::Relaxed)
    }
}

impl Watched<'_> {
    fn wrote_headers(&self) {
        let Some((events, id)) = self.events else { return };
        events.wrote_headers(id);
        if self.progress.is_held() {
            events.wait_100_continue(id);
        }
    }

    fn wrote_request(&self, result: Result<(), &str>) {
        if result.is_ok() && self.progress.sent.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some((events, id)) = self.events {
            events.wrote_request(id, result);
        }
    }

    fn answering(&self) {
        if !self.progress.answering.swap(true, Ordering::Relaxed)
            && let Some((events, id)) = self.events
        {
            events.got_first_response_byte(id);
        }
    }
}

impl Outgoing {
    /// Makes a request fit for HTTP/2: `host` as its authority, no fields that are about an HTTP/1 connection (RFC 9113, section
    /// 8.2.2). `length` is what `Content-Length` says; `None` leaves it out. `accept` is what `Accept-Encoding` says in our name.
    ///
    /// # Errors
    /// Kind `Request`: the authority cannot be sent.
    pub(crate) fn new<T>(
        request: &Request<T>,
        scheme: &str,
        host: &str,
        length: Option<u64>,
        accept: Option<&str>,
        body: Body,
    ) -> Result<Self> {
        let invalid = |what: &str| Error::new(ErrorKind::Request, what.to_owned()).with_phase(Phase::Prepare);
        let authority = match request.headers().get(HOST) {
            Some(host) => Authority::try_from(host.as_bytes()),
            None => Authority::try_from(host),
        };
        let authority = authority.map_err(|_| invalid("the Host field is no host with a port"))?;
        let path = path(request.uri()).map_err(|_| invalid("the URL cannot be sent over HTTP/2"))?;
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
        let mut head = Request::new(());
        *head.method_mut() = request.method().clone();
        *head.uri_mut() = uri.map_err(|_| invalid("the URL cannot be sent over HTTP/2"))?;
        *head.version_mut() = Version::HTTP_2;
        *head.headers_mut() = fields(request.headers());
        if let Some(length) = length {
            head.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        if let Some(accept) = accept.and_then(|accept| HeaderValue::from_str(accept).ok()) {
            head.headers_mut().insert(ACCEPT_ENCODING, accept);
        }
        Ok(Outgoing { head, body, length, is_extended: false })
    }

    /// Makes it a request for a stream on which `protocol` is spoken.
    pub(crate) fn extended(mut self, protocol: &str) -> Self {
        self.head.extensions_mut().insert(h2::ext::Protocol::from(protocol));
        self.is_extended = true;
        self
    }
}

/// Path and query as `:path` has them, which begins with a slash, even where the URL has but a query.
fn path(uri: &Uri) -> Result<PathAndQuery, http::uri::InvalidUri> {
    match uri.path_and_query() {
        None => Ok(PathAndQuery::from_static("/")),
        Some(path) if path.as_str().starts_with('?') => format!("/{}", path.as_str()).parse(),
        Some(path) => Ok(path.clone()),
    }
}

/// The fields without those of an HTTP/1 connection.
fn fields(headers: &HeaderMap) -> HeaderMap {
    let mut fields = headers.clone();
    for value in headers.get_all(CONNECTION) {
        let named = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        for name in named.filter_map(|name| HeaderName::from_bytes(name).ok()) {
            fields.remove(name);
        }
    }
    for name in [HOST, CONNECTION, TRANSFER_ENCODING, UPGRADE, CONTENT_LENGTH] {
        fields.remove(name);
    }
    fields.remove("keep-alive");
    fields.remove("proxy-connection");
    // Of TE, only this may stand.
    if fields.get_all(TE).iter().any(|value| value != "trailers") {
        let trailers =
            headers.get_all(TE).iter().any(|value| value.as_bytes().windows(8).any(|word| word == b"trailers"));
        fields.remove(TE);
        if trailers {
            fields.insert(TE, HeaderValue::from_static("trailers"));
        }
    }
    fields
}

/// An exchange in progress. Dropped before its end, it was given up, and the peer may be gone.
struct Running {
    slot: Option<Slot>,
    /// What had come in when it began, and what of answers.
    bytes_in: u64,
    answers: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(slot) = &self.slot {
            slot.link.given_up(self.bytes_in);
        }
    }
}

impl H2Conn {
    /// Sends a request on a stream that was [reserved](H2Conn::reserve), and returns the response when its head is there, with its
    /// body if there is more to come.
    ///
    /// The upload goes on beside the response. What is left of it when the head has come goes on in a task of its own, which the
    /// end of the response's body does not wait for, and dropping that body stops.
    ///
    /// # Errors
    /// What failed, and whether the request may be sent again, see [`Failed`].
    ///
    /// # Cancel safety
    /// Dropping the future resets the stream. If the peer has said nothing since the request began, the connection takes no new
    /// streams until it has answered a PING.
    pub(crate) async fn send(
        &self,
        slot: Slot,
        request: Outgoing,
        watched: Watched<'_>,
    ) -> Result<Response<Content>, Failed> {
        let Outgoing { head, body, length, is_extended } = request;
        let link = Arc::clone(&slot.link);
        let mut running = Running {
            slot: Some(slot),
            bytes_in: link.meter.bytes_in.load(Ordering::Relaxed),
            answers: link.meter.answers.load(Ordering::Relaxed),
        };
        let unsent = |body: Body, error: &h2::Error| {
            let (error, repeat) = explained(&link, error, None);
            Failed { error: error.with_phase(Phase::Write), repeat, body: Some(body), silent: true }
        };
        if is_extended && let Err(unfit) = self.wait_extended_connect(watched.header_timeout).await {
            if unfit.kind() == ErrorKind::Connect {
                // It has done nothing on the connection.
                let slot = running.slot.take();
                drop(slot);
            }
            return Err(Failed { error: unfit, repeat: Repeat::No, body: Some(body), silent: false });
        }
        let mut send = self.send.clone();
        // Ready at once, since there are no more streams than the peer allows; or the connection is over.
        let ready = poll_fn(|cx| send.poll_ready(cx)).await;
        let no_body = !is_extended && http_body::Body::is_end_stream(&body);
        let opened = ready.and_then(|()| send.send_request(head, no_body));
        let (mut response, stream) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                running.slot = None;
                if error.is_io() || error.is_go_away() || link.end().is_some() {
                    return Err(unsent(body, &error));
                }
                // The request is not one that h2 would send.
                let error = Error::new(ErrorKind::Request, "the request cannot be sent over HTTP/2").with_cause(error);
                let error = error.with_phase(Phase::Prepare);
                return Err(Failed { error, repeat: Repeat::No, body: Some(body), silent: true });
            }
        };
        link.meter.opened.fetch_add(1, Ordering::Relaxed);
        let id = response.stream_id().as_u32();
        let (mut upload, mut tunnel) = match (is_extended, no_body) {
            (true, _) => (None, Some(stream)),
            (false, true) => (None, None),
            (false, false) => (Some(Upload::new(body, stream, length, watched.window_timeout)), None),
        };
        watched.wrote_headers();
        let mut interim = Interim::default();
        let outcome = poll_fn(|cx| {
            // First, since it may release the body.
            if let Err(error) = interim.skip(&mut response, &watched, cx) {
                return Poll::Ready(Err(Ended::Ours(Box::new(error))));
            }
            match &mut upload {
                None => watched.wrote_request(Ok(())),
                Some(_) if watched.progress.is_held() => {}
                Some(sending) => match sending.poll_send(cx) {
                    Poll::Ready(Ok(())) => {
                        upload = None;
                        watched.wrote_request(Ok(()));
                    }
                    Poll::Ready(Err(UploadError::Body(error))) => return Poll::Ready(Err(Ended::Ours(error))),
                    // What the response says is worth more.
                    Poll::Ready(Err(UploadError::Stream)) => {
                        upload = None;
                        watched.progress.sent.store(true, Ordering::Relaxed);
                        watched.wrote_request(Err("the server took no more of it"));
                    }
                    Poll::Pending => {}
                },
            }
            let answered = std::pin::Pin::new(&mut response).poll(cx);
            answered.map_err(Ended::Stream)
        })
        .await;
        match outcome {
            Ok(response) => {
                watched.answering();
                if let Some(mut stream) = tunnel.take() {
                    if response.status().is_success() {
                        return Ok(switched(response, running, stream));
                    }
                    // Refused; it has an answer like any other. Fails for a stream that has ended.
                    let _ = stream.send_data(bytes::Bytes::new(), true);
                }
                if watched.progress.is_held() {
                    // The answer came instead of `100 Continue`: nobody wants the body. The stream is reset when the response has
                    // ended, for the body must not look complete.
                    upload = None;
                }
                Ok(answered(response, running, upload, id))
            }
            Err(Ended::Ours(error)) => {
                running.slot = None;
                Err(Failed { error: *error, repeat: Repeat::No, body: None, silent: false })
            }
            Err(Ended::Stream(error)) => {
                running.slot = None;
                // A code is a word about this request, or about the connection.
                let silent = error.reason().is_none() && link.meter.answers.load(Ordering::Relaxed) == running.answers;
                let (error, repeat) = explained(&link, &error, Some(id));
                Err(Failed { error: error.with_phase(Phase::Wait), repeat, body: None, silent })
            }
        }
    }
}

impl H2Conn {
    /// Waits until it is known that the peer takes extended CONNECT requests, or that the connection is over, which others tell.
    async fn wait_extended_connect(&self, header_timeout: Option<Duration>) -> Result<()> {
        let (limit, setting) = match header_timeout {
            Some(limit) if limit < SETTINGS_TIME => (limit, " (response_header_timeout)"),
            _ => (SETTINGS_TIME, ""),
        };
        let message = match tokio::time::timeout(limit, self.link.settings_came()).await {
            Ok(()) if self.link.meter.extended_connect() || self.link.end().is_some() => return Ok(()),
            Ok(()) => {
                "the server takes no extended CONNECT (RFC 8441): its settings do not say ENABLE_CONNECT_PROTOCOL"
            }
            Err(_) => {
                let what = "the server's settings did not come";
                let message =
                    format!("{what} within {limit:?}{setting}; an extended CONNECT (RFC 8441) has to wait for them");
                return Err(Error::new(ErrorKind::Timeout, message).with_phase(Phase::Connect));
            }
        };
        Err(Error::new(ErrorKind::Connect, message).with_phase(Phase::Connect))
    }
}

/// How long a request may wait for the server's settings, which must be the first that it says (RFC 9113, section 3.4).
const SETTINGS_TIME: Duration = Duration::from_secs(10);

enum Ended {
    Ours(Box<Error>),
    Stream(h2::Error),
}

/// The interim responses so far.
#[derive(Default)]
struct Interim {
    bytes: usize,
}

impl Interim {
    /// Tells those that have come to whoever asked, and else skips them. Their bytes are bounded together then, as over HTTP/1; how
    /// many there may be is bounded in any case, by the [guard](super::guard).
    fn skip(
        &mut self,
        response: &mut ResponseFuture,
        watched: &Watched<'_>,
        cx: &mut std::task::Context<'_>,
    ) -> Result<()> {
        while let Poll::Ready(Some(Ok(interim))) = response.poll_informational(cx) {
            watched.answering();
            if interim.status() == StatusCode::CONTINUE {
                watched.progress.release();
            }
            if let Some((events, id)) = watched.events {
                events.got_1xx_response(id, interim.status(), interim.headers());
            }
            if let Some(hook) = watched.on_interim {
                hook.call(interim.status(), interim.headers());
                continue;
            }
            self.bytes = self.bytes.saturating_add(list_bytes(interim.headers()));
            if self.bytes > watched.interim_limit {
                let message = too_large(watched.interim_limit);
                return Err(Error::new(ErrorKind::TooLarge, message).with_phase(Phase::Wait).with_sent(true));
            }
        }
        Ok(())
    }
}

/// The stream belongs to another protocol from now on.
fn switched(
    response: Response<h2::RecvStream>,
    mut running: Running,
    send: h2::SendStream<bytes::Bytes>,
) -> Response<Content> {
    let slot = running.slot.take().map(Arc::new);
    response.map(|recv| slot.map_or(Content::Nothing, |slot| Content::Tunnel(H2Tunnel::new(recv, send, slot))))
}

/// How large a head is, as HTTP/2 counts (RFC 9113, section 6.5.2); its status counts as a field.
pub(crate) fn list_bytes(headers: &HeaderMap) -> usize {
    const STATUS: usize = ":status".len() + 3 + 32;
    STATUS + headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum::<usize>()
}

fn answered(
    response: Response<h2::RecvStream>,
    mut running: Running,
    upload: Option<Upload>,
    id: u32,
) -> Response<Content> {
    let (parts, stream) = response.into_parts();
    let slot = running.slot.take().map(Arc::new);
    let upload = upload.map(|mut upload| {
        // The stream is in use as long as something goes out on it.
        let slot = slot.clone();
        tokio::spawn(async move {
            // An error here is the server's choice to hear no more; what it says instead is in the response.
            let _ = poll_fn(|cx| upload.poll_send(cx)).await;
            drop(slot);
        })
    });
    let length = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = if stream.is_end_stream() && upload.is_none() {
        drop(slot);
        Content::Nothing
    } else {
        Content::Body(H2Body::new(stream, slot, upload, running.bytes_in, id, length))
    };
    Response::from_parts(parts, body)
}

/// The name of a stream for errors.
pub(super) fn with_facts(link: &Link, id: u32, error: Error) -> Error {
    let peer: Cow<'_, str> = link.info().peer().to_string().into();
    error.with_facts(format!("stream {id} of the HTTP/2 connection to {peer}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(fields: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::get("https://h.test:8443/a?b");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        Outgoing::new(&request.body(()).unwrap(), "https", "h.test:8443", None, None, Body::empty()).unwrap().head
    }

    #[test]
    fn fields_of_the_connection_stay_behind() {
        let head = outgoing(&[
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "5"),
            ("proxy-connection", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "gzip, trailers"),
            ("x-end", "2"),
            ("content-length", "9"),
        ]);
        let names: Vec<_> = head.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-end", "te"]);
        assert_eq!(head.headers()[TE], "trailers");
    }

    #[test]
    fn a_host_field_is_the_authority() {
        assert_eq!(outgoing(&[]).uri(), "https://h.test:8443/a?b");
        let head = outgoing(&[("host", "other.test")]);
        assert_eq!((head.uri().to_string().as_str(), head.headers().len()), ("https://other.test/a?b", 0));
    }
}
