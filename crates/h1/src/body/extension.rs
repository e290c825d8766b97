//! The grammar of chunk extensions (RFC 9112 section 7.1.1).

use crate::leniency::Leniency;
use crate::syntax::{is_tchar, is_text, trim_ows_start};

/// Whether `text`, which is what stands between a chunk's size and the line end, is
/// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`.
///
/// Extensions are checked and thrown away: nobody acts on them, but a control byte or a bare CR in them is read as a line end
/// by some parsers, and then the two see different messages.
pub(super) fn is_valid(mut text: &[u8], leniency: Leniency) -> bool {
    loop {
        let after_space = trim_ows_start(text);
        match after_space {
            [] => return text.is_empty() || leniency.space_after_chunk_size,
            [b';', rest @ ..] => {
                let Some(rest) = skip_token(trim_ows_start(rest)) else { return false };
                text = rest;
                if let [b'=', value @ ..] = trim_ows_start(rest) {
                    let Some(rest) = skip_value(trim_ows_start(value)) else { return false };
                    text = rest;
                }
            }
            _ => return false,
        }
    }
}

fn skip_token(text: &[u8]) -> Option<&[u8]> {
    let len = text.iter().take_while(|&&b| is_tchar(b)).count();
    (len > 0).then(|| &text[len..])
}

/// Skips `token / quoted-string` (RFC 9110 section 5.6.4).
fn skip_value(text: &[u8]) -> Option<&[u8]> {
    let Some(mut quoted) = text.strip_prefix(b"\"") else { return skip_token(text) };
    loop {
        quoted = match quoted {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', escaped, rest @ ..] if is_text(*escaped) => rest,
            [b'\\', ..] => return None,
            [b, rest @ ..] if is_text(*b) => rest,
            _ => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions() {
        let strict = |text: &str| is_valid(text.as_bytes(), Leniency::STRICT);
        for good in ["", ";a", ";a=b", ";a=b;c", " ; a = b\t;c=\"x;\\\"y\"", ";a=\"\"", ";a=\"\u{e9}\""] {
            assert!(strict(good), "{good:?}");
        }
        for bad in [
            " ",
            ";",
            ";;a",
            ";a=",
            ";a=\"",
            ";a=\"\\",
            "; ",
            ";a ",
            "a",
            ";a\r",
            ";a\0",
            ";a=\"\r\"",
            ";a=\"\\\0\"",
            ";a=b c",
        ] {
            assert!(!strict(bad), "{bad:?}");
        }
        let padded = Leniency { space_after_chunk_size: true, ..Leniency::STRICT };
        assert!(is_valid(b"  ", padded) && !is_valid(b" x", padded));
    }
}
