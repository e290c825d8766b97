//! Rounds in which everybody has a turn, and the comparison that becomes of them.

use std::time::{Duration, Instant};

use crate::model::{Absent, Comparison, Contestant};
use crate::watch::{Watch, tell_no_time};

/// Somebody who has turns.
pub(super) struct Player<T> {
    pub(super) name: &'static str,
    pub(super) ours: bool,
    pub(super) note: Option<String>,
    /// What measures it.
    pub(super) state: T,
}

/// Figures by contestant, then by round.
pub(super) struct Rounds<T, const KINDS: usize> {
    players: Vec<Player<T>>,
    figures: Vec<Vec<[f64; KINDS]>>,
    absent: Vec<Absent>,
    /// How many rounds there should have been, unless somebody stopped the run.
    planned: Option<u32>,
}

/// Gives everybody a turn in each round. Each turn measures some kinds of figures at once. Who starts changes from round to round.
/// A round that was stopped does not count; a peer that fails does not take part any more. No round but the first is begun that would
/// not fit into twice the time that is left, if it took as long as the one before: turns are measured by what is left.
///
/// # Errors
/// One of ours or the base failed.
pub(super) fn rounds<T, const KINDS: usize>(
    what: &str,
    base: &str,
    count: u32,
    mut players: Vec<Player<T>>,
    mut absent: Vec<Absent>,
    watch: &dyn Watch,
    mut turn: impl FnMut(&mut T) -> Result<[f64; KINDS], String>,
) -> Result<Rounds<T, KINDS>, String> {
    let mut figures: Vec<Vec<[f64; KINDS]>> = players.iter().map(|_| Vec::new()).collect();
    let mut last = Duration::ZERO;
    for round in 0..count as usize {
        if last > watch.left().saturating_mul(2) {
            break;
        }
        let begun = Instant::now();
        let mut at = 0;
        let mut this: Vec<Option<[f64; KINDS]>> = vec![None; players.len()];
        while at < players.len() {
            if watch.stopped() {
                break;
            }
            let who = (at + round) % players.len();
            let player = &mut players[who];
            watch.doing(&format!("{what}: {}, round {} of {count}", player.name, round + 1));
            match turn(&mut player.state) {
                Ok(measured) => {
                    this[who] = Some(measured);
                    at += 1;
                }
                Err(error) if player.ours || player.name == base => {
                    return Err(format!("{what}: {}: {error}", player.name));
                }
                Err(error) => {
                    absent.push(Absent { name: player.name.to_owned(), why: format!("it failed: {error}") });
                    players.remove(who);
                    figures.remove(who);
                    this.remove(who);
                    // The others of this round begin again, which no figure of it survives.
                    at = 0;
                    this.fill(None);
                }
            }
        }
        let whole: Option<Vec<_>> = this.into_iter().collect();
        let Some(whole) = whole else { break };
        for (figures, measured) in figures.iter_mut().zip(whole) {
            figures.push(measured);
        }
        last = begun.elapsed();
    }
    if figures.first().is_some_and(Vec::is_empty) {
        tell_no_time(watch, what);
    }
    let cut_short = !watch.stopped() || watch.left().is_zero();
    Ok(Rounds { players, figures, absent, planned: cut_short.then_some(count) })
}

impl<T, const KINDS: usize> Rounds<T, KINDS> {
    /// Adds what is to be said of a contestant after its turns.
    pub(super) fn note(&mut self, say: impl Fn(&T) -> Option<String>) {
        for player in &mut self.players {
            player.note = match (player.note.take(), say(&player.state)) {
                (Some(known), Some(more)) => Some(format!("{known}; {more}")),
                (known, more) => known.or(more),
            };
        }
    }

    /// One kind of figures as a comparison, of which everything but contestants is given. `None` if no round was finished.
    pub(super) fn comparison(&self, kind: usize, about: Comparison) -> Option<Comparison> {
        let of = |figures: &[[f64; KINDS]]| figures.iter().map(|figures| figures[kind]).collect::<Vec<f64>>();
        let base = self.players.iter().position(|player| player.name == about.base)?;
        let base = of(&self.figures[base]);
        if base.is_empty() {
            return None;
        }
        let contestants = self.players.iter().zip(&self.figures).map(|(player, figures)| {
            let figures = of(figures);
            let ratios = figures.iter().zip(&base).map(|(figure, base)| figure / base).collect();
            Contestant { name: player.name.to_owned(), ours: player.ours, figures, ratios, note: player.note.clone() }
        });
        let explained = match self.planned {
            Some(planned) if base.len() < planned as usize => {
                format!("{} {} of {planned} rounds: there was no time for more.", about.explained, base.len())
            }
            _ => about.explained,
        };
        Some(Comparison { contestants: contestants.collect(), absent: self.absent.clone(), explained, ..about })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::fake::Hourglass;
    use crate::watch::{NO_TIME, Unwatched};

    fn player(name: &'static str, state: f64) -> Player<f64> {
        Player { name, ours: name == "ours", note: None, state }
    }

    fn about() -> Comparison {
        Comparison { base: "base".into(), ..Comparison::default() }
    }

    #[test]
    fn ratios_are_made_within_a_round() {
        let mut turns = 0.0;
        let players = vec![player("ours", 2.0), player("base", 4.0)];
        let rounds = rounds("test", "base", 2, players, Vec::new(), &Unwatched, |state| {
            turns += 1.0;
            Ok([*state, *state * turns])
        });
        let rounds = rounds.unwrap();
        let compared = rounds.comparison(1, about()).unwrap();
        // The second round begins with the other one.
        assert_eq!(compared.contestants[0].figures, [2.0, 8.0]);
        assert_eq!(compared.contestants[1].figures, [8.0, 12.0]);
        assert_eq!(compared.contestants[0].ratios, [0.25, 8.0 / 12.0]);
        assert_eq!(rounds.comparison(0, about()).unwrap().contestants[0].ratios, [0.5, 0.5]);
    }

    #[test]
    fn a_peer_that_fails_is_absent_and_ours_is_an_error() {
        let players = || vec![player("ours", 1.0), player("peer", -1.0), player("base", 2.0)];
        let turn = |state: &mut f64| if *state < 0.0 { Err("broken".to_owned()) } else { Ok([*state]) };
        let compared = rounds("test", "base", 2, players(), Vec::new(), &Unwatched, turn).unwrap();
        let compared = compared.comparison(0, about()).unwrap();
        assert_eq!(compared.contestants.len(), 2);
        assert_eq!(compared.contestants[1].figures, [2.0, 2.0]);
        assert_eq!(compared.absent, [Absent { name: "peer".into(), why: "it failed: broken".into() }]);

        let turn = |state: &mut f64| if *state == 1.0 { Err("broken".to_owned()) } else { Ok([*state]) };
        let error = rounds("test", "base", 2, players(), Vec::new(), &Unwatched, turn).err().unwrap();
        assert_eq!(error, "test: ours: broken");
    }

    #[test]
    fn what_does_not_fit_into_the_time_is_told() {
        let players = || vec![player("ours", 1.0), player("base", 2.0)];
        // One round and half of the next.
        let watch = Hourglass::after(3);
        let some = rounds("test", "base", 5, players(), Vec::new(), &watch, |state| Ok([*state])).unwrap();
        let some = some.comparison(0, Comparison { explained: "Explained.".into(), ..about() }).unwrap();
        assert_eq!(some.contestants[0].figures, [1.0]);
        assert_eq!(some.explained, "Explained. 1 of 5 rounds: there was no time for more.");
        assert!(watch.said().is_empty());

        let watch = Hourglass::after(1);
        let none = rounds("test", "base", 5, players(), Vec::new(), &watch, |state| Ok([*state])).unwrap();
        assert_eq!(none.comparison(0, about()), None);
        assert_eq!(watch.said(), [format!("test: {NO_TIME}")]);
    }

    #[test]
    fn no_round_is_begun_that_would_not_fit() {
        /// Says that there is no more time than a moment, and stops nobody.
        struct Short;
        impl Watch for Short {
            fn doing(&self, _: &str) {}
            fn stopped(&self) -> bool {
                false
            }
            fn left(&self) -> Duration {
                Duration::from_nanos(1)
            }
        }
        let players = vec![player("ours", 1.0), player("base", 2.0)];
        let one = rounds("test", "base", 5, players, Vec::new(), &Short, |state| Ok([*state])).unwrap();
        assert_eq!(one.comparison(0, about()).unwrap().contestants[0].figures, [1.0]);
    }

    #[test]
    fn a_run_that_is_stopped_keeps_whole_rounds_only() {
        struct After(std::cell::Cell<u32>);
        impl Watch for After {
            fn doing(&self, _: &str) {
                self.0.set(self.0.get() - 1);
            }
            fn stopped(&self) -> bool {
                self.0.get() == 0
            }
        }
        let players = vec![player("ours", 1.0), player("base", 2.0)];
        let watch = After(std::cell::Cell::new(3));
        let rounds = rounds("test", "base", 5, players, Vec::new(), &watch, |state| Ok([*state])).unwrap();
        assert_eq!(rounds.comparison(0, about()).unwrap().contestants[0].figures, [1.0]);
        assert!(
            Rounds::<(), 1> { players: Vec::new(), figures: Vec::new(), absent: Vec::new(), planned: None }
                .comparison(0, about())
                .is_none()
        );
    }
}
