//! Addresses, Unix sockets and the user's own dialer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roundtrip_types::{ErrorKind, Phase};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::peers::{black_hole, nobody, says, server};
use super::*;
use crate::net::{Connection, Dial, DialFuture, Dialer, PeerAddr, Resolver, TcpConfig};

/// Settings in which `h.test` has these addresses.
fn resolving(addresses: Vec<std::net::SocketAddr>) -> ConnectConfig {
    let resolve = Resolver::from_fn(move |_| {
        let addresses = addresses.clone();
        async move { Ok(addresses) }
    });
    ConnectConfig { resolve, ..ConnectConfig::default() }
}

async fn first_byte(dialed: &mut Dialed) -> u8 {
    dialed.stream.write_all(b"?").await.unwrap();
    dialed.stream.read_u8().await.unwrap()
}

#[tokio::test]
async fn a_black_hole_in_front_costs_the_stagger_and_no_more() {
    let (hole, _kept) = black_hole().await;
    let alive = says(b"!").await;
    let mut config = resolving(vec![hole, alive]);
    config.tcp.fallback_delay = Some(Duration::from_millis(30));
    let began = Instant::now();
    let mut dialed = connect(config, &http("h.test", 80), None).await.unwrap();
    assert_eq!(*dialed.info.peer(), PeerAddr::Ip(alive));
    assert_eq!(first_byte(&mut dialed).await, b'!');
    // The system would try the first for minutes.
    assert!((30..5_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    assert!(dialed.dns.is_some() && dialed.connect.is_some() && dialed.tls.is_none());
}

#[tokio::test]
async fn an_address_that_refuses_is_passed_by_at_once() {
    let (dead, alive) = (nobody().await, says(b"!").await);
    let mut config = resolving(vec![dead, alive]);
    config.tcp.fallback_delay = None;
    let dialed = connect(config, &http("h.test", 80), None).await.unwrap();
    assert_eq!(*dialed.info.peer(), PeerAddr::Ip(alive));
}

#[tokio::test]
async fn when_all_addresses_refuse_each_is_named() {
    let (one, other) = (nobody().await, nobody().await);
    let error = connect(resolving(vec![one, other]), &http("h.test", 81), None).await.unwrap_err();
    assert_eq!((error.kind(), error.phase(), error.was_sent()), (ErrorKind::Connect, Some(Phase::Connect), false));
    let line = error.to_string();
    let want = format!(
        "connect h.test:81: {one}: Connection refused (os error 111); {other}: Connection refused (os error 111)"
    );
    assert_eq!(line, want);
}

#[tokio::test(start_paused = true)]
async fn running_out_of_time_says_at_what() {
    let never = Resolver::from_fn(|_| std::future::pending());
    let config = ConnectConfig { resolve: never, ..ConnectConfig::default() };
    let error = connect(config, &http("h.test", 80), None).await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Dns)));
    assert_eq!(error.to_string(), "resolve h.test:80: not done within 30s (connect_timeout)");

    struct Never;
    impl Dial for Never {
        fn dial<'a>(&'a self, _: &'a Target) -> DialFuture<'a> {
            Box::pin(std::future::pending())
        }
    }
    let config = ConnectConfig { dial: Dialer::Custom(Arc::new(Never)), ..ConnectConfig::default() };
    let error = connect(config, &http("h.test", 80), None).await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Connect)));
    assert_eq!(error.to_string(), "connect h.test:80: not done within 30s (connect_timeout)");
}

#[tokio::test]
async fn addresses_given_by_hand_are_not_asked_for() {
    let alive = says(b"!").await;
    let never = Resolver::from_fn(|name| async move { panic!("asked for {name}") });
    let hosts = [("h.test".to_owned(), vec![([127, 0, 0, 1], 0).into()])].into();
    let config = ConnectConfig { resolve: never, hosts, ..ConnectConfig::default() };
    let dialed = connect(config, &http("H.test", alive.port()), None).await.unwrap();
    assert_eq!((dialed.info.peer(), dialed.dns), (&PeerAddr::Ip(alive), None));
}

#[tokio::test]
async fn local_address_and_options_are_taken() {
    let alive = says(b"!").await;
    let tcp = TcpConfig { local_v4: Some([127, 0, 0, 8].into()), ..TcpConfig::default() };
    let config = ConnectConfig { tcp, ..ConnectConfig::default() };
    let dialed = connect(config.clone(), &http("127.0.0.1", alive.port()), None).await.unwrap();
    assert_eq!(dialed.info.local_addr().unwrap().ip(), std::net::IpAddr::from([127, 0, 0, 8]));
    let error = connect(config, &http("[::1]", alive.port()), None).await.unwrap_err();
    assert!(
        error.to_string().contains("none of its addresses is of a family that we have a local address for"),
        "{error}"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_reached_and_named() {
    let folder = std::env::temp_dir().join(format!("roundtrip-dial-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
    let _ = std::fs::remove_file(&path);
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"!").await.unwrap();
    });
    let config = |path: &std::path::Path| ConnectConfig { dial: Dialer::Unix(path.into()), ..ConnectConfig::default() };
    let mut dialed = connect(config(&path), &http("h.test", 80), None).await.unwrap();
    assert_eq!(dialed.info.peer().to_string(), format!("unix:{}", path.display()));
    assert_eq!(dialed.stream.read_u8().await.unwrap(), b'!');
    let missing = folder.join("missing");
    let error = connect(config(&missing), &http("h.test", 80), None).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("connect unix:{}: No such file", missing.display())), "{error}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn the_users_own_dialer_is_asked_for_the_target() {
    struct Own(std::net::SocketAddr);
    impl Dial for Own {
        fn dial<'a>(&'a self, target: &'a Target) -> DialFuture<'a> {
            Box::pin(async move {
                assert_eq!((target.scheme(), target.to_string().as_str()), (Scheme::Http, "h.test:81"));
                Ok(Connection::new(tokio::net::TcpStream::connect(self.0).await.unwrap()).peer(self.0))
            })
        }
    }
    let alive = server(|mut stream| async move { stream.write_all(b"!").await.unwrap() }).await;
    let config = ConnectConfig { dial: Dialer::Custom(Arc::new(Own(alive))), ..ConnectConfig::default() };
    let mut dialed = connect(config, &http("h.test", 81), None).await.unwrap();
    assert_eq!(dialed.stream.read_u8().await.unwrap(), b'!');
    assert_eq!(*dialed.info.peer(), PeerAddr::Ip(alive));
}
