//! Request heads.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::HOST;
use http::{HeaderMap, Method, Uri, Version};

use crate::excerpt::Excerpt;
use crate::facts::{Facts, Host};
use crate::fields::{at, offset};
use crate::framing::Framing;
use crate::head::parser::{HeadParser, StartLine};
use crate::head::{HeadError, narrowed, target, version};
use crate::leniency::Leniency;
use crate::limits::Limits;
use crate::syntax::is_tchar;

/// The head of a request: request line and fields.
///
/// **Shape**: target and field values are slices of the head's own bytes, so keeping one of them keeps them all. Field names
/// are in lower case; names that are known cost no allocation. Repeated fields keep their order. What the head says about its
/// body and its connection is what came: changing `headers` does not change it.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The method, as it came: methods are case-sensitive (RFC 9110 section 9.1).
    pub method: Method,
    /// The target in the form that came: a path with a query, a whole `http` or `https` URL, `host:port` with CONNECT, or `*`
    /// with OPTIONS. Dot segments, double slashes and percent-encoding are left as they came; as in every [`Uri`], a scheme is
    /// in lower case and the empty path of a URL is `/`.
    pub target: Uri,
    /// HTTP/1.0 or HTTP/1.1; a higher minor version counts as 1.1 (RFC 9110 section 2.5).
    pub version: Version,
    /// The fields, without the white space around values.
    pub headers: HeaderMap,
    /// How many bytes the head took, with line ends, the empty line, and empty lines before it.
    pub head_bytes: usize,
    pub(crate) facts: Facts,
}

impl RequestHead {
    /// Whether the connection may be used again after this message: [`keep_alive`](crate::keep_alive) of the head as it came,
    /// without looking its fields up again.
    #[must_use]
    pub fn keep_alive(&self, framing: Framing) -> bool {
        self.facts.keeps_alive(self.version, framing)
    }

    /// Whether the head came with an `Expect` field, in whatever version: known from the parsing, without a look at the map.
    /// [`Expectation::from_headers`](crate::Expectation::from_headers) says what it asks for.
    #[must_use]
    pub fn has_expect(&self) -> bool {
        self.facts.expect
    }

    /// Whether the head came with an `Upgrade` field: known from the parsing, without a look at the map. Whether it counts is
    /// for the caller: `Connection` has to name it, and HTTP/1.0 does not have it (RFC 9110 section 7.8).
    #[must_use]
    pub fn has_upgrade(&self) -> bool {
        self.facts.upgrade
    }

    /// The host that is asked for, with its port if one was given: the target's, or else that of the `Host` field.
    ///
    /// RFC 9112 section 3.2.2: when the target names a host, the `Host` field is ignored. Empty when neither says anything,
    /// which only HTTP/1.0 allows without the field.
    #[must_use]
    pub fn host(&self) -> &str {
        match self.target.authority() {
            Some(authority) => authority.as_str(),
            None => self.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or(""),
        }
    }
}

/// Parses request heads off the front of a growing buffer, looking at each byte once.
///
/// **Shape**: one parser serves a whole connection, one head after the other. Between calls for one head the caller may only
/// append to the buffer. A parser that returned an error returns it again from then on: where the next message would begin
/// is not known. Empty lines before a request are skipped (RFC 9112 section 2.2).
///
/// Beyond the grammar it checks what RFC 9112 section 3.2 has every server refuse: a missing, repeated or invalid `Host`, and
/// a target whose form does not suit the method.
///
/// # Examples
///
/// ```
/// use bytes::BytesMut;
/// use roundtrip_h1::{Limits, RequestParser};
///
/// let mut parser = RequestParser::new(Limits::request());
/// let mut buf = BytesMut::from("GET /a?b HTTP/1.1\r\nHost: example.org\r\n\r\nGET /n");
/// let head = parser.parse(&mut buf)?.expect("the head is complete");
/// assert_eq!((head.method.as_str(), head.target.path(), head.host()), ("GET", "/a", "example.org"));
/// assert!(parser.parse(&mut buf)?.is_none());
/// # Ok::<(), roundtrip_h1::HeadError>(())
/// ```
#[derive(Debug)]
pub struct RequestParser(HeadParser<RequestLine>);

/// Where the parts of a request line are; 16 bytes, since it is moved from hand to hand. Offsets are below 4 GiB, as those of
/// fields.
#[derive(Clone, Copy, Debug)]
struct RequestLine {
    /// Where the method begins, which ends one byte before the target.
    method: u32,
    target: u32,
    target_end: u32,
    version: Version,
    /// Set if the line is a [usual](usual_method) one, whose target is [plain](target::is_plain).
    usual: Option<Usual>,
}

/// The two most frequent methods.
#[derive(Clone, Copy, Debug)]
enum Usual {
    Get,
    Post,
}

impl RequestParser {
    /// A parser with the default [leniency for requests](Leniency::request).
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        RequestParser(HeadParser::new(limits, Leniency::request()))
    }

    /// Takes exactly the given deviations from the grammar.
    #[must_use]
    pub fn with_leniency(mut self, leniency: Leniency) -> Self {
        self.0.leniency = leniency;
        self
    }

    /// Gives a map whose memory the next head may use; it is emptied first. Saves the two allocations of a fresh map.
    pub fn reuse_headers(&mut self, mut map: HeaderMap) {
        map.clear();
        self.0.headers = map;
    }

    /// Takes one head off the front of `buf` if it is there in full.
    ///
    /// Returns `None`, and leaves `buf` as it is, when more bytes are needed. What follows the head stays in `buf`.
    ///
    /// # Errors
    /// When the bytes are no HTTP/1 request head, or one that has to be refused, or pass a limit.
    /// [`HeadError::response_status`] says with which status to answer; the connection has to be closed then.
    pub fn parse(&mut self, buf: &mut BytesMut) -> Result<Option<RequestHead>, HeadError> {
        let Some((block, line)) = self.0.parse(buf)? else { return Ok(None) };
        let method = match line.usual {
            Some(_) if line.target().len() > MAX_URI_LEN => return self.unusual(block, line),
            Some(Usual::Get) => Method::GET,
            Some(Usual::Post) => Method::POST,
            None => return self.unusual(block, line),
        };
        if let Err(error) = check_host(line.version, self.0.facts.host, &self.0.headers) {
            return self.0.fail(error);
        }
        let head_bytes = block.len();
        // Nothing can fail from here on, so that the head is built where it is returned.
        let target = match line.target().len() {
            1 => Uri::default(), // which is `/`
            _ => target::to_uri(narrowed(block, line.target())).unwrap_or_default(),
        };
        let headers = std::mem::take(&mut self.0.headers);
        Ok(Some(RequestHead { method, target, version: line.version, headers, head_bytes, facts: self.0.facts }))
    }

    /// The head behind any other request line.
    #[inline(never)]
    fn unusual(&mut self, block: Bytes, line: RequestLine) -> Result<Option<RequestHead>, HeadError> {
        let method = match to_method(&block[at(line.method)..at(line.target) - 1]) {
            Ok(method) => method,
            Err(error) => return self.0.fail(error),
        };
        let text = block.slice(line.target());
        let target = match target::to_uri(text.clone()) {
            Some(target) => target,
            None if text.len() > MAX_URI_LEN => return self.0.fail(HeadError::TargetTooLong { limit: MAX_URI_LEN }),
            None => return self.0.fail(HeadError::Target(Excerpt::new(&text))),
        };
        if let Err(error) = check_host(line.version, self.0.facts.host, &self.0.headers) {
            return self.0.fail(error);
        }
        let (head_bytes, headers) = (block.len(), std::mem::take(&mut self.0.headers));
        Ok(Some(RequestHead { method, target, version: line.version, headers, head_bytes, facts: self.0.facts }))
    }

    /// Tells the parser that the peer closed, with `buf` being what is left unparsed.
    ///
    /// # Errors
    /// [`HeadError::Truncated`] when part of a head had come, and the error that the parser failed with before, if any.
    pub fn eof(&self, buf: &[u8]) -> Result<(), HeadError> {
        self.0.eof(buf)
    }
}

/// What [`Uri`] holds.
const MAX_URI_LEN: usize = u16::MAX as usize - 1;

impl RequestLine {
    fn target(&self) -> Range<usize> {
        at(self.target)..at(self.target_end)
    }
}

fn to_method(text: &[u8]) -> Result<Method, HeadError> {
    Method::from_bytes(text).map_err(|_| HeadError::Method(Excerpt::new(text)))
}

/// RFC 9112 section 3.2: one `Host` with a valid value; only HTTP/1.0 may go without.
#[inline]
fn check_host(version: Version, host: Host, headers: &HeaderMap) -> Result<(), HeadError> {
    match host {
        Host::Valid => Ok(()),
        Host::Absent if version < Version::HTTP_11 => Ok(()),
        _ => Err(bad_host(host, headers)),
    }
}

#[cold]
fn bad_host(host: Host, headers: &HeaderMap) -> HeadError {
    let mut values = headers.get_all(HOST).iter().map(|value| Excerpt::new(value.as_bytes()));
    match (host, values.next(), values.next()) {
        (Host::Repeated, _, Some(second)) => HeadError::RepeatedHost(second),
        (_, Some(value), _) => HeadError::Host(value),
        (_, None, _) => HeadError::MissingHost,
    }
}

impl StartLine for RequestLine {
    /// A method is a token, so that TLS and other binary protocols show at their first byte.
    #[inline]
    fn check_beginning(buf: &[u8]) -> Result<(), HeadError> {
        if usual_method(buf).is_some() {
            return Ok(());
        }
        let bad = buf.iter().take(16).take_while(|&&b| b != b' ' && b != b'\r').find(|&&b| !is_tchar(b));
        match bad {
            // A lone LF is a matter of line ends, not of the method.
            None | Some(b'\n') => Ok(()),
            Some(_) => Err(HeadError::Method(Excerpt::new(buf))),
        }
    }

    /// The usual line is read at once; whatever else comes is looked at closely.
    #[inline]
    fn parse(buf: &[u8], line: Range<usize>, leniency: Leniency) -> Result<Option<Self>, HeadError> {
        let text = &buf[line.clone()];
        if let Some((usual, method_len)) = usual_method(text)
            && let Some(target) = text[method_len + 1..].strip_suffix(b" HTTP/1.1")
            && target::is_plain(target)
        {
            return Ok(Some(RequestLine {
                method: offset(line.start),
                target: offset(line.start + method_len + 1),
                target_end: offset(line.end - b" HTTP/1.1".len()),
                version: Version::HTTP_11,
                usual: Some(usual),
            }));
        }
        parse_request_line(buf, line, leniency)
    }
}

/// The method and its length, if it is one of the two most frequent and a space stands behind it.
#[inline]
fn usual_method(text: &[u8]) -> Option<(Usual, usize)> {
    // Comparisons of known length, where patterns are compared byte by byte.
    if text.first_chunk() == Some(b"GET ") {
        Some((Usual::Get, 3))
    } else if text.first_chunk() == Some(b"POST ") {
        Some((Usual::Post, 4))
    } else {
        None
    }
}

/// Reads `method SP request-target SP HTTP-version` (RFC 9112 section 3): single spaces, and nothing around them.
fn parse_request_line(buf: &[u8], line: Range<usize>, leniency: Leniency) -> Result<Option<RequestLine>, HeadError> {
    // RFC 9112 section 2.2: a server should ignore at least one empty line before a request.
    if line.is_empty() {
        return Ok(None);
    }
    let text = &buf[line.clone()];
    let malformed = || HeadError::RequestLine(Excerpt::new(text));
    let method_len = text.iter().position(|&b| b == b' ').ok_or_else(malformed)?;
    let target_at = method_len + 1;
    let target_len = text[target_at..].iter().position(|&b| b == b' ').ok_or_else(malformed)?;
    let (target, version_text) = (&text[target_at..target_at + target_len], &text[target_at + target_len + 1..]);
    let method = to_method(&text[..method_len])?;
    let version = match version::parse(version_text) {
        version::Parsed::Supported(version) => version,
        version::Parsed::Other => return Err(HeadError::Version(Excerpt::new(version_text))),
        version::Parsed::Malformed => return Err(malformed()),
    };
    if !target::is_valid(&method, target, leniency) {
        return Err(HeadError::Target(Excerpt::new(target)));
    }
    let start = line.start + target_at;
    Ok(Some(RequestLine {
        method: offset(line.start),
        target: offset(start),
        target_end: offset(start + target_len),
        version,
        usual: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RequestHead, HeadError> {
        let text = text.replace('|', "\r\n") + "\r\n\r\n";
        RequestParser::new(Limits::request()).parse(&mut BytesMut::from(text.as_str())).map(|head| head.unwrap())
    }

    #[test]
    fn expect_and_upgrade_are_noted() {
        for (fields, expect, upgrade) in [
            ("", false, false),
            ("|Expected: 1|Upgrade-Insecure-Requests: 1", false, false),
            ("|EXPECT: 100-continue", true, false),
            ("|upgrade: websocket|Connection: Upgrade", false, true),
            ("|Upgrade:|Expect:", true, true),
        ] {
            let head = parse(&format!("GET / HTTP/1.1|Host: a{fields}")).unwrap();
            assert_eq!((head.has_expect(), head.has_upgrade()), (expect, upgrade), "{fields}");
        }
    }

    /// The parser is used again for the next head of a connection.
    #[test]
    fn what_one_head_asks_for_is_not_asked_by_the_next() {
        let mut parser = RequestParser::new(Limits::request());
        let mut buf = BytesMut::from(
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nUpgrade: y\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        );
        let heads = [(); 2].map(|()| parser.parse(&mut buf).unwrap().unwrap());
        assert_eq!(heads.map(|head| (head.has_expect(), head.has_upgrade())), [(true, true), (false, false)]);
    }
}
