//! Ctrl-C: what was measured so far is printed, and the status says that there is more.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Long enough that it does not end by itself within a test.
const LONG: [&str; 4] = ["--time", "300", "--rounds", "1"];

#[test]
fn the_first_ctrl_c_prints_what_was_measured_so_far() {
    let report = std::env::temp_dir().join(format!("roundtrip-bench-interrupt-{}", std::process::id()));
    let child = Command::new(env!("CARGO_BIN_EXE_roundtrip-bench"))
        .args(LONG)
        .args(["--pooling", "pool"])
        .arg("--report")
        .arg(&report)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It is measuring once its server answers; how long that takes nobody says, so it is told again until it ends.
    let begun = Instant::now();
    let id = child.id().to_string();
    std::thread::sleep(Duration::from_secs(2));
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let page = std::fs::read_to_string(report.join("results.json")).unwrap_or_default();
    // A leftover in the temporary folder is no reason to fail.
    let _ = std::fs::remove_dir_all(&report);
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    assert_eq!(output.status.code(), Some(130), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains("\nBenchmarkWithConnectionPool-"), "{stdout}");
    assert!(stdout.contains("INTERRUPTED"), "{stdout}");
    assert!(page.contains("\"interrupted\": true"), "{page}");
}
