//! Queries and forms: `application/x-www-form-urlencoded`.

use std::borrow::Cow;
use std::fmt;

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::media_type::MediaType;

/// The values of a query or a form, by name: Go's `url.Values`.
///
/// **Shape**: names and values in the order in which they came, any bytes, mostly UTF-8. [`encode`](FormValues::encode) sorts by
/// name, as Go's does, so that equal values make equal text.
///
/// ```
/// use roundtrip_types::FormValues;
///
/// let values = FormValues::parse(b"q=a+b&lang=en&q=%C3%A9")?;
/// assert_eq!(values.get("q").as_deref(), Some("a b"));
/// assert_eq!(values.all("q").collect::<Vec<_>>(), ["a b", "é"]);
/// assert_eq!(values.encode(), "lang=en&q=a+b&q=%C3%A9");
/// # Ok::<(), roundtrip_types::FormFault>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormValues {
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What is wrong with a query or a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormFault {
    /// A `;`, which once separated parameters. Ignored parameters hide attacks from whoever looks at them first.
    Semicolon,
    /// A `%` without two hexadecimal digits.
    BadEscape,
    /// More than 10,000 parameters. The limit stops a request from costing much more than its length.
    TooMany,
    /// The request's `Content-Type` is not understood.
    BadContentType,
    /// A POST, PUT or PATCH has no body at all.
    MissingBody,
}

impl fmt::Display for FormFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FormFault::Semicolon => {
                "a query or form has a semicolon: separate parameters with '&', write %3B in values"
            }
            FormFault::BadEscape => "a query or form has a '%' without two hexadecimal digits",
            FormFault::TooMany => "a query or form has more than 10000 parameters",
            FormFault::BadContentType => "the Content-Type of the form is not understood",
            FormFault::MissingBody => "the form has no body",
        })
    }
}

impl std::error::Error for FormFault {}

/// Go's limit (`urlmaxqueryparams`).
const MAX_PARAMETERS: usize = 10_000;

impl FormValues {
    /// No values.
    #[must_use]
    pub fn new() -> Self {
        FormValues::default()
    }

    /// Reads a query or a form body: Go's `url.ParseQuery`.
    ///
    /// # Errors
    /// The first escape that is none, a semicolon, or too many parameters. [`parse_lenient`](FormValues::parse_lenient) has the
    /// rest all the same.
    pub fn parse(text: &[u8]) -> Result<Self, FormFault> {
        match FormValues::parse_lenient(text) {
            (values, None) => Ok(values),
            (_, Some(fault)) => Err(fault),
        }
    }

    /// Reads a query or a form body, leaving out what is not understood; also says what that was.
    #[must_use]
    pub fn parse_lenient(text: &[u8]) -> (Self, Option<FormFault>) {
        let mut values = FormValues::new();
        if text.iter().filter(|byte| **byte == b'&').count() >= MAX_PARAMETERS {
            return (values, Some(FormFault::TooMany));
        }
        let mut fault = None;
        for parameter in text.split(|byte| *byte == b'&').filter(|parameter| !parameter.is_empty()) {
            if parameter.contains(&b';') {
                fault = Some(FormFault::Semicolon);
                continue;
            }
            let equals = parameter.iter().position(|byte| *byte == b'=');
            let (name, value) = match equals {
                Some(at) => (&parameter[..at], &parameter[at + 1..]),
                None => (parameter, &b""[..]),
            };
            match (unescape(name), unescape(value)) {
                (Some(name), Some(value)) => values.pairs.push((name, value)),
                _ => fault = fault.or(Some(FormFault::BadEscape)),
            }
        }
        (values, fault)
    }

    /// Adds a value.
    pub fn append(&mut self, name: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.pairs.push((name.into(), value.into()));
    }

    /// The first value of that name; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.all(name).next()
    }

    /// All values of that name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = Cow<'_, str>> {
        let same = move |(known, _): &&(Vec<u8>, Vec<u8>)| known == name.as_bytes();
        self.pairs.iter().filter(same).map(|(_, value)| String::from_utf8_lossy(value))
    }

    /// Names and values in order, as bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.pairs.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// The text, names sorted: Go's `Values.Encode`.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut sorted: Vec<_> = self.pairs.iter().collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        let mut text = String::new();
        sorted.into_iter().for_each(|(name, value)| append_query(&mut text, name, value));
        text
    }
}

impl<N: Into<Vec<u8>>, V: Into<Vec<u8>>> FromIterator<(N, V)> for FormValues {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        FormValues { pairs: pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }
}

/// Appends `name=value` to a query or a form, escaped, with `&` before it unless the text is empty or ends in `&` or `?`.
pub fn append_query(text: &mut String, name: &[u8], value: &[u8]) {
    if !text.is_empty() && !text.ends_with(['&', '?']) {
        text.push('&');
    }
    escape(text, name);
    text.push('=');
    escape(text, value);
}

/// All but the unreserved characters of RFC 3986, section 2.3; a space becomes `+` later.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');

fn escape(text: &mut String, bytes: &[u8]) {
    for piece in percent_encode(bytes, ESCAPED) {
        text.extend(piece.chars().map(|char| if char == ' ' { '+' } else { char }));
    }
}

fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(*digit).to_digit(16));
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => *byte,
        });
    }
    Some(bytes)
}

/// The form of a request: what Go's `Request.ParseForm` leaves in `Form` and `PostForm`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// The body's values, then the query's.
    pub all: FormValues,
    /// The values of the body alone.
    pub body: FormValues,
    /// What was not understood and left out, the body's fault before the query's.
    pub fault: Option<FormFault>,
}

impl Form {
    /// Reads the form of a request with these parts. The body counts for POST, PUT and PATCH, if `content_type` says that it is
    /// `application/x-www-form-urlencoded`; `None` stands for a request that cannot have one.
    #[must_use]
    pub fn parse(method: &Method, query: &[u8], content_type: Option<&[u8]>, body: Option<&[u8]>) -> Self {
        let mut form = Form::default();
        if Form::reads_body(method) {
            (form.body, form.fault) = Form::parse_body(content_type, body);
        }
        form.all.pairs.clone_from(&form.body.pairs);
        let (query, fault) = FormValues::parse_lenient(query);
        form.all.pairs.extend(query.pairs);
        form.fault = form.fault.or(fault);
        form
    }

    /// Whether the body of a request with this method can count.
    pub(crate) fn reads_body(method: &Method) -> bool {
        [Method::POST, Method::PUT, Method::PATCH].contains(method)
    }

    /// Whether a body with this `Content-Type` is a form.
    #[must_use]
    pub fn is_form(content_type: &[u8]) -> bool {
        MediaType::parse(&String::from_utf8_lossy(content_type)).essence == ESSENCE
    }

    fn parse_body(content_type: Option<&[u8]>, body: Option<&[u8]>) -> (FormValues, Option<FormFault>) {
        let Some(body) = body else { return (FormValues::new(), Some(FormFault::MissingBody)) };
        // No type means application/octet-stream (RFC 9110, section 8.3), and so does an empty one in Go.
        let Some(content_type) = content_type.filter(|text| !text.is_empty()) else { return Default::default() };
        let media = MediaType::parse(&String::from_utf8_lossy(content_type));
        let type_fault = (!media.valid).then_some(FormFault::BadContentType);
        if media.essence != ESSENCE {
            return (FormValues::new(), type_fault);
        }
        let (values, fault) = FormValues::parse_lenient(body);
        (values, type_fault.or(fault))
    }
}

const ESSENCE: &str = "application/x-www-form-urlencoded";
