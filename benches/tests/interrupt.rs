//! Ctrl-C: what was measured so far is printed, and the status says that there is more.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Short rounds, so many that it does not end by itself within a test.
const LONG: [&str; 4] = ["--time", "0.2", "--rounds", "1000"];

#[test]
fn the_first_ctrl_c_prints_what_was_measured_so_far() {
    let report = report_of("interrupt");
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
    signal("-INT", child.id());
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

/// Waits for the end of a process that was told to end, and kills it if it does not.
fn end_of(mut child: Child) -> Option<i32> {
    let (ended_in, ended) = mpsc::channel();
    let id = child.id();
    let waiting = std::thread::spawn(move || {
        let status = child.wait().unwrap();
        ended_in.send(()).unwrap_or_default();
        status.code()
    });
    let in_time = ended.recv_timeout(Duration::from_secs(60)).is_ok();
    if !in_time {
        signal("-KILL", id);
    }
    let code = waiting.join().unwrap();
    assert!(in_time, "it did not end");
    code
}

fn signal(which: &str, id: u32) {
    assert!(Command::new("kill").args([which, &id.to_string()]).status().unwrap().success());
}

/// A standard output that takes nothing: what writes to it waits for ever. The other end has to be kept.
fn full() -> (OwnedFd, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    while (&theirs).write(&[b'x'; 4096]).is_ok() {}
    while (&theirs).write(b"x").is_ok() {}
    theirs.set_nonblocking(false).unwrap();
    (theirs.into(), ours)
}

fn report_of(test: &str) -> PathBuf {
    std::env::temp_dir().join(format!("roundtrip-bench-{test}-{}", std::process::id()))
}

#[test]
fn the_second_ctrl_c_ends_at_once_while_the_first_is_obeyed() {
    let report = report_of("second");
    // It cannot finish obeying the first, since nobody reads what it prints.
    let (stdout, _kept) = full();
    let mut child = Command::new(env!("CARGO_BIN_EXE_roundtrip-bench"))
        .args(LONG)
        .args(["--pooling", "pool"])
        .arg("--report")
        .arg(&report)
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut lines = String::new();
    for _ in 0..2 {
        assert_ne!(said.read_line(&mut lines).unwrap(), 0, "{lines}");
    }
    signal("-INT", child.id());
    while !lines.contains("Ctrl-C again") {
        assert_ne!(said.read_line(&mut lines).unwrap(), 0, "{lines}");
    }
    signal("-INT", child.id());
    assert_eq!(end_of(child), Some(130), "{lines}");
    assert!(!report.exists(), "it ended before it could write its page");
}

/// The same on a terminal, which is left as it was.
#[cfg(target_os = "linux")]
#[test]
fn the_second_ctrl_c_leaves_a_terminal_as_it_was() {
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

    let report = report_of("terminal");
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let screen = openpt(flags).unwrap();
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    let terminal = ioctl_tiocgptpeer(&screen, flags).unwrap();
    tcsetwinsize(&terminal, Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let before = format!("{:?}", tcgetattr(&terminal).unwrap());
    let (stdout, _kept) = full();
    let child = Command::new(env!("CARGO_BIN_EXE_roundtrip-bench"))
        .args(LONG)
        .args(["--pooling", "pool"])
        .arg("--report")
        .arg(&report)
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(terminal.try_clone().unwrap())
        .spawn()
        .unwrap();
    let mut screen = std::fs::File::from(screen);
    let mut shown = String::new();
    let mut read_until = |word: &str| {
        let mut piece = [0; 4096];
        while !shown.contains(word) {
            let count = screen.read(&mut piece).unwrap();
            shown.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
        shown.clone()
    };
    read_until("WithConnectionPool");
    signal("-INT", child.id());
    read_until("Ctrl-C again");
    signal("-INT", child.id());
    assert_eq!(end_of(child), Some(130));
    // What is on the screen when it has ended, up to a word of our own.
    rustix::io::write(&terminal, b"$ prompt").unwrap();
    let shown = read_until("$ prompt");
    assert_eq!(format!("{:?}", tcgetattr(&terminal).unwrap()), before);
    assert_eq!(
        shown.matches("\x1b[?25l").count(),
        shown.matches("\x1b[?25h").count(),
        "the cursor is visible: {shown:?}"
    );
    assert!(shown.ends_with("\r\x1b[2K$ prompt"), "the bar's line is empty, and the prompt begins it: {shown:?}");
    assert!(!report.exists(), "it ended before it could write its page");
}
