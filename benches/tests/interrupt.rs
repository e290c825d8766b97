//! Ctrl-C: what was measured so far is printed, and the status says that there is more.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

/// Short rounds, so many that it does not end by itself within a test.
const LONG: [&str; 4] = ["--time", "0.2", "--rounds", "1000"];

#[test]
fn the_first_ctrl_c_prints_what_was_measured_so_far() {
    let report = std::env::temp_dir().join(format!("roundtrip-bench-interrupt-{}", std::process::id()));
    let mut child = Command::new(env!("CARGO_BIN_EXE_roundtrip-bench"))
        .args(LONG)
        .args(["--pooling", "pool"])
        .arg("--report")
        .arg(&report)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It says what it does before each round, once a second at most: at its second word rounds have been measured.
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut lines = String::new();
    for _ in 0..2 {
        assert_ne!(said.read_line(&mut lines).unwrap(), 0, "{lines}");
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    said.read_to_string(&mut lines).unwrap();
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let page = std::fs::read_to_string(report.join("results.json")).unwrap_or_default();
    // A leftover in the temporary folder is no reason to fail.
    let _ = std::fs::remove_dir_all(&report);
    assert_eq!(output.status.code(), Some(130), "{stdout}{lines}");
    assert!(stdout.contains("\nBenchmarkWithConnectionPool-"), "{stdout}");
    assert!(stdout.contains("INTERRUPTED"), "{stdout}");
    assert!(page.contains("\"interrupted\": true"), "{page}");
}
