//! TLS with rustls, and its errors in words.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use roundtrip_h1::Excerpt;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::{ServerName, UnixTime};
use tokio_rustls::rustls::sign::SingleCertAndKey;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, Error, HandshakeKind, KeyLogFile, ProtocolVersion,
};

use super::config::{TlsConfig, TlsVersion};
use super::secured::Secured;
use super::sniff::Sniffed;
use super::verify::{SelfSigned, Verifier};
use super::{Alpn, HandshakeRequest, TlsError, TlsProblem};
use crate::net::{Stream, TlsInfo};

/// rustls, set up: one configuration for each list of protocols, with one memory of sessions.
pub(super) struct Client {
    http1: TlsConnector,
    either: TlsConnector,
    http2: TlsConnector,
}

/// The cryptography: ring. aws-lc-rs, rustls' default, takes a C compiler with cmake and minutes more to build.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(tokio_rustls::rustls::crypto::ring::default_provider())
}

impl Client {
    pub(super) fn new(config: &TlsConfig) -> Result<Self, TlsError> {
        let provider = provider();
        let versions: &[_] = match config.min_version {
            TlsVersion::Tls12 => &[&TLS13, &TLS12],
            TlsVersion::Tls13 => &[&TLS13],
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions);
        let builder = builder.map_err(|error| {
            TlsError::new(TlsProblem::Configuration, format!("these versions of TLS cannot be spoken: {error}"))
        })?;
        let verifier = Arc::new(Verifier::new(config, provider)?);
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut rustls = match &config.identity {
            Some(identity) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&identity.0))))
            }
            None => builder.with_no_client_auth(),
        };
        rustls.resumption = match config.session_cache {
            0 => Resumption::disabled(),
            sessions => Resumption::in_memory_sessions(sessions),
        };
        if config.danger.log_keys {
            rustls.key_log = Arc::new(KeyLogFile::new());
        }
        let with = |alpn: Alpn| {
            let mut rustls = rustls.clone();
            rustls.alpn_protocols = alpn.names().iter().map(|name| name.as_bytes().to_vec()).collect();
            TlsConnector::from(Arc::new(rustls))
        };
        Ok(Client { http1: with(Alpn::Http1), either: with(Alpn::Http2OrHttp1), http2: with(Alpn::Http2) })
    }

    pub(super) async fn handshake(
        &self,
        stream: Stream,
        request: &HandshakeRequest,
    ) -> Result<(Stream, TlsInfo), TlsError> {
        let name = ServerName::try_from(request.server_name.clone()).map_err(|error| {
            let message = format!("\"{}\" is no name for TLS", request.server_name.escape_debug());
            TlsError::new(TlsProblem::Configuration, message).caused_by(error)
        })?;
        let connector = match request.alpn {
            Alpn::Http1 => &self.http1,
            Alpn::Http2OrHttp1 => &self.either,
            Alpn::Http2 => &self.http2,
        };
        match connector.connect(name, Sniffed::new(stream)).into_fallible().await {
            Ok(stream) => {
                let info = info(&stream, &request.server_name);
                Ok((Stream::boxed(Secured::new(stream)), info))
            }
            Err((error, stream)) => Err(explained(error, stream.first(), &request.server_name)),
        }
    }
}

fn info(stream: &TlsStream<Sniffed>, server_name: &str) -> TlsInfo {
    let session = stream.get_ref().1;
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => Cow::Borrowed("TLSv1.2"),
        Some(ProtocolVersion::TLSv1_3) => Cow::Borrowed("TLSv1.3"),
        other => Cow::Owned(format!("{other:?}")),
    };
    let suite = session.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite())).unwrap_or_default();
    // rustls marks those of TLS 1.3, the registry does not.
    let suite = suite.strip_prefix("TLS13_").map(|rest| format!("TLS_{rest}")).unwrap_or(suite);
    let chain = session.peer_certificates().unwrap_or_default();
    TlsInfo {
        version,
        cipher_suite: Cow::Owned(suite),
        alpn: session.alpn_protocol().map(Bytes::copy_from_slice),
        peer_certificates: chain.iter().map(|certificate| Bytes::copy_from_slice(certificate)).collect(),
        server_name: server_name.into(),
        resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
    }
}

/// What went wrong, in words. `first` is how the peer began.
fn explained(error: io::Error, first: &[u8], name: &str) -> TlsError {
    let Some(rustls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        let message = match error.kind() {
            io::ErrorKind::UnexpectedEof => "the server closed the connection during the handshake".to_owned(),
            _ => format!("the connection broke during the handshake: {error}"),
        };
        return TlsError::new(TlsProblem::ConnectionLost, message).caused_by(error);
    };
    let (problem, message) = match rustls {
        Error::InvalidMessage(_) if first.starts_with(b"HTTP/") => (
            TlsProblem::PlainHttp,
            "the server speaks plain HTTP on this port; the URL's scheme should be http, or the port another"
                .to_owned(),
        ),
        Error::InvalidMessage(_) if !looks_like_tls(first) => {
            (TlsProblem::NotTls, format!("the server does not speak TLS: it began with {}", Excerpt::new(first)))
        }
        Error::InvalidCertificate(error) => certificate(error, name),
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            (TlsProblem::Alert, "the server wants a client certificate, and the settings have no identity".to_owned())
        }
        Error::AlertReceived(alert) => {
            (TlsProblem::Alert, format!("the server refused: {}", words(&format!("{alert:?}"))))
        }
        other => (TlsProblem::Protocol, other.to_string()),
    };
    TlsError::new(problem, message).caused_by(rustls.clone())
}

fn certificate(error: &CertificateError, name: &str) -> (TlsProblem, String) {
    match error {
        CertificateError::ExpiredContext { not_after, .. } => {
            (TlsProblem::Expired, format!("the certificate expired on {}", date(*not_after)))
        }
        CertificateError::Expired => (TlsProblem::Expired, "the certificate expired".to_owned()),
        CertificateError::NotValidYetContext { not_before, .. } => {
            (TlsProblem::NotYetValid, format!("the certificate is not valid before {}", date(*not_before)))
        }
        CertificateError::NotValidYet => (TlsProblem::NotYetValid, "the certificate is not valid yet".to_owned()),
        CertificateError::NotValidForNameContext { presented, .. } => {
            (TlsProblem::WrongHost, format!("the certificate is for {}, not for {name}", names(presented)))
        }
        CertificateError::NotValidForName => (TlsProblem::WrongHost, format!("the certificate is not for {name}")),
        CertificateError::UnknownIssuer => {
            (TlsProblem::UnknownIssuer, "the certificate was issued by nobody that is trusted here".to_owned())
        }
        CertificateError::Revoked => (TlsProblem::Revoked, "the certificate was revoked".to_owned()),
        CertificateError::Other(other) if other.0.downcast_ref::<SelfSigned>().is_some() => {
            (TlsProblem::SelfSigned, "the certificate is self-signed and not among the trusted ones".to_owned())
        }
        other => (TlsProblem::Certificate, format!("the certificate is invalid: {other}")),
    }
}

/// The names of a certificate, escaped and no more than a few.
fn names(presented: &[String]) -> String {
    const MOST: usize = 5;
    if presented.is_empty() {
        return "no name".to_owned();
    }
    // As rustls shows them: DnsName("a.test").
    let plain = |shown: &String| {
        let inside = shown.split_once("(\"").and_then(|(_, rest)| rest.strip_suffix("\")"));
        super::super::dial::shown(inside.unwrap_or(shown))
    };
    let mut text = presented.iter().take(MOST).map(plain).collect::<Vec<_>>().join(", ");
    if presented.len() > MOST {
        text.push_str(&format!(" and {} more", presented.len() - MOST));
    }
    text
}

/// `HandshakeFailure` as `handshake failure`.
fn words(camel: &str) -> String {
    let mut text = String::new();
    for c in camel.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

/// Whether bytes may be the head of a TLS record.
fn looks_like_tls(first: &[u8]) -> bool {
    matches!(first, [0x14..=0x18, 0x03, ..])
}

/// A time as `2024-02-29 12:00 UTC`.
fn date(at: UnixTime) -> String {
    let seconds = at.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let minutes = seconds % 86_400 / 60;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

/// The date of a day since 1970, by counting in years that begin in March (after H. Hinnant, "chrono-compatible low-level date
/// algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, want) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (1_709_208_000, "2024-02-29 12:00 UTC"),
            (1_735_689_599, "2024-12-31 23:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
        ] {
            assert_eq!(date(UnixTime::since_unix_epoch(Duration::from_secs(seconds))), want);
        }
    }

    #[test]
    fn names_are_few_and_plain() {
        let presented: Vec<String> = (0..7).map(|at| format!("DnsName(\"{at}.test\")")).collect();
        assert_eq!(names(&presented), "0.test, 1.test, 2.test, 3.test, 4.test and 2 more");
        assert_eq!(names(&[]), "no name");
    }

    #[test]
    fn alerts_are_in_words() {
        assert_eq!(words("HandshakeFailure"), "handshake failure");
    }
}
