//! What `reach_cost` measures at length, in short: it transfers what it says, and counts what comes.

use roundtrip_bench::alloc::Counting;
use roundtrip_bench::identity::Identity;
use roundtrip_bench::reach::bulk::{self, Direction, Way};
use roundtrip_bench::reach::burst::{Counts, Over, Who, burst};
use roundtrip_bench::reach::http2;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn bodies_arrive_whole_both_ways() {
    let identity = Identity::make().unwrap();
    for tls in [None, Some(&identity)] {
        let addr = bulk::serve(tls).unwrap();
        for way in [Way::Raw, Way::Ours] {
            for direction in [Direction::Down, Direction::Up] {
                let certificate = tls.map(Identity::certificate);
                bulk::transfer(way, direction, addr, certificate, 3_000_001)
                    .unwrap_or_else(|error| panic!("{way:?} {direction:?}, TLS {}: {error}", tls.is_some()));
            }
        }
    }
}

#[test]
fn a_cold_burst_to_an_http2_host_makes_one_handshake() {
    let counts = burst(Who::Ours, Over::TlsHttp2, 100).unwrap();
    assert_eq!(counts, Counts { connections: 1, handshakes: 1, resumed: 0 });
}

#[test]
fn a_cold_burst_opens_no_more_connections_than_requests() {
    for over in [Over::Plain, Over::TlsHttp1] {
        let counts = burst(Who::Ours, over, 100).unwrap();
        assert!((1..=100).contains(&counts.connections), "{over:?}: {counts:?}");
        if over == Over::Plain {
            assert_eq!(counts.handshakes, 0, "nothing is encrypted");
        } else {
            assert!((1..=counts.connections).contains(&counts.handshakes), "{counts:?}");
        }
    }
}

#[test]
fn requests_share_one_connection_over_http2() {
    let running = http2::serve().unwrap();
    http2::run("transport", running.addr(), 640, 64).unwrap();
    assert_eq!((running.connections(), running.by_another_protocol()), (1, 0));
}

#[test]
fn a_client_that_remembers_sessions_continues_them() {
    let identity = Identity::make().unwrap();
    for (session_cache, resumed) in [(0, 0), (8, 9)] {
        let running = http2::serve_tls(&identity).unwrap();
        http2::handshakes(identity.certificate(), running.addr(), 10, session_cache).unwrap();
        assert_eq!(
            (running.connections(), running.handshakes(), running.resumed()),
            (10, 10, resumed),
            "remembering {session_cache}"
        );
    }
}
