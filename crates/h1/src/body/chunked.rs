//! The chunked coding (RFC 9112 section 7.1).

use bytes::{Buf, BytesMut};
use http::HeaderMap;

use crate::body::{DecodeError, Decoded, DecoderLimits, extension};
use crate::excerpt::Excerpt;
use crate::facts::Facts;
use crate::fields::{FieldBlock, FieldError, Line, Lines, is_trailer_allowed};
use crate::leniency::Leniency;

/// Reads chunks until the last one and the trailer section behind it.
#[derive(Debug)]
pub(crate) struct Chunked {
    limits: DecoderLimits,
    leniency: Leniency,
    state: State,
    /// Bytes of size lines beyond what the chunks paid for: `excess <= limits.max_chunk_excess`.
    excess: u64,
    lines: Lines,
    trailers: FieldBlock,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Size,
    /// Inside a chunk, with this many bytes of data to come; never 0.
    Data(u64),
    /// At the CRLF behind a chunk's data.
    DataEnd,
    Trailers,
    Done,
}

impl Chunked {
    pub(crate) fn new(limits: DecoderLimits) -> Self {
        // What offsets and header maps can hold.
        let limits = DecoderLimits {
            max_trailer_bytes: limits.max_trailer_bytes.min(u32::MAX as usize),
            max_trailer_fields: limits.max_trailer_fields.min(24_576),
            ..limits
        };
        Chunked {
            limits,
            leniency: Leniency::STRICT,
            state: State::Size,
            excess: 0,
            lines: Lines::default(),
            trailers: FieldBlock::default(),
        }
    }

    pub(crate) fn set_leniency(&mut self, leniency: Leniency) {
        self.leniency = leniency;
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    pub(crate) fn decode(&mut self, buf: &mut BytesMut) -> Result<Decoded, DecodeError> {
        loop {
            match self.state {
                State::Size => match self.size_line(buf)? {
                    None => return Ok(Decoded::NeedMore),
                    Some(0) => self.state = State::Trailers,
                    Some(size) => self.state = State::Data(size),
                },
                State::Data(_) if buf.is_empty() => return Ok(Decoded::NeedMore),
                State::Data(remaining) => {
                    let take = usize::try_from(remaining).map_or(buf.len(), |n| n.min(buf.len()));
                    let data = buf.split_to(take).freeze();
                    let remaining = remaining - take as u64;
                    self.state = if remaining == 0 { State::DataEnd } else { State::Data(remaining) };
                    if self.state == State::DataEnd && buf.starts_with(b"\r\n0\r\n\r\n") {
                        // The end came in the same read as the last data: say so at once, so that nobody reads again for it.
                        buf.advance(7);
                        self.state = State::Done;
                    }
                    return Ok(Decoded::Data(data));
                }
                State::DataEnd => match **buf {
                    [b'\r', b'\n', ..] => {
                        buf.advance(2);
                        self.state = State::Size;
                    }
                    [] | [b'\r'] => return Ok(Decoded::NeedMore),
                    _ => return Err(DecodeError::ChunkEnd(Excerpt::new(&buf[..buf.len().min(8)]))),
                },
                State::Trailers => {
                    let Some(trailers) = self.trailer_section(buf)? else { return Ok(Decoded::NeedMore) };
                    self.state = State::Done;
                    if !trailers.is_empty() {
                        return Ok(Decoded::Trailers(trailers));
                    }
                }
                State::Done => return Ok(Decoded::End),
            }
        }
    }

    /// Takes `chunk-size [ chunk-ext ] CRLF` off the front of `buf`.
    fn size_line(&mut self, buf: &mut BytesMut) -> Result<Option<u64>, DecodeError> {
        let mut size = 0;
        let mut digits = 0;
        while let Some(digit) = buf.get(digits).and_then(|&b| char::from(b).to_digit(16)) {
            // Sixteen digits fill 64 bits, so the shift below loses nothing.
            if digits == 16 {
                return Err(DecodeError::ChunkSize(Excerpt::new(&buf[..17])));
            }
            size = size << 4 | u64::from(digit);
            digits += 1;
        }
        let line_len = match buf[digits..] {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] if digits > 0 => digits + 2,
            [b';' | b' ' | b'\t', ..] if digits > 0 => match self.extension(buf, digits)? {
                Some(line_len) => line_len,
                None => return Ok(None),
            },
            _ => return Err(DecodeError::ChunkSize(Excerpt::new(&buf[..buf.len().min(digits + 8)]))),
        };
        buf.advance(line_len);
        self.lines = Lines::default();
        self.charge(line_len, size)?;
        Ok(Some(size))
    }

    /// The length of a size line whose size is followed by something, once the line is complete.
    fn extension(&mut self, buf: &[u8], digits: usize) -> Result<Option<usize>, DecodeError> {
        let limit = self.limits.max_chunk_line.max(digits + 2);
        let line = match self.lines.next(buf, limit, false) {
            Line::Complete(line) => &buf[digits..line.end],
            Line::BareLf(line) => return Err(DecodeError::ChunkExtension(Excerpt::new(&buf[line]))),
            Line::Partial => return Ok(None),
            Line::TooLarge => return Err(DecodeError::ChunkLineTooLong { limit }),
        };
        if extension::is_valid(line, self.leniency) {
            Ok(Some(self.lines.start()))
        } else {
            Err(DecodeError::ChunkExtension(Excerpt::new(line)))
        }
    }

    /// Accounts for a size line, so that framing cannot go on for ever without data.
    fn charge(&mut self, line_len: usize, size: u64) -> Result<(), DecodeError> {
        self.excess = (self.excess + line_len as u64).saturating_sub(size.saturating_add(16));
        if self.excess > self.limits.max_chunk_excess as u64 {
            return Err(DecodeError::ChunkExcess { limit: self.limits.max_chunk_excess });
        }
        Ok(())
    }

    fn trailer_section(&mut self, buf: &mut BytesMut) -> Result<Option<HeaderMap>, DecodeError> {
        let limit = self.limits.max_trailer_bytes;
        loop {
            let line = match self.lines.next(buf, limit, self.leniency.bare_lf) {
                Line::Complete(line) => line,
                Line::BareLf(line) => {
                    return Err(DecodeError::Trailer(FieldError::BareLf(Excerpt::new(&buf[line]))));
                }
                Line::Partial => return Ok(None),
                Line::TooLarge => return Err(DecodeError::TrailersTooLarge { limit }),
            };
            if line.is_empty() {
                break;
            }
            if self.trailers.len() == self.limits.max_trailer_fields {
                return Err(DecodeError::TooManyTrailers { limit: self.limits.max_trailer_fields });
            }
            self.trailers.line(buf, line, &self.leniency).map_err(DecodeError::Trailer)?;
        }
        let section = buf.split_to(self.lines.start()).freeze();
        let mut trailers = HeaderMap::new();
        // What trailers say about framing comes too late to count.
        self.trailers.build(&section, &mut trailers, &mut Facts::default()).map_err(DecodeError::Trailer)?;
        let forbidden: Vec<_> = trailers.keys().filter(|name| !is_trailer_allowed(name)).cloned().collect();
        for name in forbidden {
            trailers.remove(name);
        }
        Ok(Some(trailers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_linear_in_the_input_however_it_comes() {
        let limits = DecoderLimits { max_chunk_line: 1 << 20, max_trailer_bytes: 1 << 20, ..DecoderLimits::default() };
        for input in [format!("3;a=\"{}", "b".repeat(20_000)), format!("0\r\nA: {}", "b".repeat(20_000))] {
            let mut chunked = Chunked::new(limits);
            let mut buf = BytesMut::new();
            for byte in input.as_bytes().chunks(1) {
                buf.extend_from_slice(byte);
                assert_eq!(chunked.decode(&mut buf), Ok(Decoded::NeedMore));
            }
            assert_eq!(chunked.lines.looked_at, buf.len());
        }
    }
}
