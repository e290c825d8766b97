//! What went wrong, and the exit code that says so.

use roundtrip::{Error, ErrorKind, Phase, TlsError, TlsProblem};

/// A message and an exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) code: u8,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let is_io = error.cause().is_some_and(|cause| cause.is::<std::io::Error>());
        let code = match (error.kind(), error.phase()) {
            (ErrorKind::Body, _) => 26,
            (ErrorKind::Request, _) if is_io => 26,
            (ErrorKind::Request, _) => 3,
            (ErrorKind::Timeout, _) => 28,
            (_, Some(Phase::Proxy)) => 97,
            (_, Some(Phase::Tls)) => tls(&error),
            (ErrorKind::Connect, Some(Phase::Dns)) => 6,
            (ErrorKind::Connect, _) => 7,
            (ErrorKind::Protocol, _) => 8,
            (ErrorKind::ConnectionLost, Some(Phase::Body)) => 18,
            (ErrorKind::Status, _) => 22,
            (ErrorKind::Redirect, _) => 47,
            (ErrorKind::ConnectionLost, Some(Phase::Wait)) => 52,
            (ErrorKind::TooLarge, _) => 63,
            _ => 56,
        };
        Failure { message: error.to_string(), code }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure { message: format!("cannot write the output: {error}"), code: 23 }
    }
}

/// A certificate that is not trusted, or anything else.
fn tls(error: &Error) -> u8 {
    let problem = error.cause().and_then(|cause| cause.downcast_ref::<TlsError>()).map(TlsError::problem);
    match problem {
        Some(
            TlsProblem::Expired
            | TlsProblem::NotYetValid
            | TlsProblem::WrongHost
            | TlsProblem::SelfSigned
            | TlsProblem::UnknownIssuer
            | TlsProblem::Revoked
            | TlsProblem::Certificate,
        ) => 60,
        _ => 35,
    }
}
