//! What `--verbose` says on standard error.

use std::time::Duration;

use roundtrip::http::HeaderMap;
use roundtrip::prelude::*;
use roundtrip::{PeerAddr, Response, Timings};

/// Header fields, one a line. Secrets are for the server alone.
pub(crate) fn fields(mark: char, fields: &HeaderMap) {
    for (name, value) in fields {
        let shown = if value.is_sensitive() { "***".into() } else { value.as_bytes().escape_ascii().to_string() };
        eprintln!("{mark} {name}: {shown}");
    }
}

/// The way to a response, and over what it came.
pub(crate) fn head(response: &Response) {
    for hop in response.redirects() {
        eprintln!("< {} {} {}", hop.status, hop.method, hop.url);
    }
    if let Some(url) = response.final_url() {
        eprintln!("* answered by {url}");
    }
    eprintln!("< {:?} {}", response.version(), response.status());
    if let Some(timings) = response.timings() {
        let age = if timings.reused() { "used before" } else { "new" };
        let info = timings.conn_info();
        let proxy = info.proxy().map_or(String::new(), |proxy| format!(" through {proxy}"));
        eprintln!("* {}, {age}, to {}{proxy}", timings.conn_id(), peer(info.peer()));
        if let Some(tls) = info.tls() {
            let resumed = if tls.resumed { ", resumed" } else { "" };
            let protocol = tls.alpn.as_deref().unwrap_or(b"none").escape_ascii();
            eprintln!("* {} {}, protocol {protocol}{resumed}", tls.version, tls.cipher_suite);
        }
    }
}

fn peer(peer: &PeerAddr) -> String {
    match peer {
        PeerAddr::Ip(addr) => addr.to_string(),
        PeerAddr::Unix(path) => path.display().to_string(),
        _ => "a place without an address".into(),
    }
}

/// Where the time went, as a table.
pub(crate) fn times(timings: &Timings) {
    let rows = [
        ("queue", Some(timings.queue())),
        ("  dns", timings.dns()),
        ("  connect", timings.connect()),
        ("  proxy", timings.proxy()),
        ("  tls", timings.tls()),
        ("write", timings.write()),
        ("wait", Some(timings.wait())),
        ("body", timings.body()),
        ("total", Some(timings.total())),
    ];
    for (phase, time) in rows {
        if let Some(time) = time {
            eprintln!("* {phase:<10}{:>10.3} ms", millis(time));
        }
    }
    if timings.attempts() > 1 {
        eprintln!("* sent {} times", timings.attempts());
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
