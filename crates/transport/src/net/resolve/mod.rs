//! From names to addresses.

mod cache;
#[cfg(any(test, feature = "hickory"))]
mod families;
#[cfg(feature = "hickory")]
mod hickory;
mod system;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

pub use self::cache::DnsCacheConfig;
pub(crate) use self::cache::{Cache, Departed};
#[cfg(feature = "hickory")]
pub use self::hickory::HickoryResolver;
pub use self::system::SystemResolver;

/// Finds the addresses of a name: Go's `net.Resolver`.
///
/// # Contract
/// - The name is a host name as the URL has it; IP addresses never get here.
/// - The answer is in order of preference. Port 0 stands for the port of the URL; another port is taken as it is. An IPv6
///   address keeps its scope.
/// - An error of kind [`io::ErrorKind::NotFound`], or an empty answer, says that the name has no addresses, which is not asked
///   again for a moment. Any other error is a failure to find out, during which an older answer may be used.
/// - It is given once, so a resolver that learns the addresses of the families one after the other decides itself how long it waits
///   for the second (RFC 8305, section 3: 50 ms for IPv6 behind IPv4; the transport staggers the connections, not the answers).
/// - It may be called for many names at once; for one name, the transport calls it once at a time.
///
/// # Cancel safety
/// The future may be dropped at any time.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `name`.
    fn resolve<'a>(&'a self, name: &'a str) -> ResolveFuture<'a>;
}

/// The future of [`Resolve::resolve`].
pub type ResolveFuture<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Any [`Resolve`] behind a shared pointer. Cheap to clone; the default is the [`SystemResolver`].
///
/// ```
/// use roundtrip_transport::Resolver;
///
/// let everything_here = Resolver::from_fn(|_name| async { Ok(vec!["127.0.0.1:0".parse().expect("an address")]) });
/// # let _ = everything_here;
/// ```
#[derive(Clone)]
pub struct Resolver(Arc<dyn Resolve>);

impl Resolver {
    /// Shares a resolver.
    #[must_use]
    pub fn new(resolver: impl Resolve) -> Self {
        Resolver(Arc::new(resolver))
    }

    /// A resolver from an async function of the name.
    #[must_use]
    pub fn from_fn<F, Fut>(resolve: F) -> Self
    where
        F: Fn(String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        Resolver::new(FromFn(resolve))
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Resolver::new(SystemResolver::new())
    }
}

impl Resolve for Resolver {
    fn resolve<'a>(&'a self, name: &'a str) -> ResolveFuture<'a> {
        self.0.resolve(name)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver(..)")
    }
}

struct FromFn<F>(F);

impl<F, Fut> Resolve for FromFn<F>
where
    F: Fn(String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
{
    fn resolve<'a>(&'a self, name: &'a str) -> ResolveFuture<'a> {
        Box::pin((self.0)(name.to_owned()))
    }
}
