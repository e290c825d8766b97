//! `Content-Type` values.

/// What a `Content-Type` field says (RFC 9110, section 8.3.1), read as Go's `mime.ParseMediaType` reads it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MediaType {
    /// Type and subtype in lower case; empty if they are not understood.
    pub(crate) essence: String,
    /// Names in lower case, in order.
    pub(crate) parameters: Vec<(String, String)>,
    /// Whether all of it was understood. The essence may be good when a parameter is not.
    pub(crate) valid: bool,
}

impl MediaType {
    pub(crate) fn parse(text: &str) -> Self {
        let (base, mut rest) = text.split_at(text.find(';').unwrap_or(text.len()));
        let essence = base.trim().to_ascii_lowercase();
        let invalid = |essence: String| MediaType { essence, parameters: Vec::new(), valid: false };
        if !is_essence(&essence) {
            return invalid(String::new());
        }
        let mut parameters: Vec<(String, String)> = Vec::new();
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                break;
            }
            let Some((name, value, after)) = parameter(rest) else {
                if rest.trim_end() == ";" {
                    break;
                }
                return invalid(essence);
            };
            match parameters.iter().find(|(known, _)| *known == name) {
                // Saying the same twice is sloppy, saying two things is nonsense.
                Some((_, known)) if *known != value => return invalid(String::new()),
                Some(_) => {}
                None => parameters.push((name, value)),
            }
            rest = after;
        }
        MediaType { essence, parameters, valid: true }
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A token, or two with a slash between them.
fn is_essence(text: &str) -> bool {
    let (main, rest) = token(text);
    !main.is_empty()
        && (rest.is_empty() || rest.strip_prefix('/').is_some_and(|sub| !sub.is_empty() && token(sub).1.is_empty()))
}

/// Reads `; name=value`.
fn parameter(text: &str) -> Option<(String, String, &str)> {
    let (name, rest) = token(text.strip_prefix(';')?.trim_start());
    let rest = rest.trim_start().strip_prefix('=').filter(|_| !name.is_empty())?.trim_start();
    let (value, rest) = match rest.strip_prefix('"') {
        Some(quoted) => unquote(quoted)?,
        None => match token(rest) {
            ("", _) => return None,
            (value, rest) => (value.to_owned(), rest),
        },
    };
    Some((name.to_ascii_lowercase(), value, rest))
}

/// Reads a quoted string whose first quote has been read.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\r' | '\n' => return None,
            // Windows paths are sent with single backslashes: only what needs escaping is taken for escaped.
            '\\' => match chars.next_if(|(_, next)| is_special(*next)) {
                Some((_, escaped)) => value.push(escaped),
                None => value.push('\\'),
            },
            char => value.push(char),
        }
    }
    None
}

/// The token that the text starts with, and the rest.
fn token(text: &str) -> (&str, &str) {
    let is_token = |char: char| char.is_ascii_graphic() && !is_special(char);
    text.split_at(text.find(|char| !is_token(char)).unwrap_or(text.len()))
}

/// The separators of RFC 2045, section 5.1.
fn is_special(char: char) -> bool {
    r#"()<>@,;:\"/[]?="#.contains(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn essence_and_parameters() {
        for (text, essence, charset, valid) in [
            ("text/html; charset=utf-8", "text/html", Some("utf-8"), true),
            (" Text/HTML ;CHARSET = \"UTF-8\" ; x=y", "text/html", Some("UTF-8"), true),
            ("text/html;", "text/html", None, true),
            ("text/html; charset=\"a\\\"b\"", "text/html", Some("a\"b"), true),
            ("text/html; charset=\"\"", "text/html", Some(""), true),
            ("text/html; charset=", "text/html", None, false),
            ("text/html; charset=\"open", "text/html", None, false),
            ("text/html; charset", "text/html", None, false),
            ("text/html; a=1; a=1", "text/html", None, true),
            ("text/html; a=1; a=2", "", None, false),
            ("text/html, text/plain", "", None, false),
            ("text", "text", None, true),
            ("text/", "", None, false),
            ("", "", None, false),
        ] {
            let parsed = MediaType::parse(text);
            assert_eq!(
                (parsed.essence.as_str(), parsed.parameter("charset"), parsed.valid),
                (essence, charset, valid),
                "{text}"
            );
        }
    }
}
