//! What the combinations are called: for Go's benchmark format, for tables, for people.

use crate::model::{Case, Pooling, Protocol, Scenario, Security};
use crate::report::figure;
use crate::servers::GREETING;

/// A case without its treatment of connections: what the three treatments are compared in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// What protects the connections.
    pub security: Security,
    /// What is spoken.
    pub protocol: Protocol,
    /// Requests at the same time.
    pub concurrency: usize,
    /// The simulated round trip, in milliseconds.
    pub rtt_ms: u32,
    /// The response's body, in bytes.
    pub body: usize,
}

impl From<Case> for Setting {
    fn from(case: Case) -> Self {
        let Case { security, protocol, concurrency, rtt_ms, body, .. } = case;
        Setting { security, protocol, concurrency, rtt_ms, body }
    }
}

impl Setting {
    /// Plain HTTP/1.1 over loopback, one request at a time: where the comparison comes from.
    #[must_use]
    pub fn is_classic(self) -> bool {
        self.security == Security::Plain
            && self.protocol == Protocol::Http1
            && self.concurrency == 1
            && self.rtt_ms == 0
    }

    /// For people: `TLS, HTTP/2, 16 at a time, 20 ms round trip, 64KiB`.
    #[must_use]
    pub fn words(self) -> String {
        let mut words = format!("{}, {}", security(self.security), protocol(self.protocol));
        match self.concurrency {
            1 => words.push_str(", one at a time"),
            several => words.push_str(&format!(", {} at a time", figure::whole(several as u64))),
        }
        match self.rtt_ms {
            0 => words.push_str(", loopback"),
            rtt => words.push_str(&format!(", {rtt} ms round trip")),
        }
        if self.body != GREETING.len() {
            words.push_str(&format!(", {} body", figure::size(self.body)));
        }
        words
    }

    /// For tables and Go's sub-benchmarks: `/tls/http2/c16/rtt20ms/body64KiB`, each part only if it is not the classic one.
    #[must_use]
    pub fn suffix(self) -> String {
        let mut suffix = String::new();
        match self.security {
            Security::Plain => {}
            Security::Tls => suffix.push_str("/tls"),
            Security::TlsResumed => suffix.push_str("/tls-resumed"),
        }
        if self.protocol == Protocol::Http2 {
            suffix.push_str("/http2");
        }
        if self.concurrency != 1 {
            suffix.push_str(&format!("/c{}", self.concurrency));
        }
        if self.rtt_ms != 0 {
            suffix.push_str(&format!("/rtt{}ms", self.rtt_ms));
        }
        if self.body != GREETING.len() {
            suffix.push_str(&format!("/body{}", figure::size(self.body)));
        }
        suffix
    }
}

/// Go's name of the benchmark, without `Benchmark` and the number of processors.
#[must_use]
pub fn go_name(case: Case) -> String {
    let name = match case.pooling {
        Pooling::Pool => "WithConnectionPool",
        Pooling::ServerCloses => "ServerClosesConnection",
        Pooling::NoPool => "WithoutConnectionPool",
    };
    format!("{name}{}", Setting::from(case).suffix())
}

/// For tables: `pool /tls/c16`.
#[must_use]
pub fn short(case: Case) -> String {
    format!("{} {}", pooling(case.pooling), Setting::from(case).suffix()).trim_end().to_owned()
}

/// How connections are treated, in words.
#[must_use]
pub fn pooling(pooling: Pooling) -> &'static str {
    match pooling {
        Pooling::Pool => "pool",
        Pooling::ServerCloses => "server closes",
        Pooling::NoPool => "no pool",
    }
}

fn security(security: Security) -> &'static str {
    match security {
        Security::Plain => "Plain",
        Security::Tls => "TLS",
        Security::TlsResumed => "TLS resumed",
    }
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http1 => "HTTP/1.1",
        Protocol::Http2 => "HTTP/2",
    }
}

/// Scenarios by setting, both in the order in which they stand.
#[must_use]
pub fn by_setting(scenarios: &[Scenario]) -> Vec<(Setting, Vec<&Scenario>)> {
    let mut groups: Vec<(Setting, Vec<&Scenario>)> = Vec::new();
    for scenario in scenarios {
        let setting = Setting::from(scenario.case);
        match groups.iter_mut().find(|(known, _)| *known == setting) {
            Some((_, group)) => group.push(scenario),
            None => groups.push((setting, vec![scenario])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSIC: Case = Case {
        pooling: Pooling::Pool,
        security: Security::Plain,
        protocol: Protocol::Http1,
        concurrency: 1,
        rtt_ms: 0,
        body: GREETING.len(),
    };

    #[test]
    fn the_classic_three_keep_their_names() {
        let name = |pooling| go_name(Case { pooling, ..CLASSIC });
        assert_eq!(name(Pooling::Pool), "WithConnectionPool");
        assert_eq!(name(Pooling::ServerCloses), "ServerClosesConnection");
        assert_eq!(name(Pooling::NoPool), "WithoutConnectionPool");
        assert_eq!(short(CLASSIC), "pool");
        assert_eq!(Setting::from(CLASSIC).words(), "Plain, HTTP/1.1, one at a time, loopback");
    }

    #[test]
    fn others_say_what_is_different() {
        let case = Case {
            pooling: Pooling::NoPool,
            security: Security::TlsResumed,
            protocol: Protocol::Http2,
            concurrency: 16,
            rtt_ms: 1,
            body: 65_536,
        };
        assert_eq!(go_name(case), "WithoutConnectionPool/tls-resumed/http2/c16/rtt1ms/body64KiB");
        assert_eq!(short(case), "no pool /tls-resumed/http2/c16/rtt1ms/body64KiB");
        assert_eq!(Setting::from(case).words(), "TLS resumed, HTTP/2, 16 at a time, 1 ms round trip, 64KiB body");
    }
}
