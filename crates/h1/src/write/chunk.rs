//! Chunks (RFC 9112 section 7.1).

use http::HeaderMap;

use crate::fields::is_trailer_allowed;
use crate::write::field;

/// What follows a chunk's data.
pub const CHUNK_END: &[u8] = b"\r\n";

/// The last chunk with an empty trailer section: the end of a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A chunk's size line, inline, for vectored writes.
///
/// # Examples
///
/// ```
/// use roundtrip_h1::write::ChunkHead;
///
/// assert_eq!(ChunkHead::new(300).map(|head| head.as_ref().to_vec()), Some(b"12c\r\n".to_vec()));
/// assert!(ChunkHead::new(0).is_none(), "a chunk without data would end the body");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ChunkHead {
    bytes: [u8; 18],
    start: u8,
}

impl ChunkHead {
    /// The size line for a chunk of `len` bytes, or `None` for an empty one, which has another meaning.
    #[must_use]
    pub fn new(len: usize) -> Option<Self> {
        if len == 0 {
            return None;
        }
        let mut bytes = [0; 18];
        bytes[16..].copy_from_slice(b"\r\n");
        let mut start = 16;
        let mut rest = len;
        // A usize has at most sixteen hexadecimal digits, so `start` stays at or above 0.
        while rest > 0 {
            start -= 1;
            bytes[start] = b"0123456789abcdef"[rest & 15];
            rest >>= 4;
        }
        Some(ChunkHead { bytes, start: u8::try_from(start).unwrap_or(0) })
    }
}

impl AsRef<[u8]> for ChunkHead {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }
}

/// Appends the size line of a chunk of `len` bytes; nothing for an empty one. Data and [`CHUNK_END`] come behind it.
pub fn encode_chunk_head(dst: &mut Vec<u8>, len: usize) {
    if let Some(head) = ChunkHead::new(len) {
        dst.extend_from_slice(head.as_ref());
    }
}

/// Appends the last chunk and the trailer section. Fields that [may not stand there](crate::is_trailer_allowed) are left out;
/// [`BodyEncoder::finish`](crate::write::BodyEncoder::finish) refuses them instead.
pub fn encode_last_chunk(dst: &mut Vec<u8>, trailers: Option<&HeaderMap>) {
    dst.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten().filter(|(name, _)| is_trailer_allowed(name)) {
        field(dst, name.as_str().as_bytes(), value.as_bytes());
    }
    dst.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (len, want) in [(1, "1\r\n"), (16, "10\r\n"), (usize::MAX, "ffffffffffffffff\r\n")] {
            let mut dst = Vec::new();
            encode_chunk_head(&mut dst, len);
            assert_eq!(std::str::from_utf8(&dst).unwrap(), want);
        }
    }

    #[test]
    fn trailers_follow_the_last_chunk() {
        let mut dst = Vec::new();
        encode_last_chunk(&mut dst, None);
        assert_eq!(dst, LAST_CHUNK);
        let trailers = HeaderMap::from_iter([("x-t".parse().unwrap(), http::HeaderValue::from_static("v"))]);
        dst.clear();
        encode_last_chunk(&mut dst, Some(&trailers));
        assert_eq!(dst, b"0\r\nx-t: v\r\n\r\n");
        dst.clear();
        let forbidden = HeaderMap::from_iter([(http::header::CONTENT_LENGTH, http::HeaderValue::from_static("5"))]);
        encode_last_chunk(&mut dst, Some(&forbidden));
        assert_eq!(dst, LAST_CHUNK);
    }
}
