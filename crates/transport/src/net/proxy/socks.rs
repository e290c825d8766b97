//! Asking a SOCKS5 proxy to connect us (RFC 1928, with names and passwords of RFC 1929).

use std::io;
use std::net::SocketAddr;

use roundtrip_types::{Error, ErrorKind, Result};
use tokio_socks::tcp::Socks5Stream;
use tokio_socks::{Error as SocksError, TargetAddr};

use super::Proxy;
use super::connect::failed;
use crate::net::{Stream, Target};

/// Has `proxy` connect `stream` through to `target`: to `address`, if it was resolved here, else to the name.
///
/// # Errors
/// Kind `Connect`, phase `Proxy`: what the proxy says about it.
///
/// # Cancel safety
/// Dropping the future closes the connection.
pub(crate) async fn socks5(
    stream: Stream,
    proxy: &Proxy,
    target: &Target,
    address: Option<SocketAddr>,
) -> Result<Stream> {
    let to = match address {
        Some(address) => TargetAddr::Ip(address),
        None => match target.ip() {
            Some(ip) => TargetAddr::Ip(SocketAddr::new(ip, target.port())),
            None => TargetAddr::Domain(target.host().into(), target.port()),
        },
    };
    if target.host().len() > 255 {
        return Err(failed(proxy, ErrorKind::Request, "the host name is longer than the 255 bytes of SOCKS5"));
    }
    let connected = match proxy.user_and_password() {
        Some((user, password)) => Socks5Stream::connect_with_password_and_socket(stream, to, user, password).await,
        None => Socks5Stream::connect_with_socket(stream, to).await,
    };
    connected.map(Socks5Stream::into_inner).map_err(|error| explained(proxy, target, error))
}

fn explained(proxy: &Proxy, target: &Target, error: SocksError) -> Error {
    let cannot = |why: &str| failed(proxy, ErrorKind::Connect, &format!("it cannot reach {target}: {why}"));
    let broken = |what: &str| failed(proxy, ErrorKind::Protocol, what);
    match error {
        SocksError::Io(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
            failed(proxy, ErrorKind::Connect, "it closed the connection without an answer")
        }
        SocksError::Io(cause) => failed(proxy, ErrorKind::Connect, "the connection broke").with_cause(cause),
        SocksError::NoAcceptableAuthMethods if proxy.user_and_password().is_none() => {
            failed(proxy, ErrorKind::Connect, "it wants credentials and its URL has none")
        }
        SocksError::NoAcceptableAuthMethods => {
            failed(proxy, ErrorKind::Connect, "it takes neither a password nor no authentication")
        }
        SocksError::PasswordAuthFailure(code) => {
            failed(proxy, ErrorKind::Connect, &format!("it refuses our credentials (code {code})"))
        }
        SocksError::InvalidAuthValues(_) => {
            failed(proxy, ErrorKind::Request, "user name and password must have 1 to 255 bytes each for SOCKS5")
        }
        SocksError::ConnectionNotAllowedByRuleset => {
            failed(proxy, ErrorKind::Connect, &format!("its rules forbid a connection to {target}"))
        }
        SocksError::GeneralSocksServerFailure => cannot("general failure"),
        SocksError::NetworkUnreachable => cannot("network unreachable"),
        SocksError::HostUnreachable => cannot("host unreachable"),
        SocksError::ConnectionRefused => cannot("connection refused"),
        SocksError::TtlExpired => cannot("time to live expired"),
        SocksError::CommandNotSupported => cannot("it does not connect"),
        SocksError::AddressTypeNotSupported => cannot("it does not take this kind of address"),
        SocksError::InvalidResponseVersion | SocksError::UnknownAuthMethod => broken("it does not talk SOCKS5"),
        other => broken("its answer is no SOCKS5").with_cause(other),
    }
}

#[cfg(test)]
mod tests {
    use roundtrip_types::Phase;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::net::Scheme;

    /// A proxy by script: what it must be sent, and what it answers, in turn.
    async fn ask(url: &str, script: Vec<(Vec<u8>, &'static [u8])>, address: Option<SocketAddr>) -> Result<Stream> {
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let peer = tokio::spawn(async move {
            for (want, answer) in script {
                let mut got = vec![0; want.len()];
                theirs.read_exact(&mut got).await.unwrap();
                assert_eq!(got, want);
                theirs.write_all(answer).await.unwrap();
            }
        });
        let target = Target::new(Scheme::Https, "h.test", 443);
        let outcome = socks5(Stream::boxed(ours), &Proxy::new(url).unwrap(), &target, address).await;
        peer.await.unwrap();
        outcome
    }

    const NO_AUTH: &[u8] = &[5, 1, 0];
    const CONNECTED: &[u8] = &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0];

    fn by_name() -> Vec<u8> {
        [&[5, 1, 0, 3, 6][..], b"h.test", &443_u16.to_be_bytes()].concat()
    }

    #[tokio::test]
    async fn names_go_to_the_proxy_and_addresses_too_if_resolved_here() {
        let script = vec![(NO_AUTH.to_vec(), &[5, 0][..]), (by_name(), CONNECTED)];
        ask("socks5h://px.test", script, None).await.unwrap();
        let by_address = [&[5, 1, 0, 1, 10, 0, 0, 7][..], &443_u16.to_be_bytes()].concat();
        let script = vec![(NO_AUTH.to_vec(), &[5, 0][..]), (by_address, CONNECTED)];
        ask("socks5://px.test", script, Some("10.0.0.7:443".parse().unwrap())).await.unwrap();
    }

    #[tokio::test]
    async fn credentials_are_sent_when_they_are_asked_for() {
        let script = vec![
            (vec![5, 2, 0, 2], &[5, 2][..]),
            ([&[1, 1][..], b"u", &[2], b"pw"].concat(), &[1, 0]),
            (by_name(), CONNECTED),
        ];
        ask("socks5h://u:pw@px.test", script, None).await.unwrap();
    }

    #[tokio::test]
    async fn each_failure_is_named() {
        use ErrorKind::{Connect, Protocol, Request};

        let greeted = |reply| vec![(NO_AUTH.to_vec(), &[5, 0][..]), (by_name(), reply)];
        for (url, script, kind, what) in [
            (
                "socks5h://px.test",
                greeted(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]),
                Connect,
                "it cannot reach h.test:443: connection refused",
            ),
            (
                "socks5h://px.test",
                greeted(&[5, 4, 0, 1, 0, 0, 0, 0, 0, 0]),
                Connect,
                "it cannot reach h.test:443: host unreachable",
            ),
            (
                "socks5h://px.test",
                greeted(&[5, 2, 0, 1, 0, 0, 0, 0, 0, 0]),
                Connect,
                "its rules forbid a connection to h.test:443",
            ),
            ("socks5h://px.test", greeted(b""), Connect, "it closed the connection without an answer"),
            (
                "socks5h://px.test",
                vec![(NO_AUTH.to_vec(), &[5, 255])],
                Connect,
                "it wants credentials and its URL has none",
            ),
            (
                "socks5h://px.test",
                vec![(NO_AUTH.to_vec(), b"HTTP/1.1 400 Bad Request\r\n\r\n")],
                Protocol,
                "it does not talk SOCKS5",
            ),
            ("socks5h://u@px.test", vec![], Request, "user name and password must have 1 to 255 bytes each for SOCKS5"),
            (
                "socks5h://u:pw@px.test",
                vec![(vec![5, 2, 0, 2], &[5, 2][..]), ([&[1, 1][..], b"u", &[2], b"pw"].concat(), &[1, 1])],
                Connect,
                "it refuses our credentials (code 1)",
            ),
        ] {
            let error = ask(url, script, None).await.unwrap_err();
            let shown = Proxy::new(url).unwrap();
            assert_eq!(error.to_string(), format!("proxy {shown}: {what}"));
            assert_eq!((error.kind(), error.phase()), (kind, Some(Phase::Proxy)), "{what}");
        }
    }
}
