//! Domains under which strangers register names.

use std::fmt;

/// Says where a domain stops belonging to one owner: Go's `cookiejar.PublicSuffixList`.
///
/// Anybody can register a name below a public suffix such as `com`, `co.uk` or `github.io`; a cookie for all of `co.uk` would
/// reach strangers.
pub trait PublicSuffixes: Send + Sync + 'static {
    /// The public suffix of `domain`: what it ends with, after a dot, or all of it. Never empty for a domain that is not.
    ///
    /// `domain` is in lower case and ASCII, and is no address.
    fn public_suffix<'d>(&self, domain: &'d str) -> &'d str;
}

/// The [public suffix list](https://publicsuffix.org) of Mozilla, as it was when the crate `psl` was built.
///
/// A domain under no listed suffix ends in its last label, as the list's own rules have it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListedSuffixes;

impl PublicSuffixes for ListedSuffixes {
    fn public_suffix<'d>(&self, domain: &'d str) -> &'d str {
        psl::suffix_str(domain).unwrap_or_else(|| domain.rsplit_once('.').map_or(domain, |(_, last)| last))
    }
}

impl fmt::Debug for dyn PublicSuffixes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicSuffixes(..)")
    }
}
