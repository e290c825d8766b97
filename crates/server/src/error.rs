//! Why a server could not start or go on.

use std::fmt;
use std::io;

/// A result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a server could not listen or accept, in one line that names the address.
///
/// As with [`std::io::Error`], the cause is part of the line and [`source`](std::error::Error::source) goes on behind it.
#[derive(Debug)]
pub struct Error(Kind);

#[derive(Debug)]
enum Kind {
    Address { given: String, reason: String },
    Listen { addr: String, cause: io::Error },
    Accept { addr: String, cause: io::Error },
    Closed,
}

impl Error {
    pub(crate) fn address(given: &str, reason: impl fmt::Display) -> Self {
        Error(Kind::Address { given: given.chars().take(MAX_SHOWN).collect(), reason: reason.to_string() })
    }

    pub(crate) fn listen(addr: impl fmt::Display, cause: io::Error) -> Self {
        Error(Kind::Listen { addr: addr.to_string(), cause })
    }

    pub(crate) fn accept(addr: impl fmt::Display, cause: io::Error) -> Self {
        Error(Kind::Accept { addr: addr.to_string(), cause })
    }

    pub(crate) fn closed() -> Self {
        Error(Kind::Closed)
    }

    /// Whether the address itself is unusable: it does not parse or its name does not resolve.
    #[must_use]
    pub fn is_address(&self) -> bool {
        matches!(self.0, Kind::Address { .. })
    }

    /// Whether the operating system refused to listen: port in use, no permission, address not of this machine.
    #[must_use]
    pub fn is_listen(&self) -> bool {
        matches!(self.0, Kind::Listen { .. })
    }

    /// Whether the server had been shut down before: Go's `ErrServerClosed`.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.0, Kind::Closed)
    }

    /// The operating system's error, if one is the cause.
    #[must_use]
    pub fn io_error(&self) -> Option<&io::Error> {
        match &self.0 {
            Kind::Listen { cause, .. } | Kind::Accept { cause, .. } => Some(cause),
            Kind::Address { .. } | Kind::Closed => None,
        }
    }
}

/// As many characters of a bad address as an error repeats.
const MAX_SHOWN: usize = 128;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Address { given, reason } => write!(f, "listen address {given:?}: {reason}"),
            Kind::Listen { addr, cause } => write!(f, "listen {addr}: {cause}"),
            Kind::Accept { addr, cause } => write!(f, "accept on {addr}: {cause}"),
            Kind::Closed => f.write_str("the server was shut down"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.io_error().and_then(std::error::Error::source)
    }
}
