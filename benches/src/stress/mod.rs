//! Hard cases for a pool of connections, each over real sockets and each with a count of what came back. The example `pool_stress`
//! runs them at length and prints figures; a test runs each in a short form.

mod burst;
mod fairness;
mod idle;
mod peers;
mod race;
mod uploads;

use std::fmt;

pub use self::burst::burst;
pub use self::fairness::fairness;
#[cfg(feature = "peers")]
pub use self::idle::idle_hyper_util;
pub use self::idle::{Idle, idle, serve_idle};
pub use self::race::{Kind, race};
pub use self::uploads::{early_refusal, echo_upload, two_runtimes, unsolicited};

/// What a case has found: figures by name, in order.
#[derive(Clone, Debug, Default)]
pub struct Report(Vec<(&'static str, String)>);

/// How a case ended.
pub type Outcome = Result<Report, String>;

impl Report {
    pub(crate) fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.push((name, value.to_string()));
        self
    }

    /// The value of a figure.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.0.iter().enumerate() {
            write!(f, "{}{name} {value}", if at > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

/// What must hold, or the case has failed.
pub(crate) fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// A small generator of numbers that look random, the same in each run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(2).wrapping_add(1))
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}
