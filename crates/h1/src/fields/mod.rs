//! A block of field lines, as heads and trailer sections have it: lines are checked one by one as they arrive, and the map
//! is built once, over the frozen bytes.

mod error;
mod lines;
mod name;
mod trailer;

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

pub use error::FieldError;
pub(crate) use lines::{Line, Lines};
pub(crate) use name::known_index;
pub use trailer::is_trailer_allowed;

use crate::excerpt::Excerpt;
use crate::facts::Facts;
use crate::leniency::Leniency;
use crate::syntax::{is_ows, is_token, trim_ows, trim_ows_end, trim_ows_start};

/// The field lines seen so far, as offsets into the caller's buffer.
///
/// Offsets stay right while the buffer grows, because the block's bytes are only taken off it when the block is complete.
#[derive(Debug, Default)]
pub(crate) struct FieldBlock {
    /// The first `len` are the lines of this block. Those behind are left from the block before, and tell which names to expect:
    /// `len <= spans.len()`.
    spans: Vec<Span>,
    len: usize,
}

/// One field line; 16 bytes. All offsets are below 4 GiB, which the scanner's limit ensures.
#[derive(Clone, Copy, Debug)]
struct Span {
    name: u32,
    value: u32,
    end: u32,
    name_len: u16,
    /// One more than the index into the table of known names, or 0.
    known: u8,
    folded: bool,
}

/// How many spans are kept after use; the rest is given back, so that one large head does not weigh on an idle connection.
const KEPT_SPANS: usize = 32;

impl FieldBlock {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Takes in one line that is not empty. `line` is its place in `buf`, without the line end.
    #[inline(always)] // 35 instructions a field less than a call, of 240 (callgrind, 2026-11)
    pub(crate) fn line(&mut self, buf: &[u8], line: Range<usize>, leniency: &Leniency) -> Result<(), FieldError> {
        let text = &buf[line.clone()];
        // A peer sends much the same fields in the same order, head after head. Where the guess is right it saves the search for
        // the colon and the look-up, 70 instructions a field (callgrind, 2026-11); where it is wrong it costs 10.
        let expected = self.spans.get(self.len).map_or(0, |before| before.known);
        let (colon, name_len, known) = match name::len_before_colon(expected, text) {
            Some(len) => (len, len, expected),
            None => match self.name(text, line.end, leniency)? {
                Some(name) => name,
                None => return Ok(()), // a fold, which was added to the line before
            },
        };
        // The http crate keeps names below 64 KiB.
        let Ok(name_len) = u16::try_from(name_len) else { return Err(FieldError::Name(Excerpt::new(text))) };
        // The usual line has one space before the value and none behind it.
        let value = match &text[colon + 1..] {
            [b' ', value @ ..] | value => value,
        };
        let (value_at, end) = match value {
            [first, .., last] if *first > b' ' && *last > b' ' => (line.end - value.len(), line.end),
            _ => {
                let value = trim_ows_start(value);
                let value_at = line.end - value.len();
                (value_at, value_at + trim_ows_end(value).len())
            }
        };
        let span = Span {
            name: offset(line.start),
            value: offset(value_at),
            end: offset(end),
            name_len,
            known,
            folded: false,
        };
        match self.spans.get_mut(self.len) {
            Some(before) => *before = span,
            None => self.spans.push(span),
        }
        self.len += 1;
        Ok(())
    }

    /// Where the colon of a line is, how long its name, and the name's index; or `None` for a fold.
    #[inline(always)]
    #[allow(clippy::type_complexity, reason = "taken apart by the one caller")]
    fn name(&mut self, text: &[u8], end: usize, leniency: &Leniency) -> Result<Option<(usize, usize, u8)>, FieldError> {
        // RFC 9112 section 5: field-line = field-name ":" OWS field-value OWS.
        let colon = lines::find::<b':'>(text).unwrap_or(text.len());
        let known = name::index(&text[..colon]);
        // A known name is the usual case; whatever else may stand before the first colon is looked at closely.
        if known != 0 && colon < text.len() {
            return Ok(Some((colon, colon, known)));
        }
        Ok(match self.unusual(text, colon, end, leniency)? {
            0 => None,
            name_len if name_len == colon => Some((colon, name_len, known)),
            // White space was taken off, and a known name may be left.
            name_len => Some((colon, name_len, name::index(&text[..name_len]))),
        })
    }

    /// The length of a name that is not known, or 0 for a fold, or the error that the line is.
    #[inline(never)]
    fn unusual(&mut self, text: &[u8], colon: usize, end: usize, leniency: &Leniency) -> Result<usize, FieldError> {
        // RFC 9110 section 5.1: a name is a token, and so is not empty.
        if is_token(&text[..colon]) && colon < text.len() {
            return Ok(colon);
        }
        // RFC 9112 section 5.2: a line that begins with white space continues the line before.
        if text.first().is_some_and(|&b| is_ows(b)) {
            return self.fold(text, end, leniency).map(|()| 0);
        }
        if colon == text.len() {
            return Err(FieldError::NoColon(Excerpt::new(text)));
        }
        let name = trim_ows_end(&text[..colon]);
        if !is_token(name) {
            return Err(FieldError::Name(Excerpt::new(text)));
        }
        // RFC 9112 section 5.1: no white space between name and colon; a server MUST refuse it.
        if leniency.space_before_colon { Ok(name.len()) } else { Err(FieldError::SpaceBeforeColon(Excerpt::new(text))) }
    }

    fn fold(&mut self, text: &[u8], end: usize, leniency: &Leniency) -> Result<(), FieldError> {
        let Some(last) = self.spans[..self.len].last_mut() else {
            // RFC 9112 section 2.2: white space before the first field is refused, never taken as part of the start line.
            return Err(FieldError::LeadingSpace(Excerpt::new(text)));
        };
        if !leniency.obs_fold {
            return Err(FieldError::Folded(Excerpt::new(text)));
        }
        last.folded = true;
        last.end = offset(end);
        Ok(())
    }

    /// Fills `map` from the block, whose bytes are `block`, notes in `facts` what concerns framing, and forgets the lines. The
    /// map's capacity is kept and used.
    ///
    /// # Errors
    /// When a value holds a byte that no value may hold, or when the map is full.
    pub(crate) fn build(&mut self, block: &Bytes, map: &mut HeaderMap, facts: &mut Facts) -> Result<(), FieldError> {
        // The first insertion makes room for six. A full map is found out below, by the line that does not fit.
        if self.len > 6 {
            let _ = map.try_reserve(self.len);
        }
        for span in &self.spans[..self.len] {
            let value = span.value(block);
            facts.note(span.known, &value);
            // RFC 9110 section 5.5: CR, LF and NUL make a value invalid and dangerous; the other controls are refused as well.
            let Ok(value) = HeaderValue::from_maybe_shared(value) else { return Err(span.bad_value(block)) };
            let name = match name::by_index(span.known) {
                Some(name) => name.clone(),
                None => span.unknown_name(block)?,
            };
            if map.try_append(name, value).is_err() {
                return Err(FieldError::TooMany);
            }
        }
        self.spans.truncate(KEPT_SPANS);
        self.spans.shrink_to(KEPT_SPANS);
        self.len = 0;
        Ok(())
    }
}

impl Span {
    fn value(&self, block: &Bytes) -> Bytes {
        let range = at(self.value)..at(self.end);
        if self.folded { Bytes::from(unfolded(&block[range])) } else { block.slice(range) }
    }

    #[inline]
    fn unknown_name(&self, block: &Bytes) -> Result<HeaderName, FieldError> {
        let name = self.name(block);
        HeaderName::from_bytes(name).map_err(|_| FieldError::Name(Excerpt::new(name)))
    }

    fn name<'a>(&self, block: &'a [u8]) -> &'a [u8] {
        &block[at(self.name)..at(self.name) + usize::from(self.name_len)]
    }

    #[cold]
    fn bad_value(&self, block: &[u8]) -> FieldError {
        let value = &block[at(self.value)..at(self.end)];
        FieldError::Value { name: Excerpt::new(self.name(block)), value: Excerpt::new(value) }
    }
}

/// The value with each fold, line end and white space on both sides, replaced by one space (RFC 9112 section 5.2).
fn unfolded(raw: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(raw.len());
    for line in raw.split(|&b| b == b'\n') {
        let part = trim_ows(line.strip_suffix(b"\r").unwrap_or(line));
        if !value.is_empty() && !part.is_empty() {
            value.push(b' ');
        }
        value.extend_from_slice(part);
    }
    value
}

/// An offset below the scanner's limit of 4 GiB.
#[allow(clippy::cast_possible_truncation, reason = "Limits::clamped keeps heads, and so offsets, below 4 GiB")]
pub(crate) fn offset(n: usize) -> u32 {
    n as u32
}

pub(crate) fn at(n: u32) -> usize {
    // usize has at least 32 bits wherever tokio and hyper run; a smaller one would end in a refused slice, not in a wrong one.
    n as usize
}
