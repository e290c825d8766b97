//! Go's programs, built from the sources that are part of this one.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::watch::Watch;
use crate::{clients, servers};

/// What was built.
pub(super) struct Programs {
    pub(super) client: PathBuf,
    pub(super) server: PathBuf,
    /// What `go version` says, without its first words.
    pub(super) version: String,
}

/// Builds both beside this program, within a time; std is all they need.
pub(super) fn build(within: Duration, watch: &dyn Watch) -> Result<Programs, String> {
    let told = Command::new("go").arg("version").stderr(Stdio::null()).output();
    let told = told.map_err(|_| "there is no `go` command".to_owned())?;
    let version = String::from_utf8_lossy(&told.stdout).trim().trim_start_matches("go version ").to_owned();
    let this = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let dir = this.parent().unwrap_or(Path::new(".")).join("go-contestants");
    let until = Instant::now() + within;
    let program = |name: &str, source: &str| -> Result<PathBuf, String> {
        let (folder, built) = (dir.join(name), dir.join(name).join("contestant"));
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join("main.go"), source))
            .map_err(|error| format!("cannot write {}: {error}", folder.display()))?;
        let mut command = Command::new("go");
        command.args(["build", "-o", "contestant", "main.go"]).current_dir(&folder);
        // Nothing is to be fetched, whatever this machine's settings are.
        command.env("GOTOOLCHAIN", "local").env("GOPROXY", "off").env("GOFLAGS", "").env("GOWORK", "off");
        finish(command, until, watch)?;
        Ok(built)
    };
    let client = program("client", clients::go::SOURCE)?;
    let server = program("server", servers::go::SOURCE)?;
    Ok(Programs { client, server, version })
}

/// Runs a command to its end, or gives up.
fn finish(mut command: Command, until: Instant, watch: &dyn Watch) -> Result<(), String> {
    let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = started.map_err(|error| format!("cannot start `go build`: {error}"))?;
    loop {
        if child.try_wait().map_err(|error| error.to_string())?.is_some() {
            let output = child.wait_with_output().map_err(|error| error.to_string())?;
            let said = String::from_utf8_lossy(&output.stderr);
            return if output.status.success() { Ok(()) } else { Err(format!("`go build` failed: {}", said.trim())) };
        }
        if watch.stopped() || Instant::now() > until {
            // It has ended meanwhile, or is gone now.
            let _ = child.kill();
            let _ = child.wait();
            return Err("`go build` took too long; it goes on where it was the next time".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
