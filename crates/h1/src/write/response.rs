//! Response heads.

use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderMap, Method, StatusCode, Version};

use crate::framing::{BodyOf, Framing, body_of};
use crate::syntax::{decimal, list};
use crate::write::{CHUNKED, EncodeError, content_length, field, fields};

/// Which framing a response should have: the mirror image of [`response_framing`](crate::response_framing).
///
/// `length` is the length of the content if it is known. The answer is what the request's method, its version and the status
/// leave room for: nothing, a tunnel, a length, chunks, or, for a client of HTTP/1.0, until close.
#[must_use]
pub fn outgoing_response_framing(
    request_method: &Method,
    request_version: Version,
    status: StatusCode,
    length: Option<u64>,
) -> Framing {
    match (body_of(request_method, status), length) {
        (BodyOf::Nothing, _) => Framing::None,
        (BodyOf::Tunnel, _) => Framing::Tunnel,
        // RFC 9110 section 15.3.6: a 205 has no content, and has to say so.
        (BodyOf::Content, _) if status == StatusCode::RESET_CONTENT => Framing::Length(0),
        (BodyOf::Content, Some(length)) => Framing::Length(length),
        // RFC 9112 section 6.1: no Transfer-Encoding towards HTTP/1.0.
        (BodyOf::Content, None) if request_version < Version::HTTP_11 => Framing::UntilClose,
        (BodyOf::Content, None) => Framing::Chunked,
    }
}

/// Appends the head of an HTTP/1.1 response to `dst`, the empty line included.
///
/// **Shape**: the status line with the standard reason phrase; the fields in the map's order; then `Content-Length` or
/// `Transfer-Encoding`, written from `body` alone. These two and `Host` in the map are left out, with one exception: in a
/// response to HEAD and in a 304, where there is no body to frame, a valid `Content-Length` tells the length that the content
/// would have had (RFC 9110 section 8.6) and is kept. [`Framing::UntilClose`] adds `Connection: close` unless the map says it.
///
/// # Errors
/// When method and status do not allow for `body`, for example [`Framing::Length`] with a 304, or [`Framing::None`] where the
/// client expects content. `dst` is then as it was.
pub fn encode_response_head(
    dst: &mut Vec<u8>,
    request_method: &Method,
    status: StatusCode,
    headers: &HeaderMap,
    body: Framing,
) -> Result<(), EncodeError> {
    let fits = match body_of(request_method, status) {
        BodyOf::Nothing => body == Framing::None,
        BodyOf::Tunnel => body == Framing::Tunnel,
        BodyOf::Content if status == StatusCode::RESET_CONTENT => body == Framing::Length(0),
        BodyOf::Content => matches!(body, Framing::Length(_) | Framing::Chunked | Framing::UntilClose),
    };
    if !fits {
        return Err(EncodeError::Framing(body));
    }
    if status == StatusCode::OK {
        // The usual one, as a line of known length: 60 instructions less (callgrind, 2026-11).
        dst.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    } else {
        status_line(dst, status);
    }
    fields(dst, headers);
    match body {
        Framing::Length(length) => content_length(dst, length),
        Framing::Chunked => dst.extend_from_slice(CHUNKED),
        Framing::UntilClose if !says_close(headers) => field(dst, b"connection", b"close"),
        // RFC 9110 section 8.6: no Content-Length with a 1xx or a 204, nor with a 2xx to CONNECT.
        Framing::None if !status.is_informational() && status != StatusCode::NO_CONTENT => {
            if let Some(length) = headers.get(CONTENT_LENGTH).and_then(|value| decimal(value.as_bytes())) {
                content_length(dst, length);
            }
        }
        Framing::None | Framing::UntilClose | Framing::Tunnel => {}
    }
    dst.extend_from_slice(b"\r\n");
    Ok(())
}

fn status_line(dst: &mut Vec<u8>, status: StatusCode) {
    dst.extend_from_slice(b"HTTP/1.1 ");
    dst.extend_from_slice(status.as_str().as_bytes());
    // RFC 9112 section 4: the space is sent even when the reason is absent.
    dst.push(b' ');
    dst.extend_from_slice(status.canonical_reason().unwrap_or("").as_bytes());
    dst.extend_from_slice(b"\r\n");
}

fn says_close(headers: &HeaderMap) -> bool {
    let mut options = headers.get_all(CONNECTION).iter().flat_map(|value| list(value.as_bytes()));
    options.any(|option| option.eq_ignore_ascii_case(b"close"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn encode(method: Method, status: u16, length: &'static str, body: Framing) -> Result<String, EncodeError> {
        let headers = HeaderMap::from_iter([
            ("server".parse().unwrap(), HeaderValue::from_static("t")),
            (CONTENT_LENGTH, HeaderValue::from_static(length)),
        ]);
        let mut dst = Vec::new();
        encode_response_head(&mut dst, &method, StatusCode::from_u16(status).unwrap(), &headers, body)?;
        Ok(String::from_utf8(dst).unwrap().replace("\r\n", "|"))
    }

    #[test]
    fn framing_is_written_from_the_body_alone() {
        use Framing::{Chunked, Length, None, Tunnel, UntilClose};
        for (method, status, body, want) in [
            (Method::GET, 200, Length(5), Some("HTTP/1.1 200 OK|server: t|content-length: 5||")),
            (Method::GET, 299, Chunked, Some("HTTP/1.1 299 |server: t|transfer-encoding: chunked||")),
            (Method::GET, 404, UntilClose, Some("HTTP/1.1 404 Not Found|server: t|connection: close||")),
            (Method::GET, 205, Length(0), Some("HTTP/1.1 205 Reset Content|server: t|content-length: 0||")),
            (Method::HEAD, 200, None, Some("HTTP/1.1 200 OK|server: t|content-length: 77||")),
            (Method::GET, 304, None, Some("HTTP/1.1 304 Not Modified|server: t|content-length: 77||")),
            (Method::GET, 204, None, Some("HTTP/1.1 204 No Content|server: t||")),
            (Method::GET, 103, None, Some("HTTP/1.1 103 Early Hints|server: t||")),
            (Method::CONNECT, 200, Tunnel, Some("HTTP/1.1 200 OK|server: t||")),
            (Method::GET, 101, Tunnel, Some("HTTP/1.1 101 Switching Protocols|server: t||")),
            (Method::GET, 200, None, Option::None),
            (Method::GET, 204, Length(0), Option::None),
            (Method::GET, 205, Length(1), Option::None),
            (Method::HEAD, 200, Length(5), Option::None),
            (Method::CONNECT, 200, Chunked, Option::None),
            (Method::GET, 200, Tunnel, Option::None),
        ] {
            let got = encode(method.clone(), status, "77", body);
            assert_eq!(got.ok().as_deref(), want, "{method} {status} {body:?}");
            if want.is_some() {
                let length = if let Length(n) = body { Some(n) } else { Option::None };
                let version = if body == UntilClose { Version::HTTP_10 } else { Version::HTTP_11 };
                let status = StatusCode::from_u16(status).unwrap();
                assert_eq!(outgoing_response_framing(&method, version, status, length), body);
            }
        }
        assert_eq!(encode(Method::HEAD, 200, "x", None).unwrap(), "HTTP/1.1 200 OK|server: t||");
    }

    #[test]
    fn close_is_said_once() {
        let headers = HeaderMap::from_iter([(CONNECTION, HeaderValue::from_static("foo, Close"))]);
        let mut dst = Vec::new();
        encode_response_head(&mut dst, &Method::GET, StatusCode::OK, &headers, Framing::UntilClose).unwrap();
        assert_eq!(dst, b"HTTP/1.1 200 OK\r\nconnection: foo, Close\r\n\r\n");
    }
}
