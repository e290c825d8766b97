//! Memory of idle connections.

use std::io::Write as _;
use std::time::Duration;

use super::Arena;
use super::counts::{answer, connect};
use super::load::REQUEST;
use super::server::{BASE, start};
use super::turns::rounds;
use crate::cores;
use crate::model::Comparison;
use crate::watch::Watch;

/// What each of 5,000 idle connections adds to a server.
pub(super) fn compare(arena: &Arena, watch: &dyn Watch) -> Result<Vec<Comparison>, String> {
    let about = Comparison {
        id: "server-idle-memory".into(),
        title: format!("Server, memory of each of {CONNECTIONS} idle connections"),
        explained: format!(
            "Each has carried one request. What the process's own memory (RssAnon in /proc/PID/status: heap and stacks, without code, files and \
             the kernel's socket buffers) has grown by, from {WARM} connections to {CONNECTIONS} more, a second after the last answer. All are opened as fast as \
             one client can, so what was needed at once and is free again, but not given back to the system, counts as well."
        ),
        unit: "bytes".into(),
        base: BASE.into(),
        ..Comparison::default()
    };
    if let Some(absent) = arena.too_few_files((WARM + CONNECTIONS) as usize) {
        return Ok(vec![Comparison { absent, ..about }]);
    }
    let (players, absent) = start(arena, Duration::ZERO)?;
    let rounds = rounds("server-idle-memory", BASE, 1, players, absent, watch, |serving| {
        let mut open = Vec::new();
        let mut before = 0;
        for n in 0..WARM + CONNECTIONS {
            if n == WARM {
                std::thread::sleep(SETTLE);
                before = cores::own_memory(serving.process.id())?;
            }
            let mut stream = connect(serving.addr).map_err(|error| format!("connection {n}: {error}"))?;
            stream.write_all(REQUEST).map_err(|error| format!("connection {n}: {error}"))?;
            answer(&mut stream).map_err(|error| format!("connection {n}: {error}"))?;
            open.push(stream);
        }
        std::thread::sleep(SETTLE);
        let kept = cores::own_memory(serving.process.id())?.saturating_sub(before);
        for (n, stream) in open.iter().enumerate() {
            stream.set_nonblocking(true).map_err(|error| error.to_string())?;
            match stream.peek(&mut [0]) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                looked => return Err(format!("connection {n} is not idle: {looked:?}")),
            }
        }
        Ok([kept as f64 / f64::from(CONNECTIONS)])
    })?;
    Ok(rounds.comparison(0, about).into_iter().collect())
}

const CONNECTIONS: u32 = 5000;

/// Connections before the first look, so that what a server makes once does not count.
const WARM: u32 = 100;

/// Until what is freed a while after the last request is free.
const SETTLE: Duration = Duration::from_secs(1);
