//! Response heads.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, Version};

use crate::excerpt::Excerpt;
use crate::facts::Facts;
use crate::framing::Framing;
use crate::head::parser::{HeadParser, StartLine};
use crate::head::{HeadError, narrowed, version};
use crate::leniency::Leniency;
use crate::limits::Limits;
use crate::syntax::is_text;

/// The head of a response: status line and fields.
///
/// **Shape**: reason and field values are slices of the head's own bytes, so keeping one of them keeps them all. Field names
/// are in lower case; names that are known cost no allocation. Repeated fields keep their order. What the head says about its
/// body and its connection is what came: changing `headers` does not change it.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// HTTP/1.0 or HTTP/1.1; a higher minor version counts as 1.1 (RFC 9110 section 2.5).
    pub version: Version,
    /// The status code, 100 to 999. Interim responses (1xx) are returned like all others.
    pub status: StatusCode,
    /// The reason phrase, often empty. Clients ignore its content (RFC 9112 section 4).
    pub reason: Bytes,
    /// The fields, without the white space around values.
    pub headers: HeaderMap,
    /// How many bytes the head took, line ends and empty line included. A caller that skips interim responses adds these up,
    /// so that endless ones come to an end.
    pub head_bytes: usize,
    pub(crate) facts: Facts,
}

impl ResponseHead {
    /// Whether the connection may be used again after this message: [`keep_alive`](crate::keep_alive) of the head as it came,
    /// without looking its fields up again.
    #[must_use]
    pub fn keep_alive(&self, framing: Framing) -> bool {
        self.facts.keeps_alive(self.version, framing)
    }

    /// Whether the head came with a `Content-Encoding` field: known from the parsing, without a look at the map.
    #[must_use]
    pub fn has_content_encoding(&self) -> bool {
        self.facts.coded
    }
}

/// Parses response heads off the front of a growing buffer, looking at each byte once.
///
/// **Shape**: one parser serves a whole connection, one head after the other. Between calls for one head the caller may only
/// append to the buffer. A parser that returned an error returns it again from then on: where the next message would begin
/// is not known.
///
/// # Examples
///
/// ```
/// use bytes::BytesMut;
/// use roundtrip_h1::{Limits, ResponseParser};
///
/// let mut parser = ResponseParser::new(Limits::response());
/// let mut buf = BytesMut::from("HTTP/1.1 200 OK\r\nContent-Le");
/// assert!(parser.parse(&mut buf)?.is_none());
/// buf.extend_from_slice(b"ngth: 5\r\n\r\nhello");
/// let head = parser.parse(&mut buf)?.expect("the head is complete");
/// assert_eq!(head.status, 200);
/// assert_eq!(head.headers["content-length"], "5");
/// assert_eq!(buf, "hello");
/// # Ok::<(), roundtrip_h1::HeadError>(())
/// ```
#[derive(Debug)]
pub struct ResponseParser(HeadParser<StatusLine>);

#[derive(Debug)]
struct StatusLine {
    version: Version,
    status: StatusCode,
    reason: Range<usize>,
}

impl ResponseParser {
    /// A parser with the default [leniency for responses](Leniency::response).
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        ResponseParser(HeadParser::new(limits, Leniency::response()))
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
    /// When the bytes are no HTTP/1 response head or pass a limit. The connection cannot be used any further.
    pub fn parse(&mut self, buf: &mut BytesMut) -> Result<Option<ResponseHead>, HeadError> {
        let Some((block, StatusLine { version, status, reason })) = self.0.parse(buf)? else { return Ok(None) };
        let head_bytes = block.len();
        let reason = narrowed(block, reason);
        let headers = std::mem::take(&mut self.0.headers);
        Ok(Some(ResponseHead { version, status, reason, headers, head_bytes, facts: self.0.facts }))
    }

    /// Tells the parser that the peer closed, with `buf` being what is left unparsed.
    ///
    /// # Errors
    /// [`HeadError::Truncated`] when part of a head had come, and the error that the parser failed with before, if any.
    pub fn eof(&self, buf: &[u8]) -> Result<(), HeadError> {
        self.0.eof(buf)
    }
}

impl StartLine for StatusLine {
    /// TLS, HTTP/0.9, a stray body: nothing that does not begin with the protocol's name.
    fn check_beginning(buf: &[u8]) -> Result<(), HeadError> {
        // A comparison of known length is no call.
        let is_http = match buf.first_chunk() {
            Some(beginning) => beginning == b"HTTP/",
            None => b"HTTP/".starts_with(buf),
        };
        if is_http { Ok(()) } else { Err(HeadError::NotHttp(Excerpt::new(buf))) }
    }

    #[inline]
    fn parse(buf: &[u8], line: Range<usize>, _: Leniency) -> Result<Option<Self>, HeadError> {
        parse_status_line(buf, line).map(Some)
    }
}

/// Reads `HTTP-version SP status-code SP [ reason-phrase ]` (RFC 9112 section 4).
///
/// The second space may be missing together with the reason: many servers leave it out, and nothing else could be meant.
#[inline]
fn parse_status_line(buf: &[u8], line: Range<usize>) -> Result<StatusLine, HeadError> {
    let text = &buf[line.clone()];
    // The usual line, compared as a whole.
    if text == b"HTTP/1.1 200 OK" {
        return Ok(StatusLine { version: Version::HTTP_11, status: StatusCode::OK, reason: line.end - 2..line.end });
    }
    parse_other_status_line(text, line)
}

fn parse_other_status_line(text: &[u8], line: Range<usize>) -> Result<StatusLine, HeadError> {
    let malformed = || HeadError::StatusLine(Excerpt::new(text));
    let (version_text, rest) = text.split_at_checked(8).ok_or_else(malformed)?;
    let (code, reason) = match rest {
        [b' ', code @ ..] if code.len() == 3 => (code, &rest[4..]),
        [b' ', a, b, c, b' ', reason @ ..] => (&[*a, *b, *c][..], reason),
        _ => return Err(malformed()),
    };
    let version = match version::parse(version_text) {
        version::Parsed::Supported(version) => version,
        version::Parsed::Other => return Err(HeadError::Version(Excerpt::new(version_text))),
        version::Parsed::Malformed => return Err(malformed()),
    };
    // RFC 9112 section 4: three digits. Codes below 100 have no class and are refused; Go takes them.
    let status = StatusCode::from_bytes(code).map_err(|_| malformed())?;
    if !reason.iter().all(|&b| is_text(b)) {
        return Err(malformed());
    }
    Ok(StatusLine { version, status, reason: line.end - reason.len()..line.end })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(input: &[u8]) -> Result<Option<ResponseHead>, HeadError> {
        ResponseParser::new(Limits::response()).parse(&mut BytesMut::from(input))
    }

    #[test]
    fn takes_exactly_the_head() {
        let mut buf = BytesMut::from("HTTP/1.1 404 Not Here\r\nServer:  x \r\nX-A: 1\r\nX-a:\r\n\r\nrest");
        let head = ResponseParser::new(Limits::response()).parse(&mut buf).unwrap().unwrap();
        assert_eq!((head.version, head.status.as_u16(), &head.reason[..]), (Version::HTTP_11, 404, &b"Not Here"[..]));
        assert_eq!(head.headers["server"], "x");
        assert_eq!(head.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", ""]);
        assert_eq!(head.head_bytes, 52);
        assert_eq!(buf, "rest");
    }

    #[test]
    fn one_byte_at_a_time() {
        let input = b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n";
        let mut parser = ResponseParser::new(Limits::response());
        let mut buf = BytesMut::new();
        for (i, b) in input.iter().enumerate() {
            assert!(parser.parse(&mut buf).unwrap().is_none(), "after {i} bytes");
            buf.extend_from_slice(&[*b]);
        }
        assert_eq!(parser.parse(&mut buf).unwrap().unwrap().headers["a"], "b c");
    }

    #[test]
    fn a_failed_parser_stays_failed() {
        let mut parser = ResponseParser::new(Limits::response());
        let mut buf = BytesMut::from("HTTP/1.1 200 OK\nA: b\r\n\r\n");
        let first = parser.parse(&mut buf).unwrap_err();
        assert_eq!(parser.parse(&mut buf).unwrap_err(), first);
        assert_eq!(first.to_string(), r#"line ended by LF without CR: "HTTP/1.1 200 OK""#);
    }

    #[test]
    fn status_lines() {
        for (line, want) in [
            ("HTTP/1.1 200 OK", Some((200, "OK"))),
            ("HTTP/1.1 200 ", Some((200, ""))),
            ("HTTP/1.1 200", Some((200, ""))),
            ("HTTP/1.0 999 x y", Some((999, "x y"))),
            ("HTTP/1.2 600 \t\u{e9}", Some((600, "\t\u{e9}"))),
            ("HTTP/1.1 099 x", None),
            ("HTTP/1.1 20 OK", None),
            ("HTTP/1.1 2000 OK", None),
            ("HTTP/1.1  200 OK", None),
            ("HTTP/1.1\t200 OK", None),
            ("HTTP/1.1 +20 OK", None),
            ("HTTP/1.1 200\tOK", None),
            ("HTTP/1.1 200 O\0K", None),
            ("HTTP/1.1 200 O\rK", None),
            ("HTTP/2.0 200 OK", None),
            ("HTTP/1.10 200 OK", None),
            ("http/1.1 200 OK", None),
            ("", None),
            (" HTTP/1.1 200 OK", None),
        ] {
            let got = parse(format!("{line}\r\n\r\n").as_bytes());
            let got = got.as_ref().map(|head| head.as_ref().map(|h| (h.status.as_u16(), &h.reason[..])));
            match want {
                Some((status, reason)) => assert_eq!(got, Ok(Some((status, reason.as_bytes()))), "{line:?}"),
                None => assert!(got.is_err(), "{line:?}: {got:?}"),
            }
        }
    }

    #[test]
    fn limits_hold_before_the_head_is_complete() {
        let limits = Limits { max_head_bytes: 30, max_fields: 2 };
        let parse = |input: &[u8]| ResponseParser::new(limits).parse(&mut BytesMut::from(input));
        assert!(parse(b"HTTP/1.1 200 OK\r\nA: 3456789\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\nA: 345678\r\n\r\n").unwrap().is_some());
        assert_eq!(
            parse(&[b"HTTP/1.1 200 ", &[b'a'; 20][..]].concat()).unwrap_err(),
            HeadError::TooLarge { limit: 30 }
        );
        let error = parse(b"HTTP/1.1 200\r\nA:\r\nA:\r\nA:\r\n").unwrap_err();
        assert_eq!(error, HeadError::TooManyFields { limit: 2 });
        assert!(error.is_too_large());
    }

    #[test]
    fn garbage_is_refused_at_its_first_bytes() {
        assert!(matches!(parse(b"\x16\x03\x01"), Err(HeadError::NotHttp(_))));
        assert!(matches!(parse(b"<ht"), Err(HeadError::NotHttp(_))));
        assert!(parse(b"HT").unwrap().is_none());
    }

    #[test]
    fn eof_tells_a_cut_head_from_a_quiet_close() {
        let parser = ResponseParser::new(Limits::response());
        assert_eq!(parser.eof(b""), Ok(()));
        assert_eq!(parser.eof(b"HTT"), Err(HeadError::Truncated { received: 3 }));
    }

    /// The names of one head are a guess for the next one, and nothing more.
    #[test]
    fn a_head_is_read_the_same_whatever_came_before_it() {
        let heads = [
            "Date: 1|Server: 2|X-A: 3|",
            "DATE:1|server: 2|x-a:3|",
            "Server: 1|Date: 2|",
            "Dated: 1|Dat: 2|",
            "Date : 1|",
            "Date|Server: 1|",
            "Date:|",
            " : 1|",
            "Date: 1| Server: 2|X-A: 3|",
            "Dat\r: 1|",
            "",
        ];
        for before in heads {
            for text in heads {
                let bytes = |fields: &str| format!("HTTP/1.1 200 OK|{fields}|").replace('|', "\r\n");
                let fresh = parse(bytes(text).as_bytes());
                let mut parser = ResponseParser::new(Limits::response());
                if parser.parse(&mut BytesMut::from(bytes(before).as_str())).is_ok() {
                    let next = parser.parse(&mut BytesMut::from(bytes(text).as_str()));
                    let show = |head: Result<Option<ResponseHead>, HeadError>| head.map(|head| head.map(|h| h.headers));
                    assert_eq!(show(next), show(fresh), "{text:?} behind {before:?}");
                }
            }
        }
    }

    #[test]
    fn a_reused_map_is_emptied() {
        let mut parser = ResponseParser::new(Limits::response());
        let mut old = HeaderMap::new();
        old.insert("x-old", http::HeaderValue::from_static("1"));
        parser.reuse_headers(old);
        let head = parser.parse(&mut BytesMut::from("HTTP/1.1 200 OK\r\nA: 1\r\n\r\n")).unwrap().unwrap();
        assert_eq!(head.headers.len(), 1);
    }
}
