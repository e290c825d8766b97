//! Combinations: their names, and which of them make no sense.

use crate::model::{Case, Pooling, Protocol, Security};
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

    /// The name in the manner of Go's benchmarks; what is as in the classic case is left out: `WithConnectionPool`,
    /// `WithoutConnectionPool/security=tls/rtt=20ms`.
    #[must_use]
    pub fn name(&self) -> String {
        let classic = Case::classic(self.pooling);
        let mut name = match self.pooling {
            Pooling::Pool => "WithConnectionPool",
            Pooling::ServerCloses => "ServerClosesConnection",
            Pooling::NoPool => "WithoutConnectionPool",
        }
        .to_owned();
        match self.security {
            Security::Plain => {}
            Security::Tls => name.push_str("/security=tls"),
            Security::TlsResumed => name.push_str("/security=tls-resumed"),
        }
        if self.protocol == Protocol::Http2 {
            name.push_str("/protocol=http2");
        }
        if self.concurrency != classic.concurrency {
            name.push_str(&format!("/concurrency={}", self.concurrency));
        }
        if self.rtt_ms != classic.rtt_ms {
            name.push_str(&format!("/rtt={}ms", self.rtt_ms));
        }
        if self.body != classic.body {
            name.push_str(&format!("/body={}", self.body));
        }
        name
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
    fn names_tell_what_is_not_classic() {
        let classic = Case::classic(Pooling::NoPool);
        assert_eq!(classic.name(), "WithoutConnectionPool");
        let other = Case {
            pooling: Pooling::Pool,
            security: Security::TlsResumed,
            protocol: Protocol::Http2,
            concurrency: 16,
            rtt_ms: 20,
            body: 0,
        };
        let want = "WithConnectionPool/security=tls-resumed/protocol=http2/concurrency=16/rtt=20ms/body=0";
        assert_eq!(other.name(), want);
    }

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
