//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

use crate::model::{Pooling, Protocol, Security};
use crate::scenarios::{Matrix, Wishes};

/// What `--help` prints.
pub const HELP: &str = "\
roundtrip-bench: what a connection pool is worth, and where we stand

Runs one GET with its body read to the end per operation, client and server in this process, over loopback TCP:
  pool            the client keeps its connections and reuses them
  server-closes   the client would, but the server closes each connection after its response
  no-pool         the client opens a connection for each request and closes it
first plainly, then over TLS and HTTP/2, many at once, far away and with a larger body. Then our client and server beside others, and how
cost grows. Prints lines in the format of Go's benchmarks, which benchstat reads, then tables, and writes a page. Fails if a scenario
did not do what its name says.

Usage: roundtrip-bench [OPTIONS]
  --quick              everything in short, within 30 s instead of 3 minutes
  --only STAGES        only these: scenarios, side-by-side, growth (which alone has all the time)
  --report DIR         where the page and its figures go (default target/bench-report)
  --json FILE          also write all figures to FILE
  --list               say what would be run, and run nothing
  -h, --help           print this

Which scenarios; each takes several values, as in 1,16,256, and all are combined. With any of these, only scenarios are run:
  --pooling LIST       pool, server-closes, no-pool (default: all)
  --security LIST      plain, tls, tls-resumed (default: plain)
  --protocol LIST      http1, http2 (default: http1)
  --concurrency LIST   requests at the same time (default: 1)
  --rtt LIST           simulated time of a round trip in ms (default: 0, plain loopback)
  --body LIST          bytes of the response's body (default: 19)

How long they are measured (default: as long as all of it may take together):
  --rounds N           rounds of each scenario, in turns
  --time SECONDS       measured time of each round

Ctrl-C ends measuring and prints what was measured so far; a second one ends at once.";

/// What to do.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// Print the help.
    Help,
    /// Measure.
    Run(Box<Args>),
}

/// A part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Pool, server closes, no pool.
    Scenarios,
    /// Beside peers.
    SideBySide,
    /// How cost grows.
    Growth,
}

/// How to measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Args {
    /// Everything in short.
    pub quick: bool,
    /// What of it.
    pub only: Option<Vec<Stage>>,
    /// Say what would be run, and run nothing.
    pub list: bool,
    /// Where the page goes.
    pub report: PathBuf,
    /// Where the figures go as well.
    pub json: Option<PathBuf>,
    /// Which scenarios.
    pub matrix: Matrix,
    /// How long.
    pub wishes: Wishes,
}

impl Default for Args {
    fn default() -> Self {
        Args {
            quick: false,
            only: None,
            list: false,
            report: "target/bench-report".into(),
            json: None,
            matrix: Matrix::default(),
            wishes: Wishes::default(),
        }
    }
}

impl Args {
    /// Reads the arguments, the program's name not among them.
    ///
    /// # Errors
    /// An argument that there is not, or a value that makes no sense; the error names it.
    pub fn parse(given: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
        let mut parser = Parser::from_args(given);
        let mut args = Args::default();
        while let Some(arg) = parser.next().map_err(say)? {
            let matrix = &mut args.matrix;
            match arg {
                Arg::Long("quick") => args.quick = true,
                Arg::Long("list") => args.list = true,
                Arg::Long("only") => args.only = Some(list(&mut parser, "--only", stage)?),
                Arg::Long("report") => args.report = parser.value().map_err(say)?.into(),
                Arg::Long("json") => args.json = Some(parser.value().map_err(say)?.into()),
                Arg::Long("pooling") => matrix.pooling = Some(list(&mut parser, "--pooling", pooling)?),
                Arg::Long("security") => matrix.security = Some(list(&mut parser, "--security", security)?),
                Arg::Long("protocol") => matrix.protocol = Some(list(&mut parser, "--protocol", protocol)?),
                Arg::Long("concurrency") => {
                    matrix.concurrency = Some(list(&mut parser, "--concurrency", |it| number(it, 1, 1000))?);
                }
                Arg::Long("rtt") => matrix.rtt_ms = Some(list(&mut parser, "--rtt", |it| number(it, 0, 1000))?),
                Arg::Long("body") => matrix.body = Some(list(&mut parser, "--body", |it| number(it, 0, 64 << 20))?),
                Arg::Long("rounds") => {
                    let text = parser.value().and_then(|value| value.parse::<String>()).map_err(say)?;
                    args.wishes.rounds = Some(number(&text, 1, 1000).map_err(|why| format!("--rounds {text}: {why}"))?);
                }
                Arg::Long("time") => {
                    let seconds: f64 = parser.value().and_then(|value| value.parse()).map_err(say)?;
                    if !(0.01..=600.0).contains(&seconds) {
                        return Err(format!("--time {seconds}: not between 0.01 and 600 seconds"));
                    }
                    args.wishes.time = Some(Duration::from_secs_f64(seconds));
                }
                Arg::Long("help") | Arg::Short('h') => return Ok(Command::Help),
                other => return Err(say(other.unexpected())),
            }
        }
        Ok(Command::Run(Box::new(args)))
    }

    /// Whether scenarios were chosen.
    #[must_use]
    pub fn chosen(&self) -> bool {
        self.matrix != Matrix::default()
    }

    /// Whether a stage is to be run.
    #[must_use]
    pub fn runs(&self, stage: Stage) -> bool {
        match &self.only {
            Some(only) => only.contains(&stage),
            None => stage == Stage::Scenarios || !self.chosen(),
        }
    }
}

/// Values with commas between them.
fn list<T>(parser: &mut Parser, flag: &str, one: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let text: String = parser.value().and_then(|value| value.parse()).map_err(say)?;
    text.split(',').map(|value| one(value).map_err(|why| format!("{flag} {value}: {why}"))).collect()
}

fn number<N: TryFrom<u64>>(text: &str, least: u64, most: u64) -> Result<N, String> {
    let why = || format!("not a number between {least} and {most}");
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.and_then(|number| N::try_from(number).ok()).ok_or_else(why)
}

/// One of a few words.
fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        format!("not one of {}", known.join(", "))
    })
}

fn stage(text: &str) -> Result<Stage, String> {
    word(text, &[("scenarios", Stage::Scenarios), ("side-by-side", Stage::SideBySide), ("growth", Stage::Growth)])
}

fn pooling(text: &str) -> Result<Pooling, String> {
    let words = [("pool", Pooling::Pool), ("server-closes", Pooling::ServerCloses), ("no-pool", Pooling::NoPool)];
    word(text, &words)
}

fn security(text: &str) -> Result<Security, String> {
    word(text, &[("plain", Security::Plain), ("tls", Security::Tls), ("tls-resumed", Security::TlsResumed)])
}

fn protocol(text: &str) -> Result<Protocol, String> {
    word(text, &[("http1", Protocol::Http1), ("http2", Protocol::Http2)])
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

    fn run(args: Args) -> Result<Command, String> {
        Ok(Command::Run(Box::new(args)))
    }

    #[test]
    fn flags_are_read() {
        assert_eq!(parse(""), run(Args::default()));
        assert_eq!(parse("--rounds 2 -h"), Ok(Command::Help));
        let matrix = Matrix { concurrency: Some(vec![16]), ..Matrix::default() };
        let wishes = Wishes { rounds: Some(3), time: Some(Duration::from_millis(500)) };
        let want = Args { matrix, wishes, json: Some("out.json".into()), ..Args::default() };
        assert_eq!(parse("--rounds 3 --time=0.5 --concurrency 16 --json out.json"), run(want));
        let matrix = Matrix {
            pooling: Some(vec![Pooling::Pool, Pooling::ServerCloses, Pooling::NoPool]),
            security: Some(vec![Security::Plain, Security::Tls, Security::TlsResumed]),
            protocol: Some(vec![Protocol::Http1, Protocol::Http2]),
            concurrency: Some(vec![1, 16, 256]),
            rtt_ms: Some(vec![0, 1, 20]),
            body: Some(vec![0, 65536]),
        };
        let line = "--pooling pool,server-closes,no-pool --security plain,tls,tls-resumed --protocol http1,http2 \
                    --concurrency 1,16,256 --rtt 0,1,20 --body 0,65536";
        assert_eq!(parse(line), run(Args { matrix, ..Args::default() }));
        let only = Some(vec![Stage::Growth, Stage::Scenarios]);
        let want = Args { quick: true, list: true, only, report: "here".into(), ..Args::default() };
        assert_eq!(parse("--quick --list --only growth,scenarios --report here"), run(want));
    }

    #[test]
    fn chosen_scenarios_are_run_alone_unless_told_otherwise() {
        let runs = |line: &str| match parse(line).unwrap() {
            Command::Run(args) => [Stage::Scenarios, Stage::SideBySide, Stage::Growth].map(|stage| args.runs(stage)),
            Command::Help => panic!("{line}"),
        };
        assert_eq!(runs(""), [true, true, true]);
        assert_eq!(runs("--rtt 20"), [true, false, false]);
        assert_eq!(runs("--only side-by-side"), [false, true, false]);
        assert_eq!(runs("--rtt 20 --only scenarios,growth"), [true, false, true]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (line, words) in [
            ("--rounds 0", "--rounds 0: not a number between 1 and 1000"),
            ("--concurrency 0", "--concurrency 0: not a number between 1 and 1000"),
            ("--concurrency 1,", "--concurrency : not a number"),
            ("--rtt 1,far", "--rtt far: not a number between 0 and 1000"),
            ("--body -1", "--body -1: not a number"),
            ("--pooling some", "--pooling some: not one of pool, server-closes, no-pool"),
            ("--security ssl", "--security ssl: not one of plain, tls, tls-resumed"),
            ("--protocol http3", "--protocol http3: not one of http1, http2"),
            ("--only budget", "--only budget: not one of scenarios, side-by-side, growth"),
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
