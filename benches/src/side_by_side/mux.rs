//! Routers: the time of a lookup.

use std::cell::Cell;
use std::hint::black_box;
use std::time::Instant;

use super::turns::{Player, rounds};
use super::{Arena, not_built};
use crate::model::{Absent, Comparison};
use crate::routers::{Contestant, Set};
use crate::watch::{Watch, Within, tell_no_time};

const BASE: &str = "matchit";

/// Of the sets of the benchmark `router`, the one that all know and the one where the most can go wrong.
pub(super) fn compare(arena: &Arena, watch: &dyn Watch) -> Result<Vec<Comparison>, String> {
    let kinds = [
        ("a ", "mux-github", "Mux, the 130 routes of the GitHub API in order", "What is found is dropped unread."),
        ("d ", "mux-overlapping", "Mux, 1,000 overlapping routes", "The value of every wildcard is read as text."),
    ];
    let sets = if watch.stopped() { Vec::new() } else { Set::all() };
    let mut comparisons = Vec::new();
    for ((mark, id, title, explained), rest) in kinds.into_iter().zip((1..=2).rev()) {
        if watch.stopped() {
            tell_no_time(watch, id);
            continue;
        }
        let part = Within::new(watch, watch.left() / rest);
        let Some(set) = sets.iter().find(|set| set.name.starts_with(mark)) else { continue };
        let mut players = Vec::new();
        let mut absent = not_built(&["path-tree", "wayfind"]);
        for (name, router) in set.contestants() {
            // It tries one route after the other, so its time would be most of all.
            if name == "actix-router" {
                absent.push(Absent {
                    name: name.into(),
                    why: "one route after another; the benchmark `router` has it".into(),
                });
                continue;
            }
            let (name, ours) = match name {
                "roundtrip" => ("roundtrip, frozen", true),
                "roundtrip, unfrozen" => ("roundtrip", true),
                other => (other, false),
            };
            players.push(Player { name, ours, note: None, state: router });
        }
        let many = 3 * arena.rounds();
        let turns_left = Cell::new(many * u32::try_from(players.len()).map_err(|error| error.to_string())?);
        let rounds = rounds(id, BASE, many, players, absent, &part, |router| {
            let turn = arena.turn(&part, &turns_left);
            let began = Instant::now();
            let mut lookups = 0;
            while began.elapsed() < turn || lookups == 0 {
                black_box(Contestant::run(router.as_ref(), set.reading, &set.paths));
                lookups += set.paths.len();
            }
            Ok([began.elapsed().as_secs_f64() * 1e9 / lookups as f64])
        })?;
        let about = Comparison {
            id: id.into(),
            title: title.into(),
            explained: format!("Time of a lookup, ours with the method. {explained} Here routers are in one process."),
            unit: "ns".into(),
            base: BASE.into(),
            ..Comparison::default()
        };
        comparisons.extend(rounds.comparison(0, about));
    }
    Ok(comparisons)
}
