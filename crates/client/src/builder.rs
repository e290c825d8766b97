//! Making a client step by step.

use std::sync::Arc;
use std::time::Duration;

use http::header::USER_AGENT;
use http::{HeaderName, HeaderValue};
use roundtrip_transport::{Transport, TransportConfig};
use roundtrip_types::{Error, ErrorKind, Phase, Result, RoundTripper};

use crate::client::{Client, ClientConfig};
use crate::cookies::{Jar, MemoryJar};
use crate::redirect::RedirectPolicy;

/// Makes a [`Client`] step by step; the same settings as in [`ClientConfig`] and [`TransportConfig`], which can be filled in directly as
/// well.
///
/// **Shape**: each step returns the builder. What is wrong with a value (a field that is none) is said at the end, by
/// [`build`](Self::build).
///
/// ```
/// use std::time::Duration;
/// use roundtrip_client::Client;
///
/// let client = Client::builder()
///     .timeout(Duration::from_secs(10))
///     .user_agent("reader/1.0")
///     .header("accept", "application/json")
///     .cookies()
///     .transport(|transport| transport.max_conns_per_host = Some(8))
///     .build()?;
/// assert_eq!(client.config().headers["user-agent"], "reader/1.0");
/// # Ok::<(), roundtrip_types::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct ClientBuilder {
    config: ClientConfig,
    transport: TransportConfig,
    /// The first thing that was wrong.
    fault: Option<Error>,
}

impl ClientBuilder {
    /// See [`ClientConfig::timeout`].
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.config.timeout = Some(limit);
        self
    }

    /// Adds a field that is sent with every request that does not have it itself, see [`ClientConfig::headers`]. A field of the same
    /// name from before is replaced.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: Into<http::Error>>,
        V: TryInto<HeaderValue, Error: Into<http::Error>>,
    {
        let field = name.try_into().map_err(Into::into).and_then(|name| {
            let value = value.try_into().map_err(Into::into)?;
            Ok((name, value))
        });
        match field {
            Ok((name, value)) => {
                self.config.headers.insert(name, value);
            }
            Err(error) => self.fail("a field for every request is none", error),
        }
        self
    }

    /// What `User-Agent` says. Default `roundtrip/VERSION`.
    pub fn user_agent(self, value: &str) -> Self {
        self.header(USER_AGENT, value)
    }

    /// See [`ClientConfig::redirects`].
    pub fn redirects(mut self, policy: RedirectPolicy) -> Self {
        self.config.redirects = policy;
        self
    }

    /// Keeps cookies in memory, in a new [`MemoryJar`].
    pub fn cookies(self) -> Self {
        self.jar(Arc::new(MemoryJar::new()))
    }

    /// Keeps cookies in `jar`, see [`ClientConfig::jar`].
    pub fn jar(mut self, jar: Arc<dyn Jar>) -> Self {
        self.config.jar = Some(jar);
        self
    }

    /// See [`ClientConfig::max_body`]; bytes.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.config.max_body = Some(bytes);
        self
    }

    /// Changes settings of the transport: limits on connections, time limits by phase, proxies, TLS.
    pub fn transport(mut self, change: impl FnOnce(&mut TransportConfig)) -> Self {
        change(&mut self.transport);
        self
    }

    /// The client, with a new [`Transport`].
    ///
    /// # Errors
    /// Kind `Request`, phase `Prepare`: a field that is none.
    pub fn build(self) -> Result<Client> {
        let transport = Transport::with_config(self.transport.clone());
        self.build_over(transport)
    }

    /// The client, over a round tripper of your own; settings of the transport that were made here have no effect.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn build_over<T: RoundTripper>(self, transport: T) -> Result<Client<T>> {
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(Client::with_config(transport, self.config)),
        }
    }

    fn fail(&mut self, what: &'static str, cause: http::Error) {
        self.fault
            .get_or_insert_with(|| Error::new(ErrorKind::Request, what).with_cause(cause).with_phase(Phase::Prepare));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_arrives() {
        let client = Client::builder()
            .timeout(Duration::from_secs(3))
            .header("x-a", "1")
            .header("x-a", "2")
            .redirects(RedirectPolicy::none())
            .cookies()
            .max_body(100)
            .transport(|transport| transport.max_idle_conns = 7)
            .build()
            .unwrap();
        let config = client.config();
        assert_eq!(
            (config.timeout, config.max_body, config.jar.is_some()),
            (Some(Duration::from_secs(3)), Some(100), true)
        );
        assert_eq!(config.headers["x-a"], "2");
        assert_eq!(client.transport().config().max_idle_conns, 7);
    }

    #[test]
    fn what_is_no_field_is_said_at_the_end() {
        let error = Client::builder().header("no name", "x").header("a", "\n").build().unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Request, Some(Phase::Prepare)));
        assert_eq!(error.to_string(), "a field for every request is none: invalid HTTP header name");
        let error = Client::builder().user_agent("a\nb").build().unwrap_err();
        assert_eq!(error.to_string(), "a field for every request is none: failed to parse header value");
    }
}
