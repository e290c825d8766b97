//! What both kinds of heads share: lines, fields, limits, and the one error that ends it.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use crate::excerpt::Excerpt;
use crate::facts::Facts;
use crate::fields::{FieldBlock, FieldError, Line, Lines};
use crate::head::HeadError;
use crate::leniency::Leniency;
use crate::limits::Limits;

/// A start line: what the first line of a head says, with offsets into the buffer.
pub(super) trait StartLine: Sized {
    /// Refuses bytes that cannot become such a line as soon as the first of them show it. Looks at a bounded number of bytes,
    /// however many there are, since it is asked again with each new piece.
    fn check_beginning(buf: &[u8]) -> Result<(), HeadError>;

    /// Reads the line at this place, or returns `None` when it is to be skipped.
    fn parse(buf: &[u8], line: Range<usize>, leniency: Leniency) -> Result<Option<Self>, HeadError>;
}

/// A parser for heads that begin with an `S`.
#[derive(Debug)]
pub(super) struct HeadParser<S> {
    limits: Limits,
    pub(super) leniency: Leniency,
    lines: Lines,
    start: Option<S>,
    fields: FieldBlock,
    /// The fields of the head that was just parsed, for the caller to take; and the memory for those of the next one.
    pub(super) headers: HeaderMap,
    /// What these fields say about framing.
    pub(super) facts: Facts,
    failed: Option<HeadError>,
}

impl<S: StartLine> HeadParser<S> {
    pub(super) fn new(limits: Limits, leniency: Leniency) -> Self {
        HeadParser {
            limits: limits.clamped(),
            leniency,
            lines: Lines::default(),
            start: None,
            fields: FieldBlock::default(),
            headers: HeaderMap::new(),
            facts: Facts::default(),
            failed: None,
        }
    }

    /// Takes one head off the front of `buf`, and returns its bytes and its start line. `headers` and `facts` then hold what
    /// else is in it: built in place, since moving a header map from hand to hand is a good part of parsing a small head.
    #[inline]
    pub(super) fn parse(&mut self, buf: &mut BytesMut) -> Result<Option<(Bytes, S)>, HeadError> {
        let end = match self.advance(buf) {
            Ok(None) => return Ok(None),
            Ok(Some(end)) => end,
            Err(error) => return self.fail(error),
        };
        let block = buf.split_to(end).freeze();
        self.facts = Facts::default();
        if let Err(error) = self.fields.build(&block, &mut self.headers, &mut self.facts) {
            return self.fail(error.into());
        }
        let start = self.start.take().expect("a head is complete only behind its start line");
        Ok(Some((block, start)))
    }

    pub(super) fn eof(&self, buf: &[u8]) -> Result<(), HeadError> {
        match self.failed {
            Some(error) => Err(error),
            // Line ends alone are no message; RFC 9112 section 2.2 has servers ignore them.
            None if buf.iter().all(|&b| b == b'\r' || b == b'\n') => Ok(()),
            None => Err(HeadError::Truncated { received: buf.len() }),
        }
    }

    /// Looks at what is new, and says where the head ends if it is complete.
    #[inline]
    fn advance(&mut self, buf: &[u8]) -> Result<Option<usize>, HeadError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let limit = self.limits.max_head_bytes;
        while self.start.is_none() {
            // Before each line, and never beyond the limit, so that the verdict does not depend on the pieces.
            let window = &buf[..buf.len().min(limit)];
            S::check_beginning(window.get(self.lines.start()..).unwrap_or_default())?;
            match self.lines.next_of(window, buf.len() >= limit, self.leniency.bare_lf) {
                Line::Complete(line) => self.start = S::parse(window, line, self.leniency)?,
                Line::Partial => return Ok(None),
                other => return Err(line_error(&other, buf, limit)),
            }
        }
        self.field_lines(buf)
    }

    /// Takes in field lines up to the empty one.
    #[inline(never)] // with the start line around it, the loop would have no registers
    fn field_lines(&mut self, buf: &[u8]) -> Result<Option<usize>, HeadError> {
        let mut lines = std::mem::take(&mut self.lines);
        let Limits { max_head_bytes: limit, max_fields } = self.limits;
        let window = &buf[..buf.len().min(limit)];
        let leniency = self.leniency;
        loop {
            let line = match lines.next_of(window, buf.len() >= limit, leniency.bare_lf) {
                Line::Complete(line) if line.is_empty() => return Ok(Some(lines.start())),
                Line::Complete(line) => line,
                Line::Partial => {
                    self.lines = lines;
                    return Ok(None);
                }
                other => return Err(line_error(&other, buf, limit)),
            };
            if self.fields.len() == max_fields {
                return Err(HeadError::TooManyFields { limit: max_fields });
            }
            self.fields.line(window, line, &leniency)?;
        }
    }

    /// Keeps the error, so that every later call returns it too.
    #[cold]
    pub(super) fn fail<T>(&mut self, error: HeadError) -> Result<T, HeadError> {
        self.failed = Some(error);
        Err(error)
    }
}

/// What is wrong with a line that is none.
#[cold]
fn line_error(line: &Line, buf: &[u8], limit: usize) -> HeadError {
    match line {
        Line::BareLf(line) => FieldError::BareLf(Excerpt::new(&buf[line.clone()])).into(),
        _ => HeadError::TooLarge { limit },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A start line that is anything.
    #[derive(Debug)]
    struct Any;

    impl StartLine for Any {
        fn check_beginning(_: &[u8]) -> Result<(), HeadError> {
            Ok(())
        }

        fn parse(_: &[u8], _: Range<usize>, _: Leniency) -> Result<Option<Self>, HeadError> {
            Ok(Some(Any))
        }
    }

    /// However it drips in, and whatever it is, each byte is searched once; so twice the input is twice the work.
    #[test]
    fn work_is_linear_in_the_input_however_it_comes() {
        let limits = Limits { max_head_bytes: 1 << 20, max_fields: 24_000 };
        let lenient = Leniency { obs_fold: true, bare_lf: true, ..Leniency::STRICT };
        let many = "A: b\r\n".repeat(4_000);
        let folds = "A: b\r\n".to_owned() + &" c\r\n".repeat(5_000);
        let crs = format!("A: {}\n", "\r".repeat(20_000));
        let long = format!("A: {}\r\n", "b".repeat(20_000));
        for fields in [many, folds, crs, long] {
            let input = format!("start\r\n{fields}");
            for piece in [1, 2, 7, 1000] {
                let mut parser = HeadParser::<Any>::new(limits, lenient);
                let mut buf = BytesMut::new();
                for bytes in input.as_bytes().chunks(piece) {
                    buf.extend_from_slice(bytes);
                    assert!(parser.parse(&mut buf).unwrap().is_none());
                }
                assert_eq!(parser.lines.looked_at, input.len());
            }
        }
    }
}
