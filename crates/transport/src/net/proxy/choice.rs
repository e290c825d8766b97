//! Which proxy a request goes through.

use std::fmt;
use std::sync::Arc;

use roundtrip_types::{Request, Result};

use super::{Proxy, ProxyEnv};

/// Which proxy requests go through: Go's `Transport.Proxy`.
///
/// **Shape**: cheap to clone. The default is none, as of a plain Go `Transport`; Go's default transport has
/// [`from_env`](ProxyConfig::from_env).
///
/// ```
/// use roundtrip_transport::{Proxy, ProxyConfig};
///
/// // One for all:
/// let fixed = ProxyConfig::fixed(Proxy::new("socks5h://127.0.0.1:9050")?);
/// // By request: anything of the request's head may decide.
/// let by_host = ProxyConfig::choose(|request| match request.uri().host() {
///     Some(host) if host.ends_with(".onion") => Proxy::new("socks5h://127.0.0.1:9050").map(Some),
///     _ => Ok(None),
/// });
/// # let _ = (fixed, by_host);
/// # Ok::<(), roundtrip_transport::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct ProxyConfig(Kind);

#[derive(Clone, Default)]
enum Kind {
    #[default]
    None,
    Env(Arc<ProxyEnv>),
    Fixed(Proxy),
    Choose(Arc<Choose>),
}

type Choose = dyn Fn(&Request) -> Result<Option<Proxy>> + Send + Sync;

impl ProxyConfig {
    /// No proxy.
    #[must_use]
    pub fn none() -> Self {
        ProxyConfig(Kind::None)
    }

    /// The proxies of the environment as it is now, see [`ProxyEnv`]. Go's `ProxyFromEnvironment`.
    #[must_use]
    pub fn from_env() -> Self {
        ProxyConfig::env(ProxyEnv::from_env())
    }

    /// The proxies of an environment.
    #[must_use]
    pub fn env(env: ProxyEnv) -> Self {
        ProxyConfig(if env.is_empty() { Kind::None } else { Kind::Env(Arc::new(env)) })
    }

    /// One proxy for all requests, those to `localhost` included. Go's `ProxyURL`.
    #[must_use]
    pub fn fixed(proxy: Proxy) -> Self {
        ProxyConfig(Kind::Fixed(proxy))
    }

    /// The proxy that a function of the request's head names; `None` for a direct connection. Its error fails the request.
    ///
    /// It is called for each request, so parse proxies outside of it. Connections are shared by requests with equal proxies.
    #[must_use]
    pub fn choose(choose: impl Fn(&Request) -> Result<Option<Proxy>> + Send + Sync + 'static) -> Self {
        ProxyConfig(Kind::Choose(Arc::new(choose)))
    }

    /// Whether all connections are direct, so that nothing needs to be asked.
    pub(crate) fn is_none(&self) -> bool {
        matches!(self.0, Kind::None)
    }

    /// The proxy for a request to this scheme, host and port.
    pub(crate) fn proxy_for(&self, request: &Request, scheme: &str, host: &str, port: u16) -> Result<Option<Proxy>> {
        match &self.0 {
            Kind::None => Ok(None),
            Kind::Env(env) => env.proxy_for(scheme, host, port),
            Kind::Fixed(proxy) => Ok(Some(proxy.clone())),
            Kind::Choose(choose) => choose(request),
        }
    }
}

impl fmt::Debug for ProxyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::None => f.write_str("None"),
            Kind::Env(env) => env.fmt(f),
            Kind::Fixed(proxy) => proxy.fmt(f),
            Kind::Choose(_) => f.write_str("Choose(..)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str) -> Request {
        http::Request::get(uri).body(Default::default()).unwrap()
    }

    #[test]
    fn each_way_of_choosing_chooses() {
        let request = parts("http://h.test/");
        let asked = |config: &ProxyConfig, host: &str| {
            let found = config.proxy_for(&request, "http", host, 80).unwrap();
            found.map(|proxy| proxy.to_string())
        };
        let px = || Some("http://px.test:80".to_owned());
        assert_eq!(asked(&ProxyConfig::none(), "h.test"), None);
        assert_eq!(asked(&ProxyConfig::fixed(Proxy::new("px.test").unwrap()), "localhost"), px());
        let env = ProxyEnv::from_vars(|name| (name == "HTTP_PROXY").then(|| "px.test".to_owned()));
        assert_eq!(asked(&ProxyConfig::env(env.clone()), "h.test"), px());
        assert_eq!(asked(&ProxyConfig::env(env), "localhost"), None);
        let by_path = ProxyConfig::choose(|request| match request.uri().path() {
            "/" => Proxy::new("px.test").map(Some),
            _ => Ok(None),
        });
        assert_eq!(asked(&by_path, "h.test"), px());
        assert_eq!(by_path.proxy_for(&parts("http://h.test/other"), "http", "h.test", 80).unwrap(), None);
        assert!(ProxyConfig::env(ProxyEnv::default()).is_none());
    }
}
