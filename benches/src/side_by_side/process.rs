//! A contestant's process, and talking with it by lines.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::Arena;
use super::child::CONTESTANT;
use crate::cores;

/// A process that is killed when it is dropped.
pub(super) struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<(Instant, String)>,
}

impl Process {
    /// Starts this program as a contestant, on a processor if one is named.
    pub(super) fn contestant(arena: &Arena, core: Option<usize>, args: &[&str]) -> Result<Self, String> {
        let mut command = Command::new(&arena.program);
        command.args(as_contestant(core)).args(args);
        Self::start(command, args.get(1).copied().unwrap_or_default())
    }

    /// Starts somebody else's program, on a processor if one is named.
    pub(super) fn other(
        arena: &Arena,
        core: Option<usize>,
        program: impl AsRef<OsStr>,
        args: &[&str],
    ) -> Result<Self, String> {
        let name = program.as_ref().to_string_lossy().into_owned();
        let mut command = Command::new(&arena.program);
        command.args(as_contestant(core)).arg("exec").arg(program).args(args);
        Self::start(command, &name)
    }

    /// Starts a command.
    pub(super) fn start(mut command: Command, name: &str) -> Result<Self, String> {
        // Ctrl-C is for this program, which stops between turns; a contestant ends with its standard input.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = started.map_err(|error| format!("cannot start {name}: {error}"))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let (said, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { return };
                // It is dropped when nobody asks any more.
                if said.send((Instant::now(), line)).is_err() {
                    return;
                }
            }
        });
        Ok(Process { name: name.to_owned(), child, stdin, lines })
    }

    /// The next line that it says, and when it did.
    pub(super) fn line(&mut self) -> Result<(Instant, String), String> {
        self.lines.recv_timeout(PATIENCE).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("{} said nothing for {PATIENCE:?}", self.name),
            RecvTimeoutError::Disconnected => {
                let mut said = String::new();
                if let Some(mut stderr) = self.child.stderr.take() {
                    // What can be read is said.
                    let _ = stderr.read_to_string(&mut said);
                }
                format!("{} ended: {}", self.name, said.trim())
            }
        })
    }

    /// Says a line to it.
    pub(super) fn say(&mut self, line: &str) -> Result<(), String> {
        let stdin = self.stdin.as_mut().ok_or("its standard input is closed")?;
        writeln!(stdin, "{line}").map_err(|error| match self.lines.try_recv() {
            Ok(_) => error.to_string(),
            Err(_) => self.line().err().unwrap_or_else(|| error.to_string()),
        })
    }

    /// Asks, and returns what follows `word` in the answer.
    pub(super) fn ask(&mut self, line: &str, word: &str) -> Result<String, String> {
        self.say(line)?;
        let (_, answer) = self.line()?;
        let found = answer.strip_prefix(word).map(|rest| rest.trim().to_owned());
        found.ok_or_else(|| format!("{} said {answer:?} to {line:?}", self.name))
    }

    /// The CPU time that it has used.
    pub(super) fn cpu(&self) -> Result<Duration, String> {
        cores::cpu_time(self.child.id())
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Closes its standard input, waits for its end, and returns what it said on standard error.
    pub(super) fn end(mut self) -> Result<String, String> {
        drop(self.stdin.take());
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut said).map_err(|error| error.to_string())?;
        }
        let ended = self.child.wait().map_err(|error| error.to_string())?;
        if ended.success() { Ok(said) } else { Err(format!("{}: {ended}: {}", self.name, said.trim())) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Perhaps it has ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn as_contestant(core: Option<usize>) -> [String; 2] {
    [CONTESTANT.to_owned(), core.map_or_else(|| "any".to_owned(), |core| core.to_string())]
}

/// How long an answer may take; the longest measurement takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(60);
