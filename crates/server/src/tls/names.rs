//! Which certificate a client gets.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{Certificate, TlsError};

/// Certificates by the names they are for.
#[derive(Debug)]
pub(super) struct ByName {
    certificates: Vec<Certificate>,
    /// Places in `certificates`, in order. A wildcard name stands here without its star: `.h.test`.
    names: HashMap<String, Vec<usize>>,
}

impl ByName {
    /// At least one certificate is needed.
    pub(super) fn new(certificates: Vec<Certificate>) -> Result<Self, TlsError> {
        if certificates.is_empty() {
            return Err(TlsError::new("TLS needs a certificate, and there is none"));
        }
        let mut names: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, certificate) in certificates.iter().enumerate() {
            for name in certificate.names() {
                names.entry(name.strip_prefix('*').unwrap_or(name).to_owned()).or_default().push(index);
            }
        }
        Ok(ByName { certificates, names })
    }

    /// The first certificate for `name` with a key that the client can check; otherwise the first that it can check at all;
    /// otherwise the first, with which the handshake then fails and says so.
    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> &Arc<CertifiedKey> {
        let fits = |certificate: &&Certificate| certificate.key().key.choose_scheme(schemes).is_some();
        let exact = name.and_then(|name| self.names.get(name));
        // RFC 6125: a wildcard stands for one label.
        let wild = name.and_then(|name| self.names.get(&name[name.find('.')?..]));
        let named = exact.into_iter().chain(wild).flatten().map(|&index| &self.certificates[index]);
        let chosen = named.into_iter().find(fits).or_else(|| self.certificates.iter().find(fits));
        chosen.unwrap_or(&self.certificates[0]).key()
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        Some(Arc::clone(self.choose(name.as_deref(), hello.signature_schemes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(names: &[&str]) -> Certificate {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Certificate::from_pem(made.cert.pem(), made.signing_key.serialize_pem()).unwrap()
    }

    #[test]
    fn names_are_exact_or_one_label_below_a_wildcard() {
        let sets: [&[&str]; 4] = [&["first.test"], &["a.test", "*.w.test"], &["x.w.test"], &["a.test"]];
        let certificates: Vec<_> = sets.iter().map(|names| certificate(names)).collect();
        let by_name = ByName::new(certificates.clone()).unwrap();
        let schemes = [SignatureScheme::ECDSA_NISTP256_SHA256];
        for (name, want) in [
            (None, 0),
            (Some("a.test"), 1),
            (Some("y.w.test"), 1),
            (Some("x.w.test"), 2),
            (Some("z.y.w.test"), 0),
            (Some("w.test"), 0),
            (Some("test"), 0),
            (Some("other.test"), 0),
        ] {
            let chosen = by_name.choose(name, &schemes);
            assert!(Arc::ptr_eq(chosen, certificates[want].key()), "{name:?}");
        }
        assert!(ByName::new(Vec::new()).is_err());
    }
}
