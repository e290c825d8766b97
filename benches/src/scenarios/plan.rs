//! What is run: groups of cases that take turns, and for how long.

use std::time::Duration;

use super::round::Time;
use crate::cpu;
use crate::model::{Absent, Case, Pooling, Protocol, Security};
use crate::servers::GREETING;

/// All that is run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// One after the other.
    pub groups: Vec<Group>,
    /// What was left out, and why.
    pub left_out: Vec<Absent>,
    /// How long all of it may take, for which the times of later groups are shortened; `None` if they are the user's wish.
    pub limit: Option<Duration>,
}

/// Cases whose rounds take turns, so that a machine that becomes slower or faster meanwhile does so for all.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Which.
    pub cases: Vec<Case>,
    /// How often each is measured.
    pub rounds: u32,
    /// How long each round measures.
    pub time: Duration,
}

/// Values to combine. `None` stands for the usual ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix {
    /// Default: all three.
    pub pooling: Option<Vec<Pooling>>,
    /// Default: plain.
    pub security: Option<Vec<Security>>,
    /// Default: HTTP/1.
    pub protocol: Option<Vec<Protocol>>,
    /// Requests at the same time. Default: 1.
    pub concurrency: Option<Vec<usize>>,
    /// Milliseconds. Default: 0.
    pub rtt_ms: Option<Vec<u32>>,
    /// Bytes. Default: those of the greeting.
    pub body: Option<Vec<usize>>,
}

/// How often and how long, where it is not as the plan would have it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wishes {
    /// Rounds of each case.
    pub rounds: Option<u32>,
    /// Measured time of each round.
    pub time: Option<Duration>,
}

const ALL: [Pooling; 3] = [Pooling::Pool, Pooling::ServerCloses, Pooling::NoPool];

impl Plan {
    /// The usual: the classic three first and longest, then what changes one thing at a time. All of it takes about `limit`, if the
    /// wishes let it.
    #[must_use]
    pub fn usual(quick: bool, limit: Duration, wishes: Wishes) -> Self {
        let of = |change: fn(Case) -> Case| ALL.map(|pooling| change(Case::classic(pooling))).to_vec();
        let tls = |case: Case| Case { security: Security::Tls, ..case };
        let mut others = vec![
            of(tls),
            of(|case| Case { security: Security::TlsResumed, ..case }),
            of(|case| Case { security: Security::Tls, protocol: Protocol::Http2, ..case }),
            of(|case| Case { concurrency: 16, ..case }),
            of(|case| Case { rtt_ms: 1, ..case }),
            of(|case| Case { rtt_ms: 20, ..case }),
            of(|case| Case { rtt_ms: 20, security: Security::Tls, ..case }),
            of(|case| Case { body: 65_536, ..case }),
        ];
        if !quick {
            others.extend([
                of(|case| Case { protocol: Protocol::Http2, ..case }),
                of(|case| Case { concurrency: 256, ..case }),
                of(|case| Case { concurrency: 16, security: Security::Tls, protocol: Protocol::Http2, ..case }),
                of(|case| Case { rtt_ms: 1, security: Security::Tls, ..case }),
                of(|case| Case { rtt_ms: 1, security: Security::TlsResumed, ..case }),
                of(|case| Case { rtt_ms: 1, security: Security::Tls, protocol: Protocol::Http2, ..case }),
                of(|case| Case { rtt_ms: 20, security: Security::TlsResumed, ..case }),
                of(|case| Case { rtt_ms: 20, security: Security::Tls, protocol: Protocol::Http2, ..case }),
            ]);
        }
        let (rounds, others_rounds) = if quick { (3, 1) } else { (5, 2) };
        let mut plan = Plan { groups: Vec::new(), left_out: Vec::new(), limit: wishes.time.is_none().then_some(limit) };
        let share = limit.mul_f64(0.35);
        plan.add(of(|case| case), wishes.rounds.unwrap_or(rounds), share, wishes);
        let share = (limit - share) / u32::try_from(others.len()).unwrap_or(1);
        for cases in others {
            plan.add(cases, wishes.rounds.unwrap_or(others_rounds), share, wishes);
        }
        plan
    }

    /// All combinations of these values that make sense.
    ///
    /// # Errors
    /// None does; the error names the first.
    pub fn combined(matrix: &Matrix, limit: Duration, wishes: Wishes) -> Result<Self, String> {
        let mut groups = Vec::new();
        for &body in matrix.body.as_deref().unwrap_or(&[GREETING.len()]) {
            for &rtt_ms in matrix.rtt_ms.as_deref().unwrap_or(&[0]) {
                for &concurrency in matrix.concurrency.as_deref().unwrap_or(&[1]) {
                    for &protocol in matrix.protocol.as_deref().unwrap_or(&[Protocol::Http1]) {
                        for &security in matrix.security.as_deref().unwrap_or(&[Security::Plain]) {
                            let of =
                                |&pooling: &Pooling| Case { pooling, security, protocol, concurrency, rtt_ms, body };
                            groups.push(matrix.pooling.as_deref().unwrap_or(&ALL).iter().map(of).collect());
                        }
                    }
                }
            }
        }
        let mut plan = Plan { groups: Vec::new(), left_out: Vec::new(), limit: wishes.time.is_none().then_some(limit) };
        let share = limit / u32::try_from(groups.len()).unwrap_or(u32::MAX).max(1);
        for cases in groups {
            plan.add(cases, wishes.rounds.unwrap_or(5), share, wishes);
        }
        match plan.left_out.first() {
            Some(Absent { name, why }) if plan.groups.is_empty() => Err(format!("{name} makes no sense: {why}")),
            _ => Ok(plan),
        }
    }

    /// Adds cases that may take `share` of the time together.
    fn add(&mut self, cases: Vec<Case>, rounds: u32, share: Duration, wishes: Wishes) {
        let (cases, senseless): (Vec<_>, Vec<_>) = cases.into_iter().partition(|case| case.makes_no_sense().is_none());
        self.left_out.extend(
            senseless
                .iter()
                .map(|case| Absent { name: case.name(), why: case.makes_no_sense().unwrap_or_default().to_owned() }),
        );
        if cases.is_empty() {
            return;
        }
        let slices = cases.len() as f64 * (f64::from(rounds) * (1.0 + WARM) + PHASES * (1.0 + WARM));
        let time = wishes.time.unwrap_or_else(|| share.div_f64(slices).min(LONGEST));
        self.groups.push(Group { cases, rounds, time });
    }

    /// The same without what needs more files and sockets than a process may have open, which is left out by name.
    #[must_use]
    pub fn within_files(mut self, limit: Option<u64>) -> Self {
        for group in &mut self.groups {
            group.cases.retain(|case| match cpu::allows(limit, files(case)) {
                Ok(()) => true,
                Err(why) => {
                    self.left_out.push(Absent { name: case.name(), why });
                    false
                }
            });
        }
        self.groups.retain(|group| !group.cases.is_empty());
        self
    }

    /// A group, its times shortened where it and all behind it have so much time left.
    pub(super) fn shortened(&self, at: usize, left: Duration) -> Group {
        let group = &self.groups[at];
        let rest: Duration = self.groups[at..].iter().map(Group::planned).sum();
        let time = group.time.mul_f64((left.as_secs_f64() / rest.as_secs_f64()).min(1.0));
        Group { time, ..group.clone() }
    }

    /// How many rounds there are, those for the phases not counted.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.groups.iter().map(|group| group.cases.len() * group.rounds as usize).sum()
    }
}

/// Files and sockets that a case may have open at once. Both ends of a connection are in this process.
fn files(case: &Case) -> usize {
    match case.pooling {
        // A connection that is being opened when its request is served by another is opened all the same, up to 32 to a host.
        Pooling::Pool => 2 * (case.concurrency + case.concurrency.min(32)),
        // When a client opens the next one, the server may not have closed the last one yet.
        Pooling::ServerCloses | Pooling::NoPool => 3 * case.concurrency,
    }
}

impl Group {
    /// How long all of it takes, but for starting servers.
    pub(super) fn planned(&self) -> Duration {
        let of = |time: Time| time.warm + time.measured;
        (of(self.round()) * self.rounds + of(self.phases())) * u32::try_from(self.cases.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn round(&self) -> Time {
        Time { warm: self.time.mul_f64(WARM).min(LONGEST_WARM_UP), measured: self.time }
    }

    /// The one more round in which the transport tells its timings, which costs it some.
    pub(super) fn phases(&self) -> Time {
        let measured = self.time.mul_f64(PHASES).min(LONGEST_PHASES);
        Time { warm: measured.mul_f64(WARM).min(LONGEST_WARM_UP), measured }
    }
}

/// Beyond this a round tells nothing more.
const LONGEST: Duration = Duration::from_secs(2);
const LONGEST_WARM_UP: Duration = Duration::from_millis(200);
const LONGEST_PHASES: Duration = Duration::from_secs(1);

/// The time of a warm-up by that of its round.
const WARM: f64 = 0.125;

/// The time of the round for phases by that of a round.
const PHASES: f64 = 0.4;

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(80);

    fn total(plan: &Plan) -> Duration {
        plan.groups.iter().map(Group::planned).sum()
    }

    #[test]
    fn the_usual_plan_fits_and_begins_with_the_classic_three() {
        for (quick, limit) in [(false, LIMIT), (true, Duration::from_secs(11))] {
            let plan = Plan::usual(quick, limit, Wishes::default());
            // But for the nanoseconds of rounding.
            assert!(total(&plan) <= limit + Duration::from_micros(1), "{:?}", total(&plan));
            let first = &plan.groups[0];
            assert_eq!(first.cases, ALL.map(Case::classic));
            assert!(first.rounds > 2 && plan.groups[1..].iter().all(|group| group.time < first.time));
            assert_eq!(plan.left_out.is_empty(), quick);
        }
    }

    #[test]
    fn what_is_left_of_the_limit_is_shared_by_the_rest() {
        let mut plan = Plan::usual(true, LIMIT, Wishes::default());
        let whole = total(&plan);
        assert_eq!(plan.shortened(0, Duration::MAX), plan.groups[0]);
        assert_eq!(plan.shortened(0, whole), plan.groups[0]);
        let half = plan.shortened(1, (whole - plan.groups[0].planned()) / 2);
        assert!(half.time.abs_diff(plan.groups[1].time / 2) < Duration::from_micros(1), "{half:?}");
        assert_eq!(plan.shortened(1, Duration::ZERO).time, Duration::ZERO);
        plan.groups.truncate(1);
        assert_eq!(plan.shortened(0, whole), plan.groups[0]);
    }

    #[test]
    fn cases_beyond_the_limit_of_open_files_are_left_out_by_name() {
        let whole = || Plan::usual(false, LIMIT, Wishes::default());
        assert_eq!(whole().within_files(None), whole());
        assert_eq!(whole().within_files(Some(1024)), whole());
        let low = whole().within_files(Some(256));
        assert_eq!(low.groups.len(), whole().groups.len() - 1);
        let names: Vec<_> =
            low.left_out.iter().map(|left| left.name.as_str()).filter(|name| name.ends_with("c256")).collect();
        assert_eq!(names, ["WithConnectionPool/c256", "ServerClosesConnection/c256", "WithoutConnectionPool/c256"]);
        let why = &low.left_out.last().unwrap().why;
        assert!(why.ends_with("a process may have 256 (ulimit -n)"), "{why}");
        assert_eq!(whole().within_files(Some(50)).groups, []);
    }

    #[test]
    fn wishes_are_followed() {
        let wishes = Wishes { rounds: Some(1), time: Some(Duration::from_millis(20)) };
        let plan = Plan::usual(true, LIMIT, wishes);
        assert!(plan.groups.iter().all(|group| group.rounds == 1 && group.time == Duration::from_millis(20)));
    }

    #[test]
    fn values_are_combined_and_what_makes_no_sense_is_left_out_by_name() {
        let matrix = Matrix {
            protocol: Some(vec![Protocol::Http1, Protocol::Http2]),
            concurrency: Some(vec![1, 16]),
            ..Matrix::default()
        };
        let plan = Plan::combined(&matrix, LIMIT, Wishes::default()).unwrap();
        assert_eq!((plan.groups.len(), plan.rounds()), (4, 11 * 5));
        assert_eq!(plan.left_out.len(), 1);
        assert_eq!(plan.left_out[0].name, "ServerClosesConnection/http2/c16");
        assert!(total(&plan) <= LIMIT + Duration::from_micros(1));

        let alone = Matrix {
            pooling: Some(vec![Pooling::ServerCloses]),
            protocol: Some(vec![Protocol::Http2]),
            concurrency: Some(vec![16]),
            ..Matrix::default()
        };
        let error = Plan::combined(&alone, LIMIT, Wishes::default()).unwrap_err();
        assert!(error.starts_with("ServerClosesConnection/http2/c16 makes no sense: "), "{error}");
    }
}
