//! TCP sockets and their options.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};

/// The options of TCP connections: a plain struct to fill in, ending with `..TcpConfig::default()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpConfig {
    /// Sends small writes at once instead of collecting them (`TCP_NODELAY`). Default true, as Go: requests are written whole,
    /// so there is nothing to wait for.
    pub nodelay: bool,
    /// After how long of silence the system asks whether the peer is still there, and how long it waits between such
    /// questions (`SO_KEEPALIVE`). Default 30 s, as Go's default transport; `None` asks never. It finds peers that vanished
    /// without a word.
    pub keepalive: Option<Duration>,
    /// How many such questions may stay unanswered before the connection is given up. Default `None`, the system's (Linux: 9).
    pub keepalive_retries: Option<u32>,
    /// How long sent data may stay unacknowledged before the connection is given up (`TCP_USER_TIMEOUT`, Linux only). Default
    /// `None`, the system's, which may be a quarter of an hour.
    pub user_timeout: Option<Duration>,
    /// The local address of connections over IPv4. Default `None`, the system's choice. If only one of the two is set, only
    /// that family is used. Go's `Dialer.LocalAddr`.
    pub local_v4: Option<Ipv4Addr>,
    /// The local address of connections over IPv6.
    pub local_v6: Option<Ipv6Addr>,
    /// The network interface that connections go out by, such as `eth0` (`SO_BINDTODEVICE`, Linux only and with the right to
    /// do so). Default `None`, by the routing table.
    pub interface: Option<String>,
    /// Size of the system's send buffer in bytes (`SO_SNDBUF`). Default `None`, the system's, which grows as needed.
    pub send_buffer: Option<u32>,
    /// Size of the system's receive buffer in bytes (`SO_RCVBUF`). Default `None`, the system's, which grows as needed.
    pub recv_buffer: Option<u32>,
    /// How long an address may keep us waiting before the next is tried beside it. Default 250 ms (RFC 8305, section 5);
    /// `None` waits until it fails.
    ///
    /// Differs from Go: Go waits 300 ms, and then only for the other family; addresses of one family it tries one after the
    /// other.
    pub fallback_delay: Option<Duration>,
}

impl Default for TcpConfig {
    fn default() -> Self {
        TcpConfig {
            nodelay: true,
            keepalive: Some(Duration::from_secs(30)),
            keepalive_retries: None,
            user_timeout: None,
            local_v4: None,
            local_v6: None,
            interface: None,
            send_buffer: None,
            recv_buffer: None,
            fallback_delay: Some(Duration::from_millis(250)),
        }
    }
}

/// The addresses of the families that we may use.
pub(super) fn usable(mut addresses: Vec<SocketAddr>, config: &TcpConfig) -> Vec<SocketAddr> {
    if config.local_v4.is_some() || config.local_v6.is_some() {
        addresses
            .retain(|address| if address.is_ipv4() { config.local_v4.is_some() } else { config.local_v6.is_some() });
    }
    addresses
}

/// Connects to one address.
pub(super) async fn connect(address: SocketAddr, config: &TcpConfig) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let local = match address {
        SocketAddr::V4(_) => config.local_v4.map(IpAddr::from),
        SocketAddr::V6(_) => config.local_v6.map(IpAddr::from),
    };
    if let Some(interface) = &config.interface {
        bind_device(&socket, interface)?;
    }
    if let Some(local) = local {
        socket.bind(SocketAddr::new(local, 0)).map_err(|error| named(error, "bind", &local))?;
    }
    if let Some(bytes) = config.send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    // Before connecting: the window scale is agreed on then.
    if let Some(bytes) = config.recv_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    let stream = socket.connect(address).await?;
    tune(&stream, config);
    Ok(stream)
}

/// Options without which the connection works all the same; a system that lacks one is no reason to fail.
fn tune(stream: &TcpStream, config: &TcpConfig) {
    if config.nodelay {
        let _ = stream.set_nodelay(true);
    }
    let socket = SockRef::from(stream);
    if let Some(after) = config.keepalive {
        let mut keepalive = TcpKeepalive::new().with_time(after);
        #[cfg(any(target_os = "linux", target_os = "android", target_os = "macos", target_os = "freebsd", windows))]
        {
            keepalive = keepalive.with_interval(after);
        }
        #[cfg(any(target_os = "linux", target_os = "android", target_os = "macos", target_os = "freebsd"))]
        if let Some(retries) = config.keepalive_retries {
            keepalive = keepalive.with_retries(retries);
        }
        let _ = socket.set_tcp_keepalive(&keepalive);
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(timeout) = config.user_timeout {
        let _ = socket.set_tcp_user_timeout(Some(timeout));
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn bind_device(socket: &TcpSocket, interface: &str) -> io::Result<()> {
    socket.bind_device(Some(interface.as_bytes())).map_err(|error| named(error, "bind to interface", &interface))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn bind_device(_: &TcpSocket, interface: &str) -> io::Result<()> {
    Err(named(io::ErrorKind::Unsupported.into(), "bind to interface", &interface))
}

fn named(error: io::Error, what: &str, value: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(error.kind(), format!("{what} {value}: {error}"))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test]
    async fn options_reach_the_socket() {
        let (_listener, address) = listener().await;
        let config = TcpConfig {
            keepalive: Some(Duration::from_secs(77)),
            keepalive_retries: Some(4),
            user_timeout: Some(Duration::from_secs(9)),
            local_v4: Some(Ipv4Addr::new(127, 0, 0, 9)),
            ..TcpConfig::default()
        };
        let stream = connect(address, &config).await.unwrap();
        assert_eq!(stream.local_addr().unwrap().ip(), IpAddr::from([127, 0, 0, 9]));
        assert!(stream.nodelay().unwrap());
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        #[cfg(target_os = "linux")]
        {
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(77));
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(77));
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), 4);
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(9)));
        }
    }

    #[tokio::test]
    async fn options_can_be_left_out() {
        let (_listener, address) = listener().await;
        let config = TcpConfig { nodelay: false, keepalive: None, ..TcpConfig::default() };
        let stream = connect(address, &config).await.unwrap();
        assert!(!stream.nodelay().unwrap());
        assert!(!SockRef::from(&stream).keepalive().unwrap());
    }

    #[tokio::test]
    async fn what_cannot_be_bound_is_named() {
        let (_listener, address) = listener().await;
        let config = TcpConfig { local_v4: Some(Ipv4Addr::new(192, 0, 2, 1)), ..TcpConfig::default() };
        let line = connect(address, &config).await.unwrap_err().to_string();
        assert!(line.starts_with("bind 192.0.2.1: "), "{line}");
        let config = TcpConfig { interface: Some("no-such-if".into()), ..TcpConfig::default() };
        let line = connect(address, &config).await.unwrap_err().to_string();
        assert!(line.starts_with("bind to interface no-such-if: "), "{line}");
    }

    #[test]
    fn a_local_address_of_one_family_leaves_only_that_family() {
        let (v4, v6) = ("10.0.0.1:1".parse().unwrap(), "[::1]:1".parse().unwrap());
        let both = || vec![v4, v6];
        let local_v4 = Some(Ipv4Addr::LOCALHOST);
        let local_v6 = Some(Ipv6Addr::LOCALHOST);
        assert_eq!(usable(both(), &TcpConfig::default()), both());
        assert_eq!(usable(both(), &TcpConfig { local_v4, ..TcpConfig::default() }), [v4]);
        assert_eq!(usable(both(), &TcpConfig { local_v6, ..TcpConfig::default() }), [v6]);
        assert_eq!(usable(both(), &TcpConfig { local_v4, local_v6, ..TcpConfig::default() }), both());
    }
}
