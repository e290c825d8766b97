//! Writing cookies, and checking them.

use std::fmt::Write;
use std::net::Ipv4Addr;

use super::{Cookie, CookieError, SameSite, is_path_byte, is_token, is_value_byte};

impl Cookie {
    /// The value of a `Set-Cookie` field: Go's `Cookie.String`.
    ///
    /// `None` if the name is invalid. Bytes of value and path that are not allowed are left out, and so are an invalid domain
    /// and expiry: ask [`validate`](Cookie::validate) first if that matters. A value with a space or a comma is quoted.
    #[must_use]
    pub fn to_set_cookie(&self) -> Option<String> {
        if !is_token(self.name.as_bytes()) {
            return None;
        }
        let mut text = format!("{}={}", self.name, self.written_value());
        let mut add = |attribute: std::fmt::Arguments<'_>| {
            // Writing to a string cannot fail.
            let _ = write!(text, "; {attribute}");
        };
        if !self.path.is_empty() {
            add(format_args!("Path={}", keep(&self.path, is_path_byte)));
        }
        if is_domain(&self.domain) {
            add(format_args!("Domain={}", self.domain.strip_prefix('.').unwrap_or(&self.domain)));
        }
        if let Some(expires) = self.expires.filter(|expires| expires.year() >= FIRST_YEAR) {
            add(format_args!("Expires={expires}"));
        }
        if let Some(seconds) = self.max_age {
            add(format_args!("Max-Age={}", seconds.max(0)));
        }
        if self.http_only {
            add(format_args!("HttpOnly"));
        }
        if self.secure {
            add(format_args!("Secure"));
        }
        match self.same_site {
            Some(SameSite::Lax) => add(format_args!("SameSite=Lax")),
            Some(SameSite::Strict) => add(format_args!("SameSite=Strict")),
            Some(SameSite::None) => add(format_args!("SameSite=None")),
            Some(SameSite::Default) | None => {}
        }
        if self.partitioned {
            add(format_args!("Partitioned"));
        }
        Some(text)
    }

    /// The text `name=value` in a request's `Cookie` field: what Go's `Request.AddCookie` adds.
    ///
    /// Line breaks in the name become `-`, so that it cannot end the field; otherwise the name is not checked.
    #[must_use]
    pub fn to_request_pair(&self) -> String {
        format!("{}={}", self.name.replace(['\n', '\r'], "-"), self.written_value())
    }

    /// Checks everything that is written: Go's `Cookie.Valid`.
    ///
    /// # Errors
    /// The first problem, in the order of name, expiry, value, path, domain, `Partitioned`.
    pub fn validate(&self) -> Result<(), CookieError> {
        let all = |text: &str, allowed: fn(u8) -> bool| text.bytes().all(allowed);
        match () {
            () if !is_token(self.name.as_bytes()) => Err(CookieError::InvalidName),
            () if self.expires.is_some_and(|expires| expires.year() < FIRST_YEAR) => Err(CookieError::InvalidExpires),
            () if !all(&self.value, is_value_byte) => Err(CookieError::InvalidValue),
            () if !all(&self.path, is_path_byte) => Err(CookieError::InvalidPath),
            () if !self.domain.is_empty() && !is_domain(&self.domain) => Err(CookieError::InvalidDomain),
            () if self.partitioned && !self.secure => Err(CookieError::PartitionedWithoutSecure),
            () => Ok(()),
        }
    }

    fn written_value(&self) -> String {
        let value = keep(&self.value, is_value_byte);
        if self.quoted || value.contains([' ', ',']) { format!("\"{value}\"") } else { value }
    }
}

/// RFC 6265, section 5.1.1: a year before this is no date for a cookie.
const FIRST_YEAR: i64 = 1601;

fn keep(text: &str, allowed: fn(u8) -> bool) -> String {
    // Allowed bytes are ASCII, so that whole characters are kept or left out.
    text.chars().filter(|char| u8::try_from(*char).is_ok_and(|byte| byte.is_ascii() && allowed(byte))).collect()
}

/// A host name with a letter in it, perhaps after a dot, or an IPv4 address.
fn is_domain(text: &str) -> bool {
    is_domain_name(text) || text.parse::<Ipv4Addr>().is_ok()
}

fn is_domain_name(text: &str) -> bool {
    let name = text.strip_prefix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A dot at the end is allowed: it marks the name as complete.
    text.len() <= 255
        && name.strip_suffix('.').unwrap_or(name).split('.').all(label)
        && name.bytes().any(|byte| byte.is_ascii_alphabetic())
}
