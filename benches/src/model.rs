//! What a run measured, in one shape: the terminal's tables, the page and the raw JSON are all made from it, and nothing else.
//!
//! Every figure here was measured in the run that it is part of; what was not measured is absent, and `absent` or `note` says why.

use serde::{Deserialize, Deserializer, Serialize};

/// All that one run measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Where and with what.
    pub environment: Environment,
    /// Whether it was stopped before all was measured.
    pub interrupted: bool,
    /// How long the run took, in seconds.
    #[serde(deserialize_with = "figures")]
    pub seconds: f64,
    /// The comparison: pool, server closes, no pool.
    pub scenarios: Vec<Scenario>,
    /// What was planned and left out, and why: combinations that make no sense, what there was no time for.
    #[serde(default)]
    pub left_out: Vec<Absent>,
    /// What is used again when the server closes.
    #[serde(default)]
    pub closing: Option<Closing>,
    /// Side by side with peers.
    pub comparisons: Vec<Comparison>,
    /// How cost grows.
    pub growths: Vec<Growth>,
    /// Cost beside the budgets.
    pub budget: Option<Budget>,
}

/// Where a run took place, and with what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// When it began, RFC 3339.
    pub date: String,
    /// The commit of the checkout, with `+` behind it if files had changed; absent outside one.
    pub commit: Option<String>,
    /// The processor's name.
    pub cpu: String,
    /// Processors that the process may use.
    pub processors: usize,
    /// Go's name of the system.
    pub os: String,
    /// Go's name of the architecture.
    pub arch: String,
    /// The kernel's release, as far as the system tells.
    pub kernel: String,
    /// Names and versions: the compiler, this project, the libraries compared with.
    pub versions: Vec<(String, String)>,
    /// Settings that are the same for all, in words: no delay, keep-alive, allocator, profile.
    pub settings: Vec<(String, String)>,
}

/// How connections are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The client keeps its connections and reuses them.
    Pool,
    /// The client would, but the server closes each after its response.
    ServerCloses,
    /// The client opens a connection for each request and closes it.
    NoPool,
}

/// What protects the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Security {
    /// Nothing.
    Plain,
    /// TLS 1.3, a full handshake for each connection.
    Tls,
    /// TLS 1.3 that resumes sessions.
    TlsResumed,
}

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: by ALPN over TLS, by prior knowledge without.
    Http2,
}

/// One combination of all that can be varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Case {
    /// How connections are treated.
    pub pooling: Pooling,
    /// What protects them.
    pub security: Security,
    /// What is spoken.
    pub protocol: Protocol,
    /// Requests at the same time.
    pub concurrency: usize,
    /// The simulated time of a round trip, in milliseconds; 0 is plain loopback.
    pub rtt_ms: u32,
    /// The response's body, in bytes.
    pub body: usize,
}

/// What one combination measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// The combination.
    pub case: Case,
    /// Each round's figures; rounds of all combinations take turns.
    pub rounds: Vec<Round>,
    /// Where the time of a request went, over all rounds; absent for what tells no timings.
    pub phases: Option<Phases>,
    /// Round trips, predicted and measured; absent without simulated round trips.
    pub cost: Cost,
}

/// What one round measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Requests measured.
    pub requests: u64,
    /// Those and the warm-up's.
    pub all_requests: u64,
    /// Connections that the server accepted for all requests.
    pub connections: u64,
    /// TLS handshakes that resumed a session, of all those.
    pub resumed: u64,
    /// Time of the round by its requests, in nanoseconds, as Go counts: with 16 requests at a time it is a sixteenth of what one takes.
    #[serde(deserialize_with = "figures")]
    pub ns_per_op: f64,
    /// The median, in nanoseconds.
    #[serde(deserialize_with = "figures")]
    pub p50_ns: f64,
    /// The 99th percentile, in nanoseconds.
    #[serde(deserialize_with = "figures")]
    pub p99_ns: f64,
    /// What the client's side allocated for a request.
    pub client: Allocations,
    /// What the server's side allocated for a request.
    pub server: Allocations,
}

/// Allocations of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Allocations {
    /// How many.
    #[serde(deserialize_with = "figures")]
    pub count: f64,
    /// How many bytes in all.
    #[serde(deserialize_with = "figures")]
    pub bytes: f64,
}

/// Means over all measured requests, in microseconds: they add up to `total` but for rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Phases {
    /// Waiting for a connection, without what opening it took.
    #[serde(deserialize_with = "figures")]
    pub queue: f64,
    /// Resolving the name.
    #[serde(deserialize_with = "figures")]
    pub dns: f64,
    /// The TCP handshake.
    #[serde(deserialize_with = "figures")]
    pub connect: f64,
    /// The TLS handshake.
    #[serde(deserialize_with = "figures")]
    pub tls: f64,
    /// Sending the request.
    #[serde(deserialize_with = "figures")]
    pub write: f64,
    /// Waiting for the first byte of the answer.
    #[serde(deserialize_with = "figures")]
    pub wait: f64,
    /// Reading the body to its end.
    #[serde(deserialize_with = "figures")]
    pub body: f64,
    /// What none of them covers.
    #[serde(deserialize_with = "figures")]
    pub other: f64,
    /// The whole request.
    #[serde(deserialize_with = "figures")]
    pub total: f64,
}

/// Round trips of one request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// What the model says: TCP 1, TLS 1.3 1, request 1.
    #[serde(deserialize_with = "figures")]
    pub predicted: f64,
    /// The median time by the simulated round trip's; absent without one.
    pub measured: Option<f64>,
    /// The model in words.
    pub explained: String,
}

/// What a connection leaves to the next when the server closes it, beside a pool, no pool, and a client made anew for each request; and
/// what the figures of the known write-up (21.7, 52.0 and 102.0) would take.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Closing {
    /// The ways, in the order of all figures below: `pool`, `server closes`, `no pool`, `new client`.
    pub ways: Vec<String>,
    /// What was counted for each.
    pub counts: Vec<ClosingCount>,
    /// What time is made of: ways by time, against the write-up's.
    pub times: Vec<ClosingTime>,
    /// What follows, in sentences made of these figures.
    pub findings: Vec<String>,
}

/// One thing that was counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClosingCount {
    /// What, of one request: `connections opened`, `sessions resumed`, `names looked up`.
    pub what: String,
    /// One figure for each way.
    #[serde(deserialize_with = "figures")]
    pub figures: Vec<f64>,
}

/// How long a request takes in each way, under one condition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClosingTime {
    /// The condition: `plain, loopback`, `TLS, 20 ms`; the write-up's own line is not measured and says so.
    pub name: String,
    /// Whether it was measured in this run.
    pub measured: bool,
    /// The median for each way, in milliseconds.
    #[serde(deserialize_with = "figures")]
    pub milliseconds: Vec<f64>,
    /// Each by the first.
    #[serde(deserialize_with = "figures")]
    pub ratios: Vec<f64>,
}

/// Several contestants in one run, in turns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// A short name for programs: `client-sequential`, `server-idle-memory`.
    pub id: String,
    /// A headline.
    pub title: String,
    /// What was done, in a sentence or two.
    pub explained: String,
    /// What the figures are in: `us`, `requests/CPU s`, `instructions`, `bytes`.
    pub unit: String,
    /// Whether more is better.
    pub more_is_better: bool,
    /// The contestant that ratios are against.
    pub base: String,
    /// Who took part.
    pub contestants: Vec<Contestant>,
    /// Who did not, and why.
    pub absent: Vec<Absent>,
}

/// What one contestant measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Contestant {
    /// Its name.
    pub name: String,
    /// Whether it is ours.
    pub ours: bool,
    /// Each round's figure.
    #[serde(deserialize_with = "figures")]
    pub figures: Vec<f64>,
    /// Each round's figure by the base's in the same round.
    #[serde(deserialize_with = "figures")]
    pub ratios: Vec<f64>,
    /// What to know about it, if anything.
    pub note: Option<String>,
}

/// Who was not measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Absent {
    /// Its name.
    pub name: String,
    /// Why.
    pub why: String,
}

/// How a cost grows with something.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// A short name for programs.
    pub id: String,
    /// A headline.
    pub title: String,
    /// What was done, and what would be good, in a sentence or two.
    pub explained: String,
    /// What grows.
    pub x: String,
    /// What is measured, with its unit.
    pub y: String,
    /// Whether the x axis is logarithmic.
    pub log_x: bool,
    /// A line each.
    pub series: Vec<Series>,
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Whether it is ours.
    pub ours: bool,
    /// x and y.
    #[serde(deserialize_with = "figures")]
    pub points: Vec<(f64, f64)>,
}

/// Costs beside budgets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// How far a cost may be over its budget before that is a failure, in percent.
    #[serde(deserialize_with = "figures")]
    pub tolerance_percent: f64,
    /// A line each.
    pub rows: Vec<BudgetRow>,
    /// What could not be measured, and why.
    pub absent: Vec<Absent>,
}

/// One cost, its budget and its peers'.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BudgetRow {
    /// A short name for programs: `transport-instructions`.
    #[serde(default)]
    pub id: String,
    /// What is measured.
    pub what: String,
    /// What in.
    pub unit: String,
    /// The most it may be: what it was when that was last set. It is there to be lowered.
    #[serde(deserialize_with = "figures")]
    pub budget: f64,
    /// What it is meant to come down to, where the design says so.
    #[serde(default)]
    pub target: Option<f64>,
    /// Where the budget and the target come from.
    #[serde(default)]
    pub source: String,
    /// Whether it is only told and never over, since what it measures depends on the machine's other work.
    #[serde(default)]
    pub told: bool,
    /// What it is.
    #[serde(deserialize_with = "figures")]
    pub ours: f64,
    /// What peers need for the same, in the same run.
    #[serde(deserialize_with = "figures")]
    pub peers: Vec<(String, f64)>,
}

impl BudgetRow {
    /// Whether the cost is judged, and over its budget by more than the tolerance.
    #[must_use]
    pub fn is_over(&self, tolerance_percent: f64) -> bool {
        !self.told && self.ours > self.budget * (1.0 + tolerance_percent / 100.0)
    }

    /// How far the cost is above its target, as a part of it; `None` if it is not, or has none.
    #[must_use]
    pub fn gap(&self) -> Option<f64> {
        self.target.map(|target| self.ours / target - 1.0).filter(|gap| *gap > 0.0)
    }
}

/// Reads figures as they are written: one that is not a number is `null` in JSON, which has no word for it.
fn figures<'de, D: Deserializer<'de>, F: Figures>(deserializer: D) -> Result<F, D::Error> {
    F::Written::deserialize(deserializer).map(F::read)
}

/// What is made of figures.
trait Figures {
    /// The same with gaps.
    type Written: for<'de> Deserialize<'de>;

    fn read(written: Self::Written) -> Self;
}

impl Figures for f64 {
    type Written = Option<f64>;

    fn read(written: Option<f64>) -> Self {
        written.unwrap_or(f64::NAN)
    }
}

impl Figures for String {
    type Written = String;

    fn read(written: String) -> Self {
        written
    }
}

impl<A: Figures, B: Figures> Figures for (A, B) {
    type Written = (A::Written, B::Written);

    fn read((one, other): Self::Written) -> Self {
        (A::read(one), B::read(other))
    }
}

impl<F: Figures> Figures for Vec<F> {
    type Written = Vec<F::Written>;

    fn read(written: Self::Written) -> Self {
        written.into_iter().map(F::read).collect()
    }
}

/// The middle of some figures, the mean of both if there are two; `None` of none.
#[must_use]
pub fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        len if len % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The least and the greatest of some figures; `None` of none.
#[must_use]
pub fn spread(figures: &[f64]) -> Option<(f64, f64)> {
    let least = figures.iter().copied().min_by(f64::total_cmp)?;
    let greatest = figures.iter().copied().max_by(f64::total_cmp)?;
    Some((least, greatest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_spreads() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some((1.0, 3.0)));
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn a_budget_has_a_tolerance() {
        let row = |ours| BudgetRow { budget: 100.0, ours, ..BudgetRow::default() };
        assert!(!row(105.0).is_over(5.0));
        assert!(row(105.1).is_over(5.0));
        assert!(!BudgetRow { told: true, ..row(105.1) }.is_over(5.0), "only told");
    }
}
