//! The operating system's resolver.

use std::io;

use super::{Resolve, ResolveFuture};

/// The operating system's resolver, `getaddrinfo`: what every other program on the machine sees, `/etc/hosts` included.
///
/// It blocks, so it runs on tokio's pool of blocking threads. A lookup that is given up goes on there until it ends.
///
/// **Source**: Go's resolver with cgo; the order of the addresses is that of RFC 6724.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SystemResolver;

impl SystemResolver {
    /// The system's resolver.
    #[must_use]
    pub fn new() -> Self {
        SystemResolver
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> ResolveFuture<'a> {
        Box::pin(async move {
            match tokio::net::lookup_host((name, 0)).await {
                Ok(addresses) => Ok(addresses.collect()),
                Err(error) if says_not_found(&error) => Err(io::Error::new(io::ErrorKind::NotFound, error)),
                Err(error) => Err(error),
            }
        })
    }
}

/// Whether the system says that there is no such name, rather than that it could not find out.
///
/// The standard library hands on the text of `gai_strerror` without its number. The words are those of glibc, musl, and the BSDs
/// with macOS, in the C locale, which Rust programs are in; Windows has a number (`WSAHOST_NOT_FOUND`).
fn says_not_found(error: &io::Error) -> bool {
    let text = error.to_string();
    error.raw_os_error() == Some(11001)
        || ["Name or service not known", "Name does not resolve", "not known", "No address associated"]
            .iter()
            .any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn localhost_is_found_and_an_invalid_name_is_not() {
        let found = SystemResolver::new().resolve("localhost").await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 0), "{found:?}");
        assert!(!found.is_empty());
        // RFC 6761 has it that nothing is ever called so; without a network the system may not find out.
        let error = SystemResolver::new().resolve("nothing.invalid").await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind() == io::ErrorKind::NotFound, !text.contains("Temporary"), "{text}");
    }
}
