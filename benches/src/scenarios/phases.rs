//! Where the time of a request goes, from the transport's own timings.

use std::time::Duration;

use roundtrip_transport::Timings;

use crate::model::Phases;

/// Sums over requests.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    requests: u64,
    queue: Duration,
    dns: Duration,
    connect: Duration,
    tls: Duration,
    write: Duration,
    wait: Duration,
    body: Duration,
    total: Duration,
}

impl Sums {
    /// Adds a request whose body has been read.
    pub(super) fn add(&mut self, timings: &Timings) {
        let [dns, connect, tls] = [timings.dns(), timings.connect(), timings.tls()].map(Option::unwrap_or_default);
        self.requests += 1;
        // A connection that was opened for another request may have taken longer than this one has waited for it.
        let opening = dns + connect + tls;
        let opening_waited = opening.min(timings.queue());
        let share = if opening.is_zero() { 0.0 } else { opening_waited.as_secs_f64() / opening.as_secs_f64() };
        self.queue += timings.queue() - opening_waited;
        self.dns += dns.mul_f64(share);
        self.connect += connect.mul_f64(share);
        self.tls += tls.mul_f64(share);
        self.write += timings.write().unwrap_or_default();
        self.wait += timings.wait();
        self.body += timings.body().unwrap_or_default();
        self.total += timings.total();
    }

    pub(super) fn add_all(&mut self, other: &Sums) {
        self.requests += other.requests;
        self.queue += other.queue;
        self.dns += other.dns;
        self.connect += other.connect;
        self.tls += other.tls;
        self.write += other.write;
        self.wait += other.wait;
        self.body += other.body;
        self.total += other.total;
    }

    /// The means; `None` of no requests.
    pub(super) fn means(&self) -> Option<Phases> {
        let mean = |sum: Duration| sum.as_secs_f64() * 1e6 / self.requests as f64;
        let named = self.queue + self.dns + self.connect + self.tls + self.write + self.wait + self.body;
        (self.requests > 0).then(|| Phases {
            queue: mean(self.queue),
            dns: mean(self.dns),
            connect: mean(self.connect),
            tls: mean(self.tls),
            write: mean(self.write),
            wait: mean(self.wait),
            body: mean(self.body),
            other: mean(self.total.saturating_sub(named)),
            total: mean(self.total),
        })
    }
}
