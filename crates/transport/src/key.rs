//! What makes two requests able to share a connection.

use std::fmt;
use std::hash::{Hash, Hasher};

use http::uri::Authority;

/// The host that a connection leads to. Requests with equal keys may share connections.
///
/// **Shape**: scheme `http`, host without regard to ASCII case, and port, so that `http://H/` and `http://h:80/` are one. User
/// information takes no part. Cheap to clone: a reference count.
#[derive(Clone)]
pub(crate) struct Key {
    authority: Authority,
    port: u16,
}

impl Key {
    pub(crate) fn http(authority: Authority) -> Self {
        let port = authority.port_u16().unwrap_or(80);
        Key { authority, port }
    }

    /// The host as the URI has it, an IPv6 address without its brackets.
    pub(crate) fn host(&self) -> &str {
        let host = self.authority.host();
        host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.port == other.port && self.authority.host().eq_ignore_ascii_case(other.authority.host())
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // In pieces of 32 bytes, since hashers are slow byte by byte; most hosts are one piece.
        let mut piece = [0; 32];
        for part in self.authority.host().as_bytes().chunks(piece.len()) {
            for (to, from) in piece.iter_mut().zip(part) {
                *to = from.to_ascii_lowercase();
            }
            state.write(&piece[..part.len()]);
        }
        state.write_u16(self.port);
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.authority.host(), self.port)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;
    use std::hash::RandomState;

    use super::*;

    fn key(authority: &'static str) -> Key {
        Key::http(Authority::from_static(authority))
    }

    #[test]
    fn case_default_port_and_user_information_do_not_matter() {
        let hasher = RandomState::new();
        for (a, b, same) in [
            ("h.test", "H.TEST:80", true),
            ("h.test", "user:pw@h.test", true),
            ("h.test", "h.test:81", false),
            ("h.test", "g.test", false),
            ("[::1]:8080", "[::1]:8080", true),
        ] {
            let (a, b) = (key(a), key(b));
            assert_eq!(a == b, same, "{a} {b}");
            assert_eq!(hasher.hash_one(&a) == hasher.hash_one(&b), same, "{a} {b}");
        }
    }

    #[test]
    fn the_host_to_dial_has_no_brackets() {
        assert_eq!((key("[::1]:8080").host(), key("[::1]:8080").port()), ("::1", 8080));
        assert_eq!((key("a@h.test").host(), key("h.test").port()), ("h.test", 80));
    }
}
