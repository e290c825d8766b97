//! What came of a request, for logs and metrics.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{HeaderValue, REFERER, USER_AGENT};
use http::{Method, StatusCode, Uri, Version};
use roundtrip_types::{Request, Route, RouteWatch};

use crate::{Addr, ResponseController};

/// One request and what came of it.
///
/// **Shape**: `Display` is a line for an access log: peer, request line without the query, status, bytes of the response's body,
/// seconds, pattern. Queries are left out because they may hold secrets; what is from the client is escaped.
#[derive(Debug)]
pub struct Exchange {
    method: Method,
    uri: Uri,
    version: Version,
    peer: Option<Addr>,
    user_agent: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    watch: RouteWatch,
    route: Option<Arc<Route>>,
    started: Instant,
    status: Option<StatusCode>,
    head_after: Option<Duration>,
    elapsed: Duration,
    body_bytes: u64,
    outcome: Outcome,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The whole response was handed to the connection.
    Complete,
    /// The response's body failed; the client saw that it was cut off.
    BodyFailed,
    /// The handler or the body was dropped before its end: the client is gone, or the server stopped.
    Dropped,
    /// The handler panicked. What the client got is decided further out.
    Panicked,
}

impl Outcome {
    /// The outcome in a word, as the log has it: `complete`, `body-failed`, `dropped`, `panicked`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Complete => "complete",
            Outcome::BodyFailed => "body-failed",
            Outcome::Dropped => "dropped",
            Outcome::Panicked => "panicked",
        }
    }
}

impl Exchange {
    /// Begins with a request, and asks its router to say which route it takes.
    pub(super) fn begin(req: &mut Request) -> Self {
        // A watch further out keeps its own, so that both are told.
        let watch = req.extensions_mut().get_or_insert_default::<RouteWatch>().clone();
        let fields = req.headers();
        Exchange {
            method: req.method().clone(),
            uri: req.uri().clone(),
            version: req.version(),
            peer: ResponseController::current().map(|control| control.info().remote.clone()),
            user_agent: fields.get(USER_AGENT).cloned(),
            referer: fields.get(REFERER).cloned(),
            watch,
            route: None,
            started: Instant::now(),
            status: None,
            head_after: None,
            elapsed: Duration::ZERO,
            body_bytes: 0,
            outcome: Outcome::Dropped,
        }
    }

    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
        self.head_after = Some(self.started.elapsed());
    }

    pub(super) fn sent(&mut self, bytes: u64) {
        self.body_bytes += bytes;
    }

    pub(super) fn end(&mut self, outcome: Outcome) {
        self.outcome = outcome;
        self.elapsed = self.started.elapsed();
        self.route = self.watch.route();
    }

    /// The request's method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The request's URI, its query included.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The version of HTTP.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The client's end of the connection; `None` if no server of this crate hosts the handler.
    #[must_use]
    pub fn peer(&self) -> Option<&Addr> {
        self.peer.as_ref()
    }

    /// The request's `User-Agent`, if it is text.
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_ref().and_then(|value| value.to_str().ok())
    }

    /// The request's `Referer`, if it is text.
    #[must_use]
    pub fn referer(&self) -> Option<&str> {
        self.referer.as_ref().and_then(|value| value.to_str().ok())
    }

    /// The pattern that a mux found for the request, for example `GET /users/{id}`; empty if none did. Of a bounded number of
    /// values, and so fit to label a metric, as the path is not.
    #[must_use]
    pub fn pattern(&self) -> &str {
        self.route.as_deref().map_or("", Route::pattern)
    }

    /// The response's status; `None` if the handler made no response.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// How long the handler took to return its response; `None` if it made none.
    #[must_use]
    pub fn head_after(&self) -> Option<Duration> {
        self.head_after
    }

    /// How long all of it took, until the last byte of the body was handed to the connection.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// How many bytes of the response's body were handed to the connection. 0 for `HEAD`.
    #[must_use]
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// How it ended.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.peer {
            Some(peer) => write!(f, "{peer} ")?,
            None => f.write_str("- ")?,
        }
        write!(f, "\"{} {} {:?}\" ", self.method, Escaped(self.uri.path()), self.version)?;
        match self.status {
            Some(status) => write!(f, "{}", status.as_u16())?,
            None => f.write_str("-")?,
        }
        write!(f, " {} {:.6}", self.body_bytes, self.elapsed.as_secs_f64())?;
        match self.pattern() {
            "" => f.write_str(" -")?,
            pattern => write!(f, " \"{pattern}\"")?,
        }
        match self.outcome {
            Outcome::Complete => Ok(()),
            other => write!(f, " {}", other.as_str()),
        }
    }
}

/// Text of a client, in one line of a log.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars().take(MAX_SHOWN) {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "{}", c.escape_default())?,
                c => fmt::Write::write_char(f, c)?,
            }
        }
        Ok(())
    }
}

/// As many characters of a path as a line repeats.
const MAX_SHOWN: usize = 1024;
