//! Addresses to listen on, in Go's forms.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpListener;

use crate::{Error, ListenOptions, Result};

/// Where to listen: `"127.0.0.1:8080"`, `"localhost:8080"`, `"[::1]:8080"`, `":8080"` or a [`SocketAddr`].
///
/// **Shape**: as Go's `Server.Addr`. Without a host, as in `":8080"`, all addresses of the machine are meant, IPv6 and IPv4 on
/// one dual-stack socket, or IPv4 alone where there is no IPv6. The empty string is `":80"`. Port 0 lets the system choose;
/// `local_addr` of the listener then tells. A host name is resolved, and the first of its addresses that can be bound is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddr(Form);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Text(String),
    Socket(SocketAddr),
}

impl From<&str> for ListenAddr {
    fn from(text: &str) -> Self {
        ListenAddr(Form::Text(text.to_owned()))
    }
}

impl From<String> for ListenAddr {
    fn from(text: String) -> Self {
        ListenAddr(Form::Text(text))
    }
}

impl From<&String> for ListenAddr {
    fn from(text: &String) -> Self {
        ListenAddr(Form::Text(text.clone()))
    }
}

impl From<SocketAddr> for ListenAddr {
    fn from(addr: SocketAddr) -> Self {
        ListenAddr(Form::Socket(addr))
    }
}

impl From<(IpAddr, u16)> for ListenAddr {
    fn from(addr: (IpAddr, u16)) -> Self {
        ListenAddr(Form::Socket(addr.into()))
    }
}

impl ListenAddr {
    /// One socket, registered with the runtime that this is called in.
    pub(crate) async fn bind(&self) -> Result<TcpListener> {
        let mut sockets = self.open(&ListenOptions::default()).await?;
        let socket = sockets.pop().expect("at least one socket is opened");
        TcpListener::from_std(socket).map_err(|cause| Error::listen(self, cause))
    }

    /// The sockets that the options ask for.
    pub(crate) async fn open(&self, options: &ListenOptions) -> Result<Vec<std::net::TcpListener>> {
        let text = match &self.0 {
            Form::Socket(addr) => return open_any(self, &[*addr], options),
            Form::Text(text) => text.as_str(),
        };
        let (host, port) = split_host_port(text)?;
        let port = port.parse().map_err(|_| Error::address(text, format!("{port:?} is not a port (0 to 65535)")))?;
        if host.is_empty() {
            let every = [(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()];
            return open_any(self, &every, options);
        }
        let found: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(ip) => vec![(ip, port).into()],
            Err(_) => {
                tokio::net::lookup_host((host, port)).await.map_err(|cause| Error::address(text, cause))?.collect()
            }
        };
        open_any(self, &found, options)
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Text(text) => f.write_str(text),
            Form::Socket(addr) => addr.fmt(f),
        }
    }
}

/// Listens on the first address that can be; the error is the last one's.
fn open_any(
    shown: &ListenAddr,
    candidates: &[SocketAddr],
    options: &ListenOptions,
) -> Result<Vec<std::net::TcpListener>> {
    let mut failure = None;
    for addr in candidates {
        match options.open(*addr) {
            Ok(sockets) => return Ok(sockets),
            // The port is what the user asked for: another family would only hide that it is taken.
            Err(cause) if cause.kind() == std::io::ErrorKind::AddrInUse => return Err(Error::listen(shown, cause)),
            Err(cause) => failure = Some(cause),
        }
    }
    Err(match failure {
        Some(cause) => Error::listen(shown, cause),
        None => Error::address(&shown.to_string(), "the name has no addresses"),
    })
}

/// `host:port` apart, brackets of an IPv6 host removed.
fn split_host_port(text: &str) -> Result<(&str, &str)> {
    if text.is_empty() {
        return Ok(("", "80"));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(Error::address(text, "no port; write host:port or :port"));
    };
    match host.strip_prefix('[') {
        Some(rest) => match rest.strip_suffix(']') {
            Some(inner) => Ok((inner, port)),
            None => Err(Error::address(text, "a '[' without its ']'")),
        },
        None if host.contains(':') => Err(Error::address(text, "an IPv6 host goes in brackets: [::1]:8080")),
        None => Ok((host, port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_come_apart() {
        for (text, want) in [
            ("", Ok(("", "80"))),
            (":8080", Ok(("", "8080"))),
            ("127.0.0.1:0", Ok(("127.0.0.1", "0"))),
            ("localhost:80", Ok(("localhost", "80"))),
            ("[::1]:80", Ok(("::1", "80"))),
            ("8080", Err("listen address \"8080\": no port; write host:port or :port")),
            ("::1:80", Err("listen address \"::1:80\": an IPv6 host goes in brackets: [::1]:8080")),
            ("[::1:80", Err("listen address \"[::1:80\": a '[' without its ']'")),
        ] {
            assert_eq!(
                split_host_port(text).map_err(|error| error.to_string()),
                want.map_err(String::from),
                "{text:?}"
            );
        }
    }

    #[tokio::test]
    async fn bad_addresses_are_named() {
        for (text, want) in [
            ("127.0.0.1:http", "listen address \"127.0.0.1:http\": \"http\" is not a port (0 to 65535)"),
            ("127.0.0.1:65536", "listen address \"127.0.0.1:65536\": \"65536\" is not a port (0 to 65535)"),
        ] {
            let error = ListenAddr::from(text).bind().await.unwrap_err();
            assert!(error.is_address());
            assert_eq!(error.to_string(), want);
        }
        let error = ListenAddr::from("no-such-host.invalid:80").bind().await.unwrap_err();
        assert!(
            error.is_address() && error.to_string().starts_with("listen address \"no-such-host.invalid:80\": "),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_its_address() {
        let first = ListenAddr::from("127.0.0.1:0").bind().await.unwrap();
        let addr = first.local_addr().unwrap();
        let error = ListenAddr::from(addr.to_string()).bind().await.unwrap_err();
        assert!(error.is_listen());
        assert_eq!(error.io_error().unwrap().kind(), std::io::ErrorKind::AddrInUse);
        assert!(error.to_string().starts_with(&format!("listen {addr}: ")), "{error}");
    }

    #[tokio::test]
    async fn a_port_alone_listens_on_every_address() {
        let listener = ListenAddr::from(":0").bind().await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let there = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
        assert!(there.is_ok(), "IPv4 reaches a listener without a host: {there:?}");
    }
}
