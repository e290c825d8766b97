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
            // A connection that is being opened when its request is served by another is opened all the same.
            let burst = if workers == 1 { 1 } else { workers + workers.min(DIALS_AT_ONCE) };
            // To have something to resume, connections are opened twice there.
            let most = if case.security == Security::TlsResumed { 2 * burst } else { burst };
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
        Security::TlsResumed if resumed < least_resumed(case, connections) => Err(format!(
            "{name} did not resume sessions: {resumed} of {connections} handshakes of {workers} worker(s), at least {} expected",
            least_resumed(case, connections)
        )),
        _ => Ok(()),
    }
}

/// As many connections as our transport opens to one host at once, by default.
const DIALS_AT_ONCE: u64 = 32;

/// How many handshakes must have resumed a session: all but the first of each worker; and one in four of those where more ask at once
/// than rustls keeps sessions of TLS 1.3 for one server, which are good for one handshake each.
fn least_resumed(case: &Case, connections: u64) -> u64 {
    let workers = case.concurrency as u64;
    let could = connections.saturating_sub(workers);
    let least = if workers <= SESSIONS_KEPT { could } else { could / 4 };
    least.max(1)
}

/// As many sessions as rustls keeps for a server.
const SESSIONS_KEPT: u64 = 8;
