//! Settings of TLS.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Handshake;
#[cfg(feature = "tls")]
use super::{Certificate, Identity};

/// How connections are secured: a plain struct to fill in, ending with `..TlsConfig::default()`. Go's `TLSClientConfig`.
///
/// The fields up to `handshake_timeout` need the feature `tls`.
#[derive(Clone)]
pub struct TlsConfig {
    /// Whose word is taken for who a server is. Default: the operating system's list. Go's `RootCAs`.
    #[cfg(feature = "tls")]
    pub roots: Roots,
    /// Certificates that are trusted besides [`roots`](TlsConfig::roots): those of a company, or of a test.
    #[cfg(feature = "tls")]
    pub extra_roots: Vec<Certificate>,
    /// Who we are, for servers that ask (mutual TLS). Default: nobody. Go's `Certificates`.
    #[cfg(feature = "tls")]
    pub identity: Option<Identity>,
    /// The oldest version to speak. Default TLS 1.2, as Go. Go's `MinVersion`.
    #[cfg(feature = "tls")]
    pub min_version: TlsVersion,
    /// How many sessions are remembered, one or a few for each host; with one, a handshake is shorter by a signature and a
    /// chain of certificates. Default 256; 0 none. Go's `ClientSessionCache`, which Go has none of by default.
    #[cfg(feature = "tls")]
    pub session_cache: usize,
    /// What is done only in tests, or with great care.
    #[cfg(feature = "tls")]
    pub danger: DangerousTls,
    /// How long a handshake may take. Default 10 s, as Go's default transport; `None` leaves it to the limits above it. It stops
    /// a server that accepts and then says nothing. Go's `TLSHandshakeTimeout`.
    pub handshake_timeout: Option<Duration>,
    /// The name that servers must prove, and that is sent to them (SNI), instead of the URL's host. Default `None`. It does
    /// not concern proxies. Go's `ServerName`.
    pub server_name: Option<String>,
    /// Makes the handshakes instead of rustls. The fields above except these last two are then not looked at. Default `None`.
    pub handshake: Option<Arc<dyn Handshake>>,
}

/// Where trust begins.
#[cfg(feature = "tls")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Roots {
    /// What the operating system trusts, by its own verifier where it has one (macOS, Windows), else by its list.
    #[default]
    Platform,
    /// What Mozilla trusts, as of the build of this program.
    #[cfg(feature = "webpki-roots")]
    Mozilla,
    /// Nothing but [`extra_roots`](TlsConfig::extra_roots).
    Nothing,
}

/// A version of TLS.
#[cfg(feature = "tls")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// Options that take the security out of TLS.
#[cfg(feature = "tls")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DangerousTls {
    /// Takes any certificate, so that anybody on the way can be the server. Default false. Go's `InsecureSkipVerify`.
    pub accept_invalid_certificates: bool,
    /// Takes a certificate that is trusted but for another host, so that anybody with any certificate can be the server.
    /// Default false. [`server_name`](TlsConfig::server_name) is the safe way to expect another name.
    pub accept_invalid_names: bool,
    /// Writes the keys of connections to the file that the environment variable `SSLKEYLOGFILE` names, for Wireshark and
    /// whoever else reads it. Default false. Go's `KeyLogWriter`.
    pub log_keys: bool,
}

impl Default for TlsConfig {
    fn default() -> Self {
        TlsConfig {
            #[cfg(feature = "tls")]
            roots: Roots::default(),
            #[cfg(feature = "tls")]
            extra_roots: Vec::new(),
            #[cfg(feature = "tls")]
            identity: None,
            #[cfg(feature = "tls")]
            min_version: TlsVersion::default(),
            #[cfg(feature = "tls")]
            session_cache: 256,
            #[cfg(feature = "tls")]
            danger: DangerousTls::default(),
            handshake_timeout: Some(Duration::from_secs(10)),
            server_name: None,
            handshake: None,
        }
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TlsConfig");
        #[cfg(feature = "tls")]
        shown
            .field("roots", &self.roots)
            .field("extra_roots", &self.extra_roots.len())
            .field("identity", &self.identity)
            .field("min_version", &self.min_version)
            .field("session_cache", &self.session_cache)
            .field("danger", &self.danger);
        shown
            .field("handshake_timeout", &self.handshake_timeout)
            .field("server_name", &self.server_name)
            .field("handshake", &self.handshake.as_ref().map(|_| ".."))
            .finish()
    }
}
