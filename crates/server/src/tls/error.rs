//! Why TLS settings cannot be used.

use std::fmt;
use std::path::Path;

/// Why TLS settings cannot be used, in one line that names the file if there is one.
#[derive(Debug)]
pub struct TlsError {
    message: String,
}

impl TlsError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        TlsError { message: message.into() }
    }

    pub(super) fn rustls(cause: rustls::Error) -> Self {
        TlsError::new(cause.to_string())
    }

    pub(super) fn authorities(cause: impl fmt::Display) -> Self {
        TlsError::new(format!("authorities for client certificates: {cause}"))
    }

    pub(super) fn file(path: &Path, cause: impl fmt::Display) -> Self {
        TlsError::new(format!("{}: {cause}", path.display()))
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TlsError {}
