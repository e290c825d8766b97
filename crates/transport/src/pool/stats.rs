//! What a pool counts.

use std::fmt;
use std::time::Duration;

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// It lay idle for longer than `idle_conn_timeout`, or than the server said that it would keep it.
    IdleTimeout,
    /// The server closed it while it lay idle, or sent bytes that answer nothing.
    ClosedByPeer,
    /// It was older than `max_conn_age`.
    MaxAge,
    /// It had carried `max_requests_per_conn` requests.
    MaxRequests,
    /// Its host had as many idle connections as `max_idle_conns_per_host` allows, or a limit was lowered.
    Surplus,
    /// It was the least recently used of all, and `max_idle_conns` or `max_conns` left no room for it.
    Evicted,
    /// The program asked: `close_idle_connections`, `evict`, or `close` on one that it held.
    Requested,
    /// The address that it leads to is not among those of its name any more.
    AddressGone,
    /// One side had said `Connection: close`, or the message could only end with the connection.
    NotPersistent,
    /// A request or a response body was given up before its end.
    Abandoned,
    /// The exchange failed: the connection broke, or the peer did not speak HTTP.
    Failed,
    /// It went to another protocol, and belongs to the program now.
    Upgraded,
    /// The transport was shut down or dropped.
    Shutdown,
}

impl CloseReason {
    /// All reasons, in the order in which [`Closed`] counts them.
    pub const ALL: [CloseReason; 13] = [
        CloseReason::IdleTimeout,
        CloseReason::ClosedByPeer,
        CloseReason::MaxAge,
        CloseReason::MaxRequests,
        CloseReason::Surplus,
        CloseReason::Evicted,
        CloseReason::Requested,
        CloseReason::AddressGone,
        CloseReason::NotPersistent,
        CloseReason::Abandoned,
        CloseReason::Failed,
        CloseReason::Upgraded,
        CloseReason::Shutdown,
    ];

    /// The reason in a word or two, lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CloseReason::IdleTimeout => "idle timeout",
            CloseReason::ClosedByPeer => "closed by peer",
            CloseReason::MaxAge => "max age",
            CloseReason::MaxRequests => "max requests",
            CloseReason::Surplus => "surplus",
            CloseReason::Evicted => "evicted",
            CloseReason::Requested => "requested",
            CloseReason::AddressGone => "address gone",
            CloseReason::NotPersistent => "not persistent",
            CloseReason::Abandoned => "abandoned",
            CloseReason::Failed => "failed",
            CloseReason::Upgraded => "upgraded",
            CloseReason::Shutdown => "shutdown",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How many connections were closed for each [`CloseReason`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closed([u64; CloseReason::ALL.len()]);

impl Closed {
    /// How many were closed for this reason.
    #[must_use]
    pub fn by(&self, reason: CloseReason) -> u64 {
        self.0[reason as usize]
    }

    /// How many were closed for any reason.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(super) fn add(&mut self, reason: CloseReason) {
        self.0[reason as usize] += 1;
    }
}

/// How often something took how long, in 32 buckets whose bounds double.
///
/// **Shape**: bucket 0 counts what took less than 1 us, bucket `i` what took from 2^(i-1) us to less than 2^i us, and the last one
/// everything from 18 minutes on. Copied as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    buckets: [u64; Histogram::BUCKETS],
}

impl Histogram {
    /// The number of buckets.
    pub const BUCKETS: usize = 32;

    /// The counts, from short to long.
    #[must_use]
    pub fn buckets(&self) -> &[u64; Histogram::BUCKETS] {
        &self.buckets
    }

    /// What bucket `index` stays below; `None` for the last, which has no bound.
    #[must_use]
    pub fn upper_bound(index: usize) -> Option<Duration> {
        (index + 1 < Histogram::BUCKETS).then(|| Duration::from_micros(1 << index))
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// A bound below which at least the fraction `q` of all lie, `0.0 <= q <= 1.0`; `None` if nothing was counted, or the answer
    /// lies in the bucket without a bound. At most twice the true value.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a quantile of 2^53 measurements may be off by one")]
        let wanted = q.clamp(0.0, 1.0) * count as f64;
        let mut below = 0;
        let bucket = self.buckets.iter().position(|&in_bucket| {
            below += in_bucket;
            #[expect(clippy::cast_precision_loss, reason = "as above")]
            let enough = below > 0 && below as f64 >= wanted;
            enough
        })?;
        Histogram::upper_bound(bucket)
    }

    pub(super) fn add(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - micros.leading_zeros()) as usize;
        self.buckets[bucket.min(Histogram::BUCKETS - 1)] += 1;
    }
}

/// What a pool, or one host of it, holds now and has done so far.
///
/// **Shape**: a snapshot; all its figures were true at one moment. Those of one host are forgotten some time after its last connection
/// (after 256 other hosts have gone quiet), those of the whole pool never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Connections that lie idle now.
    pub idle: usize,
    /// Connections that carry a request or a response body now.
    pub in_use: usize,
    /// Connections being opened now.
    pub dialing: usize,
    /// Requests that wait for a connection now, those whose own dial is under way included.
    pub waiting: usize,
    /// Connections opened, or taken over from a [`ClientConn`](crate::ClientConn).
    pub created: u64,
    /// Requests that were given a connection that had been opened for another.
    pub reused: u64,
    /// Dials that failed or were given up.
    pub dials_failed: u64,
    /// Requests that were sent again, because the connection they had been sent on was closed by the server.
    pub retried: u64,
    /// Connections closed.
    pub closed: Closed,
    /// How long requests waited that did not find an idle connection, dialing included.
    pub wait_time: Histogram,
    /// How long dials took that succeeded.
    pub dial_time: Histogram,
}

impl PoolStats {
    /// Connections that are open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.idle + self.in_use
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_doubles_its_bounds() {
        let mut histogram = Histogram::default();
        for micros in [0, 1, 2, 3, 1000] {
            histogram.add(Duration::from_micros(micros));
        }
        histogram.add(Duration::from_secs(1 << 40));
        assert_eq!((histogram.buckets[0], histogram.buckets[1], histogram.buckets[2]), (1, 1, 2));
        assert_eq!((histogram.buckets[10], histogram.buckets[31], histogram.count()), (1, 1, 6));
        assert_eq!(histogram.quantile(0.5), Some(Duration::from_micros(4)));
        assert_eq!(histogram.quantile(0.0), Some(Duration::from_micros(1)));
        assert_eq!(histogram.quantile(1.0), None);
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn every_reason_has_a_place_of_its_own() {
        for (at, reason) in CloseReason::ALL.into_iter().enumerate() {
            let mut closed = Closed::default();
            closed.add(reason);
            assert_eq!((reason as usize, closed.by(reason), closed.total()), (at, 1, 1), "{reason}");
        }
    }
}
