//! Text in other charsets than UTF-8.

use bytes::Bytes;
use encoding_rs::{Encoding, UTF_8};
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::media_type::MediaType;
use crate::{Error, ErrorKind, Result};

/// The charset of a message's text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Charset(&'static Encoding);

impl Charset {
    pub(crate) const UTF_8: Self = Charset(UTF_8);

    /// What `Content-Type` says; UTF-8 if it says nothing, or nothing that is known.
    pub(crate) fn of(fields: &HeaderMap) -> Self {
        let named = fields.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes).and_then(|value| {
            // Most often there is no parameter, or it is UTF-8: seen without taking the value apart.
            if value.ends_with(b"charset=utf-8") || !value.contains(&b';') {
                return None;
            }
            let media = MediaType::parse(std::str::from_utf8(value).ok()?);
            Encoding::for_label(media.parameter("charset")?.as_bytes())
        });
        Charset(named.unwrap_or(UTF_8))
    }
}

pub(crate) fn decode(bytes: Bytes, Charset(encoding): Charset) -> Result<String> {
    if encoding == UTF_8 {
        // Bytes that nobody else holds become the string without a copy.
        return String::from_utf8(bytes.into()).map_err(|error| {
            let (at, len) = (error.utf8_error().valid_up_to(), error.as_bytes().len());
            Error::new(ErrorKind::Decode, format!("the body is not UTF-8 text: byte {at} of {len} is not"))
        });
    }
    match encoding.decode_without_bom_handling_and_without_replacement(&bytes) {
        Some(text) => Ok(text.into_owned()),
        None => Err(Error::new(
            ErrorKind::Decode,
            format!("the body is not {} text, as its Content-Type says", encoding.name()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(content_type: &str, bytes: &'static [u8]) -> std::result::Result<String, String> {
        let mut fields = HeaderMap::new();
        fields.insert(CONTENT_TYPE, content_type.parse().unwrap());
        decode(Bytes::from_static(bytes), Charset::of(&fields)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_charset_of_the_field_is_used() {
        assert_eq!(text("text/html; charset=iso-8859-1", b"caf\xe9").unwrap(), "café");
        assert_eq!(text("text/plain;charset=\"Shift_JIS\"; x=y", b"\x93\xfa\x96\x7b").unwrap(), "日本");
        assert_eq!(text("text/plain; charset=utf-16le", b"h\0i\0").unwrap(), "hi");
        for utf8 in
            ["text/plain", "text/plain; charset=UTF-8", "text/plain; charset=klingon", "text/plain; charset", "?"]
        {
            assert_eq!(text(utf8, "é".as_bytes()).unwrap(), "é", "{utf8}");
            assert_eq!(text(utf8, b"a\xff").unwrap_err(), "the body is not UTF-8 text: byte 1 of 2 is not");
        }
        let error = text("text/plain; charset=shift_jis", b"\x93").unwrap_err();
        assert_eq!(error, "the body is not Shift_JIS text, as its Content-Type says");
    }
}
