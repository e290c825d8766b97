//! What a pattern is: `[METHOD ][HOST]/[PATH]`, parsed once into a value that cannot be wrong.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use crate::clean;

/// A parsed pattern: Go's `ServeMux` pattern of 1.22 and later.
///
/// **Shape**: `[METHOD ][HOST]/[PATH]`.
/// - *METHOD* is any token of RFC 9110, in its exact case, ended by spaces or tabs. None means every method; `GET` also means
///   `HEAD`.
/// - *HOST* is compared byte by byte, without the request's port. None means every host.
/// - *PATH* is segments: a literal; `{name}`, exactly one segment that is not empty; `{name...}`, the rest, which may be empty;
///   `{$}`, the end after a slash. The last two stand only at the end, and a final slash is a rest without a name.
///
/// Literals are percent-decoded, segment by segment, so `/a%20b` and `/a b` are one pattern; a literal with a bad escape stands
/// for itself. Names are Unicode letters, digits and `_`, not beginning with a digit, each used once.
///
/// # Examples
/// ```
/// use roundtrip_mux::Pattern;
///
/// let pattern: Pattern = "GET example.com/files/{user}/{path...}".parse()?;
/// assert_eq!((pattern.method(), pattern.host()), (Some("GET"), Some("example.com")));
/// assert_eq!(pattern.wildcards().collect::<Vec<_>>(), ["user", "path"]);
///
/// let error = "GET /files/{user".parse::<Pattern>().unwrap_err();
/// assert_eq!(error.offset(), Some(11));
/// # Ok::<(), roundtrip_mux::PatternError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: Box<str>,
    method_len: usize,
    host: (usize, usize),
    segments: Box<[Segment]>,
}

/// One segment of a pattern's path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Segment {
    /// These bytes, after decoding. Empty only in a path that is not clean.
    Literal(Box<[u8]>),
    /// `{name}`: one segment that is not empty.
    Wild(Box<str>),
    /// `{name...}`, or a final slash: everything that follows, perhaps nothing.
    Rest(Option<Box<str>>),
    /// `{$}`: the end of the path, after a slash.
    End,
}

impl Pattern {
    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The method, or `None` for every method.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        Some(&self.text[..self.method_len]).filter(|method| !method.is_empty())
    }

    /// The host, or `None` for every host.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        Some(&self.text[self.host.0..self.host.1]).filter(|host| !host.is_empty())
    }

    /// The path as it was written, from its first slash.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.text[self.host.1..]
    }

    /// The names of the wildcards, in the order in which they stand.
    pub fn wildcards(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Wild(name) | Segment::Rest(Some(name)) => Some(&**name),
            Segment::Literal(_) | Segment::Rest(None) | Segment::End => None,
        })
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether a request with `method` may use this pattern, as far as the method goes.
    pub(crate) fn accepts_method(&self, method: &str) -> bool {
        self.method().is_none_or(|own| own == method || (own == "GET" && method == "HEAD"))
    }

    /// Whether the path ends in a rest, with or without a name.
    pub(crate) fn ends_in_rest(&self) -> bool {
        matches!(self.segments.last(), Some(Segment::Rest(_)))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        parse(text).map_err(|(offset, reason)| PatternError { pattern: text.into(), offset, reason })
    }
}

impl TryFrom<&str> for Pattern {
    type Error = PatternError;

    fn try_from(text: &str) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl TryFrom<&[u8]> for Pattern {
    type Error = PatternError;

    /// Parses bytes that may not be text.
    ///
    /// `Differs from Go:` a Go pattern may hold any bytes; here it is text, and other bytes are written as escapes (`%FF`).
    fn try_from(bytes: &[u8]) -> Result<Self, PatternError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => text.parse(),
            Err(error) => Err(PatternError {
                pattern: String::from_utf8_lossy(bytes).into(),
                offset: Some(error.valid_up_to()),
                reason: PatternFault::NotUtf8,
            }),
        }
    }
}

/// Why a text is not a pattern: where, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    pattern: Box<str>,
    offset: Option<usize>,
    reason: PatternFault,
}

impl PatternError {
    /// A fault that lies in how two texts were put together.
    pub(crate) fn whole(pattern: &str, reason: PatternFault) -> Self {
        PatternError { pattern: pattern.into(), offset: None, reason }
    }

    /// The byte offset at which the fault stands; `None` for the empty pattern and for faults of a mount's prefix.
    ///
    /// As in Go, a fault of a segment is put where the segment begins, a fault of the host and an unclean path where the host
    /// and the path would begin after a single blank.
    #[must_use]
    pub fn offset(&self) -> Option<usize> {
        self.offset
    }

    /// What is wrong.
    #[must_use]
    pub fn fault(&self) -> PatternFault {
        self.reason
    }

    /// The text that was to be a pattern.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid pattern {:?}", Shortened(&self.pattern))?;
        if let Some(offset) = self.offset {
            write!(f, " at offset {offset}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for PatternError {}

/// Prints at most the first 200 characters of a text, escaped.
struct Shortened<'a>(&'a str);

impl fmt::Debug for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(200) {
            Some((cut, _)) => write!(f, "{:?}...", &self.0[..cut]),
            None => write!(f, "{:?}", self.0),
        }
    }
}

/// What can be wrong with a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PatternFault {
    /// It is empty.
    Empty,
    /// It is not UTF-8.
    NotUtf8,
    /// What stands before the blank is not a method token.
    InvalidMethod,
    /// There is no slash, so neither a host nor a path.
    MissingSlash,
    /// A `{` before the first slash: hosts have no wildcards.
    BraceInHost,
    /// A method with a path that has `//`, `.` or `..`: such paths are redirected before they could match.
    UncleanPathWithMethod,
    /// A `{` inside a segment: a wildcard is a whole segment.
    WildcardNotAtSegmentStart,
    /// A segment begins with `{` and does not end with `}`.
    WildcardNotAtSegmentEnd,
    /// `{$}` before the end of the path.
    DollarNotAtEnd,
    /// `{name...}` before the end of the path.
    RestNotAtEnd,
    /// `{}` or `{...}`.
    EmptyWildcard,
    /// A wildcard's name is not an identifier.
    BadWildcardName,
    /// A wildcard's name is used twice.
    DuplicateWildcardName,
    /// The prefix of a mount has a method, or another blank.
    MethodInPrefix,
    /// Both the prefix of a mount and a pattern below it name a host.
    TwoHosts,
}

impl fmt::Display for PatternFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PatternFault::Empty => "it is empty; the pattern for everything is \"/\"",
            PatternFault::NotUtf8 => "it is not UTF-8; write other bytes as escapes such as %FF",
            PatternFault::InvalidMethod => "what stands before the blank is not a method",
            PatternFault::MissingSlash => "no slash: a path begins with one",
            PatternFault::BraceInHost => "a host has no wildcards (is a slash missing before it?)",
            PatternFault::UncleanPathWithMethod => {
                "a path with //, . or .. never matches, because such requests are redirected to the clean path first"
            }
            PatternFault::WildcardNotAtSegmentStart => "a wildcard is a whole segment: nothing may stand before its {",
            PatternFault::WildcardNotAtSegmentEnd => "a wildcard is a whole segment: it must end with }",
            PatternFault::DollarNotAtEnd => "{$} stands only at the end",
            PatternFault::RestNotAtEnd => "a {name...} wildcard stands only at the end",
            PatternFault::EmptyWildcard => "the wildcard has no name",
            PatternFault::BadWildcardName => {
                "a wildcard's name is letters, digits and underscores, and does not begin with a digit"
            }
            PatternFault::DuplicateWildcardName => "the wildcard's name is used twice",
            PatternFault::MethodInPrefix => "a prefix is a host and a path, without a method or blanks",
            PatternFault::TwoHosts => "the prefix and the pattern below it both name a host",
        })
    }
}

type Fault = (Option<usize>, PatternFault);

fn parse(text: &str) -> Result<Pattern, Fault> {
    if text.is_empty() {
        return Err((None, PatternFault::Empty));
    }
    let (method, rest, after_method) = match text.find(BLANKS) {
        Some(blank) => (&text[..blank], text[blank..].trim_start_matches(BLANKS), blank + 1),
        None => ("", text, 0),
    };
    if !is_token(method) {
        return Err((Some(0), PatternFault::InvalidMethod));
    }
    let Some(host_len) = rest.find('/') else { return Err((Some(after_method), PatternFault::MissingSlash)) };
    let (host, path) = rest.split_at(host_len);
    if let Some(brace) = host.find('{') {
        return Err((Some(after_method + brace), PatternFault::BraceInHost));
    }
    // Only CONNECT requests keep an unclean path, so that only they could match such a pattern.
    if !method.is_empty() && method != "CONNECT" && clean::clean_path(path) != path {
        return Err((Some(after_method + host_len), PatternFault::UncleanPathWithMethod));
    }
    let path_start = text.len() - path.len();
    let segments = parse_segments(path).map_err(|(at, reason)| (Some(path_start + at), reason))?;
    Ok(Pattern { text: text.into(), method_len: method.len(), host: (path_start - host_len, path_start), segments })
}

/// The segments of a path that begins with a slash, or the offset in it of the segment at fault.
fn parse_segments(path: &str) -> Result<Box<[Segment]>, (usize, PatternFault)> {
    let mut segments = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    let mut start = 1;
    for text in path[1..].split('/') {
        let last = start + text.len() == path.len();
        let segment = parse_segment(text, last).map_err(|reason| (start, reason))?;
        if let Segment::Wild(_) | Segment::Rest(Some(_)) = segment {
            let name = text[1..text.len() - 1].trim_end_matches("...");
            if names.contains(&name) {
                return Err((start, PatternFault::DuplicateWildcardName));
            }
            names.push(name);
        }
        segments.push(segment);
        start += text.len() + 1;
    }
    Ok(segments.into())
}

fn parse_segment(text: &str, last: bool) -> Result<Segment, PatternFault> {
    if text.is_empty() && last {
        return Ok(Segment::Rest(None));
    }
    match text.find('{') {
        None => return Ok(Segment::Literal(decode_literal(text).into())),
        Some(0) => {}
        Some(_) => return Err(PatternFault::WildcardNotAtSegmentStart),
    }
    let inner = text[1..].strip_suffix('}').ok_or(PatternFault::WildcardNotAtSegmentEnd)?;
    if inner == "$" {
        return if last { Ok(Segment::End) } else { Err(PatternFault::DollarNotAtEnd) };
    }
    let name = inner.strip_suffix("...");
    if name.is_some() && !last {
        return Err(PatternFault::RestNotAtEnd);
    }
    match name.unwrap_or(inner) {
        "" => Err(PatternFault::EmptyWildcard),
        bad if !is_identifier(bad) => Err(PatternFault::BadWildcardName),
        good if name.is_some() => Ok(Segment::Rest(Some(good.into()))),
        good => Ok(Segment::Wild(good.into())),
    }
}

/// The bytes that a literal segment stands for: decoded, unless one of its escapes is bad.
fn decode_literal(text: &str) -> Cow<'_, [u8]> {
    if clean::escapes_are_valid(text.as_bytes()) {
        percent_decode(text.as_bytes()).into()
    } else {
        Cow::Borrowed(text.as_bytes())
    }
}

/// Whether every character is one of a token's (RFC 9110, section 5.6.2). The empty text passes: it means no method.
fn is_token(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn is_identifier(name: &str) -> bool {
    name.chars().enumerate().all(|(at, c)| is_letter(c) || (at > 0 && is_digit(c)))
}

/// Go's letters: `_` and the categories Lu, Ll, Lt, Lm, Lo. `char::is_alphabetic` would also take marks and letter-like numbers.
fn is_letter(c: char) -> bool {
    use GeneralCategory::{LowercaseLetter, ModifierLetter, OtherLetter, TitlecaseLetter, UppercaseLetter};
    let letter = |c: char| {
        matches!(
            c.general_category(),
            UppercaseLetter | LowercaseLetter | TitlecaseLetter | ModifierLetter | OtherLetter
        )
    };
    c == '_' || c.is_ascii_alphabetic() || (!c.is_ascii() && letter(c))
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || (!c.is_ascii() && c.general_category() == GeneralCategory::DecimalNumber)
}

const BLANKS: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_error(text: &str, offset: impl Into<Option<usize>>, fault: PatternFault) {
        let error = text.parse::<Pattern>().expect_err(text);
        assert_eq!((error.offset(), error.fault()), (offset.into(), fault), "{text:?}");
    }

    #[test]
    fn parts_are_found() {
        let pattern: Pattern = "POST \t h.test/a/{id}/%41b/{rest...}".parse().unwrap();
        assert_eq!((pattern.method(), pattern.host()), (Some("POST"), Some("h.test")));
        assert_eq!(pattern.path(), "/a/{id}/%41b/{rest...}");
        let want = [
            Segment::Literal((*b"a").into()),
            Segment::Wild("id".into()),
            Segment::Literal((*b"Ab").into()),
            Segment::Rest(Some("rest".into())),
        ];
        assert_eq!(pattern.segments(), want);
    }

    #[test]
    fn a_final_slash_is_a_rest_and_a_dollar_is_the_end() {
        assert_eq!("/".parse::<Pattern>().unwrap().segments(), [Segment::Rest(None)]);
        assert_eq!("/{$}".parse::<Pattern>().unwrap().segments(), [Segment::End]);
        assert_eq!("//".parse::<Pattern>().unwrap().segments(), [Segment::Literal([].into()), Segment::Rest(None)]);
    }

    #[test]
    fn a_bad_escape_makes_the_whole_literal_stand_for_itself() {
        let pattern: Pattern = "/%41%zz/%41".parse().unwrap();
        let want = [Segment::Literal((*b"%41%zz").into()), Segment::Literal((*b"A").into())];
        assert_eq!(pattern.segments(), want);
    }

    #[test]
    fn faults_have_an_offset_and_a_reason() {
        check_error("", None, PatternFault::Empty);
        check_error("a", 0, PatternFault::MissingSlash);
        check_error("GET ", 4, PatternFault::MissingSlash);
        check_error("G@T /", 0, PatternFault::InvalidMethod);
        check_error("GET h{x}/", 5, PatternFault::BraceInHost);
        check_error("GET h/a//b", 5, PatternFault::UncleanPathWithMethod);
        check_error("/a/b{x}", 3, PatternFault::WildcardNotAtSegmentStart);
        check_error("/a/{x}b", 3, PatternFault::WildcardNotAtSegmentEnd);
        check_error("/{", 1, PatternFault::WildcardNotAtSegmentEnd);
        check_error("/a/{$}/", 3, PatternFault::DollarNotAtEnd);
        check_error("/a/{x...}/b", 3, PatternFault::RestNotAtEnd);
        check_error("/{}", 1, PatternFault::EmptyWildcard);
        check_error("/{...}", 1, PatternFault::EmptyWildcard);
        check_error("/{1a}", 1, PatternFault::BadWildcardName);
        check_error("/{\u{2167}}", 1, PatternFault::BadWildcardName);
        check_error("/{x}/{x...}", 5, PatternFault::DuplicateWildcardName);
    }

    #[test]
    fn names_may_be_of_any_script() {
        for text in ["/{_}", "/{ключ}", "/{名_2}", "/{x\u{0663}}"] {
            assert!(text.parse::<Pattern>().is_ok(), "{text}");
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_refused() {
        let error = Pattern::try_from(&b"/a\xff"[..]).unwrap_err();
        assert_eq!((error.offset(), error.fault()), (Some(2), PatternFault::NotUtf8));
    }

    #[test]
    fn the_message_names_pattern_place_and_reason_and_is_bounded() {
        let error = "/{x}b".parse::<Pattern>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid pattern \"/{x}b\" at offset 1: a wildcard is a whole segment: it must end with }"
        );
        let long = format!("/{}{{x}}", "a".repeat(5000)).parse::<Pattern>().unwrap_err();
        assert!(long.to_string().len() < 400);
    }
}
