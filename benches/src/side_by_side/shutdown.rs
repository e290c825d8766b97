//! Stopping with work at hand: how long it takes, and what is lost.

use std::io::{ErrorKind, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::Arena;
use super::counts::{answer, connect};
use super::load::REQUEST;
use super::server::{BASE, Serving, start};
use super::turns::rounds;
use crate::model::Comparison;
use crate::watch::Watch;

/// Time, and requests that nobody answered.
pub(super) fn compare(arena: &Arena, watch: &dyn Watch) -> Result<Vec<Comparison>, String> {
    let about = |id: &str, title: &str, explained: String, unit: &str| Comparison {
        id: id.into(),
        title: title.into(),
        explained,
        unit: unit.into(),
        base: BASE.into(),
        ..Comparison::default()
    };
    let how = "Each server's own way to stop gracefully: roundtrip `shutdown`, hyper-util `GracefulShutdown`, axum \
               `with_graceful_shutdown`, actix-web `stop(true)`, Go `Shutdown`";
    let time = about(
        "server-shutdown",
        "Server, time to stop",
        format!(
            "With {IDLE} idle connections and {ACTIVE} requests in handlers that take {HANDLER:?}. {how}. The least it can take is what is left \
             of {HANDLER:?}; roundtrip also waits half a second for requests that are on their way on idle connections."
        ),
        "ms",
    );
    if let Some(absent) = arena.too_few_files((IDLE + ACTIVE) as usize) {
        return Ok(vec![Comparison { absent, ..time }]);
    }
    let (players, absent) = start(arena, HANDLER)?;
    let rounds = rounds("server-shutdown", BASE, 1, players, absent, watch, |serving| {
        let stopped = stop(serving)?;
        Ok([
            stopped.time.as_secs_f64() * 1e3,
            f64::from(stopped.lost_active),
            f64::from(stopped.lost_late),
            f64::from(stopped.late),
        ])
    })?;
    let active = about(
        "server-shutdown-active",
        "Server, requests in handlers that a stop left unanswered",
        format!("Of the {ACTIVE} that were in handlers. {how}."),
        "requests",
    );
    let late = about(
        "server-shutdown-late",
        "Server, requests in the moment of the stop that were left unanswered",
        format!(
            "Of up to {LATE} that were sent on idle connections right after the stop was told, unless a client could already see that its \
             connection was closed. {how}."
        ),
        "requests",
    );
    let sent = rounds.comparison(3, Comparison { base: BASE.into(), ..Comparison::default() });
    let late = rounds.comparison(2, late).zip(sent).map(|(mut late, sent)| {
        for (contestant, sent) in late.contestants.iter_mut().zip(&sent.contestants) {
            contestant.note = sent.figures.first().map(|sent| format!("of {sent} that were sent"));
        }
        late
    });
    let all = [rounds.comparison(0, time), rounds.comparison(1, active), late];
    Ok(all.into_iter().flatten().map(without_ratios_to_nothing).collect())
}

/// Where the base has lost nothing there is no ratio.
fn without_ratios_to_nothing(mut comparison: Comparison) -> Comparison {
    for contestant in &mut comparison.contestants {
        if contestant.ratios.iter().any(|ratio| !ratio.is_finite()) {
            contestant.ratios.clear();
        }
    }
    comparison
}

struct Stopped {
    time: Duration,
    lost_active: u32,
    late: u32,
    lost_late: u32,
}

fn stop(serving: &mut Serving) -> Result<Stopped, String> {
    let open = |count: u32| (0..count).map(|_| connect(serving.addr)).collect::<Result<Vec<_>, _>>();
    let (mut idle, mut active) = (open(IDLE)?, open(ACTIVE)?);
    // Each has carried a request, all at once, since a handler takes its time.
    idle.iter_mut().chain(&mut active).try_for_each(ask)?;
    idle.iter_mut().chain(&mut active).try_for_each(answer)?;
    active.iter_mut().try_for_each(ask)?;
    let all = u64::from(IDLE + 2 * ACTIVE);
    let began = Instant::now();
    while serving.process.ask("begun", "begun")?.parse::<u64>().map_err(|error| error.to_string())? < all {
        if began.elapsed() > HANDLER {
            return Err("not all handlers had begun when the first ended".into());
        }
    }
    let told = Instant::now();
    serving.process.say("stop")?;
    let mut late = Vec::new();
    for stream in idle.iter_mut().take(LATE) {
        if looks_open(stream) && ask(stream).is_ok() {
            late.push(stream);
        }
    }
    let lost_active = lost(active.iter_mut());
    let late_count = u32::try_from(late.len()).map_err(|error| error.to_string())?;
    let lost_late = lost(late.into_iter());
    let (when, line) = serving.process.line()?;
    if line != "stopped" {
        return Err(format!("it said {line:?} instead of having stopped"));
    }
    Ok(Stopped { time: when - told, lost_active, late: late_count, lost_late })
}

fn ask(stream: &mut TcpStream) -> Result<(), String> {
    stream.write_all(REQUEST).map_err(|error| format!("write: {error}"))
}

/// Whether a client that looks sees a connection that is not closed.
fn looks_open(stream: &TcpStream) -> bool {
    let looked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
    stream.set_nonblocking(false).is_ok() && looked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

fn lost<'a>(streams: impl Iterator<Item = &'a mut TcpStream>) -> u32 {
    streams.map(|stream| u32::from(answer(stream).is_err())).sum()
}

const IDLE: u32 = 1000;
const ACTIVE: u32 = 100;

/// Of the idle ones, those on which another request is sent.
const LATE: usize = 100;

/// How long a handler takes.
const HANDLER: Duration = Duration::from_millis(200);
