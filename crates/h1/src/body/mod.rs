//! Body decoding: data off the front of a buffer, exactly as far as the body goes.

mod chunked;
mod error;
mod extension;
mod limits;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use crate::framing::Framing;
use crate::leniency::Leniency;
use chunked::Chunked;

pub use error::DecodeError;
pub use limits::DecoderLimits;

/// What [`Decoder::decode`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Some of the body, never empty. It shares the buffer's memory.
    Data(Bytes),
    /// The trailer fields, once, behind all data. Not reported when there are none.
    ///
    /// Fields that [may not stand there](crate::is_trailer_allowed) have been dropped; never merge the others into the
    /// headers unseen (RFC 9110 section 6.5.1).
    Trailers(HeaderMap),
    /// The buffer is used up and the body goes on.
    NeedMore,
    /// The body is complete. What is left in the buffer belongs to the next message.
    End,
}

/// Reads one body.
///
/// **Shape**: takes exactly the body's bytes off the front of the buffer it is given and never one more. After an error it
/// returns that error for ever: where the next message would begin is not known.
///
/// # Examples
///
/// ```
/// use bytes::BytesMut;
/// use roundtrip_h1::{Decoded, Decoder, DecoderLimits, Framing};
///
/// let mut decoder = Decoder::new(Framing::Chunked, DecoderLimits::default());
/// let mut buf = BytesMut::from("5\r\nhello\r\n0\r\n\r\nnext");
/// assert_eq!(decoder.decode(&mut buf)?, Decoded::Data("hello".into()));
/// assert_eq!(decoder.decode(&mut buf)?, Decoded::End);
/// assert_eq!(buf, "next");
/// # Ok::<(), roundtrip_h1::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct Decoder(State);

#[derive(Debug)]
enum State {
    Length(u64),
    Chunked(Box<Chunked>),
    UntilClose,
    Done,
    /// In a box, so that a decoder is two words to move.
    Failed(Box<DecodeError>),
}

impl Decoder {
    /// A decoder for a body that is delimited so. [`Framing::Tunnel`] is read like [`Framing::UntilClose`].
    #[must_use]
    pub fn new(framing: Framing, limits: DecoderLimits) -> Self {
        Decoder(match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Box::new(Chunked::new(limits))),
            Framing::UntilClose | Framing::Tunnel => State::UntilClose,
        })
    }

    /// Takes exactly the given deviations from the grammar: in the trailer section, and behind chunk sizes. Without this call
    /// nothing outside the grammar is taken.
    #[must_use]
    pub fn with_leniency(mut self, leniency: Leniency) -> Self {
        if let State::Chunked(chunked) = &mut self.0 {
            chunked.set_leniency(leniency);
        }
        self
    }

    /// Takes the next piece of the body off the front of `buf`.
    ///
    /// # Errors
    /// When the chunks or the trailers are malformed or pass a limit. The connection cannot be used any further.
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Decoded, DecodeError> {
        match &mut self.0 {
            State::Length(_) | State::UntilClose if buf.is_empty() => Ok(Decoded::NeedMore),
            State::Length(remaining) => {
                let take = usize::try_from(*remaining).map_or(buf.len(), |n| n.min(buf.len()));
                *remaining -= take as u64;
                if *remaining == 0 {
                    self.0 = State::Done;
                }
                Ok(Decoded::Data(buf.split_to(take).freeze()))
            }
            State::UntilClose => Ok(Decoded::Data(buf.split().freeze())),
            State::Chunked(chunked) => match chunked.decode(buf) {
                Ok(decoded) => {
                    if chunked.is_done() {
                        self.0 = State::Done;
                    }
                    Ok(decoded)
                }
                Err(error) => {
                    self.0 = State::Failed(Box::new(error));
                    Err(error)
                }
            },
            State::Done => Ok(Decoded::End),
            State::Failed(error) => Err(**error),
        }
    }

    /// Tells the decoder that the peer closed. Call it when `decode` has said [`Decoded::NeedMore`].
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] unless the body was complete or is one that ends so (RFC 9112 section 8), and the error that
    /// the decoder failed with before, if any.
    pub fn eof(&mut self) -> Result<(), DecodeError> {
        let missing = match &self.0 {
            State::Done => return Ok(()),
            State::UntilClose => {
                self.0 = State::Done;
                return Ok(());
            }
            State::Failed(error) => return Err(**error),
            State::Length(remaining) => Some(*remaining),
            State::Chunked(_) => None,
        };
        let error = DecodeError::Truncated { missing };
        self.0 = State::Failed(Box::new(error));
        Err(error)
    }

    /// Whether the body is complete. True already with the last data, when the end is known by then.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.0, State::Done)
    }

    /// How many bytes of data are still to come, if that is known.
    #[must_use]
    pub fn remaining_hint(&self) -> Option<u64> {
        match self.0 {
            State::Length(remaining) => Some(remaining),
            State::Done => Some(0),
            State::Chunked(_) | State::UntilClose | State::Failed(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(framing: Framing, input: &str) -> (String, Result<bool, DecodeError>, String) {
        let mut decoder = Decoder::new(framing, DecoderLimits::default());
        let mut buf = BytesMut::from(input);
        let mut data = String::new();
        loop {
            match decoder.decode(&mut buf) {
                Ok(Decoded::Data(bytes)) => data.push_str(std::str::from_utf8(&bytes).unwrap()),
                Ok(Decoded::Trailers(_)) => data.push('|'),
                Ok(Decoded::NeedMore) => break (data, Ok(false), format!("{buf:?}")),
                Ok(Decoded::End) => break (data, Ok(true), String::from_utf8(buf.to_vec()).unwrap()),
                Err(error) => break (data, Err(error), String::new()),
            }
        }
    }

    #[test]
    fn takes_exactly_the_body() {
        assert_eq!(all(Framing::None, "next"), (String::new(), Ok(true), "next".into()));
        assert_eq!(all(Framing::Length(5), "hellonext"), ("hello".into(), Ok(true), "next".into()));
        assert_eq!(
            all(Framing::Chunked, "1\r\nh\r\n4 ;a=b\r\nello\r\n0\r\n\r\nnext"),
            ("hello".into(), Ok(true), "next".into())
        );
        assert_eq!(all(Framing::Chunked, "00\r\nX-T: v\r\n\r\nnext"), ("|".into(), Ok(true), "next".into()));
        assert_eq!(all(Framing::UntilClose, "all").1, Ok(false));
    }

    #[test]
    fn the_end_is_known_with_the_last_data() {
        let mut decoder = Decoder::new(Framing::Chunked, DecoderLimits::default());
        decoder.decode(&mut BytesMut::from("3\r\nabc\r\n0\r\n\r\n")).unwrap();
        assert!(decoder.is_done());
        let mut decoder = Decoder::new(Framing::Length(3), DecoderLimits::default());
        decoder.decode(&mut BytesMut::from("abc")).unwrap();
        assert!(decoder.is_done());
    }

    #[test]
    fn eof_is_clean_only_where_the_framing_says_so() {
        let mut decoder = Decoder::new(Framing::UntilClose, DecoderLimits::default());
        assert_eq!(decoder.eof(), Ok(()));
        assert!(decoder.is_done());
        let mut decoder = Decoder::new(Framing::Length(5), DecoderLimits::default());
        assert_eq!(decoder.eof(), Err(DecodeError::Truncated { missing: Some(5) }));
        let mut decoder = Decoder::new(Framing::Chunked, DecoderLimits::default());
        assert!(decoder.eof().unwrap_err().is_truncated());
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for bad in [
            "zz\r\n",
            "\r\nabc",
            "-3\r\n",
            "0x3\r\n",
            " 3\r\n",
            "3 3\r\n",
            "3\nabc",
            "3\r\nabc0",
            "3\r\nabc\n",
            "3\0\r\n",
            "3;a\0\r\n",
            "3;a\n",
            "3 \r\nabc",
            "fffffffffffffffff\r\n",
            "0\r\n\n",
            "0\n",
            "0\r\nbad\r\n",
            "0\r\nX : y\r\n",
            "3;a\rb\r\nabc",
        ] {
            let (_, result, _) = all(Framing::Chunked, bad);
            assert!(result.is_err(), "{bad:?} gave {result:?}");
        }
    }
}
