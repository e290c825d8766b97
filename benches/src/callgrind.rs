//! Counting instructions with valgrind's callgrind, which counts the same on a busy machine as on an idle one.
//!
//! A program runs twice, once with `n` rounds and once with `2n`. The difference, by `n`, is what one round costs: start, warm-up and
//! end cancel out. User space only: the kernel's part is not in it.

use std::path::Path;
use std::process::{Command, Stdio};

/// Whether instructions can be counted here.
///
/// # Errors
/// valgrind is not installed, or does not run; the error says so.
pub fn available() -> Result<(), String> {
    let run = Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match run {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("valgrind does not run ({status})")),
        Err(error) => Err(format!("valgrind is not installed ({error})")),
    }
}

/// A command that runs `program` under callgrind; its arguments come behind. What it collects goes to no file.
#[must_use]
pub fn command(program: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    command
}

/// Runs `program` with `args` to its end and returns all instructions that it needed.
///
/// # Errors
/// valgrind cannot be started, the program fails, or nothing was counted; the error has what was said.
pub fn count(program: &Path, args: &[&str]) -> Result<u64, String> {
    let output = command(program).args(args).output().map_err(|error| format!("valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{args:?} under valgrind ended with {}: {said}", output.status));
    }
    collected(&said).ok_or_else(|| format!("valgrind did not count {args:?}: {said}"))
}

/// The instructions of one round: `count` says what a run of so many rounds needs in all, and is asked for `rounds` and twice as many.
///
/// # Errors
/// Those of `count`, or that no rounds were asked for.
pub fn per_round(rounds: u64, mut count: impl FnMut(u64) -> Result<u64, String>) -> Result<f64, String> {
    let more = count(2 * rounds)?;
    let fewer = count(rounds)?;
    each(fewer, more, rounds).ok_or_else(|| format!("{rounds} rounds cost {fewer}, twice as many {more}"))
}

/// What one of the rounds costs that the greater sum has more; `None` if there are none, or the greater sum is not greater.
#[must_use]
pub fn each(fewer: u64, more: u64, rounds: u64) -> Option<f64> {
    if rounds == 0 {
        return None;
    }
    more.checked_sub(fewer).filter(|own| *own > 0).map(|own| float(own) / float(rounds))
}

/// The number of instructions in what callgrind says at the end of a run.
#[must_use]
pub fn collected(said: &str) -> Option<u64> {
    said.lines().find_map(|line| {
        // `==123== Collected : 4567`, in columns of any width; with more events, instructions come first.
        let (before, figures) = line.split_once("Collected")?;
        let figures = figures.trim_start().strip_prefix(':')?;
        let is_valgrinds = before.trim().starts_with("==") && before.trim().ends_with("==");
        figures.split_whitespace().next()?.parse().ok().filter(|_| is_valgrinds)
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
==4711== Callgrind, a call-graph generating cache profiler
==4711== Command: target/release/examples/budget --run transport 127.0.0.1:40000 500
==4711== \n==4711== \n==4711== Events    : Ir
==4711== Collected : 18532211
==4711== \n==4711== I   refs:      18,532,211\n";

    #[test]
    fn the_count_is_found_in_what_callgrind_says() {
        assert_eq!(collected(SAID), Some(18_532_211));
        assert_eq!(collected("==1== Events    : Ir Dr Dw\n==1== Collected : 12 7 5\n"), Some(12));
        assert_eq!(collected("Collected : 5 is what a program said\n==9== Collected : 6"), Some(6));
    }

    #[test]
    fn no_count_is_no_zero() {
        assert_eq!(collected(""), None);
        assert_eq!(collected("==1== Events    : Ir\n"), None);
        assert_eq!(collected("==1== Collected : \n"), None);
        assert_eq!(collected("==1== Collected : many\n"), None);
    }

    #[test]
    fn start_and_end_cancel_out() {
        let asked = std::cell::RefCell::new(Vec::new());
        let cost = per_round(500, |rounds| {
            asked.borrow_mut().push(rounds);
            Ok(1_000_000 + 9_300 * rounds)
        });
        assert_eq!(cost, Ok(9_300.0));
        assert_eq!(*asked.borrow(), [1000, 500]);
    }

    #[test]
    fn runs_that_tell_nothing_are_errors() {
        assert!(per_round(500, |_| Ok(7)).is_err(), "a run that did nothing");
        assert!(per_round(0, |_| Ok(7)).is_err(), "no rounds");
        assert_eq!(per_round(5, |_| Err("absent".into())), Err("absent".into()));
        assert_eq!(each(10, 5, 1), None);
        assert_eq!(each(5, 10, 2), Some(2.5));
    }
}
