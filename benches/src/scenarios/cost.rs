//! The model: how many round trips a request costs.

use crate::model::{self, Case, Cost, Pooling, Protocol, Round, Security};

/// What the model says, and what was measured if round trips were simulated.
pub(super) fn cost(case: &Case, rounds: &[Round]) -> Cost {
    let mut parts = Vec::new();
    if case.pooling != Pooling::Pool {
        parts.push("TCP 1");
        match case.security {
            Security::Plain => {}
            Security::Tls => parts.push("TLS 1.3 1"),
            // Without early data, which is not for requests that must not be sent twice.
            Security::TlsResumed => parts.push("TLS 1.3 resumed 1"),
        }
    }
    // Its preface and settings travel with the request (RFC 9113, 3.4).
    parts.push(if case.protocol == Protocol::Http2 { "request over HTTP/2 1" } else { "request 1" });
    let medians: Vec<f64> = rounds.iter().map(|round| round.p50_ns).collect();
    let measured = model::median(&medians).filter(|_| case.rtt_ms > 0);
    Cost {
        predicted: parts.len() as f64,
        measured: measured.map(|median| median / (f64::from(case.rtt_ms) * 1e6)),
        explained: parts.join(" + "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_are_counted_by_what_is_opened() {
        let rounds = [Round { p50_ns: 42e6, ..Round::default() }];
        let of = |pooling, security, rtt_ms| cost(&Case { security, rtt_ms, ..Case::classic(pooling) }, &rounds);
        let pooled = of(Pooling::Pool, Security::Tls, 20);
        assert_eq!((pooled.predicted, pooled.measured, &*pooled.explained), (1.0, Some(2.1), "request 1"));
        let plain = of(Pooling::NoPool, Security::Plain, 0);
        assert_eq!((plain.predicted, plain.measured, &*plain.explained), (2.0, None, "TCP 1 + request 1"));
        let resumed = of(Pooling::ServerCloses, Security::TlsResumed, 1);
        assert_eq!((resumed.predicted, resumed.measured), (3.0, Some(42.0)));
    }
}
