//! The same as under our own load with wrk's, where it is installed: whether the two agree.

use std::process::Command;
use std::time::Duration;

use super::Arena;
use super::process::Process;
use super::server::{BASE, start};
use super::turns::rounds;
use crate::model::{Absent, Comparison};
use crate::watch::Watch;

/// Requests for each second of CPU time under wrk.
pub(super) fn compare(arena: &Arena, watch: &dyn Watch) -> Result<Vec<Comparison>, String> {
    let about = Comparison {
        id: "server-wrk".into(),
        title: "Server under wrk, 32 connections that are kept".into(),
        explained: "`wrk -t1 -c32` on the other processor, to check our own load: requests for each second of the server's CPU time."
            .into(),
        unit: "requests/CPU s".into(),
        more_is_better: true,
        base: BASE.into(),
        ..Comparison::default()
    };
    // It fails for want of an address, which is how one sees that it is there.
    if Command::new("wrk").arg("-v").output().is_err() {
        let absent = vec![Absent { name: "wrk".into(), why: "it is not installed".into() }];
        return Ok(vec![Comparison { absent, ..about }]);
    }
    let (players, absent) = start(arena, Duration::ZERO)?;
    let rounds = rounds("server-wrk", BASE, arena.rounds(), players, absent, watch, |serving| {
        let before = serving.process.cpu()?;
        let url = format!("http://{}/", serving.addr);
        let mut wrk = Process::other(arena, arena.others, "wrk", &["-t1", "-c32", "-d1s", &url])?;
        let answered = loop {
            let (_, line) = wrk.line()?;
            if line.contains("Non-2xx") || line.contains("Socket errors") {
                return Err(line);
            }
            if let Some((count, _)) = line.trim().split_once(" requests in ") {
                break count.parse::<u64>().map_err(|error| format!("{line:?}: {error}"))?;
            }
        };
        wrk.end()?;
        let cpu = serving.process.cpu()?.saturating_sub(before);
        Ok([answered as f64 / cpu.as_secs_f64()])
    })?;
    Ok(rounds.comparison(0, about).into_iter().collect())
}
