//! The host that a request names, as patterns compare it.

/// The host without its port: Go's rule, which also takes the brackets off an IPv6 address that has a port.
///
/// What is not `host:port` stays as it is, so that it can match no pattern by accident.
pub(crate) fn without_port(host: &str) -> &str {
    let Some((name, port)) = host.rsplit_once(':') else { return host };
    let inner = match name.strip_prefix('[') {
        Some(bracketed) => bracketed.strip_suffix(']'),
        None if name.contains(':') => None,
        None => Some(name),
    };
    match inner {
        Some(inner) if !inner.contains(['[', ']']) && !port.contains(['[', ']']) => inner,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_port_is_taken_off() {
        for (host, want) in [
            ("h.test", "h.test"),
            ("h.test:80", "h.test"),
            ("h.test:", "h.test"),
            (":80", ""),
            ("[::1]", "[::1]"),
            ("[::1]:80", "::1"),
            ("::1", "::1"),
            ("a:b:80", "a:b:80"),
            ("[a]b:80", "[a]b:80"),
            ("h]:80", "h]:80"),
            ("", ""),
        ] {
            assert_eq!(without_port(host), want, "{host}");
        }
    }
}
