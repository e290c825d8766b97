//! Which time limits hold for a connection at the moment, as a value: what happened and what time it is come in, the next
//! deadline and its reason go out.
//!
//! The connection's task tells once at the end of each poll what it has seen, so that all limits together cost one look at the
//! clock a poll and one timer a connection, which is moved only when it fires too early or would fire too late.

use std::time::Duration;

use tokio::time::Instant;

use crate::ServerConfig;

/// What the connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Nothing of a first request has come.
    New = 0,
    /// Part of a head has come.
    Head = 1,
    /// From the end of a head until request and response are through.
    Active = 2,
    /// Waiting for the next request.
    Idle = 3,
    /// Taken over by a handler: no limits of ours.
    Hijacked = 4,
    /// The last response is out and our side is closed; the client may still be sending.
    Closing = 5,
}

impl Phase {
    pub(crate) fn from_u8(number: u8) -> Self {
        match number {
            0 => Phase::New,
            1 => Phase::Head,
            2 => Phase::Active,
            3 => Phase::Idle,
            4 => Phase::Hijacked,
            _ => Phase::Closing,
        }
    }
}

/// What one poll of the connection has left behind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) phase: Phase,
    /// Requests begun so far.
    pub(crate) requests: u64,
    /// Bytes read and written so far.
    pub(crate) read: u64,
    pub(crate) written: u64,
    /// Somebody waits for body bytes that have not come.
    pub(crate) awaits_body: bool,
    /// Bytes wait for the client to take them.
    pub(crate) awaits_client: bool,
    /// The client has shut down its sending side, or is gone, while a handler works for it.
    pub(crate) client_stopped: bool,
    /// The last thing that came to an end on the connection did so because the client was too slow.
    pub(crate) tardy: bool,
    /// The handler's own deadlines, which replace the configured ones.
    pub(crate) read_deadline: Override,
    pub(crate) write_deadline: Override,
}

/// A handler's word on a deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Override {
    #[default]
    Unset,
    Never,
    At(Instant),
}

/// Why time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Head,
    Idle,
    /// The whole request, or the handler's read deadline.
    Read,
    BodyStall,
    /// The response, or the handler's write deadline.
    Write,
    WriteStall,
    HalfClosed,
    Closing,
}

/// The limits of one connection and where they stand.
#[derive(Debug)]
pub(crate) struct Deadlines {
    limits: Limits,
    phase: Phase,
    requests: u64,
    /// When the head in progress, or the connection, began.
    head_begun: Option<Instant>,
    idle_since: Option<Instant>,
    active_since: Option<Instant>,
    closing_since: Option<Instant>,
    stopped_since: Option<Instant>,
    body: Credit,
    client: Credit,
    read_expired: bool,
}

/// The configured limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) head: Option<Duration>,
    pub(crate) idle: Option<Duration>,
    pub(crate) read: Option<Duration>,
    pub(crate) write: Option<Duration>,
    pub(crate) body_stall: Option<Duration>,
    pub(crate) body_rate: Option<u32>,
    pub(crate) write_stall: Option<Duration>,
    pub(crate) write_rate: Option<u32>,
    pub(crate) half_close: Option<Duration>,
}

impl Limits {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        Limits {
            head: config.read_header_timeout,
            idle: config.idle_timeout,
            read: config.read_timeout,
            write: config.write_timeout,
            body_stall: config.body_stall_timeout,
            body_rate: config.min_body_rate,
            write_stall: config.write_stall_timeout,
            write_rate: config.min_write_rate,
            half_close: config.half_close_timeout,
        }
    }
}

/// The wait for a peer's bytes, bounded in time and in rate: a purse of seconds, which waiting spends and bytes refill.
#[derive(Debug)]
pub(crate) struct Credit {
    /// When the purse is empty, while somebody waits.
    until: Option<Instant>,
    /// What is in it, while nobody waits.
    rest: Duration,
    bytes: u64,
}

impl Credit {
    pub(crate) fn new() -> Self {
        Credit { until: None, rest: Duration::MAX, bytes: 0 }
    }

    fn refill(&mut self) {
        *self = Credit { bytes: self.bytes, ..Credit::new() };
    }

    /// When the purse is empty, while somebody waits.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until
    }

    #[inline]
    pub(crate) fn update(&mut self, now: Instant, waits: bool, bytes: u64, cap: Option<Duration>, rate: Option<u32>) {
        if waits || self.until.is_some() {
            self.spend(now, waits, bytes, cap, rate);
        } else {
            self.bytes = bytes;
        }
    }

    fn spend(&mut self, now: Instant, waits: bool, bytes: u64, cap: Option<Duration>, rate: Option<u32>) {
        let came = bytes - std::mem::replace(&mut self.bytes, bytes);
        let Some(cap) = cap else { return };
        let mut rest = self.until.map_or(self.rest.min(cap), |until| until.saturating_duration_since(now));
        if came > 0 {
            let earned = rate.filter(|rate| *rate > 0).map_or(cap, |rate| {
                // Bytes over bytes a second; a minute's worth fills any purse.
                Duration::from_micros(came.min(1 << 40) * 1_000_000 / u64::from(rate))
            });
            rest = rest.saturating_add(earned).min(cap);
        }
        self.rest = rest;
        self.until = if waits { far(now, rest) } else { None };
    }
}

/// A moment, if it is one that the clock can express.
fn far(from: Instant, after: Duration) -> Option<Instant> {
    from.checked_add(after)
}

impl Deadlines {
    pub(crate) fn new(limits: Limits, now: Instant) -> Self {
        Deadlines {
            limits,
            phase: Phase::New,
            requests: 0,
            head_begun: Some(now),
            idle_since: None,
            active_since: None,
            closing_since: None,
            stopped_since: None,
            body: Credit::new(),
            client: Credit::new(),
            read_expired: false,
        }
    }

    /// From now on requests share the connection, and their limits are their own.
    pub(crate) fn only_the_connections(&mut self) {
        self.limits.read = None;
        self.limits.write = None;
    }

    /// Takes in a poll behind which the connection is idle and nobody waits for the client. False if that is not all there is to
    /// it: [`update`](Self::update) is for such.
    #[inline]
    pub(crate) fn rest(&mut self, now: Instant, requests: u64, read: u64, written: u64) -> bool {
        if self.phase != Phase::Idle || self.body.until.is_some() || self.client.until.is_some() {
            return false;
        }
        if requests != self.requests {
            self.requests = requests;
            self.idle_since = Some(now);
            self.stopped_since = None;
        }
        (self.body.bytes, self.client.bytes) = (read, written);
        true
    }

    /// Takes in what a poll has left behind, at its end.
    pub(crate) fn update(&mut self, now: Instant, seen: &Seen) {
        let next_request = seen.requests != self.requests;
        if next_request || seen.phase != self.phase {
            self.enter(now, seen, next_request);
        }
        self.body.update(now, seen.awaits_body, seen.read, self.limits.body_stall, self.limits.body_rate);
        // A client that goes on taking a response is not gone.
        let took = seen.written != self.client.bytes;
        self.client.update(now, seen.awaits_client, seen.written, self.limits.write_stall, self.limits.write_rate);
        if seen.client_stopped && (took || self.stopped_since.is_none()) {
            self.stopped_since = Some(now);
        }
    }

    fn enter(&mut self, now: Instant, seen: &Seen, next_request: bool) {
        match seen.phase {
            Phase::New => {}
            Phase::Head => {
                // The time of a connection's first head counts from when it was opened.
                if self.phase != Phase::New || next_request {
                    self.head_begun = Some(now);
                }
            }
            Phase::Active => {
                if next_request {
                    let begun_before =
                        seen.requests == self.requests + 1 && matches!(self.phase, Phase::Head | Phase::New);
                    if !begun_before {
                        self.head_begun = Some(now);
                    }
                    self.active_since = Some(now);
                    self.stopped_since = None;
                    self.read_expired = false;
                    self.body.refill();
                    self.client.refill();
                }
            }
            Phase::Idle => {
                self.idle_since = Some(now);
                self.stopped_since = None;
            }
            Phase::Closing => self.closing_since = Some(now),
            Phase::Hijacked => {}
        }
        self.phase = seen.phase;
        self.requests = seen.requests;
    }

    pub(crate) fn head_begun(&self) -> Option<Instant> {
        self.head_begun
    }

    pub(crate) fn idle_since(&self) -> Option<Instant> {
        self.idle_since
    }

    /// The read limit has been dealt with: the body's reader has been told.
    pub(crate) fn read_expired(&mut self) {
        self.read_expired = true;
    }

    /// The nearest deadline, and why it is one.
    pub(crate) fn nearest(&self, seen: &Seen) -> Option<(Instant, Limit)> {
        let mut nearest = None;
        let mut consider = |at: Option<Instant>, limit: Limit| {
            if let Some(at) = at
                && nearest.is_none_or(|(nearest, _)| at < nearest)
            {
                nearest = Some((at, limit));
            }
        };
        let after = |since: Option<Instant>, limit: Option<Duration>| {
            since.zip(limit).and_then(|(since, limit)| far(since, limit))
        };
        match self.phase {
            Phase::New | Phase::Head => {
                consider(after(self.head_begun, self.limits.head), Limit::Head);
                consider(after(self.head_begun, self.limits.read), Limit::Head);
            }
            Phase::Active => {
                if !self.read_expired && seen.awaits_body {
                    match seen.read_deadline {
                        Override::Unset => consider(after(self.head_begun, self.limits.read), Limit::Read),
                        Override::Never => {}
                        Override::At(at) => consider(Some(at), Limit::Read),
                    }
                    consider(self.body.until, Limit::BodyStall);
                }
                match seen.write_deadline {
                    Override::Unset => consider(after(self.active_since, self.limits.write), Limit::Write),
                    Override::Never => {}
                    Override::At(at) => consider(Some(at), Limit::Write),
                }
                consider(self.client.until, Limit::WriteStall);
                consider(after(self.stopped_since, self.limits.half_close), Limit::HalfClosed);
            }
            Phase::Idle => {
                consider(after(self.idle_since, self.limits.idle), Limit::Idle);
                if seen.tardy {
                    // No more patience than with a client that has never asked for anything.
                    consider(after(self.idle_since, self.limits.head), Limit::Idle);
                }
            }
            Phase::Closing => consider(after(self.closing_since, Some(CLOSING)), Limit::Closing),
            Phase::Hijacked => {}
        }
        nearest
    }
}

/// How long a client may go on sending after its last response, so that it reads that response before the reset: Go waits for as
/// long.
pub(crate) const CLOSING: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Limits = Limits {
        head: None,
        idle: None,
        read: None,
        write: None,
        body_stall: None,
        body_rate: None,
        write_stall: None,
        write_rate: None,
        half_close: None,
    };

    fn seen(phase: Phase, requests: u64) -> Seen {
        Seen {
            phase,
            requests,
            read: 0,
            written: 0,
            awaits_body: false,
            awaits_client: false,
            client_stopped: false,
            tardy: false,
            read_deadline: Override::Unset,
            write_deadline: Override::Unset,
        }
    }

    const fn secs(secs: u64) -> Option<Duration> {
        Some(Duration::from_secs(secs))
    }

    /// Plays `steps`, each at a second from the start, and returns the deadline behind the last, in seconds from the start.
    fn play(limits: Limits, steps: &[(u64, Seen)]) -> Option<(u64, Limit)> {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(limits, start);
        for (at, seen) in steps {
            deadlines.update(start + Duration::from_secs(*at), seen);
        }
        let (at, limit) = deadlines.nearest(&steps.last()?.1)?;
        Some((at.duration_since(start).as_secs(), limit))
    }

    #[test]
    fn a_first_head_counts_from_the_start_and_a_later_one_from_its_first_byte() {
        let limits = Limits { head: secs(30), ..NONE };
        assert_eq!(play(limits, &[(0, seen(Phase::New, 0))]), Some((30, Limit::Head)));
        assert_eq!(play(limits, &[(0, seen(Phase::New, 0)), (20, seen(Phase::Head, 0))]), Some((30, Limit::Head)));
        let later = [
            (0, seen(Phase::Active, 1)),
            (1, seen(Phase::Idle, 1)),
            (50, seen(Phase::Head, 1)),
            (60, seen(Phase::Head, 1)),
        ];
        assert_eq!(play(limits, &later), Some((80, Limit::Head)));
        assert_eq!(play(limits, &later[..2]), None, "an idle connection has no head to wait for");
    }

    #[test]
    fn the_time_for_a_request_covers_its_head_and_its_body() {
        let limits = Limits { read: secs(30), ..NONE };
        let waiting = Seen { awaits_body: true, ..seen(Phase::Active, 1) };
        assert_eq!(play(limits, &[(5, seen(Phase::Head, 0))]), Some((30, Limit::Head)));
        assert_eq!(play(limits, &[(5, seen(Phase::Head, 0)), (10, waiting)]), Some((30, Limit::Read)));
        assert_eq!(play(limits, &[(10, seen(Phase::Active, 1))]), None, "a handler that reads nothing may go on");
        let own = Seen { read_deadline: Override::Never, ..waiting };
        assert_eq!(play(limits, &[(10, own)]), None);
    }

    #[test]
    fn several_requests_in_one_poll_leave_the_idle_time_of_the_last() {
        let limits = Limits { idle: secs(60), head: secs(30), ..NONE };
        let steps = [(0, seen(Phase::New, 0)), (7, seen(Phase::Idle, 1)), (40, seen(Phase::Idle, 3))];
        assert_eq!(play(limits, &steps), Some((100, Limit::Idle)));
    }

    #[test]
    fn bytes_buy_time_up_to_the_purse() {
        let limits = Limits { body_stall: secs(30), body_rate: Some(100), ..NONE };
        let waiting = |read| Seen { awaits_body: true, read, ..seen(Phase::Active, 1) };
        assert_eq!(play(limits, &[(0, waiting(0))]), Some((30, Limit::BodyStall)));
        assert_eq!(play(limits, &[(0, waiting(0)), (20, waiting(500))]), Some((35, Limit::BodyStall)));
        assert_eq!(
            play(limits, &[(0, waiting(0)), (20, waiting(1 << 30))]),
            Some((50, Limit::BodyStall)),
            "no more than 30 s"
        );
        let paused = Seen { awaits_body: false, ..waiting(0) };
        assert_eq!(play(limits, &[(0, waiting(0)), (20, paused), (1000, waiting(0))]), Some((1010, Limit::BodyStall)));
        let any = Limits { body_rate: None, ..limits };
        assert_eq!(play(any, &[(0, waiting(0)), (20, waiting(1))]), Some((50, Limit::BodyStall)));
    }

    #[test]
    fn a_client_that_goes_on_taking_a_response_is_not_gone() {
        let limits = Limits { half_close: secs(5), ..NONE };
        let stopped = |written| Seen { client_stopped: true, written, ..seen(Phase::Active, 1) };
        assert_eq!(play(limits, &[(1, stopped(0))]), Some((6, Limit::HalfClosed)));
        assert_eq!(play(limits, &[(1, stopped(0)), (4, stopped(0))]), Some((6, Limit::HalfClosed)));
        assert_eq!(play(limits, &[(1, stopped(0)), (4, stopped(9))]), Some((9, Limit::HalfClosed)));
    }

    #[test]
    fn a_client_that_was_too_slow_is_idle_for_as_long_as_one_that_has_just_come() {
        let limits = Limits { idle: secs(60), head: secs(30), ..NONE };
        let idle = seen(Phase::Idle, 1);
        assert_eq!(play(limits, &[(10, idle)]), Some((70, Limit::Idle)));
        assert_eq!(play(limits, &[(10, Seen { tardy: true, ..idle })]), Some((40, Limit::Idle)));
    }

    #[test]
    fn each_request_has_a_time_to_be_answered_in_and_may_change_it() {
        let limits = Limits { write: secs(60), ..NONE };
        let steps = [(3, seen(Phase::Active, 1)), (4, seen(Phase::Idle, 1)), (10, seen(Phase::Active, 2))];
        assert_eq!(play(limits, &steps), Some((70, Limit::Write)));
        let own = Seen { write_deadline: Override::Never, ..seen(Phase::Active, 1) };
        assert_eq!(play(limits, &[(3, own)]), None);
    }
}
