//! Proxies: which one a request goes through, and how a proxy is asked to let us through.

mod choice;
mod connect;
mod env;
mod no_proxy;
#[cfg(feature = "socks")]
mod socks;
mod url;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::PROXY_AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use roundtrip_types::{Error, ErrorKind, Phase, Result};

pub use self::choice::ProxyConfig;
pub(crate) use self::connect::tunnel;
pub use self::env::ProxyEnv;
#[cfg(feature = "socks")]
pub(crate) use self::socks::socks5;
use self::url::ProxyUrl;
use super::{Scheme, Target};

/// A proxy: where it is, how to talk to it, and with which credentials.
///
/// **Shape**: made from a URL, `scheme://[user[:password]@]host[:port]`; a scheme that is missing is `http`. Credentials are
/// percent-decoded. `Display` and `Debug` mask them. Cheap to clone, a reference count. Two are equal if their URLs and
/// their extra fields are.
///
/// | scheme | how | default port |
/// |---|---|---|
/// | `http` | plain; `https` URLs through a tunnel (CONNECT) | 80 |
/// | `https` | the same, over TLS to the proxy | 443 |
/// | `socks5` | SOCKS5, names resolved here | 1080 |
/// | `socks5h` | SOCKS5, names resolved by the proxy | 1080 |
///
/// Differs from Go: with `socks5` Go has the proxy resolve names, as `socks5h`; here the two differ, as in curl.
///
/// ```
/// let proxy: roundtrip_transport::Proxy = "http://ann:secret@proxy.test:3128".parse()?;
/// assert_eq!(proxy.to_string(), "http://***@proxy.test:3128");
/// # Ok::<(), roundtrip_transport::Error>(())
/// ```
#[derive(Clone)]
pub struct Proxy(Arc<Inner>);

struct Inner {
    /// The URL as given, in its canonical spelling, credentials included.
    url: String,
    kind: ProxyKind,
    target: Target,
    auth: Option<Auth>,
    /// Fields for the proxy only, credentials not included.
    headers: HeaderMap,
}

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyKind {
    /// HTTP in plain text.
    Http,
    /// HTTP over TLS.
    Https,
    /// SOCKS5, with names resolved here.
    Socks5,
    /// SOCKS5, with names resolved by the proxy.
    Socks5h,
}

struct Auth {
    user: String,
    password: String,
    /// `Basic ...`, marked as sensitive.
    basic: HeaderValue,
}

impl Proxy {
    /// Understands a proxy's URL.
    ///
    /// # Errors
    /// Kind `Request`: no proxy's URL. The line names what is wrong with it, its credentials masked.
    pub fn new(url: &str) -> Result<Self> {
        ProxyUrl::parse(url)
            .ok_or_else(|| unusable(url, "it is no URL"))
            .and_then(|parsed| Proxy::from_url(url, &parsed))
    }

    fn from_url(given: &str, parsed: &ProxyUrl) -> Result<Self> {
        if parsed.is_doubled() {
            return Err(unusable(given, "it is no URL"));
        }
        let kind = match parsed.scheme() {
            "http" => ProxyKind::Http,
            "https" => ProxyKind::Https,
            "socks5" => ProxyKind::Socks5,
            "socks5h" => ProxyKind::Socks5h,
            _ => return Err(unusable(given, "its scheme is none of http, https, socks5 and socks5h")),
        };
        let scheme = match kind {
            ProxyKind::Http => Scheme::Http,
            ProxyKind::Https => Scheme::Https,
            ProxyKind::Socks5 | ProxyKind::Socks5h => Scheme::Socks5,
        };
        let (host, port) = parsed.host_and_port().ok_or_else(|| unusable(given, "its port is none"))?;
        if host.is_empty() {
            return Err(unusable(given, "it has no host"));
        }
        let auth = parsed.user_info().map(Auth::new).transpose().map_err(|why| unusable(given, why))?;
        let target = Target::new(scheme, &host, port.unwrap_or_else(|| scheme.default_port()));
        Ok(Proxy(Arc::new(Inner { url: parsed.to_string(), kind, target, auth, headers: HeaderMap::new() })))
    }

    /// Adds a field to the CONNECT requests to this proxy, and to none that reaches a server: Go's `ProxyConnectHeader`.
    #[must_use]
    pub fn header(self, name: HeaderName, value: HeaderValue) -> Self {
        let Inner { url, kind, target, auth, headers } = &*self.0;
        let mut headers = headers.clone();
        headers.append(name, value);
        let auth = auth.as_ref().map(Auth::copy);
        Proxy(Arc::new(Inner { url: url.clone(), kind: *kind, target: target.clone(), auth, headers }))
    }

    /// How it is spoken to.
    #[must_use]
    pub fn kind(&self) -> ProxyKind {
        self.0.kind
    }

    /// Where it is.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.0.target
    }

    /// The whole URL, **credentials included**: for handing on, not for logs.
    #[must_use]
    pub fn url_with_credentials(&self) -> &str {
        &self.0.url
    }

    /// The value of `Proxy-Authorization`, if the URL has credentials.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.0.auth.as_ref().map(|auth| &auth.basic)
    }

    /// Whether plain `http` requests are handed to it in absolute form, instead of tunnelling to the server.
    pub(crate) fn forwards_http(&self) -> bool {
        matches!(self.0.kind, ProxyKind::Http | ProxyKind::Https)
    }

    /// The fields of a CONNECT request. An authorization set by hand is left alone.
    fn connect_fields(&self) -> HeaderMap {
        let mut fields = self.0.headers.clone();
        if let Some(basic) = self.authorization()
            && !fields.contains_key(PROXY_AUTHORIZATION)
        {
            fields.insert(PROXY_AUTHORIZATION, basic.clone());
        }
        fields
    }

    #[cfg(feature = "socks")]
    fn user_and_password(&self) -> Option<(&str, &str)> {
        self.0.auth.as_ref().map(|auth| (auth.user.as_str(), auth.password.as_str()))
    }
}

impl Auth {
    fn new((user, password): (&str, Option<&str>)) -> Result<Self, &'static str> {
        let decoded = |text| percent_decode_str(text).decode_utf8().map(Cow::into_owned);
        let both = (decoded(user), decoded(password.unwrap_or_default()));
        let (Ok(user), Ok(password)) = both else { return Err("its credentials are not UTF-8") };
        let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
        let mut basic = HeaderValue::try_from(basic).map_err(|_| "its credentials cannot be sent")?;
        basic.set_sensitive(true);
        Ok(Auth { user, password, basic })
    }

    fn copy(&self) -> Self {
        Auth { user: self.user.clone(), password: self.password.clone(), basic: self.basic.clone() }
    }
}

/// A proxy's URL that cannot be used. What stands before an `@` is never shown.
fn unusable(given: &str, why: &str) -> Error {
    let masked = match given.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            if scheme.is_empty() { format!("***@{host}") } else { format!("{scheme}://***@{host}") }
        }
        None => given.to_owned(),
    };
    let message = format!("the proxy URL \"{}\" cannot be used: {why}", super::dial::shown(&masked));
    Error::new(ErrorKind::Request, message).with_phase(Phase::Prepare)
}

impl FromStr for Proxy {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self> {
        Proxy::new(url)
    }
}

impl PartialEq for Proxy {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.url == other.0.url && self.0.headers == other.0.headers)
    }
}

impl Eq for Proxy {}

impl std::hash::Hash for Proxy {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.url.hash(state);
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credentials = if self.0.auth.is_some() { "***@" } else { "" };
        write!(f, "{}://{credentials}{}", self.0.kind.as_str(), self.0.target)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

impl ProxyKind {
    /// The scheme: `http`, `https`, `socks5`, `socks5h`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ProxyKind::Http => "http",
            ProxyKind::Https => "https",
            ProxyKind::Socks5 => "socks5",
            ProxyKind::Socks5h => "socks5h",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_how_where_and_as_whom() {
        for (url, kind, target, credentials, shown) in [
            ("http://px.test:3128", ProxyKind::Http, "px.test:3128", None, "http://px.test:3128"),
            ("px.test", ProxyKind::Http, "px.test:80", None, "http://px.test:80"),
            ("HTTPS://px.test/", ProxyKind::Https, "px.test:443", None, "https://px.test:443"),
            ("socks5://[::1]", ProxyKind::Socks5, "[::1]:1080", None, "socks5://[::1]:1080"),
            ("socks5h://u:p%40x@px.test:9", ProxyKind::Socks5h, "px.test:9", Some("u:p@x"), "socks5h://***@px.test:9"),
            ("http://u@px.test", ProxyKind::Http, "px.test:80", Some("u:"), "http://***@px.test:80"),
        ] {
            let proxy = Proxy::new(url).unwrap();
            assert_eq!((proxy.kind(), proxy.target().to_string().as_str()), (kind, target), "{url}");
            let basic = credentials.map(|text| format!("Basic {}", BASE64_STANDARD.encode(text)));
            assert_eq!(proxy.authorization().map(|value| value.to_str().unwrap()), basic.as_deref(), "{url}");
            assert_eq!(proxy.to_string(), shown);
        }
    }

    #[test]
    fn what_cannot_be_used_is_said_without_its_password() {
        for (url, line) in [
            (
                "ftp://u:secret@px.test",
                "the proxy URL \"ftp://***@px.test\" cannot be used: its scheme is none of http, https, socks5 and socks5h",
            ),
            ("http://:8080", "the proxy URL \"http://:8080\" cannot be used: it has no host"),
            ("http://px.test:65536", "the proxy URL \"http://px.test:65536\" cannot be used: its port is none"),
            ("%zz", "the proxy URL \"%zz\" cannot be used: it is no URL"),
            ("", "the proxy URL \"\" cannot be used: it has no host"),
            (
                "http://%ff@px.test",
                "the proxy URL \"http://***@px.test\" cannot be used: its credentials are not UTF-8",
            ),
        ] {
            let error = Proxy::new(url).unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Request, line));
        }
    }

    #[test]
    fn proxies_with_other_credentials_or_fields_differ() {
        let [a, b, c] = ["http://px.test", "http://u@px.test", "http://px.test:80"].map(|url| Proxy::new(url).unwrap());
        assert_eq!(a, Proxy::new("px.test").unwrap());
        assert_ne!(a, b);
        assert_ne!(a, c, "not found to be the same, which costs a connection and nothing else");
        let with_field = a.clone().header(HeaderName::from_static("x-team"), HeaderValue::from_static("a"));
        assert_ne!(a, with_field);
    }

    #[test]
    fn an_authorization_set_by_hand_wins() {
        let proxy = Proxy::new("http://u:p@px.test").unwrap();
        assert_eq!(proxy.connect_fields()[PROXY_AUTHORIZATION], "Basic dTpw");
        let by_hand = proxy.header(PROXY_AUTHORIZATION, HeaderValue::from_static("Bearer t"));
        assert_eq!(by_hand.connect_fields().get_all(PROXY_AUTHORIZATION).iter().collect::<Vec<_>>(), ["Bearer t"]);
    }
}
