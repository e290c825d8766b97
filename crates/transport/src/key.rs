//! What makes two requests able to share a connection.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::uri::Authority;

use crate::net::{Alpn, Proxy, Scheme, Target};

/// The host that a connection leads to. Requests with equal keys may share connections.
///
/// **Shape**: scheme, host without regard to ASCII case, port, and the proxy in between, so that `http://H/` and `http://h:80/` are
/// one. User information takes no part. Plain requests through a proxy that forwards them share its connections whatever their host: the
/// key is then the proxy's own address (Go: `connectMethodKey`). Cheap to clone: a reference count. The parts are found once, when the key is made; asking the
/// authority each time cost a third of a small request (3.6 k of 17.6 k instructions, callgrind, 2026-11). The hash is made when it
/// is first asked for: the pool looks whether a request goes where the last one went, which needs none.
pub(crate) struct Key {
    authority: Authority,
    /// Where the host stands in the authority, brackets included. 0 <= start <= end <= length.
    host: Range<u16>,
    port: u16,
    scheme: Scheme,
    /// What may be spoken there.
    alpn: Alpn,
    proxy: Option<Proxy>,
    /// 0 until it is known.
    hash: AtomicU64,
}

/// Why an authority is no key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum KeyError {
    NoHost,
    Port,
}

impl Key {
    #[cfg(test)]
    pub(crate) fn http(authority: Authority) -> Result<Self, KeyError> {
        Key::new(Scheme::Http, authority)
    }

    pub(crate) fn new(scheme: Scheme, authority: Authority) -> Result<Self, KeyError> {
        let default = scheme.default_port();
        let made = |authority, host, port| {
            let hash = AtomicU64::new(0);
            Key { authority, host, port, scheme, alpn: Alpn::Http1, proxy: None, hash }
        };
        if let Some((end, port)) = plain(authority.as_str().as_bytes(), default) {
            return Ok(made(authority, 0..end, port));
        }
        let text = authority.as_str();
        let (mut start, mut colon, mut in_brackets) = (0, None, false);
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                b'@' => (start, colon) = (at + 1, None),
                // Colons inside brackets are part of an IPv6 address.
                b'[' => in_brackets = true,
                b']' => in_brackets = false,
                b':' if !in_brackets && colon.is_none() => colon = Some(at),
                _ => {}
            }
        }
        let end = colon.unwrap_or(text.len());
        let port = match &text[end..] {
            "" | ":" => default,
            given => given[1..].parse().map_err(|_| KeyError::Port)?,
        };
        if start == end {
            return Err(KeyError::NoHost);
        }
        // http::Uri refuses anything of 64 KiB or more.
        let narrow = |at: usize| u16::try_from(at).map_err(|_| KeyError::NoHost);
        let host = narrow(start)?..narrow(end)?;
        Ok(made(authority, host, port))
    }

    /// The same host, reached through `proxy`.
    ///
    /// # Errors
    /// If the proxy's address is no authority.
    pub(crate) fn via(mut self, proxy: Proxy) -> Result<Self, KeyError> {
        if self.scheme == Scheme::Http && proxy.forwards_http() {
            let authority = Authority::try_from(proxy.target().to_string()).map_err(|_| KeyError::NoHost)?;
            self = Key::new(Scheme::Http, authority)?;
        }
        self.proxy = Some(proxy);
        Ok(self)
    }

    /// The same host, with which this may be spoken.
    pub(crate) fn speaking(mut self, alpn: Alpn) -> Self {
        self.alpn = alpn;
        self
    }

    pub(crate) fn alpn(&self) -> Alpn {
        self.alpn
    }

    /// Whether its connections may turn out to be HTTP/2.
    pub(crate) fn may_be_shared(&self) -> bool {
        self.alpn != Alpn::Http1
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub(crate) fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// What a connection is opened to. For a proxy that forwards, that is the proxy itself.
    pub(crate) fn target(&self) -> Target {
        Target::new(self.scheme, self.host(), self.port)
    }

    /// The host to connect to, an IPv6 address without its brackets.
    pub(crate) fn host(&self) -> &str {
        let host = self.bracketed_host();
        host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
    }

    /// Whether the two are equal in every byte, which is faster to see than whether they are equal.
    pub(crate) fn is_same_text(&self, other: &Key) -> bool {
        self.port == other.port && self.authority.as_str() == other.authority.as_str() && self.is_same_way(other)
    }

    /// Whether the two go the same way to their hosts.
    fn is_same_way(&self, other: &Key) -> bool {
        self.scheme == other.scheme && self.alpn == other.alpn && self.proxy == other.proxy
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What the `Host` field says: host and port as the URI has them, without user information.
    pub(crate) fn host_field(&self) -> &str {
        &self.authority.as_str()[usize::from(self.host.start)..]
    }

    fn hash(&self) -> u64 {
        // Relaxed: whoever sees no hash makes the same one.
        match self.hash.load(Ordering::Relaxed) {
            0 => {
                let made = hash(self.bracketed_host().as_bytes(), self.port).max(1);
                self.hash.store(made, Ordering::Relaxed);
                made
            }
            known => known,
        }
    }

    fn bracketed_host(&self) -> &str {
        &self.authority.as_str()[usize::from(self.host.start)..usize::from(self.host.end)]
    }
}

/// The end of the host and the port, for an authority that is a name or an IPv4 address, perhaps with a port, and nothing else.
fn plain(text: &[u8], default: u16) -> Option<(u16, u16)> {
    let end = end_of_name(text);
    let port = match &text[end..] {
        [] => default,
        [b':', digits @ ..] if (1..=5).contains(&digits.len()) => {
            let mut port = 0;
            for &digit in digits {
                let value = digit.wrapping_sub(b'0');
                if value > 9 {
                    return None;
                }
                port = port * 10 + u32::from(value);
            }
            u16::try_from(port).ok()?
        }
        _ => return None,
    };
    Some((u16::try_from(end).ok().filter(|&end| end > 0)?, port))
}

/// Where the first `@`, `[` or `:` is, or else the end. Eight bytes at a time: byte by byte it was half of making a key (240
/// instructions, callgrind, 2026-11).
fn end_of_name(text: &[u8]) -> usize {
    /// Marks the bytes that are one of the three. The lowest mark is always a real one.
    fn marks(word: [u8; 8]) -> u64 {
        const ONES: u64 = 0x0101_0101_0101_0101;
        let word = u64::from_le_bytes(word);
        let zeros = |diff: u64| diff.wrapping_sub(ONES) & !diff;
        let of = |byte: u8| zeros(word ^ (ONES * u64::from(byte)));
        (of(b'@') | of(b'[') | of(b':')) & (ONES << 7)
    }
    let (words, rest) = text.as_chunks();
    for (at, &word) in words.iter().enumerate() {
        let marks = marks(word);
        if marks != 0 {
            return at * 8 + marks.trailing_zeros() as usize / 8;
        }
    }
    match text.last_chunk() {
        // Those before the rest are none.
        Some(&last) => text.len() - 8 + (marks(last).trailing_zeros() as usize / 8),
        None => rest.iter().position(|byte| matches!(byte, b'@' | b'[' | b':')).unwrap_or(text.len()),
    }
}

/// The hash of a host, under a key of this process that nobody outside knows: hosts may come from strangers.
fn hash(host: &[u8], port: u16) -> u64 {
    static STATE: OnceLock<RandomState> = OnceLock::new();
    let mut hasher = STATE.get_or_init(RandomState::new).build_hasher();
    // In pieces of 32 bytes, since hashers are slow byte by byte; most hosts are one piece.
    let mut piece = [0; 32];
    for part in host.chunks(piece.len()) {
        for (to, from) in piece.iter_mut().zip(part) {
            *to = from.to_ascii_lowercase();
        }
        hasher.write(&piece[..part.len()]);
    }
    hasher.write_u16(port);
    hasher.finish()
}

impl Clone for Key {
    fn clone(&self) -> Self {
        let hash = AtomicU64::new(self.hash.load(Ordering::Relaxed));
        Key {
            authority: self.authority.clone(),
            host: self.host.clone(),
            port: self.port,
            scheme: self.scheme,
            alpn: self.alpn,
            proxy: self.proxy.clone(),
            hash,
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.bracketed_host(), other.bracketed_host());
        // Most often they are the same in every byte, which is faster to see.
        self.port == other.port && (ours == theirs || ours.eq_ignore_ascii_case(theirs)) && self.is_same_way(other)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash());
    }
}

/// For maps of keys, whose hash is made already.
#[derive(Clone, Copy, Default)]
pub(crate) struct Hashed(u64);

impl Hasher for Hashed {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not reached by a `Key`, but still a hash of whatever comes.
        for byte in bytes {
            self.0 = self.0.rotate_left(5) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.bracketed_host(), self.port)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(authority: &'static str) -> Result<Key, KeyError> {
        Key::http(Authority::from_static(authority))
    }

    #[test]
    fn case_default_port_and_user_information_do_not_matter() {
        for (a, b, same) in [
            ("h.test", "H.TEST:80", true),
            ("h.test", "h.test:", true),
            ("h.test", "user:pw@h.test", true),
            ("h.test", "h.test:81", false),
            ("h.test", "g.test", false),
            ("[::1]:8080", "[::1]:8080", true),
            ("[::1]", "[::1]:80", true),
        ] {
            let (a, b) = (key(a).unwrap(), key(b).unwrap());
            assert_eq!(a == b, same, "{a} {b}");
            assert_eq!(a.hash() == b.hash(), same, "{a} {b}");
        }
    }

    #[test]
    fn scheme_proxy_and_protocol_make_a_difference() {
        let http = || key("h.test:8443").unwrap();
        let https = || Key::new(Scheme::Https, Authority::from_static("h.test:8443")).unwrap();
        let px = || Proxy::new("http://px.test").unwrap();
        let other = || Proxy::new("http://u@px.test").unwrap();
        let socks = || Proxy::new("socks5://px.test").unwrap();
        let all = [
            http(),
            https(),
            https().speaking(Alpn::Http2OrHttp1),
            https().via(px()).unwrap(),
            https().via(other()).unwrap(),
            http().via(px()).unwrap(),
            http().via(socks()).unwrap(),
        ];
        for (at, one) in all.iter().enumerate() {
            for (other_at, other) in all.iter().enumerate() {
                assert_eq!(one == other, at == other_at, "{at} {other_at}");
                assert_eq!(one.is_same_text(other), at == other_at);
            }
        }
        // Plain requests share the connections to a proxy that forwards them, and no others.
        let elsewhere = || key("elsewhere.test").unwrap();
        assert_eq!(elsewhere().via(px()).unwrap(), http().via(px()).unwrap());
        assert_eq!(elsewhere().via(px()).unwrap().target().to_string(), "px.test:80");
        assert_ne!(elsewhere().via(socks()).unwrap(), http().via(socks()).unwrap());
        let default = Key::new(Scheme::Https, Authority::from_static("h.test")).unwrap();
        assert_eq!(default.port(), 443);
    }

    #[test]
    fn host_port_and_field_are_found() {
        for (authority, host, port, field) in [
            ("h.test", "h.test", 80, "h.test"),
            ("h.test:8080", "h.test", 8080, "h.test:8080"),
            ("user:pw@h.test:1", "h.test", 1, "h.test:1"),
            ("[::1]:8080", "::1", 8080, "[::1]:8080"),
            ("a@[fe80::1]", "fe80::1", 80, "[fe80::1]"),
        ] {
            let key = key(authority).unwrap();
            assert_eq!((key.host(), key.port(), key.host_field()), (host, port, field), "{authority}");
        }
    }

    #[test]
    fn the_end_of_a_name_is_found_wherever_it_is() {
        for len in 0..40 {
            let mut text = vec![b'a'; len];
            assert_eq!(end_of_name(&text), len);
            for at in 0..len {
                for mark in [b'@', b'[', b':'] {
                    text[at] = mark;
                    assert_eq!(end_of_name(&text), at, "{len}");
                    // What comes behind makes no difference.
                    text[len - 1] = b'@';
                    assert_eq!(end_of_name(&text), at, "{len}");
                    (text[len - 1], text[at]) = (b'a', b'a');
                }
                for other in [b'@' ^ 1, b'[' ^ 1, b':' ^ 1, b':' + 0x80, 0, 0xff] {
                    text[at] = other;
                    assert_eq!(end_of_name(&text), len, "{other:#x} at {at} of {len}");
                }
                text[at] = b'a';
            }
        }
    }

    #[test]
    fn ports_that_are_none_and_missing_hosts_are_refused() {
        assert_eq!(key("h.test:99999").unwrap_err(), KeyError::Port);
        assert_eq!(key("h.test:65536").unwrap_err(), KeyError::Port);
        assert_eq!(key(":80").unwrap_err(), KeyError::NoHost);
    }
}
