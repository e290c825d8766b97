//! Running examples, and other people's programs beside them.

#![allow(dead_code, reason = "each test binary uses what it needs")]

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// An example of this crate, which `cargo test` has built.
pub(crate) fn example(name: &str) -> Command {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples");
    path.push(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "{} is not built: run `cargo build -p roundtrip --examples`", path.display());
    Command::new(path)
}

/// Somebody else's program, if it is here.
pub(crate) fn program(name: &str) -> Option<Command> {
    let found = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(Command::new(name));
    }
    assert!(std::env::var_os("CI").is_none(), "{name} is not installed, and CI has to run this test");
    println!("not run: {name} is not installed");
    None
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
