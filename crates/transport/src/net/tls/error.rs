//! What is wrong with a handshake.

use std::error::Error as StdError;
use std::fmt;

use roundtrip_types::BoxError;

/// Why a connection could not be secured: the [cause](roundtrip_types::Error::cause) of errors of phase
/// [`Tls`](roundtrip_types::Phase::Tls).
///
/// **Shape**: `Display` is one line without the host that was dialed, such as *the certificate expired on 2024-02-29 12:00 UTC*.
#[derive(Debug)]
pub struct TlsError {
    problem: TlsProblem,
    message: String,
    source: Option<BoxError>,
}

/// What is wrong, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsProblem {
    /// The certificate's time is over.
    Expired,
    /// The certificate's time has not come.
    NotYetValid,
    /// The certificate is for other hosts.
    WrongHost,
    /// The certificate vouches for itself, and is not trusted here.
    SelfSigned,
    /// The certificate was issued by nobody that is trusted here.
    UnknownIssuer,
    /// The certificate was revoked.
    Revoked,
    /// The certificate is invalid in some other way.
    Certificate,
    /// The peer does not speak TLS but plain HTTP.
    PlainHttp,
    /// The peer does not speak TLS.
    NotTls,
    /// The peer refused, with an alert.
    Alert,
    /// The connection ended or broke during the handshake.
    ConnectionLost,
    /// There is no version, cipher suite or the like that both sides have, or the peer broke the protocol.
    Protocol,
    /// Our own settings.
    Configuration,
}

impl TlsError {
    pub(crate) fn new(problem: TlsProblem, message: impl Into<String>) -> Self {
        TlsError { problem, message: message.into(), source: None }
    }

    #[cfg(feature = "tls")]
    pub(crate) fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> TlsProblem {
        self.problem
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for TlsError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
