//! Reading `Set-Cookie` and `Cookie`.

use super::{Cookie, CookieError, MAX_COOKIES, SameSite, is_token, is_value_byte};
use crate::HttpDate;

impl Cookie {
    /// Reads one `Set-Cookie` field's value: Go's `ParseSetCookie`.
    ///
    /// Attributes that are not understood land in [`unparsed`](Cookie::unparsed).
    ///
    /// # Errors
    /// The text is blank, has no `=`, or its name or value has characters that are not allowed.
    pub fn parse_set_cookie(line: &[u8]) -> Result<Self, CookieError> {
        let mut parts = trim(line).split(|byte| *byte == b';').map(trim);
        let first = parts.next().unwrap_or_default();
        if first.is_empty() && parts.clone().next().is_none() {
            return Err(CookieError::Blank);
        }
        let (name, value) = cut(first).ok_or(CookieError::MissingEquals)?;
        let mut cookie = pair(trim(name), value)?;
        for part in parts.filter(|part| !part.is_empty()) {
            cookie.read_attribute(part);
        }
        Ok(cookie)
    }

    /// Reads one `Cookie` field's value, and takes all of it or nothing: Go's `ParseCookie`.
    ///
    /// # Errors
    /// As [`parse_set_cookie`](Cookie::parse_set_cookie), or too many cookies.
    pub fn parse_request(line: &[u8]) -> Result<Vec<Self>, CookieError> {
        let line = trim(line);
        if line.is_empty() {
            return Err(CookieError::Blank);
        }
        if parts_of(line) > MAX_COOKIES {
            return Err(CookieError::TooMany);
        }
        let parts = line.split(|byte| *byte == b';').map(trim);
        parts
            .map(|part| cut(part).ok_or(CookieError::MissingEquals).and_then(|(name, value)| pair(name, value)))
            .collect()
    }

    /// Reads the values of all `Cookie` fields of one request, leaving out what is not understood. None at all if there are
    /// more than 3,000.
    #[must_use]
    pub fn parse_request_lines(lines: &[&[u8]]) -> Vec<Self> {
        if lines.iter().map(|line| parts_of(line)).sum::<usize>() > MAX_COOKIES {
            return Vec::new();
        }
        let parts = lines.iter().flat_map(|line| line.split(|byte| *byte == b';')).map(trim);
        let read = |part| {
            // A name alone is a cookie without a value.
            let (name, value) = cut(part).unwrap_or((part, b""));
            pair(trim(name), value).ok()
        };
        parts.filter_map(read).collect()
    }

    fn read_attribute(&mut self, part: &[u8]) {
        let (name, value) = cut(part).unwrap_or((part, b""));
        if !name.iter().all(|byte| (0x20..0x7f).contains(byte)) {
            return;
        }
        let understood = match read_value(value, false) {
            Some((value, _)) => self.set_attribute(&name.to_ascii_lowercase(), value),
            None => false,
        };
        if !understood {
            self.unparsed.push(part.to_vec());
        }
    }

    fn set_attribute(&mut self, name: &[u8], value: String) -> bool {
        match name {
            b"path" => self.path = value,
            b"domain" => self.domain = value,
            b"secure" => self.secure = true,
            b"httponly" => self.http_only = true,
            b"partitioned" => self.partitioned = true,
            b"samesite" => {
                self.same_site = Some(match value.to_ascii_lowercase().as_str() {
                    "lax" => SameSite::Lax,
                    "strict" => SameSite::Strict,
                    "none" => SameSite::None,
                    _ => SameSite::Default,
                });
            }
            b"max-age" => match value.parse::<i64>() {
                Ok(seconds) if seconds == 0 || !value.starts_with('0') => {
                    self.max_age = Some(if seconds <= 0 { -1 } else { seconds });
                }
                _ => return false,
            },
            b"expires" => {
                self.expires = HttpDate::parse_cookie_expires(&value);
                self.raw_expires = value;
                return self.expires.is_some();
            }
            _ => return false,
        }
        true
    }
}

fn parts_of(line: &[u8]) -> usize {
    line.iter().filter(|byte| **byte == b';').count() + 1
}

fn pair(name: &[u8], value: &[u8]) -> Result<Cookie, CookieError> {
    let name = std::str::from_utf8(name).ok().filter(|name| is_token(name.as_bytes()));
    let name = name.ok_or(CookieError::InvalidName)?;
    let (value, quoted) = read_value(value, true).ok_or(CookieError::InvalidValue)?;
    Ok(Cookie { quoted, ..Cookie::new(name, value) })
}

/// The value and whether it was quoted; `None` if it has characters that are not allowed.
fn read_value(text: &[u8], may_be_quoted: bool) -> Option<(String, bool)> {
    let unquoted = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).filter(|_| may_be_quoted);
    let value = unquoted.unwrap_or(text);
    let allowed = value.iter().all(|byte| is_value_byte(*byte));
    // Allowed bytes are ASCII.
    allowed.then(|| (String::from_utf8_lossy(value).into_owned(), unquoted.is_some()))
}

fn cut(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = text.iter().position(|byte| *byte == b'=')?;
    Some((&text[..equals], &text[equals + 1..]))
}

fn trim(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &text[start..end]
}
