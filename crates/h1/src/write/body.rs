//! Bodies on their way out.

use http::HeaderMap;

use crate::excerpt::Excerpt;
use crate::fields::is_trailer_allowed;
use crate::framing::Framing;
use crate::write::{CHUNK_END, ChunkHead, EncodeError, LAST_CHUNK, encode_last_chunk};

/// Writes one body in its framing, and sees to it that as much comes out as was announced.
///
/// # Examples
///
/// ```
/// use roundtrip_h1::Framing;
/// use roundtrip_h1::write::BodyEncoder;
///
/// let mut out = Vec::new();
/// let mut encoder = BodyEncoder::new(Framing::Chunked);
/// encoder.encode(&mut out, b"hello")?;
/// encoder.finish(&mut out, None)?;
/// assert_eq!(out, b"5\r\nhello\r\n0\r\n\r\n");
/// # Ok::<(), roundtrip_h1::EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyEncoder(State);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// How much is still to come; 0 for messages without a body.
    Length(u64),
    Chunked,
    UntilClose,
}

/// What to write around one piece of data.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frame {
    head: Option<ChunkHead>,
}

impl Frame {
    /// What comes before the data: a chunk's size line, or nothing.
    #[must_use]
    pub fn before(&self) -> &[u8] {
        self.head.as_ref().map_or(&[], AsRef::as_ref)
    }

    /// What comes behind the data: a chunk's line end, or nothing.
    #[must_use]
    pub fn behind(&self) -> &'static [u8] {
        if self.head.is_some() { CHUNK_END } else { &[] }
    }
}

impl BodyEncoder {
    /// An encoder for a body that was announced so in its head.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        BodyEncoder(match framing {
            Framing::None => State::Length(0),
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked,
            Framing::UntilClose | Framing::Tunnel => State::UntilClose,
        })
    }

    /// Accounts for the next `len` bytes of data and says what to write around them.
    ///
    /// # Errors
    /// [`EncodeError::BodyTooLong`] when more comes than was announced; then nothing is accounted for, and the caller may
    /// write what still [fits](BodyEncoder::remaining).
    pub fn frame(&mut self, len: usize) -> Result<Frame, EncodeError> {
        match &mut self.0 {
            State::Length(remaining) => match remaining.checked_sub(len as u64) {
                Some(rest) => *remaining = rest,
                None => return Err(EncodeError::BodyTooLong { excess: len as u64 - *remaining }),
            },
            State::Chunked => return Ok(Frame { head: ChunkHead::new(len) }),
            State::UntilClose => {}
        }
        Ok(Frame::default())
    }

    /// Appends the next data to `dst`, framed. Empty data writes nothing: an empty chunk would end the body.
    ///
    /// # Errors
    /// As [`frame`](BodyEncoder::frame); `dst` is then as it was.
    pub fn encode(&mut self, dst: &mut Vec<u8>, data: &[u8]) -> Result<(), EncodeError> {
        // Only chunks have something around them.
        match self.frame(data.len())?.head {
            None => dst.extend_from_slice(data),
            Some(head) => {
                dst.extend_from_slice(head.as_ref());
                dst.extend_from_slice(data);
                dst.extend_from_slice(CHUNK_END);
            }
        }
        Ok(())
    }

    /// Appends what ends the body: the last chunk with the trailers, or nothing.
    ///
    /// # Errors
    /// When the body is shorter than announced, or the trailers cannot be sent. `dst` is then as it was.
    pub fn finish(self, dst: &mut Vec<u8>, trailers: Option<&HeaderMap>) -> Result<(), EncodeError> {
        let trailers = trailers.filter(|trailers| !trailers.is_empty());
        match (self.0, trailers) {
            (State::Length(missing @ 1..), _) => return Err(EncodeError::BodyTooShort { missing }),
            (State::Length(0) | State::UntilClose, Some(_)) => return Err(EncodeError::TrailersWithoutChunks),
            (State::Length(0) | State::UntilClose, None) => {}
            (State::Chunked, None) => dst.extend_from_slice(LAST_CHUNK),
            (State::Chunked, Some(trailers)) => {
                if let Some(name) = trailers.keys().find(|name| !is_trailer_allowed(name)) {
                    return Err(EncodeError::Trailer(Excerpt::new(name.as_str().as_bytes())));
                }
                encode_last_chunk(dst, Some(trailers));
            }
        }
        Ok(())
    }

    /// How many bytes of data were announced and have not come yet; `None` if no length was announced.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        if let State::Length(remaining) = self.0 { Some(remaining) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn exactly_the_announced_length_comes_out() {
        let mut dst = Vec::new();
        let mut encoder = BodyEncoder::new(Framing::Length(5));
        encoder.encode(&mut dst, b"hel").unwrap();
        assert_eq!(encoder.finish(&mut dst, None), Err(EncodeError::BodyTooShort { missing: 2 }));
        assert_eq!(encoder.encode(&mut dst, b"lo!"), Err(EncodeError::BodyTooLong { excess: 1 }));
        encoder.encode(&mut dst, b"lo").unwrap();
        encoder.finish(&mut dst, None).unwrap();
        assert_eq!(dst, b"hello");
        assert!(BodyEncoder::new(Framing::None).encode(&mut dst, b"x").is_err());
    }

    #[test]
    fn trailers_need_chunks_and_allowed_names() {
        let trailer =
            |name: &'static str| HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static("v"))]);
        let finish = |framing, trailers: &HeaderMap| {
            let mut dst = Vec::new();
            BodyEncoder::new(framing).finish(&mut dst, Some(trailers)).map(|()| String::from_utf8(dst).unwrap())
        };
        assert_eq!(finish(Framing::Chunked, &trailer("x-t")).unwrap(), "0\r\nx-t: v\r\n\r\n");
        assert_eq!(finish(Framing::UntilClose, &trailer("x-t")), Err(EncodeError::TrailersWithoutChunks));
        let error = finish(Framing::Chunked, &trailer("content-length")).unwrap_err();
        assert_eq!(error.to_string(), r#"field "content-length" may not be a trailer"#);
        assert_eq!(finish(Framing::Length(0), &HeaderMap::new()).unwrap(), "");
    }

    #[test]
    fn frames_carry_chunk_sizes() {
        let frame = BodyEncoder::new(Framing::Chunked).frame(255).unwrap();
        assert_eq!((frame.before(), frame.behind()), (&b"ff\r\n"[..], &b"\r\n"[..]));
        let empty = BodyEncoder::new(Framing::Chunked).frame(0).unwrap();
        assert_eq!((empty.before(), empty.behind()), (&b""[..], &b""[..]));
    }
}
