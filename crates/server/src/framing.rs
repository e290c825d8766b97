//! Where requests begin and end in what a client sends, as a value: bytes in, boundaries out.
//!
//! hyper parses requests; this follows them beneath it, for three things that hyper cannot give. hyper is handed one request at a
//! time, so that what lies behind it is still ours when a handler takes the connection over. The connection knows exactly when a
//! request has begun and when it has been read. And two leniencies that let a request be read in two ways are refused: a line
//! feed without its carriage return, in a head or in chunked framing, and control characters in chunk extensions.
//!
//! Nothing is copied or kept: an ordinary head costs one search for line feeds, many bytes at a time. (memchr takes three times as
//! long for lines as short as these: 450 instructions for a head of 87 bytes, 2026-11.)

/// A violation of the framing, in a few words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// How the body of a request is delimited, as the request's fields say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFraming {
    Length(u64),
    Chunked,
    /// All that comes belongs to whoever took the connection over.
    Raw,
}

#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No byte of the next request has come, empty lines apart (RFC 9112, 2.2).
    Between {
        after_cr: bool,
    },
    /// In a head. `line` counts the bytes of the current line, `after_cr` whether its last one is a carriage return.
    Head {
        line: usize,
        after_cr: bool,
    },
    /// The head is complete; nobody has said yet how the body is delimited.
    Undecided,
    Length(u64),
    Chunked(Chunk),
    Raw,
}

/// Inside of a chunked body (RFC 9112, 7.1), named by what is expected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    Size { size: u64, digits: u8 },
    AfterSize(u64),
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
}

impl Framing {
    pub(crate) fn new() -> Self {
        Framing { state: State::Between { after_cr: false } }
    }

    /// Whether the next byte begins a request: the one before has been read to its end.
    pub(crate) fn is_between(&self) -> bool {
        matches!(self.state, State::Between { .. })
    }

    /// Whether part of a head has come.
    pub(crate) fn is_in_head(&self) -> bool {
        matches!(self.state, State::Head { .. })
    }

    /// Whether a head is complete and [`decide`](Self::decide) is to be called before anything more is read.
    pub(crate) fn is_undecided(&self) -> bool {
        self.state == State::Undecided
    }

    /// Whether a request has begun and has not been read to its end.
    pub(crate) fn is_in_request(&self) -> bool {
        !matches!(self.state, State::Between { .. } | State::Raw)
    }

    /// Whether a body is being read.
    pub(crate) fn is_in_body(&self) -> bool {
        matches!(self.state, State::Length(_) | State::Chunked(_))
    }

    /// Says how the body behind the head that was just read is delimited.
    pub(crate) fn decide(&mut self, body: BodyFraming) {
        self.state = match body {
            BodyFraming::Length(0) => State::Between { after_cr: false },
            BodyFraming::Length(length) => State::Length(length),
            BodyFraming::Chunked => State::Chunked(Chunk::Size { size: 0, digits: 0 }),
            BodyFraming::Raw => State::Raw,
        };
    }

    /// Takes the next bytes of the connection and returns how many of them belong to the current request: all, or fewer if it
    /// ends in them or if its head does.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        match self.state {
            State::Between { .. } | State::Head { .. } => self.head(bytes),
            State::Undecided => Ok(0),
            State::Length(left) => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                self.decide(BodyFraming::Length(left - taken as u64));
                Ok(taken)
            }
            State::Chunked(chunk) => self.chunked(chunk, bytes),
            State::Raw => Ok(bytes.len()),
        }
    }

    fn head(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        // Of requests that come in a long row, each would be looked at again with all those before it.
        if let State::Between { after_cr: false } = self.state
            && bytes.len() <= ONE_HEAD
            && is_one_head(bytes)
        {
            self.state = State::Undecided;
            return Ok(bytes.len());
        }
        let mut at = 0;
        if let State::Between { mut after_cr } = self.state {
            while let Some(byte) = bytes.get(at) {
                match (after_cr, byte) {
                    (false, b'\r') => after_cr = true,
                    (true, b'\n') => after_cr = false,
                    (false, b'\n') => return Err(BARE_LF),
                    (true, _) => return Err(Malformed("a carriage return without its line feed")),
                    (false, _) => break,
                }
                at += 1;
            }
            if at == bytes.len() {
                self.state = State::Between { after_cr };
                return Ok(at);
            }
            self.state = State::Head { line: 0, after_cr: false };
        }
        let State::Head { line, mut after_cr } = self.state else { return Ok(0) };
        let bytes = &bytes[at..];
        let mut lines = Lines { bytes, begun: 0, before: line, after_cr };
        let (words, rest) = bytes.as_chunks::<8>();
        for (n, word) in words.iter().enumerate() {
            let mut found = line_feeds(*word);
            while found != 0 {
                if let Some(end) = lines.feed(n * 8 + found.trailing_zeros() as usize / 8)? {
                    self.state = State::Undecided;
                    return Ok(at + end);
                }
                found &= found - 1;
            }
        }
        for (n, byte) in rest.iter().enumerate() {
            if *byte == b'\n'
                && let Some(end) = lines.feed(words.len() * 8 + n)?
            {
                self.state = State::Undecided;
                return Ok(at + end);
            }
        }
        if let Some(last) = bytes.last() {
            after_cr = *last == b'\r';
        }
        self.state = State::Head { line: lines.before + bytes.len() - lines.begun, after_cr };
        Ok(at + bytes.len())
    }

    fn chunked(&mut self, mut chunk: Chunk, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < bytes.len() {
            if let Chunk::Data(left) = chunk {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
                at += taken;
                let left = left - taken as u64;
                chunk = if left == 0 { Chunk::DataCr } else { Chunk::Data(left) };
                continue;
            }
            let byte = bytes[at];
            at += 1;
            chunk = match (chunk, byte) {
                (Chunk::EndLf, b'\n') => {
                    self.state = State::Between { after_cr: false };
                    return Ok(at);
                }
                (chunk, byte) => next(chunk, byte)?,
            };
        }
        self.state = State::Chunked(chunk);
        Ok(at)
    }
}

/// Whether these bytes are a whole head and nothing else, as most first reads are. Written so that the compiler looks at sixteen
/// bytes at once.
#[inline]
fn is_one_head(bytes: &[u8]) -> bool {
    let [first, second, .., b'\r', b'\n', b'\r', b'\n'] = bytes else { return false };
    let behind = bytes.len() - 1;
    // Three neighbours at a time, up to the last byte but one.
    let neighbours = bytes[..behind - 2].iter().zip(&bytes[1..behind - 1]).zip(&bytes[2..behind]);
    let mut wrong = false;
    for ((two_before, before), byte) in neighbours {
        let (ends_line, whole) = (*byte == b'\n', *before == b'\r');
        // A line feed by itself, or an empty line before the end.
        wrong |= ends_line & (!whole | (*two_before == b'\n'));
    }
    !wrong && *first > b'\r' && *second != b'\n'
}

/// The lines of a head, told where their line feeds are.
struct Lines<'a> {
    bytes: &'a [u8],
    /// Where the current line began, and how many bytes of it came before.
    begun: usize,
    before: usize,
    /// Whether the byte before these was a carriage return.
    after_cr: bool,
}

impl Lines<'_> {
    /// Returns where the head ends, if it does with this line feed.
    #[inline]
    fn feed(&mut self, at: usize) -> Result<Option<usize>, Malformed> {
        let cr = if at == 0 { self.after_cr } else { self.bytes[at - 1] == b'\r' };
        if !cr {
            return Err(BARE_LF);
        }
        if self.before + at - self.begun == 1 {
            return Ok(Some(at + 1));
        }
        (self.before, self.begun) = (0, at + 1);
        Ok(None)
    }
}

/// The highest bit of each byte that is a line feed, the first byte lowest.
#[inline]
fn line_feeds(word: [u8; 8]) -> u64 {
    const LOW: u64 = u64::from_ne_bytes([0x7f; 8]);
    const LF: u64 = u64::from_ne_bytes([b'\n'; 8]);
    let differs = u64::from_le_bytes(word) ^ LF;
    !(((differs & LOW) + LOW) | differs | LOW)
}

/// The step that one byte of chunked framing makes.
fn next(chunk: Chunk, byte: u8) -> Result<Chunk, Malformed> {
    Ok(match (chunk, byte) {
        (Chunk::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
            if digits == MAX_SIZE_DIGITS {
                return Err(Malformed("a chunk size of more than 16 digits"));
            }
            let digit = (byte as char).to_digit(16).unwrap_or_default();
            Chunk::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
        }
        (Chunk::Size { digits: 0, .. }, _) => return Err(Malformed("a chunk without a size")),
        (Chunk::Size { size, .. } | Chunk::AfterSize(size), b'\r') => Chunk::SizeLf(size),
        (Chunk::Size { size, .. } | Chunk::AfterSize(size), b';') => Chunk::Extension(size),
        (Chunk::Size { size, .. } | Chunk::AfterSize(size), b' ' | b'\t') => Chunk::AfterSize(size),
        (Chunk::Size { .. } | Chunk::AfterSize(_), _) => return Err(Malformed("a chunk size that is not hexadecimal")),
        (Chunk::Extension(size), b'\r') => Chunk::SizeLf(size),
        (Chunk::Extension(_), b'\n') => return Err(BARE_LF),
        (Chunk::Extension(_), ..=0x08 | 0x0a..=0x1f | 0x7f) => {
            return Err(Malformed("a control character in a chunk extension"));
        }
        (Chunk::Extension(size), _) => Chunk::Extension(size),
        (Chunk::SizeLf(0), b'\n') => Chunk::TrailerStart,
        (Chunk::SizeLf(size), b'\n') => Chunk::Data(size),
        (Chunk::DataCr, b'\r') => Chunk::DataLf,
        (Chunk::DataLf, b'\n') => Chunk::Size { size: 0, digits: 0 },
        (Chunk::DataCr | Chunk::DataLf, _) => return Err(Malformed("chunk data longer than its size")),
        (Chunk::TrailerStart, b'\r') => Chunk::EndLf,
        (Chunk::TrailerStart | Chunk::Trailer, b'\n') => return Err(BARE_LF),
        (Chunk::TrailerStart, b' ' | b'\t') => return Err(Malformed("a folded trailer line")),
        (Chunk::Trailer, b'\r') => Chunk::TrailerLf,
        (Chunk::TrailerStart | Chunk::Trailer, _) => Chunk::Trailer,
        (Chunk::TrailerLf, b'\n') => Chunk::TrailerStart,
        (Chunk::SizeLf(_) | Chunk::TrailerLf | Chunk::EndLf, _) => {
            return Err(Malformed("a carriage return without its line feed"));
        }
        (Chunk::Data(_), _) => return Err(Malformed("chunk data where there is none")),
    })
}

/// The most bytes that are taken for a single head at first.
const ONE_HEAD: usize = 2048;
const MAX_SIZE_DIGITS: u8 = 16;
const BARE_LF: Malformed = Malformed("a line feed without its carriage return");

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` in pieces of `step` and returns how many were taken until the current part was complete.
    fn feed(framing: &mut Framing, bytes: &[u8], step: usize) -> Result<usize, Malformed> {
        let mut taken = 0;
        for piece in bytes.chunks(step) {
            let n = framing.advance(piece)?;
            taken += n;
            if n < piece.len() || framing.is_undecided() {
                break;
            }
        }
        Ok(taken)
    }

    #[test]
    fn a_head_ends_at_its_empty_line_however_it_is_cut() {
        let text = b"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\nGET /next HTTP/1.1\r\n\r\n";
        let end = 4 + b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n".len();
        for step in 1..text.len() {
            let mut framing = Framing::new();
            assert_eq!(feed(&mut framing, text, step), Ok(end), "in pieces of {step}");
            assert!(framing.is_undecided());
        }
    }

    /// But for a first byte that is none of a request's, which is left to the other way.
    #[test]
    fn a_glance_sees_what_a_look_at_each_byte_sees() {
        let mut random = 1_u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let (mut whole, mut other) = (0, 0);
        for round in 0..20_000_u64 {
            let mut text = b"GET / HTTP/1.1\r\n".to_vec();
            for _ in 0..next(6) {
                let length = usize::try_from(1 + next(40)).unwrap();
                text.extend(std::iter::repeat_n(b'x', length));
                text.extend(b"\r\n");
            }
            text.extend(b"\r\n");
            // Mostly with a fault somewhere.
            if round % 4 != 0 {
                let at = usize::try_from(next(text.len() as u64)).unwrap();
                text[at] = b"\r\nx\0"[usize::try_from(next(4)).unwrap()];
            }
            let mut framing = Framing { state: State::Between { after_cr: false } };
            // By two, so that nothing is seen at a glance.
            let end = text.chunks(2).try_fold(0, |taken, piece| {
                let n = if framing.is_undecided() { 0 } else { framing.advance(piece).map_err(|_| ())? };
                Ok::<_, ()>(taken + n)
            });
            let is_one = end == Ok(text.len()) && framing.is_undecided() && text[0] > b'\r';
            let seen = is_one_head(&text);
            assert_eq!(seen, is_one, "{:?}", String::from_utf8_lossy(&text));
            *(if seen { &mut whole } else { &mut other }) += 1;
        }
        assert!(whole > 4_000 && other > 4_000, "{whole} {other}");
    }

    #[test]
    fn line_feeds_without_carriage_return_are_refused() {
        for text in [
            &b"GET / HTTP/1.1\nHost: h\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nHost: h\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\n\n",
            b"\nGET / HTTP/1.1\r\n\r\n",
        ] {
            for step in 1..text.len() {
                assert_eq!(feed(&mut Framing::new(), text, step), Err(BARE_LF), "{text:?} in pieces of {step}");
            }
        }
    }

    #[test]
    fn bodies_end_where_their_framing_says() {
        for (body, text, end) in [
            (BodyFraming::Length(3), &b"abcGET"[..], Ok(3)),
            (BodyFraming::Length(0), b"GET", Ok(3)),
            (BodyFraming::Chunked, b"3\r\nabc\r\n0\r\n\r\nGET", Ok(13)),
            (BodyFraming::Chunked, b"0003 ; a=\"b\"\r\nabc\r\n0\r\nT: v\r\n\r\nGET", Ok(30)),
            (BodyFraming::Chunked, b"3\nabc\r\n0\r\n\r\n", Err("a chunk size that is not hexadecimal")),
            (BodyFraming::Chunked, b"3;a\nabc\r\n0\r\n\r\n", Err("a line feed without its carriage return")),
            (BodyFraming::Chunked, b"3;a=\0\r\nabc\r\n0\r\n\r\n", Err("a control character in a chunk extension")),
            (BodyFraming::Chunked, b"3\r\nabcd\r\n0\r\n\r\n", Err("chunk data longer than its size")),
            (BodyFraming::Chunked, b"0\r\n\nGET", Err("a line feed without its carriage return")),
            (BodyFraming::Chunked, b"0\r\nT: v\nGET", Err("a line feed without its carriage return")),
            (BodyFraming::Chunked, b"\r\nabc", Err("a chunk without a size")),
            (BodyFraming::Chunked, b"0x3\r\nabc", Err("a chunk size that is not hexadecimal")),
            (BodyFraming::Chunked, b"00000000000000003\r\n", Err("a chunk size of more than 16 digits")),
            (BodyFraming::Raw, b"\n\0GET", Ok(5)),
        ] {
            for step in 1..=text.len() {
                let mut framing = Framing::new();
                framing.decide(body);
                let mut taken = 0;
                let mut failed = None;
                for piece in text.chunks(step) {
                    // What is not taken is offered again, as the connection does.
                    match framing.advance(piece) {
                        Ok(n) => taken += n,
                        Err(Malformed(reason)) => failed = Some(reason),
                    }
                    if failed.is_some() || (framing.is_between() && body != BodyFraming::Length(0)) {
                        break;
                    }
                }
                assert_eq!(failed.map_or(Ok(taken), Err), end, "{text:?} in pieces of {step}");
            }
        }
    }
}
