//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

/// What `--help` prints.
pub(crate) const HELP: &str = "\
roundtrip-bench: what a connection pool is worth

Runs one GET with its body read to the end per operation, over loopback TCP, client and server in this process:
  WithConnectionPool      the client keeps its connections and reuses them
  ServerClosesConnection  the client would, but the server answers `Connection: close`
  WithoutConnectionPool   the client opens a connection for each request and closes it
Prints lines in the format of Go's benchmarks, which benchstat reads, then a table. Fails if a scenario did not open the
connections that its name says.

Usage: roundtrip-bench [OPTIONS]
  --quick            one short round of each scenario
  --rounds N         rounds of each scenario, interleaved (default 5)
  --time SECONDS     measured time of each round (default 2)
  --concurrency N    requests at the same time (default 1)
  --json FILE        also write all figures to FILE
  -h, --help         print this";

/// What to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Help,
    Run(Args),
}

/// How to measure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Args {
    pub(crate) rounds: u32,
    pub(crate) time: Duration,
    pub(crate) concurrency: usize,
    pub(crate) json: Option<PathBuf>,
}

impl Default for Args {
    fn default() -> Self {
        Args { rounds: 5, time: Duration::from_secs(2), concurrency: 1, json: None }
    }
}

impl Args {
    /// Reads the arguments, the program's name not among them.
    pub(crate) fn parse(given: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
        let mut parser = Parser::from_args(given);
        let mut args = Args::default();
        while let Some(arg) = parser.next().map_err(say)? {
            match arg {
                Arg::Long("quick") => {
                    args.rounds = 1;
                    args.time = Duration::from_millis(300);
                }
                Arg::Long("rounds") => args.rounds = at_least_one(&mut parser, "--rounds")?,
                Arg::Long("concurrency") => {
                    args.concurrency = at_least_one::<u16>(&mut parser, "--concurrency")?.into()
                }
                Arg::Long("time") => {
                    let seconds: f64 = parser.value().and_then(|value| value.parse()).map_err(say)?;
                    if !(0.01..=600.0).contains(&seconds) {
                        return Err(format!("--time {seconds}: not between 0.01 and 600 seconds"));
                    }
                    args.time = Duration::from_secs_f64(seconds);
                }
                Arg::Long("json") => args.json = Some(parser.value().map_err(say)?.into()),
                Arg::Long("help") | Arg::Short('h') => return Ok(Command::Help),
                other => return Err(say(other.unexpected())),
            }
        }
        Ok(Command::Run(args))
    }
}

fn at_least_one<N: std::str::FromStr<Err: Into<Box<dyn std::error::Error + Send + Sync>>> + Default + PartialEq>(
    parser: &mut Parser,
    name: &str,
) -> Result<N, String> {
    let number: N = parser.value().and_then(|value| value.parse()).map_err(say)?;
    if number == N::default() { Err(format!("{name} 0: at least 1")) } else { Ok(number) }
}

fn say(error: lexopt::Error) -> String {
    format!("{error}; see --help")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        Args::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn flags_are_read() {
        assert_eq!(parse(""), Ok(Command::Run(Args::default())));
        assert_eq!(parse("--rounds 2 -h"), Ok(Command::Help));
        let want = Args { rounds: 3, time: Duration::from_millis(500), concurrency: 16, json: Some("out.json".into()) };
        assert_eq!(parse("--rounds 3 --time=0.5 --concurrency 16 --json out.json"), Ok(Command::Run(want)));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (line, words) in [
            ("--rounds 0", "--rounds 0: at least 1"),
            ("--concurrency 0", "--concurrency 0: at least 1"),
            ("--time 0", "--time 0: not between"),
            ("--time soon", "soon"),
            ("--fast", "--fast"),
            ("more", "more"),
            ("--json", "--json"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}
