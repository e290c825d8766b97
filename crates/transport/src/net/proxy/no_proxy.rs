//! Who is not to be reached through a proxy: the rules of `NO_PROXY`.

use std::net::IpAddr;

use crate::net::target::ascii_host;

/// The rules of a `NO_PROXY` value.
///
/// **Shape**: a list with commas, without regard to case and white space around entries; empty ones are skipped. `*` is
/// everybody. An IP address, or a range as `10.0.0.0/8`, means hosts that are given as addresses. A name means the host and all
/// below it; `.name` and `*.name` mean those below it only. A port behind an address or name restricts it to that port.
///
/// **Source**: Go's `golang.org/x/net/http/httpproxy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NoProxy {
    all: bool,
    ranges: Vec<(IpAddr, u8)>,
    addresses: Vec<(IpAddr, Port)>,
    names: Vec<Name>,
}

/// `None` is any port. Kept as text, as a port that is no number matches none.
type Port = Option<String>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    /// With a dot in front.
    suffix: String,
    port: Port,
    itself_too: bool,
}

impl NoProxy {
    pub(super) fn parse(text: &str) -> Self {
        let mut rules = NoProxy::default();
        for entry in text.split(',') {
            let entry = entry.trim().to_lowercase();
            if entry == "*" {
                return NoProxy { all: true, ..NoProxy::default() };
            }
            if !entry.is_empty() {
                rules.add(&entry);
            }
        }
        rules
    }

    fn add(&mut self, entry: &str) {
        if let Some(range) = parse_range(entry) {
            self.ranges.push(range);
            return;
        }
        let Some((host, port)) = split_port(entry) else { return };
        if let Ok(ip) = host.parse::<IpAddr>() {
            self.addresses.push((ip.to_canonical(), port));
            return;
        }
        let host = if host.starts_with("*.") { &host[1..] } else { host };
        if host.is_empty() {
            return;
        }
        let itself_too = !host.starts_with('.');
        let name = ascii_host(host.strip_prefix('.').unwrap_or(host));
        let suffix = format!(".{name}");
        self.names.push(Name { suffix, port, itself_too });
    }

    /// Whether `host` at `port` is reached without a proxy. The host is as in a URL, brackets gone.
    ///
    /// `localhost` and loopback addresses always are.
    pub(super) fn matches(&self, host: &str, port: u16) -> bool {
        let ip = parse_ip(host);
        if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) || self.all {
            return true;
        }
        let port = port.to_string();
        let suits = |rule: &Port| rule.as_ref().is_none_or(|rule| *rule == port);
        if let Some(ip) = ip {
            return self.ranges.iter().any(|range| is_in(ip, *range))
                || self.addresses.iter().any(|(address, port)| *address == ip && suits(port));
        }
        let host = ascii_host(&host.trim().to_lowercase()).into_owned();
        self.names.iter().any(|name| {
            let below = host.ends_with(&name.suffix);
            (below || (name.itself_too && host == name.suffix[1..])) && suits(&name.port)
        })
    }
}

/// An address, its zone left off and an IPv4 address inside IPv6 taken out.
fn parse_ip(host: &str) -> Option<IpAddr> {
    let host = match host.split_once('%') {
        Some((address, zone)) if address.contains(':') && !zone.is_empty() => address,
        _ => host,
    };
    host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// `address/bits`.
fn parse_range(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/')?;
    if bits.is_empty() || !bits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (ip, bits) = (address.parse::<IpAddr>().ok()?, bits.parse::<u8>().ok()?);
    if bits > if ip.is_ipv4() { 32 } else { 128 } {
        return None;
    }
    // A range inside those IPv6 addresses that stand for IPv4 addresses is a range of IPv4 addresses.
    match (ip, ip.to_canonical()) {
        (IpAddr::V6(_), v4 @ IpAddr::V4(_)) if bits >= 96 => Some((v4, bits - 96)),
        _ => Some((ip, bits)),
    }
}

fn is_in(ip: IpAddr, (range, bits): (IpAddr, u8)) -> bool {
    let bits = u32::from(bits);
    match (ip, range) {
        (IpAddr::V4(ip), IpAddr::V4(range)) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            u32::from(ip) & mask == u32::from(range) & mask
        }
        (IpAddr::V6(ip), IpAddr::V6(range)) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            u128::from(ip) & mask == u128::from(range) & mask
        }
        _ => false,
    }
}

/// Splits a port off as Go's `net.SplitHostPort` does, with the whole as host where it would fail. `None` for a port alone.
fn split_port(entry: &str) -> Option<(&str, Port)> {
    let Some(colon) = entry.rfind(':') else { return Some((entry, None)) };
    let (host, port) = (&entry[..colon], &entry[colon + 1..]);
    let split = if let Some(inside) = host.strip_prefix('[') {
        inside.strip_suffix(']').filter(|inside| !inside.contains(['[', ']']))
    } else {
        // More than one colon is an address without a port.
        (!host.contains([':', '[', ']'])).then_some(host)
    };
    match split {
        Some(_) if port.contains(['[', ']']) => Some((entry, None)),
        Some("") => None,
        // An empty port is no restriction.
        Some(host) => Some((host, Some(port).filter(|port| !port.is_empty()).map(str::to_owned))),
        None => Some((entry, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_match_hosts_and_ports() {
        for (rules, host, port, want) in [
            ("", "localhost", 80, true),
            ("", "127.9.9.9", 80, true),
            ("", "::1", 80, true),
            ("", "h.test", 80, false),
            ("*", "h.test", 80, true),
            ("a.test, *", "h.test", 80, true),
            ("H.test", "h.TEST", 80, true),
            ("h.test", "www.h.test", 80, true),
            ("h.test", "wwwh.test", 80, false),
            (".h.test", "h.test", 80, false),
            (".h.test", "www.h.test", 80, true),
            ("*.h.test", "www.h.test", 80, true),
            ("h.test:81", "h.test", 80, false),
            ("h.test:81", "h.test", 81, true),
            ("10.0.0.0/8", "10.200.3.4", 80, true),
            ("10.0.0.0/8", "11.0.0.1", 80, false),
            ("0.0.0.0/0", "11.0.0.1", 80, true),
            ("2001:db8::/32", "2001:db8:1::1", 80, true),
            ("2001:db8::/32", "2001:db9::1", 80, false),
            ("::/0", "2001:db9::1", 80, true),
            ("10.0.0.1:81", "10.0.0.1", 80, false),
            ("[2001:db8::1]:81", "2001:db8::1", 81, true),
            ("2001:db8::1", "2001:db8::1", 81, true),
            ("10.0.0.1", "::ffff:10.0.0.1", 80, true),
            ("10.0.0.0/33", "10.0.0.1", 80, false),
            (":81", "h.test", 81, false),
            ("::ffff:10.0.0.0/104", "10.200.3.4", 80, true),
            ("b\u{fc}cher.test", "www.xn--bcher-kva.test", 80, true),
            ("xn--bcher-kva.test", "b\u{fc}cher.test", 80, true),
        ] {
            assert_eq!(NoProxy::parse(rules).matches(host, port), want, "{rules:?} {host} {port}");
        }
    }
}
