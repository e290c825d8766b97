//! Whether a scenario did what its name says.

use crate::model::{Case, Pooling, Protocol, Round, Security};

/// What a round must have done.
///
/// # Errors
/// It did not; the error names the scenario and both figures.
pub(super) fn check(case: &Case, round: &Round, by_another_protocol: u64) -> Result<(), String> {
    let name = case.name();
    let Round { all_requests: requests, connections, resumed, .. } = *round;
    let workers = case.concurrency as u64;
    if by_another_protocol > 0 {
        let wanted = match case.protocol {
            Protocol::Http1 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
        };
        return Err(format!(
            "{name} did not speak {wanted}: {by_another_protocol} of {requests} requests came to the server by another protocol"
        ));
    }
    match case.pooling {
        Pooling::Pool => {
            // To have something to resume, connections are opened twice there.
            let most = if case.security == Security::TlsResumed { 2 * workers } else { workers };
            if connections > most {
                return Err(format!(
                    "{name} did not pool: {requests} requests of {workers} worker(s) opened {connections} connections, at most {most} expected"
                ));
            }
        }
        Pooling::ServerCloses | Pooling::NoPool if connections < requests => {
            return Err(format!(
                "{name} did reuse connections: {requests} requests opened only {connections} connections, one each expected"
            ));
        }
        // One that is being opened when the time is up may be counted too.
        Pooling::ServerCloses | Pooling::NoPool if connections > requests + workers => {
            return Err(format!(
                "{name} opened more connections than it used: {requests} requests opened {connections} connections, one each expected"
            ));
        }
        Pooling::ServerCloses | Pooling::NoPool => {}
    }
    match case.security {
        Security::Plain | Security::Tls if resumed > 0 => {
            Err(format!("{name} did resume sessions: {resumed} of {connections} handshakes, none expected"))
        }
        // The first handshake of each worker has nothing to resume.
        Security::TlsResumed if resumed + workers < connections || resumed == 0 => Err(format!(
            "{name} did not resume sessions: {resumed} of {connections} handshakes of {workers} worker(s), all but the first of each expected"
        )),
        _ => Ok(()),
    }
}
