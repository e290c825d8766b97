//! What a head says about its body, its connection and what it asks for, noted while its fields are taken in, so that nobody
//! has to look the fields up again (550 instructions a response with lookups; callgrind, 2026-11).

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Version};

use crate::excerpt::Excerpt;
use crate::fields::known_index;
use crate::framing::{Framing, FramingError};
use crate::head::is_host;
use crate::syntax::{decimal, list};

/// The fields of a head that say where its body ends and whether the connection stays; and whether some rare ones are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    length: Length,
    transfer: Transfer,
    connection: Connection,
    /// Only told of the heads that were parsed, like all below.
    pub(crate) host: Host,
    /// Whether there is a `Content-Encoding` field.
    pub(crate) coded: bool,
    /// Whether there is an `Expect` field.
    pub(crate) expect: bool,
    /// Whether there is an `Upgrade` field.
    pub(crate) upgrade: bool,
}

/// What the `Content-Length` fields say together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Length {
    #[default]
    Absent,
    /// With the number of digits: `5` and `05` are not the same text.
    Valid(u64, usize),
    Bad,
}

/// What the `Transfer-Encoding` fields say together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Transfer {
    #[default]
    Absent,
    Chunked,
    Bad,
}

/// What the `Host` fields say together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Host {
    #[default]
    Absent,
    Valid,
    Bad,
    Repeated,
}

/// The options of `Connection` that concern persistence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Connection {
    close: bool,
    keep_alive: bool,
}

impl Facts {
    /// Reads the facts off a header map.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut facts = Facts::default();
        headers.get_all(CONTENT_LENGTH).iter().for_each(|value| facts.length = facts.length.and(value.as_bytes()));
        headers
            .get_all(TRANSFER_ENCODING)
            .iter()
            .for_each(|value| facts.transfer = facts.transfer.and(value.as_bytes()));
        headers.get_all(CONNECTION).iter().for_each(|value| facts.connection.add(value.as_bytes()));
        facts
    }

    /// Takes in one field, by the index of its name among the known ones.
    #[inline]
    pub(crate) fn note(&mut self, known: u8, value: &[u8]) {
        const LENGTH: u8 = known_index("Content-Length");
        const TRANSFER: u8 = known_index("Transfer-Encoding");
        const OPTIONS: u8 = known_index("Connection");
        const HOST: u8 = known_index("Host");
        const CODING: u8 = known_index("Content-Encoding");
        const EXPECT: u8 = known_index("Expect");
        const UPGRADE: u8 = known_index("Upgrade");
        match known {
            LENGTH => self.length = self.length.and(value),
            TRANSFER => self.transfer = self.transfer.and(value),
            OPTIONS => self.connection.add(value),
            HOST => self.host = self.host.and(value),
            CODING => self.coded = true,
            EXPECT => self.expect = true,
            UPGRADE => self.upgrade = true,
            _ => {}
        }
    }

    /// The length that was given, whether or not it counts.
    ///
    /// # Errors
    /// When it is no length, with the value that is to blame, out of the message's own `headers`.
    #[inline]
    pub(crate) fn length(&self, headers: &HeaderMap) -> Result<Option<u64>, FramingError> {
        match self.length {
            Length::Absent => Ok(None),
            Length::Valid(length, _) => Ok(Some(length)),
            Length::Bad => Err(bad_length(headers)),
        }
    }

    /// Whether the body is chunked: true for `chunked` once and alone, false without the field.
    ///
    /// # Errors
    /// For everything else.
    #[inline]
    pub(crate) fn is_chunked(&self, version: Version, headers: &HeaderMap) -> Result<bool, FramingError> {
        match self.transfer {
            Transfer::Absent => Ok(false),
            // RFC 9112 section 6.1: a message of HTTP/1.0 with the field has faulty framing.
            _ if version < Version::HTTP_11 => Err(FramingError::TransferEncodingInHttp10),
            Transfer::Chunked => Ok(true),
            Transfer::Bad => Err(bad_transfer(headers)),
        }
    }

    /// Whether the connection may be used again after a message with these facts (RFC 9112 section 9.3).
    pub(crate) fn keeps_alive(&self, version: Version, framing: Framing) -> bool {
        let Connection { close, keep_alive } = self.connection;
        let persists = !close && (version >= Version::HTTP_11 || keep_alive);
        // RFC 9112 section 6.1: after a message with both fields the connection has to be closed, and so after one of HTTP/1.0
        // with Transfer-Encoding. A message without a body whose fields are malformed comes from a peer not to be relied on.
        let faulty = match (self.transfer, self.length) {
            (Transfer::Bad, _) | (_, Length::Bad) => true,
            (Transfer::Chunked, length) => length != Length::Absent || version < Version::HTTP_11,
            (Transfer::Absent, _) => false,
        };
        persists && !faulty && !matches!(framing, Framing::UntilClose | Framing::Tunnel)
    }
}

impl Length {
    /// Repetitions are taken only if all have the same text, and lists are refused; RFC 9112 section 6.3, rule 5 would allow a
    /// list of equal numbers.
    fn and(self, value: &[u8]) -> Self {
        // RFC 9110 section 8.6 asks to guard against overflow; nothing holds 2^63 bytes, so such a length is an attack or an
        // error.
        match decimal(value) {
            Some(length) if i64::try_from(length).is_ok() => {
                let this = Length::Valid(length, value.len());
                if self == Length::Absent || self == this { this } else { Length::Bad }
            }
            _ => Length::Bad,
        }
    }
}

impl Transfer {
    /// RFC 9112 section 6.1: chunked is applied once and last. Other codings could be undone, but nobody sends them, and
    /// guessing which of several the sender meant is how requests get smuggled.
    fn and(self, value: &[u8]) -> Self {
        let mut codings = list(value);
        match (self, codings.next(), codings.next()) {
            (Transfer::Absent, Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Transfer::Chunked,
            _ => Transfer::Bad,
        }
    }
}

impl Host {
    /// RFC 9112 section 3.2: one field, with a valid value.
    fn and(self, value: &[u8]) -> Self {
        match self {
            Host::Absent if is_host(value) => Host::Valid,
            Host::Absent => Host::Bad,
            _ => Host::Repeated,
        }
    }
}

impl Connection {
    /// Takes in the options of one field line (RFC 9110 section 7.6.1: a list, in any case).
    #[inline]
    fn add(&mut self, value: &[u8]) {
        // The usual ones: of known length, so that they are compared in a few steps.
        if value == b"keep-alive" {
            self.keep_alive = true;
        } else if value == b"close" {
            self.close = true;
        } else {
            self.add_options(value);
        }
    }

    #[inline(never)]
    fn add_options(&mut self, value: &[u8]) {
        for option in list(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }
}

#[cold]
fn bad_length(headers: &HeaderMap) -> FramingError {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let first = values.next();
    let blamed = values.find(|&value| Some(value) != first).or(first);
    FramingError::ContentLength(excerpt(blamed))
}

#[cold]
fn bad_transfer(headers: &HeaderMap) -> FramingError {
    FramingError::TransferEncoding(excerpt(headers.get_all(TRANSFER_ENCODING).iter().next_back()))
}

fn excerpt(value: Option<&HeaderValue>) -> Excerpt {
    Excerpt::new(value.map_or(b"", HeaderValue::as_bytes))
}
