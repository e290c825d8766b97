//! The one error of the request/response world, shared by bodies, transports and clients.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

/// Any error, boxed: what foreign bodies, streams and layers give us.
pub type BoxError = Box<dyn StdError + Send + Sync + 'static>;

/// A result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request, a response or a body failed, in one complete line.
///
/// **Shape**: `Display` reads *request: what went wrong (facts): cause*, on one line, lower case, without a final stop, for
/// example `GET http://127.0.0.1:9/: connect 127.0.0.1:9: connection refused (os error 111)`. Values from outside are escaped and
/// cut to a bounded length; passwords in URLs are masked. As with [`std::io::Error`], the direct cause is part of that line, so
/// [`source`](StdError::source) goes on *behind* it and a printer of error chains says nothing twice; [`cause`](Error::cause)
/// returns the direct cause itself, for downcasts.
///
/// Ask [`kind`](Error::kind) whose fault it was, [`phase`](Error::phase) when it happened, and [`was_sent`](Error::was_sent)
/// whether the server may have seen the request. One pointer wide.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    phase: Option<Phase>,
    sent: bool,
    message: Cow<'static, str>,
    request: Option<String>,
    facts: Option<String>,
    cause: Option<BoxError>,
}

/// Whose fault a failure is, and so what the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request itself cannot be sent: a bad URL, an unsupported scheme, a missing host. Repeating it will not help.
    Request,
    /// No connection could be made: the name did not resolve, or every address refused. Nothing was sent.
    Connect,
    /// The peer broke off: the connection ended or was reset before the message was complete.
    ConnectionLost,
    /// The peer spoke, but not HTTP as the RFCs have it.
    Protocol,
    /// A limit on size was passed: header bytes, header fields, or a body with a limit set.
    TooLarge,
    /// A time limit ran out.
    Timeout,
    /// Too much is going on already: a queue with a limit is full. Nothing was sent; later it may work.
    Overloaded,
    /// The work was given up: the transport, the server or the producer of a body went away.
    Canceled,
    /// The request's own body failed while it was being read for sending.
    Body,
    /// A redirect cannot be followed: there are too many, or it leads nowhere that can be requested.
    Redirect,
    /// The server answered with a status of 400 or above, and the caller had asked for that to be an error.
    Status,
    /// A complete body could not be understood: not UTF-8, not the JSON that was asked for.
    Decode,
    /// Everything else, mostly errors of foreign layers.
    Other,
}

/// How far a round trip had come, in the order in which the phases happen.
///
/// The words are those of Go's `httptrace`, put as phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Phase {
    /// Checking the request, before anything else.
    Prepare,
    /// Waiting for a connection of the pool.
    Queue,
    /// Resolving the host name.
    Dns,
    /// Opening the connection.
    Connect,
    /// Asking a proxy to let us through.
    Proxy,
    /// Securing the connection: the TLS handshake.
    Tls,
    /// Sending the request's head and body.
    Write,
    /// Waiting for the response's head.
    Wait,
    /// Reading the response's body.
    Body,
}

impl Phase {
    /// The phase in a word, as errors print it: `prepare`, `queue`, `dns`, `connect`, `proxy`, `tls`, `write`, `wait`,
    /// `body`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Prepare => "prepare",
            Phase::Queue => "queue",
            Phase::Dns => "dns",
            Phase::Connect => "connect",
            Phase::Proxy => "proxy",
            Phase::Tls => "tls",
            Phase::Write => "write",
            Phase::Wait => "wait",
            Phase::Body => "body",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Error {
    /// Makes an error that says `message`: lower case, no final stop, naming the offending value.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Error(Box::new(Inner { kind, phase: None, sent: false, message, request: None, facts: None, cause: None }))
    }

    /// Takes any error in: one of ours comes back as it was, however it was boxed; others become [`ErrorKind::Other`].
    #[must_use]
    pub fn from_boxed(cause: BoxError) -> Self {
        match cause.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(foreign) => Error::new(ErrorKind::Other, "").with_cause(foreign),
        }
    }

    /// Adds the cause. It is printed at the end of the line.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<BoxError>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Says in which phase it happened.
    #[must_use]
    pub fn with_phase(mut self, phase: Phase) -> Self {
        self.0.phase = Some(phase);
        self
    }

    /// Says which request failed. The user information of the URI is masked; a request named before is kept.
    #[must_use]
    pub fn with_request(mut self, method: &http::Method, uri: &http::Uri) -> Self {
        self.0.request.get_or_insert_with(|| format!("{method} {}", redacted(uri)));
        self
    }

    /// Adds facts about the attempt (peer, connection, bytes), printed in parentheses.
    #[must_use]
    pub fn with_facts(mut self, facts: impl Into<String>) -> Self {
        self.0.facts = Some(facts.into());
        self
    }

    /// Says whether bytes of the request may have reached the server.
    #[must_use]
    pub fn with_sent(mut self, sent: bool) -> Self {
        self.0.sent = sent;
        self
    }

    /// Whose fault it was.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// How far the round trip had come, if it was one.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        self.0.phase
    }

    /// Whether a time limit ran out.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.0.kind == ErrorKind::Timeout
    }

    /// Whether no connection could be made. Nothing was sent, so the request may be repeated.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        self.0.kind == ErrorKind::Connect
    }

    /// Whether the server may have seen the request: false promises that no byte of it was handed to the network.
    #[must_use]
    pub fn was_sent(&self) -> bool {
        self.0.sent
    }

    /// The direct cause, for downcasts, for example to [`std::io::Error`].
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        self.0.cause.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        let mut separator = "";
        if let Some(request) = &inner.request {
            f.write_str(request)?;
            separator = ": ";
        }
        if !inner.message.is_empty() {
            write!(f, "{separator}{}", inner.message)?;
            separator = ": ";
        }
        if let Some(facts) = &inner.facts {
            write!(f, " ({facts})")?;
        }
        if let Some(cause) = &inner.cause {
            write!(f, "{separator}{cause}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.debug_struct("Error")
            .field("kind", &inner.kind)
            .field("phase", &inner.phase)
            .field("sent", &inner.sent)
            .field("line", &self.to_string())
            .field("cause", &inner.cause)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.cause.as_ref().and_then(|cause| cause.source())
    }
}

/// The URI without its password: `user:***@host`.
fn redacted(uri: &http::Uri) -> Cow<'_, str> {
    let text = uri.to_string();
    let Some(authority) = uri.authority() else { return Cow::Owned(text) };
    let Some((user_info, host)) = authority.as_str().rsplit_once('@') else { return Cow::Owned(text) };
    let user = user_info.split_once(':').map_or("***", |(user, _)| user);
    Cow::Owned(text.replacen(authority.as_str(), &format!("{user}:***@{host}"), 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Error {
        Error::new(ErrorKind::Connect, "connect 127.0.0.1:9")
            .with_phase(Phase::Connect)
            .with_cause(std::io::Error::from(std::io::ErrorKind::ConnectionRefused))
    }

    #[test]
    fn one_line_says_request_what_facts_and_cause_once() {
        let uri = "http://127.0.0.1:9/x".parse().unwrap();
        let error = refused().with_request(&http::Method::GET, &uri).with_facts("attempt 2");
        assert_eq!(error.to_string(), "GET http://127.0.0.1:9/x: connect 127.0.0.1:9 (attempt 2): connection refused");
        assert!(error.source().is_none(), "the cause is in the line, so the chain must not repeat it");
        assert!(error.cause().unwrap().downcast_ref::<std::io::Error>().is_some());
    }

    #[test]
    fn passwords_are_masked() {
        let uri = "http://ann:secret@h.test/".parse().unwrap();
        let line = refused().with_request(&http::Method::GET, &uri).to_string();
        assert!(line.starts_with("GET http://ann:***@h.test/: "), "{line}");
    }

    #[test]
    fn a_token_alone_in_the_user_information_is_masked_too() {
        let uri = "http://token@h.test/".parse().unwrap();
        let line = refused().with_request(&http::Method::GET, &uri).to_string();
        assert!(line.starts_with("GET http://***:***@h.test/: "), "{line}");
    }

    #[test]
    fn a_boxed_error_of_ours_comes_back_unchanged() {
        let back = Error::from_boxed(Box::new(refused().with_sent(true)));
        assert_eq!((back.kind(), back.phase(), back.was_sent()), (ErrorKind::Connect, Some(Phase::Connect), true));
        let foreign = Error::from_boxed("odd".into());
        assert_eq!((foreign.kind(), foreign.to_string().as_str()), (ErrorKind::Other, "odd"));
    }
}
