//! The three scenarios, and the check that each did what its name says.

use roundtrip_client::{Client, ClientConfig};
use roundtrip_transport::{Transport, TransportConfig};
use tokio::runtime::Builder;

use crate::args::Args;
use crate::measure::{self, Round};
use crate::server::Running;

/// How connections are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    WithConnectionPool,
    ServerClosesConnection,
    WithoutConnectionPool,
}

impl Scenario {
    pub(crate) const ALL: [Scenario; 3] =
        [Scenario::WithConnectionPool, Scenario::ServerClosesConnection, Scenario::WithoutConnectionPool];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Scenario::WithConnectionPool => "WithConnectionPool",
            Scenario::ServerClosesConnection => "ServerClosesConnection",
            Scenario::WithoutConnectionPool => "WithoutConnectionPool",
        }
    }

    fn server_keeps_alive(self) -> bool {
        self != Scenario::ServerClosesConnection
    }

    fn transport(self, concurrency: usize) -> Transport {
        Transport::with_config(TransportConfig {
            disable_keep_alives: self == Scenario::WithoutConnectionPool,
            max_idle_conns: concurrency,
            max_idle_conns_per_host: concurrency,
            ..TransportConfig::default()
        })
    }
}

/// Runs one round of a scenario, with a server and a client of its own.
///
/// # Errors
/// A request failed, or the scenario did not open the connections that its name says.
pub(crate) fn run(scenario: Scenario, args: &Args) -> Result<Round, String> {
    run_with(scenario, scenario.transport(args.concurrency), args)
}

fn run_with(scenario: Scenario, transport: Transport, args: &Args) -> Result<Round, String> {
    let server = Running::start(scenario.server_keeps_alive())?;
    // The client runs on this thread, the server on its own: two cores, as in Go's benchmark with a server in its process.
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let client = Client::with_config(transport, ClientConfig::default());
    let round = runtime.block_on(measure::round(&client, &server, args));
    let round = round.map_err(|error| format!("{}: {error}", scenario.name()))?;
    drop(client);
    drop(runtime);
    server.stop()?;
    check(scenario, round.all_requests, round.connections, args.concurrency as u64)?;
    Ok(round)
}

/// Whether the number of connections is what the scenario is about.
fn check(scenario: Scenario, requests: u64, connections: u64, workers: u64) -> Result<(), String> {
    let name = scenario.name();
    match scenario {
        Scenario::WithConnectionPool if connections > workers => Err(format!(
            "{name} did not pool: {requests} requests of {workers} worker(s) opened {connections} connections, at most {workers} expected"
        )),
        Scenario::ServerClosesConnection | Scenario::WithoutConnectionPool if connections < requests => Err(format!(
            "{name} did reuse connections: {requests} requests opened only {connections} connections, one each expected"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn short(concurrency: usize) -> Args {
        Args { rounds: 1, time: Duration::from_millis(20), concurrency, json: None }
    }

    #[test]
    fn every_scenario_passes_its_own_check() {
        for scenario in Scenario::ALL {
            for concurrency in [1, 4] {
                let round = run(scenario, &short(concurrency)).unwrap();
                assert!(round.requests > 0 && round.latencies.len() as u64 == round.requests, "{scenario:?}");
            }
        }
    }

    #[test]
    fn a_pool_that_never_reuses_is_caught() {
        let broken = Transport::with_config(TransportConfig { max_idle_conns: 0, ..TransportConfig::default() });
        let error = run_with(Scenario::WithConnectionPool, broken, &short(1)).unwrap_err();
        assert!(error.starts_with("WithConnectionPool did not pool: "), "{error}");
    }

    #[test]
    fn a_scenario_that_reuses_against_its_name_is_caught() {
        let reusing = Transport::new();
        let error = run_with(Scenario::WithoutConnectionPool, reusing, &short(1)).unwrap_err();
        assert!(error.starts_with("WithoutConnectionPool did reuse connections: "), "{error}");
    }
}
