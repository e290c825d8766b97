//! Where a connection is to lead.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

/// The server (or proxy) to connect to.
///
/// **Shape**: `Display` is `host:port`, an IPv6 address in brackets. Cheap to make, two words and a string.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    scheme: Scheme,
    host: Box<str>,
    port: u16,
}

/// What will be spoken on a connection, as the scheme of a URL says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// SOCKS5, to a proxy.
    Socks5,
}

impl Scheme {
    /// `http`, `https` or `socks5`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Socks5 => "socks5",
        }
    }

    /// The port where a URL says none: 80, 443, 1080.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
            Scheme::Socks5 => 1080,
        }
    }
}

impl Target {
    /// A target. An IPv6 address may stand in brackets, as in a URL; a name beyond ASCII becomes its IDNA form (`xn--...`).
    #[must_use]
    pub fn new(scheme: Scheme, host: &str, port: u16) -> Self {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        Target { scheme, host: ascii_host(bare).into(), port }
    }

    /// What will be spoken there.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The name or address, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address, if the host is one and needs no resolving.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// A host name as DNS and TLS want it: IDNA's ASCII form. One that has none stays as it is, and will not resolve.
pub(crate) fn ascii_host(host: &str) -> Cow<'_, str> {
    if host.is_ascii() {
        return Cow::Borrowed(host);
    }
    idna::domain_to_ascii(host).map_or(Cow::Borrowed(host), Cow::Owned)
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_stand_in_text_and_not_in_the_host() {
        for (host, bare, text) in
            [("h.test", "h.test", "h.test:81"), ("[::1]", "::1", "[::1]:81"), ("::1", "::1", "[::1]:81")]
        {
            let target = Target::new(Scheme::Http, host, 81);
            assert_eq!((target.host(), target.to_string().as_str()), (bare, text));
        }
        assert_eq!(Target::new(Scheme::Http, "[::1]", 1).ip(), Some("::1".parse().unwrap()));
        assert_eq!(Target::new(Scheme::Http, "h.test", 1).ip(), None);
    }
}
