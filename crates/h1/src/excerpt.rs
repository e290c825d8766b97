//! A bounded, escaped piece of what the peer sent, for error messages.

use std::fmt;

/// The beginning of some offending bytes, kept inside an error.
///
/// **Shape**: prints in double quotes, with everything but printable ASCII escaped, and with `...` behind the closing quote
/// when bytes were left out. Nothing a peer sends can therefore break a log line or grow it.
///
/// **Units and bounds**: at most [`Excerpt::MAX`] bytes are kept, inline; copying one never allocates.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Excerpt {
    bytes: [u8; Excerpt::MAX],
    len: u8,
    cut: bool,
}

impl Excerpt {
    /// How many bytes of the original are kept.
    pub const MAX: usize = 40;

    /// Keeps the beginning of `bytes`.
    #[must_use]
    #[cold]
    pub fn new(bytes: &[u8]) -> Self {
        let kept = bytes.len().min(Self::MAX);
        let mut inline = [0; Self::MAX];
        inline[..kept].copy_from_slice(&bytes[..kept]);
        Excerpt { bytes: inline, len: u8::try_from(kept).unwrap_or(0), cut: bytes.len() > kept }
    }

    /// The bytes that were kept, unescaped.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Whether the original was longer.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.cut
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"{}", self.as_bytes().escape_ascii(), if self.cut { "..." } else { "" })
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_names_the_cut() {
        assert_eq!(Excerpt::new(b"a\r\n\"\xff").to_string(), r#""a\r\n\"\xff""#);
        let long = Excerpt::new(&[b'x'; 41]);
        assert!(long.is_cut());
        assert_eq!(long.to_string(), format!("\"{}\"...", "x".repeat(40)));
    }
}
