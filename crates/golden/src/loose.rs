//! Messages of the files taken apart loosely: by eye, not by any rule of a parser, so that what a difference applies to is found
//! without the code that is checked.

use crate::latin1;

/// A size line with white space before its end.
#[must_use]
pub fn has_padded_size(input: &[u8]) -> bool {
    latin1(input).split("\r\n").any(|line| {
        let size = line.trim_end_matches([' ', '\t']);
        size.len() < line.len() && !size.is_empty() && size.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

/// What follows the last chunk, in lower case.
#[must_use]
pub fn trailer_section(input: &[u8]) -> String {
    let text = latin1(input).to_lowercase();
    text.rsplit_once("\r\n0\r\n").map_or(String::new(), |(_, rest)| rest.to_owned())
}

/// The head of the final response, taken apart loosely.
#[derive(Clone, Debug)]
pub struct LooseResponse {
    /// The whole line.
    pub status_line: String,
    /// Names in lower case, and trimmed values.
    pub fields: Vec<(String, String)>,
}

impl LooseResponse {
    /// Reads it, behind all interim responses.
    #[must_use]
    pub fn last(input: &[u8]) -> Self {
        let text = latin1(input);
        let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        loop {
            let status_line = lines.next().unwrap_or("").to_owned();
            let fields: Vec<_> = lines
                .by_ref()
                .take_while(|line| !line.is_empty())
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
                .collect();
            let interim = status_line.get(9..10) == Some("1") && status_line.get(9..12) != Some("101");
            if !interim {
                return LooseResponse { status_line, fields };
            }
        }
    }

    /// All values of a name.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<String> {
        self.fields.iter().filter(|(n, _)| n == name).map(|(_, value)| value.clone()).collect()
    }
}

/// Whether a request's target is neither a path, nor a URL, nor `*`.
#[must_use]
pub fn is_authority(target: &str) -> bool {
    !target.starts_with('/') && target != "*" && !target.contains("://")
}

/// The request behind the first `n` of a connection, taken apart loosely.
#[derive(Clone, Debug)]
pub struct LooseRequest {
    /// The first word.
    pub method: String,
    /// All between the first word and the last.
    pub target: String,
    /// The last word.
    pub version: String,
    /// Names in lower case, and trimmed values.
    pub fields: Vec<(String, String)>,
    /// Whether a line of the head begins with white space.
    pub has_fold: bool,
    /// What follows, up to the next request's line, with a line end before it.
    pub body: String,
}

impl LooseRequest {
    /// Reads it; all is empty if there is none.
    #[must_use]
    pub fn new(text: &str, n: usize) -> Self {
        // Request lines end with the version; bodies in these files never do.
        let is_start =
            |line: &str| line.trim_end().rsplit_once(' ').is_some_and(|(_, version)| version.starts_with("HTTP/"));
        let mut lines = text.split('\n');
        let start = lines.by_ref().filter(|line| is_start(line)).nth(n).unwrap_or("").trim_end();
        let mut words = start.split(' ');
        let method = words.next().unwrap_or("").to_owned();
        let version = words.next_back().unwrap_or("").to_owned();
        let target = words.collect::<Vec<_>>().join(" ");
        let head: Vec<_> =
            lines.by_ref().map(|line| line.trim_end_matches('\r')).take_while(|line| !line.is_empty()).collect();
        let has_fold = head.iter().any(|line| line.starts_with([' ', '\t']));
        let fields = head.iter().filter_map(|line| line.split_once(':'));
        let fields = fields.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
        let body = "\r\n".to_owned() + &lines.take_while(|line| !is_start(line)).collect::<Vec<_>>().join("\n");
        LooseRequest { method, target, version, fields, has_fold, body }
    }

    /// All values of a name.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<String> {
        self.fields.iter().filter(|(n, _)| n == name).map(|(_, value)| value.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_final_response_is_read_behind_interim_ones() {
        let head =
            LooseResponse::last(b"HTTP/1.1 103 Early\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\nA: 1\r\na:  2 \r\n\r\nrest");
        assert_eq!(
            (head.status_line.as_str(), head.values("a")),
            ("HTTP/1.1 200 OK", vec!["1".to_owned(), "2".to_owned()])
        );
    }

    #[test]
    fn requests_are_counted_by_their_first_lines() {
        let text = "GET /a HTTP/1.1\r\nHost: x\r\n\r\nbody\r\nPOST /b c HTTP/1.0\r\nx: y\r\n z\r\n\r\n";
        let (first, second) = (LooseRequest::new(text, 0), LooseRequest::new(text, 1));
        assert_eq!((first.target.as_str(), first.has_fold, first.body.as_str()), ("/a", false, "\r\nbody\r"));
        assert_eq!(
            (second.method.as_str(), second.target.as_str(), second.version.as_str()),
            ("POST", "/b c", "HTTP/1.0")
        );
        assert!(second.has_fold && LooseRequest::new(text, 2).method.is_empty());
    }

    #[test]
    fn chunks_are_looked_at_by_line() {
        assert!(has_padded_size(b"x\r\n5 \r\nhello\r\n0\r\n\r\n") && !has_padded_size(b"5\r\nhello\r\n"));
        assert_eq!(trailer_section(b"5\r\nhello\r\n0\r\nA: 1\r\n\r\n"), "a: 1\r\n\r\n");
    }
}
