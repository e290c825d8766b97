//! Checking a request before anything is opened for it, and its head on the wire.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHORIZATION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use roundtrip_h1::write::encode_request_head;
use roundtrip_h1::{Framing, RequestTarget};
use roundtrip_types::{Body, Error, ErrorKind, Phase, Request, Result};

use crate::config::{InterimHook, Protocols, RequestOptions, Retry, Reuse, TransportConfig};
use crate::decode::{Offer, Uncompressed};
use crate::events::Events;
use crate::extended::ExtendedConnect;
use crate::h2::Outgoing;
use crate::key::{Key, KeyError};
use crate::net::{Alpn, Scheme};
use crate::protocol::{self, Purpose};

/// A request that can be sent: checked, with all that its head needs, and with the settings that hold for it.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    /// Where the caller keeps it, since moving it about cost a tenth of a small exchange.
    req: &'a mut Request,
    framing: Framing,
    key: Key,
    /// HTTP/1.1 will not do.
    only_http2: bool,
    wants_close: bool,
    upgrades: bool,
    /// Whether it goes to a proxy as it is, rather than to the server through a tunnel.
    forwarded: bool,
    /// Whether we, and not the user, have asked for codings, and so decode them.
    offered: bool,
    config: Arc<TransportConfig>,
    /// What it does otherwise. Rare, so boxed.
    options: Option<Box<RequestOptions>>,
    /// What is to be spoken on the stream that it asks for.
    extended: Option<Box<ExtendedConnect>>,
}

impl<'a> Prepared<'a> {
    /// Checks `req`.
    pub(crate) fn new(req: &'a mut Request, config: Arc<TransportConfig>) -> Result<Self> {
        let mut key = origin(req.uri())?;
        let framing = framing(req.headers(), req.body())?;
        let (options, extended) = take_extensions(req, framing)?;
        let own_proxy = options.as_ref().and_then(|own| own.proxy.as_ref());
        let proxies = own_proxy.unwrap_or(&config.proxy);
        if !proxies.is_none()
            && let Some(proxy) = proxies.proxy_for(req, key.scheme().as_str(), key.host(), key.port())?
        {
            key = key.via(proxy).map_err(|_| invalid("the proxy's address is none"))?;
        }
        let forwarded = key.is_forwarded();
        let upgrades = upgrades(req);
        let own_protocols = options.as_ref().and_then(|own| own.protocols);
        let purpose = purpose(req, upgrades, extended.is_some());
        let spoken = protocol::spoken(config.protocols, own_protocols, key.scheme(), purpose, forwarded);
        let spoken = spoken.map_err(|unspoken| invalid(unspoken.to_string()))?;
        let key = key.speaking(spoken.alpn);
        let mut prepared = Prepared::checked(req, framing, key, config, options);
        prepared.only_http2 = spoken.only_http2;
        prepared.upgrades = upgrades;
        prepared.forwarded = forwarded;
        prepared.extended = extended;
        Ok(prepared)
    }

    /// Checks `req`, to be sent on a connection to `to` that goes the way of `route`, and speaks HTTP/2 or not.
    pub(crate) fn on(
        req: &'a mut Request,
        config: Arc<TransportConfig>,
        (to, route): (&Key, &Key),
        is_http2: bool,
    ) -> Result<Self> {
        let key = origin(req.uri())?;
        if !key.is_same_origin(to) {
            let message = format!("the request is for {}, but the connection leads to {}", key.origin(), to.origin());
            return Err(invalid(message));
        }
        let framing = framing(req.headers(), req.body())?;
        let (options, extended) = take_extensions(req, framing)?;
        let upgrades = upgrades(req);
        let own_protocols = options.as_ref().and_then(|own| own.protocols);
        let purpose = purpose(req, upgrades, extended.is_some());
        protocol::fits(own_protocols, purpose, is_http2).map_err(|unfit| invalid(unfit.to_string()))?;
        let forwarded = route.is_forwarded();
        // The text of the request's own URL goes out, except to a proxy.
        let key = if forwarded { route.clone() } else { key.speaking(route.alpn()) };
        let mut prepared = Prepared::checked(req, framing, key, config, options);
        prepared.only_http2 = is_http2;
        prepared.upgrades = upgrades;
        prepared.forwarded = forwarded;
        prepared.extended = extended;
        Ok(prepared)
    }

    #[inline]
    fn checked(
        req: &'a mut Request,
        framing: Framing,
        key: Key,
        config: Arc<TransportConfig>,
        options: Option<Box<RequestOptions>>,
    ) -> Self {
        let offer = Offer::new(&config.accept_codings, config.max_decoded_bytes);
        let offered = offer.is_some_and(|offer| offer.applies(req.method(), req.headers()));
        if config.disable_keep_alives {
            req.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let headers = req.headers();
        // Noted now: the fields are given away before the answer is understood. Many requests have none.
        let wants_close = has(headers, &CONNECTION) && wants_close(headers);
        let (only_http2, upgrades, forwarded) = (false, false, false);
        Prepared {
            req,
            framing,
            key,
            only_http2,
            wants_close,
            upgrades,
            forwarded,
            offered,
            config,
            options,
            extended: None,
        }
    }

    pub(crate) fn take_body(&mut self) -> Body {
        std::mem::take(self.req.body_mut())
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// Whether it may not go over HTTP/1.1.
    pub(crate) fn only_http2(&self) -> bool {
        self.only_http2
    }

    /// The server wants it over HTTP/1.1.
    pub(crate) fn over_http1(&mut self) {
        self.key = self.key.clone().speaking(Alpn::Http1);
    }

    /// The request as HTTP/2 sends it.
    pub(crate) fn outgoing(&self, body: Body) -> Result<Outgoing> {
        let length = match self.framing {
            Framing::Length(length) => Some(length),
            Framing::None if matches!(*self.method(), Method::POST | Method::PUT | Method::PATCH) => Some(0),
            _ => None,
        };
        let accept = self.offer().map(Offer::value);
        let (scheme, host) = (self.key.scheme().as_str(), host_of(self.req.uri()));
        let outgoing = Outgoing::new(self.req, scheme, host, length, accept.as_deref(), body)?;
        Ok(match &self.extended {
            Some(extended) => outgoing.extended(extended.protocol()),
            None => outgoing,
        })
    }

    pub(crate) fn config(&self) -> &TransportConfig {
        &self.config
    }

    pub(crate) fn method(&self) -> &Method {
        self.req.method()
    }

    pub(crate) fn uri(&self) -> &http::Uri {
        self.req.uri()
    }

    pub(crate) fn body_framing(&self) -> Framing {
        self.framing
    }

    /// The body turned out to be empty.
    pub(crate) fn without_body(&mut self) {
        self.framing = Framing::None;
    }

    /// Whether a body of unknown length may well be empty, since requests with this method seldom have one. An empty one must not be
    /// announced as chunked: there are servers that refuse such requests (Go: `transferWriter.shouldSendChunkedRequestBody`).
    pub(crate) fn may_lack_body(&self) -> bool {
        self.framing == Framing::Chunked
            && matches!(self.req.method().as_str(), "GET" | "HEAD" | "DELETE" | "OPTIONS" | "PROPFIND" | "SEARCH")
            && !self.says_expect()
    }

    /// Whether the request may be sent again although the server may have seen it: its method is safe, or its author gave it a
    /// key by which the server tells repetitions (Go: `Request.isReplayable`), or says so.
    pub(crate) fn is_replayable(&self) -> bool {
        let safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE];
        self.retry() == Retry::Always
            || safe.contains(self.req.method())
            || self.req.headers().contains_key("idempotency-key")
            || self.req.headers().contains_key("x-idempotency-key")
    }

    /// Whether the request asks for the connection to be closed afterwards.
    pub(crate) fn wants_close(&self) -> bool {
        self.wants_close
    }

    /// Whether the request asks for another protocol (RFC 9110, section 7.8).
    pub(crate) fn asks_upgrade(&self) -> bool {
        self.upgrades
    }

    /// Whether the body waits for the server's word.
    pub(crate) fn expects_continue(&self) -> bool {
        let own = self.options.as_ref().and_then(|own| own.expect_continue_timeout);
        self.framing != Framing::None
            && self.framing != Framing::Length(0)
            && own.or(self.config.expect_continue_timeout).is_some_and(|limit| !limit.is_zero())
            && self.says_expect()
    }

    fn says_expect(&self) -> bool {
        let expect = self.req.headers().get(EXPECT);
        expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    }

    // ---- the settings that hold for this request

    fn limit(
        &self,
        own: fn(&RequestOptions) -> Option<Duration>,
        general: fn(&TransportConfig) -> Option<Duration>,
    ) -> Option<Duration> {
        let own = self.options.as_ref().and_then(|options| own(options));
        own.or_else(|| general(&self.config)).filter(|&limit| limit < Duration::MAX)
    }

    pub(crate) fn wait_timeout(&self) -> Option<Duration> {
        self.limit(|own| own.wait_timeout, |general| general.wait_timeout)
    }

    pub(crate) fn connect_timeout(&self) -> Option<Duration> {
        self.limit(|own| own.connect_timeout, |general| general.connect_timeout)
    }

    pub(crate) fn response_header_timeout(&self) -> Option<Duration> {
        self.limit(|own| own.response_header_timeout, |general| general.response_header_timeout)
    }

    pub(crate) fn body_gap_timeout(&self) -> Option<Duration> {
        self.limit(|own| own.body_gap_timeout, |general| general.body_gap_timeout)
    }

    pub(crate) fn total_timeout(&self) -> Option<Duration> {
        self.limit(|own| own.total_timeout, |general| general.total_timeout)
    }

    pub(crate) fn expect_continue_timeout(&self) -> Option<Duration> {
        self.limit(|own| own.expect_continue_timeout, |general| general.expect_continue_timeout)
    }

    pub(crate) fn max_head_bytes(&self) -> usize {
        let own = self.options.as_ref().and_then(|own| own.max_response_header_bytes);
        own.unwrap_or(self.config.max_response_header_bytes)
    }

    pub(crate) fn max_head_fields(&self) -> usize {
        let own = self.options.as_ref().and_then(|own| own.max_response_header_fields);
        own.unwrap_or(self.config.max_response_header_fields)
    }

    pub(crate) fn reuse(&self) -> Reuse {
        match &self.options {
            _ if self.config.disable_keep_alives => Reuse::Never,
            Some(own) => own.reuse,
            None => Reuse::Pooled,
        }
    }

    pub(crate) fn retry(&self) -> Retry {
        self.options.as_ref().map_or(Retry::Safe, |own| own.retry)
    }

    pub(crate) fn on_interim(&self) -> Option<&InterimHook> {
        self.options.as_ref()?.on_interim.as_ref()
    }

    pub(crate) fn events(&self) -> Option<&Arc<dyn Events>> {
        self.options.as_ref().and_then(|own| own.events.as_ref()).or(self.config.events.as_ref())
    }

    pub(crate) fn wants_timings(&self) -> bool {
        self.options.as_ref().and_then(|own| own.timings).unwrap_or(self.config.timings)
    }

    /// Decodes the body of a response that is coded because we have offered it.
    pub(crate) fn decode(&self, headers: &mut HeaderMap, body: &mut Body) -> Option<Uncompressed> {
        self.offer()?.decode(headers, body)
    }

    /// What codings we offer beyond what the user asks for.
    fn offer(&self) -> Option<Offer<'_>> {
        Offer::new(&self.config.accept_codings, self.config.max_decoded_bytes).filter(|_| self.offered)
    }

    /// Adds our own fields to a head that was encoded into `out`: not by way of the request's fields, which are the user's and where
    /// a first one costs two allocations.
    fn encode_offer(&self, out: &mut Vec<u8>) {
        if let Some(offer) = self.offer() {
            // Behind the last field, in front of the empty line.
            out.truncate(out.len() - 2);
            offer.encode(out);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Gives the fields away, for their memory, once the request will not be sent again.
    pub(crate) fn take_headers(&mut self) -> Option<HeaderMap> {
        (self.req.headers().capacity() > 0).then(|| std::mem::take(self.req.headers_mut()))
    }

    /// The head of a request that a proxy forwards: with the whole URL (RFC 9112, section 3.2.2), and our credentials for the proxy.
    #[cold]
    fn encode_forwarded(&self, host: &str, out: &mut Vec<u8>) -> Result<()> {
        let whole = match self.req.uri().path_and_query().map_or("/", |target| target.as_str()) {
            "*" => format!("http://{host}"),
            target if target.starts_with('/') => format!("http://{host}{target}"),
            target => format!("http://{host}/{target}"),
        };
        let fields;
        let headers = match self.key.proxy().and_then(|proxy| proxy.authorization()) {
            Some(authorization) if !self.req.headers().contains_key(PROXY_AUTHORIZATION) => {
                // In a copy: it is for the proxy, and not to be found in the request afterwards.
                fields = {
                    let mut fields = self.req.headers().clone();
                    fields.insert(PROXY_AUTHORIZATION, authorization.clone());
                    fields
                };
                &fields
            }
            _ => self.req.headers(),
        };
        encode_request_head(out, self.method(), RequestTarget::Absolute(&whole), host, headers, self.framing)
            .map_err(|error| invalid("the request cannot be written").with_cause(error))
    }

    /// Appends the request's head to `out`.
    pub(crate) fn encode_head(&self, out: &mut Vec<u8>) -> Result<()> {
        let host = match field(self.req.headers(), &HOST) {
            Some(host) => host.to_str().map_err(|_| invalid("the Host field is not visible ASCII"))?,
            None if self.forwarded => host_of(self.req.uri()),
            None => self.key.host_field(),
        };
        if self.forwarded {
            self.encode_forwarded(host, out)?;
            self.encode_offer(out);
            return Ok(());
        }
        let with_port;
        let target = if *self.req.method() == Method::CONNECT {
            // RFC 9112, section 3.2.3: host and port, always both.
            with_port = if has_port(host) { host.to_owned() } else { format!("{host}:{}", self.key.port()) };
            RequestTarget::Authority(&with_port)
        } else if *self.req.method() == Method::OPTIONS && self.req.uri().path() == "*" {
            RequestTarget::Asterisk
        } else {
            RequestTarget::Origin(self.req.uri().path_and_query().map_or("/", |target| target.as_str()))
        };
        encode_request_head(out, self.method(), target, host, self.req.headers(), self.framing)
            .map_err(|error| invalid("the request cannot be written").with_cause(error))?;
        self.encode_offer(out);
        Ok(())
    }
}

/// What the caller says about the request beside it.
type Extensions = (Option<Box<RequestOptions>>, Option<Box<ExtendedConnect>>);

fn take_extensions(req: &mut Request, framing: Framing) -> Result<Extensions> {
    let extensions = req.extensions_mut();
    if extensions.is_empty() {
        return Ok((None, None));
    }
    let options = extensions.remove().map(Box::new);
    let extended = extensions.remove::<ExtendedConnect>().map(Box::new);
    if let Some(extended) = &extended {
        extended.check(req.method(), !matches!(framing, Framing::None | Framing::Length(0)))?;
    }
    Ok((options, extended))
}

fn upgrades(req: &Request) -> bool {
    has(req.headers(), &UPGRADE)
}

fn purpose(req: &Request, upgrades: bool, is_extended: bool) -> Purpose {
    match is_extended {
        true => Purpose::Stream,
        false if upgrades || *req.method() == Method::CONNECT => Purpose::Connection,
        false => Purpose::Exchange,
    }
}

/// What the `Host` field says: host and port as the URI has them, without user information.
fn host_of(uri: &http::Uri) -> &str {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// The host that a URL leads to, with what a transport speaks.
pub(crate) fn key_of(uri: &http::Uri, protocols: Protocols) -> Result<Key> {
    let key = origin(uri)?;
    let alpn = protocol::general(protocols, key.scheme());
    Ok(key.speaking(alpn))
}

/// The host that a URL leads to.
#[inline]
pub(crate) fn origin(uri: &http::Uri) -> Result<Key> {
    let scheme = match uri.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        Some(other) => return Err(invalid(format!("unsupported scheme {other:?}"))),
        None => return Err(invalid("the URL has no scheme: write http://host/path")),
    };
    let authority = uri.authority().ok_or_else(|| invalid("the URL has no host"))?;
    Key::new(scheme, authority.clone()).map_err(|error| match error {
        KeyError::NoHost => invalid("the URL has no host"),
        KeyError::Port => invalid("the port of the URL is not between 0 and 65535"),
    })
}

/// Whether a host is followed by a port; the colons of an IPv6 address stand in brackets.
fn has_port(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'))
}

/// Whether there is such a field. Most requests have a few, which are faster looked at than looked up.
#[inline]
pub(crate) fn has(headers: &HeaderMap, name: &HeaderName) -> bool {
    match headers.keys_len() {
        0 => false,
        1..=FEW_FIELDS => headers.keys().any(|key| key == name),
        _ => headers.contains_key(name),
    }
}

/// The first such field.
fn field<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    if has(headers, name) { headers.get(name) } else { None }
}

/// Up to so many names are compared rather than looked up. Chosen, not measured: only one field was.
const FEW_FIELDS: usize = 3;

fn wants_close(headers: &HeaderMap) -> bool {
    let mut options =
        headers.get_all(CONNECTION).into_iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// How the request's body goes onto the wire (RFC 9112, section 6.3): its own length if it knows it, else the one that the
/// caller declares, else in chunks.
fn framing(headers: &HeaderMap, body: &Body) -> Result<Framing> {
    let declared = match field(headers, &CONTENT_LENGTH) {
        Some(value) => {
            let length = value.to_str().ok().and_then(|text| text.parse::<u64>().ok());
            Some(length.ok_or_else(|| invalid(format!("the Content-Length {value:?} is not a number")))?)
        }
        None => None,
    };
    match (body.content_length(), declared) {
        (Some(known), Some(declared)) if known != declared => {
            Err(invalid(format!("the Content-Length says {declared} bytes, but the body has {known}")))
        }
        (Some(0), _) if body.is_empty() => Ok(if declared.is_some() { Framing::Length(0) } else { Framing::None }),
        (Some(length), _) | (None, Some(length)) => Ok(Framing::Length(length)),
        (None, None) => Ok(Framing::Chunked),
    }
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Request, message).with_phase(Phase::Prepare)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(
        build: impl FnOnce(http::request::Builder) -> http::request::Builder,
        body: Body,
    ) -> Result<String, String> {
        let req = build(http::Request::builder().uri("http://user:pw@h.test:8080/p?q=1")).body(body).unwrap();
        let mut out = Vec::new();
        let mut req = req;
        let config = Arc::new(TransportConfig { accept_codings: Vec::new(), ..TransportConfig::default() });
        let prepared = Prepared::new(&mut req, config).map_err(|error| error.to_string())?;
        prepared.encode_head(&mut out).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn heads_name_host_target_and_length() {
        let get = wire(|req| req.header("x-a", "1"), Body::empty()).unwrap();
        assert_eq!(get, "GET /p?q=1 HTTP/1.1\r\nhost: h.test:8080\r\nx-a: 1\r\n\r\n");
        let post = wire(|req| req.method("POST").header("host", "other"), Body::from("abc")).unwrap();
        assert_eq!(post, "POST /p?q=1 HTTP/1.1\r\nhost: other\r\ncontent-length: 3\r\n\r\n");
        let empty = wire(|req| req.method("POST"), Body::empty()).unwrap();
        assert!(empty.ends_with("\r\ncontent-length: 0\r\n\r\n"), "{empty}");
        let (_sender, streamed) = Body::channel(1);
        let chunked = wire(|req| req.method("POST"), streamed).unwrap();
        assert!(chunked.ends_with("\r\ntransfer-encoding: chunked\r\n\r\n"), "{chunked}");
        let (_sender, streamed) = Body::channel(1);
        let declared = wire(|req| req.method("POST").header("content-length", "7"), streamed).unwrap();
        assert!(declared.ends_with("\r\ncontent-length: 7\r\n\r\n"), "{declared}");
    }

    #[test]
    fn what_cannot_be_sent_is_said_before_dialing() {
        for (uri, want) in [
            ("/only/a/path", "GET /only/a/path: the URL has no scheme: write http://host/path"),
            ("gopher://h.test/", "GET gopher://h.test/: unsupported scheme \"gopher\""),
            ("http://h.test:99999/", "GET http://h.test:99999/: the port of the URL is not between 0 and 65535"),
        ] {
            let mut req = http::Request::get(uri).body(Body::empty()).unwrap();
            let error = Prepared::new(&mut req, Arc::default()).unwrap_err();
            assert_eq!((error.kind(), error.phase()), (ErrorKind::Request, Some(Phase::Prepare)));
            let error = error.with_request(req.method(), req.uri());
            assert_eq!(error.to_string(), want);
        }
        let error = wire(|req| req.method("PUT").header("content-length", "5"), Body::from("four")).unwrap_err();
        assert!(error.ends_with("the Content-Length says 5 bytes, but the body has 4"), "{error}");
        let error = wire(|req| req.method("PUT").header("content-length", "x"), Body::from("four")).unwrap_err();
        assert!(error.ends_with("the Content-Length \"x\" is not a number"), "{error}");
    }

    #[test]
    fn connection_close_is_seen_in_any_list() {
        for (value, want) in [("close", true), ("keep-alive, Close", true), ("keep-alive", false), ("closed", false)] {
            let mut req = http::Request::get("http://h/").header("connection", value).body(Body::empty()).unwrap();
            assert_eq!(Prepared::new(&mut req, Arc::default()).unwrap().wants_close(), want, "{value}");
        }
    }
}
