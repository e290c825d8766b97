//! The program as one of its own contestants.

use std::io::BufRead as _;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::servers::{self, Threads};
use crate::{alloc, clients, cores};

/// The first argument of a program that is a contestant.
pub(super) const CONTESTANT: &str = "--contestant";

/// Is a contestant if the arguments say so, and returns how it ended. To be called first thing by a program that
/// runs comparisons: its arguments are not the user's then.
#[must_use]
pub fn take_over() -> Option<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (first, args) = args.split_first()?;
    if first != CONTESTANT {
        return None;
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Some(match be(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    })
}

fn be(args: &[&str]) -> Result<(), String> {
    let [core, args @ ..] = args else { return Err("which processor?".into()) };
    // Before there are other threads, which stay where the one is that starts them.
    if let Ok(core) = core.parse() {
        cores::stay_on(core)?;
    }
    match args {
        ["server", way, threads, delay] => {
            let threads = Threads::of_word(threads).ok_or_else(|| format!("no such threads: {threads}"))?;
            let delay = delay.parse().map_err(|_| format!("no such delay: {delay}"))?;
            // The one way whose allocations are asked for.
            if threads != Threads::One {
                alloc::stop_counting();
            }
            servers::serve_until_told(way, threads, Duration::from_millis(delay))
        }
        ["client", name, addr] => send(name, addr),
        // Somebody else's program, which cannot be asked to stay on a processor.
        ["exec", program, args @ ..] => exec(program, args),
        other => Err(format!("no such contestant: {other:?}")),
    }
}

/// Does what standard input asks for: `sequential N`, `main N`, or `tasks N TASKS`. Answers each with `done NANOSECONDS`.
fn send(name: &str, addr: &str) -> Result<(), String> {
    alloc::stop_counting();
    let client = clients::find(name)?;
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |word: &str| word.parse::<u64>().map_err(|_| format!("not a number: {word:?}"));
        let began = Instant::now();
        match words[..] {
            ["sequential", requests] => client.run(addr, number(requests)?)?,
            ["main", requests] => {
                if !client.run_from_main(addr, number(requests)?)? {
                    return Err("it blocks, so it has no such way".into());
                }
            }
            ["tasks", requests, tasks] => client.run_many(addr, number(requests)?, number(tasks)?)?,
            _ => return Err(format!("not understood: {line:?}")),
        }
        say(&format!("done {}", began.elapsed().as_nanos()));
    }
    Ok(())
}

#[cfg(unix)]
fn exec(program: &str, args: &[&str]) -> Result<(), String> {
    use std::os::unix::process::CommandExt as _;

    Err(format!("cannot run {program}: {}", Command::new(program).args(args).exec()))
}

#[cfg(not(unix))]
fn exec(program: &str, args: &[&str]) -> Result<(), String> {
    let ended = Command::new(program).args(args).status().map_err(|error| format!("cannot run {program}: {error}"))?;
    if ended.success() { Ok(()) } else { Err(format!("{program}: {ended}")) }
}

#[expect(clippy::print_stdout, reason = "standard output is where the parent process listens")]
fn say(text: &str) {
    println!("{text}");
}
