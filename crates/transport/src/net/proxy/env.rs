//! The proxy of the environment.

use std::fmt;

use roundtrip_types::{Error, ErrorKind, Phase, Result};

use super::Proxy;
use super::no_proxy::NoProxy;
use super::url::ProxyUrl;

/// Proxies from environment variables: Go's `http.ProxyFromEnvironment`.
///
/// **Shape**: `HTTP_PROXY` is for `http` URLs, `HTTPS_PROXY` for `https` URLs, and `NO_PROXY` has the exceptions: names (with
/// all below them; `.name` without the name itself), addresses, ranges, each perhaps with a port, or `*`. Names in lower case
/// count where the upper-case variable is unset or empty. `localhost` and loopback addresses never go through a proxy. A value
/// that is no URL counts as none.
///
/// In a CGI program (`REQUEST_METHOD` is set) a proxy for `http` is refused, because anybody who sends a `Proxy` field sets
/// `HTTP_PROXY` there.
///
/// Differs from Go: a value that is a URL but that no proxy can be reached by (`ftp://...`, no host) makes requests fail with an
/// error that names it, before anything is sent; Go passes it on and fails later, or not at all.
#[derive(Clone, Default)]
pub struct ProxyEnv {
    http: Option<Result<Proxy, String>>,
    https: Option<Result<Proxy, String>>,
    no_proxy: NoProxy,
    is_cgi: bool,
}

impl ProxyEnv {
    /// The proxies of this process's environment, as it is now.
    #[must_use]
    pub fn from_env() -> Self {
        ProxyEnv::from_vars(|name| std::env::var(name).ok())
    }

    /// The proxies of the given environment.
    ///
    /// ```
    /// use roundtrip_transport::ProxyEnv;
    ///
    /// let env = ProxyEnv::from_vars(|name| (name == "HTTPS_PROXY").then(|| "proxy.test:3128".to_owned()));
    /// let proxy = env.proxy_for("https", "example.org", 443)?.expect("a proxy");
    /// assert_eq!(proxy.to_string(), "http://proxy.test:3128");
    /// assert!(env.proxy_for("http", "example.org", 80)?.is_none());
    /// # Ok::<(), roundtrip_transport::Error>(())
    /// ```
    #[must_use]
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Self {
        let either = |upper: &str| {
            let not_empty = |value: &String| !value.is_empty();
            var(upper).filter(not_empty).or_else(|| var(&upper.to_lowercase()).filter(not_empty))
        };
        let proxy = |name: &str| {
            let value = either(name)?;
            let parsed = ProxyUrl::parse(&value)?;
            Some(Proxy::from_url(&value, &parsed).map_err(|error| format!("{name}: {error}")))
        };
        ProxyEnv {
            http: proxy("HTTP_PROXY"),
            https: proxy("HTTPS_PROXY"),
            no_proxy: NoProxy::parse(&either("NO_PROXY").unwrap_or_default()),
            is_cgi: var("REQUEST_METHOD").is_some_and(|method| !method.is_empty()),
        }
    }

    /// Whether no request goes through a proxy, whatever its URL.
    pub(crate) fn is_empty(&self) -> bool {
        self.http.is_none() && self.https.is_none()
    }

    /// The proxy for a URL of this scheme, host (brackets of an IPv6 address may stand) and port; `None` for a direct
    /// connection.
    ///
    /// # Errors
    /// Kind `Request`: a variable holds what is no proxy, or the program is a CGI program, see [`ProxyEnv`].
    pub fn proxy_for(&self, scheme: &str, host: &str, port: u16) -> Result<Option<Proxy>> {
        let is_http = scheme.eq_ignore_ascii_case("http");
        let found = match scheme {
            _ if is_http => &self.http,
            _ if scheme.eq_ignore_ascii_case("https") => &self.https,
            _ => &None,
        };
        let Some(found) = found else { return Ok(None) };
        let refused = |message: String| Error::new(ErrorKind::Request, message).with_phase(Phase::Prepare);
        if is_http && self.is_cgi {
            let message =
                "HTTP_PROXY is not used in a CGI program (REQUEST_METHOD is set): whoever sends a Proxy field sets it";
            return Err(refused(message.to_owned()));
        }
        let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        if self.no_proxy.matches(host, port) {
            return Ok(None);
        }
        found.clone().map(Some).map_err(refused)
    }
}

impl fmt::Debug for ProxyEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyEnv").field("http", &self.http).field("https", &self.https).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(vars: &'static [(&'static str, &'static str)]) -> ProxyEnv {
        ProxyEnv::from_vars(|name| vars.iter().find(|var| var.0 == name).map(|var| var.1.to_owned()))
    }

    #[test]
    fn a_proxy_that_cannot_be_is_an_error_that_names_the_variable_and_no_password() {
        let env = env(&[("HTTPS_PROXY", "ftp://u:secret@px.test")]);
        let error = env.proxy_for("https", "h.test", 443).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Request);
        let line = error.to_string();
        assert!(line.starts_with("HTTPS_PROXY: the proxy URL \"ftp://***@px.test\" cannot be used: "), "{line}");
        assert!(env.proxy_for("https", "localhost", 443).unwrap().is_none(), "and only where it would be used");
    }

    #[test]
    fn debug_output_has_no_password() {
        let shown = format!("{:?}", env(&[("HTTP_PROXY", "http://u:secret@px.test")]));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
