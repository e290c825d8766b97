//! Where a run took place, and with what.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::Environment;

/// This machine, this build, now.
#[must_use]
pub fn environment() -> Environment {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Environment {
        date: rfc3339(seconds),
        commit: commit(),
        cpu: cpu(),
        processors: processors(),
        os: goos().into(),
        arch: goarch().into(),
        kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")
            .map_or_else(|_| "unknown".into(), |text| text.trim().into()),
        versions: versions(),
        settings: settings(),
    }
}

/// The processor's name, as the system tells it.
fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| "unknown".into(), |(_, name)| name.trim().to_owned())
}

/// Processors that this process may use, as Go's `GOMAXPROCS` counts them.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Go's name for the operating system.
fn goos() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    }
}

/// Go's name for the processor's architecture.
fn goarch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// The commit of the sources, with `+` behind it if they have changed since; `None` outside a checkout.
fn commit() -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    Some(if changed { commit + "+" } else { commit })
}

/// The compiler, this project, and what it stands on or is compared with, as the lock file has them.
fn versions() -> Vec<(String, String)> {
    let mut versions = vec![
        ("compiler".to_owned(), env!("ROUNDTRIP_COMPILER").to_owned()),
        ("roundtrip".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let locked = include_str!("../../Cargo.lock");
    let peers: &[&str] = if cfg!(feature = "peers") { &["reqwest", "ureq", "axum", "actix-web"] } else { &[] };
    for name in ["tokio", "hyper", "h2", "rustls"].iter().chain(peers) {
        versions.extend(locked_version(locked, name).map(|version| ((*name).to_owned(), version.to_owned())));
    }
    versions
}

/// The newest version of a package in a lock file, whose packages are sorted.
fn locked_version<'a>(locked: &'a str, name: &str) -> Option<&'a str> {
    let package = format!("name = \"{name}\"\nversion = \"");
    let (_, rest) = locked.rsplit_once(&package)?;
    rest.split('"').next()
}

/// What is the same for all that is measured.
fn settings() -> Vec<(String, String)> {
    let pairs = [
        ("profile", env!("ROUNDTRIP_PROFILE")),
        ("allocator", "the system's, with counters around it"),
        ("TCP", "no delay, loopback"),
        ("TLS", "rustls with ring; ECDSA P-256 certificate made for the run"),
        ("client and server", "in one process, a thread with a runtime of its own each"),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Seconds since 1970 as `2026-11-24T15:17:28Z`.
fn rfc3339(seconds: u64) -> String {
    let (day, time) = (seconds / 86_400, seconds % 86_400);
    let (mut year, mut left) = (1970, day);
    while left >= days_of(year) {
        left -= days_of(year);
        year += 1;
    }
    let mut month = 1;
    while left >= days_in(year, month) {
        left -= days_in(year, month);
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}T{:02}:{:02}:{:02}Z", left + 1, time / 3600, time / 60 % 60, time % 60)
}

fn is_leap(year: u64) -> bool {
    (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400)
}

fn days_of(year: u64) -> u64 {
    365 + u64::from(is_leap(year))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds), date);
        }
    }

    #[test]
    fn the_newest_version_is_taken_from_the_lock_file() {
        let locked = "name = \"a\"\nversion = \"1.0\"\n\n[[package]]\nname = \"a\"\nversion = \"2.1\"\n";
        assert_eq!(locked_version(locked, "a"), Some("2.1"));
        assert_eq!(locked_version(locked, "b"), None);
    }

    #[test]
    fn an_environment_says_what_it_is() {
        let environment = environment();
        assert!(environment.processors > 0 && environment.date.len() == 20, "{environment:?}");
        let versions: Vec<_> = environment.versions.iter().map(|(name, _)| &**name).collect();
        assert!(versions.starts_with(&["compiler", "roundtrip", "tokio", "hyper", "h2", "rustls"]), "{versions:?}");
    }
}
