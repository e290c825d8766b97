//! Combinations: their names, and which of them make no sense.

use crate::model::{Case, Pooling, Protocol, Security};
use crate::report;
use crate::servers::GREETING;

impl Case {
    /// The classic one: one request at a time over plain HTTP/1.1 and loopback, answered with a greeting.
    #[must_use]
    pub fn classic(pooling: Pooling) -> Self {
        Case {
            pooling,
            security: Security::Plain,
            protocol: Protocol::Http1,
            concurrency: 1,
            rtt_ms: 0,
            body: GREETING.len(),
        }
    }

    /// Its name in errors and in Go's lines: `WithConnectionPool`, `WithoutConnectionPool/tls/rtt20ms`.
    #[must_use]
    pub fn name(&self) -> String {
        report::case::go_name(*self)
    }

    /// Why it makes no sense, if it makes none.
    #[must_use]
    pub fn makes_no_sense(&self) -> Option<&'static str> {
        let shares = self.pooling == Pooling::ServerCloses && self.protocol == Protocol::Http2 && self.concurrency > 1;
        shares.then_some(
            "over HTTP/2 requests that are made at the same time share the connection that the server closes, so there \
             is no connection for each",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_connection_is_not_one_for_each() {
        let case = |pooling, protocol, concurrency| Case { protocol, concurrency, ..Case::classic(pooling) };
        assert!(case(Pooling::ServerCloses, Protocol::Http2, 2).makes_no_sense().is_some());
        for sense in [
            case(Pooling::ServerCloses, Protocol::Http2, 1),
            case(Pooling::ServerCloses, Protocol::Http1, 2),
            case(Pooling::NoPool, Protocol::Http2, 2),
        ] {
            assert_eq!(sense.makes_no_sense(), None, "{sense:?}");
        }
    }
}
