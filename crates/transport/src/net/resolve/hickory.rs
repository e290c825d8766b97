//! DNS spoken by ourselves, over hickory.

use std::io;
use std::net::{IpAddr, SocketAddr};

use hickory_resolver::TokioResolver;
use hickory_resolver::lookup::Lookup;
use hickory_resolver::lookup_ip::LookupIp;
use hickory_resolver::net::NetError;

use super::families::both;
use super::{Resolve, ResolveFuture};

/// A resolver that speaks DNS itself, configured from the system (`/etc/resolv.conf`, `/etc/hosts`), over the hickory crate.
///
/// The addresses of IPv6 and IPv4 are asked for at once; once those of IPv4 are there, the others have 50 ms to follow (RFC 8305,
/// section 3), so that a name server that drops the question for them costs no more.
///
/// It needs no thread for a lookup, so that hundreds may run at once, and it keeps to the lifetimes of the records. It does not
/// see what only the operating system knows: mDNS, NIS, names of the local network.
#[derive(Clone, Debug)]
pub struct HickoryResolver(TokioResolver);

impl HickoryResolver {
    /// A resolver with the configuration of the system.
    ///
    /// # Errors
    /// If that cannot be read or understood.
    pub fn from_system() -> io::Result<Self> {
        let builder = TokioResolver::builder_tokio().map_err(io::Error::other)?;
        Ok(HickoryResolver(builder.build().map_err(io::Error::other)?))
    }
}

impl Resolve for HickoryResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> ResolveFuture<'a> {
        Box::pin(async move {
            let v6 = async { addresses(self.0.ipv6_lookup(name).await) };
            let v4 = async { addresses(self.0.ipv4_lookup(name).await) };
            let found = both(v6, v4).await?;
            Ok(found.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect())
        })
    }
}

fn addresses(found: Result<Lookup, NetError>) -> io::Result<Vec<IpAddr>> {
    match found {
        Ok(found) => Ok(LookupIp::from(found).iter().collect()),
        Err(error) if error.is_no_records_found() => Err(io::Error::new(io::ErrorKind::NotFound, error)),
        Err(error) => Err(io::Error::other(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
    use hickory_resolver::net::runtime::TokioRuntimeProvider;
    use tokio::net::UdpSocket;

    use super::*;

    /// A name server that knows 10.0.0.1 and fd00::1 for every name but those that begin with `only-v4`, for which it drops questions for
    /// IPv6, and `gone`, which it does not know.
    async fn name_server() -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut query = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut query).await {
                let query = &query[..length];
                // A name in pieces with their lengths, then type and class (RFC 1035, section 4.1.2).
                let name_end = 12 + query[12..].iter().position(|&byte| byte == 0).unwrap() + 1;
                let (name, kind) = (&query[13..name_end], query[name_end + 1]);
                let gone = name.starts_with(b"gone");
                let (count, data): (u8, &[u8]) = match kind {
                    _ if gone => (0, &[]),
                    1 => (1, &[10, 0, 0, 1]),
                    28 if name.starts_with(b"only-v4") => continue,
                    28 => (1, &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
                    _ => (0, &[]),
                };
                let mut answer = query[..2].to_vec();
                answer.extend([0x81, if gone { 0x83 } else { 0x80 }, 0, 1, 0, count, 0, 0, 0, 0]);
                answer.extend(&query[12..name_end + 4]);
                if count > 0 {
                    // The name of the question, type, class, lifetime.
                    answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0]);
                    answer.push(u8::try_from(data.len()).unwrap());
                    answer.extend(data);
                }
                socket.send_to(&answer, client).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn both_families_are_asked_and_one_that_is_never_answered_costs_little() {
        let server = name_server().await;
        let mut connection = ConnectionConfig::udp();
        connection.port = server.port();
        let servers = vec![NameServerConfig::new(server.ip(), true, vec![connection])];
        let config = ResolverConfig::from_parts(None, vec![], servers);
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let resolver = HickoryResolver(builder.build().unwrap());
        let found = resolver.resolve("both.test").await.unwrap();
        assert_eq!(found, ["[fd00::1]:0".parse().unwrap(), "10.0.0.1:0".parse().unwrap()]);
        let began = Instant::now();
        assert_eq!(resolver.resolve("only-v4.test").await.unwrap(), ["10.0.0.1:0".parse().unwrap()]);
        // hickory itself asks again after seconds.
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        let gone = resolver.resolve("gone.test").await.unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound, "{gone}");
    }
}
