//! How a message's body is delimited: RFC 9112 section 6.3 as one function per role.

use std::fmt;

use http::{Method, StatusCode};

use crate::excerpt::Excerpt;
use crate::head::{RequestHead, ResponseHead};

/// Where a message's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// There is no body, whatever the fields say: the message ends with its head.
    None,
    /// The body has exactly this many bytes.
    Length(u64),
    /// The body comes in chunks and says itself where it ends.
    Chunked,
    /// The body ends when the peer closes. Only responses end so, and the connection ends with them.
    UntilClose,
    /// What follows the head is no HTTP any more: the connection belongs to another protocol.
    Tunnel,
}

/// Why the end of a body cannot be known. The connection cannot be used any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FramingError {
    /// `Content-Length` is not one decimal number below 2^63, or its repetitions differ (RFC 9112 section 6.3, rule 5).
    ContentLength(Excerpt),
    /// `Transfer-Encoding` is something other than `chunked`, once, alone (RFC 9112 section 6.1).
    TransferEncoding(Excerpt),
    /// `Transfer-Encoding` in a message of HTTP/1.0, which does not have it (RFC 9112 section 6.1).
    TransferEncodingInHttp10,
    /// A request with both fields, which is what request smuggling looks like (RFC 9112 section 6.3, rule 3).
    Both,
}

impl FramingError {
    /// The status with which a server answers such a request before it closes: 501 for transfer codings that are not
    /// implemented (RFC 9112 section 6.1), 400 for everything else.
    #[must_use]
    pub fn response_status(&self) -> StatusCode {
        match self {
            FramingError::TransferEncoding(_) => StatusCode::NOT_IMPLEMENTED,
            FramingError::ContentLength(_) | FramingError::TransferEncodingInHttp10 | FramingError::Both => {
                StatusCode::BAD_REQUEST
            }
        }
    }
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FramingError::ContentLength(value) => write!(f, "invalid content-length: {value}"),
            FramingError::TransferEncoding(value) => write!(f, "unsupported transfer-encoding: {value}"),
            FramingError::Both => f.write_str("both content-length and transfer-encoding"),
            FramingError::TransferEncodingInHttp10 => f.write_str("transfer-encoding in an HTTP/1.0 message"),
        }
    }
}

impl std::error::Error for FramingError {}

/// How the body of a response is delimited.
///
/// `request_method` is the method of the request that it answers. A 101 yields [`Framing::Tunnel`]; whether an upgrade had
/// been asked for is for the caller to check.
///
/// # Errors
/// When the fields contradict each other or say something that this crate cannot undo. The peer is at fault; the connection
/// has to be closed.
pub fn response_framing(request_method: &Method, head: &ResponseHead) -> Result<Framing, FramingError> {
    match body_of(request_method, head.status) {
        // RFC 9112 section 6.3, rules 1 and 2: whatever the fields say.
        BodyOf::Nothing => Ok(Framing::None),
        BodyOf::Tunnel => Ok(Framing::Tunnel),
        BodyOf::Content => {
            let length = head.facts.length(&head.headers)?;
            // Rules 3 and 4: Transfer-Encoding overrides Content-Length; `keep_alive` then ends the connection.
            if head.facts.is_chunked(head.version, &head.headers)? {
                return Ok(Framing::Chunked);
            }
            // Rules 5, 6 and 8.
            Ok(length.map_or(Framing::UntilClose, Framing::Length))
        }
    }
}

/// How the body of a request is delimited. The method has no say in it: a GET may have a body.
///
/// # Errors
/// When the fields contradict each other or say something that this crate cannot undo.
/// [`FramingError::response_status`] says with which status to answer; the connection has to be closed then.
pub fn request_framing(head: &RequestHead) -> Result<Framing, FramingError> {
    let length = head.facts.length(&head.headers)?;
    match (head.facts.is_chunked(head.version, &head.headers)?, length) {
        // RFC 9112 section 6.1: a server may refuse such a request. Taking it would mean to close behind it, so little is lost.
        // Differs from Go: Go takes it as chunked and keeps the connection.
        (true, Some(_)) => Err(FramingError::Both),
        (true, None) => Ok(Framing::Chunked),
        (false, Some(length)) => Ok(Framing::Length(length)),
        // Section 6.3, rule 7.
        (false, None) => Ok(Framing::None),
    }
}

/// What can follow the head of a response.
pub(crate) enum BodyOf {
    Nothing,
    Tunnel,
    Content,
}

/// What the method of a request and the status of its response leave room for.
pub(crate) fn body_of(request_method: &Method, status: StatusCode) -> BodyOf {
    match status {
        // RFC 9110 section 15.2.2.
        StatusCode::SWITCHING_PROTOCOLS => BodyOf::Tunnel,
        // RFC 9112 section 6.3, rule 1.
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => BodyOf::Nothing,
        _ if status.is_informational() || request_method == Method::HEAD => BodyOf::Nothing,
        // Rule 2.
        _ if request_method == Method::CONNECT && status.is_success() => BodyOf::Tunnel,
        _ => BodyOf::Content,
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::facts::Facts;
    use crate::head::ResponseParser;
    use crate::limits::Limits;
    use crate::persistence::keep_alive;

    fn head(text: &str) -> ResponseHead {
        let text = text.replace('|', "\r\n") + "\r\n\r\n";
        ResponseParser::new(Limits::response()).parse(&mut BytesMut::from(text.as_str())).unwrap().unwrap()
    }

    #[test]
    fn responses() {
        use Framing::{Chunked, Length, None, Tunnel, UntilClose};
        let get = Method::GET;
        for (method, text, want, keep) in [
            (&get, "HTTP/1.1 200 OK|Content-Length: 5", Some(Length(5)), true),
            (&get, "HTTP/1.1 200 OK|Content-Length: 5|Content-Length: 5", Some(Length(5)), true),
            (&get, "HTTP/1.1 200 OK|Content-Length: 5|Connection: a, Close", Some(Length(5)), false),
            (&get, "HTTP/1.0 200 OK|Content-Length: 5", Some(Length(5)), false),
            (&get, "HTTP/1.0 200 OK|Content-Length: 5|Connection: keep-alive", Some(Length(5)), true),
            (&get, "HTTP/1.0 200 OK|Content-Length: 5|Connection: keep-alive, close", Some(Length(5)), false),
            (&get, "HTTP/1.1 200 OK", Some(UntilClose), false),
            (&get, "HTTP/1.1 200 OK|Transfer-Encoding: ,Chunked,", Some(Chunked), true),
            (&get, "HTTP/1.1 200 OK|Transfer-Encoding: chunked|Content-Length: 5", Some(Chunked), false),
            (&get, "HTTP/1.1 204 No|Content-Length: 5", Some(None), true),
            (&get, "HTTP/1.1 304 No|Transfer-Encoding: chunked", Some(None), true),
            (&get, "HTTP/1.1 103 Hints|Content-Length: 5", Some(None), true),
            (&get, "HTTP/1.1 101 Switch", Some(Tunnel), false),
            (&Method::HEAD, "HTTP/1.1 200 OK|Content-Length: 5", Some(None), true),
            (&Method::HEAD, "HTTP/1.1 200 OK|Content-Length: x", Some(None), false),
            (&get, "HTTP/1.1 304 No|Transfer-Encoding: chunked|Content-Length: 5", Some(None), false),
            (&get, "HTTP/1.0 304 No|Transfer-Encoding: chunked|Connection: keep-alive", Some(None), false),
            (&Method::CONNECT, "HTTP/1.1 200 OK|Content-Length: 5", Some(Tunnel), false),
            (&Method::CONNECT, "HTTP/1.1 403 No|Content-Length: 5", Some(Length(5)), true),
            (&get, "HTTP/1.1 200 OK|Content-Length: 5|Content-Length: 6", Option::None, false),
            (&get, "HTTP/1.1 200 OK|Content-Length: 5|Content-Length: 05", Option::None, false),
            (&get, "HTTP/1.1 200 OK|Content-Length: x|Transfer-Encoding: chunked", Option::None, false),
            (&get, "HTTP/1.1 200 OK|Content-Length: 9223372036854775808", Option::None, false),
            (&get, "HTTP/1.1 200 OK|Content-Length: 5, 5", Option::None, false),
            (&get, "HTTP/1.1 200 OK|Content-Length:", Option::None, false),
            (&get, "HTTP/1.1 200 OK|Content-Length: 18446744073709551616", Option::None, false),
            (&get, "HTTP/1.1 200 OK|Transfer-Encoding: gzip, chunked", Option::None, false),
            (&get, "HTTP/1.1 200 OK|Transfer-Encoding: chunked, chunked", Option::None, false),
            (&get, "HTTP/1.1 200 OK|Transfer-Encoding: chunked|Transfer-Encoding: chunked", Option::None, false),
            (&get, "HTTP/1.1 200 OK|Transfer-Encoding: chunked;q=1", Option::None, false),
            (&get, "HTTP/1.1 200 OK|Transfer-Encoding: identity", Option::None, false),
            (&get, "HTTP/1.1 200 OK|Transfer-Encoding:", Option::None, false),
            (&get, "HTTP/1.0 200 OK|Transfer-Encoding: chunked", Option::None, false),
        ] {
            let head = head(text);
            let framing = response_framing(method, &head);
            assert_eq!(framing.ok(), want, "{text}");
            assert_eq!(Facts::of(&head.headers), head.facts, "{text}");
            if let Ok(framing) = framing {
                assert_eq!(keep_alive(head.version, &head.headers, framing), keep, "{text}");
                assert_eq!(head.keep_alive(framing), keep, "{text}");
            }
        }
    }

    #[test]
    fn requests() {
        use Framing::{Chunked, Length, None};
        for (text, want) in [
            ("GET / HTTP/1.1|Host: a", Ok(None)),
            ("POST / HTTP/1.1|Host: a", Ok(None)),
            ("GET / HTTP/1.1|Host: a|Content-Length: 0", Ok(Length(0))),
            ("GET / HTTP/1.0|Content-Length: 7", Ok(Length(7))),
            ("HEAD / HTTP/1.1|Host: a|TRANSFER-ENCODING: CHUNKED", Ok(Chunked)),
            ("POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked|Content-Length: 3", Err(400)),
            ("POST / HTTP/1.0|Transfer-Encoding: chunked", Err(400)),
            ("POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked, gzip", Err(501)),
            ("POST / HTTP/1.1|Host: a|Content-Length: +3", Err(400)),
        ] {
            let text_in = text.replace('|', "\r\n") + "\r\n\r\n";
            let mut parser = crate::head::RequestParser::new(Limits::request());
            let head = parser.parse(&mut BytesMut::from(text_in.as_str())).unwrap().unwrap();
            assert_eq!(request_framing(&head).map_err(|e| e.response_status().as_u16()), want, "{text}");
        }
    }
}
