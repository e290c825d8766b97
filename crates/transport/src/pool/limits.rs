//! What the pool may hold.

use std::time::Duration;

use crate::TransportConfig;

/// The limits of a pool, with `usize::MAX` for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) max_idle: usize,
    pub(crate) max_idle_per_host: usize,
    pub(crate) max_conns_per_host: usize,
    pub(crate) max_conns: usize,
    pub(crate) max_dials_per_host: usize,
    pub(crate) max_waiters_per_host: usize,
    pub(crate) max_requests_per_conn: u64,
    pub(crate) idle_timeout: Option<Duration>,
    /// Whether a connection may carry more than one request at all. Without it none is handed on or kept.
    pub(crate) reuse: bool,
}

impl Limits {
    pub(crate) fn of(config: &TransportConfig) -> Self {
        // A limit of 0 would let nothing through, ever.
        let at_least_one = |limit: Option<usize>| limit.map_or(usize::MAX, |limit| limit.max(1));
        Limits {
            max_idle: config.max_idle_conns,
            max_idle_per_host: config.max_idle_conns_per_host,
            max_conns_per_host: at_least_one(config.max_conns_per_host),
            max_conns: at_least_one(config.max_conns),
            max_dials_per_host: at_least_one(config.max_dials_per_host),
            max_waiters_per_host: config.max_waiters_per_host.unwrap_or(usize::MAX),
            max_requests_per_conn: config.max_requests_per_conn.map_or(u64::MAX, |limit| limit.max(1)),
            // More than a clock can count is no limit.
            idle_timeout: config.idle_conn_timeout.filter(|&limit| limit < LONGEST),
            reuse: !config.disable_keep_alives && config.max_idle_conns_per_host > 0,
        }
    }
}

/// A hundred years.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
