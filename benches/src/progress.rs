//! What is being done, on standard error, so that results can be piped all the same.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::interrupt::Interrupt;
use crate::watch::Watch;

/// A bar on a terminal, nothing in a pipe. It goes forward with time, since each part of a run is given its time.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: ProgressBar,
    interrupt: Interrupt,
}

impl Progress {
    /// Begins a run that takes about `whole`.
    #[must_use]
    pub fn new(whole: Duration, interrupt: Interrupt) -> Self {
        if !std::io::stderr().is_terminal() {
            return Progress { bar: ProgressBar::hidden(), interrupt };
        }
        let style = ProgressStyle::with_template("{bar:30} {pos} of {len} s  {wide_msg}");
        let bar = ProgressBar::new(whole.as_secs()).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Progress { bar, interrupt }
    }

    /// Takes the bar off the terminal.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Watch for Progress {
    fn doing(&self, what: &str) {
        self.bar.set_position(self.bar.elapsed().as_secs());
        self.bar.set_message(what.to_owned());
    }

    fn stopped(&self) -> bool {
        self.interrupt.is_pressed()
    }
}
