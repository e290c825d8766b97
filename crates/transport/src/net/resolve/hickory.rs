//! DNS spoken by ourselves, over hickory.

use std::io;
use std::net::SocketAddr;

use hickory_resolver::TokioResolver;

use super::{Resolve, ResolveFuture};

/// A resolver that speaks DNS itself, configured from the system (`/etc/resolv.conf`, `/etc/hosts`), over the hickory crate.
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
            match self.0.lookup_ip(name).await {
                Ok(found) => Ok(found.iter().map(|ip| SocketAddr::new(ip, 0)).collect()),
                Err(error) if error.is_no_records_found() => Err(io::Error::new(io::ErrorKind::NotFound, error)),
                Err(error) => Err(io::Error::other(error)),
            }
        })
    }
}
