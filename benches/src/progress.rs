//! What is being done, on standard error, so that results can be piped all the same.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::interrupt::Interrupt;
use crate::model::Absent;
use crate::watch::Watch;

/// A bar on a terminal, a line a second at most in a pipe. It goes forward with time, since each part of a run is given its time.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: ProgressBar,
    lines: Option<Arc<Lines>>,
    interrupt: Interrupt,
    left_out: Arc<Mutex<Vec<Absent>>>,
}

/// What stands for the bar in a pipe.
#[derive(Debug)]
struct Lines {
    whole: Duration,
    begun: Instant,
    last: Mutex<Option<Instant>>,
}

impl Lines {
    fn say(&self, what: &str) {
        let now = Instant::now();
        // Whoever holds it while panicking has written at most the time.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| now - last >= Duration::from_secs(1)) {
            *last = Some(now);
            eprintln!("{} of {} s  {what}", (now - self.begun).as_secs(), self.whole.as_secs());
        }
    }
}

impl Progress {
    /// Begins a run that takes about `whole`.
    #[must_use]
    pub fn new(whole: Duration, interrupt: Interrupt) -> Self {
        if !std::io::stderr().is_terminal() {
            let lines = Lines { whole, begun: Instant::now(), last: Mutex::new(None) };
            return Progress {
                bar: ProgressBar::hidden(),
                lines: Some(Arc::new(lines)),
                interrupt,
                left_out: Arc::default(),
            };
        }
        let style = ProgressStyle::with_template("{bar:30} {pos} of {len} s  {wide_msg}");
        let bar = ProgressBar::new(whole.as_secs()).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Progress { bar, lines: None, interrupt, left_out: Arc::default() }
    }

    /// Says that the run is about to stop, as it was told.
    pub fn stopping(&self) {
        self.bar.println(STOPPING);
        if self.lines.is_some() {
            eprintln!("{STOPPING}");
        }
    }

    /// What it was told so far that was left out.
    #[must_use]
    pub fn all_left_out(&self) -> Vec<Absent> {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the bar off the terminal.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

const STOPPING: &str = "Stopping, with what was measured so far; Ctrl-C again ends at once.";

impl Watch for Progress {
    fn doing(&self, what: &str) {
        self.bar.set_position(self.bar.elapsed().as_secs());
        self.bar.set_message(what.to_owned());
        if let Some(lines) = &self.lines {
            lines.say(what);
        }
    }

    fn stopped(&self) -> bool {
        self.interrupt.is_pressed()
    }

    fn left_out(&self, what: &str, why: &str) {
        let absent = Absent { name: what.to_owned(), why: why.to_owned() };
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner).push(absent);
    }
}
